"""Appending with a handle, as AIStore does it: pieces are gathered under the handle, and a flush puts them behind the
object, all at once.

A handle is an upload: each piece is a part, durable when it is acknowledged and seen by nobody before the flush. It
also says how much had been gathered when it was given out, so that a request which is repeated is not done twice, and
two writers with one handle are told of each other.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

import msgspec

from tidegate import checksums, errors
from tidegate.catalog import blobs, uploads, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.blobs import Composed, Content, Range
from tidegate.catalog.buckets import Name
from tidegate.catalog.uploads import Wanted
from tidegate.catalog.versions import Draft
from tidegate.clock import now
from tidegate.gateway import appending
from tidegate.gateway.body import Body
from tidegate.gateway.multipart import composed_etag
from tidegate.gateway.objects import DEFAULT_CHECKSUM, MAX_PUT_SIZE
from tidegate.gateway.reading import read_blob
from tidegate.gateway.receive import Received
from tidegate.gateway.rooms import Rooms
from tidegate.model import FULL_OBJECT, STANDARD, Attributes, Bucket, Part, Principal, Upload, Version

ACTION = "ais:AppendObject"

_HANDLE = re.compile(r"(append-[0-9a-f]{32})\.(\d{1,9})\.(\d{1,19})", re.ASCII)


class Handle(msgspec.Struct, frozen=True):
    """What a client holds: the upload, and the number and size of its last part when the handle was given out."""

    upload: str
    number: int
    size: int

    def __str__(self) -> str:
        return f"{self.upload}.{self.number}.{self.size}"


def parse_handle(text: str) -> Handle:
    """Raises ``InvalidArgument``."""
    matched = _HANDLE.fullmatch(text)
    if matched is None:
        raise errors.InvalidArgument("invalid append handle")
    return Handle(matched[1], int(matched[2]), int(matched[3]))


class Appends:
    """Appending and flushing. Each raises ``NoSuchBucket``, ``AccessDenied`` and ``NoSuchUpload`` (for a handle that is
    none of this object, or was flushed) beside what it says.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def append(
        self, principal: Principal, bucket_name: Name, key: str, handle: Handle | None, body: Body
    ) -> Handle:
        """Gathers a piece; without a handle it is the first. Returns the handle for the next.

        Raises ``ConditionalRequestConflict`` for a handle that is not the newest, ``TooManyParts``, and what the body
        raises.
        """
        bucket = await self._rooms.bucket(principal, bucket_name, ACTION)
        await self._rooms.space.check()
        received = await self._rooms.receiver.receive(bucket, body, MAX_PUT_SIZE, (DEFAULT_CHECKSUM,))

        def append(tx: Transaction, bucket: Bucket) -> tuple[Handle, bool]:
            if handle is None:
                return _add(tx, bucket, key, _begin(tx, bucket, key, principal), None, received)
            uploads.get(tx, bucket, key, handle.upload)
            last = uploads.last_part(tx, handle.upload)
            if _state(last) != (handle.number, handle.size):
                if not _repeats(tx, handle, last, received):
                    raise errors.ConditionalRequestConflict(
                        "the append handle is not the newest: something was appended after it was given out"
                    )
                return Handle(handle.upload, *_state(last)), False
            return _add(tx, bucket, key, handle.upload, last, received)

        newest, is_kept = await self._rooms.commit(principal, bucket_name, ACTION, received.content, append)
        if not is_kept:
            await self._rooms.receiver.discard(received.content)
        return newest

    async def flush(
        self,
        principal: Principal,
        bucket_name: Name,
        key: str,
        handle: Handle,
        expected: tuple[str, str] | None = None,
    ) -> None:
        """Puts what was gathered behind the object as it is now, or makes it one. The same request again is no error.

        ``expected`` is the checksum that the whole object is to have, by its type. Raises ``BadDigest``, as ``append``,
        and what reading the object raises.
        """
        while True:
            known = None if expected is None else await self._digest(principal, bucket_name, key, handle, expected[0])
            if known is not None and expected is not None and known[1] != expected[1]:
                raise bad_checksum(*expected, known[1])

            def flush(tx: Transaction, bucket: Bucket, known: tuple[int | None, str] | None = known) -> bool:
                if uploads.completed(tx, bucket, key, handle.upload) is not None:
                    return True
                parts = _parts(tx, handle)
                current = _current(tx, bucket, key)
                if known is not None and known[0] != _seq(current):
                    return False
                if current is not None and not parts:
                    uploads.abort(tx, bucket, key, handle.upload, now())
                    return True
                digest = expected if expected is not None and expected[0] == bucket.properties.checksum.type else None
                wanted = [Wanted(part.number, part.etag) for part in parts]
                uploads.complete(
                    tx,
                    bucket,
                    key,
                    handle.upload,
                    wanted,
                    lambda upload, chosen: _compose(tx, bucket, current, upload, chosen, digest),
                    min_part_size=0,
                )
                return True

            if await self._rooms.write(principal, bucket_name, ACTION, flush):
                return

    async def _digest(
        self, principal: Principal, bucket_name: Name, key: str, handle: Handle, kind: str
    ) -> tuple[int | None, str] | None:
        """The checksum of what a flush would make, and which version of the object that goes by."""

        def find(tx: Reader, bucket: Bucket) -> tuple[Bucket, Version | None, list[Part]] | None:
            if uploads.completed(tx, bucket, key, handle.upload) is not None:
                return None
            return bucket, _current(tx, bucket, key), _parts(tx, handle)

        found = await self._rooms.read(principal, bucket_name, ACTION, find)
        if found is None:
            return None
        bucket, current, parts = found
        hasher = checksums.new(checksums.DIGESTS[kind])
        pieces = [(part.blob, part.size) for part in parts]
        if current is not None:
            pieces.insert(0, (current.blob or 0, current.size))
        for blob, size in pieces:
            async for piece in read_blob(self._rooms, bucket, blob, 0, size):
                hasher.update(piece)
        return _seq(current), hasher.digest().hex()


