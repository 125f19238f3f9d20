"""Reading the bytes of a version, wherever they are kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

import msgspec
import xxhash

from tidegate import checksums, errors
from tidegate.blobs import HOME
from tidegate.catalog import blobs, copies, versions
from tidegate.catalog.blobs import Extent, Kind
from tidegate.catalog.buckets import Name
from tidegate.catalog.versions import Stored
from tidegate.gateway.rooms import Rooms
from tidegate.model import EMPTY, STANDARD, Attributes, Bucket, ObjectPart, Principal, Version


class Span(msgspec.Struct, frozen=True):
    """What somebody is going to read of an object whose size is not known yet: from ``start`` to before ``stop``, or to
    the end. A ``start`` of None says nothing, or that nothing will be read.
    """

    start: int | None = 0
    stop: int | None = None


ALL: Final = Span()
UNKNOWN: Final = Span(None)


class Reading(Protocol):
    """An object that was found and may be read by the caller, wherever it is.

    ``log`` is its bucket's; ``data`` is all of it where that is in memory, and verified.
    """

    @property
    def version(self) -> Version: ...

    @property
    def data(self) -> bytes | None: ...

    @property
    def log(self) -> int: ...

    async def parts(self) -> tuple[ObjectPart, ...]:
        """The parts of a multipart object; empty for any other."""

    def stream(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a range, or an error in their place. To be closed."""


