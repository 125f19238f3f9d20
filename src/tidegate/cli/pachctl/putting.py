"""``put file``: files, directories, archives, URLs and standard input into a branch, in one commit."""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Annotated, BinaryIO, Final, cast
from urllib.parse import unquote, urlsplit

import msgspec
import typer

from tidegate import errors
from tidegate.cli import progress, say, transfers
from tidegate.cli.failures import Failure
from tidegate.cli.pachctl import calls
from tidegate.cli.pachctl.arguments import Target, file_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.grammar import (
    FileArgument,
    MessageOption,
    ParallelismOption,
    ProgressOption,
    ProjectOption,
    RecursiveOption,
)
from tidegate.cli.progress import Bar
from tidegate.cli.transport import CONNECT_SECONDS, FAILED, READ_SECONDS, Client, Readable

STANDARD_INPUT: Final = "-"
WORKERS: Final = 10
_URLS: Final = ("http://", "https://")


class Upload(msgspec.Struct, frozen=True):
    """A source (a path, a URL, or ``-``) and the key that it goes to; ``size`` where it is known."""

    source: str
    key: str
    size: int | None = None

    @property
    def is_file(self) -> bool:
        return self.size is not None


def put(
    name: FileArgument,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE|URL|-",
            help="What to put; may be repeated (default: standard input).",
            show_default=False,
        ),
    ] = None,
    lists: Annotated[
        list[str] | None,
        typer.Option(
            "--input-file", "-i", metavar="FILE|-", help="A file with what to put, one a line.", show_default=False
        ),
    ] = None,
    is_recursive: RecursiveOption = False,
    appends: Annotated[bool, typer.Option("--append", "-a", help="Add to the end of what is there.")] = False,
    overwrites: Annotated[bool, typer.Option("--overwrite", help="Replace what is there (the default).")] = False,
    full_path: Annotated[bool, typer.Option("--full-path", help="Keep the directories of a source's name.")] = False,
    untar: Annotated[bool, typer.Option("--untar", help="Put what is in tar archives.")] = False,
    compresses: Annotated[bool, typer.Option("--compress", "-c", help="Has no effect here.")] = False,
    workers: ParallelismOption = WORKERS,
    message: MessageOption = "",
    project: ProjectOption = "",
    shows_progress: ProgressOption = None,
) -> None:
    """Put files into a branch, which is made where there is none. All of them are one commit.

    Without a path a file keeps its name, or with --full-path all of it. A path that ends in / is a directory for it.
    """
    target = file_of(name, project)
    if appends and overwrites:
        raise errors.InvalidArgument("--append and --overwrite exclude each other")
    if compresses:
        say.warning("--compress has no effect: what is put is sent as it is")
    wanted = [*(sources or []), *(line for each in lists or [] for line in _lines(each))]
    if not wanted and not lists:
        wanted = [STANDARD_INPUT]
    client = connect()
    if untar:
        calls.ensure_branch(client, target)
        with (
            calls.one_commit(client, target, message),
            progress.bar("put", None, "bytes", wanted=shows_progress) as bar,
        ):
            for each in wanted:
                _put_archive(client, target, each, bar, appends=appends)
        return
    uploads = list(_plan(wanted, target, full_path=full_path, is_recursive=is_recursive))
    if not uploads:
        raise Failure(f"no files to put in {' '.join(wanted)}")
    calls.ensure_branch(client, target)
    total = sum(each.size or 0 for each in uploads) if all(each.is_file for each in uploads) else None
    with progress.bar("put", total, "bytes", wanted=shows_progress) as bar:
        if len(uploads) == 1:
            _send(client, target, uploads[0], bar, message, appends=appends)
        else:
            _send_all(client, target, uploads, bar, message, workers, appends=appends)


def _lines(name: str) -> list[str]:
    """The lines of a file; those that are empty are nothing."""
    data = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    return [line for line in (os.fsdecode(each).strip() for each in data.splitlines()) if line]


# --- what to put -----------------------------------------------------------------------------------------------------


def _plan(sources: Sequence[str], target: Target, *, full_path: bool, is_recursive: bool) -> Iterator[Upload]:
    """The files and their keys. Raises ``InvalidArgument`` and ``Failure`` where one has no name or is none.

    Source: Pachyderm's rules for the targets of ``put file``.
    """
    is_directory = len(sources) > 1 or not target.key or target.key.endswith("/")
    prefix = f"{target.key.rstrip('/')}/" if target.key.rstrip("/") else ""
    for source in sources:
        if source == STANDARD_INPUT and is_directory:
            raise errors.InvalidArgument("must specify filename when reading data from stdin")
        key = prefix + _name(source, full_path=full_path) if is_directory else target.key
        if source == STANDARD_INPUT or source.startswith(_URLS):
            yield Upload(source, _checked(key, source))
            continue
        path = Path(source)
        if path.is_dir():
            if not is_recursive:
                raise Failure(f"{source} is a directory", "-r puts all that is below it")
            # One directory and a path: what is in the directory goes to the path.
            yield from _below(path, target.key.rstrip("/") if len(sources) == 1 and target.path else key.rstrip("/"))
        elif path.exists():
            yield _upload(path, key)
        else:
            raise Failure(f"{source}: No such file or directory")


