"""``get file``: files to standard output, or to the disk. A file is there when all of it is there."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec
import typer

from tidegate import errors
from tidegate.cli import progress, say, transfers
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.pachctl import calls
from tidegate.cli.pachctl.arguments import NO_SUCH_FILE, Target, about, file_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.grammar import FileArgument, ParallelismOption, ProgressOption, ProjectOption, RecursiveOption
from tidegate.cli.progress import Bar
from tidegate.cli.transport import BLOCK, Client
from tidegate.documents import File

STANDARD_OUTPUT: Final = "-"
WORKERS: Final = 10
# With --retry: how often a transfer that breaks off goes on where it was, and after how long.
RETRIES: Final = 10
_PAUSE_SECONDS: Final = 1.0
_PRECONDITION_FAILED: Final = 412
_MAGIC: Final = frozenset("*?[{")


def get(
    name: FileArgument,
    out: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE|DIRECTORY", help="Where to (default: -).", show_default=False),
    ] = "",
    is_recursive: RecursiveOption = False,
    offset: Annotated[int, typer.Option("--offset", min=0, help="The byte to begin with.")] = 0,
    retries: Annotated[bool, typer.Option("--retry", help="Go on where a transfer has broken off.")] = False,
    workers: ParallelismOption = WORKERS,
    project: ProjectOption = "",
    shows_progress: ProgressOption = None,
) -> None:
    """Get a file, or with -r a directory, as it is at one moment. The path may be a pattern."""
    client, target = connect(), file_of(name, project)
    if is_recursive:
        if not out or out == STANDARD_OUTPUT:
            raise errors.InvalidArgument("an output path needs to be specified when using the --recursive flag: -o")
        if offset:
            raise errors.InvalidArgument("--offset is for one file")
        _get_all(client, calls.pinned(client, target), Path(out), workers, retries=retries, shown=shows_progress)
        return
    if not target.key:
        raise errors.InvalidArgument(f'"{name}" names no file: expected repo@branch:/path, or -r -o DIRECTORY')
    read = Read(client, retries=retries)
    place = _place(out, target.key)
    shown = shows_progress if place else False  # a bar and content on one terminal would be neither
    with progress.bar(target.key, None, "bytes", wanted=shown) as bar, _to(place) as file:
        try:
            read.copy(target, file, bar, offset)
        except Refused as refused:
            if refused.code != NO_SUCH_FILE:
                raise
            match = _only_match(client, target)
            if match is None:
                raise
            read.copy(match, file, bar, offset)


def _only_match(client: Client, target: Target) -> Target | None:
    """The file that a pattern means; None for what is no pattern, or means nothing. Raises ``Failure`` for several."""
    if not _MAGIC & set(target.key):
        return None
    found = [each for each in _matches(client, target) if each.type == "file"]
    if len(found) > 1:
        raise Failure(f"{target.path} matches {len(found)} files", "-r -o DIRECTORY gets all of them")
    return target.at(f"/{found[0].path}") if found else None


def _matches(client: Client, target: Target) -> list[File]:
    return [msgspec.json.decode(item, type=File) for item in calls.files(client, target, {"glob": target.key})]


def _place(out: str, key: str) -> Path | None:
    """The file to write; None for standard output."""
    if not out or out == STANDARD_OUTPUT:
        return None
    if not (out.endswith("/") or Path(out).is_dir()):
        return Path(out)
    last = key.rpartition("/")[2]
    if last in {"", ".", ".."} or "\0" in last:
        raise Failure(f'"{key}" is no name for a file', "say which: -o FILE")
    return Path(out) / last


@contextmanager
def _to(place: Path | None) -> Iterator[BinaryIO]:
    if place is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with transfers.writing(place) as file:
            yield file


class Read:
    """Reads files. With ``retries`` a transfer that breaks off goes on, as long as the file is the same."""

    def __init__(self, client: Client, *, retries: bool) -> None:
        self._client = client
        self._tries = RETRIES if retries else 0

    def copy(self, target: Target, file: BinaryIO, bar: Bar, offset: int = 0) -> None:
        """Writes what a file has from ``offset`` on."""
        position, etag, left = offset, "", self._tries
        while True:
            headers = {"Range": f"bytes={position}-"} if position else {}
            if etag:
                headers["If-Match"] = etag
            try:
                with (
                    about(target),
                    self._client.stream("GET", calls.file_path(target), headers=headers) as answer,
                ):
                    etag = answer.headers.get("ETag", "")
                    length = answer.headers.get("Content-Length", "")
                    bar.expect(int(length) if length.isdigit() else None)
                    for block in answer.stream(BLOCK, decode_content=False):
                        file.write(block)
                        position += len(block)
                        bar.advance(len(block))
                    return
            except Refused as refused:
                if refused.status == _PRECONDITION_FAILED:
                    raise Failure(f"{target.path} was changed while it was read") from None
                raise
            except Failure as failure:
                if not left or bar.is_cancelled:
                    raise
                left -= 1
                say.warning(f"{target.path}: {failure.message}; going on at byte {position}")
                time.sleep(_PAUSE_SECONDS)


def _get_all(client: Client, target: Target, out: Path, workers: int, *, retries: bool, shown: bool | None) -> None:
    """Writes all files below a path, or what a pattern means, to a directory."""
    found = _found(client, target)
    out.mkdir(parents=True, exist_ok=True)
    read = Read(client, retries=retries)
    with progress.bar("get", sum(each.size or 0 for _, each in found), "bytes", wanted=shown) as bar:

        def save(pair: tuple[str, File]) -> None:
            name, each = pair
            with transfers.writing(transfers.place_below(out, name)) as file:
                read.copy(target.at(f"/{each.path}"), file, bar)

        failed = transfers.many(found, save, lambda pair: f"/{pair[1].path}", workers, bar)
    if failed:
        raise Failure(f"{failed} of {len(found)} files could not be gotten")


def _found(client: Client, target: Target) -> list[tuple[str, File]]:
    """The files that are meant, with their names below the directory to write to."""
    key = target.key.removesuffix("/")
    try:
        files = calls.every_file(client, target)
    except Refused as refused:
        matches = _matches(client, target) if refused.code == NO_SUCH_FILE and _MAGIC & set(key) else []
        if not matches:
            raise
        above = len(key[: min(key.find(sign) for sign in _MAGIC & set(key))].rpartition("/")[0])
        found: dict[str, File] = {}  # a directory and what is in it may both match
        for each in matches:
            inner = [each] if each.type == "file" else calls.every_file(client, target.at(f"/{each.path}"))
            found |= {file.path[above:].removeprefix("/"): file for file in inner}
        return list(found.items())
    if len(files) == 1 and files[0].path == key:
        return [(key.rpartition("/")[2], files[0])]
    above = len(key) + 1 if key else 0
    return [(each.path[above:] or key.rpartition("/")[2], each) for each in files]
