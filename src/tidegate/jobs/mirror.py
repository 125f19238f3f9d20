"""Sees to it that every blob has the copies that are wanted of it, on folders that are there and sound.

What there is to do stands in the catalog: blobs whose copies may not be as they should, one by one, and tasks that find
such blobs. Each is done in steps that leave everything consistent, so that it survives a kill at any moment: a copy is
durable before the catalog says that it is there, and is removed after the catalog has forgotten it. Nothing is dropped
before the copies that stay were read to their last byte.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import xxhash

from tidegate import errors
from tidegate.blobs.folder import MARKER
from tidegate.catalog import buckets, copies, folders
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.copies import Placed, Task, TaskKind
from tidegate.clock import SECOND, now
from tidegate.gateway.folders import Folders
from tidegate.gateway.rooms import Rooms
from tidegate.jobs.hold import may_copy

logger = logging.getLogger(__name__)

# Blobs that are copied at the same time: enough to keep two disks busy, and most threads for requests.
AT_ONCE = 4
# Blobs or versions in one step: some milliseconds of the writer's time, or of the event loop's.
STEP = 200
# What nothing can be done for is tried again then; at once where a folder has come back.
RETRY = 60 * SECOND
# A folder that cannot be left yet, because no other has room, is tried again then.
LEAVE_RETRY_SECONDS = 60.0
# After a count as many times as long as it took: who deletes what is shared, again and again, has it all counted again.
COUNT_RESTS = 10

Row = tuple[int, bytes, int, int]  # of ``copies.files_after``


class Mirror:
    """The job of one process on the data folder ``data``."""

    def __init__(self, rooms: Rooms, known: Folders, data: Path) -> None:
        self._rooms = rooms
        self._folders = known
        self._data = data
        self._there = rooms.blobs.there
        self._rests_until = 0.0
        self._counts_after = 0.0

    async def run(self) -> None:
        """Does what there is to do now."""
        await self._folders.refresh()  # what a task says of a folder, the store has to know before it is begun
        await self._notice()
        while True:
            with may_copy(self._data) as may:
                if not may or not (await settle_due(self._rooms) or await self._advance()):
                    return

    async def _notice(self) -> None:
        """Where a folder has come back, what waited for it goes on."""
        there, before = self._rooms.blobs.there, self._there
        if there == before:
            return
        self._there = there
        for folder in await self._rooms.catalog.read(folders.everyone):
            if (there ^ before) >> folder.number & 1:
                what = "is there again" if there >> folder.number & 1 else "is not there any more"
                logger.warning("the data folder %s %s", folder.path, what)
        if there & ~before:
            await self._rooms.catalog.write(copies.hurry)

    async def _advance(self) -> bool:
        """Does one step of a task. Returns whether there was something to do."""
        for task in await self._rooms.catalog.read(copies.tasks):
            if task.kind is TaskKind.LEAVE and time.monotonic() < self._rests_until:
                continue
            if task.kind is TaskKind.COUNT and time.monotonic() < self._counts_after:
                continue
            if task.kind is TaskKind.CHECK and not self._rooms.blobs.there >> task.subject & 1:
                continue
            if not task.total:
                total = await asyncio.to_thread(self._count, task)
                task = msgspec.structs.replace(task, total=total)  # noqa: PLW2901 - the same task, and its size
                await self._rooms.catalog.write(partial(copies.save, task=task))
            await self._step(task)
            return True
        return False

    async def _step(self, task: Task) -> None:
        catalog = self._rooms.catalog
        match task.kind:
            case TaskKind.BUCKET:
                if await catalog.write(partial(copies.walk, task=task, limit=STEP)) is None:
                    await catalog.write(partial(copies.end, task=task))
            case TaskKind.COUNT:
                began = time.monotonic()
                await count_anew(self._rooms)
                await catalog.write(partial(copies.end, task=task))
                ended = time.monotonic()
                self._counts_after = ended + COUNT_RESTS * (ended - began)
            case TaskKind.CHECK:
                if not await self._walk(task, self._gone):
                    await catalog.write(partial(copies.end, task=task))
            case TaskKind.LEAVE:
                if not await self._walk(task, self._all):
                    await self._leave(task)

    async def _walk(self, task: Task, which: Callable[[list[Row], int], Awaitable[list[int]]]) -> bool:
        """Looks at the next blobs, for those with a copy in a folder. Returns whether there were any."""
        last = int.from_bytes(task.position or b"")
        found = await self._rooms.catalog.read(partial(copies.files_after, after=last, limit=STEP))
        if not found:
            return False
        bit = 1 << task.subject
        unsettled = await which([row for row in found if row[3] & bit], bit)
        moved = msgspec.structs.replace(task, done=task.done + len(found), position=found[-1][0].to_bytes(8))

        def step(tx: Transaction) -> None:
            for blob in unsettled:
                copies.unsettle(tx, blob)
            copies.save(tx, moved)

        await self._rooms.catalog.write(step)
        return True

    async def _gone(self, rows: list[Row], bit: int) -> list[int]:
        """The blobs whose file is not in the folder."""
        return [blob for blob, name, size, _ in rows if not await self._rooms.blobs.complete(name, size, bit)]

    async def _all(self, rows: list[Row], bit: int) -> list[int]:
        del bit
        return [row[0] for row in rows]

    async def _leave(self, task: Task) -> None:
        """Forgets a folder, if nothing is in it any more; else looks through it again, later."""
        if await asyncio.to_thread(self._look, partial(folders.is_used, number=task.subject)):
            self._rests_until = time.monotonic() + LEAVE_RETRY_SECONDS
            again = msgspec.structs.replace(task, done=0, position=None)
            await self._rooms.catalog.write(partial(copies.save, task=again))
            return
        known = await self._rooms.catalog.read(folders.everyone)

        def leave(tx: Transaction) -> None:
            folders.remove(tx, task.subject)
            copies.end(tx, task)

        await self._rooms.catalog.write(leave)
        for folder in known:
            if folder.number == task.subject and self._rooms.blobs.there >> folder.number & 1:
                await asyncio.to_thread((Path(folder.path) / MARKER).unlink, missing_ok=True)
                logger.warning("the data folder %s is no longer needed", folder.path)

    def _count(self, task: Task) -> int:
        """About how much there is to do, in the task's own measure."""
        match task.kind:
            case TaskKind.BUCKET:
                return self._look(partial(copies.size_of_bucket, bucket=task.subject))
            case TaskKind.COUNT:
                return max(1, self._look(copies.mirrored_count))  # 0 is one that has not begun
            case _:
                return self._look(copies.file_count)

    def _look(self, function: Callable[[Reader], int]) -> int:
        with self._rooms.catalog.snapshot() as reader:
            return function(reader)