def _name(source: str, *, full_path: bool) -> str:
    """What a source is called: the last part of its name, or with ``full_path`` all of it."""
    if source.startswith(_URLS):
        parts = urlsplit(source)
        path = unquote(parts.path).strip("/")
        return path if full_path else path.rpartition("/")[2]
    if full_path:
        return "/".join(part for part in PurePosixPath(os.path.normpath(source)).parts if part not in {"/", "..", "."})
    name = Path(source).name  # nothing for "."
    return Path(source).resolve().name if name == ".." else name


def _below(directory: Path, key: str) -> Iterator[Upload]:
    """The files below a directory, sorted; what is neither a file nor a directory is passed over."""
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        name = f"{key}/{entry.name}" if key else entry.name
        if entry.is_file():
            yield _upload(Path(entry.path), name)
        elif entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path), name)


def _upload(path: Path, key: str) -> Upload:
    size = path.stat().st_size if path.is_file() else None  # how much a device or a pipe has shows when it is read
    return Upload(str(path), _checked(key, str(path)), size)


def _checked(key: str, source: str) -> str:
    try:
        key.encode()
    except UnicodeEncodeError:
        raise Failure(f"{os.fsencode(source)!r}: a name has to be UTF-8") from None
    if not key or key.endswith("/"):
        raise Failure(f"{source} has no name for a file", "say which: repo@branch:/path")
    return key


# --- putting it ------------------------------------------------------------------------------------------------------


def _send_all(
    client: Client, target: Target, uploads: list[Upload], bar: Bar, message: str, workers: int, *, appends: bool
) -> None:
    """Puts many files: all of them, or none."""
    with calls.one_commit(client, target, message):
        failed = transfers.many(
            uploads,
            lambda each: _send(client, target, each, bar, appends=appends),
            lambda each: each.source,
            workers,
            bar,
        )
        if failed:
            raise Failure(f"{failed} of {len(uploads)} files could not be put, and none was")


def _send(client: Client, target: Target, upload: Upload, bar: Bar, message: str = "", *, appends: bool) -> None:
    with _opened(upload.source) as file:
        body: Readable = transfers.Stream(file, bar)
        if upload.size is not None:
            body = transfers.Whole(file, Path(upload.source), upload.size, bar)
        calls.put_file(client, target.at(f"/{upload.key}"), body, size=upload.size, message=message, appends=appends)


@contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    """A source, to be read. Raises ``Failure`` for a URL that gives nothing."""
    if source == STANDARD_INPUT:
        yield sys.stdin.buffer
    elif source.startswith(_URLS):
        import urllib3

        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        try:
            with urllib3.PoolManager(timeout=timeout) as pool:
                response = pool.request("GET", source, preload_content=False, headers={"Accept-Encoding": "identity"})
                if response.status >= FAILED:
                    raise Failure(f"{source}: the server answered {response.status} ({response.reason})")
                yield cast("BinaryIO", response)
        except urllib3.exceptions.HTTPError as error:
            raise Failure(f"{source}: {str(error).rpartition(': ')[2]}") from None
    else:
        with Path(source).open("rb") as file:
            yield file


def _put_archive(client: Client, target: Target, source: str, bar: Bar, *, appends: bool) -> None:
    """Puts the files in a tar archive, which may be compressed, as they come."""
    prefix = f"{target.key.rstrip('/')}/" if target.key.rstrip("/") else ""
    with _opened(source) as file:
        try:
            with tarfile.open(fileobj=file, mode="r|*") as archive:
                for member in archive:
                    if not member.isfile():
                        continue
                    key = _checked(prefix + _member(member.name), f"{source}: {member.name}")
                    with archive.extractfile(member) or nullcontext() as content:
                        body = transfers.Stream(cast("BinaryIO", content), bar)
                        calls.put_file(client, target.at(f"/{key}"), body, size=member.size, appends=appends)
        except tarfile.TarError as error:
            raise Failure(f"{source} is no tar archive: {error}") from None


def _member(name: str) -> str:
    """A key from a name in an archive, where it may begin with ``./``. Raises ``Failure`` for one with ``..``."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise Failure(f"{name} leads out of the archive")
    return "/".join(parts)
