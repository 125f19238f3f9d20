"""The system as a whole: which one it is, what is stored in it, and how full its disks are.

It tells no secret, and of a data folder no more than its name.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import string
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType

import msgspec

from tidegate.access import Access
from tidegate.catalog import buckets, configuration, folders
from tidegate.catalog.abc import Reader
from tidegate.catalog.configuration import Cluster
from tidegate.clock import now
from tidegate.gateway.permissions import authorise_system
from tidegate.gateway.rooms import Rooms
from tidegate.gateway.space import Disk
from tidegate.model import Principal

# Letters and digits of a system's id: 70 bits.
_ID_LENGTH = 12
_ID_LETTERS = string.ascii_letters + string.digits
_HOME = 0


class Status(msgspec.Struct, frozen=True):
    """What is stored, and the machine. Sizes are bytes; memory is 0 where the machine does not tell."""

    buckets: int
    objects: int
    bytes: int
    disks: list[Disk]
    memory: int
    memory_free: int
    load: float


class System:
    """The system. Each raises ``AccessDenied`` unless it says otherwise."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def identify(self) -> Cluster:
        """Which system this is. Anybody may know: tokens and the locations of objects say it too."""
        known = await self._rooms.catalog.recall("cluster", configuration.cluster)
        if known is not None:
            return known
        new = Cluster("".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH)), now())
        return await self._rooms.catalog.write(lambda tx: configuration.name_cluster(tx, new))

    async def cluster(self, principal: Principal) -> Cluster:
        """Which system this is, for a caller who may see what it is made of."""
        authorise_system(principal, Access.SHOW_CLUSTER)
        return await self.identify()

    async def status(self, principal: Principal) -> Status:
        authorise_system(principal, Access.SHOW_CLUSTER)
        count, objects, size = await self._rooms.catalog.read(buckets.totals)
        disks = await asyncio.to_thread(self._rooms.space.disks)
        return Status(count, objects, size, disks, _memory("SC_PHYS_PAGES"), _memory("SC_AVPHYS_PAGES"), _load())

    async def room(self) -> int:
        """What the disks can hold, in bytes. Shown with each bucket's size, to who may see that."""
        disks = await asyncio.to_thread(self._rooms.space.disks)
        return sum({disk.device: disk.used + disk.free for disk in disks}.values())

    async def folder_names(self) -> Mapping[int, str]:
        """The data folders' names, by number: how the location of an object is told to who may see the object."""
        return await self._rooms.catalog.recall("folder names", _folder_names)


def _folder_names(tx: Reader) -> Mapping[int, str]:
    known = {folder.number: PurePath(folder.path).name for folder in folders.everyone(tx)}
    known[_HOME] = known[_HOME] or "data"
    return MappingProxyType(known)


def _memory(name: str) -> int:
    if name not in os.sysconf_names:
        return 0
    return max(0, os.sysconf(name)) * os.sysconf("SC_PAGE_SIZE")


def _load() -> float:
    """Programs that wanted to run in the last minute."""
    return os.getloadavg()[0]
