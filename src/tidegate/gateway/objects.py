"""Objects: writing, reading, tagging and deleting them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from tidegate import checksums, errors
from tidegate.catalog import versions
from tidegate.catalog.abc import Transaction
from tidegate.catalog.buckets import Name
from tidegate.catalog.versions import Deleted, Draft
from tidegate.clock import now
from tidegate.gateway import appending
from tidegate.gateway.body import Body
from tidegate.gateway.permissions import authorise, authorised
from tidegate.gateway.reading import ALL, UNKNOWN, Reading, Span, find_reading
from tidegate.gateway.receive import Received
from tidegate.gateway.remote.reading import Reads
from tidegate.gateway.remote.versioned import Versions
from tidegate.gateway.remote.writing import (
    NO_CONDITIONS,
    Target,
    Writing,
    check_extras,
    conditions_of,
    delete_conditions_of,
)
from tidegate.gateway.rooms import Rooms
from tidegate.model import FULL_OBJECT, STANDARD, Attributes, Bucket, Principal, Version
from tidegate.preconditions import NONE, Preconditions

# Amazon S3: one PUT, or one part, has at most 5 GiB.
MAX_PUT_SIZE = 5 * 1024**3
# What Amazon computes where the client declared no checksum.
DEFAULT_CHECKSUM = "CRC64NVME"


# What is computed of every object beside its MD5, by the bucket's type of checksum.
_ALSO = {"none": (DEFAULT_CHECKSUM,)} | {
    name: (DEFAULT_CHECKSUM, algorithm) for name, algorithm in checksums.DIGESTS.items()
}


class NewObject(msgspec.Struct, frozen=True):
    """What a client says of an object that it writes, beside the bytes."""

    headers: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}
    storage_class: str = STANDARD
    website_redirect: str = ""


class Deletion(msgspec.Struct, frozen=True):
    """One of many deletes: of the newest version (a version id of "") or of one that is named."""

    key: str
    version_id: str = ""
    preconditions: Preconditions = NONE


class Objects:
    """The operations on objects. Each raises ``NoSuchBucket`` and ``AccessDenied`` beside what it says."""

    def __init__(self, rooms: Rooms, writing: Writing, reads: Reads, remote_versions: Versions) -> None:
        self._rooms = rooms
        self._reads = reads
        self._writing = writing
        self._versions = remote_versions

    async def put(
        self,
        principal: Principal,
        bucket_name: Name,
        key: str,
        body: Body,
        new: NewObject,
        *,
        preconditions: Preconditions = NONE,
        write_offset: int | None = None,
        max_size: int = MAX_PUT_SIZE,
    ) -> Version:
        """Stores an object, or with a write offset appends to one. Returns the new version.

        Raises ``PreconditionFailed``, ``EntityTooLarge``, ``InvalidWriteOffset``, and what the body raises.
        """
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:PutObject", elsewhere=True)
        conditions = NO_CONDITIONS
        if bucket.is_elsewhere:
            conditions = conditions_of(principal, bucket, preconditions)
            check_extras(
                bucket,
                tags=new.tags,
                storage_class=new.storage_class,
                website_redirect=new.website_redirect,
                appends=write_offset is not None,
            )
        await self._rooms.space.check()
        received = await self._rooms.receiver.receive(bucket, body, max_size, computed_in(bucket))
        draft = draft_of(new, received, bucket)
        if bucket.is_elsewhere:
            return await self._writing.put(Target(principal, bucket, key), draft, conditions)

        def put(tx: Transaction, bucket: Bucket) -> Version:
            check = authorised(principal, bucket, preconditions).check_write
            if write_offset is None:
                return versions.put(tx, bucket, key, draft, check)
            return appending.append(tx, bucket, key, draft, write_offset, check)

        return await self._rooms.commit(principal, bucket_name, "s3:PutObject", received.content, put)

    async def read(
        self,
        principal: Principal,
        bucket_name: Name,
        key: str,
        version_id: str = "",
        *,
        preconditions: Preconditions = NONE,
        action: str = "s3:GetObject",
        span: Span = ALL,
        latest: bool = False,
    ) -> Reading:
        """Finds an object to read. ``span`` is what will be read of it, as far as that is known before its size is;
        ``latest`` asks another provider, where one keeps the object, whether what is here is what it has.

        Raises ``NoSuchKey``, ``NoSuchVersion``, ``DeleteMarker``, ``NamedDeleteMarker``, ``NotModified``,
        ``PreconditionFailed``.
        """
        if version_id:
            action = _of_version(action)
        bucket = await self._rooms.bucket(principal, bucket_name, action, elsewhere=True)
        is_elsewhere = bucket.is_elsewhere
        if is_elsewhere and version_id:
            reading = await self._versions.open(bucket, key, version_id)
        elif is_elsewhere:
            known = span if preconditions is NONE else UNKNOWN  # which may mean that nothing is read
            reading = await self._reads.open(bucket, key, known, latest=latest)
        else:
            reading = await find_reading(self._rooms, bucket, key, version_id)
        if preconditions is not NONE:
            preconditions.check_read(reading.version)
        if is_elsewhere and span is not UNKNOWN:  # of which nothing is read
            self._reads.count(bucket, reading)
        self._rooms.accesses.note(reading.log, reading.version)
        return reading

    async def head(
        self,
        principal: Principal,
        bucket_name: Name,
        key: str,
        version_id: str = "",
        *,
        action: str = "s3:GetObject",
        latest: bool = False,
    ) -> Version:
        """A version without its bytes. Raises as ``read``."""
        action = _of_version(action) if version_id else action
        bucket = await self._rooms.bucket(principal, bucket_name, action, elsewhere=True)
        if bucket.is_elsewhere and version_id:
            return await self._versions.head(bucket, key, version_id)
        if bucket.is_elsewhere:
            return await self._reads.head(bucket, key, latest=latest)
        return await self._rooms.catalog.read(lambda tx: versions.get_object(tx, bucket, key, version_id))

    async def delete(self, principal: Principal, bucket_name: Name, deletion: Deletion) -> Deleted:
        """Deletes an object, or a version of it. What is not there is no error. Raises ``PreconditionFailed``."""
        action = _delete_action(deletion)
        bucket = await self._rooms.bucket(principal, bucket_name, action, elsewhere=True)
        if bucket.is_elsewhere:
            return await self._delete_there(principal, bucket, deletion)
        return await self._rooms.write(
            principal, bucket_name, action, lambda tx, bucket: _delete(tx, principal, bucket, deletion)
        )

    async def delete_many(
        self, principal: Principal, bucket_name: Name, deletions: Sequence[Deletion]
    ) -> list[Deleted | errors.Error]:
        """Deletes many objects: in one transaction, or each at the remote. The outcome of each, in order."""
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:DeleteObject", elsewhere=True)
        if bucket.is_elsewhere:
            return await self._delete_many_there(principal, bucket, deletions)

        def delete(tx: Transaction, bucket: Bucket) -> list[Deleted | errors.Error]:
            outcomes: list[Deleted | errors.Error] = []
            for deletion in deletions:
                try:
                    authorise(principal, bucket, _delete_action(deletion))
                    outcomes.append(_delete(tx, principal, bucket, deletion))
                except errors.Error as error:  # raised before anything of this deletion was written
                    outcomes.append(error)
            return outcomes

        return await self._rooms.write(principal, bucket_name, "s3:DeleteObject", delete)

    async def _delete_there(self, principal: Principal, bucket: Bucket, deletion: Deletion) -> Deleted:
        authorise(principal, bucket, _delete_action(deletion), elsewhere=True)
        target = Target(principal, bucket, deletion.key, _delete_action(deletion))
        if deletion.version_id:
            if deletion.preconditions != NONE:
                raise errors.NotImplementedByServer(
                    f"Conditions for deleting a version that is named are not implemented for {bucket.identity.uri}."
                )
            return await self._versions.delete(target, deletion.version_id)
        return await self._writing.delete(target, delete_conditions_of(principal, bucket, deletion.preconditions))

    async def _delete_many_there(
        self, principal: Principal, bucket: Bucket, deletions: Sequence[Deletion]
    ) -> list[Deleted | errors.Error]:
        outcomes = await asyncio.gather(
            *(self._delete_there(principal, bucket, deletion) for deletion in deletions), return_exceptions=True
        )
        found: list[Deleted | errors.Error] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, errors.Error):
                raise outcome
            found.append(outcome)
        return found

    async def tags(
        self, principal: Principal, bucket_name: Name, key: str, version_id: str
    ) -> tuple[Mapping[str, str], str]:
        """An object's tags, and its version id, empty where it has none. Raises as ``read``."""
        action = "s3:GetObjectVersionTagging" if version_id else "s3:GetObjectTagging"
        bucket = await self._rooms.bucket(principal, bucket_name, action, elsewhere=True)
        if bucket.is_elsewhere:
            return await self._versions.tags(bucket, key, version_id)
        version = await self._rooms.catalog.read(lambda tx: versions.get_object(tx, bucket, key, version_id))
        return version.tags, version.version_id

    async def set_tags(
        self, principal: Principal, bucket_name: Name, key: str, version_id: str, tags: Mapping[str, str]
    ) -> str:
        """Replaces an object's tags. Returns its version id. Raises as ``read``."""
        action = "s3:PutObjectVersionTagging" if version_id else "s3:PutObjectTagging"
        bucket = await self._rooms.bucket(principal, bucket_name, action, elsewhere=True)
        if bucket.is_elsewhere:
            return await self._versions.set_tags(bucket, key, version_id, tags)
        version = await self._rooms.write(
            principal, bucket_name, action, lambda tx, bucket: versions.set_tags(tx, bucket, key, version_id, tags)
        )
        return version.version_id


