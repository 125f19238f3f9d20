"""``ais create``, ``rmb``, ``cp``, ``evict``, ``prefetch``, and the rest of ``ais bucket``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tidegate import errors
from tidegate.cli import say
from tidegate.cli.ais import assignments, calls, jobs, objects, selection, text
from tidegate.cli.ais.client import connect
from tidegate.cli.ais.completion import complete_buckets
from tidegate.cli.ais.grammar import (
    BucketArgument,
    DryRunOption,
    JsonOption,
    ListOption,
    NoHeaderOption,
    PrefixOption,
    TemplateOption,
    TimeoutOption,
    UnitsOption,
    WaitOption,
    YesOption,
)
from tidegate.cli.ais.uris import bucket_of, split
from tidegate.cli.failures import Refused
from tidegate.cli.transport import Client
from tidegate.names import BucketName, split_uri
from tidegate.properties import nest

CONFLICT = 409
DOCUMENTATION = "https://github.com/NVIDIA/aistore/blob/main/docs/bucket.md#default-bucket-properties"
DRY_RUN = "[DRY RUN] with no modifications to the cluster"

BucketArguments = Annotated[
    list[str],
    typer.Argument(
        metavar="BUCKET...", help="For instance ais://bucket.", show_default=False, autocompletion=complete_buckets
    ),
]
PropsOption = Annotated[
    str,
    typer.Option(
        "--props", "--bucket-props", metavar="'K=V K=V' | JSON", help="Properties to set.", show_default=False
    ),
]
IgnoreErrorOption = Annotated[
    bool, typer.Option("--ignore-error", help="Go on where something is there, or not there.")
]


def create(
    uris: BucketArguments,
    props: PropsOption = "",
    ignores_errors: IgnoreErrorOption = False,
    skips_lookup: Annotated[
        bool, typer.Option("--skip-lookup", help="Of another provider's: do not ask there whether it is there.")
    ] = False,
) -> None:
    """Make buckets."""
    client = connect()
    properties = nest(assignments.parse_text(props)) if props else {}
    for bucket in [bucket_of(uri) for uri in uris]:
        try:
            calls.create(client, bucket, properties, looks_up=not skips_lookup)
        except Refused as refused:
            if not (ignores_errors and refused.status == CONFLICT):
                raise
            print(f'Bucket "{bucket.uri}" already exists')
        else:
            print(f'"{bucket.uri}" created' + ("" if props else f" (see {DOCUMENTATION})"))


def remove(
    uris: Annotated[
        list[str] | None,
        typer.Argument(metavar="BUCKET...", show_default=False, autocompletion=complete_buckets),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="All buckets that are ours.")] = False,
    yes: YesOption = False,
    ignores_errors: IgnoreErrorOption = False,
    keeps_properties: Annotated[
        bool, typer.Option("--keep-md", help="Of another provider's: keep properties.")
    ] = False,
) -> None:
    """Remove buckets with all that is in them. Of another provider's buckets only what is here is dropped."""
    client = connect()
    if bool(uris) == all:
        raise errors.InvalidArgument("cannot specify bucket name(s) with --all flag" if all else "no bucket is named")
    found = _all(client, yes=yes) if all else [bucket_of(uri) for uri in uris or []]
    for bucket in found:
        try:
            if bucket.is_remote:
                calls.evict(client, bucket, keeps_properties=keeps_properties)
                print(f'"{bucket.uri}" bucket evicted')
            elif all or yes or _may_destroy(client, bucket):
                calls.destroy(client, bucket)
                print(f'"{bucket.uri}" destroyed')
        except Refused as refused:
            if not (ignores_errors and refused.status == 404):
                raise
            say.warning(refused.message)


def _all(client: Client, *, yes: bool) -> list[BucketName]:
    """All of our buckets, if the user types what it takes."""
    found = calls.buckets(client, "ais")
    if not found:
        print("No AIS buckets to remove")
        return []
    say.note(f"Found {len(found)} AIS bucket(s) to remove:")
    for bucket in found:
        say.note(f"  - {bucket.uri}")
    return found if say.confirm("Proceed to destroy all of them?", yes=yes, word="DELETE") else []


def _may_destroy(client: Client, bucket: BucketName) -> bool:
    """Asks, where there is somebody to ask and something to lose. A script means what it says."""
    if not sys.stdin.isatty() or not next(calls.pages(client, bucket, page_size=1)).entries:
        return True
    return say.confirm(f"{bucket.uri} is not empty. Proceed to destroy {bucket.uri}?", yes=False)


