"""Calling hooks, and asking those that may refuse before something is committed.

A transaction that would make a commit is run through ``HookCalls.write``. Where nobody is to be asked, that is all;
else the transaction ends before it has written anything, the hooks are called, and it is run again with their answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from tidegate import __version__, errors
from tidegate.catalog import deliveries, hooks
from tidegate.catalog.abc import Driver, Transaction
from tidegate.catalog.hooks import ASKED, HookRow, UnaskedError
from tidegate.clock import SECOND, now
from tidegate.identity import Identity
from tidegate.model import Delivery, DeliveryState, HookEvent
from tidegate.upstream.webhooks import Reply, UnreachableError, Webhooks

T = TypeVar("T")

# Somebody waits with a request, and others with them who write the same branch.
ASK_SECONDS: Final = 10.0
# While hooks are asked, what they are asked about may change, and they are asked again; so often at most.
MAX_ROUNDS: Final = 5
# Characters of a hook's answer that who was refused sees: its first line.
MAX_REASON: Final = 200


class HookCalls:
    """Calls of hooks, from one process."""

    def __init__(self, catalog: Driver, identity: Identity) -> None:
        self._catalog = catalog
        self._identity = identity
        self._webhooks = Webhooks()

    async def write(self, function: Callable[[Transaction], T], action: str = "") -> T:
        """``Driver.write`` for a transaction that may make commits; ``action`` is what hooks are told of the request.

        Raises ``HookRefused``, ``HookUnavailable``, and ``ConditionalRequestConflict`` where what the hooks are asked
        about changes all the time.
        """
        asked: set[tuple[int, str]] = set()

        def run(tx: Transaction) -> T:
            if asked:
                tx.memo[ASKED] = asked
            return function(tx)

        for _ in range(MAX_ROUNDS):
            try:
                return await self._catalog.write(run)
            except UnaskedError as unasked:
                await self._ask(unasked, action)
                asked |= {(hook.id, unasked.occasion.mark) for hook in unasked.hooks}
        raise errors.ConditionalRequestConflict("What the hooks were asked about has changed meanwhile: try again.")

    async def call(self, hook: HookRow, event: HookEvent, delivery_id: str, body: bytes, seconds: float) -> Reply:
        """Calls a hook once. Raises ``UnreachableError``, and ``WrongSecretKey`` where its secret cannot be read."""
        secret = self._identity.revealed(hook.secret, purpose(hook.repo, hook.shown.name))
        headers = signed(secret, event, delivery_id, body, now() // SECOND)
        return await self._webhooks.post(hook.shown.url, headers, body, seconds)

    def close(self) -> None:
        self._webhooks.close()

    async def _ask(self, unasked: UnaskedError, action: str) -> None:
        """Asks all that have to agree, and takes down what they said. Raises ``HookRefused``, ``HookUnavailable``."""
        outcomes = await asyncio.gather(*(self._ask_one(hook, unasked, action) for hook in unasked.hooks))

        def take_down(tx: Transaction) -> None:
            for hook, (delivery, body, _) in zip(unasked.hooks, outcomes, strict=True):
                deliveries.add(tx, hook.id, delivery, body)

        await self._catalog.write(take_down)
        for _, _, refusal in outcomes:
            if refusal is not None:
                raise refusal

    async def _ask_one(
        self, hook: HookRow, unasked: UnaskedError, action: str
    ) -> tuple[Delivery, bytes, errors.Error | None]:
        occasion, delivery_id, began = unasked.occasion, deliveries.new_id(), now()
        body = hooks.body(hook.shown, occasion, delivery_id, began, action)
        refusal: errors.Error | None = None
        state, status = DeliveryState.DELIVERED, None
        try:
            reply = await self.call(hook, occasion.event, delivery_id, body, ASK_SECONDS)
        except (UnreachableError, errors.Error) as error:
            state, answer = DeliveryState.FAILED, str(error)
            refusal = errors.HookUnavailable(f'the {occasion.event} hook "{hook.shown.name}" does not answer: {answer}')
        else:
            status, answer = reply.status, reply.text
            if not reply.is_good:
                state = DeliveryState.REFUSED
                reason = answer.partition("\n")[0].strip()[:MAX_REASON] or f"HTTP status {reply.status}"
                refusal = errors.HookRefused(f'the {occasion.event} hook "{hook.shown.name}" refused: {reason}')
        delivery = Delivery(
            delivery_id, occasion.event, occasion.branch, occasion.commit.id or "", state, 1, began, None, now(),
            status, answer,
        )  # fmt: skip
        return delivery, body, refusal


def purpose(repo_id: int, name: str) -> str:
    """What a hook's secret is sealed for."""
    return f"hook {repo_id} {name}"


def signed(secret: str, event: HookEvent, delivery_id: str, body: bytes, seconds: int) -> Mapping[str, str]:
    """The headers of a call that is made at a time (Unix seconds)."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (seconds, body), hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": f"tidegate/{__version__}",
        "X-Tidegate-Event": event,
        "X-Tidegate-Delivery": delivery_id,
        "X-Tidegate-Timestamp": str(seconds),
        "X-Tidegate-Signature": f"sha256={digest}",
    }
