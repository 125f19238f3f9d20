"""Reading the bytes of a version, wherever they are kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import xxhash

from tidegate import errors
from tidegate.catalog import blobs, versions
from tidegate.catalog.blobs import Extent, Kind
from tidegate.catalog.versions import Stored
from tidegate.gateway.rooms import Rooms
from tidegate.model import ObjectPart, Principal, Version


class Reading:
    """An object that was found and may be read by the caller.

    ``data`` is all of it where it is kept inline, and verified.
    """

    def __init__(self, rooms: Rooms, stored: Stored) -> None:
        self._rooms = rooms
        self._stored = stored
        self.version: Version = stored.version
        self.data = stored.data
        if stored.data is not None and xxhash.xxh3_64_digest(stored.data) != stored.digest:
            raise errors.DamagedBlob

    async def parts(self) -> tuple[ObjectPart, ...]:
        """The parts of a multipart object; empty for any other."""
        blob = self.version.blob
        if self._stored.kind != Kind.COMPOSED or blob is None:
            return ()
        return await self._rooms.catalog.read(lambda tx: blobs.parts_of(tx, blob))

    async def stream(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a range, each verified. Raises ``DamagedBlob`` at the first that is not as it was written."""
        stored, blob = self._stored, self.version.blob
        if stored.data is not None:
            yield stored.data[start : start + length]
        elif stored.file is not None and stored.digest is not None:
            file = self._rooms.blobs.read(stored.file, self.version.size, stored.digest, start, length)
            async with aclosing(file):
                async for piece in file:
                    yield piece
        elif blob is not None:
            left = length
            for extent in await self._rooms.catalog.read(lambda tx: blobs.extents(tx, blob, start, length)):
                async with aclosing(self._extent(extent)) as pieces:
                    async for piece in pieces:
                        left -= len(piece)
                        yield piece
            if left:
                raise errors.DamagedBlob

    async def _extent(self, extent: Extent) -> AsyncGenerator[bytes, None]:
        if extent.file is not None:
            file = self._rooms.blobs.read(extent.file, extent.size, extent.digest, extent.start, extent.length)
            async with aclosing(file):
                async for piece in file:
                    yield piece
            return
        data = await self._rooms.catalog.read(lambda tx: blobs.inline_data(tx, extent.blob))
        if data is None or xxhash.xxh3_64_digest(data) != extent.digest:
            raise errors.DamagedBlob
        yield data[extent.start : extent.start + extent.length]


async def open_reading(
    rooms: Rooms, principal: Principal, bucket_name: str, action: str, key: str, version_id: str
) -> Reading:
    """Finds an object that the caller may read.

    Raises ``NoSuchBucket``, ``AccessDenied``, ``NoSuchKey``, ``NoSuchVersion``, ``DeleteMarker``,
    ``NamedDeleteMarker``.
    """
    stored = await rooms.read(
        principal, bucket_name, action, lambda tx, bucket: versions.read(tx, bucket, key, version_id)
    )
    return Reading(rooms, stored)
