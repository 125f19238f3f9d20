"""When objects were last read: noted in memory, written to the catalog many at a time.

A read costs no write. What is noted is at most ``FLUSH_SECONDS`` behind; a process that is killed loses that much.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from tidegate import errors
from tidegate.alongside import alongside
from tidegate.catalog import versions
from tidegate.catalog.abc import Driver
from tidegate.clock import now
from tidegate.model import Version

logger = logging.getLogger(__name__)

# Half of the minute that access times may be behind.
FLUSH_SECONDS = 30.0
# Rows in one transaction: some milliseconds of the writer's time.
STEP = 1000
# Objects that are noted between two flushes. Beyond that the access times of others wait for their next read: memory
# stays bounded, at some 200 bytes each.
MAX_NOTED = 200_000


_SEQ_BITS = 64


class Accesses:
    """The reads that one process has served and not yet told the catalog of."""

    def __init__(self, catalog: Driver) -> None:
        self._catalog = catalog
        # "log/key" to the time and the number of the version, in one. Strings and numbers: of what else stays from each
        # request, the garbage collector would look at all again and again.
        self._noted: dict[str, int] = {}

    def note(self, log: int, version: Version) -> None:
        """Takes down that a version has just been read."""
        self.note_row(log, version.key, version.seq)

    def note_row(self, log: int, key: str, seq: int) -> None:
        """The same, for a version that was only looked at."""
        if len(self._noted) < MAX_NOTED:
            self._noted[f"{log}/{key}"] = now() << _SEQ_BITS | seq

    async def flush(self) -> None:
        """Writes what was noted to the catalog."""
        noted, self._noted = self._noted, {}
        reads = (_read(name, value) for name, value in noted.items())
        while step := list(itertools.islice(reads, STEP)):
            await self._catalog.write(partial(versions.touch, reads=step))

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Flushes every so often while the context is open, and once more in the end."""
        try:
            async with alongside(self._keep(), "access times"):
                yield
        finally:
            with contextlib.suppress(errors.Error):
                await self.flush()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except errors.Error:  # a disk that is full: access times are worth no more noise than this
                logger.warning("access times could not be written", exc_info=True)


def _read(name: str, value: int) -> tuple[int, str, int, int]:
    """Log, key, number of the version, and time of its last read."""
    log, _, key = name.partition("/")
    return int(log), key, value & ((1 << _SEQ_BITS) - 1), value >> _SEQ_BITS
