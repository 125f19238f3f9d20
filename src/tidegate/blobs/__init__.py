"""The bytes that are too many for the catalog: named, immutable, checked when they are read.

A blob's name is ours, random, and says nothing of buckets or keys. The catalog says which blobs are in use; this room
never does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Protocol

import msgspec

from tidegate.checksums import Hasher


class StoredBlob(msgspec.Struct, frozen=True):
    """A blob that is durable. ``digest`` is the checksum of its block checksums."""

    name: bytes
    size: int
    digest: bytes


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
    """Where blobs are kept."""

    def writer(self, hashers: Sequence[Hasher]) -> BlobWriter:
        """A writer of one new blob that also feeds ``hashers``, each in order, beside the event loop."""

    def read(self, name: bytes, size: int, digest: bytes, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a range, each verified before it is handed out. Raises ``errors.DamagedBlob``."""

    async def verify(self, name: bytes, size: int, digest: bytes) -> None:
        """Reads a whole blob and raises ``errors.DamagedBlob`` unless every byte is as it was written."""

    async def delete(self, names: Sequence[bytes]) -> None:
        """Removes blobs. One that is not there is no error."""

    def names(self) -> Iterator[tuple[bytes, int]]:
        """Every blob in the store, finished or not, with the time of its last write in microseconds."""

    def close(self) -> None:
        """Lets go of the store."""
