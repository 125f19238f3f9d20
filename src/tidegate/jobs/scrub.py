"""Reads every blob and holds it against its checksum. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import msgspec
import xxhash

from tidegate.catalog import blobs
from tidegate.catalog.blobs import Leaf
from tidegate.catalog.check import Fault, Problem
from tidegate.gateway.rooms import Rooms

# Blobs that are looked at together. Of each file one piece is in memory at a time.
STEP = 32


class Scrubbed(msgspec.Struct):
    """How much has been read."""

    blobs: int = 0
    bytes: int = 0


async def scrub(rooms: Rooms, scrubbed: Scrubbed) -> AsyncIterator[Problem]:
    """The blobs in use whose bytes, or those of a copy, are not what was written, or gone. What vanishes meanwhile is
    none of them, and so is a copy in a folder that is not there.
    """
    last = 0
    while step := await rooms.catalog.read(partial(blobs.leaves_after, after=last, limit=STEP)):
        for problem in await asyncio.gather(*(_problem(rooms, leaf) for leaf in step)):
            if problem is not None:
                yield problem
        scrubbed.blobs += len(step)
        scrubbed.bytes += sum(leaf.size for leaf in step)
        last = step[-1].blob


async def is_sound(rooms: Rooms, blob: int) -> bool:
    """Whether the bytes of a blob are as they were written, where it has bytes of its own."""
    leaf = await rooms.catalog.read(partial(blobs.leaf, blob=blob))
    problem = None if leaf is None else await _problem(rooms, leaf)
    return problem is None or problem.fault is Fault.COPY_DAMAGED


async def _problem(rooms: Rooms, leaf: Leaf) -> Problem | None:
    if leaf.file is None:
        if leaf.data is not None and xxhash.xxh3_64_digest(leaf.data) == leaf.digest:
            return None
        detail = "its bytes do not match their checksum"
    else:
        there = leaf.folders & rooms.blobs.there
        good = await rooms.blobs.sound(leaf.file, leaf.size, leaf.digest, there)
        if good and good == there:
            return None
        if good:
            detail = f"{(there & ~good).bit_count()} of the copies of its file {leaf.file.hex()} are damaged or gone"
            return Problem(Fault.COPY_DAMAGED, detail, blob=leaf.blob)
        detail = f"its file {leaf.file.hex()} is damaged, unreadable or gone"
    now = await rooms.catalog.read(partial(blobs.leaf, blob=leaf.blob))
    if now is None:
        return None  # deleted since: it is no loss
    if (now.file, now.folders) != (leaf.file, leaf.folders):
        return await _problem(rooms, now)  # moved since
    return Problem(Fault.BYTES_DAMAGED, detail, blob=leaf.blob)
