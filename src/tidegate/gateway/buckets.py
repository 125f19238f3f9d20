"""Buckets: making, finding, listing, configuring and removing them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from tidegate import errors
from tidegate.access import Access
from tidegate.catalog import buckets, configuration, copies, listing
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.buckets import Name
from tidegate.catalog.listing import Details, Page, Sizes, VersionPage
from tidegate.clock import now
from tidegate.gateway.permissions import authorise, authorise_system, may_bring_in, may_list
from tidegate.gateway.remote import backends
from tidegate.gateway.remote.listing import RemoteListing
from tidegate.gateway.repos.branches import Branches
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket, Principal, Versioning
from tidegate.names import BucketName
from tidegate.properties import BucketProperties, change, evictable, inherited
from tidegate.refs import RefName

EMPTY_PROPERTIES: Mapping[str, object] = MappingProxyType({})
# Buckets that are counted at a time by a process: each takes a thread, and the disk, for as long as it takes.
MAX_COUNTING = 1


class BucketPage(msgspec.Struct, frozen=True):
    """Buckets by name; ``last`` is the name to go on after, where there are more."""

    buckets: list[Bucket]
    last: str | None


class Buckets:
    """The operations on buckets. Each raises ``NoSuchBucket`` and ``AccessDenied`` beside what it says."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._remotes = RemoteListing(rooms)
        self._branches = Branches(rooms)
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
        looks_up: bool = True,
    ) -> Bucket:
        """Makes a bucket that belongs to the caller. It begins with the system's configuration and these properties.

        One of another provider becomes known here; unless ``looks_up`` is false it has to be there, and readable.
        Raises ``BucketAlreadyOwnedByYou``, ``BucketAlreadyExists``, ``InvalidArgument`` for the properties.
        """
        if isinstance(name, RefName):
            return await self._branches.create_bucket(principal, name)
        authorise_system(principal, Access.CREATE_BUCKET)
        is_remote = isinstance(name, BucketName) and name.is_remote
        if is_remote and not may_bring_in(principal):
            raise errors.AccessDenied(
                "To bring in a bucket of another provider is for administrators, and for roles that may make buckets."
            )
        await backends.bring_in(self._rooms, principal, BucketProperties(), properties)

        def made(tx: Reader) -> BucketProperties:
            tree = self._changed(tx, name, inherited(configuration.get(tx), is_elsewhere=is_remote), properties)
            self._rooms.check_copies(tree.mirror)
            return tree

        if isinstance(name, BucketName) and is_remote and looks_up:
            await self._rooms.catalog.read(lambda tx: buckets.check_free(tx, name, principal.id))  # wherever it is
            await self._rooms.upstreams.check(name, (await self._rooms.catalog.read(made)).extra)

        def create(tx: Transaction) -> Bucket:
            tree = made(tx)
            backends.check(tx, principal, tree)
            return buckets.create(tx, name, principal.id, region, now(), tags, tree)

        return await self._rooms.catalog.write(create)

    async def get(
        self, principal: Principal, name: Name, action: str = "ais:HeadBucket", *, may_be_new: bool = False
    ) -> Bucket:
        """A bucket. One of another provider that ``may_be_new`` becomes known if it is not yet, and is there."""
        if may_be_new:
            return await self._rooms.bucket(principal, name, action, elsewhere=True)
        return await self._rooms.known(principal, name, action)

    async def names_elsewhere(self, principal: Principal, provider: str) -> Sequence[BucketName]:
        """All buckets that another provider shows to the server's credentials. None where the caller may not bring one
        in. Raises what the provider says.
        """
        authorise_system(principal, Access.LIST_BUCKETS)
        if not may_bring_in(principal):
            return ()
        return [BucketName(name, provider) for name in await self._rooms.upstreams.names(provider)]

    async def delete(self, principal: Principal, name: Name) -> None:
        """Raises ``BucketNotEmpty``, ``NotImplementedByServer`` for a bucket of another provider."""
        bucket = await self._rooms.bucket(principal, name, "s3:DeleteBucket")
        if bucket.place is not None:
            await self._branches.delete_bucket(principal, RefName(bucket.place.repo, bucket.place.branch))
            return
        if bucket.identity.is_remote:
            raise errors.NotImplementedByServer(
                f"{bucket.identity.uri} is for its provider to delete: evict it to have it forgotten here."
            )
        if bucket.is_elsewhere:
            page = await self._remotes.page(bucket, prefix="", delimiter="", after="", limit=1)
            if page.entries:
                raise errors.BucketNotEmpty(BucketName=bucket.name)
            await self.evict(principal, name)
        await self._rooms.write(principal, name, "s3:DeleteBucket", buckets.delete)

    async def evict(self, principal: Principal, name: Name) -> None:
        """Forgets what is cached of a bucket that another provider keeps. Raises ``InvalidArgument`` for any other."""

        def evict(tx: Transaction, bucket: Bucket) -> None:
            if not bucket.is_elsewhere:
                raise errors.InvalidArgument(
                    f'bucket "{bucket.identity.uri}" cannot be evicted: no other provider has what is in it'
                )
            buckets.renew_log(tx, bucket)

        await self._rooms.write(principal, name, "s3:DeleteObject", evict, elsewhere=True)

    async def destroy(self, principal: Principal, name: Name) -> None:
        """Removes a bucket with all that is in it; of a branch the commits stay with the repository."""
        bucket = await self._rooms.known(principal, name, "s3:DeleteBucket")
        if bucket.place is not None:
            await self._branches.delete(principal, bucket.place.repo, bucket.place.branch)
            return
        await self._rooms.write(principal, name, "s3:DeleteBucket", buckets.destroy)

    async def rename(self, principal: Principal, name: BucketName, to: BucketName) -> None:
        """Gives a bucket of ours another name; nothing is copied.

        Raises ``BucketAlreadyExists``, ``InvalidArgument``.
        """
        if name.is_remote or to.is_remote:
            raise errors.InvalidArgument("a bucket of another provider cannot be renamed")

        def rename(tx: Transaction, bucket: Bucket) -> None:
            if bucket.place is not None:
                raise errors.InvalidArgument("a branch of a repository cannot be renamed")
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
        bucket = await self._rooms.bucket(principal, name, "ais:PatchBucket")
        await backends.bring_in(self._rooms, principal, bucket.properties, changes)
        return await self._set(principal, name, lambda _, bucket: bucket.properties, changes)

    async def reset_properties(self, principal: Principal, name: Name) -> tuple[Bucket, Bucket]:
        """Gives the bucket the properties that a new one would have, but for where another provider keeps it. The
        bucket before and after.
        """

        def base(tx: Transaction, bucket: Bucket) -> BucketProperties:
            tree = inherited(configuration.get(tx), is_elsewhere=bucket.identity.is_remote)
            return msgspec.structs.replace(tree, extra=bucket.properties.extra) if bucket.identity.is_remote else tree

        return await self._set(principal, name, base, EMPTY_PROPERTIES)

    async def _set(
        self,
        principal: Principal,
        name: Name,
        base: Callable[[Transaction, Bucket], BucketProperties],
        changes: Mapping[str, object],
    ) -> tuple[Bucket, Bucket]:
        def set_properties(tx: Transaction, bucket: Bucket) -> tuple[Bucket, Bucket]:
            tree = self._changed(tx, bucket.identity, base(tx, bucket), changes)
            if bucket.place is not None and (tree.backend_bck.name or not tree.versioning.enabled):
                raise errors.InvalidArgument("a branch of a repository keeps all versions, and is kept here")
            if tree.access != bucket.properties.access:
                authorise(principal, bucket, "ais:SetBucketACL")
            if tree.mirror != bucket.properties.mirror:
                self._rooms.check_copies(tree.mirror)
            backends.switch(tx, principal, bucket, tree)
            buckets.set_properties(tx, bucket, tree)
            changed = buckets.get(tx, bucket.identity)
            copies.ask(tx, bucket.id, bucket.copies, changed.copies)
            if not tree.versioning.enabled and bucket.versioning is Versioning.ENABLED:
                buckets.set_versioning(tx, bucket, Versioning.SUSPENDED)
            return bucket, buckets.get(tx, bucket.identity)

        return await self._rooms.write(principal, name, "ais:PatchBucket", set_properties)

    def _changed(
        self, tx: Reader, name: Name, tree: BucketProperties, changes: Mapping[str, object]
    ) -> BucketProperties:
        """The tree with the changes. Raises ``InvalidArgument`` also for what this bucket, or this store, cannot do."""
        before, tree = tree, change(tree, changes)
        is_remote = isinstance(name, BucketName) and name.is_remote
        backend = tree.backend_bck
        if not is_remote and bool(backend.name) != bool(before.backend_bck.name):
            tree = change(evictable(before, is_elsewhere=bool(backend.name)), changes)
        if backend.name:
            if is_remote:
                raise errors.InvalidArgument("a bucket of another provider cannot have a backend bucket")
            buckets.get(tx, backends.name_of(backend))
        if tree.lru.enabled and not (is_remote or backend.name):
            raise errors.InvalidArgument(
                "lru.enabled cannot be set: what a bucket without a backend holds is nowhere else, and is never evicted"
            )
        for each in ("validate_warm_get", "synchronize"):
            is_new = getattr(tree.versioning, each) and not getattr(before.versioning, each)
            if is_new and not (is_remote or backend.name):
                raise errors.InvalidArgument(f"versioning.{each} cannot be set: it needs a bucket of another provider")
        provider = name.provider if is_remote and isinstance(name, BucketName) else backend.provider
        for section, of in (("aws", "aws"), ("gcp", "gcp")):
            if provider != of and getattr(tree.extra, section) != getattr(BucketProperties().extra, section):
                raise errors.InvalidArgument(f"extra.{section} is for buckets that {of} keeps")
        return tree

    async def set_versioning(self, principal: Principal, name: Name, versioning: Versioning) -> None:
        """Begins, or suspends, a history of the bucket's objects. Who keeps one counts writes too."""

        def set_versioning(tx: Transaction, bucket: Bucket) -> None:
            if bucket.is_elsewhere:
                raise errors.NotImplementedByServer(
                    f"Versions of objects are not implemented for {bucket.identity.uri}: another provider keeps it."
                )
            if bucket.place is not None:
                if versioning is not Versioning.ENABLED:
                    raise errors.NotImplementedByServer("A branch of a repository keeps all of its versions.")
                return
            buckets.set_versioning(tx, bucket, versioning)
            before = bucket.properties
            if versioning is Versioning.ENABLED and not before.versioning.enabled:
                counting = replace(before.versioning, enabled=True)
                buckets.set_properties(tx, bucket, replace(before, versioning=counting))

        await self._rooms.write(principal, name, "s3:PutBucketVersioning", set_versioning)

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
        """A page of live objects, as the remote has them where there is one. A limit of 0 is an empty page with nothing
        after it.
        """
        bucket = await self._rooms.bucket(principal, name, "s3:ListBucket", elsewhere=True)
        if limit == 0:
            return bucket, Page([], [], None)
        if bucket.is_elsewhere:
            page = await self._remotes.page(bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            return bucket, page
        return await self._rooms.catalog.read(
            lambda tx: (
                bucket,
                listing.keys(tx, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit),
            ),
        )

    async def list_details(
        self,
        principal: Principal,
        name: Name,
        *,
        prefix: str,
        delimiter: str,
        after: str,
        limit: int,
        only_here: bool = False,
    ) -> tuple[Bucket, Page, Mapping[str, Details]]:
        """As ``list_objects``, with all that is known of each object of the page that is here, by key.

        With ``only_here`` another provider is not asked: the page has what is cached of its objects.
        """
        bucket = await self._rooms.bucket(principal, name, "s3:ListBucket", elsewhere=True)
        if bucket.is_elsewhere and not only_here:
            page = await self._remotes.page(bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            return bucket, page, await self._remotes.cached(bucket, page)

        def read(tx: Reader) -> tuple[Bucket, Page, Mapping[str, Details]]:
            page = listing.keys(tx, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            return bucket, page, {each.version.key: each for each in listing.details(tx, bucket, page)}

        return await self._rooms.catalog.read(read)

    async def list_differences(
        self, principal: Principal, name: Name, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> tuple[Page, Mapping[str, Details], Mapping[str, Details]]:
        """As ``RemoteListing.differences``. Raises ``InvalidArgument`` for a bucket of ours."""
        bucket = await self._rooms.bucket(principal, name, "s3:ListBucket", elsewhere=True)
        if not bucket.is_elsewhere:
            raise errors.InvalidArgument(
                f'bucket "{bucket.identity.uri}" has nothing to be compared with: no provider keeps it'
            )
        return await self._remotes.differences(bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)

    async def sizes_elsewhere(self, principal: Principal, name: Name, prefix: str = "") -> Sizes | None:
        """How many objects another provider has in a bucket, and how large they are; None for a bucket of ours."""
        bucket = await self._rooms.bucket(principal, name, "s3:ListBucket", elsewhere=True)
        return await self._remotes.sizes(bucket, prefix) if bucket.is_elsewhere else None

    async def sizes(self, principal: Principal, name: Name, prefix: str = "") -> tuple[Bucket, Sizes]:
        """How many objects are here of a bucket under a prefix, and how large they are. Reads the names of all."""
        bucket = await self._rooms.bucket(principal, name, "s3:ListBucket", elsewhere=True)
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
