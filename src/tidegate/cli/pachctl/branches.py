"""``list|create|inspect|delete branch``, and ``protect`` and ``unprotect``."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tidegate import errors
from tidegate.cli.pachctl import calls, output, text
from tidegate.cli.pachctl.arguments import Target, branch_of, is_wide, repo_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.grammar import BranchArgument, ForceOption, ProjectOption, RepoArgument
from tidegate.cli.pachctl.output import FullTimestampsOption, OutputOption, RawOption
from tidegate.cli.values import parse_size
from tidegate.documents import Branch, Trigger
from tidegate.refs import RepoName

_HEADER = ("BRANCH", "HEAD")
_WIDE_HEADER = ("BRANCH", "HEAD", "TRIGGER", "CREATOR", "CREATED")


def list_(
    name: RepoArgument,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """List the branches of a repo."""
    repo = repo_of(name, project)
    found = list(calls.items(connect(), calls.repo_path(repo, "branches")))
    if output.is_raw(raw, encoding):
        output.documents(found, encoding)
        return

    def row(each: Branch) -> tuple[str, ...]:
        return each.name, each.head.id if each.head else text.NOTHING

    def wide(each: Branch) -> tuple[str, ...]:
        trigger = _shown(each.trigger) if each.trigger else text.NOTHING
        return *row(each), trigger, each.creator or text.NOTHING, text.age(each.created, is_full=is_full)

    if is_wide(project, repo):
        output.table(found, Branch, _WIDE_HEADER, wide)
    else:
        output.table(found, Branch, _HEADER, row)


def create(
    name: BranchArgument,
    head: Annotated[
        str, typer.Option("--head", metavar="BRANCH-OR-COMMIT", help="Where it begins.", show_default=False)
    ] = "",
    provenance: Annotated[
        list[str] | None,
        typer.Option("--provenance", "-p", metavar="REPO@BRANCH", help="What it is made of.", show_default=False),
    ] = None,
    trigger: Annotated[
        str, typer.Option("--trigger", "-t", metavar="BRANCH", help="The branch that it follows.", show_default=False)
    ] = "",
    size: Annotated[
        str,
        typer.Option("--trigger-size", metavar="SIZE", help="After so much new data, as 100MB.", show_default=False),
    ] = "",
    commits: Annotated[int, typer.Option("--trigger-commits", min=0, help="After so many commits.")] = 0,
    cron: Annotated[
        str, typer.Option("--trigger-cron", metavar="CRON", help="At these times, as '@every 1h'.", show_default=False)
    ] = "",
    every: Annotated[bool, typer.Option("--trigger-all", help="When all conditions hold, not one of them.")] = False,
    no_trigger: Annotated[bool, typer.Option("--no-trigger", help="It follows no branch any more.")] = False,
    project: ProjectOption = "",
) -> None:
    """Make a branch, at no cost; or move and change one that is there."""
    target = branch_of(name, project)
    if (size or commits or cron or every) and not trigger:
        raise errors.InvalidArgument("conditions of a trigger need the branch to follow: --trigger BRANCH")
    if trigger and no_trigger:
        raise errors.InvalidArgument("--trigger and --no-trigger exclude each other")
    if trigger and provenance:
        raise errors.InvalidArgument("a branch has either a trigger or provenance")
    changes: dict[str, object] = {}
    if head:
        changes["head"] = _head(head, target)
    if provenance:
        changes["provenance"] = [_source(branch_of(each, project)) for each in provenance]
    if trigger:
        changes["trigger"] = {
            "branch": trigger,
            "size": parse_size(size) if size else 0,
            "commits": commits,
            "cron": cron,
            "every": every,
        }
    if no_trigger:
        changes["trigger"] = {"branch": ""}
    calls.put_branch(connect(), target, changes)


def _source(target: Target) -> dict[str, str]:
    return {"project": target.repo.project, "repo": target.repo.name, "branch": target.ref}


def _head(head: str, target: Target) -> str:
    """A ref in the branch's repository, also where it is written with that."""
    repo, separator, ref = head.partition("@")
    return ref if separator and repo in {target.repo.name, target.repo.text, target.full_repo} else head


def inspect(
    name: BranchArgument,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """Show a branch."""
    target = branch_of(name, project)
    document = calls.fetch(connect(), calls.repo_path(target.repo, "branches", target.ref))
    if output.is_raw(raw, encoding):
        output.documents([document], encoding)
        return
    branch = msgspec.json.decode(document, type=Branch)
    name_of = target.full_repo if is_wide(project, target.repo) else branch.repo
    sources = sorted(Target(RepoName(each.repo, each.project), each.branch).uri for each in branch.provenance)
    print(
        text.details(
            {
                "Name": f"{name_of}@{branch.name}",
                "Head Commit": f"{name_of}@{branch.head.id}" if branch.head else None,
                "Open Commit": f"{name_of}@{branch.open.id}" if branch.open else None,
                "Provenance": " ".join(sources) or None,
                "Trigger": _shown(branch.trigger) if branch.trigger else None,
                "Protected": "yes" if branch.is_protected else None,
                "Created by": branch.creator or None,
                "Created at": text.age(branch.created, is_full=is_full),
            }
        )
    )


def delete(name: BranchArgument, force: ForceOption = False, project: ProjectOption = "") -> None:
    """Remove a branch. Its commits can still be read by their ids."""
    target = branch_of(name, project)
    path = calls.repo_path(target.repo, "branches", target.ref)
    connect().request("DELETE", path, query={"force": "true"} if force else None)


def protect(name: BranchArgument, project: ProjectOption = "") -> None:
    """Protect a branch: changes come to it by merges, and in no other way."""
    _protect(branch_of(name, project), is_protected=True)


def unprotect(name: BranchArgument, project: ProjectOption = "") -> None:
    """Let everybody who may write the branch write it again."""
    _protect(branch_of(name, project), is_protected=False)


def _protect(target: Target, *, is_protected: bool) -> None:
    client = connect()
    calls.fetch(client, calls.repo_path(target.repo, "branches", target.ref))  # or else it would be made
    calls.put_branch(client, target, {"is_protected": is_protected})


def _shown(trigger: Trigger) -> str:
    """A trigger as Pachyderm shows it: ``staging on Size(100MB) or Commits(10)``."""
    conditions = []
    if trigger.cron:
        conditions.append(f"Cron({trigger.cron})")
    if trigger.size:
        conditions.append(f"Size({text.exact(trigger.size)})")
    if trigger.commits:
        conditions.append(f"Commits({trigger.commits})")
    return f"{trigger.branch} on {(' and ' if trigger.every else ' or ').join(conditions)}"
