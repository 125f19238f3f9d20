"""Buckets: making, finding, listing, configuring and removing them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tidegate import errors
from tidegate.catalog import buckets, listing
from tidegate.catalog.listing import Page, VersionPage
from tidegate.gateway.rooms import Rooms, now
from tidegate.model import Bucket, Principal, Versioning


class BucketPage(msgspec.Struct, frozen=True):
    """Buckets by name; ``last`` is the name to go on after, where there are more."""

    buckets: list[Bucket]
    last: str | None


class Buckets:
    """The operations on buckets. Each raises ``NoSuchBucket`` and ``AccessDenied`` beside what it says."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list(self, principal: Principal, *, prefix: str, after: str, limit: int) -> BucketPage:
        """The caller's buckets; an administrator sees everybody's."""
        if not principal.is_admin and not principal.id:
            raise errors.AccessDenied
        owner = None if principal.is_admin else principal.id
        found = await self._rooms.catalog.read(
            lambda tx: buckets.page(tx, owner=owner, prefix=prefix, after=after, limit=limit + 1)
        )
        return BucketPage(found[:limit], found[limit - 1].name if len(found) > limit else None)

    async def create(
        self, principal: Principal, name: str, *, region: str = "", tags: Mapping[str, str] | None = None
    ) -> Bucket:
        """Makes a bucket that belongs to the caller. Raises ``BucketAlreadyOwnedByYou``, ``BucketAlreadyExists``."""
        if not principal.is_admin and not principal.id:
            raise errors.AccessDenied
        return await self._rooms.catalog.write(lambda tx: buckets.create(tx, name, principal.id, region, now(), tags))

    async def get(self, principal: Principal, name: str, action: str = "s3:ListBucket") -> Bucket:
        return await self._rooms.bucket(principal, name, action)

    async def delete(self, principal: Principal, name: str) -> None:
        """Raises ``BucketNotEmpty``."""
        await self._rooms.write(principal, name, "s3:DeleteBucket", buckets.delete)

    async def set_versioning(self, principal: Principal, name: str, versioning: Versioning) -> None:
        await self._rooms.write(
            principal,
            name,
            "s3:PutBucketVersioning",
            lambda tx, bucket: buckets.set_versioning(tx, bucket, versioning),
        )

    async def tags(self, principal: Principal, name: str) -> Mapping[str, str]:
        """Raises ``NoSuchTagSet``."""
        bucket = await self._rooms.bucket(principal, name, "s3:GetBucketTagging")
        if not bucket.tags:
            raise errors.NoSuchTagSet(BucketName=name)
        return bucket.tags

    async def set_tags(self, principal: Principal, name: str, tags: Mapping[str, str] | None) -> None:
        await self._rooms.write(
            principal, name, "s3:PutBucketTagging", lambda tx, bucket: buckets.set_tags(tx, bucket, tags)
        )

    async def list_objects(
        self, principal: Principal, name: str, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> tuple[Bucket, Page]:
        """A page of live objects. A limit of 0 is an empty page with nothing after it."""
        if limit == 0:
            return await self.get(principal, name), Page([], [], None)
        return await self._rooms.read(
            principal,
            name,
            "s3:ListBucket",
            lambda tx, bucket: (
                bucket,
                listing.keys(tx, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit),
            ),
        )

    async def list_versions(
        self,
        principal: Principal,
        name: str,
        *,
        prefix: str,
        delimiter: str,
        after: str,
        after_version: str,
        limit: int,
    ) -> tuple[Bucket, VersionPage]:
        """A page of versions and delete markers."""
        if limit == 0:
            return await self.get(principal, name, "s3:ListBucketVersions"), VersionPage([], [], None, "")
        return await self._rooms.read(
            principal,
            name,
            "s3:ListBucketVersions",
            lambda tx, bucket: (
                bucket,
                listing.versions(
                    tx,
                    bucket,
                    prefix=prefix,
                    delimiter=delimiter,
                    after=after,
                    after_version=after_version,
                    limit=limit,
                ),
            ),
        )
