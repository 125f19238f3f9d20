"""Joins the small writes of one turn of the event loop into one system call.

uvicorn writes an answer's headers and its body separately, and a write to a socket is among the dearest things that a
small answer needs. What is written here waits for the end of the turn in which it was written, unless it is much: so a
client is not woken, to take the processor away, before the other requests of that turn are answered.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Transport

# Joining copies: what is larger than this is passed on as it is, after what waits.
MAX_HELD = 64 * 1024


class Cork:
    """What a protocol needs of a transport that holds small writes back until the loop has run what is ready."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self.is_closing = transport.is_closing  # asked for with every answer
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """As a transport's ``write``."""
        if len(data) > MAX_HELD:
            self.flush()
            self._transport.write(data)
        elif data:
            if not self._held:
                self._call_soon(self.flush)
            self._held.append(data)

    def close(self) -> None:
        """As a transport's ``close``: what waits is sent first."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Passes on what waits."""
        if self._held:
            data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held = []
            if not self._transport.is_closing():
                self._transport.write(data)
