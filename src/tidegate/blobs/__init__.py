"""The bytes that are too many for the catalog: named, immutable, checked when they are read.

A blob's name is ours, random, and says nothing of buckets or keys. The catalog says which blobs are in use; this room
never does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Protocol

import msgspec

from tidegate.checksums import Hasher

# Folders are numbered, and a set of them is an integer with a bit for each. The home folder, with the catalog, is 0.
HOME = 1


class StoredBlob(msgspec.Struct, frozen=True):
    """A blob that is durable, a copy in each of ``folders``. ``digest`` is the checksum of its block checksums."""

    name: bytes
    size: int
    digest: bytes
    folders: int = HOME


class BlobWriter(Protocol):
    """One blob that is being written. End it with ``finish`` or ``abort``."""

    async def write(self, data: bytes | memoryview) -> None:
        """Appends bytes. May return before they are written; holds back the caller where too many wait.

        Raises ``errors.InsufficientStorage`` or ``errors.ServiceUnavailable``.
        """

    async def flush(self) -> None:
        """Waits until all bytes so far are written and hashed (not: durable). Raises as ``write``."""

    async def finish(self) -> StoredBlob:
        """Makes the blob durable. Raises as ``write``."""

    async def abort(self) -> None:
        """Removes what was written."""


class BlobStore(Protocol):
    """Where blobs are kept: one folder, or several with copies of what is to survive the loss of one."""

    @property
    def capacity(self) -> int:
        """How many folders there are for copies."""

    @property
    def there(self) -> int:
        """The folders whose disks are there."""

    async def refresh(self) -> None:
        """Sees which folders' disks are there right now."""

    @property
    def leaving(self) -> int:
        """The folders that are to be given up."""

    def room(self, size: int, beside: int) -> Sequence[int]:
        """The folders that may take one more copy, but for those ``beside``, the best first."""

    def by_room(self, folders: int) -> Sequence[int]:
        """Each of these folders, the emptiest first."""

    def writer(
        self, hashers: Sequence[Hasher], copies: int = 1, size: int = 0, *, durable: bool | None = None
    ) -> BlobWriter:
        """A writer of one new blob that also feeds ``hashers``, each in order, beside the event loop.

        It is written to so many folders, or to as many as can be. ``size`` is what is known of its size. ``durable``
        False leaves it to the system when the bytes reach the disk.
        """

    def read(
        self, name: bytes, size: int, digest: bytes, start: int, length: int, folders: int = HOME
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of a range, each verified before it is handed out, from whichever copy is sound.

        Raises ``errors.DamagedBlob`` and ``errors.ServiceUnavailable`` where none is.
        """

    async def sound(self, name: bytes, size: int, digest: bytes, folders: int = HOME) -> int:
        """Reads every copy that is there. Returns the folders whose copy is as it was written."""

    async def complete(self, name: bytes, size: int, folders: int) -> int:
        """The folders whose copy is there in its full length. Nothing is read."""

    async def copy(self, name: bytes, size: int, digest: bytes, folders: int, target: int) -> None:
        """Makes one more copy, in the folder ``target``, or writes one that is damaged again.

        It is made of what is sound in any of the copies in ``folders``. Raises as ``read``, and as a writer.
        """

    async def delete(self, blobs: Sequence[tuple[bytes, int]]) -> None:
        """Removes blobs, by name, from folders. One that is not there is no error."""

    def names(self) -> Iterator[tuple[bytes, int, int]]:
        """Every file in the store, finished or not: the blob's name, the folder, the time of the last write in
        microseconds.
        """

    def close(self) -> None:
        """Lets go of the store."""
