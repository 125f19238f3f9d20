"""The way to one object of a remote by a request that somebody else has signed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tidegate import errors
from tidegate.gateway.reading import Span
from tidegate.gateway.remote.upstreams import Opened, Upstreams
from tidegate.model import Bucket
from tidegate.passage import Passage

if TYPE_CHECKING:
    from tidegate.upstream import RemoteObject, Upstream
    from tidegate.upstream.s3_signed import SignedBucket


class SignedWay:
    """Implements ``Ways``. ``is_accepted`` says that the remote has taken the signature for good: then the caller may
    have what the request asks for, from wherever it is.
    """

    def __init__(self, upstreams: Upstreams, passage: Passage) -> None:
        self.is_accepted = False
        self._upstreams = upstreams
        self._passage = passage
        self._ready: tuple[Span, Opened] | None = None

    @asynccontextmanager
    async def use(self, bucket: Bucket) -> AsyncIterator[_Reader]:
        """The bucket as it answers to the request. Raises as ``Upstreams.use``, and ``AccessDenied``."""
        async with self._upstreams.use(bucket) as upstream:
            yield _Reader(self, await self.through(upstream))

    async def through(self, upstream: Upstream) -> SignedBucket:
        """The same, of an upstream."""
        from tidegate.upstream.s3 import S3Bucket  # noqa: PLC0415 - a server without remotes does not load it

        if not isinstance(upstream, S3Bucket):
            raise errors.NotImplementedByServer(f"{upstream.uri}: signed requests are passed on to S3 only")
        return await upstream.as_signed(self._passage, self._accepted)

    async def has(self, bucket: Bucket, key: str, etag: str) -> bool:
        """Whether the remote accepts the request, and has the object with this ETag."""
        async with self.use(bucket) as reader:
            return await reader.signed.has(key, etag)

    async def prepare(self, bucket: Bucket, key: str, span: Span) -> None:
        """Begins the read that is wanted first, so that the remote has accepted it before it counts for anything here.

        Whoever asks for the same gets it; otherwise ``drop`` it.
        """
        async with self.use(bucket) as reader:
            opened = await reader.signed.get(key, start=span.start or 0, stop=span.stop)
        self._ready = span, opened

    def take(self, span: Span) -> Opened | None:
        """What was prepared, if it is this."""
        if self._ready is None or self._ready[0] != span:
            return None
        opened, self._ready = self._ready[1], None
        return opened

    def ready(self, span: Span, opened: Opened) -> None:
        """Keeps for whoever asks for it what is open already."""
        self._ready = span, opened

    async def drop(self) -> None:
        """Closes what nobody has asked for."""
        if self._ready is not None:
            (_, (_, body)), self._ready = self._ready, None
            await body.aclose()

    def _accepted(self) -> None:
        self.is_accepted = True


class _Reader:
    """Implements ``upstream.Readable``."""

    def __init__(self, way: SignedWay, signed: SignedBucket) -> None:
        self.signed = signed
        self._way = way

    async def head(self, key: str) -> RemoteObject:
        return await self.signed.head(key)

    async def get(self, key: str, *, start: int = 0, stop: int | None = None, if_match: str | None = None) -> Opened:
        if if_match is None and (opened := self._way.take(Span(start, stop))) is not None:
            return opened
        return await self.signed.get(key, start=start, stop=stop, if_match=if_match)
