"""The ways to other people's buckets: opened when they are needed, kept while they are used, never too many.

``tidegate.upstream`` is imported with the first of them: a server without remotes does not pay for it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from tidegate import errors
from tidegate.catalog import buckets
from tidegate.catalog.abc import Driver
from tidegate.model import Bucket
from tidegate.names import BucketName
from tidegate.properties.tree import Extra

if TYPE_CHECKING:
    from tidegate.upstream import Readable, RemoteObject, Upstream

# What ``Readable.get`` answers.
Opened: TypeAlias = "tuple[RemoteObject, AsyncGenerator[bytes, None]]"
# Buckets that a process is connected to while nobody asks for them: each keeps connections, threads and credentials.
MAX_IDLE: Final = 32


def remote_of(bucket: Bucket) -> BucketName:
    """The bucket that another provider has: this one, or the one behind it."""
    backend = bucket.properties.backend_bck
    if not backend.name:
        return bucket.identity
    return BucketName(backend.name, backend.provider, backend.namespace.name)


class Ways(Protocol):
    """How to read what other providers keep: with our credentials, or by what a caller has signed."""

    def use(self, bucket: Bucket) -> AbstractAsyncContextManager[Readable]:
        """As ``Upstreams.use``."""


class _Way:
    """An upstream, how many are using it, and whether the bucket's properties have become others since."""

    def __init__(self, upstream: Upstream, extra: Extra) -> None:
        self.upstream = upstream
        self.extra = extra
        self.users = 0
        self.is_outdated = False


class Upstreams:
    """The upstreams of one process. To be made and used on one event loop."""

    def __init__(self, catalog: Driver, environment: Mapping[str, str] = os.environ) -> None:
        self._catalog = catalog
        self._environment = environment
        self._ways: dict[BucketName, _Way] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(self, bucket: Bucket) -> AsyncIterator[Upstream]:
        """The upstream of a bucket that is elsewhere, for as long as the context is open.

        Raises ``NoSuchBucket`` where the bucket behind it is not known any more, and as ``tidegate.upstream``.
        """
        name = remote_of(bucket)
        properties = bucket.properties
        if name != bucket.identity:
            found = await self._catalog.recall(("bucket", name), lambda tx: buckets.get(tx, name))
            properties = found.properties
        way = self._way(name, properties.extra)
        way.users += 1
        try:
            yield way.upstream
        finally:
            way.users -= 1
            if way.is_outdated and not way.users:
                self._close(way)

    async def check(self, name: BucketName, extra: Extra) -> None:
        """Returns if the remote has a bucket of that name and lets us read it. Raises as ``Upstream.check``."""
        upstream = self._open(name, extra)
        try:
            await upstream.check()
        finally:
            await upstream.close()

    async def names(self, provider: str) -> tuple[str, ...]:
        """The names of all buckets of a provider that our credentials may see. Raises as ``upstream.list_buckets``."""
        from tidegate import upstream  # noqa: PLC0415 - see above

        return await upstream.list_buckets(provider, Extra(), self._environment)

    def hurry(self) -> None:
        """The server was told to end: remotes that are silent are not waited for."""
        if "tidegate.upstream" in sys.modules:
            from tidegate.upstream import hurry  # noqa: PLC0415 - see above

            hurry()

    async def close(self) -> None:
        """Ends all connections; what is under way fails."""
        ways, self._ways = list(self._ways.values()), {}
        for way in ways:
            self._close(way)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _way(self, name: BucketName, extra: Extra) -> _Way:
        """Puts the one that was used last to the end: those in front are the first to go."""
        way = self._ways.pop(name, None)
        if way is not None and way.extra != extra:
            self._retire(way)
            way = None
        if way is None:
            way = _Way(self._open(name, extra), extra)
        self._ways[name] = way
        if len(self._ways) > MAX_IDLE:
            idle = (other for other, kept in self._ways.items() if not kept.users and kept is not way)
            if (oldest := next(idle, None)) is not None:
                self._retire(self._ways.pop(oldest))
        return way

    def _open(self, name: BucketName, extra: Extra) -> Upstream:
        from tidegate.upstream import open_upstream  # noqa: PLC0415 - see above

        if name.namespace:
            raise errors.NotImplementedByServer(f"{name.uri}: namespaces of other providers are not implemented")
        return open_upstream(name, extra, self._environment)

    def _retire(self, way: _Way) -> None:
        way.is_outdated = True
        if not way.users:
            self._close(way)

    def _close(self, way: _Way) -> None:
        task = asyncio.create_task(way.upstream.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
