"""``start|finish|list|inspect|wait|squash|drop|find commit``."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
import typer

from tidegate.cli.failures import Failure
from tidegate.cli.pachctl import calls, output, text
from tidegate.cli.pachctl.arguments import branch_of, file_of, full, is_wide, ref_of, repo_or_ref
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.completion import complete_branches
from tidegate.cli.pachctl.grammar import (
    BranchArgument,
    FileArgument,
    MessageOption,
    ProjectOption,
    RefArgument,
    TimeoutOption,
)
from tidegate.cli.pachctl.output import FullTimestampsOption, OutputOption, RawOption
from tidegate.documents import MAX_WAIT, Commit

_HEADER = ("REPO", "BRANCH", "COMMIT", "PARENT", "STARTED", "DURATION", "SIZE")
_WIDE_HEADER = ("PROJECT", "REPO", "COMMIT", "FINISHED", "SIZE", "ORIGIN", "CREATOR", "DESCRIPTION")

LimitOption = Annotated[int, typer.Option("--number", "-n", min=0, help="At most so many; 0 is all.")]


def start(
    name: BranchArgument,
    message: MessageOption = "",
    parent: Annotated[
        str,
        typer.Option("--parent", "-p", metavar="BRANCH-OR-COMMIT", help="What it stands on.", show_default=False),
    ] = "",
    project: ProjectOption = "",
) -> None:
    """Start a commit: what is written to the branch goes into it, and is seen when it finishes."""
    print(calls.start_commit(connect(), branch_of(name, project), message, parent).id)


def finish(name: RefArgument, message: MessageOption = "", project: ProjectOption = "") -> None:
    """Finish a commit: the branch shows what is in it, all at once."""
    calls.finish_commit(connect(), ref_of(name, project), message)


def list_(
    name: Annotated[
        str,
        typer.Argument(
            metavar="REPO[@BRANCH-OR-COMMIT]",
            help="A repo, or where in it to begin.",
            show_default=False,
            autocompletion=complete_branches,
        ),
    ],
    limit: LimitOption = 0,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """List commits, the newest first."""
    target = repo_or_ref(name, project)
    query = {"ref": target.ref} if target.ref else {}
    found = calls.items(connect(), calls.repo_path(target.repo, "commits"), query, limit)
    if output.is_raw(raw, encoding):
        output.documents(found, encoding)
    elif is_wide(project, target.repo):
        output.table(found, Commit, _WIDE_HEADER, lambda each: _wide_row(each, is_full=is_full))
    else:
        output.table(found, Commit, _HEADER, lambda each: _row(each, is_full=is_full))


def _row(each: Commit, *, is_full: bool) -> tuple[str, ...]:
    return (
        each.repo,
        each.branch or text.NOTHING,
        each.id,
        each.parent or text.NO_PARENT,
        text.age(each.started, is_full=is_full),
        text.NOTHING if each.finished is None else text.span((each.finished - each.started).total_seconds()),
        text.size(each.size) if each.finished else text.NOTHING,
    )


def _wide_row(each: Commit, *, is_full: bool) -> tuple[str, ...]:
    return (
        each.project,
        each.repo,
        each.id,
        text.age(each.finished, is_full=is_full),
        text.size(each.size),
        each.origin,
        each.author or text.NOTHING,
        each.message,
    )


def inspect(
    name: RefArgument,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """Show a commit."""
    target = ref_of(name, project)
    document = calls.fetch(connect(), calls.repo_path(target.repo, "commits", target.ref))
    _show(document, project, encoding, raw=raw, is_full=is_full)


def _show(document: bytes, project: str, encoding: output.Encoding | None, *, raw: bool, is_full: bool) -> None:
    if output.is_raw(raw, encoding):
        output.documents([document], encoding)
        return
    commit = msgspec.json.decode(document, type=Commit)
    repo = full(commit.name) if is_wide(project, commit.name) else commit.repo
    lines = text.details(
        {
            "Commit": f"{repo}@{commit.id}",
            "Original Branch": commit.branch or None,
            "Description": commit.message or None,
            "Author": commit.author or None,
            "Parent": commit.parent,
            "Merged": commit.merged,
            "Started": text.age(commit.started, is_full=is_full),
            "Finished": text.age(commit.finished, is_full=is_full) if commit.finished else None,
            "Size": text.size(commit.size),
            **{f"Metadata {name}": value for name, value in sorted(commit.metadata.items())},
        }
    )
    print(lines)


def wait(
    name: RefArgument,
    timeout: TimeoutOption = None,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """Wait until a commit is finished, and show it."""
    client, target = connect(), ref_of(name, project)
    deadline = None if timeout is None else time.monotonic() + timeout
    path = calls.repo_path(target.repo, "commits", target.ref, "wait")
    while True:
        left = MAX_WAIT if deadline is None else max(0.0, deadline - time.monotonic())
        document = calls.fetch(client, path, {"seconds": f"{min(left, MAX_WAIT):.3f}"})
        if msgspec.json.decode(document, type=Commit).finished is not None:
            _show(document, project, encoding, raw=raw, is_full=is_full)
            return
        if deadline is not None and time.monotonic() >= deadline:
            raise Failure(f"commit {target.full_repo}@{target.ref} is not finished after {timeout:g} s")


def squash(name: RefArgument, project: ProjectOption = "") -> None:
    """Remove a commit; what it wrote is then of the one after it."""
    target = ref_of(name, project)
    connect().request("POST", calls.repo_path(target.repo, "commits", target.ref, "squash"))


def drop(name: RefArgument, project: ProjectOption = "") -> None:
    """Remove a commit with what it wrote: the newest of a branch, or an open one."""
    calls.drop_commit(connect(), ref_of(name, project))


def find(
    name: FileArgument,
    limit: LimitOption = 0,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
) -> None:
    """Find the commits that changed a path, the newest first."""
    client, target = connect(), file_of(name, project, is_needed=True)
    found = list(calls.history(client, target, "find", "id", limit))
    if output.is_raw(raw, encoding):
        output.documents(found, encoding)
        return
    if not found:
        print("no commits found.")
        return
    ids = [msgspec.json.decode(each, type=Commit).id for each in found]
    print("\n".join(("FOUND IN COMMITS", *ids)))
    if len(ids) == limit:  # else everything was searched
        print(f"LAST SEARCHED COMMIT\n{ids[-1]}")
