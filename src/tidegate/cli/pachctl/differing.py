"""``diff file``: what has changed between two states of a repo, by path, or within the files."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from tidegate import errors
from tidegate.cli import progress, transfers
from tidegate.cli.failures import Failure
from tidegate.cli.pachctl import calls, output, text
from tidegate.cli.pachctl.arguments import Target, file_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.completion import complete_files
from tidegate.cli.pachctl.getting import Read
from tidegate.cli.pachctl.grammar import FileArgument, ProjectOption
from tidegate.cli.pachctl.output import OutputOption, RawOption
from tidegate.cli.transport import Client
from tidegate.documents import Change, File, State

_HEADER = ("OP", "NAME", "TYPE", "SIZE")
_SHORT_HEADER = ("OP", "SIZE", "NAME")
# What shows changes within files, as Pachyderm has it.
_GIT: Final = "git --no-pager diff --no-index"
_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


def diff(
    new: FileArgument,
    old: Annotated[
        str,
        typer.Argument(
            metavar="[REPO@BRANCH-OR-COMMIT[:/PATH]]",
            help="What to compare with (default: the commit before).",
            show_default=False,
            autocompletion=complete_files,
        ),
    ] = "",
    is_short: Annotated[bool, typer.Option("--name-only", help="Paths with a + or - and their sizes.")] = False,
    shows_content: Annotated[bool, typer.Option("--content", help="What has changed within the files.")] = False,
    command: Annotated[
        str, typer.Option("--diff-command", metavar="COMMAND", help="What shows that.", show_default=False)
    ] = "",
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
) -> None:
    """Show what has changed: paths that are new with a +, those that are gone with a -, changed ones with both."""
    is_raw = output.is_raw(raw, encoding)
    client, target = connect(), file_of(new, project)
    after, before = _states(client, target, file_of(old, project) if old else None)
    found = _changes(client, after, before)
    if is_raw:
        output.documents(map(msgspec.json.encode, found), encoding)
    elif command or shows_content:
        _show_content(client, after, before, list(found), command or _GIT)
    elif is_short:
        colours = sys.stdout.isatty()
        rows = ((op, text.size(state.size), name) for op, name, state in _sides(found))
        for line in text.table(_SHORT_HEADER, rows):
            print(_coloured(line) if colours else line)
    else:
        sides = ((op, name, "file", text.size(state.size)) for op, name, state in _sides(found))
        for line in text.table(_HEADER, sides):
            print(line)


def _states(client: Client, target: Target, old: Target | None) -> tuple[Target, Target | None]:
    """The two states, fixed; None for what was before the first commit."""
    new = calls.pinned(client, target)
    if old is None:
        if target.ref == new.ref and calls.branch(client, target) is not None:
            return target, None  # a branch without any commit
        parent = calls.commit(client, new).parent
        return new, None if parent is None else msgspec.structs.replace(new, ref=parent)
    if old.repo != new.repo:
        raise errors.InvalidArgument(f"{old.uri} is of another repo than {target.uri}: what is compared is of one")
    if old.key and old.key.removesuffix("/") != target.key.removesuffix("/"):
        raise errors.InvalidArgument(f"{old.path} is another path than {target.path}: what is compared has one path")
    return new, calls.pinned(client, old)


def _changes(client: Client, after: Target, before: Target | None) -> Iterator[Change]:
    """What has changed at and below the path."""
    key = after.key.removesuffix("/")
    if before is None:
        query = {"recursive": "true"} | ({"path": key} if key else {})
        for item in calls.files(client, after, query):
            yield _added(msgspec.json.decode(item, type=File))
        return
    query = {"from": before.ref, "to": after.ref} | ({"prefix": key} if key else {})
    for item in calls.items(client, calls.repo_path(after.repo, "diff"), query):
        change = msgspec.json.decode(item, type=Change)
        if not key or change.path == key or change.path.startswith(f"{key}/"):
            yield change


def _added(file: File) -> Change:
    if file.size is None or file.modified is None:
        raise Failure(f"/{file.path} is no file")
    return Change(file.path, "added", None, State(file.size, file.etag or "", file.modified, file.commit or ""))


def _sides(changes: Iterator[Change]) -> Iterator[tuple[str, str, State]]:
    """The two sides of each change, what was before first."""
    for change in changes:
        for op, state in (("-", change.before), ("+", change.after)):
            if state is not None:
                yield op, f"/{change.path}", state


def _coloured(line: str) -> str:
    colour = {"+": _GREEN, "-": _RED}.get(line[:1])
    return f"{colour}{line}{_PLAIN}" if colour else line


def _show_content(client: Client, after: Target, before: Target | None, changes: list[Change], command: str) -> None:
    """Brings both states of what has changed to a temporary directory, and runs a command on them."""
    words = shlex.split(command)
    read = Read(client, retries=False)
    with tempfile.TemporaryDirectory(prefix="pachctl-diff-") as folder:
        Path(folder, "old").mkdir()
        Path(folder, "new").mkdir()
        with progress.bar("get", None, "bytes") as bar:
            for change in changes:
                for name, target, state in (("old", before, change.before), ("new", after, change.after)):
                    if target is not None and state is not None:
                        with transfers.writing(transfers.place_below(Path(folder, name), change.path)) as file:
                            read.copy(target.at(f"/{change.path}"), file, bar)
        try:
            done = subprocess.run([*words, "old", "new"], cwd=folder, check=False)  # noqa: S603 - the user's own command
        except FileNotFoundError:
            raise Failure(f"{words[0]} is not here", "--diff-command names another, or without --content") from None
    if done.returncode not in {0, 1}:  # 1: there are differences
        raise Failure(f"{command} failed with exit code {done.returncode}")
