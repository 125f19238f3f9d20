"""What AIStore's clients ask of objects, where S3 has no such operation or has it otherwise.

Its rule where the two differ: nothing here makes a version that S3 clients could not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from tidegate import errors
from tidegate.catalog import blobs, fills, uploads, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.buckets import Name
from tidegate.catalog.uploads import Completed, Wanted
from tidegate.clock import now
from tidegate.gateway.multipart import Expected, compose_parts
from tidegate.gateway.remote.reading import Reads
from tidegate.gateway.remote.writing import NO_CONDITIONS, Target, Writing
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket, ObjectPart, Principal, Version

# Amazon S3: names and values of user metadata have at most 2 KB together. It travels in headers.
MAX_METADATA = 2048

_ANY_ETAG = ""


class Described(msgspec.Struct, frozen=True):
    """An object, and where it is: ``folders`` has a bit for each data folder, by number, that has any of its bytes; of
    each byte there are ``copies`` at least. An object of another provider's that is not cached has none.
    """

    bucket: Bucket
    version: Version
    folders: int
    copies: int
    parts: Sequence[ObjectPart]

    @property
    def is_present(self) -> bool:
        return bool(self.version.blob) or not self.bucket.is_elsewhere


class Native:
    """The operations. Each raises ``NoSuchBucket``, ``AccessDenied`` and ``NoSuchKey`` beside what it says."""

    def __init__(self, rooms: Rooms, reads: Reads, writing: Writing) -> None:
        self._rooms = rooms
        self._reads = reads
        self._writing = writing

    async def describe(self, principal: Principal, bucket_name: Name, key: str) -> Described:
        """All that is known of an object, here or at its remote."""
        bucket = await self._rooms.bucket(principal, bucket_name, "ais:HeadObject", elsewhere=True)
        there = await self._reads.head(bucket, key) if bucket.is_elsewhere else None

        def describe(tx: Reader) -> Described:
            version = there or versions.get_object(tx, bucket, key)
            blob = version.blob or 0
            where = blobs.whereabouts(tx, blob)
            return Described(bucket, version, where.folders, where.copies, blobs.parts_of(tx, blob))

        return await self._rooms.catalog.read(describe)

    async def remove(self, principal: Principal, bucket_name: Name, key: str) -> None:
        """Deletes an object, which has to be there."""
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:DeleteObject", elsewhere=True)
        if bucket.is_elsewhere:
            async with self._rooms.upstreams.use(bucket) as upstream:
                await upstream.head(key)
            await self._writing.delete(Target(principal, bucket, key, "s3:DeleteObject"))
            return

        def remove(tx: Transaction, bucket: Bucket) -> None:
            versions.get_object(tx, bucket, key)
            versions.delete(tx, bucket, key, now())

        await self._rooms.write(principal, bucket_name, "s3:DeleteObject", remove)

    async def evict(self, principal: Principal, bucket_name: Name, key: str) -> None:
        """Forgets what is cached of an object. Raises ``InvalidArgument`` where nobody else has it."""

        def evict(tx: Transaction, bucket: Bucket) -> None:
            if not bucket.is_elsewhere:
                raise errors.InvalidArgument(
                    f"{bucket.identity.uri}/{key} is nowhere else: an object of ours is never evicted"
                )
            fills.forget(tx, bucket, key, now())

        await self._rooms.write(principal, bucket_name, "s3:DeleteObject", evict, elsewhere=True)

    async def set_metadata(
        self, principal: Principal, bucket_name: Name, key: str, values: Mapping[str, str], *, replace: bool
    ) -> None:
        """Sets user metadata in place, beside what is there or instead of it. Names are told apart without regard to
        case, as in S3. Raises ``MetadataTooLarge``.
        """
        bucket = await self._rooms.bucket(principal, bucket_name, "ais:UpdateObject", elsewhere=True)
        if bucket.is_elsewhere:
            await self._set_metadata_there(principal, bucket, key, values, replace=replace)
            return

        def set_metadata(tx: Transaction, bucket: Bucket) -> None:
            version = versions.get_object(tx, bucket, key)
            metadata = _changed(version, values, replace=replace)
            attributes = msgspec.structs.replace(version.attributes, metadata=metadata)
            versions.change_attributes(tx, bucket, version, attributes)

        await self._rooms.write(principal, bucket_name, "ais:UpdateObject", set_metadata)

    async def _set_metadata_there(
        self, principal: Principal, bucket: Bucket, key: str, values: Mapping[str, str], *, replace: bool
    ) -> None:
        """The provider copies the object onto itself, as that is done there. Raises ``ConditionalRequestConflict``."""
        version = await self._reads.head(bucket, key, latest=True)
        metadata = {name.lower(): value for name, value in _changed(version, values, replace=replace).items()}

        def check(found: Version) -> None:
            if found.etag != version.etag:
                raise errors.ConditionalRequestConflict("The object was changed while its metadata was set.")

        target = Target(principal, bucket, key, "ais:UpdateObject")
        await self._writing.copy(target, key, check, (version.attributes.headers, metadata))

    async def complete(
        self, principal: Principal, bucket_name: Name, key: str, upload_id: str, etags: Mapping[int, str]
    ) -> Completed:
        """Makes an object of the parts of an upload, by their numbers and, where they are given, ETags.

        Parts may be of any size. The same request again gets the same answer. Raises ``NoSuchUpload``,
        ``InvalidPart``.
        """
        compose = partial(compose_parts, expected=Expected(), modified=now())

        def wanted(tx: Reader, bucket: Bucket) -> Sequence[Wanted]:
            done = uploads.completed(tx, bucket, key, upload_id)
            stored: Mapping[int, str] = (
                {part.number: part.etag for part in uploads.parts(tx, upload_id)}
                if done is None
                else {part.number: part.etag for part in done.wanted}
            )
            return [Wanted(number, etags[number] or stored.get(number, _ANY_ETAG)) for number in sorted(etags)]

        bucket = await self._rooms.bucket(principal, bucket_name, "s3:PutObject", elsewhere=True)
        if bucket.is_elsewhere:
            return await self._writing.complete(
                Target(principal, bucket, key),
                lambda tx: uploads.assemble(tx, bucket, key, upload_id, wanted(tx, bucket), compose, min_part_size=0),
                lambda tx, version: uploads.finish(tx, upload_id, wanted(tx, bucket), version, now()),
                NO_CONDITIONS,
            )
        return await self._rooms.write(
            principal,
            bucket_name,
            "s3:PutObject",
            lambda tx, bucket: uploads.complete(
                tx, bucket, key, upload_id, wanted(tx, bucket), compose, min_part_size=0
            ),
        )


def _changed(version: Version, values: Mapping[str, str], *, replace: bool) -> dict[str, str]:
    """An object's user metadata with other values. Raises ``MetadataTooLarge``."""
    given = {name.lower() for name in values}
    kept = {} if replace else version.attributes.metadata
    metadata = {name: value for name, value in kept.items() if name.lower() not in given} | dict(values)
    check_metadata(metadata)
    return metadata


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raises ``MetadataTooLarge``."""
    if sum(len(name) + len(value) for name, value in metadata.items()) > MAX_METADATA:
        raise errors.MetadataTooLarge(MaxSizeAllowed=str(MAX_METADATA))
