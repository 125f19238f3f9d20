"""``list|create|delete tag``: names of commits, in one space of names with branches."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.cli.pachctl import calls, output
from tidegate.cli.pachctl.arguments import ref_of, repo_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.grammar import ProjectOption, RepoArgument
from tidegate.cli.pachctl.output import OutputOption, RawOption
from tidegate.documents import Tag
from tidegate.refs import MASTER

TagArgument = Annotated[str, typer.Argument(metavar="REPO@TAG", help="A tag of a repo.", show_default=False)]


def list_(
    name: RepoArgument, project: ProjectOption = "", raw: RawOption = False, encoding: OutputOption = None
) -> None:
    """List the tags of a repo."""
    repo = repo_of(name, project)
    found = list(calls.items(connect(), calls.repo_path(repo, "tags")))
    if output.is_raw(raw, encoding):
        output.documents(found, encoding)
    else:
        output.table(found, Tag, ("TAG", "COMMIT"), lambda each: (each.name, each.commit))


def create(
    name: TagArgument,
    head: Annotated[str, typer.Option("--head", metavar="BRANCH-OR-COMMIT", help="What it is to name.")] = MASTER,
    project: ProjectOption = "",
) -> None:
    """Give a commit a name, for good."""
    tag = ref_of(name, project, kind="tag")
    connect().request("PUT", calls.repo_path(tag.repo, "tags", tag.ref), action={"ref": head})


def delete(name: TagArgument, project: ProjectOption = "") -> None:
    """Take a name away. The commit stays."""
    tag = ref_of(name, project, kind="tag")
    connect().request("DELETE", calls.repo_path(tag.repo, "tags", tag.ref))
