"""Tells hooks of commits: makes the deliveries that wait, those of one hook in their order, several hooks side by side.

A delivery is made at least once. What could not be made is tried again, after longer and longer pauses; meanwhile the
later ones of its hook wait. All that is known of it is in the catalog: a server that was killed goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from functools import partial
from typing import Final

from tidegate import errors
from tidegate.catalog import deliveries
from tidegate.catalog.deliveries import Order, Outcome
from tidegate.clock import SECOND, now
from tidegate.gateway.rooms import Rooms
from tidegate.model import DeliveryState
from tidegate.upstream.webhooks import UnreachableError

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.1
# Hooks that are called at once; a slow one holds its place for this long at most.
AT_ONCE: Final = 16
POST_SECONDS: Final = 30.0
# The pauses after the first try and the later ones: eight tries within an hour. The first is for a receiver that was
# just being restarted.
PAUSES: Final = (1, 10, 60, 180, 480, 960, 1800)
# Each is longer or shorter by up to so much, that not all call at once when a receiver comes back.
JITTER: Final = 0.2
# Deliveries of a hook in a row, before another one may have its place.
TURN: Final = 100
# Deliveries in one transaction: a few milliseconds of the writer's time.
STEP: Final = 500


class Deliveries:
    """Makes the deliveries of a store. ``pauses`` are in seconds."""

    def __init__(self, rooms: Rooms, pauses: Sequence[float] = PAUSES) -> None:
        self._rooms = rooms
        self._pauses = pauses

    async def run(self) -> None:
        """Makes deliveries as they come, until it is cancelled."""
        under_way: set[int] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                moment = now()
                waiting = await self._rooms.catalog.read(deliveries.waiting)
                for hook, _, due in sorted(waiting, key=lambda each: each[2]):
                    if len(under_way) >= AT_ONCE:
                        break
                    if due <= moment and hook not in under_way:
                        under_way.add(hook)
                        task = group.create_task(self._deliver(hook))
                        task.add_done_callback(lambda _, hook=hook: under_way.discard(hook))  # type: ignore[misc]
                await asyncio.sleep(POLL_SECONDS)

    async def _deliver(self, hook: int) -> None:
        """Makes what a hook is to be sent by now, one after the other."""
        try:
            for _ in range(TURN):
                if not await self.deliver_next(hook):
                    return
        except errors.Error as error:  # the catalog cannot be written: the delivery waits, and is made again
            logger.warning("cannot take down what came of a delivery: %s", error.message)
            await asyncio.sleep(self._pauses[0])
        except Exception:  # one hook must not end the calls of the others
            logger.exception("cannot call the hook %d", hook)
            await asyncio.sleep(self._pauses[0])

    async def deliver_next(self, hook: int) -> bool:
        """Makes the next delivery of a hook. Returns whether there was one whose time had come, and is over now."""
        order = await self._rooms.catalog.read(partial(deliveries.next_order, hook_id=hook, now=now()))
        if order is None:
            return False
        outcome = await self._attempt(order)
        # It need not be durable: after a power cut it is made once more.
        settle = partial(deliveries.settle, seq=order.seq, attempts=order.attempts + 1, outcome=outcome)
        await self._rooms.catalog.write(settle, durable=False)
        return outcome.due is None

    async def _attempt(self, order: Order) -> Outcome:
        status = None
        try:
            reply = await self._rooms.hook_calls.call(order.hook, order.event, order.id, order.body, POST_SECONDS)
        except (UnreachableError, errors.Error) as error:
            answer = str(error)
        else:
            status, answer = reply.status, reply.text
            if reply.is_good:
                return Outcome(DeliveryState.DELIVERED, None, now(), status, answer)
        if order.attempts >= len(self._pauses):
            logger.warning("gave up calling the hook %s: %s", order.hook.shown.name, answer or f"HTTP status {status}")
            return Outcome(DeliveryState.FAILED, None, now(), status, answer)
        pause = self._pauses[order.attempts] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
        return Outcome(DeliveryState.WAITING, now() + int(pause * SECOND), None, status, answer)


async def forget(rooms: Rooms) -> int:
    """Forgets deliveries that are too many, and those of hooks that have gone. Returns how many."""
    total = 0
    for hook in await rooms.catalog.read(deliveries.hooks_with_any):
        while count := await rooms.catalog.write(partial(deliveries.trim, hook_id=hook, limit=STEP, now=now())):
            total += count
            if count < STEP:
                break
    return total
