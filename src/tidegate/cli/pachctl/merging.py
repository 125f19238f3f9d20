"""``merge``, ``revert`` and ``cherry-pick``: bringing changes from one state to a branch."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate import errors
from tidegate.cli import say
from tidegate.cli.failures import Failure
from tidegate.cli.pachctl import calls, text
from tidegate.cli.pachctl.arguments import Target, ref_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.completion import complete_branches
from tidegate.cli.pachctl.grammar import MessageOption, ProjectOption, RefArgument
from tidegate.cli.transport import Client
from tidegate.documents import Conflict, Merged, State

SIDES = ("ours", "theirs")

IntoOption = Annotated[str, typer.Option("--into", metavar="BRANCH", help="The branch to change.", show_default=False)]


def merge(
    name: Annotated[
        str,
        typer.Argument(
            metavar="REPO@SOURCE",
            help="The branch or commit whose changes are brought.",
            show_default=False,
            autocompletion=complete_branches,
        ),
    ],
    into: IntoOption,
    keeps_ours: Annotated[bool, typer.Option("--ours", help="In conflicts, keep what the branch has.")] = False,
    takes_theirs: Annotated[bool, typer.Option("--theirs", help="In conflicts, take what the source has.")] = False,
    paths: Annotated[
        list[str] | None,
        typer.Option(
            "--path", metavar="PATH=ours|theirs", help="Decide about one path; may be repeated.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would come of it.")] = False,
    message: MessageOption = "",
    project: ProjectOption = "",
) -> None:
    """Merge a branch or commit into a branch, by path; prints the commit that comes of it.

    What both sides have changed is a conflict. All of them are listed, and nothing is merged until each is decided:
    with --path, or with --ours or --theirs for the rest.
    """
    source = ref_of(name, project)
    if keeps_ours and takes_theirs:
        raise errors.InvalidArgument("--ours and --theirs exclude each other")
    client = connect()
    branch = _branch(into, source)
    action: dict[str, object] = {"source": source.ref, "into": branch, "dry_run": dry_run}
    if keeps_ours or takes_theirs:
        action["prefer"] = "ours" if keeps_ours else "theirs"
    if paths:
        action["choices"] = dict(map(_choice, paths))
    if message:
        action["message"] = message
    found = calls.merged(client, calls.repo_path(source.repo, "merge"), action)
    hint = "decide with --path PATH=ours or --path PATH=theirs, or for all with --ours or --theirs"
    if dry_run and not found.conflicts:
        print(f"{found.changes} changes, no conflicts")
        return
    _tell(found, hint)


def revert(
    name: RefArgument,
    into: Annotated[
        str,
        typer.Option(
            "--into", metavar="BRANCH", help="The branch to change (default: the commit's own).", show_default=False
        ),
    ] = "",
    message: MessageOption = "",
    project: ProjectOption = "",
) -> None:
    """Take back what a commit has changed, in a new commit, whose id it prints."""
    client = connect()
    target = calls.pinned(client, ref_of(name, project))
    if not into:
        into = calls.commit(client, target).branch
        if not into:
            raise Failure(f"the branch that {target.uri} was made on is gone", "say which to change: --into BRANCH")
    _apply(client, "revert", target, into, message)


def cherry_pick(name: RefArgument, into: IntoOption, message: MessageOption = "", project: ProjectOption = "") -> None:
    """Bring to a branch what a commit has changed, in a new commit, whose id it prints."""
    client = connect()
    _apply(client, "cherry-pick", calls.pinned(client, ref_of(name, project)), into, message)


def _apply(client: Client, what: str, target: Target, into: str, message: str) -> None:
    action = {"branch": _branch(into, target)} | ({"message": message} if message else {})
    found = calls.merged(client, calls.repo_path(target.repo, "commits", target.ref, what), action)
    _tell(found, "the branch has changed these paths since; bring the rest by hand")


def _branch(into: str, source: Target) -> str:
    """A branch of the source's repository, also where it is written with that."""
    repo, separator, name = into.rpartition("@")
    if separator and repo not in {source.repo.name, source.repo.text, source.full_repo}:
        raise errors.InvalidArgument(f"{into} is another repo's: changes go to a branch of {source.full_repo}")
    return name


def _choice(text: str) -> tuple[str, str]:
    path, _, side = text.rpartition("=")
    if side not in SIDES or not path.removeprefix("/"):
        raise errors.InvalidArgument(f'"{text}" is no choice: expected PATH=ours or PATH=theirs')
    return path.removeprefix("/"), side


def _tell(found: Merged, hint: str) -> None:
    """Prints the commit, or the conflicts. Raises ``Failure`` for those."""
    if found.conflicts and found.commit is None:
        for line in text.table(("PATH", "OURS", "THEIRS"), map(_row, found.conflicts)):
            print(line)
        count = len(found.conflicts)
        raise Failure(f"{count} {'conflict' if count == 1 else 'conflicts'}: nothing was changed", hint)
    if found.commit is None:
        say.note("Nothing to do: the branch has these changes already.")
    else:
        print(found.commit.id)


def _row(conflict: Conflict) -> tuple[str, str, str]:
    return f"/{conflict.path}", _state(conflict.ours), _state(conflict.theirs)


def _state(state: State | None) -> str:
    return "deleted" if state is None else text.size(state.size)
