"""The gateway of one worker process, and how its rooms are put together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tidegate import checksums, errors
from tidegate.blobs.local import LocalBlobs
from tidegate.catalog import buckets
from tidegate.catalog.sqlite import SQLite, has_catalog
from tidegate.catalog.uploads import MIN_PART_SIZE
from tidegate.gateway.buckets import Buckets
from tidegate.gateway.copying import Copying
from tidegate.gateway.multipart import Multipart
from tidegate.gateway.objects import DEFAULT_CHECKSUM, Objects
from tidegate.gateway.receive import Receiver
from tidegate.gateway.rooms import Rooms
from tidegate.identity import Identity
from tidegate.identity.vault import Vault

BLOBS_FOLDER = "blobs"


class Gateway:
    """Everything that a door may ask for. To be made and used on one event loop."""

    def __init__(self, rooms: Rooms, min_part_size: int) -> None:
        self.rooms = rooms
        self.identity = rooms.identity
        self.buckets = Buckets(rooms)
        self.objects = Objects(rooms)
        self.copying = Copying(rooms)
        self.multipart = Multipart(rooms, self.copying, min_part_size)

    async def check(self) -> None:
        """Raises unless the catalog can be read and written."""
        await self.rooms.catalog.write(lambda tx: tx.one("SELECT 1"))

    async def stats(self) -> dict[str, int]:
        """How much is stored: numbers of buckets and live objects, and the live objects' bytes."""
        count, objects, size = await self.rooms.catalog.read(buckets.totals)
        return {"buckets": count, "objects": objects, "bytes": size}

    async def close(self) -> None:
        """Finishes writes that are under way and lets go of the data folder."""
        await self.rooms.catalog.close()
        self.rooms.blobs.close()


def open_gateway(
    folder: Path,
    *,
    inline_limit: int,
    min_part_size: int = MIN_PART_SIZE,
    durable: bool = True,
    on_group: Callable[[int], None] | None = None,
) -> Gateway:
    """Opens a data folder, which is made if it is not there. ``on_group`` is told the size of each group commit.

    Raises ``DamagedCatalog`` where there are blobs and no catalog: with a new one they would be swept up as unknown.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not has_catalog(folder) and any((folder / BLOBS_FOLDER).glob("*/*")):
        raise errors.DamagedCatalog(
            f"{folder} has blobs, but their catalog is gone: bring it back or restore a backup."
        )
    checksums.new(DEFAULT_CHECKSUM)  # loads its library now, not in the first request
    catalog = SQLite(folder, durable=durable, on_group=on_group)
    blobs = LocalBlobs(folder / BLOBS_FOLDER, durable=durable)
    identity = Identity(catalog, Vault(folder))
    return Gateway(Rooms(catalog, blobs, identity, Receiver(blobs, inline_limit)), min_part_size)