def summary(
    uri: Annotated[
        str, typer.Argument(metavar="[PROVIDER:][BUCKET[/PREFIX]]", show_default=False, autocompletion=complete_buckets)
    ] = "",
    prefix: PrefixOption = "",
    units: UnitsOption = "iec",
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sum buckets up: how many objects, and their sizes."""
    provider, namespace, name, key = split_uri(uri, "" if not uri else None)
    bucket = BucketName(name, provider, namespace) if name else None
    print_summary(connect(), bucket, provider, key or prefix, units, no_headers=no_headers, as_json=as_json)


def print_summary(
    client: Client,
    bucket: BucketName | None,
    provider: str,
    prefix: str,
    units: text.Units,
    *,
    no_headers: bool,
    as_json: bool,
) -> None:
    """The table of ``ais bucket summary``."""
    found = sorted(calls.summaries(client, bucket, provider, prefix), key=lambda each: each.identity)
    if as_json:
        print(text.document(found))
        return
    rows = [
        (
            each.identity.uri,
            f"{each.counts.obj_count_present} {each.counts.obj_count_remote}",
            " ".join(
                text.size(size, units)
                for size in (each.sizes.obj_min_size, each.sizes.obj_avg_size, each.sizes.obj_max_size)
            ),
            " ".join(
                text.size(size, units) for size in (each.totals.size_all_present_objs, each.totals.size_all_remote_objs)
            ),
            f"{each.used_pct:g}%",
        )
        for each in found
    ]
    header = (
        "NAME",
        "OBJECTS (cached, remote)",
        "OBJECT SIZES (min, avg, max)",
        "TOTAL OBJECT SIZE (cached, remote)",
        "USAGE(%)",
    )
    print(text.table(header, rows, has_header=not no_headers))


def copy(
    source: Annotated[
        str, typer.Argument(metavar="BUCKET[/OBJECT]", show_default=False, autocompletion=complete_buckets)
    ],
    destination: Annotated[
        str, typer.Argument(metavar="BUCKET[/OBJECT]", show_default=False, autocompletion=complete_buckets)
    ],
    listed: ListOption = "",
    template: TemplateOption = "",
    prefix: PrefixOption = "",
    prepend: Annotated[
        str, typer.Option("--prepend", metavar="PREFIX", help="Put this before each name.", show_default=False)
    ] = "",
    dry_run: DryRunOption = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Even where something else is at work on them.")] = False,
    latest: Annotated[bool, typer.Option("--latest", help="Of another provider's: the newest.")] = False,
    sync: Annotated[bool, typer.Option("--sync", help="Delete what is no longer at the provider.")] = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Copy a bucket, some of its objects, or one object. Nothing passes through this machine."""
    bucket, key = split(source)
    if key:
        objects.copy(source, destination)
        return
    to, to_key = split(destination)
    chosen = selection.message(listed, template, "")
    options: dict[str, object] = {
        "prepend": prepend + to_key,
        "prefix": prefix,
        "dry_run": dry_run,
        "force": force,
        "latest-ver": latest,
        "synchronize": sync,
    }
    if dry_run:
        print(DRY_RUN)
    client = connect()
    if chosen:
        if prefix:
            raise errors.InvalidArgument("--list, --template and --prefix exclude each other")
        value = {**options, **chosen, "tobck": calls.as_json(to)}
        id = calls.act(client, "POST", bucket, "copy-listrange", value)
        line = f"copy-objects[{id}]: {selection.shown(listed, template, '')} {bucket.uri} => {to.uri}"
    else:
        id = calls.act(client, "POST", bucket, "copy-bck", options, to)
        line = f"copy-bucket[{id}] {bucket.uri} => {to.uri}"
    jobs.finish(client, id, line, waits=wait, timeout=timeout)


def move(bucket: BucketArgument, to: BucketArgument, wait: WaitOption = False, timeout: TimeoutOption = None) -> None:
    """Give a bucket another name."""
    client, source, target = connect(), bucket_of(bucket), bucket_of(to)
    id = calls.act(client, "POST", source, "move-bck", to=target)
    jobs.finish(client, id, f"rename-bucket[{id}] {source.uri} => {target.uri}", waits=wait, timeout=timeout)


def evict(
    uri: Annotated[str, typer.Argument(metavar="BUCKET[/OBJECT]", show_default=False, autocompletion=complete_buckets)],
    listed: ListOption = "",
    template: TemplateOption = "",
    prefix: PrefixOption = "",
    keeps_properties: Annotated[bool, typer.Option("--keep-md", help="Keep the bucket's properties.")] = False,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Drop what is here of another provider's bucket; the provider keeps it."""
    bucket, key = split(uri)
    chosen = selection.message(key or listed, template, prefix) if not (key and listed) else _both()
    client = connect()
    if dry_run:
        print(DRY_RUN)
        print(f"evict {selection.shown(key or listed, template, prefix) if chosen else 'all'} from {bucket.uri}")
    elif chosen:
        id = calls.act(client, "DELETE", bucket, "evict-listrange", chosen)
        line = f"evict-objects[{id}]: {selection.shown(key or listed, template, prefix)} evict from {bucket.uri}"
        jobs.finish(client, id, line, waits=wait, timeout=timeout)
    else:
        calls.evict(client, bucket, keeps_properties=keeps_properties)
        print(f'"{bucket.uri}" bucket evicted')


def prefetch(
    uri: Annotated[str, typer.Argument(metavar="BUCKET[/OBJECT]", show_default=False, autocompletion=complete_buckets)],
    listed: ListOption = "",
    template: TemplateOption = "",
    prefix: PrefixOption = "",
    latest: Annotated[bool, typer.Option("--latest", help="Also where it has changed at the provider.")] = False,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Fetch objects of another provider's bucket, so that they are here when they are needed."""
    bucket, key = split(uri)
    chosen = selection.message(key or listed, template, prefix) if not (key and listed) else _both()
    what = selection.shown(key or listed, template, prefix)
    if dry_run:
        print(DRY_RUN)
        print(f"prefetch {what} from {bucket.uri}")
        return
    client = connect()
    value = {**(chosen or {"template": ""}), "latest-ver": latest, "coer": False}
    id = calls.act(client, "POST", bucket, "prefetch-listrange", value)
    jobs.finish(client, id, f"prefetch-objects[{id}]: {what} prefetch from {bucket.uri}", waits=wait, timeout=timeout)


def _both() -> dict[str, object]:
    raise errors.InvalidArgument("an object in the URI and --list exclude each other")
