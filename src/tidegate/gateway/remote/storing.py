"""The chunks of a fill on their way into the store.

A chunk is made durable, and committed, while the next one comes: each is leased a chunk ahead. What fails here (a full
disk, a lease that was taken away) ends the storing and not the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from tidegate import errors
from tidegate.blobs import BlobWriter
from tidegate.catalog import fills
from tidegate.catalog.abc import Transaction
from tidegate.catalog.blobs import Content
from tidegate.catalog.fills import CHUNK, Grant
from tidegate.clock import now
from tidegate.gateway.receive import in_file, inline
from tidegate.gateway.remote import cached
from tidegate.gateway.remote.completing import complete
from tidegate.gateway.remote.fills import Fills
from tidegate.gateway.remote.upstreams import Ways
from tidegate.model import Bucket

if TYPE_CHECKING:
    from tidegate.upstream import RemoteObject

T = TypeVar("T")

logger = logging.getLogger(__name__)


class LostError(errors.Error):
    """What is being stored is not wanted any more: somebody has written the object, or dropped what was here of it.

    Never leaves this room.
    """


class ChunkStore:
    """Takes the bytes of a fill in, from the chunk that was granted first. A context: what is not ended is removed.

    ``opens`` says that the grant is an opening. ``is_whole`` says that one stream brings all of the object.
    """

    def __init__(
        self, keeper: Fills, ways: Ways, bucket: Bucket, remote: RemoteObject, owner: bytes, grant: Grant, *,
        opens: bool, is_whole: bool,
    ) -> None:  # fmt: skip
        self.has_failed = False
        self._ways = ways
        self._keeper = keeper
        self._rooms = keeper.rooms
        self._bucket = bucket
        self._remote = remote
        self._owner = owner
        self._grant = Grant(grant.partial, grant.first, min(grant.stop, fills.count(remote.size)))
        self._number = grant.first
        self._is_whole = is_whole
        self._is_single = opens and remote.size <= CHUNK
        self._held: list[bytes | memoryview] | None = None
        self._writer: BlobWriter | None = None
        self._ending: asyncio.Task[None] | None = None  # what is being committed
        self._missing: int | None = None
        self._leased = set(range(grant.first, min(grant.first + 2, self._grant.stop)))
        self._hasher = cached.hasher_of(bucket, remote) if is_whole else None
        if opens and not self._is_single:
            self._ending = asyncio.create_task(self._describe())
        if self._is_single and remote.size <= self._rooms.receiver.inline_limit and bucket.copies == 1:
            self._held = []
        else:
            self._writer = self._new_writer()

    @property
    def has_leases(self) -> bool:
        """Whether chunks are leased that were not filled."""
        return any(number >= self._number for number in self._leased)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._abort()

    async def write(self, part: bytes | memoryview) -> None:
        """Takes bytes in, which end in this chunk."""
        if self._held is not None:
            self._held.append(part)
        elif self._writer is not None:
            try:
                await self._writer.write(part)
            except errors.Error as error:
                await self._fail(error)

    async def end_chunk(self, *, goes_on: bool) -> bool:
        """Ends a chunk. Returns whether the next one is ours to fill: not if it is not to ``go on``."""
        if self._is_single or self._writer is None:
            return False
        writer = self._writer
        try:
            await writer.flush()  # the next writer goes on with the checksum
            if self._ending is not None:
                ending, self._ending = self._ending, None
                await ending
        except errors.Error as error:
            await self._fail(error)
            return False
        number, following = self._number, self._number + 1
        goes_on = goes_on and following < self._grant.stop and following in self._leased
        ahead = following + 1 if goes_on and following + 1 < self._grant.stop else None
        self._number, self._writer = following, self._new_writer() if goes_on else None
        self._ending = asyncio.create_task(self._commit(number, writer, ahead))
        return goes_on

    async def finish(self) -> None:
        """Waits for what was taken in to be committed, and makes an object of it where nothing is missing."""
        try:
            if self._is_single:
                await self._keep()
                self._leased.clear()
            elif self._ending is not None:
                ending, self._ending = self._ending, None
                await ending
                if self._missing == 0:
                    await complete(
                        self._rooms, self._bucket, self._grant.partial, self._remote, self._digest(),
                        is_verified=self._is_whole, ways=self._ways,
                    )  # fmt: skip
        except errors.Error as error:
            await self._fail(error)

    # -----------------------------------------------------------------------------------------------------------------

    def _new_writer(self) -> BlobWriter:
        """What a power cut takes of a cache can be read again: its bytes reach the disk when the system sees fit."""
        hashers = [] if self._hasher is None else [self._hasher]
        size = fills.chunk_size(self._remote.size, self._number)
        copies = self._bucket.copies if self._is_single else 1
        return self._rooms.blobs.writer(hashers, copies, size, durable=False)

    def _digest(self) -> tuple[str, str] | None:
        return cached.digest_of(self._bucket, self._hasher)

    async def _describe(self) -> None:
        """Tells everybody what the remote has said, so that they need not wait for the first chunk."""
        remote = self._remote
        describe = partial(
            fills.describe, opening=self._grant, lease=self._keeper.lease(self._owner), size=remote.size,
            etag=remote.etag, remote=cached.pack(remote),
        )  # fmt: skip
        if not await self._rooms.catalog.write(describe, durable=False):
            raise LostError
        self._keeper.tell((self._bucket.log, remote.key))

    async def _commit(self, number: int, writer: BlobWriter, ahead: int | None) -> None:
        """Makes a chunk one that is here."""
        try:
            content = in_file(await writer.finish())
        except BaseException:
            await _remove(writer)
            raise
        fill = partial(
            fills.fill, partial=self._grant.partial, number=number, content=content,
            lease=self._keeper.lease(self._owner), ahead=ahead, now=now(),
        )  # fmt: skip
        filled = await self._committed(content, fill)
        self._missing = filled.missing
        if ahead is not None and filled.is_leased:
            self._leased.add(ahead)
        self._keeper.tell((self._bucket.log, self._remote.key))

    async def _keep(self) -> None:
        """Makes an object of the one chunk that there is."""
        content: Content
        if self._held is not None:
            data = b"".join(self._held)
            if self._hasher is not None:
                self._hasher.update(data)
            content = inline(data)
        elif self._writer is not None:
            content = in_file(await self._writer.finish())
            self._writer = None
        else:
            return
        draft = cached.draft_of(self._bucket, self._remote, content, now(), self._digest())
        keep = partial(
            fills.keep_opened, partial=self._grant.partial, bucket=self._bucket, key=self._remote.key, draft=draft,
            owner=self._owner, now=now(),
        )  # fmt: skip
        await self._committed(content, keep)

    async def _committed(self, content: Content, function: Callable[[Transaction], T | None]) -> T:
        """What a transaction returns that would refer to new content. What is not wanted is removed, as
        ``Rooms.commit`` does.
        """
        try:
            done = await self._rooms.catalog.write(function, durable=False)
        except errors.Error as error:
            if error.status < 500 or isinstance(error, errors.InsufficientStorage):
                await self._rooms.receiver.discard(content)
            raise
        if done is None:
            await self._rooms.receiver.discard(content)
            raise LostError
        return done

    async def _fail(self, error: errors.Error) -> None:
        """Ends the storing."""
        self.has_failed = True
        if not isinstance(error, LostError):
            logger.warning("%s/%s cannot be kept: %s", self._bucket.identity.uri, self._remote.key, error.message)
        await self._abort()
        await self._keeper.let_go(self._owner)

    async def _abort(self) -> None:
        """Removes what was taken in and is not committed, nor on its way there."""
        if self._ending is not None:
            ending, self._ending = self._ending, None
            with contextlib.suppress(errors.Error):
                await ending
        self._held = None
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await _remove(writer)


async def _remove(writer: BlobWriter) -> None:
    with contextlib.suppress(errors.Error):  # a sweep finds it
        await writer.abort()
