"""A request's body as it came over the wire, kept until it has been passed on. It becomes no object."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from tidegate import errors
from tidegate.blobs import BlobWriter
from tidegate.catalog.blobs import Content
from tidegate.gateway.receive import in_file, inline
from tidegate.gateway.remote.writing import new_content
from tidegate.gateway.rooms import Rooms

# Of a framed body, what frames it. SDKs have 90 bytes for each 64 KiB; what has more than the object itself, and than
# this, was made to take room here.
MIN_FRAMING: Final = 1024 * 1024


class Spool:
    """Takes bytes in, and gives them back as often as they are sent. ``discard`` ends it, whatever has happened."""

    def __init__(self, rooms: Rooms) -> None:
        self.size = 0
        self._rooms = rooms
        self._held: list[bytes] = []
        self._writer: BlobWriter | None = None
        self._content: Content | None = None

    async def write(self, data: bytes) -> None:
        """Takes in what comes next."""
        self.size += len(data)
        if self._writer is None:
            self._held.append(data)
            if self.size <= self._rooms.receiver.inline_limit:
                return
            self._writer = self._rooms.blobs.writer([], 1, 0, durable=False)
            data = b"".join(self._held)
            self._held.clear()
        await self._writer.write(data)

    async def finish(self, size: int) -> None:
        """Nothing more comes of a body whose object has ``size`` bytes. Raises ``InvalidRequest`` for one that is
        nearly all framing.
        """
        if self.size > 2 * size + MIN_FRAMING:
            raise errors.InvalidRequest("The body has too many chunks for its size.")
        if self._writer is None:
            self._content = inline(b"".join(self._held))
        else:
            await self._writer.flush()
            stored = await self._writer.finish()
            self._writer, self._content = None, in_file(stored)

    def read(self) -> AsyncGenerator[bytes, None]:
        """All of it."""
        if self._content is None:
            raise TypeError("not finished")
        return new_content(self._rooms, self._content)

    async def discard(self) -> None:
        """Removes what was taken in."""
        if self._writer is not None:
            with contextlib.suppress(errors.Error):  # a sweep finds it
                await self._writer.abort()
        if self._content is not None:
            await self._rooms.receiver.discard(self._content)
