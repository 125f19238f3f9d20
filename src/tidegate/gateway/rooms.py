"""What every part of the gateway works with, and the authorisation that none of them can do without."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from tidegate import errors
from tidegate.blobs import BlobStore
from tidegate.catalog import buckets
from tidegate.catalog.abc import Driver, Reader, Transaction
from tidegate.catalog.blobs import Content
from tidegate.catalog.buckets import Name
from tidegate.gateway.accesses import Accesses
from tidegate.gateway.permissions import authorise
from tidegate.gateway.receive import Receiver
from tidegate.gateway.space import Space
from tidegate.identity import Identity
from tidegate.model import Bucket, Principal

T = TypeVar("T")


class Rooms(msgspec.Struct, frozen=True):
    """The rooms behind the gateway."""

    catalog: Driver
    blobs: BlobStore
    identity: Identity
    receiver: Receiver
    accesses: Accesses
    space: Space

    async def bucket(self, principal: Principal, name: Name, action: str) -> Bucket:
        """The bucket, if the caller may do this to it.

        ``action`` is Amazon's name of the permission, such as ``s3:GetObject``.

        Raises ``NoSuchBucket``, ``AmbiguousBucketName``, ``AccessDenied``, and ``NotImplementedByServer`` for
        what is in a bucket that another provider keeps.
        """
        bucket = await self.catalog.recall(("bucket", name), lambda tx: buckets.get(tx, name))
        authorise(principal, bucket, action)
        return bucket

    async def read(self, principal: Principal, name: Name, action: str, function: Callable[[Reader, Bucket], T]) -> T:
        """What the function finds out about a bucket, if the caller may do this to it.

        Raises as ``bucket``, and as the function.
        """
        bucket = await self.bucket(principal, name, action)
        return await self.catalog.read(lambda tx: function(tx, bucket))

    async def write(
        self, principal: Principal, name: Name, action: str, function: Callable[[Transaction, Bucket], T]
    ) -> T:
        """As ``read``, in a transaction that writes: the caller is authorised inside it."""

        def run(tx: Transaction) -> T:
            bucket = buckets.get(tx, name)
            authorise(principal, bucket, action)
            return function(tx, bucket)

        return await self.catalog.write(run)

    async def commit(
        self,
        principal: Principal,
        name: Name,
        action: str,
        content: Content,
        function: Callable[[Transaction, Bucket], T],
    ) -> T:
        """As ``write``, for a transaction that would refer to new content. What the catalog refuses is removed.

        Where the commit itself failed, or the caller went away meanwhile, the outcome is not known: the content stays,
        and if nothing refers to it a sweep removes it. A commit for which the disk had no room has not happened: the
        content goes, which takes the room.
        """
        try:
            return await self.write(principal, name, action, function)
        except errors.Error as error:
            if error.status < 500 or isinstance(error, errors.InsufficientStorage):
                await self.receiver.discard(content)
            raise


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
