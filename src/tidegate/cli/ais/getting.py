"""``ais get`` and ``ais object cat``: objects to files or to standard output.

A file is there when all of it is there: it is written beside its place, and takes it at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec
import typer

from tidegate import errors
from tidegate.cli import progress, say, transfers, values
from tidegate.cli.ais import calls, digests, selection, shapes, text
from tidegate.cli.ais.client import connect, names_bucket, object_path
from tidegate.cli.ais.grammar import (
    ListOption,
    ObjectArgument,
    PrefixOption,
    ProgressOption,
    TemplateOption,
    UnitsOption,
    WorkersOption,
    YesOption,
)
from tidegate.cli.ais.uris import object_of, split
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.progress import Bar
from tidegate.cli.transport import BLOCK, NOT_FOUND, Client
from tidegate.names import BucketName

STANDARD_OUTPUT: Final = "-"
NOWHERE: Final = "/dev/null"
WORKERS: Final = 8

OffsetOption = Annotated[
    str, typer.Option("--offset", metavar="SIZE", help="Where to begin, in bytes or as 10KiB.", show_default=False)
]
LengthOption = Annotated[
    str, typer.Option("--length", metavar="SIZE", help="How much to read, in bytes or as 10KiB.", show_default=False)
]
ArchpathOption = Annotated[
    str, typer.Option("--archpath", metavar="PATH", help="A file in the object, an archive.", show_default=False)
]
ChecksumOption = Annotated[bool, typer.Option("--checksum", help="Hold what came against the object's checksum.")]


class Read(msgspec.Struct, frozen=True):
    """What to read of an object, and how."""

    first: int = 0
    length: int | None = None
    archpath: str = ""
    is_latest: bool = False
    is_checked: bool = False

    @property
    def headers(self) -> dict[str, str]:
        if self.length is None:
            return {}
        return {"Range": f"bytes={self.first}-{self.first + self.length - 1}"}

    @property
    def query(self) -> dict[str, str]:
        query = {"archpath": self.archpath} if self.archpath else {}
        return {**query, "latest-ver": "true"} if self.is_latest else query


def get(
    uri: Annotated[
        str,
        typer.Argument(metavar="BUCKET[/OBJECT]", help="For instance ais://bucket/object.", show_default=False),
    ],
    out: Annotated[
        str,
        typer.Argument(metavar="[FILE|DIRECTORY|-]", help="Where to (default: the object's name).", show_default=False),
    ] = "",
    offset: OffsetOption = "",
    length: LengthOption = "",
    is_checked: ChecksumOption = False,
    is_latest: Annotated[bool, typer.Option("--latest", help="Of another provider's: the newest.")] = False,
    archpath: ArchpathOption = "",
    only_checks: Annotated[bool, typer.Option("--check-cached", help="Only say whether it is here.")] = False,
    prefix: PrefixOption = "",
    listed: ListOption = "",
    template: TemplateOption = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many objects; 0 is all.")] = 0,
    yes: YesOption = False,
    workers: WorkersOption = WORKERS,
    shows_progress: ProgressOption = None,
    units: UnitsOption = "iec",
) -> None:
    """Get an object, a part of it, or many objects."""
    bucket, key = split(uri)
    read = _read(offset, length, archpath, is_latest=is_latest, is_checked=is_checked)
    client = connect()
    if not key or prefix or listed or template:
        if key or read.length is not None or archpath or only_checks:
            raise errors.InvalidArgument("an object in the URI is one object: it does not go with a selection of many")
        chosen = _chosen(client, bucket, listed, template, prefix, limit)
        _get_many(client, bucket, chosen, out, read, workers, units, yes=yes, shown=shows_progress)
    elif only_checks:
        with _named(bucket, key):
            answer = calls.head(client, bucket, key)
        print(f"Cached: {str(answer.get('Ais-Present', 'true') == 'true').lower()}")
    else:
        _get_one(client, bucket, key, out, read, units, shown=shows_progress)


def cat(
    uri: ObjectArgument,
    offset: OffsetOption = "",
    length: LengthOption = "",
    is_checked: ChecksumOption = False,
    archpath: ArchpathOption = "",
) -> None:
    """Print an object's content, and nothing else."""
    bucket, key = object_of(uri)
    read = _read(offset, length, archpath, is_latest=False, is_checked=is_checked)
    with progress.bar(key, None, "bytes", wanted=False) as bar:
        _copy(connect(), bucket, key, read, sys.stdout.buffer, bar)
    sys.stdout.buffer.flush()


def _read(offset: str, length: str, archpath: str, *, is_latest: bool, is_checked: bool) -> Read:
    if bool(offset) != bool(length):
        raise errors.InvalidArgument('"length" and "offset" flags both need to be set')
    if not offset:
        return Read(archpath=archpath, is_latest=is_latest, is_checked=is_checked)
    if is_checked:
        raise errors.InvalidArgument("--checksum is for whole objects, not for ranges")
    first, count = values.parse_size(offset), values.parse_size(length)
    if not count:
        raise errors.InvalidArgument(f'invalid length "{length}": there is nothing to read')
    return Read(first, count, archpath, is_latest)


# --- one object ------------------------------------------------------------------------------------------------------


