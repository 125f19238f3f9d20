"""Buckets: making, finding, listing, configuring and removing them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import msgspec

from tidegate import errors
from tidegate.access import Access
from tidegate.catalog import buckets, configuration, copies, listing
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.buckets import Name
from tidegate.catalog.listing import Details, Page, Sizes, VersionPage
from tidegate.gateway.permissions import authorise, authorise_system, may_list
from tidegate.gateway.rooms import Rooms, now
from tidegate.model import Bucket, Principal, Versioning
from tidegate.names import BucketName
from tidegate.properties import BucketProperties, Configuration, change

EMPTY_PROPERTIES: Mapping[str, object] = MappingProxyType({})
# Buckets that are counted at a time by a process: each takes a thread, and the disk, for as long as it takes.
MAX_COUNTING = 1


class BucketPage(msgspec.Struct, frozen=True):
    """Buckets by name; ``last`` is the name to go on after, where there are more."""

    buckets: list[Bucket]
    last: str | None


def inherited(system: Configuration) -> BucketProperties:
    """The properties that a new bucket begins with: the sections that the system's configuration has too."""
    return BucketProperties(
        **{name: getattr(system, name) for name in BucketProperties.__struct_fields__ if hasattr(system, name)}
    )


class Buckets:
    """The operations on buckets. Each raises ``NoSuchBucket`` and ``AccessDenied`` beside what it says."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._counting = asyncio.Semaphore(MAX_COUNTING)

    async def list(self, principal: Principal, *, prefix: str = "", after: str = "", limit: int) -> BucketPage:
        """The buckets that the caller may list. Those that share a name are on one page, even if it gets longer."""
        authorise_system(principal, Access.LIST_BUCKETS)

        def read(tx: Reader) -> BucketPage:
            page = partial(buckets.page, tx, prefix=prefix, may_see=lambda bucket: may_list(principal, bucket))
            found = page(after=after, limit=limit)
            has_more = len(found) >= limit and page(after=found[-1].name, limit=1)
            return BucketPage(found, found[-1].name if has_more else None)

        return await self._rooms.catalog.read(read)

    async def create(
        self,
        principal: Principal,
        name: Name,
        *,
        region: str = "",
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, object] = EMPTY_PROPERTIES,
    ) -> Bucket:
        """Makes a bucket that belongs to the caller. It begins with the system's configuration and these properties.

        Raises ``BucketAlreadyOwnedByYou``, ``BucketAlreadyExists``, ``InvalidArgument`` for the properties.
        """
        authorise_system(principal, Access.CREATE_BUCKET)

        def create(tx: Transaction) -> Bucket:
            tree = self._changed(tx, name, inherited(configuration.get(tx)), properties)
            self._check_copies(tree)
            return buckets.create(tx, name, principal.id, region, now(), tags, tree)

        return await self._rooms.catalog.write(create)

    async def get(self, principal: Principal, name: Name, action: str = "ais:HeadBucket") -> Bucket:
        return await self._rooms.bucket(principal, name, action)

    async def delete(self, principal: Principal, name: Name) -> None:
        """Raises ``BucketNotEmpty``."""
        await self._rooms.write(principal, name, "s3:DeleteBucket", buckets.delete)

    async def destroy(self, principal: Principal, name: Name) -> None:
        """Removes a bucket with all that is in it."""
        await self._rooms.write(principal, name, "s3:DeleteBucket", buckets.destroy)

    async def rename(self, principal: Principal, name: BucketName, to: BucketName) -> None:
        """Gives a bucket of ours another name; nothing is copied.

        Raises ``BucketAlreadyExists``, ``InvalidArgument``.
        """
        if name.is_remote or to.is_remote:
            raise errors.InvalidArgument("a bucket of another provider cannot be renamed")

        def rename(tx: Transaction, bucket: Bucket) -> None:
            authorise_system(principal, Access.CREATE_BUCKET)
            buckets.rename(tx, bucket, to)

        await self._rooms.write(principal, name, "ais:MoveBucket", rename)

    async def size(self, principal: Principal, name: Name) -> tuple[Bucket, int, int]:
        """The bucket, the number of its live objects, and their bytes."""
        return await self._rooms.read(
            principal, name, "ais:HeadBucket", lambda tx, bucket: (bucket, *buckets.size(tx, bucket))
        )

    async def set_properties(
        self, principal: Principal, name: Name, changes: Mapping[str, object]
    ) -> tuple[Bucket, Bucket]:
        """Changes properties, by flat name (``checksum.type``) or as a partial tree. The bucket before and after.

        Raises ``InvalidArgument`` for what cannot be set, ``NoSuchBucket`` also for a backend that is not there.
        """
        return await self._set(principal, name, lambda _, bucket: bucket.properties, changes)

    async def reset_properties(self, principal: Principal, name: Name) -> tuple[Bucket, Bucket]:
        """Gives the bucket the properties that a new one would have. The bucket before and after."""
        return await self._set(principal, name, lambda tx, _: inherited(configuration.get(tx)), EMPTY_PROPERTIES)

    async def _set(
        self,
        principal: Principal,
        name: Name,
        base: Callable[[Transaction, Bucket], BucketProperties],
        changes: Mapping[str, object],
    ) -> tuple[Bucket, Bucket]:
        def set_properties(tx: Transaction, bucket: Bucket) -> tuple[Bucket, Bucket]:
            tree = self._changed(tx, bucket.identity, base(tx, bucket), changes)
            if tree.access != bucket.properties.access:
                authorise(principal, bucket, "ais:SetBucketACL")
            if tree.mirror != bucket.properties.mirror:
                self._check_copies(tree)
            buckets.set_properties(tx, bucket, tree)
            changed = buckets.get(tx, bucket.identity)
            copies.ask(tx, bucket.id, bucket.copies, changed.copies)
            if not tree.versioning.enabled and bucket.versioning is Versioning.ENABLED:
                buckets.set_versioning(tx, bucket, Versioning.SUSPENDED)
            return bucket, buckets.get(tx, bucket.identity)

        return await self._rooms.write(principal, name, "ais:PatchBucket", set_properties)

    def _check_copies(self, tree: BucketProperties) -> None:
        folders = self._rooms.blobs.capacity
        if tree.mirror.enabled and tree.mirror.copies > folders:
            raise errors.InvalidArgument(
                f"mirror.copies is {tree.mirror.copies}: each copy needs a data folder of its own ({folders} here)"
            )

    def _changed(
        self, tx: Transaction, name: Name, tree: BucketProperties, changes: Mapping[str, object]
    ) -> BucketProperties:
        """The tree with the changes. Raises ``InvalidArgument`` also for what this bucket, or this store, cannot do."""
        tree = change(tree, changes)
        is_remote = isinstance(name, BucketName) and name.is_remote
        backend = tree.backend_bck
        if backend.name:
            if is_remote:
                raise errors.InvalidArgument("a bucket of another provider cannot have a backend bucket")
            buckets.get(tx, BucketName(backend.name, backend.provider))
        if tree.lru.enabled and not (is_remote or backend.name):
            raise errors.InvalidArgument(
                "lru.enabled cannot be set: what a bucket without a backend holds is nowhere else, and is never evicted"
            )
        provider = name.provider if is_remote and isinstance(name, BucketName) else backend.provider
        for section, of in (("aws", "aws"), ("gcp", "gcp")):
            if provider != of and getattr(tree.extra, section) != getattr(BucketProperties().extra, section):
                raise errors.InvalidArgument(f"extra.{section} is for buckets that {of} keeps")
        return tree

    async def set_versioning(self, principal: Principal, name: Name, versioning: Versioning) -> None:
        await self._rooms.write(
            principal,
            name,
            "s3:PutBucketVersioning",
            lambda tx, bucket: buckets.set_versioning(tx, bucket, versioning),
        )

    async def tags(self, principal: Principal, name: Name) -> Mapping[str, str]:
        """Raises ``NoSuchTagSet``."""
        bucket = await self._rooms.bucket(principal, name, "s3:GetBucketTagging")
        if not bucket.tags:
            raise errors.NoSuchTagSet(BucketName=bucket.name)
        return bucket.tags

    async def set_tags(self, principal: Principal, name: Name, tags: Mapping[str, str] | None) -> None:
        await self._rooms.write(
            principal, name, "s3:PutBucketTagging", lambda tx, bucket: buckets.set_tags(tx, bucket, tags)
        )

    async def list_objects(
        self, principal: Principal, name: Name, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> tuple[Bucket, Page]:
        """A page of live objects. A limit of 0 is an empty page with nothing after it."""
        if limit == 0:
            return await self.get(principal, name, "s3:ListBucket"), Page([], [], None)
        return await self._rooms.read(
            principal,
            name,
            "s3:ListBucket",
            lambda tx, bucket: (
                bucket,
                listing.keys(tx, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit),
            ),
        )

    async def list_details(
        self, principal: Principal, name: Name, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> tuple[Bucket, Page, Sequence[Details]]:
        """As ``list_objects``, with all that is known of each object of the page."""

        def read(tx: Reader, bucket: Bucket) -> tuple[Bucket, Page, Sequence[Details]]:
            page = listing.keys(tx, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            return bucket, page, listing.details(tx, bucket, page)

        return await self._rooms.read(principal, name, "s3:ListBucket", read)

    async def sizes(self, principal: Principal, name: Name, prefix: str = "") -> tuple[Bucket, Sizes]:
        """How many live objects a bucket has under a prefix, and how large they are. Reads the names of all of them."""
        bucket = await self._rooms.bucket(principal, name, "s3:ListBucket")
        async with self._counting:
            return bucket, await asyncio.to_thread(self._sizes, bucket, prefix)

    def _sizes(self, bucket: Bucket, prefix: str) -> Sizes:
        with self._rooms.catalog.snapshot() as tx:
            return listing.sizes(tx, bucket, prefix)

    async def list_versions(
        self,
        principal: Principal,
        name: Name,
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
