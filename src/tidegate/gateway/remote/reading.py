"""Reading other providers' objects: what is here, and what is not yet.

A read that finds an object in ``head`` is a read as any other. One that does not begins to fill it, or waits for who
does; it gets the remote's bytes as they come. Every step looks again: between two chunks the object may have become
complete, or have been written, or dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from tidegate import errors
from tidegate.catalog import fills, versions
from tidegate.catalog.abc import Reader
from tidegate.catalog.fills import CHUNK, Grant, Partial
from tidegate.catalog.versions import Stored
from tidegate.clock import now
from tidegate.gateway.reading import ALL, LocalReading, Reading, Span, read_blob
from tidegate.gateway.remote import cached
from tidegate.gateway.remote.cached import Identity, identity
from tidegate.gateway.remote.completing import complete
from tidegate.gateway.remote.filling import Fill, Order
from tidegate.gateway.remote.fills import Fills
from tidegate.gateway.remote.pipe import Pipe
from tidegate.gateway.remote.upstreams import Opened, Ways, remote_of
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket, ObjectPart, Version
from tidegate.telemetry.remotes import METERS

if TYPE_CHECKING:
    from tidegate.upstream import RemoteObject

logger = logging.getLogger(__name__)

# No object has so many bytes; a range that begins or ends behind that is not passed on.
_FAR: Final = 2**50


class Reads:
    """Reading of buckets that are elsewhere, for callers who may. Beside what they say all raise as ``Upstream``."""

    def __init__(self, rooms: Rooms, keeper: Fills, ways: Ways | None = None) -> None:
        """``ways`` are those of a caller who reads by a signature of their own. They ask the remote themselves whether
        what is here may be trusted, and by them nobody else is told of what goes wrong.
        """
        self.rooms = rooms
        self.keeper = keeper
        self.ways: Ways = rooms.upstreams if ways is None else ways
        self._is_callers = ways is not None

    async def open(self, bucket: Bucket, key: str, span: Span = ALL, *, latest: bool = False) -> Reading:
        """Finds an object to read. ``span`` is what will be read of it, as far as that is known. ``latest`` has the
        remote asked whether what is here is what it has; so do properties of the bucket.

        Raises ``NoSuchKey``.
        """
        catalog, look = self.rooms.catalog, partial(find, bucket=bucket, key=key)
        found: Stored | Partial | None = None
        if not self._is_callers:
            found = await catalog.read_once(versions.undoubted, bucket, key)  # all that nearly all warm reads need
            if found is None:
                await self.rooms.turns.settled(bucket, key)
        if found is None:
            found = await catalog.read(look)
        asks = (latest or asks_first(bucket)) and not self._is_callers
        while True:
            is_opening = isinstance(found, Partial) and found.is_opened_by_another(self.keeper.over)
            if is_opening and span.start is not None:
                await self.wait(bucket, key)
                found = await catalog.read(look)
                continue
            known = known_of(found)
            if known is None:
                reading = await self._open_remote(bucket, key, span)
            elif asks and not await self._is_latest(bucket, key, identity(known), latest=latest):
                asks, reading = False, None
            else:
                asks, reading = False, await self._open_known(bucket, found, known)
            if reading is not None:
                return reading
            found = await catalog.read(look)

    async def head(self, bucket: Bucket, key: str, *, latest: bool = False) -> Version:
        """An object without its bytes. Raises ``NoSuchKey``."""
        await self.rooms.turns.settled(bucket, key)
        known = known_of(await self.rooms.catalog.read(partial(find, bucket=bucket, key=key)))
        asks = latest or asks_first(bucket)
        if known is not None and (not asks or await self._is_latest(bucket, key, identity(known), latest=latest)):
            return cached.named(known) if isinstance(known, Version) else cached.version_of(bucket, known, now())
        return cached.version_of(bucket, await self._ask(bucket, key), now())

    def count(self, bucket: Bucket, reading: Reading) -> None:
        """Takes down for the metrics that somebody reads what was opened."""
        METERS[remote_of(bucket).provider].read("warm" if reading.version.blob else "cold")

    async def open_here(self, bucket: Bucket, key: str, version_id: str) -> Reading | None:
        """A version of an object, by its provider's id, if all of it is here."""
        found = await self.rooms.catalog.read(partial(find, bucket=bucket, key=key))
        if not isinstance(found, Stored) or cached.named(found.version).version_id != version_id:
            return None
        return await self._open_known(bucket, found, found.version)

    async def wait(self, bucket: Bucket, key: str) -> None:
        """As ``Fills.wait``. Of what goes wrong for others, those hear who read by the same rights."""
        try:
            await self.keeper.wait((bucket.log, key))
        except errors.Error:
            if not self._is_callers:
                raise

    async def forget(self, bucket: Bucket, key: str) -> None:
        """Drops what is here of an object."""
        await self.rooms.catalog.write(partial(fills.forget, bucket=bucket, key=key, now=now()))

    # --- opening -----------------------------------------------------------------------------------------------------

    async def _open_known(
        self, bucket: Bucket, found: Stored | Partial | None, known: Version | RemoteObject
    ) -> Reading | None:
        """What is here, if it can be read."""
        if isinstance(found, Stored):
            try:
                local = LocalReading(self.rooms, bucket, found)
            except errors.DamagedBlob:
                await self.forget(bucket, found.version.key)
                return None
            local.version = cached.named(found.version)
            if local.data is not None:
                return local
            return RemoteReading(self, bucket, local.version, identity(found.version), local=local)
        if isinstance(known, Version):
            return None
        return RemoteReading(self, bucket, cached.version_of(bucket, known, now()), identity(known))

    async def _open_remote(self, bucket: Bucket, key: str, span: Span) -> Reading | None:
        """What is not here; None where somebody else has begun to read it."""
        if span.start is None or span.start >= _FAR:
            return self._unbegun(bucket, await self._ask(bucket, key))
        stop = None if span.stop is None or span.stop >= _FAR else span.stop
        fill = await self.begin(bucket, key, span.start, stop, None, None)
        if fill is None:
            return None
        try:
            remote = await asyncio.shield(fill.described)
        except errors.InvalidRange:  # whoever asked for it hears that when the size is known
            return self._unbegun(bucket, await self._ask(bucket, key))
        version = cached.version_of(bucket, remote, now())
        return RemoteReading(self, bucket, version, identity(remote), pipe=fill.pipe)

    def _unbegun(self, bucket: Bucket, remote: RemoteObject) -> Reading:
        return RemoteReading(self, bucket, cached.version_of(bucket, remote, now()), identity(remote))

    async def _ask(self, bucket: Bucket, key: str) -> RemoteObject:
        async with self.ways.use(bucket) as upstream:
            return await upstream.head(key)

    async def _is_latest(self, bucket: Bucket, key: str, known: Identity, *, latest: bool) -> bool:
        """Whether the remote has what is here. What it has not is dropped; where it has nothing, only if the bucket is
        to be kept in step, or this very read asks for it.
        """
        try:
            remote = await self._ask(bucket, key)
        except errors.NoSuchKey:
            if latest or bucket.properties.versioning.synchronize:
                await self.forget(bucket, key)
            raise
        if known.holds(identity(remote)):
            return True
        await self.forget(bucket, key)
        return False

    async def begin(
        self, bucket: Bucket, key: str, start: int, stop: int | None, expected: Identity | None, known: Partial | None
    ) -> Fill | None:
        """Begins to fill an object from a place: of what is ``known`` of it, or as an opening. None where somebody was
        faster. Where nothing can be stored the fill only passes on what it reads.
        """
        first = start // CHUNK
        end = None if stop is None else fills.count(stop)
        owner = self.keeper.new_owner()
        lease = self.keeper.lease(owner)
        grant: Grant | None = None
        try:
            await self.rooms.space.check()
            if known is None:
                opening = await self.rooms.catalog.write(
                    partial(fills.open_partial, bucket=bucket, key=key, lease=lease, now=now()), durable=False
                )
                if opening is None:
                    return None
                # How many chunks there are is not known yet: the remote says it.
                grant = Grant(opening, first, fills.NO_END if end is None else end)
            else:
                end = fills.count(known.size) if end is None else end
                grant = await self.rooms.catalog.write(
                    partial(fills.lease_chunks, partial=known.id, first=first, stop=end, lease=lease), durable=False
                )
                if grant is None:
                    return None
                end = grant.stop
        except (errors.InsufficientStorage, errors.ServiceUnavailable, errors.NoSuchBucket) as error:
            logger.info("%s/%s is read and not kept: %s", bucket.identity.uri, key, error.message)
            order = Order(bucket, key, start, stop, expected, owner, None, opens=False)
        else:
            size = known.size if known is not None else None if expected is None else expected.size
            until = None if end is None or (size is not None and end * CHUNK >= size) else end * CHUNK
            order = Order(bucket, key, first * CHUNK, until, expected, owner, grant, opens=known is None)
        if self._is_callers:
            order = msgspec.structs.replace(order, is_private=True)
        fill = Fill(self.keeper, self.ways, order)
        self.keeper.begin(fill.run())
        return fill

    def go_on(self, bucket: Bucket, key: str, owner: bytes, opening: int, opened: Opened) -> RemoteReading:
        """An object that the remote was asked for by who has the opening, which is the fill's from now on."""
        order = Order(bucket, key, 0, None, None, owner, Grant(opening, 0, fills.NO_END), opens=True)
        fill = Fill(self.keeper, self.ways, order, opened)
        self.keeper.begin(fill.run())
        remote, _ = opened
        return RemoteReading(self, bucket, cached.version_of(bucket, remote, now()), identity(remote), pipe=fill.pipe)


