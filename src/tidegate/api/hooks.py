"""Hooks (``…/repos/{repo}/hooks``): URLs that are asked before something is committed, or told after, and what they
were sent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from tidegate import model
from tidegate.api import shapes
from tidegate.api.call import Call
from tidegate.api.commits import DEFAULT_PAGE
from tidegate.api.repos import REPO
from tidegate.api.routes import Route, route
from tidegate.api.words import After, Limit, Name
from tidegate.documents import Delivery, Hook, MadeHook, Page
from tidegate.gateway.repos.hooks import MAX_PATTERN, MAX_SECRET, MIN_SECRET
from tidegate.model import HookEvent
from tidegate.upstream.webhooks import MAX_URL

Url = Annotated[str, Meta(min_length=1, max_length=MAX_URL, description="`http://` or `https://`.")]
Events = Annotated[tuple[HookEvent, ...], Meta(min_length=1, max_length=len(HookEvent))]
Pattern = Annotated[
    str, Meta(max_length=MAX_PATTERN, description="The branches that it is for: `release-*`; empty for all.")
]


class NewHook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hook that is to be made."""

    name: Name
    url: Url
    events: Events
    branch: Pattern = ""
    secret: Annotated[
        Annotated[str, Meta(min_length=MIN_SECRET, max_length=MAX_SECRET)] | None,
        Meta(description="What its calls are signed with; made by the server, if not given."),
    ] = None


class Pages(msgspec.Struct, frozen=True):
    """Which of many."""

    after: After = ""
    limit: Limit = DEFAULT_PAGE


def _name(call: Call) -> str:
    return call.names["hook"]


async def list_hooks(call: Call) -> Page[Hook]:
    """The hooks of a repository."""
    return Page([_shown(found) for found in await call.gateway.hooks.list(call.principal, call.repo)])


async def create_hook(call: Call, body: NewHook) -> MadeHook:
    """Make a hook. The answer has its secret, which is not shown again."""
    found, secret = await call.gateway.hooks.create(
        call.principal,
        call.repo,
        body.name,
        url=body.url,
        events=body.events,
        branch=body.branch,
        secret=body.secret,
    )
    created = shapes.moment(found.created)
    return MadeHook(found.name, found.url, found.events, found.branch, found.creator, created, secret)


async def get_hook(call: Call) -> Hook:
    """One hook."""
    return _shown(await call.gateway.hooks.get(call.principal, call.repo, _name(call)))


async def delete_hook(call: Call) -> None:
    """Remove a hook, with what it was not told yet."""
    await call.gateway.hooks.delete(call.principal, call.repo, _name(call))


async def list_deliveries(call: Call, query: Pages) -> Page[Delivery]:
    """What a hook was sent, and is to be sent, the newest first."""
    found, last = await call.gateway.hooks.deliveries(
        call.principal, call.repo, _name(call), limit=query.limit, after=query.after
    )
    return Page([_delivery(each) for each in found], last)


async def retry_delivery(call: Call) -> Delivery:
    """Send a delivery once more, or at once if it waits."""
    return _delivery(await call.gateway.hooks.retry(call.principal, call.repo, _name(call), call.names["delivery"]))


def _shown(found: model.Hook) -> Hook:
    return Hook(found.name, found.url, found.events, found.branch, found.creator, shapes.moment(found.created))


def _delivery(found: model.Delivery) -> Delivery:
    return Delivery(
        id=found.id,
        event=found.event,
        branch=found.branch,
        commit=found.commit or None,
        state=found.state,
        attempts=found.attempts,
        created=shapes.moment(found.created),
        due=_moment(found.due),
        ended=_moment(found.ended),
        status=found.status,
        answer=found.answer,
    )


def _moment(time: int | None) -> datetime | None:
    return None if time is None else shapes.moment(time)


_HOOKS = REPO + "/hooks"
_HOOK = _HOOKS + "/{hook}"

ROUTES: tuple[Route, ...] = (
    route("GET", _HOOKS, list_hooks),
    route("POST", _HOOKS, create_hook, status=201),
    route("GET", _HOOK, get_hook),
    route("DELETE", _HOOK, delete_hook),
    route("GET", _HOOK + "/deliveries", list_deliveries),
    route("POST", _HOOK + "/deliveries/{delivery}/retry", retry_delivery),
)