async def settle_due(rooms: Rooms) -> bool:
    """Settles the next blobs whose copies may not be as they should. Returns whether there were any."""
    # Where there is one folder left, nothing can be copied elsewhere, whatever waits for it.
    has_room = len(rooms.blobs.room(0, 0)) > 1 or bool(rooms.blobs.leaving)
    found = await rooms.catalog.read(partial(copies.due, now=now(), limit=AT_ONCE, suspects_only=not has_room))
    outcomes = await asyncio.gather(
        *(settle(rooms, blob, is_suspect=is_suspect) for blob, is_suspect in found), return_exceptions=True
    )
    for (blob, _), outcome in zip(found, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            logger.error("cannot look after the copies of blob %d", blob, exc_info=outcome)
            await rooms.catalog.write(partial(copies.postpone, blob=blob, until=now() + RETRY))
    return bool(found)


async def settle(rooms: Rooms, blob: int, *, is_suspect: bool) -> bool:
    """Makes the copies that a blob lacks, mends those that are damaged, and drops those that nobody wants.

    Returns whether all is well with it now. One who ``is_suspect`` is read to its last byte.
    """
    known = await rooms.catalog.read(partial(copies.placed, blob=blob))
    if known is None or (known.data is not None and known.copies == 1):
        await rooms.catalog.write(partial(copies.settled, blob=blob))
        return True
    if known.data is not None:
        is_well = await _put_in_file(rooms, known, known.data)
    else:
        is_well = await _settle_file(rooms, known, known.file or b"", is_suspect=is_suspect)
    if is_well:
        await rooms.catalog.write(partial(copies.settled, blob=blob))
    else:
        await rooms.catalog.write(partial(copies.postpone, blob=blob, until=now() + RETRY))
    return is_well


async def _put_in_file(rooms: Rooms, known: Placed, data: bytes) -> bool:
    """Objects of mirrored buckets are not inline."""
    store = rooms.blobs
    if store.capacity == 1 or xxhash.xxh3_64_digest(data) != known.digest:
        return False
    writer = store.writer([], min(known.copies, store.capacity), len(data))
    try:
        await writer.write(data)
        stored = await writer.finish()
    except errors.Error:
        await writer.abort()
        return False
    put = partial(copies.put_in_file, before=known, file=stored.name, digest=stored.digest, folders=stored.folders)
    if not await rooms.catalog.write(put):
        await store.delete([(stored.name, stored.folders)])
        return True  # deleted meanwhile
    return stored.folders.bit_count() >= known.copies


async def _settle_file(rooms: Rooms, known: Placed, name: bytes, *, is_suspect: bool) -> bool:
    store = rooms.blobs
    there, leaving = store.there, store.leaving
    drops = bool(known.folders & leaving) or known.folders.bit_count() > known.copies
    if is_suspect or drops:
        good = await store.sound(name, known.size, known.digest, known.folders & there)
    else:
        good = await store.complete(name, known.size, known.folders & there)
    away = known.folders & ~there & ~leaving
    sources = good or known.folders & there  # of damaged copies, what is sound in one may be damaged in the other
    wanted = min(known.copies, store.capacity) - away.bit_count()
    for target in (*bits(known.folders & there & ~good & ~leaving), *store.room(known.size, known.folders)):
        if not sources or (not target & known.folders and (good & ~leaving).bit_count() >= wanted):
            break
        try:
            await store.copy(name, known.size, known.digest, sources, target)
        except errors.Error as error:
            logger.warning("cannot copy the blob %s: %s", name.hex(), error)
            if not good:
                break
        else:
            good |= target
            sources = good
    if not good and not away:
        logger.error("no copy of the blob %s is sound", name.hex())
        await rooms.catalog.write(partial(copies.settled, blob=known.blob))  # fsck tells whose it is
    folders_now = _chosen(rooms, known, good, away)
    if folders_now != known.folders or good & ~known.folders:
        if not await rooms.catalog.write(partial(copies.place, before=known, folders=folders_now)):
            await store.delete([(name, good & ~known.folders)])
            return True  # deleted meanwhile
        await store.delete([(name, (known.folders | good) & ~folders_now & there)])
    return (folders_now & (good | away) & ~leaving).bit_count() >= known.copies and not folders_now & leaving


def _chosen(rooms: Rooms, known: Placed, good: int, away: int) -> int:
    """The folders that a blob is to be in. ``good`` have a sound copy, those ``away`` are not there."""
    store = rooms.blobs
    lost = known.folders & store.leaving & ~store.there
    if not good:
        return known.folders & ~lost  # damaged as the others may be, somebody may mend them
    kept = good & ~store.leaving
    if kept.bit_count() >= known.copies:
        return sum(store.by_room(kept)[: known.copies])
    chosen = kept | away
    if not kept or chosen.bit_count() < min(known.copies, store.capacity):
        chosen |= good & store.leaving
    return chosen


async def count_anew(rooms: Rooms) -> None:
    """Finds out of which blobs fewer copies are wanted than there were, by asking everyone who refers to them."""
    catalog = rooms.catalog
    last: int | None = 0
    while last is not None:
        last = await catalog.write(partial(copies.mark, after=last, limit=STEP))
    with catalog.snapshot() as reader:
        found = _surplus(reader)
        while step := await asyncio.to_thread(_next, found):
            await catalog.write(partial(copies.lower, wanted=step))
    last = 0
    while last is not None:
        last = await catalog.write(partial(copies.unmark, after=last, limit=STEP))


def _surplus(reader: Reader) -> Iterator[tuple[int, int]]:
    everyone = buckets.page(reader, prefix="", after="", limit=sys.maxsize)
    yield from copies.too_many(reader, {bucket.id: bucket.copies for bucket in everyone if bucket.copies > 1})


def _next(found: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    return [row for _, row in zip(range(STEP), found, strict=False)]


def bits(folders_: int) -> list[int]:
    """Each folder of a set, as a set of its own."""
    return [1 << number for number in range(folders_.bit_length()) if folders_ >> number & 1]
