"""Eviction: makes room on disks that are too full, of what other providers keep too.

From ``space.highwm`` on, what was not read for the longest time goes, until ``space.lowwm``. Bytes that wait to be
collected count as gone already: they stay for a while, so that no read that is under way loses them.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from tidegate.catalog import buckets, configuration, eviction, folders
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.eviction import Candidate
from tidegate.clock import now
from tidegate.gateway.rooms import Rooms
from tidegate.properties.spans import microseconds

logger = logging.getLogger(__name__)

# Candidates in one transaction, some 10 ms of the writer's time; and how many blobs it lets go of, or a few more.
STEP = 200
MAX_BLOBS = 2000


class Disk(msgspec.Struct, frozen=True):
    """A disk with the set of data folders that are on it. ``used`` and ``capacity`` are in bytes."""

    folders: int
    used: int
    capacity: int


class Done(msgspec.Struct, frozen=True):
    """How much was evicted."""

    objects: int = 0
    size: int = 0


class _Step(msgspec.Struct, frozen=True):
    """What a transaction did: how many candidates it has looked at beside."""

    looked_at: int
    objects: int
    size: int


async def evict(rooms: Rooms, home: Path) -> Done:
    """Evicts what has to go for the disks of the store whose home folder that is. One at a time in a process."""
    done = Done()
    async with rooms.space.evicting:
        space = (await rooms.catalog.recall("configuration", configuration.get)).space
        known = await rooms.catalog.recall("folders", folders.everyone)
        places = [(1 << each.number, Path(each.path) if each.number else home) for each in known]
        places = [place for place in places if place[0] & rooms.blobs.there]
        for disk in await asyncio.to_thread(look, places):
            if disk.used * 100 <= space.highwm * disk.capacity:
                continue
            waiting = await rooms.catalog.read(partial(eviction.waiting_to_go, folders=disk.folders))
            used = disk.used - waiting
            if used * 100 > space.highwm * disk.capacity:
                freed = await free(rooms, disk.folders, used - space.lowwm * disk.capacity // 100)
                done = Done(done.objects + freed.objects, done.size + freed.size)
    if done.objects:
        logger.info("evicted %d objects of %d bytes", done.objects, done.size)
    return done


async def free(rooms: Rooms, folders_: int, wanted: int) -> Done:
    """Evicts what was not read for the longest time, until so many bytes go from folders or there is no more."""
    objects = size = 0
    before = await rooms.catalog.read(_before)
    if not before:
        return Done()
    with rooms.catalog.snapshot() as reader:
        found = eviction.least_used(reader, before)
        while size < wanted and (step := await asyncio.to_thread(lambda: list(itertools.islice(found, STEP)))):
            while step and size < wanted:
                function = partial(_some, candidates=step, folders_=folders_, wanted=wanted - size)
                taken = await rooms.catalog.write(function)
                objects += taken.objects
                size += taken.size
                step = step[taken.looked_at :]
    return Done(objects, size)


def look(places: Sequence[tuple[int, Path]]) -> list[Disk]:
    """The disks of data folders. Those that are not there are left out. Blocks."""
    disks: dict[int, Disk] = {}
    for bit, path in places:
        with suppress(OSError):
            usage, device = shutil.disk_usage(path), path.stat().st_dev
            others = disks[device].folders if device in disks else 0
            disks[device] = Disk(others | bit, usage.used, usage.used + usage.free)
    return list(disks.values())


def _before(tx: Reader) -> dict[int, int]:
    """The logs that may be evicted from, each with the time before which an object was last used that may go."""
    moment = now()
    return {
        bucket.log: moment - microseconds(bucket.properties.lru.dont_evict_time)
        for bucket in buckets.page(tx, prefix="", after="", limit=sys.maxsize)
        if bucket.is_elsewhere and bucket.properties.lru.enabled
    }


def _some(tx: Transaction, candidates: Sequence[Candidate], folders_: int, wanted: int) -> _Step:
    moment = now()
    looked_at = objects = size = blobs = 0
    for candidate in candidates:
        if size >= wanted or blobs >= MAX_BLOBS:
            break
        looked_at += 1
        evicted = eviction.evict_candidate(tx, candidate, folders_, moment, moment)
        if evicted is not None:
            objects += 1
            size += evicted.size
            blobs += evicted.blobs
    return _Step(looked_at, objects, size)
