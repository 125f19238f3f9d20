"""``list|create|update|inspect|delete project``."""

from __future__ import annotations

import msgspec

from tidegate.cli.pachctl import calls, output, repos, text
from tidegate.cli.pachctl.arguments import project_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.grammar import DescriptionOption, ForceOption, ProjectArgument
from tidegate.cli.pachctl.output import FullTimestampsOption, OutputOption, RawOption
from tidegate.documents import Project

_HEADER = ("ACTIVE", "PROJECT", "CREATED", "DESCRIPTION")


def list_(raw: RawOption = False, encoding: OutputOption = None, is_full: FullTimestampsOption = False) -> None:
    """List projects."""
    found = calls.items(connect(), calls.PROJECTS)
    if output.is_raw(raw, encoding):
        output.documents(found, encoding)
        return
    active = project_of("")

    def row(each: Project) -> tuple[str, ...]:
        mark = "*" if each.name == active else ""
        return mark, each.name, text.age(each.created, is_full=is_full), each.description or text.NOTHING

    output.table(found, Project, _HEADER, row)


def create(name: ProjectArgument, description: DescriptionOption = None) -> None:
    """Make a project."""
    connect().request("POST", calls.PROJECTS, action={"name": name, "description": description or ""})


def update(name: ProjectArgument, description: DescriptionOption = None) -> None:
    """Describe a project anew."""
    connect().request("PATCH", calls.project_path(name), action={"description": description or ""})


def inspect(
    name: ProjectArgument,
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """Show a project."""
    document = calls.fetch(connect(), calls.project_path(name))
    if output.is_raw(raw, encoding):
        output.documents([document], encoding)
        return
    project = msgspec.json.decode(document, type=Project)
    print(
        text.details(
            {
                "Name": project.name,
                "Description": project.description or None,
                "Created at": text.age(project.created, is_full=is_full),
            }
        )
    )


def delete(name: ProjectArgument, force: ForceOption = False) -> None:
    """Remove a project, which has to be empty; with --force its repos go with it."""
    client = connect()
    if force:
        repos.delete_all(client, name, force=True)
    client.request("DELETE", calls.project_path(name))
