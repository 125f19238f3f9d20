"""Branches (``…/repos/{repo}/branches``)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidegate.api import shapes
from tidegate.api.call import Call, Paging
from tidegate.api.repos import REPO, Forced
from tidegate.api.routes import Route, route
from tidegate.api.words import Name, Ref
from tidegate.documents import Branch, Page, Trigger
from tidegate.model import BranchRef
from tidegate.model import Trigger as Rule
from tidegate.refs import RepoName

# Each is looked up, and a commit on any of them makes one here.
MAX_PROVENANCE = 100


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A branch that another is made from."""

    repo: Name
    branch: Name
    project: Annotated[Name | None, Meta(description="That of the path, if it is not given.")] = None


class BranchChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a branch is to be. What is not given, or null, stays as it is."""

    head: Annotated[Ref | None, Meta(description="The state that it is to have.")] = None
    provenance: Annotated[tuple[Source, ...], Meta(max_length=MAX_PROVENANCE)] | None = None
    trigger: Trigger | None = None
    is_protected: bool | None = None


def _name(call: Call) -> str:
    return call.names["branch"]


async def list_branches(call: Call, query: Paging) -> Page[Branch]:
    """The branches of a repository, by name."""
    found, last = await call.gateway.branches.list(call.principal, call.repo, limit=query.limit, after=query.after)
    return Page([shapes.branch(each) for each in found], last)


async def put_branch(call: Call, body: BranchChange) -> Branch:
    """Make a branch, move it, or change what it comes from, what triggers it, and whether it is protected."""
    provenance = None
    if body.provenance is not None:
        own = call.names["project"]
        provenance = [BranchRef(RepoName(each.repo, each.project or own), each.branch) for each in body.provenance]
    rule = body.trigger
    found = await call.gateway.branches.create(
        call.principal,
        call.repo,
        _name(call),
        head=body.head,
        provenance=provenance,
        trigger=None if rule is None else Rule(rule.branch, rule.size, rule.commits, rule.cron, rule.every),
    )
    if body.is_protected is not None:
        found = await call.gateway.branches.protect(
            call.principal, call.repo, _name(call), is_protected=body.is_protected
        )
    return shapes.branch(found)


async def get_branch(call: Call) -> Branch:
    """One branch."""
    return shapes.branch(await call.gateway.branches.get(call.principal, call.repo, _name(call)))


async def delete_branch(call: Call, query: Forced) -> None:
    """Remove a branch. Commits that others are made of stay."""
    await call.gateway.branches.delete(call.principal, call.repo, _name(call), force=query.force)


_BRANCHES = REPO + "/branches"
_BRANCH = _BRANCHES + "/{branch}"

ROUTES: tuple[Route, ...] = (
    route("GET", _BRANCHES, list_branches),
    route("PUT", _BRANCH, put_branch),
    route("GET", _BRANCH, get_branch),
    route("DELETE", _BRANCH, delete_branch),
)
