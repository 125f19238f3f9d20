"""Appending to an object (``x-amz-write-offset-bytes``): a new version made of the old one's bytes and the new.

Source: Amazon S3 user guide, "Appending data to objects in directory buckets".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from tidegate import checksums, errors
from tidegate.catalog import blobs, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.blobs import Composed, Content, Inline, Range
from tidegate.catalog.versions import Check, Draft
from tidegate.gateway.receive import inline
from tidegate.model import Attributes, Bucket, Version

# Small objects that grow stay inline up to this many bytes; beyond, each append adds a range to a composed blob.
INLINE_APPEND_LIMIT = 64 * 1024
# Amazon's limit on the parts that an object grows by. It bounds what a transaction has to copy.
MAX_APPENDED_PARTS = 10_000
# An offset that means wherever the object ends.
AT_END = -1


def append(tx: Transaction, bucket: Bucket, key: str, draft: Draft, offset: int, check: Check) -> Version:
    """Appends the draft's content to the object at ``offset``: ``AT_END``, or its size (0 where there is no object).

    Headers, metadata and tags of an object that exists stay. Raises ``InvalidWriteOffset``, ``TooManyParts``.
    """
    try:
        current = versions.get(tx, bucket, key)
    except (errors.NoSuchKey, errors.DeleteMarker):
        current = None
    if offset not in {AT_END, 0 if current is None else current.size}:
        raise errors.InvalidWriteOffset
    if current is None or current.blob is None:
        return versions.put(tx, bucket, key, draft, check)
    if (small := joined(tx, (Range(current.blob, 0, current.size), draft.content))) is not None:
        content: Content = small
        etag, added = etag_of(small.data), None
    else:
        check_parts(tx, current)
        added = blobs.add(tx, draft.content, bucket.copies)
        ranges = (Range(current.blob, 0, current.size), Range(added, 0, draft.size))
        content, etag = Composed([piece for piece in ranges if piece.length]), composed_etag(current.etag, draft.etag)
    version = versions.put(tx, bucket, key, grown(current, draft, content, etag), check)
    if added is not None:
        blobs.release(tx, added, draft.modified, is_handed_over=True)  # the composed blob refers to it now
    return version


def check_parts(tx: Transaction, current: Version) -> None:
    """Raises ``TooManyParts`` where an object has grown by as many as it may."""
    if current.blob is not None and len(blobs.extents(tx, current.blob, 0, current.size)) >= MAX_APPENDED_PARTS:
        raise errors.TooManyParts


def grown(current: Version, draft: Draft, content: Content, etag: str) -> Draft:
    """The object with the draft behind it, as the content that both make."""
    return msgspec.structs.replace(
        draft,
        content=content,
        size=current.size + draft.size,
        etag=etag,
        storage_class=current.storage_class,
        attributes=_attributes(current, draft),
        tags=current.tags,
    )


def joined(tx: Reader, pieces: Sequence[Range | Content]) -> Inline | None:
    """The bytes of all pieces in one, if all of them are inline and together small."""
    size = 0
    for piece in pieces:
        if not isinstance(piece, Range | Inline):
            return None
        size += piece.length if isinstance(piece, Range) else len(piece.data)
    if size > INLINE_APPEND_LIMIT:
        return None
    held: list[bytes] = []
    for piece in pieces:
        data = piece.data if isinstance(piece, Inline) else _range(tx, piece)
        if data is None:
            return None
        held.append(data)
    return inline(b"".join(held))


def _range(tx: Reader, piece: Range | Content) -> bytes | None:
    if not isinstance(piece, Range):
        return None
    data = blobs.inline_data(tx, piece.blob)
    return None if data is None else data[piece.start : piece.start + piece.length]


def etag_of(data: bytes) -> str:
    """The ETag of bytes that were not composed."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def composed_etag(old: str, added: str) -> str:
    """As a multipart object's: a hash of the pieces' ETags, and how many pieces there are."""
    count = int(old.partition("-")[2] or 1) + 1
    return f"{hashlib.md5(f'{old}{added}'.encode(), usedforsecurity=False).hexdigest()}-{count}"


def _attributes(current: Version, draft: Draft) -> Attributes:
    """The object's attributes with the checksums of the whole, as far as they follow from those of the pieces."""
    combined = {}
    for name, value in current.attributes.checksums.items():
        other = draft.attributes.checksums.get(name)
        if other is None or not checksums.ALGORITHMS[name].full_object or "-" in value:
            continue
        pieces = [(checksums.decode(name, value), current.size), (checksums.decode(name, other), draft.size)]
        combined[name] = checksums.encode(checksums.combine(name, pieces))
    return msgspec.structs.replace(
        current.attributes,
        checksums=combined,
        checksum_type=current.attributes.checksum_type if combined else "",
        digest=None,
    )
