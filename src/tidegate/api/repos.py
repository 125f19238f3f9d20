"""Repositories (``/v2/projects/{project}/repos``)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from tidegate import errors
from tidegate.api import shapes
from tidegate.api.call import Call, Paging, as_json
from tidegate.api.projects import Described
from tidegate.api.routes import Route, route
from tidegate.api.words import Description, Name
from tidegate.documents import Page, Repo
from tidegate.refs import RepoName


class NewRepo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A repository that is to be made."""

    name: Name
    description: Description = ""
    update: Annotated[bool, Meta(description="Where it is there already, describe it anew (200).")] = False


class Forced(msgspec.Struct, frozen=True):
    """How something is removed."""

    force: Annotated[bool, Meta(description="Also where other branches depend on it.")] = False


async def list_all_repos(call: Call, query: Paging) -> Page[Repo]:
    """The repositories of all projects, the newest first."""
    return await _page(call, None, query)


async def list_repos(call: Call, query: Paging) -> Page[Repo]:
    """The repositories of a project, the newest first."""
    return await _page(call, call.names["project"], query)


async def _page(call: Call, project: str | None, query: Paging) -> Page[Repo]:
    found, last = await call.gateway.repos.list(call.principal, project, limit=query.limit, after=query.after)
    return Page([shapes.repo(each) for each in found], last)


async def create_repo(call: Call, body: NewRepo) -> Repo | Response:
    """Make a repository."""
    name = RepoName(body.name, call.names["project"])
    try:
        return shapes.repo(await call.gateway.repos.create(call.principal, name, body.description))
    except errors.RepoExists:
        if not body.update:
            raise
    return as_json(shapes.repo(await call.gateway.repos.update(call.principal, name, body.description)))


async def get_repo(call: Call) -> Repo:
    """One repository."""
    return shapes.repo(await call.gateway.repos.get(call.principal, call.repo))


async def update_repo(call: Call, body: Described) -> Repo:
    """Describe a repository anew."""
    return shapes.repo(await call.gateway.repos.update(call.principal, call.repo, body.description))


async def delete_repo(call: Call, query: Forced) -> None:
    """Remove a repository with all that is in it."""
    await call.gateway.repos.delete(call.principal, call.repo, force=query.force)


_REPOS = "/projects/{project}/repos"
REPO = _REPOS + "/{repo}"

ROUTES: tuple[Route, ...] = (
    route("GET", "/repos", list_all_repos),
    route("GET", _REPOS, list_repos),
    route("POST", _REPOS, create_repo, status=201),
    route("GET", REPO, get_repo),
    route("PATCH", REPO, update_repo),
    route("DELETE", REPO, delete_repo),
)
