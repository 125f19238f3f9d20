"""``ais put``: files, directories and standard input to objects."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec
import typer

from tidegate import errors
from tidegate.cli import progress, say, transfers
from tidegate.cli.ais import calls, digests, selection, text
from tidegate.cli.ais.buckets import DRY_RUN
from tidegate.cli.ais.client import connect
from tidegate.cli.ais.grammar import (
    DryRunOption,
    ListOption,
    ProgressOption,
    TemplateOption,
    UnitsOption,
    WorkersOption,
    YesOption,
)
from tidegate.cli.ais.uris import is_bucket, split
from tidegate.cli.failures import Failure
from tidegate.cli.progress import Bar
from tidegate.cli.transport import Client
from tidegate.names import BucketName

STANDARD_INPUT: Final = "-"
WORKERS: Final = 8

ChecksumOption = Annotated[str, typer.Option(metavar="VALUE", help="What the content has to have.", show_default=False)]


class Upload(msgspec.Struct, frozen=True):
    """A file that becomes an object."""

    path: Path
    key: str
    size: int


class How(msgspec.Struct, frozen=True):
    """What goes with a request. ``computes`` is the type of checksum to compute, if any."""

    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    computes: str = ""


def put(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[-|FILE|DIRECTORY|PATTERN]... BUCKET[/OBJECT|/PREFIX]",
            help="What to put, and where.",
            show_default=False,
        ),
    ],
    listed: ListOption = "",
    template: TemplateOption = "",
    is_recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also what is in subdirectories.")] = False,
    includes_directory: Annotated[
        bool, typer.Option("--include-src-dir", help="Names begin with the directory's own.")
    ] = False,
    yes: YesOption = False,
    computes: Annotated[
        bool, typer.Option("--compute-checksum", help="Compute the bucket's checksum here, to be verified there.")
    ] = False,
    md5: ChecksumOption = "",
    crc32c: ChecksumOption = "",
    sha256: ChecksumOption = "",
    sha512: ChecksumOption = "",
    xxhash: ChecksumOption = "",
    appends: Annotated[bool, typer.Option("--append", help="Add to the end of the object.")] = False,
    archpath: Annotated[
        str, typer.Option("--archpath", metavar="PATH", help="Add to an archive, under this name.", show_default=False)
    ] = "",
    dry_run: DryRunOption = False,
    skips_version: Annotated[bool, typer.Option("--skip-vc", help="Do not look for an object that is there.")] = False,
    workers: WorkersOption = WORKERS,
    shows_progress: ProgressOption = None,
    units: UnitsOption = "iec",
) -> None:
    """Put files, directories (with -r all that is below them) or standard input."""
    *sources, destination = words
    if not is_bucket(destination):
        raise errors.InvalidArgument(
            f'the last argument says where to put: expected ais://BUCKET or ais://BUCKET/OBJECT, not "{destination}"'
        )
    bucket, key = split(destination)
    client = connect()
    given = {"md5": md5, "crc32c": crc32c, "sha256": sha256, "sha512": sha512, "xxhash": xxhash}
    how = _how(client, bucket, {kind: value for kind, value in given.items() if value}, computes=computes)
    if skips_version:
        how.query["skip_vc"] = "true"
    if sources == [STANDARD_INPUT]:
        if how.computes:
            raise errors.InvalidArgument("--compute-checksum reads twice what is put: it needs a file")
        if not key or key.endswith("/"):
            raise errors.InvalidArgument("standard input has no name: expected BUCKET/OBJECT")
        if not dry_run:
            _put_stream(client, bucket, key, sys.stdin.buffer, how, appends=appends, shown=shows_progress)
        print(f"{DRY_RUN + chr(10) if dry_run else ''}PUT (standard input) => {bucket.uri}/{key}")
        return
    if not (listed or template) and len(sources) == 1 and _is_stream(path := Path(sources[0])):
        if how.computes or archpath:
            raise errors.InvalidArgument(f"--compute-checksum and --archpath need a file, which {path} is not")
        key = _name(key, path)
        if not dry_run:
            with path.open("rb") as file:
                _put_stream(client, bucket, key, file, how, appends=appends, shown=shows_progress)
        print(f'{DRY_RUN + chr(10) if dry_run else ""}PUT "{path}" => {bucket.uri}/{key}')
        return
    uploads, is_single = _plan(sources, key, listed, template, is_recursive, includes_directory)
    if dry_run:
        print(DRY_RUN)
        for each in uploads:
            print(f'PUT "{each.path}" => {bucket.uri}/{each.key}')
    elif is_single:
        _put_one(client, bucket, uploads[0], how, appends=appends, archpath=archpath, shown=shows_progress)
    else:
        if how.headers or appends or archpath:
            raise errors.InvalidArgument("a checksum's value, --append and --archpath are for one file")
        _put_many(client, bucket, uploads, how, workers, units, yes=yes, shown=shows_progress)


def _how(client: Client, bucket: BucketName, given: dict[str, str], *, computes: bool) -> How:
    if len(given) + computes > 1:
        raise errors.InvalidArgument("an object has one checksum: give one value, or --compute-checksum")
    if computes:
        checksum = calls.properties(client, bucket).get("checksum")
        kind = str(checksum.get("type", "")) if isinstance(checksum, dict) else ""
        if kind == "none":
            raise errors.InvalidArgument(f"{bucket.uri} has checksum.type=none: there is nothing to compute")
        return How(computes=kind)
    return How(headers=next((digests.headers(kind, value) for kind, value in given.items()), {}))


# --- what to put -----------------------------------------------------------------------------------------------------


def _plan(
    sources: list[str], key: str, listed: str, template: str, is_recursive: bool, includes_directory: bool
) -> tuple[list[Upload], bool]:
    """The files and their names as objects; and whether it is one file that was named."""
    if listed or template:
        if listed and template:
            raise errors.InvalidArgument("--list and --template exclude each other")
        if len(sources) > 1:
            raise errors.InvalidArgument("--list and --template take one directory at most")
        base = Path(sources[0]) if sources else Path()
        named = selection.names(listed) if listed else selection.expand(template)
        return [_upload(base / name, key + Path(name).name) for name in named], False
    if not sources:
        raise errors.InvalidArgument("what to put is missing: a file, a directory, or - for standard input")
    if len(sources) == 1 and Path(sources[0]).is_file():
        path = Path(sources[0])
        return [_upload(path, _name(key, path))], True
    uploads = [each for source in sources for each in _source(source, key, is_recursive, includes_directory)]
    if not uploads:
        raise Failure(f"no files to put in {' '.join(sources)}", "" if is_recursive else "-r puts subdirectories too")
    return uploads, False


def _is_stream(path: Path) -> bool:
    """Whether it is a device or a pipe: how much is in it shows when it has been read."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _name(key: str, path: Path) -> str:
    """What a single file is called: what was said, or its own name below that."""
    return key + path.name if not key or key.endswith("/") else key


