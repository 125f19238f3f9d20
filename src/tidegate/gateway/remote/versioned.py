"""What only S3's remotes have: versions of objects by their ids, and tags. Both are the remote's alone.

A version that is not the cached one is streamed and never kept: what is cached of a key is its current version.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from tidegate import errors
from tidegate.catalog.versions import Deleted
from tidegate.clock import now
from tidegate.gateway.reading import Reading
from tidegate.gateway.remote import cached
from tidegate.gateway.remote.cached import identity
from tidegate.gateway.remote.reading import Reads
from tidegate.gateway.remote.writing import Target, Writing
from tidegate.gateway.rooms import Rooms
from tidegate.model import NULL_VERSION, Bucket, ObjectPart, Version

if TYPE_CHECKING:
    from tidegate.upstream import Removed, Upstream, Versioned


class Versions:
    """Versions and tags of buckets that are elsewhere, for callers who may. All raise as ``tidegate.upstream``, and
    ``NotImplementedByServer`` for what is not on S3.
    """

    def __init__(self, rooms: Rooms, reads: Reads, writing: Writing) -> None:
        self._rooms = rooms
        self._reads = reads
        self._writing = writing

    async def open(self, bucket: Bucket, key: str, version_id: str) -> Reading:
        """Finds a version to read. Raises ``NoSuchVersion``, ``NamedDeleteMarker``."""
        if version_id != NULL_VERSION:  # any other is the same for ever
            here = await self._reads.open_here(bucket, key, version_id)
            if here is not None:
                return here
        return VersionReading(self._rooms, bucket, await self._ask(bucket, key, version_id))

    async def head(self, bucket: Bucket, key: str, version_id: str) -> Version:
        """A version without its bytes. Raises as ``open``."""
        return (await self.open(bucket, key, version_id)).version

    async def delete(self, target: Target, version_id: str) -> Deleted:
        """Removes a version, which may be the current one."""

        async def delete(upstream: Upstream) -> Removed:
            return await _versioned(upstream).delete_version(target.key, version_id)

        return await self._writing.delete_by(target, delete)

    async def tags(self, bucket: Bucket, key: str, version_id: str) -> tuple[Mapping[str, str], str]:
        """An object's tags, and its version id, empty where the remote has none."""
        async with _use(self._rooms, bucket) as upstream:
            return await upstream.tags(key, version_id)

    async def set_tags(self, bucket: Bucket, key: str, version_id: str, tags: Mapping[str, str]) -> str:
        """Replaces an object's tags. Returns its version id."""
        async with _use(self._rooms, bucket) as upstream:
            return await upstream.set_tags(key, tags, version_id)

    async def _ask(self, bucket: Bucket, key: str, version_id: str) -> Version:
        async with _use(self._rooms, bucket) as upstream:
            return cached.version_of(bucket, await upstream.head_version(key, version_id), now())


class VersionReading:
    """Implements ``Reading`` for a version that its remote has."""

    data = None

    def __init__(self, rooms: Rooms, bucket: Bucket, version: Version) -> None:
        self.version = version
        self.log = bucket.log
        self._rooms = rooms
        self._bucket = bucket

    async def parts(self) -> tuple[ObjectPart, ...]:
        """A remote does not tell them."""
        return ()

    async def stream(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a range. Raises ``RemoteChanged`` where a null version has been replaced."""
        if not length:
            return
        version = self.version
        stop = None if start + length == version.size else start + length
        async with _use(self._rooms, self._bucket) as upstream:
            remote, body = await upstream.get_version(version.key, version.version_id, start=start, stop=stop)
            async with aclosing(body) as pieces:
                if not identity(version).holds(identity(remote)):
                    raise errors.RemoteChanged(Key=version.key)
                async for piece in pieces:
                    yield piece


@asynccontextmanager
async def _use(rooms: Rooms, bucket: Bucket) -> AsyncIterator[Versioned]:
    async with rooms.upstreams.use(bucket) as upstream:
        yield _versioned(upstream)


def _versioned(upstream: Upstream) -> Versioned:
    from tidegate.upstream import Versioned  # noqa: PLC0415 - a server without remotes does not load it

    if not isinstance(upstream, Versioned):
        raise errors.NotImplementedByServer(
            f"{upstream.uri}: versions of objects by their ids, and tags, are implemented for s3:// only"
        )
    return upstream
