"""Writing through: a write of somebody else's bucket is done when the remote has done it, and then here.

The bytes are here, whole and verified, before the remote is asked. What the remote refuses has not happened, and what
is cached stays. What it may or may not have done leaves a doubt: see ``turns``. Nothing is ever taken down here that
the remote has not said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from tidegate import checksums, errors
from tidegate.catalog import buckets, fills
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.blobs import Composed, Content, Existing, File, Inline
from tidegate.catalog.uploads import Completed
from tidegate.catalog.versions import NO_CHECKSUM, Deleted, Draft
from tidegate.clock import now
from tidegate.gateway.permissions import authorise, authorised
from tidegate.gateway.reading import read_blob
from tidegate.gateway.remote.cached import attributes_of, named, version_of
from tidegate.gateway.remote.turns import Turn
from tidegate.gateway.remote.upstreams import remote_of
from tidegate.gateway.rooms import Rooms, is_refusal
from tidegate.model import EMPTY, STANDARD, Bucket, Principal, Version
from tidegate.preconditions import ANY, Preconditions

if TYPE_CHECKING:
    from tidegate.upstream import RemoteObject, Removed, Upstream

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger(__name__)

PUT: Final = "s3:PutObject"
DELETE: Final = "s3:DeleteObject"
# Deletions that are under way at once for all requests: a fraction of the requests that an upstream makes.
DELETES_AT_ONCE: Final = 16


class Conditions(msgspec.Struct, frozen=True):
    """The conditions of a write that a remote can be given."""

    if_match: str | None = None
    if_none_match: bool = False


NO_CONDITIONS: Final = Conditions()


class Target(msgspec.Struct, frozen=True):
    """What is written, and by whom. ``action`` is what they have to be allowed."""

    principal: Principal
    bucket: Bucket
    key: str
    action: str = PUT

    def check(self, tx: Reader) -> None:
        """Raises where the bucket is not what it was, or the caller may not write it."""
        current = buckets.of_log(tx, self.bucket.log)
        if current is None or not current.is_elsewhere or remote_of(current) != remote_of(self.bucket):
            raise errors.ConditionalRequestConflict("The bucket was changed while it was written to.")
        authorise(self.principal, current, self.action, elsewhere=True)


class Writing:
    """The writes. Each raises what the remote says, and ``SlowDown`` where others write the same key for too long."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._tasks: set[asyncio.Task[Any]] = set()
        self._deleting = asyncio.Semaphore(DELETES_AT_ONCE)

    async def put(
        self,
        target: Target,
        draft: Draft,
        conditions: Conditions,
        body: AsyncIterable[bytes] | None = None,
        is_still: Callable[[Reader], bool] = lambda _: True,
        send: Callable[[Upstream], Awaitable[RemoteObject]] | None = None,
    ) -> Version:
        """Writes an object of new content, which is then what is cached; if it comes to nothing it is removed.

        With a ``body`` the bytes come from there, and the content is one that exists: it is cached only if ``is_still``
        says in the end that it does. With ``send`` that writes it, by asking the remote once.
        """
        is_there = False

        async def put(upstream: Upstream) -> RemoteObject:
            nonlocal is_there
            if send is None:
                pieces = new_content(self._rooms, draft.content) if body is None else body
                remote = await _send(upstream, target.key, draft, pieces, conditions)
            else:
                remote = await send(upstream)
            is_there = True
            return remote

        def commit(tx: Transaction, remote: RemoteObject, bucket: Bucket | None) -> tuple[Version, bool]:
            if bucket is not None and is_still(tx):
                return named(fills.keep(tx, bucket, target.key, _cacheable(bucket, remote, draft), now())), True
            self._forget(tx, target)
            return version_of(target.bucket, remote, now()), False

        try:
            version, is_kept = await self._through(target, put, commit, once=send is not None)
        except errors.Error as error:
            # How a commit of ours failed is not always known: then a sweep judges.
            if not is_there or is_refusal(error):
                await self._rooms.receiver.discard(draft.content)
            raise
        if not is_kept:
            await self._rooms.receiver.discard(draft.content)
        return version

    async def complete(
        self,
        target: Target,
        assemble: Callable[[Reader], Draft | Completed],
        finish: Callable[[Transaction, Version], Completed],
        conditions: Conditions,
    ) -> Completed:
        """Writes an object of the parts of an upload, which are here. Who is cancelled does not stop it.

        ``assemble`` says what the parts make, or that it was made already; ``finish`` ends the upload.
        """
        return await self._to_its_end(self._complete(target, assemble, finish, conditions))

    async def delete(self, target: Target, conditions: Conditions = NO_CONDITIONS) -> Deleted:
        """Deletes an object; that there is none is no error, unless it has to have an ETag."""
        return await self.delete_by(target, lambda upstream: upstream.delete(target.key, if_match=conditions.if_match))

    async def delete_by(self, target: Target, delete: Callable[[Upstream], Awaitable[Removed]]) -> Deleted:
        """Has something of an object deleted at the remote: what is cached of it goes."""

        def commit(tx: Transaction, removed: Removed, _: Bucket | None) -> Deleted:
            self._forget(tx, target)
            return Deleted(removed.version_id, removed.is_delete_marker)

        async with self._deleting:
            return await self._through(target, delete, commit)

    async def copy(
        self,
        target: Target,
        source: str,
        check: Callable[[Version], None],
        replace: tuple[Mapping[str, str], Mapping[str, str]] | None,
    ) -> Version:
        """Copies an object within a remote, where that does it. ``check`` raises where the source is not what is meant.

        ``replace`` are headers and metadata in place of the source's. What is cached of the key goes.
        """

        def commit(tx: Transaction, remote: RemoteObject, _: Bucket | None) -> Version:
            self._forget(tx, target)
            return version_of(target.bucket, remote, now())

        async with self._rooms.upstreams.use(target.bucket) as upstream:
            was = await upstream.head(source)
        check(version_of(target.bucket, was, now()))
        headers, metadata = replace or (None, None)

        async def copy(upstream: Upstream) -> RemoteObject:
            return await upstream.copy(
                source, target.key, headers=headers, metadata=metadata, digest=was.digest, if_match=was.etag or None
            )

        return await self._through(target, copy, commit)

    async def close(self) -> None:
        """Ends what is under way; what came of it is in doubt."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- how ---------------------------------------------------------------------------------------------------------

    async def _through(
        self,
        target: Target,
        work: Callable[[Upstream], Awaitable[R]],
        commit: Callable[[Transaction, R, Bucket | None], T],
        *,
        once: bool = False,
    ) -> T:
        """Does a work at the remote in its turn, and takes down what came of it. What asks the remote only ``once`` has
        not been done if that refuses.

        ``commit`` is told the bucket as it is then; None where nothing may be cached of this: the turn was lost, or the
        bucket is gone or another one.
        """
        async with self._rooms.upstreams.use(target.bucket) as upstream, self._turn(target) as turn:
            turn.is_begun = True
            try:
                done = await work(upstream)
            except errors.Error as error:
                turn.is_begun = not (once and is_refusal(error))
                raise
            outcome = await self._rooms.catalog.write(lambda tx: commit(tx, done, _settled(tx, turn)))
            turn.is_settled = True
            return outcome

    async def _complete(
        self,
        target: Target,
        assemble: Callable[[Reader], Draft | Completed],
        finish: Callable[[Transaction, Version], Completed],
        conditions: Conditions,
    ) -> Completed:
        async with self._rooms.upstreams.use(target.bucket) as upstream, self._turn(target) as turn:
            made = await self._rooms.catalog.read(assemble)
            if isinstance(made, Completed):
                return made
            draft = await self._digested(target.bucket, made)
            turn.is_begun = True
            remote = await _send(upstream, target.key, draft, self._composed(target.bucket, draft), conditions)

            def commit(tx: Transaction) -> Completed:
                bucket = _settled(tx, turn)
                again = assemble(tx)
                if isinstance(again, Completed) or again.content != made.content:
                    raise errors.ConditionalRequestConflict("The upload was changed while it was completed.")
                if bucket is not None:
                    kept = fills.keep(tx, bucket, target.key, _cacheable(bucket, remote, draft), now())
                    return finish(tx, named(kept))
                self._forget(tx, target)
                return finish(tx, version_of(target.bucket, remote, now()))

            completed = await self._rooms.catalog.write(commit)
            turn.is_settled = True
            return completed

    def _turn(self, target: Target) -> AbstractAsyncContextManager[Turn]:
        return self._rooms.turns.take(target.bucket, target.key, target.check)

    def _forget(self, tx: Transaction, target: Target) -> None:
        """Drops what is cached of a key, if the bucket is still there."""
        bucket = buckets.of_log(tx, target.bucket.log)
        if bucket is not None:
            fills.forget(tx, bucket, target.key, now())

    async def _to_its_end(self, work: Coroutine[None, None, T]) -> T:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return await asyncio.shield(task)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("a write that may have nobody to tell failed: %s", error)

    # --- bytes -------------------------------------------------------------------------------------------------------

    async def _composed(self, bucket: Bucket, draft: Draft) -> AsyncGenerator[bytes, None]:
        """The bytes of ranges of blobs, one after the other."""
        if not isinstance(draft.content, Composed):
            raise TypeError(draft.content)
        for part in draft.content.ranges:
            async with aclosing(read_blob(self._rooms, bucket, part.blob, part.start, part.length)) as pieces:
                async for piece in pieces:
                    yield piece

    async def _digested(self, bucket: Bucket, draft: Draft) -> Draft:
        """The draft with the bucket's checksum, which the remote is told before the bytes."""
        kind = bucket.properties.checksum.type
        if kind == NO_CHECKSUM or draft.attributes.digest is not None:
            return draft
        hasher = checksums.new(checksums.DIGESTS[kind])
        async with aclosing(self._composed(bucket, draft)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(hasher.update, piece)
        attributes = msgspec.structs.replace(draft.attributes, digest=(kind, hasher.digest().hex()))
        return msgspec.structs.replace(draft, attributes=attributes)


async def new_content(rooms: Rooms, content: Content) -> AsyncGenerator[bytes, None]:
    """The bytes of content that no version has yet."""
    match content:
        case Inline(data=data):
            yield data
        case File(name=name, size=size, digest=digest, folders=folders):
            async with aclosing(rooms.blobs.read(name, size, digest, 0, size, folders)) as pieces:
                async for piece in pieces:
                    yield piece
        case Composed() | Existing():
            raise TypeError(content)


async def _send(
    upstream: Upstream, key: str, draft: Draft, body: AsyncIterable[bytes], conditions: Conditions
) -> RemoteObject:
    attributes = draft.attributes
    return await upstream.put(
        key,
        body,
        size=draft.size,
        headers=attributes.headers,
        metadata={name.lower(): value for name, value in attributes.metadata.items()},
        digest=attributes.digest,
        tags=draft.tags,
        if_match=conditions.if_match,
        if_none_match=conditions.if_none_match,
    )


def _settled(tx: Transaction, turn: Turn) -> Bucket | None:
    """Ends a turn. The bucket, if what came of it may be cached there."""
    is_ours = turn.settle(tx)
    return buckets.of_log(tx, turn.log) if is_ours else None


def _cacheable(bucket: Bucket, remote: RemoteObject, draft: Draft) -> Draft:
    """What is kept here of an object that was written: our content and checksums, the remote's names for them."""
    ours = draft.attributes
    attributes = msgspec.structs.replace(
        attributes_of(bucket, remote, ours.digest), checksums=ours.checksums, checksum_type=ours.checksum_type
    )
    return Draft(draft.content, draft.size, remote.etag, remote.modified or draft.modified, STANDARD, attributes, EMPTY)


# --- what a remote cannot be asked for -------------------------------------------------------------------------------


# Who has S3's tags of objects.
_TAGGED: Final = frozenset({"aws"})


def conditions_of(principal: Principal, bucket: Bucket, preconditions: Preconditions) -> Conditions:
    """What a remote is asked to hold a write against, if the caller may have it evaluated.

    Raises ``NotImplementedByServer`` for what no remote has.
    """
    authorised(principal, bucket, preconditions, elsewhere=True)
    left = msgspec.structs.replace(preconditions, if_match=None, if_none_match=None)
    if left == Preconditions():
        match preconditions.if_match, preconditions.if_none_match:
            case (None, None):
                return NO_CONDITIONS
            case (None, (one,)) if one == ANY:
                return Conditions(if_none_match=True)
            case ((etag,), None) if etag != ANY:
                return Conditions(if_match=etag)
    raise errors.NotImplementedByServer(
        f"{bucket.identity.uri}: of conditional writes, a bucket of another provider has If-None-Match: * and If-Match "
        "with one ETag only."
    )


def delete_conditions_of(principal: Principal, bucket: Bucket, preconditions: Preconditions) -> Conditions:
    """The same for a delete: an ETag that the object has to have."""
    conditions = conditions_of(principal, bucket, preconditions)
    if conditions.if_none_match:
        raise errors.NotImplementedByServer(f"{bucket.identity.uri}: a delete with If-None-Match is not implemented.")
    return conditions


def check_extras(
    bucket: Bucket,
    *,
    tags: Mapping[str, str] = EMPTY,
    storage_class: str = STANDARD,
    website_redirect: str = "",
    checksum: str | None = None,
    appends: bool = False,
) -> None:
    """Raises ``NotImplementedByServer`` for what is kept of an object here, and not at remotes."""
    for is_wanted, what in (
        (bool(tags) and remote_of(bucket).provider not in _TAGGED, "Tags"),
        (storage_class != STANDARD, "Storage classes"),
        (bool(website_redirect), "Website redirects"),
        (checksum is not None, "Checksums of copies"),
        (appends, "Appends"),
    ):
        if is_wanted:
            raise errors.NotImplementedByServer(
                f"{what} of objects are not implemented for {bucket.identity.uri}: another provider keeps it."
            )
