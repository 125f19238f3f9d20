"""Tags (``…/repos/{repo}/tags``): names of commits, in one space of names with branches."""

from __future__ import annotations

import msgspec

from tidegate.api.call import Call, Paging
from tidegate.api.repos import REPO
from tidegate.api.routes import Route, route
from tidegate.api.words import Ref
from tidegate.documents import Page, Tag


class NewTag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to have the name."""

    ref: Ref


async def list_tags(call: Call, query: Paging) -> Page[Tag]:
    """The tags of a repository, by name."""
    found, last = await call.gateway.tags.list(call.principal, call.repo, limit=query.limit, after=query.after)
    return Page([Tag(name, commit) for name, commit in found], last)


async def put_tag(call: Call, body: NewTag) -> Tag:
    """Give a commit a name."""
    name = call.names["tag"]
    return Tag(name, (await call.gateway.tags.create(call.principal, call.repo, name, body.ref)).id)


async def get_tag(call: Call) -> Tag:
    """One tag."""
    name = call.names["tag"]
    return Tag(name, (await call.gateway.tags.get(call.principal, call.repo, name)).id)


async def delete_tag(call: Call) -> None:
    """Take a name away."""
    await call.gateway.tags.delete(call.principal, call.repo, call.names["tag"])


_TAG = REPO + "/tags/{tag}"

ROUTES: tuple[Route, ...] = (
    route("GET", REPO + "/tags", list_tags),
    route("PUT", _TAG, put_tag),
    route("GET", _TAG, get_tag),
    route("DELETE", _TAG, delete_tag),
)
