"""Copies and renames: new versions of bytes that are there already.

No byte is read, unless a checksum is asked for that nobody has, or another provider keeps one side. Within a bucket of
another provider's, that provider copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from tidegate import checksums, errors
from tidegate.catalog import buckets, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.blobs import Existing
from tidegate.catalog.buckets import Name
from tidegate.catalog.versions import Draft
from tidegate.clock import now
from tidegate.gateway.body import PlainBody
from tidegate.gateway.objects import NewObject, computed_in, draft_of
from tidegate.gateway.permissions import authorise, authorised
from tidegate.gateway.reading import ALL, UNKNOWN, Reading, find_reading
from tidegate.gateway.remote.reading import Reads
from tidegate.gateway.remote.upstreams import remote_of
from tidegate.gateway.remote.versioned import Versions
from tidegate.gateway.remote.writing import (
    NO_CONDITIONS,
    Conditions,
    Target,
    Writing,
    check_extras,
    conditions_of,
)
from tidegate.gateway.rooms import Rooms
from tidegate.model import EMPTY, FULL_OBJECT, STANDARD, Attributes, Bucket, Principal, Version
from tidegate.preconditions import NONE, Preconditions

if TYPE_CHECKING:
    from tidegate.upstream import Removed, Upstream

ONTO_ITSELF = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
    "metadata, storage class, website redirect location or encryption attributes."
)
# What S3 asks of who renames an object.
RENAME = ("s3:PutObject", "s3:DeleteObject")


class Source(msgspec.Struct, frozen=True):
    """What is copied: the newest version, or the one that is named."""

    bucket: Name
    key: str
    version_id: str = ""
    preconditions: Preconditions = NONE


class Copied(msgspec.Struct, frozen=True):
    """A copy that was made, and the version id that it was made from."""

    version: Version
    source_version_id: str


class Copying:
    """Copying and renaming.

    Each raises ``NoSuchBucket`` and ``AccessDenied``, for either bucket, beside what it says.
    """

    def __init__(self, rooms: Rooms, reads: Reads, writing: Writing, remote_versions: Versions) -> None:
        self._rooms = rooms
        self._reads = reads
        self._writing = writing
        self._versions = remote_versions

    async def open_source(self, principal: Principal, source: Source) -> Reading:
        """Finds what is to be copied.

        Raises as a read does, ``PreconditionFailed``, ``InvalidRequest`` for a delete marker.
        """
        action = "s3:GetObjectVersion" if source.version_id else "s3:GetObject"
        bucket = await self._rooms.bucket(principal, source.bucket, action, elsewhere=True)
        reading: Reading
        try:
            if not bucket.is_elsewhere:
                reading = await find_reading(self._rooms, bucket, source.key, source.version_id)
            elif source.version_id:
                reading = await self._versions.open(bucket, source.key, source.version_id)
            else:
                reading = await self._reads.open(bucket, source.key, ALL if source.preconditions == NONE else UNKNOWN)
        except errors.NamedDeleteMarker:
            raise errors.InvalidRequest(
                "The source of a copy request may not specifically refer to a delete marker by version id."
            ) from None
        source.preconditions.check_copy_source(reading.version)
        return reading

    async def copy(
        self,
        principal: Principal,
        source: Source,
        bucket_name: Name,
        key: str,
        *,
        replace: NewObject | None = None,
        tags: Mapping[str, str] | None = None,
        storage_class: str | None = None,
        algorithm: str | None = None,
        preconditions: Preconditions = NONE,
    ) -> Copied:
        """Copies an object.

        ``replace`` takes the place of the source's headers and metadata, ``tags`` of its tags. ``algorithm`` names a
        checksum that the copy is to have. Raises ``PreconditionFailed`` for either end, ``InvalidRequest`` for a copy
        onto itself that changes nothing.
        """
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:PutObject", elsewhere=True)
        if bucket.is_elsewhere:
            conditions = conditions_of(principal, bucket, preconditions)
            check_extras(
                bucket,
                tags=tags or EMPTY,
                storage_class=storage_class or STANDARD,
                website_redirect=replace.website_redirect if replace is not None else "",
                checksum=algorithm,
            )
            return await self._copy_there(Target(principal, bucket, key), source, replace, conditions, tags)
        while True:
            reading = await self.open_source(principal, source)
            found = reading.version
            if not found.blob or found.attributes.source is not None:
                return await self._copy_here(principal, bucket_name, bucket, key, reading, replace, tags, preconditions)
            onto_itself = (source.bucket, source.key, source.version_id) == (bucket_name, key, "")
            if onto_itself and replace is None and storage_class in (None, found.storage_class):
                raise errors.InvalidRequest(ONTO_ITSELF)
            attributes = await self._with_checksum(reading, _described(found.attributes, replace), algorithm)
            changed = msgspec.structs.replace(
                found,
                storage_class=storage_class or found.storage_class,
                attributes=attributes,
                tags=found.tags if tags is None else tags,
            )

            def copy(tx: Transaction, bucket: Bucket, changed: Version = changed) -> Version | None:
                if not _is_still(tx, source, changed):
                    return None
                check = authorised(principal, bucket, preconditions).check_write
                return versions.put(tx, bucket, key, draft_of_copy(changed, bucket, now()), check)

            version = await self._rooms.write(principal, bucket_name, "s3:PutObject", copy)
            if version is not None:
                return Copied(version, found.version_id)

    async def _copy_here(
        self,
        principal: Principal,
        bucket_name: Name,
        bucket: Bucket,
        key: str,
        reading: Reading,
        replace: NewObject | None,
        tags: Mapping[str, str] | None,
        preconditions: Preconditions,
    ) -> Copied:
        """Copies an object of a remote's as if it were uploaded. What is cached of it is read, not shared: nobody has
        waited for that to be on the disk.
        """
        await self._rooms.space.check()
        found = reading.version
        body = PlainBody(reading.stream(0, found.size), found.size)
        received = await self._rooms.receiver.receive(bucket, body, found.size, computed_in(bucket))
        given = replace or NewObject(found.attributes.headers, found.attributes.metadata)
        draft = draft_of(msgspec.structs.replace(given, tags=found.tags if tags is None else tags), received, bucket)

        def copy(tx: Transaction, bucket: Bucket) -> Version:
            return versions.put(tx, bucket, key, draft, authorised(principal, bucket, preconditions).check_write)

        version = await self._rooms.commit(principal, bucket_name, "s3:PutObject", received.content, copy)
        return Copied(version, found.version_id)

    async def _copy_there(
        self,
        target: Target,
        source: Source,
        replace: NewObject | None,
        conditions: Conditions,
        tags: Mapping[str, str] | None,
    ) -> Copied:
        """Copies an object to a bucket that another provider keeps: by that provider, if it has the source too."""
        action = "s3:GetObjectVersion" if source.version_id else "s3:GetObject"
        origin = await self._rooms.bucket(target.principal, source.bucket, action, elsewhere=True)
        if origin.is_elsewhere and remote_of(origin) == remote_of(target.bucket) and not source.version_id:
            if source.key == target.key and replace is None:
                raise errors.InvalidRequest(ONTO_ITSELF)
            if conditions == NO_CONDITIONS and tags is None:  # others a remote has for writes, and not for copies
                described = None if replace is None else (replace.headers, replace.metadata)
                check = source.preconditions.check_copy_source
                return Copied(await self._writing.copy(target, source.key, check, described), "")
        reading = await self.open_source(target.principal, source)
        found = reading.version
        tags = found.tags if tags is None else tags
        check_extras(target.bucket, tags=tags)
        attributes = _described(found.attributes, replace)
        draft = Draft(Existing(found.blob or 0), found.size, found.etag, now(), STANDARD, attributes, tags)
        # What is cached of the key itself goes before the copy takes its place, and its content with it.
        can_share = bool(found.blob) and (origin.log, source.key) != (target.bucket.log, target.key)
        async with aclosing(reading.stream(0, found.size)) as body:
            version = await self._writing.put(
                target, draft, conditions, body, lambda tx: can_share and _is_still(tx, source, found)
            )
        return Copied(version, found.version_id)

    async def rename(
        self,
        principal: Principal,
        bucket_name: Name,
        source: Source,
        key: str,
        *,
        preconditions: Preconditions = NONE,
        actions: Sequence[str] = RENAME,
    ) -> None:
        """Moves an object to another key of its bucket, atomically. Raises ``NoSuchKey``, ``PreconditionFailed``.

        ``actions`` are what the caller has to be allowed. Another provider copies the object, and then deletes it.
        """
        there = await self._rooms.bucket(principal, bucket_name, actions[0], elsewhere=True)
        if there.is_elsewhere:
            await self._rename_there(principal, there, source, key, preconditions, actions)
            return

        def rename(tx: Transaction, bucket: Bucket) -> None:
            for action in actions:
                authorise(principal, bucket, action)
            found = versions.get(tx, bucket, source.key)
            authorised(principal, bucket, source.preconditions).check_copy_source(found)
            if source.key == key:
                raise errors.InvalidRequest("The source and the destination of a rename are the same object.")
            check = authorised(principal, bucket, preconditions).check_write
            versions.put(tx, bucket, key, draft_of_copy(found, bucket, found.modified), check)
            versions.delete(tx, bucket, source.key, now())

        await self._rooms.write(principal, bucket_name, actions[0], rename)

    async def _rename_there(
        self,
        principal: Principal,
        bucket: Bucket,
        source: Source,
        key: str,
        preconditions: Preconditions,
        actions: Sequence[str],
    ) -> None:
        """What breaks off in between leaves both, and loses nothing. Raises ``ConditionalRequestConflict`` where the
        object was changed after it was copied: then both stay as well.
        """
        for action in actions:
            authorise(principal, bucket, action, elsewhere=True)
        authorised(principal, bucket, source.preconditions, elsewhere=True)
        if preconditions != NONE:
            raise errors.NotImplementedByServer(
                f"{bucket.identity.uri}: conditions on what a rename replaces are not implemented where another "
                "provider keeps the objects."
            )
        if source.key == key:
            raise errors.InvalidRequest("The source and the destination of a rename are the same object.")
        copied: list[Version] = []

        def check(found: Version) -> None:
            source.preconditions.check_copy_source(found)
            copied.append(found)

        await self._writing.copy(Target(principal, bucket, key, actions[0]), source.key, check, None)

        async def delete(upstream: Upstream) -> Removed:
            if (await upstream.head(source.key)).etag != copied[0].etag:
                raise errors.ConditionalRequestConflict("The object was changed while it was renamed: its copy stays.")
            return await upstream.delete(source.key)

        await self._writing.delete_by(Target(principal, bucket, source.key, actions[-1]), delete)

    async def _with_checksum(self, reading: Reading, attributes: Attributes, algorithm: str | None) -> Attributes:
        if algorithm is None or algorithm in attributes.checksums:
            return attributes
        hasher = checksums.new(algorithm)
        async for piece in reading.stream(0, reading.version.size):
            hasher.update(piece)
        return msgspec.structs.replace(
            attributes, checksums={algorithm: checksums.encode(hasher.digest())}, checksum_type=FULL_OBJECT
        )


def draft_of_copy(version: Version, bucket: Bucket, modified: int) -> Draft:
    """What makes a version an object of a bucket, without its bytes being read or copied.

    A checksum of another type than the bucket asks for is left to be computed anew.
    """
    attributes, digest = version.attributes, version.attributes.digest
    if digest is not None and digest[0] != bucket.properties.checksum.type:
        attributes = msgspec.structs.replace(attributes, digest=None)
    return msgspec.structs.replace(versions.draft_of(version), modified=modified, attributes=attributes)


def _described(attributes: Attributes, replace: NewObject | None) -> Attributes:
    """What is stored beside the copy's bytes; where these came from another provider is of no account any more."""
    attributes = msgspec.structs.replace(attributes, source=None)
    if replace is None:
        return attributes
    return msgspec.structs.replace(
        attributes, headers=replace.headers, metadata=replace.metadata, website_redirect=replace.website_redirect
    )


def _is_still(tx: Reader, source: Source, found: Version) -> bool:
    """Whether the source is the version that was looked at; if not, the copy starts again with what is there now."""
    try:
        bucket = buckets.get(tx, source.bucket)
        version = versions.get(tx, bucket, source.key, "" if bucket.is_elsewhere else source.version_id)
    except errors.Error:
        return False
    return version.seq == found.seq and version.blob == found.blob
