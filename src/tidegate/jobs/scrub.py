"""Reads every blob and holds it against its checksum. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import msgspec
import xxhash

from tidegate import errors
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
    """The blobs in use whose bytes are not what was written, or gone. What vanishes meanwhile is none of them."""
    last = 0
    while step := await rooms.catalog.read(partial(blobs.leaves_after, after=last, limit=STEP)):
        for problem in await asyncio.gather(*(_problem(rooms, leaf) for leaf in step)):
            if problem is not None:
                yield problem
        scrubbed.blobs += len(step)
        scrubbed.bytes += sum(leaf.size for leaf in step)
        last = step[-1].blob


async def is_sound(rooms: Rooms, blob: int) -> bool:
    """Whether all bytes of a blob, also of a composed one, are as they were written."""

    def find(tx: blobs.Reader) -> list[Leaf]:
        return blobs.leaves_of(tx, blob)

    leaves = await rooms.catalog.read(find)
    return all([await _problem(rooms, leaf) is None for leaf in leaves])


async def _problem(rooms: Rooms, leaf: Leaf) -> Problem | None:
    if leaf.file is None:
        if leaf.data is not None and len(leaf.data) == leaf.size and xxhash.xxh3_64_digest(leaf.data) == leaf.digest:
            return None
        detail = "its bytes do not match their checksum"
    else:
        try:
            await rooms.blobs.verify(leaf.file, leaf.size, leaf.digest)
        except errors.Error as error:
            detail = f"its file {leaf.file.hex()} is damaged or gone ({error})"
        else:
            return None
    # Deleted since, or garbage that nobody reads: then it is no loss.
    if not await rooms.catalog.read(lambda tx: blobs.is_in_use(tx, leaf.blob)):
        return None
    return Problem(Fault.BYTES_DAMAGED, detail, blob=leaf.blob)
