"""``ais bucket props`` and ``ais show bucket``: what a bucket is set to do."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate import errors
from tidegate.cli.ais import assignments, calls, compact, jobs, text
from tidegate.cli.ais.client import connect
from tidegate.cli.ais.grammar import BucketArgument, JsonOption, NoHeaderOption
from tidegate.cli.ais.uris import bucket_of
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.transport import Client
from tidegate.names import BucketName
from tidegate.properties import flatten, nest

AssignmentArguments = Annotated[
    list[str], typer.Argument(metavar="KEY=VALUE... | KEY VALUE | JSON", help="What to set.", show_default=False)
]
SectionArgument = Annotated[
    str, typer.Argument(metavar="[SECTION]", help="Only these, for instance checksum.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", help="Every property by its full name.")]
CompactOption = Annotated[bool, typer.Option("--compact", "-c", help="A line for each section (default).")]


def set_(bucket: BucketArgument, assignments_: AssignmentArguments) -> None:
    """Change properties, as in: ais bucket props set ais://bucket checksum.type=md5."""
    _set(connect(), bucket_of(bucket), assignments.parse(assignments_))


def reset(bucket: BucketArgument) -> None:
    """Give the bucket the properties that a new one would have."""
    calls.reset_properties(connect(), bucket_of(bucket))
    print("Bucket props successfully reset to cluster defaults")


def show(
    bucket: BucketArgument,
    section: SectionArgument = "",
    compact_: CompactOption = False,
    all: AllOption = False,
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a bucket's properties."""
    if compact_ and (all or section):
        raise errors.InvalidArgument("--compact shows a line for each section: it goes with neither --all nor SECTION")
    _show(connect(), bucket_of(bucket), section, all=all, no_headers=no_headers, as_json=as_json)


def set_or_show(
    bucket: BucketArgument,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[SECTION | KEY=VALUE... | KEY VALUE | JSON]", show_default=False)
    ] = None,
    all: AllOption = False,
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show properties, or change them where values are given."""
    client, name, words = connect(), bucket_of(bucket), words or []
    if assignments.is_assignment(words):
        _set(client, name, assignments.parse(words))
    else:
        _show(client, name, "".join(words), all=all, no_headers=no_headers, as_json=as_json)


def _set(client: Client, bucket: BucketName, changes: dict[str, object]) -> None:
    before = flatten(calls.properties(client, bucket))
    try:
        job = calls.set_properties(client, bucket, nest(changes))
    except Refused as refused:
        raise Failure(refused.message, refused.hint or assignments.meant(refused.message, changes, before)) from None
    changed = list(assignments.differences(before, flatten(calls.properties(client, bucket))))
    if not changed:
        print(f'Bucket "{bucket.uri}" already has the same values of props, nothing to do')
        return
    print("Bucket props successfully updated")
    print("\n".join(changed))
    if job:
        print(jobs.started(f"Started job {job}", job))


def _show(client: Client, bucket: BucketName, section: str, *, all: bool, no_headers: bool, as_json: bool) -> None:
    tree = calls.properties(client, bucket)
    flat: dict[str, object] = dict(flatten(tree))
    if as_json:
        shown = nest(assignments.below(flat, section)) if section else tree
        print(text.document(shown))
        return
    if not section and not all:
        print(text.properties(compact.lines(tree), has_header=not no_headers))
        return
    wanted = assignments.below(flat, section) if section else flat
    if not wanted:
        raise Failure(f'invalid property "{section}"', assignments.similar(section, assignments.names(flat)))
    print(text.properties(dict(sorted(compact.readable(wanted).items())), has_header=not no_headers))