class LocalReading:
    """Implements ``Reading`` for an object of the store's."""

    def __init__(self, rooms: Rooms, bucket: Bucket, stored: Stored) -> None:
        self._rooms = rooms
        self._stored = stored
        self._validates = bucket.properties.checksum.validate_warm_get
        self.log = bucket.log
        self.version: Version = stored.version
        self.data = stored.data
        if stored.data is not None:
            if xxhash.xxh3_64_digest(stored.data) != stored.digest:
                raise errors.DamagedBlob
            if (digest := self._digest()) is not None:
                digest.update(stored.data)
                digest.check()

    async def parts(self) -> tuple[ObjectPart, ...]:
        """The parts of a multipart object; empty for any other."""
        blob = self.version.blob
        if self._stored.kind != Kind.COMPOSED or blob is None:
            return ()
        return await self._rooms.catalog.read(lambda tx: blobs.parts_of(tx, blob))

    async def stream(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a range, each verified. Raises ``DamagedBlob`` at the first that is not as it was written.

        Where the bucket validates its checksums, all of an object is held against its own too, before its last bytes
        are handed out.
        """
        digest = self._digest() if length == self.version.size and self.data is None else None
        if digest is None:
            pieces = self._stream(start, length)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
            return
        held = b""
        async with aclosing(self._stream(start, length)) as pieces:
            async for piece in pieces:
                if held:
                    yield held
                digest.update(piece)
                held = piece
        digest.check()
        yield held

    def _digest(self) -> _Digest | None:
        """What to hold the object against as a whole, if that is wanted and known."""
        expected = self.version.attributes.digest
        return _Digest(*expected) if self._validates and expected is not None else None

    async def _stream(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        stored, blob = self._stored, self.version.blob
        if stored.data is not None:
            yield stored.data[start : start + length]
        elif stored.file is not None and stored.digest is not None:
            extent = Extent(blob or 0, stored.file, self.version.size, stored.digest, start, length, stored.folders)
            async with aclosing(self._file(extent, stored.file)) as file:
                async for piece in file:
                    yield piece
        elif blob is not None:
            left = length
            extents = await self._rooms.catalog.read(lambda tx: blobs.extents(tx, blob, start, length))
            await self._check_there(extents)
            for extent in extents:
                async with aclosing(self._extent(extent)) as pieces:
                    async for piece in pieces:
                        left -= len(piece)
                        yield piece
            if left:
                raise errors.DamagedBlob

    async def _check_there(self, extents: Sequence[Extent]) -> None:
        """Raises ``FolderMissing`` where some of an object is only in folders that are missing: better none of it is
        sent than a beginning. Asks the disks only where that seems to be so.
        """
        store = self._rooms.blobs
        needed = {extent.folders for extent in extents if extent.file is not None}
        if any(not folders & store.there for folders in needed):
            await store.refresh()
            if any(not folders & store.there for folders in needed):
                raise errors.FolderMissing

    async def _extent(self, extent: Extent) -> AsyncGenerator[bytes, None]:
        if extent.file is None:
            data = await self._rooms.catalog.read(lambda tx: blobs.inline_data(tx, extent.blob))
            if data is not None:
                if xxhash.xxh3_64_digest(data) != extent.digest:
                    raise errors.DamagedBlob
                yield data[extent.start : extent.start + extent.length]
                return
            if (reference := await self._rooms.catalog.read(lambda tx: blobs.reference(tx, extent.blob))) is not None:
                pieces = self._rooms.references.stream(reference, extent.start, extent.length)
                async with aclosing(pieces):
                    async for piece in pieces:
                        yield piece
                return
            extent = await self._moved(extent, errors.DamagedBlob())
        async with aclosing(self._file(extent, extent.file or b"")) as file:
            async for piece in file:
                yield piece

    def _file(self, extent: Extent, name: bytes) -> AsyncGenerator[bytes, None]:
        """The bytes of a blob that is a file."""
        if extent.folders == HOME:
            return self._rooms.blobs.read(name, extent.size, extent.digest, extent.start, extent.length)
        return self._copies(extent, name)

    async def _copies(self, extent: Extent, name: bytes) -> AsyncGenerator[bytes, None]:
        """The same where there is a choice of folders, which may change until they are read."""
        done = 0
        while True:
            start, left = extent.start + done, extent.length - done
            file = self._rooms.blobs.read(name, extent.size, extent.digest, start, left, extent.folders)
            try:
                async with aclosing(file):
                    async for piece in file:
                        yield piece
                        done += len(piece)
            except (errors.DamagedBlob, errors.ServiceUnavailable, errors.FolderMissing) as error:
                extent = await self._moved(extent, error)
            else:
                return

    async def _moved(self, extent: Extent, error: errors.Error) -> Extent:
        """Where a blob is now that could not be read where it had been. Raises the error where it has not moved."""
        placed = await self._rooms.catalog.read(lambda tx: copies.placed(tx, extent.blob))
        if placed is None or placed.file is None or (placed.file, placed.folders) == (extent.file, extent.folders):
            raise error
        return msgspec.structs.replace(extent, file=placed.file, digest=placed.digest, folders=placed.folders)


class _Digest:
    """A checksum of a whole object that is being computed, and what it has to be."""

    def __init__(self, kind: str, expected: str) -> None:
        self._hasher = checksums.new(checksums.DIGESTS[kind])
        self._expected = expected
        self.update = self._hasher.update

    def check(self) -> None:
        """Raises ``DamagedBlob``."""
        if self._hasher.digest().hex() != self._expected:
            raise errors.DamagedBlob


async def open_reading(
    rooms: Rooms, principal: Principal, bucket_name: Name, action: str, key: str, version_id: str
) -> LocalReading:
    """Finds an object that the caller may read.

    Raises ``NoSuchBucket``, ``AccessDenied``, ``NoSuchKey``, ``NoSuchVersion``, ``DeleteMarker``,
    ``NamedDeleteMarker``.
    """
    bucket = await rooms.bucket(principal, bucket_name, action)
    return await find_reading(rooms, bucket, key, version_id)


async def find_reading(rooms: Rooms, bucket: Bucket, key: str, version_id: str) -> LocalReading:
    """Finds an object of a bucket of ours, for a caller who may read it. Raises as ``open_reading``."""
    stored = await rooms.catalog.read_once(versions.at_once, bucket, key, version_id)
    if stored is None:
        stored = await rooms.catalog.read(lambda tx: versions.read(tx, bucket, key, version_id))
    return LocalReading(rooms, bucket, stored)


def read_blob(rooms: Rooms, bucket: Bucket, blob: int, start: int, length: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a range of a blob that need not be a version's. Raises ``DamagedBlob``."""
    version = Version("", 0, "", start + length, "", 0, STANDARD, blob, Attributes(), EMPTY)
    return LocalReading(rooms, bucket, Stored(version, Kind.COMPOSED, None, None, None, 0)).stream(start, length)
