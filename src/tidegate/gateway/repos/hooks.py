"""Hooks of repositories: making, listing and removing them, and looking at what they were sent."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from tidegate import errors
from tidegate.catalog import deliveries, hooks
from tidegate.catalog.abc import Reader, Transaction
from tidegate.clock import now
from tidegate.gateway.asking import purpose
from tidegate.gateway.repos import within
from tidegate.gateway.rooms import Rooms
from tidegate.model import Delivery, Hook, HookEvent, Principal, Repo
from tidegate.refs import RepoName, check_name
from tidegate.upstream.webhooks import check_url

# As long as HMAC-SHA256 has use for, twice; and what nobody guesses who knows a signature.
MAX_SECRET: Final = 128
MIN_SECRET: Final = 16
# Of a pattern of branches' names, which have at most 100.
MAX_PATTERN: Final = 200
# Deliveries on a page.
MAX_DELIVERIES: Final = 1000

_ACTION: Final = "repo:Update"


class Hooks:
    """Hooks of a repository, for its owner and administrators. Each method raises ``NoSuchRepo``, ``AccessDenied`` and,
    where it is about one hook, ``NoSuchHook`` beside what it says.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list(self, principal: Principal, repo: RepoName) -> Sequence[Hook]:
        """All hooks, by name."""
        return await within.read(
            self._rooms, principal, repo, _ACTION, lambda tx, of: [each.shown for each in hooks.every(tx, of.id)]
        )

    async def get(self, principal: Principal, repo: RepoName, name: str) -> Hook:
        """One hook."""
        return await within.read(self._rooms, principal, repo, _ACTION, lambda tx, of: hooks.get(tx, of, name).shown)

    async def create(
        self,
        principal: Principal,
        repo: RepoName,
        name: str,
        *,
        url: str,
        events: Sequence[HookEvent],
        branch: str = "",
        secret: str | None = None,
    ) -> tuple[Hook, str]:
        """Makes a hook, and returns it with the secret that its calls are signed with: the given one, or a new one.
        Nobody sees that again. ``branch`` is a pattern (``*``, ``?``, ``[a-z]``) of the branches that it is for; empty
        for all.

        Raises ``HookExists``, ``InvalidArgument``, and ``InvalidRequest`` for one too many.
        """
        check_name("hook", name)
        check_url(url)
        if not events:
            raise errors.InvalidArgument("a hook is for at least one event")
        if len(branch) > MAX_PATTERN:
            raise errors.InvalidArgument(f"a pattern of branches has at most {MAX_PATTERN} characters")
        if secret is not None and not MIN_SECRET <= len(secret) <= MAX_SECRET:
            raise errors.InvalidArgument(f"a secret has {MIN_SECRET} to {MAX_SECRET} characters")
        key = secret or secrets.token_urlsafe(32)
        chosen = tuple(event for event in HookEvent if event in events)
        hook = Hook(name, url, chosen, branch, principal.name, now())

        def create(tx: Transaction, of: Repo) -> None:
            hooks.add(tx, of, hook, self._rooms.identity.sealed(key, purpose(of.id, name)))

        await within.write(self._rooms, principal, repo, _ACTION, create)
        return hook, key

    async def delete(self, principal: Principal, repo: RepoName, name: str) -> None:
        """Removes a hook, with what was not delivered yet."""

        def delete(tx: Transaction, of: Repo) -> None:
            hooks.delete(tx, hooks.get(tx, of, name).id)

        await within.write(self._rooms, principal, repo, _ACTION, delete)

    async def deliveries(
        self, principal: Principal, repo: RepoName, name: str, *, limit: int, after: str = ""
    ) -> tuple[Sequence[Delivery], str | None]:
        """A page of what was sent and is to be sent to a hook, the newest first; and the id to go on after, where there
        is more. Raises ``NoSuchDelivery``.
        """
        limit = min(limit, MAX_DELIVERIES)

        def read(tx: Reader, of: Repo) -> Sequence[Delivery]:
            return deliveries.page(tx, hooks.get(tx, of, name).id, after, limit + 1)

        found = await within.read(self._rooms, principal, repo, _ACTION, read)
        return within.page(found, limit, lambda each: each.id)

    async def retry(self, principal: Principal, repo: RepoName, name: str, delivery_id: str) -> Delivery:
        """Sends a delivery once more. Raises ``NoSuchDelivery``, and ``InvalidRequest`` for the question of a pre-hook,
        whose answer would have no effect.
        """

        def retry(tx: Transaction, of: Repo) -> Delivery:
            return deliveries.again(tx, hooks.get(tx, of, name).id, delivery_id, now())

        return await within.write(self._rooms, principal, repo, _ACTION, retry)
