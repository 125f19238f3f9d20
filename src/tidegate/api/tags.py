"""Tags (``…/repos/{repo}/tags``): names of commits, in one space of names with branches."""

from __future__ import annotations

import msgspec

from tidegate import errors
from tidegate.api.call import Call
from tidegate.api.repos import REPO
from tidegate.api.routes import Route, route
from tidegate.api.shapes import Page, Tag
from tidegate.api.words import Ref


class NewTag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to have the name."""

    ref: Ref


async def list_tags(call: Call) -> Page[Tag]:
    """The tags of a repository."""
    return Page([Tag(name, commit) for name, commit in await call.gateway.tags.list(call.principal, call.repo)])


async def put_tag(call: Call, body: NewTag) -> Tag:
    """Give a commit a name."""
    name = call.names["tag"]
    return Tag(name, (await call.gateway.tags.create(call.principal, call.repo, name, body.ref)).id)


async def get_tag(call: Call) -> Tag:
    """One tag."""
    wanted = call.names["tag"]
    for name, commit in await call.gateway.tags.list(call.principal, call.repo):
        if name == wanted:
            return Tag(name, commit)
    raise errors.NoSuchTag


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
