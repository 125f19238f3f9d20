"""Cutting a body into parts that are held in memory, so that each can be hashed before and sent again.

The gateway hands us bodies whose bytes are here already; memory is bounded by parts, not by objects.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Sequence
from typing import Final, TypeVar

import msgspec

from tidegate import errors
from tidegate.checksums import Hasher
from tidegate.upstream.abc import Piece

T = TypeVar("T")

# A part: what S3 can be sent 78 GiB of (10,000 parts), and little enough to hold several of.
PART: Final = 8 * 1024 * 1024
MAX_PARTS: Final = 10_000
# Parts of one object that are sent at the same time: a remote that takes 20 ms to answer is kept busy.
AT_ONCE: Final = 4
# Parts of all objects of an upstream that are in memory.
PLACES: Final = 16
# What may be in memory while objects have at most ``PART * MAX_PARTS`` bytes.
HELD: Final = PART * PLACES
# S3's largest object.
MAX_SIZE: Final = 5 * 1024**4


class Part(msgspec.Struct, frozen=True):
    """A part of a body, numbered from 1. ``offset`` is where it begins."""

    number: int
    offset: int
    data: bytearray
    is_last: bool
    md5: bytes
    sha256: str


def part_size(size: int | None, least: int = PART) -> int:
    """How long the parts of an object are, so that they are not too many. An unknown size is taken for a small one."""
    return max(least, -(-(size or 0) // MAX_PARTS))


class Cutter:
    """Makes parts of bodies for one upstream, and bounds how many of them are in memory."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(PLACES)

    async def parts(
        self,
        body: AsyncIterable[Piece],
        size: int | None,
        length: int,
        *,
        hashes: bool = False,
        whole: Hasher | None = None,
        most: int = MAX_PARTS,
    ) -> AsyncGenerator[Part, None]:
        """The parts of a body, all but the last of ``length`` bytes; one empty part for an empty body.

        Each holds a place that ``done`` gives back. ``hashes`` asks for SHA-256 beside MD5; ``whole`` is told of all
        bytes. Raises ``IncompleteBody`` if the body has another size than was said, ``EntityTooLarge`` for more than
        ``most`` parts.
        """
        if size is not None and size > MAX_SIZE:
            raise errors.EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(MAX_SIZE))
        number = offset = 0
        data = bytearray()
        holds = False
        pieces = aiter(body)
        try:
            await self._places.acquire()
            holds = True
            async for piece in pieces:
                view = memoryview(piece)
                while view:
                    if len(data) == length:
                        number += 1
                        part = await _part(number, offset, data, is_last=False, hashes=hashes, whole=whole)
                        offset += len(data)
                        data, holds = bytearray(), False
                        if number >= most or (size is not None and offset >= size):
                            self.done()
                            raise errors.IncompleteBody if size is not None else errors.EntityTooLarge
                        yield part
                        await self._places.acquire()
                        holds = True
                    taken = view[: length - len(data)]
                    data += taken
                    view = view[len(taken) :]
            if size is not None and offset + len(data) != size:
                raise errors.IncompleteBody
            last = await _part(number + 1, offset, data, is_last=True, hashes=hashes, whole=whole)
            holds = False
            yield last
        finally:
            if holds:
                self.done()
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    def done(self) -> None:
        """A part is no longer in memory."""
        self._places.release()


async def _part(
    number: int, offset: int, data: bytearray, *, is_last: bool, hashes: bool, whole: Hasher | None
) -> Part:
    def digests() -> tuple[bytes, str]:
        if whole is not None:
            whole.update(data)
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        return md5, hashlib.sha256(data).hexdigest() if hashes else ""

    md5, sha256 = await asyncio.to_thread(digests) if len(data) > _SMALL else digests()
    return Part(number, offset, data, is_last, md5, sha256)


# Hashing this much takes less than a thread's turn.
_SMALL: Final = 64 * 1024


def joined(etags: Sequence[str]) -> str:
    """The ETag of an object of such parts, as S3 makes it; empty where the parts' are no MD5s."""
    try:
        digests = b"".join(bytes.fromhex(etag) for etag in etags)
    except ValueError:
        return ""
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"


# A remote that answers takes a fraction of that to forget an upload; what it keeps costs its owner a little.
FINISH_SECONDS: Final = 2.0


class Endings:
    """Clean-ups that are done to their end, though who began them may go away."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, work: Coroutine[None, None, None], error: BaseException) -> None:
        """Does the work that an error makes necessary. Who was cancelled does not wait for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if isinstance(error, Exception):
            await asyncio.shield(task)

    async def finish(self) -> None:
        """Waits for what is under way, but not long: the server is ending."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=FINISH_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def send_parts(
    cutter: Cutter,
    first: Part,
    parts: AsyncGenerator[Part, None],
    send: Callable[[Part], Awaitable[T]],
    endings: Endings,
    give_up: Callable[[], Coroutine[None, None, None]],
) -> tuple[Sequence[T], int]:
    """Sends the parts of a body, ``AT_ONCE`` at a time. What was made of each, in order, and the body's size.

    If it comes to nothing, what has been sent is given up, once nothing more is under way.
    """
    tasks: list[asyncio.Task[T]] = []
    window = asyncio.Semaphore(AT_ONCE)
    total = 0

    async def work(part: Part) -> T:
        try:
            return await send(part)
        finally:
            cutter.done()
            window.release()

    async def start(part: Part) -> None:
        nonlocal total
        try:
            await window.acquire()
        except BaseException:
            cutter.done()
            raise
        total += len(part.data)
        tasks.append(asyncio.create_task(work(part)))

    async def clean_up() -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        await give_up()

    try:
        await start(first)
        del first
        async for part in parts:
            await start(part)
            for task in tasks:
                if task.done():
                    task.result()  # a part that failed ends it all
        return await asyncio.gather(*tasks), total
    except BaseException as error:
        await endings.run(clean_up(), error)
        raise
