"""Multipart uploads: starting, filling, listing, completing and aborting them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from tidegate import checksums, errors
from tidegate.catalog import buckets, listing, uploads, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.blobs import Composed, Range
from tidegate.catalog.buckets import Name
from tidegate.catalog.listing import UploadPage
from tidegate.catalog.uploads import Completed, Wanted
from tidegate.catalog.versions import Draft
from tidegate.clock import now
from tidegate.gateway.body import Body, PlainBody
from tidegate.gateway.copying import Copying, Source
from tidegate.gateway.objects import DEFAULT_CHECKSUM, MAX_PUT_SIZE, NewObject
from tidegate.gateway.permissions import authorised
from tidegate.gateway.receive import MD5
from tidegate.gateway.remote.writing import Target, Writing, check_extras, conditions_of
from tidegate.gateway.rooms import Rooms
from tidegate.model import COMPOSITE, FULL_OBJECT, Attributes, Bucket, ObjectPart, Part, Principal, Upload
from tidegate.preconditions import NONE, Preconditions

# Amazon S3: an object has at most 5 TiB (50 TiB since 2025 with new clients; the design keeps to 5).
MAX_OBJECT_SIZE = 5 * 1024**4


class Expected(msgspec.Struct, frozen=True):
    """What a request to complete says of the object that comes of it."""

    checksums: Mapping[str, str] = {}
    checksum_type: str | None = None
    size: int | None = None


class Multipart:
    """The operations on multipart uploads.

    Each raises ``NoSuchBucket`` and ``AccessDenied``, and all but ``create`` and ``list`` raise ``NoSuchUpload``,
    beside what it says.
    """

    def __init__(self, rooms: Rooms, copying: Copying, writing: Writing, min_part_size: int) -> None:
        self._rooms = rooms
        self._min_part_size = min_part_size
        self._copying = copying
        self._writing = writing

    async def create(
        self,
        principal: Principal,
        bucket_name: Name,
        key: str,
        new: NewObject,
        *,
        algorithm: str = "",
        checksum_type: str = "",
    ) -> Upload:
        """Starts an upload. Without an algorithm the object gets Amazon's default checksum."""
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:PutObject", elsewhere=True)
        if bucket.is_elsewhere:
            check_extras(bucket, tags=new.tags, storage_class=new.storage_class, website_redirect=new.website_redirect)
        started = now()

        def create(tx: Transaction, bucket: Bucket) -> Upload:
            upload = Upload(
                f"{started:016x}{secrets.token_hex(16)}",
                bucket.id,
                key,
                started,
                principal.id,
                new.storage_class,
                Attributes(new.headers, new.metadata, website_redirect=new.website_redirect),
                new.tags,
                algorithm,
                checksum_type,
            )
            uploads.create(tx, upload)
            return upload

        return await self._rooms.write(principal, bucket_name, "s3:PutObject", create, elsewhere=True)

    async def get(self, principal: Principal, bucket_name: Name, key: str, upload_id: str, action: str) -> Upload:
        """An upload that is under way."""
        return await self._rooms.read(
            principal,
            bucket_name,
            action,
            lambda tx, bucket: uploads.get(tx, bucket, key, upload_id),
            elsewhere=True,
        )

    async def put_part(
        self, principal: Principal, bucket_name: Name, key: str, upload_id: str, number: int, body: Body
    ) -> tuple[Part, Mapping[str, str]]:
        """Stores a part. Returns it, and the checksums that the client declared of it."""
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:PutObject", elsewhere=True)
        upload = await self.get(principal, bucket_name, key, upload_id, "s3:PutObject")
        return await self._receive_part(principal, bucket, bucket_name, upload, number, body)

    async def copy_part(
        self,
        principal: Principal,
        source: Source,
        byte_range: tuple[int, int] | None,
        bucket_name: Name,
        key: str,
        upload_id: str,
        number: int,
    ) -> tuple[Part, str]:
        """Makes a part of a range (first and last byte) of an object, or of all of it.

        The bytes are read for their hashes, not copied, unless another provider keeps them. Returns the part and the
        source's version id. Raises as a read does, and ``InvalidArgument`` for a range that the source has not.
        """
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:PutObject", elsewhere=True)
        upload = await self.get(principal, bucket_name, key, upload_id, "s3:PutObject")
        algorithm = upload.checksum_algorithm or DEFAULT_CHECKSUM
        reading = await self._copying.open_source(principal, source)
        found = reading.version
        first, last = byte_range or (0, found.size - 1)
        if byte_range is not None and not first <= last < found.size:
            raise errors.InvalidArgument(f"Range specified is not valid for source object of size: {found.size}")
        length = last - first + 1
        if length > MAX_PUT_SIZE:
            raise errors.InvalidRequest(
                f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_PUT_SIZE}"
            )
        if not found.blob or found.attributes.source is not None:  # as ``Copying`` does
            body = PlainBody(reading.stream(first, length), length)
            part, _ = await self._receive_part(principal, bucket, bucket_name, upload, number, body)
            return part, found.version_id
        hashers = {name: checksums.new(name) for name in (MD5, algorithm)}
        async for piece in reading.stream(first, length):
            for hasher in hashers.values():
                hasher.update(piece)
        sums = {algorithm: checksums.encode(hashers[algorithm].digest())}
        part = Part(number, length, hashers[MD5].digest().hex(), now(), 0, sums)
        content = Composed([Range(found.blob or 0, first, length)] if length else [])

        def put(tx: Transaction, bucket: Bucket) -> None:
            origin = buckets.get(tx, source.bucket)
            version_id = "" if origin.is_elsewhere else found.version_id
            current = versions.get_object(tx, origin, source.key, version_id)
            if current.blob != found.blob:
                raise errors.ConditionalRequestConflict("The source was replaced while it was copied.")
            uploads.put_part(tx, bucket, key, upload_id, part, content)

        await self._rooms.write(principal, bucket_name, "s3:PutObject", put, elsewhere=True)
        return part, found.version_id

    async def _receive_part(
        self, principal: Principal, bucket: Bucket, bucket_name: Name, upload: Upload, number: int, body: Body
    ) -> tuple[Part, Mapping[str, str]]:
        """Takes in a part, and keeps it. Returns it, and the checksums that were declared of it."""
        await self._rooms.space.check()
        algorithm = upload.checksum_algorithm or DEFAULT_CHECKSUM
        received = await self._rooms.receiver.receive(bucket, body, MAX_PUT_SIZE, (algorithm,))
        sums = {algorithm: checksums.encode(received.digests[algorithm])}
        part = Part(number, received.size, received.md5, now(), 0, sums)
        await self._rooms.commit(
            principal,
            bucket_name,
            "s3:PutObject",
            received.content,
            lambda tx, bucket: uploads.put_part(tx, bucket, upload.key, upload.id, part, received.content),
            elsewhere=True,
        )
        return part, received.checksums

    async def parts(
        self, principal: Principal, bucket_name: Name, key: str, upload_id: str, *, after: int, limit: int
    ) -> tuple[Bucket, Upload, list[Part], bool]:
        """A page of an upload's parts, and whether there are more."""

        def read(tx: Reader, bucket: Bucket) -> tuple[Bucket, Upload, list[Part]]:
            upload = uploads.get(tx, bucket, key, upload_id)
            return bucket, upload, uploads.parts(tx, upload_id, after, limit + 1)

        action = "s3:ListMultipartUploadParts"
        bucket, upload, found = await self._rooms.read(principal, bucket_name, action, read, elsewhere=True)
        return bucket, upload, found[:limit], 0 < limit < len(found)

    async def list(
        self,
        principal: Principal,
        bucket_name: Name,
        *,
        prefix: str,
        delimiter: str,
        after: str,
        after_id: str,
        limit: int,
    ) -> tuple[Bucket, UploadPage]:
        """A page of the uploads that are under way."""
        action = "s3:ListBucketMultipartUploads"
        if limit == 0:
            bucket = await self._rooms.bucket(principal, bucket_name, action, elsewhere=True)
            return bucket, UploadPage([], [], None, "")
        return await self._rooms.read(
            principal,
            bucket_name,
            action,
            lambda tx, bucket: (
                bucket,
                listing.uploads(
                    tx, bucket, prefix=prefix, delimiter=delimiter, after=after, after_id=after_id, limit=limit
                ),
            ),
            elsewhere=True,
        )

    async def complete(
        self,
        principal: Principal,
        bucket_name: Name,
        key: str,
        upload_id: str,
        wanted: Sequence[Wanted],
        expected: Expected,
        *,
        preconditions: Preconditions = NONE,
    ) -> Completed:
        """Makes an object of the parts, which takes a remote its time. The same request again gets the same answer.

        Raises ``InvalidPart``, ``InvalidPartOrder``, ``EntityTooSmall``, ``BadDigest``, ``InvalidRequest``,
        ``PreconditionFailed``.
        """
        compose = partial(compose_parts, expected=expected, modified=now())
        bucket = await self._rooms.bucket(principal, bucket_name, "s3:PutObject", elsewhere=True)
        if bucket.is_elsewhere:
            return await self._writing.complete(
                Target(principal, bucket, key),
                lambda tx: uploads.assemble(tx, bucket, key, upload_id, wanted, compose, self._min_part_size),
                lambda tx, version: uploads.finish(tx, upload_id, wanted, version, now()),
                conditions_of(principal, bucket, preconditions),
            )

        def complete(tx: Transaction, bucket: Bucket) -> Completed:
            check = authorised(principal, bucket, preconditions).check_write
            return uploads.complete(tx, bucket, key, upload_id, wanted, compose, check, self._min_part_size)

        return await self._rooms.write(principal, bucket_name, "s3:PutObject", complete)

    async def abort(self, principal: Principal, bucket_name: Name, key: str, upload_id: str) -> None:
        """Ends an upload and forgets its parts."""
        await self._rooms.write(
            principal,
            bucket_name,
            "s3:AbortMultipartUpload",
            lambda tx, bucket: uploads.abort(tx, bucket, key, upload_id, now()),
            elsewhere=True,
        )


