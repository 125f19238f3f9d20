"""Empties the logs of buckets that were destroyed."""

from __future__ import annotations

from functools import partial

from tidegate.catalog import dropped
from tidegate.clock import now
from tidegate.gateway.rooms import Rooms
from tidegate.jobs import garbage

# Versions in one transaction: some 20 ms of the writer's time.
STEP = 1000


async def empty(rooms: Rooms) -> int:
    """Empties all logs that nobody can reach any more. Returns how many versions were in them."""
    total = 0
    while (log := await rooms.catalog.read(dropped.first)) is not None:
        while count := await rooms.catalog.write(partial(dropped.empty, log=log, limit=STEP, now=now())):
            total += count
        await garbage.forget_uploads(rooms)
    return total
