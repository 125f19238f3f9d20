"""``ais object``: showing, copying, renaming and removing objects, and their custom metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from urllib3 import HTTPHeaderDict

from tidegate import errors
from tidegate.cli import say
from tidegate.cli.ais import assignments, calls, jobs, selection, text
from tidegate.cli.ais.client import connect, names_bucket
from tidegate.cli.ais.completion import complete_buckets
from tidegate.cli.ais.digests import told
from tidegate.cli.ais.grammar import (
    JsonOption,
    ListOption,
    NoHeaderOption,
    ObjectArgument,
    PrefixOption,
    TemplateOption,
    TimeoutOption,
    UnitsOption,
    WaitOption,
    YesOption,
)
from tidegate.cli.ais.uris import bucket_of, object_of, split
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.transport import NOT_FOUND, Client
from tidegate.names import BucketName

# How much of a checksum is shown, as AIStore cuts it.
_SHOWN_DIGITS = 16
_DEFAULT = ("atime", "checksum", "name", "size")
_NAMES = ("atime", "cached", "checksum", "copies", "custom", "ec", "location", "name", "size", "version")


def show(
    uri: ObjectArgument,
    props: Annotated[
        str, typer.Option("--props", metavar="LIST", help=f"all, or of {','.join(_NAMES)}.", show_default=False)
    ] = "",
    all: Annotated[bool, typer.Option("--all", help="All properties.")] = False,
    units: UnitsOption = "iec",
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show an object's properties."""
    bucket, key = object_of(uri)
    wanted = _NAMES if all or props == "all" else tuple(selection.names(props)) or _DEFAULT
    for name in wanted:
        if name not in _NAMES:
            raise errors.InvalidArgument(
                f'invalid property "{name}": expected {", ".join(_NAMES)}, or all {assignments.similar(name, _NAMES)}'
            )
    try:
        answer = calls.head(connect(), bucket, key)
    except Refused as refused:
        if refused.status == NOT_FOUND and not names_bucket(refused):
            raise Failure(f'object "{key}" not found in {bucket.uri}') from None
        raise
    if as_json:
        found = _values(bucket, key, answer, "raw")
        print(text.document({name: found[name] for name in sorted(wanted)}))
        return
    found = _values(bucket, key, answer, units)
    print(text.properties({name: found[name] for name in sorted(wanted)}, has_header=not no_headers))


def _values(bucket: BucketName, key: str, answer: HTTPHeaderDict, units: text.Units) -> dict[str, object]:
    kind, checksum = told(answer)
    if len(checksum) > _SHOWN_DIGITS and units != "raw":
        checksum = f"{checksum[:_SHOWN_DIGITS]}..."
    return {
        "atime": text.rfc822(answer.get("Ais-Atime", "")),
        "cached": "yes" if answer.get("Ais-Present", "true") == "true" else "no",
        "checksum": f"{kind}[{checksum}]" if kind else "",
        "copies": _copies(answer),
        "custom": custom(answer),
        "ec": "",
        "location": answer.get("Ais-Location", ""),
        "name": f"{bucket.uri}/{key}",
        "size": text.size(int(answer.get("Content-Length", "0")), units),
        "version": answer.get("Ais-Version", ""),
    }


def _copies(answer: Mapping[str, str]) -> str:
    paths = answer.get("Ais-Mirror-Paths", "").strip("[]").replace(",", " ").split()
    count = answer.get("Ais-Mirror-Copies") or str(len(paths) or "")
    return f"{count} [{' '.join(paths)}]" if paths else count


def custom(answer: HTTPHeaderDict) -> str:
    """Custom metadata as AIStore shows it: ``map[a:1 b:2]``, sorted."""
    lines = (line.encode("latin-1", "replace").decode("utf-8", "replace") for line in answer.getlist("Ais-Custom-Md"))
    pairs = sorted(line.partition("=") for line in lines)
    return f"map[{' '.join(f'{name}:{value}' for name, _, value in pairs)}]" if pairs else ""


def copy(source: ObjectArgument, destination: ObjectArgument) -> None:
    """Copy an object. Nothing passes through this machine."""
    bucket, key = object_of(source)
    to, to_key = split(destination)
    if not to_key or to_key.endswith("/"):
        to_key += key.rpartition("/")[2]
    calls.copy(connect(), bucket, key, to, to_key)
    print(f"COPY {bucket.uri}/{key} => {to.uri}/{to_key}")


def move(
    source: ObjectArgument,
    destination: Annotated[str, typer.Argument(metavar="NAME | BUCKET/NAME", help="The new name.", show_default=False)],
) -> None:
    """Give an object another name in its bucket."""
    bucket, key = object_of(source)
    to = destination
    if "://" in destination:
        to_bucket, to = object_of(destination)
        if to_bucket != bucket:
            raise Failure(
                f"cannot move an object from {bucket.uri} to {to_bucket.uri}",
                f"copy and remove it: ais object cp {source} {destination}; ais object rm {source}",
            )
    calls.rename(connect(), bucket, key, to)
    print(f'"{key}" moved to "{to}"')


def set_custom(
    uri: ObjectArgument,
    words: Annotated[list[str], typer.Argument(metavar="KEY=VALUE... | JSON", show_default=False)],
    replaces: Annotated[
        bool, typer.Option("--set-new-custom", help="Instead of what there is, not beside it.")
    ] = False,
) -> None:
    """Set an object's custom metadata."""
    bucket, key = object_of(uri)
    values = {name: str(value) for name, value in assignments.parse(words).items()}
    calls.set_custom(connect(), bucket, key, values, replaces=replaces)
    print("Custom props successfully updated")


def remove(
    uris: Annotated[
        list[str],
        typer.Argument(metavar="BUCKET[/OBJECT]...", show_default=False, autocompletion=complete_buckets),
    ],
    listed: ListOption = "",
    template: TemplateOption = "",
    prefix: PrefixOption = "",
    all: Annotated[bool, typer.Option("--all", help="All objects of the bucket.")] = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
) -> None:
    """Delete objects."""
    client = connect()
    chosen = selection.message(listed, template, prefix)
    if chosen or all:
        if len(uris) != 1 or (chosen and all):
            raise errors.InvalidArgument("one bucket, and one of --list, --template, --prefix and --all")
        bucket = bucket_of(uris[0])
        what = selection.shown(listed, template, prefix) if chosen else "all objects"
        if listed or say.confirm(f"Proceed to delete {what} from {bucket.uri}?", yes=yes):
            _remove_many(client, bucket, chosen or {"template": ""}, what, waits=wait, timeout=timeout)
        return
    for bucket, key in [object_of(uri) for uri in uris]:
        calls.delete(client, bucket, key)
        print(f'deleted "{key}" from {bucket.uri}')


def _remove_many(
    client: Client, bucket: BucketName, chosen: Mapping[str, object], what: str, *, waits: bool, timeout: float | None
) -> None:
    id = calls.act(client, "DELETE", bucket, "delete-listrange", dict(chosen))
    jobs.finish(client, id, f"delete-objects[{id}]: {what} from {bucket.uri}", waits=waits, timeout=timeout)