def compose_parts(upload: Upload, parts: Sequence[Part], *, expected: Expected, modified: int) -> Draft:
    """The object that the parts make."""
    size = sum(part.size for part in parts)
    if size > MAX_OBJECT_SIZE:
        raise errors.EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(MAX_OBJECT_SIZE))
    if expected.size is not None and expected.size != size:
        raise errors.InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {expected.size} does not match what was computed: {size}"
        )
    algorithm, checksum_type, value = _object_checksum(upload, parts, expected)
    declared = expected.checksums.get(algorithm)
    if declared is not None and declared != value:
        raise errors.BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")
    return Draft(
        Composed(
            [Range(part.blob, 0, part.size) for part in parts if part.size],
            [ObjectPart(part.number, part.size, part.checksums) for part in parts],
        ),
        size,
        composed_etag([part.etag for part in parts]),
        modified,
        upload.storage_class,
        msgspec.structs.replace(upload.attributes, checksums={algorithm: value}, checksum_type=checksum_type),
        upload.tags,
    )


def _object_checksum(upload: Upload, parts: Sequence[Part], expected: Expected) -> tuple[str, str, str]:
    """Algorithm, type and value of the whole object's checksum."""
    algorithm = upload.checksum_algorithm or DEFAULT_CHECKSUM
    checksum_type = upload.checksum_type or FULL_OBJECT
    if expected.checksum_type is not None and expected.checksum_type != checksum_type:
        raise errors.InvalidRequest(
            f"The upload was created using the {checksum_type} checksum mode. "
            "The complete request must use the same checksum mode."
        )
    digests = [checksums.decode(algorithm, part.checksums[algorithm]) for part in parts]
    if checksum_type == COMPOSITE:
        return algorithm, COMPOSITE, f"{checksums.encode(checksums.composite(algorithm, digests))}-{len(parts)}"
    whole = checksums.combine(algorithm, zip(digests, (part.size for part in parts), strict=True))
    return algorithm, FULL_OBJECT, checksums.encode(whole)


def composed_etag(etags: Sequence[str]) -> str:
    """S3's ETag of a multipart object: the MD5 of its parts' MD5s, and how many they are."""
    together = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in etags), usedforsecurity=False)
    return f"{together.hexdigest()}-{len(etags)}"
