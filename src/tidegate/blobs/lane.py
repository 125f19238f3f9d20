"""Work on the pieces of a stream that is done in order, on whatever thread is free, while the stream goes on."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor


class Lane:
    """Does ``work`` on each piece, one after the other. To be used on one event loop.

    After the first failure nothing more is done, and ``wait`` raises it.
    """

    def __init__(self, pool: Executor, work: Callable[[bytes], None]) -> None:
        self._pool = pool
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._pieces: deque[bytes] = deque()  # the first is being worked on
        self._is_running = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, piece: bytes) -> None:
        """Adds a piece, and returns at once."""
        with self._lock:
            self._pieces.append(piece)
            if self._is_running:
                return
            self._is_running = True
        self._pool.submit(self._run)

    async def wait(self, at_most: int = 0) -> None:
        """Returns when at most so many pieces are waiting or being worked on. Raises what the work raised."""
        while self._is_running and len(self._pieces) > at_most:
            self._waiter = self._loop.create_future()
            if self._is_running and len(self._pieces) > at_most:
                await self._waiter
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while True:
            try:
                self._work(self._pieces[0])
            except Exception as error:  # noqa: BLE001 - whatever it was, the owner is told when it waits
                self._error = error
            with self._lock:
                self._pieces.popleft()
                if self._error is not None:
                    self._pieces.clear()
                self._is_running = bool(self._pieces)
                is_last = not self._is_running
            self._loop.call_soon_threadsafe(self._wake)
            if is_last:
                return

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