def _source(source: str, prefix: str, is_recursive: bool, includes_directory: bool) -> Iterator[Upload]:
    """The files of a directory, a pattern or a template; or one file."""
    path = Path(source)
    if path.is_dir():
        if includes_directory:
            prefix = f"{prefix}{path.resolve().name}/"
        for file in _files(path, is_recursive):
            yield _upload(file, prefix + file.relative_to(path).as_posix())
    elif path.exists():
        yield _upload(path, prefix + path.name)
    elif selection.is_template(source):
        for name in selection.expand(source):
            yield _upload(Path(name), prefix + Path(name).name)
    elif glob.has_magic(source):
        for name in sorted(glob.glob(source)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            if Path(name).is_file():
                yield _upload(Path(name), prefix + Path(name).name)
    else:
        raise Failure(f'"{source}" does not exist')


def _files(directory: Path, is_recursive: bool) -> Iterator[Path]:
    """The files of a directory, sorted; what is neither a file nor a directory is passed over."""
    entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    skipped = [entry.name for entry in entries if entry.is_dir() and not is_recursive]
    if skipped:
        say.warning(f"{directory}: {len(skipped)} subdirectories are left out; -r puts them too")
    for entry in entries:
        if entry.is_file():
            yield Path(entry.path)
        elif entry.is_dir(follow_symlinks=False) and is_recursive:
            yield from _files(Path(entry.path), is_recursive)


def _upload(path: Path, key: str) -> Upload:
    try:
        key.encode()
    except UnicodeEncodeError:
        raise Failure(f"{os.fsencode(path)!r}: a name has to be UTF-8") from None
    return Upload(path, key, path.stat().st_size)


# --- putting it ------------------------------------------------------------------------------------------------------


def _send(client: Client, bucket: BucketName, upload: Upload, how: How, bar: Bar) -> None:
    headers = {"Content-Length": str(upload.size), "Content-Type": "application/octet-stream", **how.headers}
    if how.computes:
        headers |= digests.headers(how.computes, digests.of_file(upload.path, how.computes))
    with upload.path.open("rb") as file:
        calls.put(client, bucket, upload.key, transfers.Whole(file, upload.path, upload.size, bar), headers, how.query)


def _put_one(
    client: Client, bucket: BucketName, upload: Upload, how: How, *, appends: bool, archpath: str, shown: bool | None
) -> None:
    uri = f"{bucket.uri}/{upload.key}"
    with progress.bar(upload.key, upload.size, "bytes", wanted=shown) as bar:
        if appends:
            with upload.path.open("rb") as file:
                _append(client, bucket, upload.key, file, how, bar)
            print(f'APPEND "{upload.path}" to {uri}')
            return
        if archpath:
            how.query["archpath"] = archpath
        _send(client, bucket, upload, how, bar)
    print(f'PUT "{upload.path}" => {uri}' + (f"/{archpath}" if archpath else ""))


def _append(client: Client, bucket: BucketName, key: str, file: BinaryIO, how: How, bar: Bar) -> None:
    body = transfers.Stream(file, bar)
    answer = calls.put(client, bucket, key, body, {}, {**how.query, "append_type": "append"})
    query = {**how.query, "append_type": "flush", "append_handle": answer.get("Ais-Append-Handle", "")}
    calls.put(client, bucket, key, b"", how.headers, query)


def _put_stream(
    client: Client, bucket: BucketName, key: str, file: BinaryIO, how: How, *, appends: bool, shown: bool | None
) -> None:
    with progress.bar(key, None, "bytes", wanted=shown) as bar:
        if appends:
            _append(client, bucket, key, file, how, bar)
        else:
            calls.put(client, bucket, key, transfers.Stream(file, bar), how.headers, how.query)


def _put_many(
    client: Client,
    bucket: BucketName,
    uploads: list[Upload],
    how: How,
    workers: int,
    units: text.Units,
    *,
    yes: bool,
    shown: bool | None,
) -> None:
    print("Files to upload:")
    print(_by_extension(uploads, units), flush=True)
    if not say.confirm(f"PUT {len(uploads)} files => {bucket.uri}?", yes=yes):
        return
    total = sum(each.size for each in uploads)
    with progress.bar("put", total, "bytes", wanted=shown) as bar:
        failed = transfers.many(
            uploads,
            lambda each: _send(client, bucket, each, how, bar),
            lambda each: f'PUT "{each.path}" => {bucket.uri}/{each.key}',
            workers,
            bar,
        )
    if failed:
        raise Failure(f"{failed} of {len(uploads)} files could not be put")
    print(f'{len(uploads)} object{"s" * (len(uploads) != 1)} put into "{bucket.uri}" bucket')


def _by_extension(uploads: list[Upload], units: text.Units) -> str:
    """How many files of which kind, and their sizes."""
    found: dict[str, list[int]] = {}
    for each in uploads:
        found.setdefault(each.path.suffix, []).append(each.size)
    rows = [(suffix, str(len(sizes)), text.size(sum(sizes), units)) for suffix, sizes in sorted(found.items())]
    total = sum(each.size for each in uploads)
    rows.append(("TOTAL", str(len(uploads)), text.size(total, units)))
    return text.table(("EXTENSION", "COUNT", "SIZE"), rows)