def bad_checksum(kind: str, expected: str, actual: str) -> errors.BadDigest:
    """The error that AIStore has for it."""
    return errors.BadDigest(f"BAD DATA CHECKSUM: {kind}({expected} != {actual})")


def _begin(tx: Transaction, bucket: Bucket, key: str, principal: Principal) -> str:
    upload = Upload(
        f"append-{secrets.token_hex(16)}", bucket.id, key, now(), principal.id, STANDARD, Attributes(), {}, "", ""
    )
    uploads.create(tx, upload)
    return upload.id


def _add(
    tx: Transaction, bucket: Bucket, key: str, upload: str, last: Part | None, received: Received
) -> tuple[Handle, bool]:
    """Keeps a piece: small ones with the last part, so that many of them are not many parts. Returns the next handle,
    and whether the content is in the catalog now.
    """
    if received.size == 0:
        return Handle(upload, *_state(last)), False
    number, content, etag = (last.number if last else 0) + 1, received.content, received.md5
    checksum = received.digests[DEFAULT_CHECKSUM]
    if (
        last is not None
        and (small := appending.joined(tx, (Range(last.blob, 0, last.size), received.content))) is not None
    ):
        number, content, etag = last.number, small, appending.etag_of(small.data)
        before = checksums.decode(DEFAULT_CHECKSUM, last.checksums[DEFAULT_CHECKSUM])
        checksum = checksums.combine(DEFAULT_CHECKSUM, ((before, last.size), (checksum, received.size)))
    if number > appending.MAX_APPENDED_PARTS:
        raise errors.TooManyParts
    size = blobs.size_of(content) if not isinstance(content, blobs.Existing) else received.size
    part = Part(number, size, etag, now(), 0, {DEFAULT_CHECKSUM: checksums.encode(checksum)})
    uploads.put_part(tx, bucket, key, upload, part, content)
    return Handle(upload, number, size), True


def _repeats(tx: Reader, handle: Handle, last: Part | None, received: Received) -> bool:
    """Whether the very same piece was appended with this handle already, and nothing since."""
    if last is None:
        return False
    if (last.number, last.size) == (handle.number, handle.size + received.size):
        data = blobs.inline_data(tx, last.blob)
        return data is not None and appending.etag_of(data[handle.size :]) == received.md5
    return (last.number, last.size, last.etag) == (handle.number + 1, received.size, received.md5)


def _state(last: Part | None) -> tuple[int, int]:
    return (0, 0) if last is None else (last.number, last.size)


def _parts(tx: Reader, handle: Handle) -> list[Part]:
    """What was gathered. Raises ``ConditionalRequestConflict`` where that is more than the client knows of."""
    parts = uploads.parts(tx, handle.upload)
    if _state(parts[-1] if parts else None) != (handle.number, handle.size):
        raise errors.ConditionalRequestConflict(
            "the append handle is not the newest: something was appended after it was given out"
        )
    return parts


def _current(tx: Reader, bucket: Bucket, key: str) -> Version | None:
    try:
        return versions.get(tx, bucket, key)
    except (errors.NoSuchKey, errors.DeleteMarker):
        return None


def _seq(current: Version | None) -> int | None:
    return None if current is None else current.seq


def _compose(
    tx: Transaction,
    bucket: Bucket,
    current: Version | None,
    upload: Upload,
    parts: Sequence[Part],
    digest: tuple[str, str] | None,
) -> Draft:
    """The object as it is, with the parts behind it."""
    sums = ((checksums.decode(DEFAULT_CHECKSUM, part.checksums[DEFAULT_CHECKSUM]), part.size) for part in parts)
    checksum = {DEFAULT_CHECKSUM: checksums.encode(checksums.combine(DEFAULT_CHECKSUM, sums))}
    pieces = [Range(part.blob, 0, part.size) for part in parts]
    draft = Draft(
        Composed(pieces),
        sum(part.size for part in parts),
        parts[0].etag if len(parts) == 1 else composed_etag([part.etag for part in parts]),
        now(),
        upload.storage_class,
        msgspec.structs.replace(upload.attributes, checksums=checksum, checksum_type=FULL_OBJECT),
        upload.tags,
    )
    if current is not None:
        pieces = [Range(current.blob or 0, 0, current.size), *pieces]
    small = appending.joined(tx, pieces)
    content: Content = small or Composed([piece for piece in pieces if piece.length])
    etag = None if small is None else appending.etag_of(small.data)
    if small is not None and digest is None:
        digest = digest_of(bucket, small.data)
    if current is None:
        draft = msgspec.structs.replace(draft, content=content, etag=etag or draft.etag)
    else:
        appending.check_parts(tx, current)
        draft = appending.grown(current, draft, content, etag or appending.composed_etag(current.etag, draft.etag))
    return msgspec.structs.replace(draft, attributes=msgspec.structs.replace(draft.attributes, digest=digest))


def digest_of(bucket: Bucket, data: bytes) -> tuple[str, str] | None:
    """The bucket's checksum of an object."""
    kind = bucket.properties.checksum.type
    if kind not in checksums.DIGESTS:
        return None
    hasher = checksums.new(checksums.DIGESTS[kind])
    hasher.update(data)
    return kind, hasher.digest().hex()
