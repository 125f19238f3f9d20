"""The gateway of one worker process, and how its rooms are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tidegate import checksums, errors
from tidegate.blobs.folder import BLOBS_FOLDER, read_marker
from tidegate.blobs.local import LocalBlobs
from tidegate.catalog import buckets, jobs
from tidegate.catalog.sqlite import SQLite, has_catalog
from tidegate.catalog.uploads import MIN_PART_SIZE
from tidegate.gateway.accesses import Accesses
from tidegate.gateway.accounts import Accounts
from tidegate.gateway.appends import Appends
from tidegate.gateway.archives import Archives
from tidegate.gateway.archiving import Archiving
from tidegate.gateway.asking import HookCalls
from tidegate.gateway.batch import Batches
from tidegate.gateway.buckets import Buckets
from tidegate.gateway.configuration import Configurations
from tidegate.gateway.copying import Copying
from tidegate.gateway.folders import Folders
from tidegate.gateway.jobs import Jobs
from tidegate.gateway.multipart import Multipart
from tidegate.gateway.native import Native
from tidegate.gateway.objects import DEFAULT_CHECKSUM, Objects
from tidegate.gateway.passing import Passing
from tidegate.gateway.receive import Receiver
from tidegate.gateway.references import open_reference
from tidegate.gateway.remote.fills import Fills
from tidegate.gateway.remote.reading import Reads
from tidegate.gateway.remote.turns import Turns
from tidegate.gateway.remote.upstreams import Upstreams
from tidegate.gateway.remote.versioned import Versions
from tidegate.gateway.remote.writing import Writing
from tidegate.gateway.repos import (
    Branches,
    Changes,
    Commits,
    Directories,
    Hooks,
    Imports,
    Projects,
    Repositories,
    Tags,
)
from tidegate.gateway.rooms import Rooms
from tidegate.gateway.space import Space
from tidegate.gateway.system import System
from tidegate.identity import Identity
from tidegate.identity.vault import Vault


class Gateway:
    """Everything that a door may ask for. To be made and used on one event loop."""

    def __init__(
        self,
        rooms: Rooms,
        folders: Folders,
        min_part_size: int,
        promote_from: Sequence[Path] = (),
        started: int = 0,
    ) -> None:
        self.rooms = rooms
        self.folders = folders
        self.identity = rooms.identity
        self.accounts = Accounts(rooms)
        self.configuration = Configurations(rooms)
        self.system = System(rooms)
        self.buckets = Buckets(rooms)
        self._writing = Writing(rooms)
        self._fills = Fills(rooms, started)
        self.reads = Reads(rooms, self._fills)
        remote_versions = Versions(rooms, self.reads, self._writing)
        rooms.references.open = partial(open_reference, rooms, self.reads)
        self.objects = Objects(rooms, self._writing, self.reads, remote_versions)
        self.passing = Passing(rooms, self._writing, self._fills)
        self.copying = Copying(rooms, self.reads, self._writing, remote_versions)
        self.multipart = Multipart(rooms, self.copying, self._writing, min_part_size)
        self.appends = Appends(rooms)
        self.native = Native(rooms, self.reads, self._writing)
        self.archives = Archives(self.objects)
        self.archiving = Archiving(rooms)
        self.batches = Batches(rooms, self.reads)
        self.projects = Projects(rooms)
        self.repos = Repositories(rooms)
        self.branches = Branches(rooms)
        self.commits = Commits(rooms)
        self.tags = Tags(rooms)
        self.changes = Changes(rooms)
        self.directories = Directories(rooms)
        self.imports = Imports(rooms)
        self.hooks = Hooks(rooms)
        self.jobs = Jobs(rooms, self.buckets, promote_from)

    async def check(self) -> None:
        """Raises unless the catalog can be read and written."""
        await self.rooms.catalog.write(lambda tx: tx.one("SELECT 1"))

    async def stats(self) -> dict[str, int]:
        """How much is stored (numbers of buckets and live objects, the live objects' bytes), and how many jobs run."""
        count, objects, size = await self.rooms.catalog.read(buckets.totals)
        running, _ = await self.rooms.catalog.read(jobs.counts)
        return {"buckets": count, "objects": objects, "bytes": size, "jobs": running}

    async def close(self) -> None:
        """Finishes writes that are under way and lets go of the data folder."""
        await self.folders.close()
        await self._fills.close()
        await self._writing.close()
        await self.rooms.turns.close()
        await self.rooms.upstreams.close()
        self.rooms.hook_calls.close()
        await self.rooms.catalog.close()
        self.rooms.blobs.close()


def open_gateway(
    folder: Path,
    *,
    inline_limit: int,
    min_part_size: int = MIN_PART_SIZE,
    durable: bool = True,
    promote_from: Sequence[Path] = (),
    started: int = 0,
    on_group: Callable[[int], None] | None = None,
) -> Gateway:
    """Opens a data folder, which is made if it is not there. ``on_group`` is told the size of each group commit.

    Further data folders are there once ``Gateway.folders`` is opened. ``started`` is when the server began to work on
    the folder, in microseconds: what processes had leased before that is free.

    Raises ``DamagedCatalog`` where there are blobs and no catalog: with a new one they would be swept up as unknown.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not has_catalog(folder) and any((folder / BLOBS_FOLDER).glob("*/*")):
        raise errors.DamagedCatalog(
            f"{folder} has blobs, but their catalog is gone: bring it back or restore a backup."
        )
    if (marker := read_marker(folder)) is not None:
        raise errors.InvalidArgument(
            f"{folder} is a further data folder: the first has to be the one with the catalog, which was {marker.home}"
        )
    checksums.new(DEFAULT_CHECKSUM)  # loads its library now, not in the first request
    catalog = SQLite(folder, durable=durable, on_group=on_group)
    blobs = LocalBlobs(folder / BLOBS_FOLDER, durable=durable)
    accesses, space = Accesses(catalog), Space(catalog, blobs.disks)
    identity = Identity(catalog, Vault(folder))
    receiver, upstreams = Receiver(blobs, inline_limit), Upstreams(catalog)
    turns, calls = Turns(catalog, upstreams), HookCalls(catalog, identity)
    rooms = Rooms(catalog, blobs, identity, receiver, accesses, space, upstreams, turns, calls)
    return Gateway(rooms, Folders(catalog, blobs, folder), min_part_size, promote_from, started)
