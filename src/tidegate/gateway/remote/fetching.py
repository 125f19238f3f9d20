"""Bringing an object here that nobody waits to read: as a cold read does, of which nobody gets the bytes."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from functools import partial
from typing import Final

from tidegate import errors
from tidegate.catalog import fills, versions
from tidegate.catalog.abc import Reader
from tidegate.catalog.fills import Partial
from tidegate.gateway.reading import Reading
from tidegate.gateway.remote.reading import Reads
from tidegate.model import Bucket

# Reads of an object that is changed, evicted or given up by others meanwhile, before that is an error.
TRIES: Final = 3
# Objects that somebody who reads many has fetched ahead at once: a quarter of the requests that an upstream makes.
AHEAD: Final = 16


async def fetch(reads: Reads, bucket: Bucket, key: str, *, latest: bool = False) -> int | None:
    """Has an object cached. Returns its size; None where it was already. With ``latest`` the remote is asked whether
    what is here is what it has.

    Raises ``NoSuchKey``, ``InsufficientStorage``, ``RemoteChanged`` where it changes again and again, and as
    ``Upstream``.
    """
    await reads.rooms.turns.settled(bucket, key)
    if await _is_here(reads, bucket, key):
        if latest:
            await reads.head(bucket, key, latest=True)  # drops what is not
        if not latest or await _is_here(reads, bucket, key):
            return None
    await reads.rooms.space.check()
    for _ in range(TRIES):
        try:
            reading = await reads.open(bucket, key)
            if await bring(reads, bucket, reading):
                return reading.version.size
        except errors.RemoteChanged:
            pass
    raise errors.RemoteChanged("The object was changed, or could not be kept, each time that it was read.", Key=key)


async def bring(reads: Reads, bucket: Bucket, reading: Reading) -> bool:
    """Reads all of an object that was opened. Returns whether it is here then. Raises ``RemoteChanged``."""
    async with aclosing(reading.stream(0, reading.version.size)) as pieces:
        async for _piece in pieces:
            pass
    return await _has_arrived(reads, bucket, reading.version.key)


async def _is_here(reads: Reads, bucket: Bucket, key: str) -> bool:
    return await reads.rooms.catalog.read(partial(_look, bucket=bucket, key=key)) is True


async def _has_arrived(reads: Reads, bucket: Bucket, key: str) -> bool:
    """Waits for whoever is still keeping what was read. Returns whether all of it is here."""
    while True:
        found = await reads.rooms.catalog.read(partial(_look, bucket=bucket, key=key))
        if not isinstance(found, Partial):
            return found is True
        over = reads.keeper.over
        is_being_filled = await reads.rooms.catalog.read(partial(fills.is_being_filled, partial=found.id, over=over))
        if not (is_being_filled or found.is_opened_by_another(over) or (found.until or 0) > over):
            return False
        await reads.keeper.wait((bucket.log, key))


def _look(tx: Reader, bucket: Bucket, key: str) -> Partial | bool:
    """Whether an object is here, or what is."""
    try:
        versions.get(tx, bucket, key)
    except errors.NoSuchKey:
        return fills.find(tx, bucket.log, key) or False
    return True


class Ahead:
    """Fetches objects that somebody is about to read one after the other. What goes wrong they hear when they do."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._places = asyncio.Semaphore(AHEAD)
        self._tasks: dict[tuple[int, str], asyncio.Task[None]] = {}

    def want(self, bucket: Bucket, key: str) -> None:
        """Has an object fetched, after those that were wanted before it."""
        name = (bucket.log, key)
        if name not in self._tasks:
            task = self._tasks[name] = asyncio.create_task(self._fetch(bucket, key))
            task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def close(self) -> None:
        """Breaks off what is under way. What is here stays."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, bucket: Bucket, key: str) -> None:
        async with self._places:
            with contextlib.suppress(errors.Error):
                await fetch(self._reads, bucket, key)
