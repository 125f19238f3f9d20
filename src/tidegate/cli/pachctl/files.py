"""``list|glob|inspect|copy|delete file``."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tidegate import errors
from tidegate.cli import progress, transfers
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.pachctl import calls, output, text
from tidegate.cli.pachctl.arguments import NO_SUCH_FILE, Target, file_of, is_wide
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.completion import complete_files
from tidegate.cli.pachctl.grammar import FileArgument, MessageOption, ProjectOption, RecursiveOption
from tidegate.cli.pachctl.output import OutputOption, RawOption
from tidegate.cli.transport import Client
from tidegate.cli.values import printable
from tidegate.documents import File

_HEADER = ("NAME", "TYPE", "SIZE")
# Files that are copied at a time.
WORKERS = 10


def list_(
    name: FileArgument, project: ProjectOption = "", raw: RawOption = False, encoding: OutputOption = None
) -> None:
    """List what is in a directory."""
    target = file_of(name, project)
    _print(target, {"path": target.key} if target.key else {}, project, encoding, raw=raw)


def glob(
    name: Annotated[
        str,
        typer.Argument(
            metavar="REPO@BRANCH-OR-COMMIT:/PATTERN",
            help="A pattern, in quotes: *, ? and [a-z] within a directory, ** across, {a,b}.",
            show_default=False,
        ),
    ],
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
) -> None:
    """List the files and directories that a pattern matches."""
    target = file_of(name, project, is_needed=True)
    _print(target, {"glob": target.key}, project, encoding, raw=raw)


def _print(target: Target, query: dict[str, str], project: str, encoding: output.Encoding | None, *, raw: bool) -> None:
    is_raw = output.is_raw(raw, encoding)
    found = calls.sized(connect(), target, query)
    if is_raw:
        output.documents(found, encoding)
    elif is_wide(project, target.repo):
        print("SIZE\tNAME")
        for item in found:
            file = msgspec.json.decode(item, type=File)
            print(f"{_size(file)}\t/{printable(file.path)}")
    else:
        output.table(found, File, _HEADER, lambda file: (f"/{file.path}", file.type, _size(file)))


def _size(file: File) -> str:
    return text.NOTHING if file.size is None else text.size(file.size)


def inspect(
    name: FileArgument, project: ProjectOption = "", raw: RawOption = False, encoding: OutputOption = None
) -> None:
    """Show a file, or a directory with what is in it."""
    target = file_of(name, project)
    is_raw = output.is_raw(raw, encoding)
    path = target.key.removesuffix("/")
    items = list(calls.sized(connect(), target, {"path": path} if path else {}))
    found = [msgspec.json.decode(item, type=File) for item in items]
    if found and found[0].path == path and path == target.key:
        if is_raw:
            output.documents(items[:1], encoding)
            return
        print(text.details({"Path": f"/{path}", "Type": "file", "Size": _size(found[0])}))
        return
    size = sum(each.size or 0 for each in found if each.path != path)
    if is_raw:
        directory = File(f"{path}/" if path else "", "dir", size)
        output.documents([msgspec.json.encode(directory)], encoding)
        return
    children = " ".join(each.path.removesuffix("/").rpartition("/")[2] for each in found if each.path != path)
    shown = {"Path": f"/{path}/" if path else "/", "Type": "dir", "Size": text.size(size), "Children": children or None}
    print(text.details(shown))


def copy(
    source: FileArgument,
    destination: Annotated[
        str,
        typer.Argument(
            metavar="REPO@BRANCH[:/PATH]", help="Where to.", show_default=False, autocompletion=complete_files
        ),
    ],
    message: MessageOption = "",
    project: ProjectOption = "",
) -> None:
    """Copy a file or a directory, on the server: no content is moved."""
    client, from_, to = connect(), file_of(source, project), file_of(destination, project)
    last = from_.key.removesuffix("/").rpartition("/")[2]
    if not to.key or to.key.endswith("/"):
        to = to.at(to.key + last if to.key else from_.key.removesuffix("/"))
    if not from_.key:
        raise errors.InvalidArgument(f'"{source}" names no file: expected repo@branch:/path')
    calls.ensure_branch(client, to)
    try:
        calls.copy_file(client, from_, to, message)
    except Refused as refused:
        if refused.code != NO_SUCH_FILE:
            raise
        pin = calls.pinned(client, from_)
        found = calls.every_file(client, pin)
        _copy_directory(client, pin, to, message, found)


def _copy_directory(client: Client, source: Target, to: Target, message: str, found: list[File]) -> None:
    """Copies what is in a directory, in one commit."""
    above = len(source.key.removesuffix("/")) + 1
    directory = to.key.removesuffix("/")

    def copy_one(file: File) -> None:
        calls.copy_file(client, source.at(f"/{file.path}"), to.at(f"/{directory}/{file.path[above:]}"))
        bar.advance(1)

    with progress.bar("copy", len(found), "objects") as bar, calls.one_commit(client, to, message):
        failed = transfers.many(found, copy_one, lambda file: f"/{file.path}", WORKERS, bar)
        if failed:
            raise Failure(f"{failed} of {len(found)} files could not be copied, and none was")


def delete(
    name: FileArgument, is_recursive: RecursiveOption = False, message: MessageOption = "", project: ProjectOption = ""
) -> None:
    """Delete a file, or with -r a directory. What is not there is no error."""
    target = file_of(name, project)
    if not target.key and not is_recursive:
        raise errors.InvalidArgument(f'"{name}" names no file: expected repo@branch:/path, or -r for everything')
    calls.delete_file(connect(), target, is_recursive=is_recursive, message=message)
