"""An object's bytes as a sequence that can be read and skipped, a bounded piece at a time.

What parsers of formats work on: they never hold more than a window of the object, whatever it says of its lengths.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from tidegate import errors
from tidegate.gateway.reading import Reading

# What one look at an object reads: small members lie by the dozen in it, and a jump over a large one wastes little.
WINDOW = 512 * 1024
# What a thread expands in one go, a few milliseconds of its time.
EXPANDED = 1024 * 1024
# How zlib is told of gzip's frame (RFC 1952).
GZIP = 16 + zlib.MAX_WBITS


class Source(Protocol):
    """Bytes from a position on."""

    position: int

    async def read(self, count: int) -> bytes:
        """The next bytes, exactly so many. Raises ``InvalidArchive`` where there are less."""

    async def skip(self, count: int) -> None:
        """Goes on behind the next bytes."""

    def stream(self, count: int) -> AsyncGenerator[bytes, None]:
        """The next bytes in pieces. Raises ``InvalidArchive`` where there are less."""

    async def close(self) -> None:
        """Lets go of the object."""


class Stored:
    """Implements ``Source``: the bytes as they are, where skipping costs nothing."""

    def __init__(self, reading: Reading, position: int = 0) -> None:
        self.position = position
        self._reading = reading
        self._size = reading.version.size
        self._window = b""
        self._start = 0  # where in the window the position is

    async def read(self, count: int) -> bytes:
        while len(self._window) - self._start < count:
            held = self._window[self._start :]
            length = min(max(WINDOW, count), self._size - self.position) - len(held)
            if length <= 0:
                raise errors.InvalidArchive
            self._window = held + await read_range(self._reading, self.position + len(held), length)
            self._start = 0
        found = self._window[self._start : self._start + count]
        self._start += count
        self.position += count
        return found

    async def skip(self, count: int) -> None:
        self.position += count
        self._start += count
        if self._start >= len(self._window):
            self._window, self._start = b"", 0

    async def stream(self, count: int) -> AsyncGenerator[bytes, None]:
        start = self.position
        if start + count > self._size:
            raise errors.InvalidArchive
        await self.skip(count)
        async with aclosing(self._reading.stream(start, count)) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        self._window = b""


class Expanded:
    """Implements ``Source``: the bytes that a gzip file (RFC 1952), of one member or several, expands to."""

    def __init__(self, reading: Reading) -> None:
        self.position = 0
        self._pieces = _expand(reading)
        self._held = b""

    async def read(self, count: int) -> bytes:
        async with aclosing(self.stream(count)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def skip(self, count: int) -> None:
        async with aclosing(self.stream(count)) as pieces:
            async for _ in pieces:
                pass

    async def stream(self, count: int) -> AsyncGenerator[bytes, None]:
        while count:
            if not self._held:
                self._held = await anext(self._pieces, b"")
                if not self._held:
                    raise errors.InvalidArchive
            piece, self._held = self._held[:count], self._held[count:]
            count -= len(piece)
            self.position += len(piece)
            yield piece

    async def close(self) -> None:
        await self._pieces.aclose()


async def read_range(reading: Reading, start: int, length: int) -> bytes:
    """A range of an object, a short one. Raises ``InvalidArchive`` where the object is not as long."""
    if start < 0 or start + length > reading.version.size:
        raise errors.InvalidArchive
    if reading.data is not None:
        return reading.data[start : start + length]
    async with aclosing(reading.stream(start, length)) as pieces:
        return b"".join([piece async for piece in pieces])


async def inflate(
    pieces: AsyncGenerator[bytes, None], window_bits: int, *, several: bool = False
) -> AsyncGenerator[bytes, None]:
    """What compressed pieces expand to, never more than ``EXPANDED`` bytes at a time. Raises ``InvalidArchive``.

    ``several`` compressed streams may follow each other, and what is behind them is not looked at.
    """
    expander = zlib.decompressobj(window_bits)
    is_fresh = False
    async with aclosing(pieces):
        async for piece in pieces:
            rest = piece
            while rest:
                if expander.eof:
                    if not several or not rest.lstrip(b"\0"):
                        return
                    expander, is_fresh = zlib.decompressobj(window_bits), True
                try:
                    expanded = await asyncio.to_thread(expander.decompress, rest, EXPANDED)
                except zlib.error:
                    if is_fresh:  # padding or a signature behind the last stream
                        return
                    raise errors.InvalidArchive from None
                rest = expander.unused_data if expander.eof else expander.unconsumed_tail
                if expanded:
                    is_fresh = False
                    yield expanded
        while not expander.eof:
            expanded = await asyncio.to_thread(expander.decompress, b"", EXPANDED)
            if not expanded:
                raise errors.InvalidArchive
            yield expanded


async def _expand(reading: Reading) -> AsyncGenerator[bytes, None]:
    pieces = inflate(reading.stream(0, reading.version.size), GZIP, several=True)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece
