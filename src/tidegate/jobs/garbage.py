"""Garbage: blobs without references, uploads that are over, and files that nobody knows."""

from __future__ import annotations

import asyncio
import itertools
import logging

from tidegate.catalog import blobs, uploads
from tidegate.gateway.rooms import Rooms, now

logger = logging.getLogger(__name__)

SECOND = 1_000_000
# A blob's bytes stay this long after its last reference, so that no read that is under way loses them.
GRACE = 15 * 60 * SECOND
# A completed upload is remembered this long, for clients that repeat their request.
REMEMBER_COMPLETED = 24 * 3600 * SECOND
# A file that no row names may belong to an upload that is under way, unless it has not been written to for this long.
UNKNOWN_FILE_AGE = 24 * 3600 * SECOND
# Blobs, uploads or files in one transaction: a few milliseconds of the writer's time.
STEP = 200


async def collect(rooms: Rooms, grace: int = GRACE) -> int:
    """Removes blobs that lost their last reference longer than ``grace`` microseconds ago. Returns how many."""
    total = 0
    while True:
        moment = now()
        count, files = await rooms.catalog.write(lambda tx: blobs.collect(tx, moment - grace, STEP, moment))
        await rooms.blobs.delete(files)
        total += count
        if count < STEP:
            return total


async def forget_uploads(rooms: Rooms, remember: int = REMEMBER_COMPLETED) -> int:
    """Forgets uploads that were completed some time ago, and those of buckets that are gone. Returns how many."""
    total = 0
    while True:
        moment = now()
        count = await rooms.catalog.write(lambda tx: uploads.forget(tx, moment - remember, STEP, moment))
        total += count
        if count < STEP:
            return total


async def sweep(rooms: Rooms, before: int, age: int = UNKNOWN_FILE_AGE) -> int:
    """Removes files that no blob names: what a crash left behind. Returns how many.

    Only files that were last written before the time ``before`` (a moment when no upload was under way), or longer than ``age``
    ago, can be such.
    """
    oldest = now() - age
    limit = max(before, oldest)
    total = 0
    found = rooms.blobs.names()
    while step := await asyncio.to_thread(lambda: list(itertools.islice(found, STEP))):
        names = [name for name, written in step if written < limit]
        known = await rooms.catalog.read(lambda tx: blobs.known_files(tx, names))
        unknown = [name for name in names if name not in known]
        await rooms.blobs.delete(unknown)
        total += len(unknown)
    if total:
        logger.info("removed %d files that nothing referred to", total)
    return total
