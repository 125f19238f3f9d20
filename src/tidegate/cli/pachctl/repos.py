"""``list|create|update|inspect|delete repo``."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tidegate import errors
from tidegate.cli import say
from tidegate.cli.failures import Refused
from tidegate.cli.pachctl import calls, output, text
from tidegate.cli.pachctl.arguments import full, is_wide, project_of, repo_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.completion import complete_repos
from tidegate.cli.pachctl.grammar import DescriptionOption, ForceOption, ProjectOption, RepoArgument
from tidegate.cli.pachctl.output import FullTimestampsOption, OutputOption, RawOption
from tidegate.cli.transport import Client
from tidegate.documents import Repo
from tidegate.refs import RepoName

# The seed's columns. Go's tab writer would make them 12 and 18 wide, and no padding makes both what the seed shows.
SEED_WIDTHS = (19, 27)
HEADER = ("NAME", "CREATED", "SIZE (MASTER)")
_WIDE_HEADER = ("PROJECT", "NAME", "CREATED", "SIZE (MASTER)", "DESCRIPTION")

AllProjectsOption = Annotated[bool, typer.Option("--all-projects", "-A", help="Of every project.")]


def list_(
    all_projects: AllProjectsOption = False,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """List repos, the newest first."""
    client, name = connect(), project_of(project)
    path = "/v2/repos" if all_projects else f"{calls.project_path(name)}/repos"
    found = list(calls.items(client, path))
    if output.is_raw(raw, encoding):
        output.documents(found, encoding)
        return

    def row(each: Repo) -> tuple[str, ...]:
        return each.name, text.age(each.created, is_full=is_full), text.size(each.size)

    def wide(each: Repo) -> tuple[str, ...]:
        return each.project, *row(each), each.description or text.NOTHING

    if is_wide(project, all=all_projects):
        output.table(found, Repo, _WIDE_HEADER, wide)
    else:
        output.table(found, Repo, HEADER, row, SEED_WIDTHS)


def create(name: RepoArgument, description: DescriptionOption = None, project: ProjectOption = "") -> None:
    """Make a repo."""
    repo = repo_of(name, project)
    _make(repo, {"name": repo.name, "description": description or ""})


def update(name: RepoArgument, description: DescriptionOption = None, project: ProjectOption = "") -> None:
    """Make a repo, or describe it anew."""
    repo = repo_of(name, project)
    _make(repo, {"name": repo.name, "description": description or "", "update": True})


def _make(repo: RepoName, action: dict[str, object]) -> None:
    connect().request("POST", f"{calls.project_path(repo.project)}/repos", action=action)


def inspect(
    name: RepoArgument,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """Show a repo."""
    name_of = repo_of(name, project)
    document = calls.fetch(connect(), calls.repo_path(name_of))
    if output.is_raw(raw, encoding):
        output.documents([document], encoding)
        return
    repo = msgspec.json.decode(document, type=Repo)
    print(
        text.details(
            {
                "Name": full(name_of) if is_wide(project, name_of) else repo.name,
                "Description": repo.description or None,
                "Created": text.age(repo.created, is_full=is_full),
                "Size of HEAD on master": text.size(repo.size),
            }
        )
    )


def delete(
    name: Annotated[
        str, typer.Argument(metavar="[REPO]", help="A repo.", show_default=False, autocompletion=complete_repos)
    ] = "",
    all: Annotated[bool, typer.Option("--all", help="All repos of the project.")] = False,
    force: ForceOption = False,
    project: ProjectOption = "",
) -> None:
    """Remove a repo with all that is in it."""
    if bool(name) == all:
        raise errors.InvalidArgument("either a repo or --all")
    client = connect()
    if all:
        deleted = delete_all(client, project_of(project), force=force)
    else:
        _delete(client, repo_of(name, project), force=force)
        deleted = 1
    say.note("No repo deleted." if not deleted else "Repo deleted." if deleted == 1 else f"{deleted} repos deleted.")


def delete_all(client: Client, project: str, *, force: bool) -> int:
    """Removes the repositories of a project, those that depend on others before those; how many."""
    found = [
        msgspec.json.decode(item, type=Repo) for item in calls.items(client, f"{calls.project_path(project)}/repos")
    ]
    left = [RepoName(each.name, each.project) for each in found]
    while left:
        refused: list[tuple[RepoName, Refused]] = []
        for repo in left:
            try:
                _delete(client, repo, force=force)
            except Refused as error:  # something depends on it, which may go in this round
                if error.code != "BranchInUse":
                    raise
                refused.append((repo, error))
        if len(refused) == len(left):
            raise refused[0][1]
        left = [repo for repo, _ in refused]
    return len(found)


def _delete(client: Client, repo: RepoName, *, force: bool) -> None:
    client.request("DELETE", calls.repo_path(repo), query={"force": "true"} if force else None)
