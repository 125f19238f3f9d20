"""Computes the checksums that buckets ask for, of objects that were composed of others: one object at a time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial

from tidegate import checksums, errors
from tidegate.catalog import undigested
from tidegate.catalog.undigested import Undigested
from tidegate.gateway.reading import LocalReading
from tidegate.gateway.rooms import Rooms

logger = logging.getLogger(__name__)

STEP = 100


async def compute(rooms: Rooms) -> int:
    """Computes what is missing, of the oldest objects first. Returns how many.

    What cannot be read because a folder is not there is left for the next time; what is damaged is left to a scrub.
    """
    total = last = 0
    while step := await rooms.catalog.read(partial(undigested.after, task=last, limit=STEP)):
        last = step[-1]
        for task in step:
            total += await _compute(rooms, task)
    return total


async def _compute(rooms: Rooms, task: int) -> bool:
    while True:
        found = await rooms.catalog.read(partial(undigested.find, task=task))
        try:
            if found is None:
                await rooms.catalog.write(partial(undigested.drop, task=task))
                return False
            digest = await _digest(rooms, found)
        except (errors.FolderMissing, errors.ServiceUnavailable):
            return False
        except errors.DamagedBlob:
            logger.warning("no checksum of %s/%s: its bytes are damaged", *_place(found))
            await rooms.catalog.write(partial(undigested.drop, task=task))
            return False
        if await rooms.catalog.write(partial(undigested.settle, task=task, digest=digest)):
            return True


async def _digest(rooms: Rooms, found: Undigested) -> tuple[str, str]:
    kind = found.bucket.properties.checksum.type
    hasher = checksums.new(checksums.DIGESTS[kind])
    reading = LocalReading(rooms, found.bucket, found.stored)
    async with aclosing(reading.stream(0, reading.version.size)) as pieces:
        async for piece in pieces:
            await asyncio.to_thread(hasher.update, piece)
    return kind, hasher.digest().hex()


def _place(found: Undigested | None) -> tuple[str, str]:
    return ("", "") if found is None else (found.bucket.identity.uri, found.stored.version.key)
