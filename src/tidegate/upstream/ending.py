"""Waits for remotes while the server ends: what a remote goes on sending may come, one that is silent is given up."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable
from typing import Final, TypeVar

T = TypeVar("T")

# What a remote may be silent for once the server was told to end: far more than any answer takes, far less than the
# time that requests get to finish.
LAST_SECONDS: Final = 5.0


class GivenUpError(Exception):
    """A remote has been silent for too long."""


class Waits:
    """The waits for one remote."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ending = False
        self.is_given_up = False
        _everyone.add(self)

    async def wait(self, awaited: Awaitable[T], *, is_patient: bool = False, seconds: float | None = None) -> T:
        """What is awaited. ``is_patient`` waits are for what may take long without a sign, and are not cut short.

        Raises ``GivenUpError``, and ``TimeoutError`` where it takes longer than ``seconds`` while no server ends.
        """
        if is_patient:
            return await awaited
        self._loop = self._loop or asyncio.get_running_loop()
        limit = asyncio.timeout(LAST_SECONDS if self._is_ending else seconds)
        try:
            async with limit:
                self._limits.add(limit)
                return await awaited
        except TimeoutError:
            if not (limit.expired() and self._is_ending):
                raise
            self.is_given_up = True
            raise GivenUpError from None
        finally:
            self._limits.discard(limit)

    def hurry(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cuts waits on this loop short, from now on."""
        if self._loop not in {None, loop}:
            return
        self._is_ending = True
        last = loop.time() + LAST_SECONDS
        for limit in self._limits:
            limit.reschedule(min(limit.when() or last, last))


_everyone: weakref.WeakSet[Waits] = weakref.WeakSet()


def hurry() -> None:
    """The server ends: no remote is waited for long, on this event loop, that is silent."""
    loop = asyncio.get_running_loop()
    for waits in list(_everyone):
        waits.hurry(loop)
