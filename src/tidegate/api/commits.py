"""Commits (``…/repos/{repo}/commits``): starting, finishing, waiting for, looking at and removing them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidegate import asgi
from tidegate.api import shapes
from tidegate.api.call import ON_HEAD, Call
from tidegate.api.repos import REPO
from tidegate.api.routes import Route, route
from tidegate.api.words import After, Limit, Message, Metadata, Name, Path, Ref
from tidegate.documents import MAX_WAIT, Commit, Page

DEFAULT_PAGE: Final = 100


class NewCommit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A commit that is to be started."""

    branch: Name
    parent: Annotated[Ref | None, Meta(description="The commit to begin with; the branch's newest, if not given.")] = (
        None
    )
    message: Message = ""
    metadata: Metadata = {}


class Noted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be said of a commit."""

    message: Message = ""
    metadata: Metadata = {}


class Which(msgspec.Struct, frozen=True):
    """Which commits."""

    ref: Annotated[Ref | None, Meta(description="This one and those before it; of all branches, if not given.")] = None
    after: After = ""
    limit: Limit = DEFAULT_PAGE


class Patience(msgspec.Struct, frozen=True):
    """How long to wait."""

    seconds: Annotated[float, Meta(ge=0, le=MAX_WAIT)] = MAX_WAIT


class Touching(msgspec.Struct, frozen=True):
    """A path, as it was before some state."""

    ref: Ref
    path: Path
    limit: Limit = DEFAULT_PAGE


async def list_commits(call: Call, query: Which) -> Page[Commit]:
    """The commits of a repository, the newest first."""
    found, last = await call.gateway.commits.list(
        call.principal, call.repo, query.ref, limit=query.limit, after=query.after
    )
    return Page([shapes.commit(each) for each in found], last)


async def start_commit(call: Call, body: NewCommit) -> Commit:
    """Start a commit: what is written to the branch from now on goes into it, and is seen when it is finished."""
    principal = call.noted(body.message, body.metadata)
    return shapes.commit(await call.gateway.commits.start(principal, call.repo, body.branch, body.parent))


async def get_commit(call: Call) -> Commit:
    """One commit."""
    return shapes.commit(await call.gateway.commits.get(call.principal, call.repo, call.ref))


async def drop_commit(call: Call) -> None:
    """Remove a commit that nothing stands on, with what it changed."""
    await call.gateway.commits.drop(call.principal, call.repo, call.ref)


async def finish_commit(call: Call, body: Noted) -> Commit:
    """Finish an open commit."""
    principal = call.noted(body.message, body.metadata)
    return shapes.commit(await call.gateway.commits.finish(principal, call.repo, call.ref))


async def squash_commit(call: Call) -> None:
    """Remove a commit; what it changed becomes part of the next."""
    await call.gateway.commits.squash(call.principal, call.repo, call.ref)


async def wait_for_commit(call: Call, query: Patience) -> Commit:
    """Wait until a commit is finished. Where it is not in time, `finished` is null: ask again."""
    waiting = call.gateway.commits.wait(call.principal, call.repo, call.ref, query.seconds)
    return shapes.commit(await asgi.unless_gone(call.request.receive, waiting))


async def find_commits(call: Call, query: Touching) -> Page[Commit]:
    """The commits that changed a path, the newest first."""
    found = await call.gateway.commits.find(call.principal, call.repo, query.ref, query.path, limit=query.limit)
    return Page([shapes.commit(each) for each in found])


_COMMITS = REPO + "/commits"
COMMIT = _COMMITS + "/{ref}"

ROUTES: tuple[Route, ...] = (
    route("GET", _COMMITS, list_commits),
    route("POST", _COMMITS, start_commit, status=201, headers=(ON_HEAD,)),
    route("GET", COMMIT, get_commit),
    route("DELETE", COMMIT, drop_commit),
    route("POST", COMMIT + "/finish", finish_commit),
    route("POST", COMMIT + "/squash", squash_commit),
    route("GET", COMMIT + "/wait", wait_for_commit),
    route("GET", REPO + "/find", find_commits),
)
