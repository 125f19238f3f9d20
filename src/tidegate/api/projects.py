"""Projects (``/v2/projects``)."""

from __future__ import annotations

import msgspec

from tidegate.api import shapes
from tidegate.api.call import Call, Paging
from tidegate.api.routes import Route, route
from tidegate.api.words import Description, Name
from tidegate.documents import Page, Project


class NewProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project that is to be made."""

    name: Name
    description: Description = ""


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be said of a thing from now on."""

    description: Description


async def list_projects(call: Call, query: Paging) -> Page[Project]:
    """All projects, by name."""
    found, last = await call.gateway.projects.list(call.principal, limit=query.limit, after=query.after)
    return Page([shapes.project(each) for each in found], last)


async def create_project(call: Call, body: NewProject) -> Project:
    """Make a project."""
    return shapes.project(await call.gateway.projects.create(call.principal, body.name, body.description))


async def get_project(call: Call) -> Project:
    """One project."""
    return shapes.project(await call.gateway.projects.get(call.principal, call.names["project"]))


async def update_project(call: Call, body: Described) -> Project:
    """Describe a project anew."""
    name = call.names["project"]
    return shapes.project(await call.gateway.projects.update(call.principal, name, body.description))


async def delete_project(call: Call) -> None:
    """Remove a project, which has to be empty."""
    await call.gateway.projects.delete(call.principal, call.names["project"])


_PROJECT = "/projects/{project}"

ROUTES: tuple[Route, ...] = (
    route("GET", "/projects", list_projects),
    route("POST", "/projects", create_project, status=201),
    route("GET", _PROJECT, get_project),
    route("PATCH", _PROJECT, update_project),
    route("DELETE", _PROJECT, delete_project),
)
