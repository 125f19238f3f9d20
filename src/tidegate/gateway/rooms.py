"""What every part of the gateway works with, and the authorisation that none of them can do without."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from tidegate import errors
from tidegate.blobs import BlobStore
from tidegate.catalog import buckets
from tidegate.catalog.abc import Driver, Reader, Transaction
from tidegate.catalog.blobs import Content
from tidegate.catalog.buckets import Name
from tidegate.catalog.committing import committing
from tidegate.clock import now
from tidegate.gateway.accesses import Accesses
from tidegate.gateway.asking import HookCalls
from tidegate.gateway.permissions import authorise
from tidegate.gateway.receive import Receiver
from tidegate.gateway.references import References
from tidegate.gateway.remote.discovery import first_use
from tidegate.gateway.remote.turns import Turns
from tidegate.gateway.remote.upstreams import Upstreams
from tidegate.gateway.space import Space
from tidegate.identity import Identity
from tidegate.model import Bucket, Principal, Writer
from tidegate.names import BucketName
from tidegate.properties.tree import Mirror
from tidegate.refs import is_moving

T = TypeVar("T")


class Rooms(msgspec.Struct, frozen=True):
    """The rooms behind the gateway."""

    catalog: Driver
    blobs: BlobStore
    identity: Identity
    receiver: Receiver
    accesses: Accesses
    space: Space
    upstreams: Upstreams
    turns: Turns
    hook_calls: HookCalls
    references: References = msgspec.field(default_factory=References)

    def check_copies(self, mirror: Mirror) -> None:
        """Raises ``InvalidArgument`` for more copies than there are folders."""
        folders = self.blobs.capacity
        if mirror.enabled and mirror.copies > folders:
            raise errors.InvalidArgument(
                f"mirror.copies is {mirror.copies}: each copy needs a data folder of its own ({folders} here)"
            )

    async def bucket(self, principal: Principal, name: Name, action: str, *, elsewhere: bool = False) -> Bucket:
        """The bucket, if the caller may do this to it.

        ``action`` is Amazon's name of the permission, such as ``s3:GetObject``. What is in a bucket that another
        provider keeps is for those who say that they can do it ``elsewhere``; to them, such a bucket becomes known when
        its URI is used for the first time.

        Raises ``NoSuchBucket``, ``AmbiguousBucketName``, ``AccessDenied``, and ``NotImplementedByServer`` for
        what is in a bucket that another provider keeps.
        """
        try:
            bucket = await self._found(name)
        except errors.NoSuchBucket:
            if not (elsewhere and isinstance(name, BucketName) and name.is_remote):
                raise
            bucket = await first_use(self.catalog, self.upstreams, principal, name, action, now())
        authorise(principal, bucket, action, elsewhere=elsewhere)
        return bucket

    async def known(self, principal: Principal, name: Name, action: str) -> Bucket:
        """As ``bucket``, for who wants to know of the bucket only, wherever its content is."""
        bucket = await self._found(name)
        authorise(principal, bucket, action, elsewhere=True)
        return bucket

    async def _found(self, name: Name) -> Bucket:
        if is_moving(name):
            return await self.catalog.read(lambda tx: buckets.get(tx, name))
        return await self.catalog.recall(("bucket", name), buckets.get, name)

    async def read(
        self,
        principal: Principal,
        name: Name,
        action: str,
        function: Callable[[Reader, Bucket], T],
        *,
        elsewhere: bool = False,
    ) -> T:
        """What the function finds out about a bucket, if the caller may do this to it.

        Raises as ``bucket``, and as the function.
        """
        bucket = await self.bucket(principal, name, action, elsewhere=elsewhere)
        return await self.catalog.read(lambda tx: function(tx, bucket))

    async def write(
        self,
        principal: Principal,
        name: Name,
        action: str,
        function: Callable[[Transaction, Bucket], T],
        *,
        elsewhere: bool = False,
    ) -> T:
        """As ``read``, in a transaction that writes: the caller is authorised inside it.

        Raises also ``HookRefused`` and ``HookUnavailable``, where it makes a commit.
        """

        def run(tx: Transaction) -> T:
            bucket = buckets.known(tx, name)
            authorise(principal, bucket, action, elsewhere=elsewhere)
            if bucket.place is None:
                if principal.note.if_head:
                    raise errors.InvalidRequest(
                        "If-Head-Commit is for branches of repositories: this is a plain bucket."
                    )
                return function(tx, bucket)
            writer = Writer(principal.name, principal.note)
            with committing(tx, buckets.writable(bucket, writer)) as branch:
                return function(tx, branch)

        return await self.hook_calls.write(run, action)

    async def commit(
        self,
        principal: Principal,
        name: Name,
        action: str,
        content: Content,
        function: Callable[[Transaction, Bucket], T],
        *,
        elsewhere: bool = False,
    ) -> T:
        """As ``write``, for a transaction that would refer to new content. What the catalog refuses is removed.

        Where the commit itself failed, or the caller went away meanwhile, the outcome is not known: the content stays,
        and if nothing refers to it a sweep removes it. A commit for which the disk had no room has not happened: the
        content goes, which takes the room.
        """
        try:
            return await self.write(principal, name, action, function, elsewhere=elsewhere)
        except errors.Error as error:
            if is_refusal(error):
                await self.receiver.discard(content)
            raise


def is_refusal(error: errors.Error) -> bool:
    """Whether a transaction that ended so has surely not happened."""
    return not error.is_ours or isinstance(error, (errors.InsufficientStorage, errors.HookUnavailable))
