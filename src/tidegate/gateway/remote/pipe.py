"""Bytes on their way from a fill to the one reader that began it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from tidegate import errors

# Pieces (``upstream.threads.PIECE``) that a reader may be behind. More is memory that every cold read takes.
AHEAD: Final = 4


class Pipe:
    """Pieces with their places in the object, in order. The writer is held back where the reader is behind; how long is
    the writer's to say. After ``cut`` nothing more goes in, and the reader gets what is in.
    """

    def __init__(self) -> None:
        self.is_open = True
        self.wanted: int | None = None  # where the reader will stop
        self._skip = 0
        self._pieces: deque[tuple[int, bytes | memoryview]] = deque()
        self._error: errors.Error | None = None
        self._changed = asyncio.Event()  # one side waits at a time: a full pipe has something to read

    async def put(self, place: int, piece: bytes | memoryview, patience: float | None) -> float:
        """Hands a piece over. Waits for room for at most so many seconds, then cuts the reader off. Returns how long it
        waited.
        """
        if not self.is_open or place + len(piece) <= self._skip:
            return 0.0
        waited = 0.0
        if len(self._pieces) >= AHEAD:
            clock = asyncio.get_running_loop().time
            began = clock()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while self.is_open and len(self._pieces) >= AHEAD:
                        self._changed.clear()
                        await self._changed.wait()
            waited = clock() - began
            if self.is_open and len(self._pieces) >= AHEAD:
                self.cut()
        if self.is_open:
            self._pieces.append((place, piece))
            self._changed.set()
        return waited

    def cut(self, error: errors.Error | None = None) -> None:
        """Nothing more comes. The reader gets the error when it has read what is in."""
        self.is_open = False
        self._error = self._error or error
        self._changed.set()

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` to before ``end``, or to where the pipe was cut. To be called once."""
        self.wanted, self._skip = end, start
        self._changed.set()
        try:
            while start < end:
                while not self._pieces:
                    if not self.is_open:
                        if self._error is not None:
                            raise self._error
                        return
                    self._changed.clear()
                    await self._changed.wait()
                place, piece = self._pieces.popleft()
                self._changed.set()
                if place + len(piece) <= start:
                    continue
                if place > start:
                    return  # what was before it was not handed over
                part = piece[start - place : end - place]
                start += len(part)
                yield bytes(part)
        finally:
            self._pieces.clear()
            self.cut()
