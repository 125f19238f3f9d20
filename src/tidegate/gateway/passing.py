"""Requests that are signed for another provider: executed there as they are signed, and served from here where that is
the same.

AIStore's feature S3-Presigned-Request, of the cluster or of a bucket. Whoever signs so is nobody here; the remote
judges the signature, and what it accepts may be done: one object read or written. Where authentication is on
(``Passage.must_ask``) nothing is served, and nothing in the catalog touched by a read, before the remote has accepted
the very request.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Final

from tidegate import errors
from tidegate.access import Access, Grants
from tidegate.catalog import buckets, configuration, fills, intents
from tidegate.catalog.abc import Transaction
from tidegate.catalog.fills import CHUNK, Partial
from tidegate.catalog.intents import Intent
from tidegate.catalog.versions import Stored
from tidegate.clock import now
from tidegate.gateway.body import Body
from tidegate.gateway.objects import MAX_PUT_SIZE, NewObject, computed_in, draft_of
from tidegate.gateway.reading import UNKNOWN, Reading, Span
from tidegate.gateway.receive import Received
from tidegate.gateway.remote import cached
from tidegate.gateway.remote.cached import identity
from tidegate.gateway.remote.filling import Fill, Order
from tidegate.gateway.remote.fills import Fills
from tidegate.gateway.remote.reading import Reads, RemoteReading, asks_first, find, known_of
from tidegate.gateway.remote.signed import SignedWay
from tidegate.gateway.remote.spool import Spool
from tidegate.gateway.remote.writing import NO_CONDITIONS, Target, Writing, new_content
from tidegate.gateway.rooms import Rooms
from tidegate.identity.logins import is_token
from tidegate.model import Bucket, Principal, Version
from tidegate.passage import Passage
from tidegate.preconditions import NONE, Preconditions
from tidegate.properties import features

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tidegate.upstream import RemoteObject, Upstream
    from tidegate.upstream.feed import Feed

AMAZON: Final = "aws"
# What a signature for the remote is good for here, if the remote says so.
_MAY: Final = Access.GET | Access.HEAD_OBJECT | Access.PUT
# How often an object may become another one while it is looked at.
_TRIES: Final = 3


class Passing:
    """Objects by requests that are signed for their remote. Beside what they say all raise ``RemoteDenied`` where the
    remote does not accept the signature, ``AccessDenied`` where it is for another place, and as ``Upstream``.
    """

    def __init__(self, rooms: Rooms, writing: Writing, keeper: Fills) -> None:
        self._rooms = rooms
        self._writing = writing
        self._keeper = keeper

    async def stranger(self, bucket_name: str, *credentials: str | None) -> Principal | None:
        """Whoever signs for the remote of a bucket; None where requests are not passed on to it.

        Among ``credentials``, the request's token and access key, one that is like a token of ours never goes to
        anybody else.
        """
        if any(each is not None and is_token(each.strip()) for each in credentials):
            return None
        try:
            bucket = await self._rooms.catalog.recall(("bucket", bucket_name), lambda tx: buckets.get(tx, bucket_name))
        except errors.Error:
            return None
        if bucket.provider != AMAZON:
            return None
        flags = bucket.properties.features
        if not features.has(flags, features.S3_PRESIGNED_REQUEST):
            flags = (await self._rooms.catalog.recall("configuration", configuration.get)).features
        if not features.has(flags, features.S3_PRESIGNED_REQUEST):
            return None
        return Principal(id="", name="", grants=Grants(buckets={bucket.identity: _MAY}))

    # --- reading -----------------------------------------------------------------------------------------------------

    async def read(
        self,
        principal: Principal,
        bucket_name: str,
        key: str,
        passage: Passage,
        *,
        preconditions: Preconditions = NONE,
        span: Span = UNKNOWN,
    ) -> Reading:
        """Finds an object to read: as ``Objects.read``. Raises ``NotModified`` and ``PreconditionFailed`` also where
        the remote says so.
        """
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:GetObject", elsewhere=True)
        way = SignedWay(self._rooms.upstreams, passage)
        reads = Reads(self._rooms, self._keeper, way)
        known_span = span if preconditions is NONE else UNKNOWN
        try:
            if passage.is_exact:
                reading = await self._open_exact(reads, way, passage, bucket, key)
            else:
                reading = await self._open(reads, way, passage, bucket, key, known_span)
        finally:
            await way.drop()
        preconditions.check_read(reading.version)
        if span is not UNKNOWN:
            reads.count(bucket, reading)
        self._rooms.accesses.note(reading.log, reading.version)
        return reading

    async def _open(
        self, reads: Reads, way: SignedWay, passage: Passage, bucket: Bucket, key: str, span: Span
    ) -> Reading:
        intent = await self._rooms.catalog.read(lambda tx: intents.find(tx, bucket.log, key))
        asks = passage.must_ask or intent is not None or asks_first(bucket)
        for _ in range(_TRIES):
            if passage.must_ask and span.start is not None and known_of(await self._find(bucket, key)) is None:
                span = await self._prepare(way, bucket, key, span)
            reading = await reads.open(bucket, key, span)
            if not asks or way.is_accepted:
                return reading
            if await self._agrees(reads, way, bucket, key, reading.version.etag):
                if intent is not None:
                    await self._settle(bucket, key, intent)
                return reading
            await reads.forget(bucket, key)
        raise errors.RemoteChanged(Key=key)

    async def _prepare(self, way: SignedWay, bucket: Bucket, key: str, span: Span) -> Span:
        """Asks the remote for the chunks of a span, before anything is begun here. Returns what may be read."""
        start = (span.start or 0) // CHUNK * CHUNK
        stop = None if span.stop is None else fills.count(span.stop) * CHUNK
        try:
            await way.prepare(bucket, key, Span(start, stop))
        except errors.InvalidRange:  # whoever asked for it hears that when the size is known
            return UNKNOWN
        if await self._find(bucket, key) is not None:
            await way.drop()  # somebody was faster: to wait for them with an answer in hand might keep them from theirs
        return span

    async def _find(self, bucket: Bucket, key: str) -> Stored | Partial | None:
        return await self._rooms.catalog.read(partial(find, bucket=bucket, key=key))

    async def _agrees(self, reads: Reads, way: SignedWay, bucket: Bucket, key: str, etag: str) -> bool:
        """Whether the remote accepts the request, and has what is here."""
        try:
            return await way.has(bucket, key, etag)
        except errors.NoSuchKey:
            if bucket.properties.versioning.synchronize:
                await reads.forget(bucket, key)
            raise

    async def _settle(self, bucket: Bucket, key: str, seen: Intent) -> None:
        """Ends a doubt that has lasted long enough: the remote has what is cached."""
        if seen.until > now():
            return

        def clear(tx: Transaction) -> None:
            begun = fills.find(tx, bucket.log, key)
            if begun is not None and isinstance(find(tx, bucket, key), Stored):
                fills.drop(tx, begun.id, now())
            intents.clear(tx, bucket.log, key, seen)

        await self._rooms.catalog.write(clear)

    async def _open_exact(self, reads: Reads, way: SignedWay, passage: Passage, bucket: Bucket, key: str) -> Reading:
        """An object by a request that can be asked for nothing else than what it says. Its bytes are not kept."""
        found = await self._find(bucket, key)
        intent = await self._rooms.catalog.read(lambda tx: intents.find(tx, bucket.log, key))
        is_here = isinstance(found, Stored)
        if is_here and intent is None and not passage.must_ask and not asks_first(bucket):
            return await reads.open(bucket, key, UNKNOWN)
        async with way.use(bucket) as reader:
            if passage.method == "HEAD":
                remote = await reader.head(key)
                return self._of_remote(reads, bucket, remote, None)
            remote, start, body = await reader.signed.get_exact(key)
            if isinstance(found, Stored) and identity(found.version).holds(identity(remote)):
                await body.aclose()
                return await reads.open(bucket, key, UNKNOWN)
            return self._of_remote(reads, bucket, remote, await self._pass_on(way, bucket, key, start, (remote, body)))

    async def _pass_on(
        self, way: SignedWay, bucket: Bucket, key: str, start: int, opened: tuple[RemoteObject, AsyncGenerator[bytes]]
    ) -> Fill:
        """A fill of bytes that are on their way, which keeps none of them."""
        owner = self._keeper.new_owner()
        way.ready(Span(start, None), opened)
        fill = Fill(self._keeper, way, Order(bucket, key, start, None, None, owner, None, opens=False, is_private=True))
        self._keeper.begin(fill.run())
        await asyncio.shield(fill.described)
        return fill

    def _of_remote(self, reads: Reads, bucket: Bucket, remote: RemoteObject, fill: Fill | None) -> Reading:
        version = cached.version_of(bucket, remote, now())
        return RemoteReading(reads, bucket, version, identity(remote), pipe=None if fill is None else fill.pipe)

    # --- writing -----------------------------------------------------------------------------------------------------

    def spool(self) -> Spool:
        """Where a body goes that is framed, beside being taken out of its frame: it is passed on as it came."""
        return Spool(self._rooms)

    async def put(
        self,
        principal: Principal,
        bucket_name: str,
        key: str,
        body: Body,
        new: NewObject,
        passage: Passage,
        *,
        spool: Spool | None = None,
        keeps: bool = True,
    ) -> Version:
        """Writes an object at the remote, and here what came of it, unless it is not to be kept. ``spool`` has been
        filled when ``body`` was read.

        The body is here, whole and verified, before the remote is asked. Raises as ``Objects.put``.
        """
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:PutObject", elsewhere=True)
        way = SignedWay(self._rooms.upstreams, passage)
        async with way.use(bucket):
            pass  # what is for another place is not taken in
        await self._rooms.space.check()
        try:
            received = await self._rooms.receiver.receive(bucket, body, MAX_PUT_SIZE, computed_in(bucket))
            try:
                feed = await self._feed(received, spool)
            except BaseException:
                await self._rooms.receiver.discard(received.content)
                raise
            draft = draft_of(new, received, bucket)
            # Where it is framed, what Content-MD5 would be of is not agreed upon.
            md5 = b64encode(bytes.fromhex(received.md5)).decode() if spool is None else ""

            async def send(upstream: Upstream) -> RemoteObject:
                signed = await way.through(upstream)
                attributes = draft.attributes
                return await signed.put(key, feed, received.size, attributes.headers, attributes.metadata, md5)

            target = Target(principal, bucket, key)
            return await self._writing.put(target, draft, NO_CONDITIONS, is_still=lambda _: keeps, send=send)
        finally:
            if spool is not None:
                await spool.discard()

    async def _feed(self, received: Received, spool: Spool | None) -> Feed:
        """The body as it is to be sent."""
        from tidegate.upstream.feed import Feed  # noqa: PLC0415 - a server without remotes does not load it

        if spool is None:
            return Feed(received.size, lambda: new_content(self._rooms, received.content))
        await spool.finish(received.size)
        return Feed(spool.size, spool.read)
