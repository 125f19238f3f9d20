"""Whether there is room to write: the ``space.out_of_space`` watermark, in percent of the disk used."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tidegate import errors
from tidegate.catalog import configuration
from tidegate.catalog.abc import Driver

# How long a look at the disks counts. At a GB/s less than a thousandth of a TB disk is written meanwhile.
LOOK_SECONDS = 1.0


class Disk(msgspec.Struct, frozen=True):
    """The disk of a data folder, which goes by the folder's name. ``used`` and ``free`` are in bytes.

    Folders on one disk say the same ``device``.
    """

    name: str
    device: int
    used: int
    free: int


class Space:
    """The disks of the data folders."""

    def __init__(self, catalog: Driver, folders: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._folders = folders
        self._clock = clock
        self.evicting = asyncio.Lock()  # held by who makes room
        self._looks_again = 0.0
        self._refusal: str | None = None

    async def check(self) -> None:
        """Raises ``InsufficientStorage`` where every folder's disk is fuller than the watermark."""
        if self._clock() >= self._looks_again:
            self._looks_again = self._clock() + LOOK_SECONDS
            limit = (await self._catalog.recall("configuration", configuration.get)).space.out_of_space
            used = await asyncio.to_thread(self.used)
            self._refusal = None
            if used >= limit:
                self._refusal = f"The disk is {used:.0f} % full: nothing is written from space.out_of_space={limit} on."
        if self._refusal is not None:
            raise errors.InsufficientStorage(self._refusal)

    def used(self) -> float:
        """How full the emptiest disk is, in percent."""
        usages = []
        for folder in self._folders:
            with suppress(OSError):  # a disk that is not there has no room
                usages.append(shutil.disk_usage(folder))
        return min(
            (100 * usage.used / (usage.used + usage.free) for usage in usages if usage.used + usage.free), default=100.0
        )

    def disks(self) -> list[Disk]:
        """The disks that are there, the home folder's first. Blocks: to be called in a thread."""
        found = []
        for folder in list(self._folders):
            with suppress(OSError):
                usage = shutil.disk_usage(folder)
                found.append(Disk(folder.name, folder.stat().st_dev, usage.used, usage.free))
        return found
