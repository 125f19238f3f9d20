"""What has changed between states, and bringing changes from one to another: diff, log, merge, revert, cherry-pick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidegate import model
from tidegate.api import shapes
from tidegate.api.call import ON_HEAD, Call
from tidegate.api.commits import COMMIT, DEFAULT_PAGE, Touching
from tidegate.api.faults import MergeConflict
from tidegate.api.repos import REPO
from tidegate.api.routes import Route, route
from tidegate.api.words import After, FileLimit, Message, Metadata, Name, Path, Ref
from tidegate.documents import Change, Merged, Page, Revision
from tidegate.names import MAX_KEY_BYTES

# Paths that are decided about in one request, with 1 KiB each within the limit of a body.
MAX_CHOICES: Final = 10_000

Side = Literal["ours", "theirs"]


class Between(msgspec.Struct, frozen=True):
    """Two states, and what of them is compared."""

    old: Annotated[Ref, Meta(description="The state before.")] = msgspec.field(name="from")
    new: Annotated[Ref, Meta(description="The state after.")] = msgspec.field(name="to")
    prefix: Annotated[str, Meta(max_length=MAX_KEY_BYTES, description="Only paths that begin so.")] = ""
    after: After = ""
    limit: FileLimit = DEFAULT_PAGE


class Merge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merge that is wanted. The sides of a conflict are `ours`, of the branch, and `theirs`, of the source."""

    source: Annotated[Ref, Meta(description="The state whose changes are brought.")]
    into: Annotated[Name, Meta(description="The branch that they are brought to.")]
    prefer: Annotated[Side | None, Meta(description="Which side's is to stay wherever there is a conflict.")] = None
    choices: Annotated[
        Mapping[Path, Side], Meta(max_length=MAX_CHOICES, description="Which side's is to stay, by path.")
    ] = {}
    message: Message = ""
    metadata: Metadata = {}
    dry_run: Annotated[bool, Meta(description="Only tell what would come of it.")] = False


class Onto(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a commit's changes go to."""

    branch: Name
    message: Message = ""
    metadata: Metadata = {}


async def diff(call: Call, query: Between) -> Page[Change]:
    """What has changed from one state to another, by path."""
    found, last = await call.gateway.changes.diff(
        call.principal,
        call.repo,
        query.old,
        query.new,
        prefix=query.prefix,
        after=query.after,
        limit=query.limit,
    )
    return Page([shapes.change(each) for each in found], last)


async def log(call: Call, query: Touching) -> Page[Revision]:
    """The versions of a path, the newest first."""
    found = await call.gateway.changes.log(call.principal, call.repo, query.ref, query.path, limit=query.limit)
    return Page([shapes.revision(each) for each in found])


async def merge(call: Call, body: Merge) -> Merged:
    """Bring the changes of a state to a branch. Where both have changed a path and nothing says which is to stay,
    nothing is done (409), and the answer lists the conflicts.
    """
    found = await call.gateway.changes.merge(
        call.noted(body.message, body.metadata),
        call.repo,
        body.source,
        body.into,
        prefer=body.prefer,
        choices=body.choices,
        dry_run=body.dry_run,
    )
    return shapes.merged(found) if body.dry_run else _merged(found)


async def revert(call: Call, body: Onto) -> Merged:
    """Take back on a branch what a commit has changed."""
    principal = call.noted(body.message, body.metadata)
    return _merged(await call.gateway.changes.revert(principal, call.repo, body.branch, call.ref))


async def cherry_pick(call: Call, body: Onto) -> Merged:
    """Bring to a branch what a commit has changed."""
    principal = call.noted(body.message, body.metadata)
    return _merged(await call.gateway.changes.cherry_pick(principal, call.repo, body.branch, call.ref))


def _merged(found: model.Merged) -> Merged:
    """The outcome. Raises ``MergeConflict`` where conflicts kept it from happening."""
    shown = shapes.merged(found)
    if shown.conflicts and shown.commit is None:
        raise MergeConflict(shown.conflicts)
    return shown


ROUTES: tuple[Route, ...] = (
    route("GET", REPO + "/diff", diff),
    route("GET", REPO + "/log", log),
    route("POST", REPO + "/merge", merge, headers=(ON_HEAD,)),
    route("POST", COMMIT + "/revert", revert, headers=(ON_HEAD,)),
    route("POST", COMMIT + "/cherry-pick", cherry_pick, headers=(ON_HEAD,)),
)
