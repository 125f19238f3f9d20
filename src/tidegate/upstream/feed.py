"""Request bodies that are not in memory: read on the event loop, sent by a thread, a piece at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator

import msgspec


class Feed(msgspec.Struct, frozen=True):
    """A body of ``size`` bytes, which ``open`` reads from its beginning as often as the request is sent."""

    size: int
    open: Callable[[], AsyncGenerator[bytes, None]]


class Feeding:
    """A body that is being sent: its pieces, for a thread to iterate over. To be made and closed on the event loop."""

    def __init__(self, feed: Feed) -> None:
        self._pieces = feed.open()
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        """The pieces. Raises what reading them raises, and ``OSError`` where nobody waits for the answer any more."""
        while (piece := asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()) is not None:
            yield piece

    async def close(self) -> None:
        """Ends the reading. A thread that is still sending hears of it with the next piece."""
        async with self._turn:
            self._is_over = True
            await self._pieces.aclose()

    async def _next(self) -> bytes | None:
        async with self._turn:
            if self._is_over:
                raise OSError("the request was given up")
            return await anext(self._pieces, None)