class RemoteReading:
    """Implements ``Reading`` for an object that is not in the catalog, or not all of it."""

    def __init__(
        self,
        reads: Reads,
        bucket: Bucket,
        version: Version,
        expected: Identity,
        *,
        pipe: Pipe | None = None,
        local: LocalReading | None = None,
    ) -> None:
        self.version = version
        self.log = bucket.log
        self.data: bytes | None = None
        self._reads = reads
        self._rooms = reads.rooms
        self._bucket = bucket
        self._expected = expected
        self._pipe = pipe
        self._local = local

    async def parts(self) -> tuple[ObjectPart, ...]:
        """The parts, where the object was written through us."""
        return () if self._local is None else await self._local.parts()

    async def stream(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a range. Raises ``RemoteChanged`` where the remote's object is not the one that was opened."""
        place, end = start, start + length
        while place < end:
            first = place
            try:
                source = await self._source(place, end)
                if source is None:
                    continue
                async with aclosing(source) as pieces:
                    async for piece in pieces:
                        place += len(piece)
                        yield piece
            except errors.DamagedBlob:  # it can be read again
                await self._reads.forget(self._bucket, self.version.key)
                if place > first and self._bucket.properties.checksum.validate_warm_get:
                    raise  # then it may be all of it, and some has been handed out

    async def _source(self, place: int, end: int) -> AsyncGenerator[bytes, None] | None:
        """Some or all of the bytes from a place on; None after having waited for somebody who reads them."""
        if self._pipe is not None:
            pipe, self._pipe = self._pipe, None
            return pipe.read(place, end)
        if self._local is not None:
            local, self._local = self._local, None
            return local.stream(place, end - place)
        reads, bucket, key, number = self._reads, self._bucket, self.version.key, place // CHUNK
        found, blob, is_leased = await self._rooms.catalog.read(
            partial(_look, bucket=bucket, key=key, number=number, over=reads.keeper.over)
        )
        known = known_of(found)
        if known is not None and not self._expected.holds(identity(known)):
            raise errors.RemoteChanged(Key=key)
        if isinstance(found, Stored):
            return LocalReading(self._rooms, bucket, found).stream(place, end - place)
        if is_leased:
            await reads.wait(bucket, key)
            return None
        if isinstance(found, Partial) and found.is_left_complete(reads.keeper.over):
            reads.keeper.begin_completion(
                found.id,
                complete(self._rooms, bucket, found.id, cached.unpack(found), is_verified=False, ways=reads.ways),
            )
        if blob is not None:
            size = fills.chunk_size(self.version.size, number)
            offset = place - number * CHUNK
            return read_blob(self._rooms, bucket, blob, offset, min(size - offset, end - place))
        is_open = isinstance(found, Partial) and found.remote is not None and found.etag
        fill = await reads.begin(bucket, key, place, end, self._expected, found if is_open else None)
        return None if fill is None else fill.pipe.read(place, end)


def asks_first(bucket: Bucket) -> bool:
    """Whether the bucket wants the remote to be asked before what is here is served."""
    wanted = bucket.properties.versioning
    return wanted.validate_warm_get or wanted.synchronize


def find(tx: Reader, bucket: Bucket, key: str) -> Stored | Partial | None:
    """What is here of an object."""
    try:
        return versions.read(tx, bucket, key)
    except errors.NoSuchKey:
        return fills.find(tx, bucket.log, key)


def known_of(found: Stored | Partial | None) -> Version | RemoteObject | None:
    """What is known of an object from what is here."""
    if isinstance(found, Stored):
        return found.version
    return None if found is None or found.remote is None else cached.unpack(found)


def _look(
    tx: Reader, bucket: Bucket, key: str, number: int, over: int
) -> tuple[Stored | Partial | None, int | None, bool]:
    """What is here of an object, the blob of a chunk of it, and whether somebody is reading that from the remote."""
    found = find(tx, bucket, key)
    if not isinstance(found, Partial):
        return found, None, False
    if found.remote is None:
        return found, None, found.is_opened_by_another(over)
    blob, is_leased = fills.chunk(tx, found.id, number, over)
    if blob is None and not found.etag:  # only one stream can bring all of it
        is_leased = fills.is_being_filled(tx, found.id, over)
    return found, blob, is_leased
