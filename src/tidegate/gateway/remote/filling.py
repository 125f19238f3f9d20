"""A fill: one stream of a remote's object that goes to the store in chunks, and to the reader that began it.

It runs beside its reader. The reader gets each piece as it comes; if it is slow, or goes away, it loses the stream, and
the chunk under way is filled at the remote's own speed, because others may be waiting for it. Then the fill ends: a
reader that is behind reads what is here, and begins another one.

Where nothing can be stored (a full disk; somebody has written the object meanwhile) the bytes only pass through.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from tidegate import errors
from tidegate.catalog import fills
from tidegate.catalog.fills import CHUNK, Grant
from tidegate.clock import now
from tidegate.gateway.remote.cached import Identity, identity
from tidegate.gateway.remote.fills import Fills
from tidegate.gateway.remote.pipe import Pipe
from tidegate.gateway.remote.storing import ChunkStore
from tidegate.gateway.remote.upstreams import Opened, Ways
from tidegate.model import Bucket

if TYPE_CHECKING:
    from tidegate.upstream import RemoteObject

# How long all waiting for a reader may take in one chunk: others may be waiting for the chunk.
PATIENCE_SECONDS: Final = 0.25
# The same where nothing is stored, for a piece: then a reader keeps one of the remote's connections from others.
STALL_SECONDS: Final = 30.0
# After these, what is here of the object is worth nothing.
_WORTHLESS: Final = (errors.RemoteChanged, errors.RemoteDamaged, errors.NoSuchKey)


class Order(msgspec.Struct, frozen=True):
    """What is to be read: from ``start`` (a multiple of ``CHUNK`` if there is a grant) to before ``stop``, or the end.

    ``expected`` is what it has to be a part of, if that is known. ``grant`` is what may be stored, which is an opening
    if it ``opens``; without one the bytes pass through. If it ``is_private``, what goes wrong says nothing to others
    who wait for the object: the caller reads it by rights that they do not share.
    """

    bucket: Bucket
    key: str
    start: int
    stop: int | None
    expected: Identity | None
    owner: bytes
    grant: Grant | None
    opens: bool
    is_private: bool = False


class Fill:
    """Is begun by ``Fills.begin(fill.run())``. ``described`` is what the remote said.

    ``opened`` is the answer to what is ordered, where the remote has been asked already.
    """

    def __init__(self, keeper: Fills, ways: Ways, order: Order, opened: Opened | None = None) -> None:
        self.pipe = Pipe()
        self.described: asyncio.Future[RemoteObject] = asyncio.get_running_loop().create_future()
        self._keeper = keeper
        self._ways = ways
        self._order = order
        self._opened = opened
        self._has_leases = True
        if order.grant is not None:
            keeper.hold(order.owner, order.grant.partial)

    async def run(self) -> None:
        """Reads what was ordered. What goes wrong is told to the reader, and to those who wait."""
        order = self._order
        failure: errors.Error | None = errors.RemoteUnavailable("The server is stopping.")
        try:
            await self._run()
            failure = None
        except errors.Error as error:
            failure = error
            if isinstance(error, _WORTHLESS) and order.grant is not None:
                with contextlib.suppress(errors.Error):  # then the next reader finds out too
                    await self._keeper.rooms.catalog.write(partial(fills.drop, partial=order.grant.partial, now=now()))
        except Exception:
            failure = errors.Error()
            raise
        finally:
            told = None if order.is_private else failure
            await self._keeper.end((order.bucket.log, order.key), order.owner, told, has_leases=self._has_leases)
            if failure is not None and not self.described.done():
                self.described.set_exception(failure)
                self.described.exception()  # it is no fault if nobody waits any more
            self.pipe.cut(failure)

    async def _run(self) -> None:
        order = self._order
        etag = None if order.expected is None else order.expected.etag or None
        async with self._ways.use(order.bucket) as upstream:
            if self._opened is None:
                self._opened = await upstream.get(order.key, start=order.start, stop=order.stop, if_match=etag)
            remote, body = self._opened
            async with AsyncExitStack() as stack:
                store: ChunkStore | None = None
                async with aclosing(body):
                    if order.expected is not None and not order.expected.holds(identity(remote)):
                        raise errors.RemoteChanged(Key=order.key)
                    store = self._store(remote)
                    if store is not None:
                        await stack.enter_async_context(store)
                    self.described.set_result(remote)
                    await self._stream(remote, body, store)
                if store is not None and not store.has_failed:
                    await store.finish()
                    self._has_leases = store.has_failed or store.has_leases

    def _store(self, remote: RemoteObject) -> ChunkStore | None:
        """Where the bytes go. Nowhere if they are a part of something that cannot be proven to be the same later."""
        order = self._order
        is_whole = order.start == 0 and (order.stop is None or order.stop >= remote.size)
        if order.grant is None or not (remote.etag or is_whole):
            return None
        return ChunkStore(
            self._keeper,
            self._ways,
            order.bucket,
            remote,
            order.owner,
            order.grant,
            opens=order.opens,
            is_whole=is_whole,
        )

    async def _stream(self, remote: RemoteObject, body: AsyncGenerator[bytes, None], store: ChunkStore | None) -> None:
        place, waited = self._order.start, 0.0
        async for piece in body:
            for part in _split(piece, place):
                keeps = store is not None and not store.has_failed
                patience = max(0.0, PATIENCE_SECONDS - waited) if keeps else STALL_SECONDS
                waited += await self.pipe.put(place, part, patience)
                place += len(part)
                if store is not None:
                    await store.write(part)
                    if place % CHUNK == 0 or place == remote.size:
                        waited = 0.0
                        # Without an ETag nobody can go on where this ends.
                        goes_on = self._is_wanted(place) or not remote.etag
                        if not await store.end_chunk(goes_on=goes_on) and not store.has_failed:
                            return
                if (store is None or store.has_failed) and not self._is_wanted(place):
                    return

    def _is_wanted(self, place: int) -> bool:
        """Whether the reader is there and wants what begins here."""
        return self.pipe.is_open and (self.pipe.wanted is None or place < self.pipe.wanted)


def _split(piece: bytes, place: int) -> Iterator[bytes | memoryview]:
    """The parts of a piece that are in different chunks."""
    room = CHUNK - place % CHUNK
    if len(piece) <= room:
        yield piece
        return
    view = memoryview(piece)
    while view:
        yield view[:room]
        view, room = view[room:], CHUNK
