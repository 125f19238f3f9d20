"""Garbage: blobs without references, uploads that are over, and files that nobody knows."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from tidegate.catalog import blobs, fills, uploads
from tidegate.clock import SECOND, now
from tidegate.gateway.rooms import Rooms
from tidegate.jobs.hold import may_collect

logger = logging.getLogger(__name__)

# A blob's bytes stay this long after its last reference, so that no read that is under way loses them.
GRACE = 15 * 60 * SECOND
# A completed upload is remembered this long, for clients that repeat their request.
REMEMBER_COMPLETED = 24 * 3600 * SECOND
# A file that no row names may belong to an upload that is under way, unless it has not been written to for this long.
UNKNOWN_FILE_AGE = 24 * 3600 * SECOND
# What processes died over while they asked a remote is in nobody's way: the next reader takes it over.
OPENING_AGE = 3600 * SECOND
# Blobs, uploads or files in one transaction: a few milliseconds of the writer's time.
STEP = 200


async def collect(rooms: Rooms, data: Path, grace: int = GRACE) -> int:
    """Removes blobs that lost their last reference longer than ``grace`` microseconds ago. Returns how many.

    Stops where somebody holds the garbage of the folder ``data``.
    """
    total = 0
    while True:
        with may_collect(data) as may:
            if not may:
                return total
            moment = now()
            collect_step = partial(blobs.collect, before=moment - grace, limit=STEP, now=moment)
            count, files = await rooms.catalog.write(collect_step)
            await rooms.blobs.delete(files)
        total += count
        if not count:  # a composed blob that went has left what it was made of, which may be old enough as well
            return total


async def forget_uploads(rooms: Rooms, remember: int = REMEMBER_COMPLETED) -> int:
    """Forgets uploads that were completed some time ago, and those of buckets that are gone. Returns how many."""
    total = 0
    while True:
        moment = now()
        forget_step = partial(uploads.forget, completed_before=moment - remember, limit=STEP, now=moment)
        count = await rooms.catalog.write(forget_step)
        total += count
        if count < STEP:
            return total


async def forget_openings(rooms: Rooms, age: int = OPENING_AGE) -> int:
    """Forgets what somebody had begun to ask a remote for and gave up. Returns how many."""
    total = 0
    while True:
        moment = now()
        count = await rooms.catalog.write(partial(fills.sweep, over=moment - age, limit=STEP, now=moment))
        total += count
        if count < STEP:
            return total


async def sweep(rooms: Rooms, before: int, age: int = UNKNOWN_FILE_AGE) -> int:
    """Removes files that no blob names: what a crash left behind. Returns how many.

    Only files that were last written before the time ``before`` (a moment when no upload was under way), or longer than
    ``age`` ago, can be such.
    """
    total = 0
    async for names in unknown_files(rooms, max(before, now() - age)):
        await rooms.blobs.delete(names)
        total += len(names)
    if total:
        logger.info("removed %d files that nothing referred to", total)
    return total


async def unknown_files(rooms: Rooms, before: int) -> AsyncIterator[list[tuple[bytes, int]]]:
    """The files that no blob has in their folder and that were last written before a time, a few at a time: the blob's
    name, and the folder.
    """
    found = rooms.blobs.names()
    while step := await asyncio.to_thread(lambda: list(itertools.islice(found, STEP))):
        files = [(name, folder) for name, folder, written in step if written < before]
        known = await rooms.catalog.read(partial(blobs.known_files, names=[name for name, _ in files]))
        yield [(name, folder) for name, folder in files if not known.get(name, 0) & folder]