def _get_one(
    client: Client, bucket: BucketName, key: str, out: str, read: Read, units: text.Units, *, shown: bool | None
) -> None:
    name = f"{key}/{read.archpath}" if read.archpath else key
    place = _place(out, read.archpath or key)
    with progress.bar(name, None, "bytes", wanted=shown) as bar:
        if place is None:
            size = _copy(client, bucket, key, read, sys.stdout.buffer, bar)
            sys.stdout.buffer.flush()
        else:
            size = _save(client, bucket, key, read, place, bar)
    if read.length is not None:
        line = f"Read range (length {size} at offset {read.first})" + (f" as {place}" if place else "")
    elif out == NOWHERE:
        line = f"GET and discard {name} from {bucket.uri} ({text.size(size, units)})"
    else:
        where = f"as {place}" if place else "to standard output"
        line = f"GET {name} from {bucket.uri} {where} ({text.size(size, units)})"
    (say.note if place is None else print)(line)


def _place(out: str, name: str) -> Path | None:
    """The file to write; None for standard output."""
    if out == STANDARD_OUTPUT:
        return None
    if out and not (out.endswith("/") or Path(out).is_dir()):
        return Path(out)
    last = name.rpartition("/")[2]
    if last in {"", ".", ".."} or "\0" in last:
        raise Failure(f'"{name}" is no name for a file', "say which: ais get BUCKET/OBJECT FILE")
    return Path(out) / last


def _save(client: Client, bucket: BucketName, key: str, read: Read, place: Path, bar: Bar) -> int:
    """Writes an object to a file; its size."""
    with transfers.writing(place) as file:
        return _copy(client, bucket, key, read, file, bar)


def _copy(client: Client, bucket: BucketName, key: str, read: Read, file: BinaryIO, bar: Bar) -> int:
    """Copies what is read to a file; its size. Raises ``Failure`` also where the checksum is another."""
    query = calls.object_query(bucket, **read.query)
    with (
        _named(bucket, key, is_archive=bool(read.archpath)),
        client.stream("GET", object_path(bucket.name, key), query=query, headers=read.headers) as answer,
    ):
        kind, expected = digests.told(answer.headers) if read.is_checked else ("", "")
        if read.is_checked and not kind:
            say.warning(f"{bucket.uri}/{key} has no checksum")
        digest = digests.hasher(kind) if kind else None
        total = answer.headers.get("Content-Length", "")
        bar.expect(int(total) if total.isdigit() else None)
        size = 0
        for block in answer.stream(BLOCK, decode_content=False):
            file.write(block)
            size += len(block)
            bar.advance(len(block))
            if digest:
                digest.update(block)
    if digest and (actual := digest.digest().hex()) != expected:
        raise Failure(f"{bucket.uri}/{key}: BAD DATA CHECKSUM: {kind}({expected} != {actual})")
    return size


@contextmanager
def _named(bucket: BucketName, key: str, *, is_archive: bool = False) -> Iterator[None]:
    """Says which object is not there as AIStore says it. What is missing in an archive, the server says."""
    try:
        yield
    except Refused as refused:
        if refused.status == NOT_FOUND and not names_bucket(refused) and not is_archive:
            raise Failure(f'"{bucket.uri}/{key}" does not exist') from None
        raise


# --- many objects ----------------------------------------------------------------------------------------------------


def _chosen(
    client: Client, bucket: BucketName, listed: str, template: str, prefix: str, limit: int
) -> list[tuple[str, int]]:
    """Names and sizes of the objects that are meant."""
    selection.message(listed, template, prefix)  # refuses several
    names = selection.names(listed) if listed else list(selection.expand(template)) if template else None
    if names is not None:
        found = []
        for name in names[: limit or None]:
            with _named(bucket, name):
                found.append((name, int(calls.head(client, bucket, name).get("Content-Length", "0"))))
        return found
    found = []
    for page in calls.pages(client, bucket, prefix=prefix, props="name,size"):
        found += [(each.name, each.size) for each in page.entries or [] if not each.flags & shapes.IS_DIRECTORY]
        if limit and len(found) >= limit:
            return found[:limit]
    return found


def _get_many(
    client: Client,
    bucket: BucketName,
    chosen: list[tuple[str, int]],
    out: str,
    read: Read,
    workers: int,
    units: text.Units,
    *,
    yes: bool,
    shown: bool | None,
) -> None:
    if not chosen:
        raise Failure(f"no objects to get from {bucket.uri}")
    if out == STANDARD_OUTPUT:
        raise errors.InvalidArgument("many objects go to a directory, not to standard output")
    directory = Path(out or ".")
    total = sum(size for _, size in chosen)
    what = f"{len(chosen)} objects from {bucket.uri} to {directory} ({text.size(total, units)})"
    if not say.confirm(f"GET {what}?", yes=yes):
        return
    with progress.bar("get", total, "bytes", wanted=shown) as bar:

        def save(name: str) -> None:
            _save(client, bucket, name, read, transfers.place_below(directory, name), bar)

        failed = transfers.many(
            [name for name, _ in chosen], save, lambda name: f"GET {name} from {bucket.uri}", workers, bar
        )
    if failed:
        raise Failure(f"{failed} of {len(chosen)} objects could not be gotten")
    print(f"GET {what}")