def _of_version(action: str) -> str:
    """The permission for a version that is named: ``s3:GetObjectVersionTagging`` of ``s3:GetObjectTagging``."""
    return action.replace("Object", "ObjectVersion", 1)


def _delete_action(deletion: Deletion) -> str:
    return "s3:DeleteObjectVersion" if deletion.version_id else "s3:DeleteObject"


def _delete(tx: Transaction, principal: Principal, bucket: Bucket, deletion: Deletion) -> Deleted:
    conditions = authorised(principal, bucket, deletion.preconditions)
    check = None if conditions == NONE else conditions.check_delete
    if deletion.version_id:
        return versions.delete_version(tx, bucket, deletion.key, deletion.version_id, now(), check)
    return versions.delete(tx, bucket, deletion.key, now(), check)


def computed_in(bucket: Bucket) -> tuple[str, ...]:
    """The digests of what is written to a bucket, beside MD5."""
    return _ALSO[bucket.properties.checksum.type]


def draft_of(new: NewObject, received: Received, bucket: Bucket) -> Draft:
    """The object of content that was received with the digests of a bucket."""
    return Draft(
        received.content,
        received.size,
        received.md5,
        now(),
        new.storage_class,
        _attributes(new, received, bucket.properties.checksum.type),
        new.tags,
    )


def _attributes(new: NewObject, received: Received, checksum: str) -> Attributes:
    stored = received.checksums or {DEFAULT_CHECKSUM: checksums.encode(received.digests[DEFAULT_CHECKSUM])}
    algorithm = checksums.DIGESTS.get(checksum)
    digest = None if algorithm is None else (checksum, received.digests[algorithm].hex())
    return Attributes(new.headers, new.metadata, stored, FULL_OBJECT, new.website_redirect, digest)
