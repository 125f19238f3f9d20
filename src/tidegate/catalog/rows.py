"""How structs of the model are written into rows and read back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import msgspec

from tidegate.catalog.abc import Row
from tidegate.model import EMPTY, NULL_VERSION, STANDARD, Attributes, Part, Upload, Version

VERSION_COLUMNS = "key, seq, version_id, size, etag, modified, storage_class, blob, attributes, tags, writes, accessed"

VERSION_WIDTH = len(VERSION_COLUMNS.split(", "))

# What is needed to read the bytes of a version: of ``blobs b`` and ``small_blobs s``.
BLOB_COLUMNS = "b.kind, b.file, b.digest, s.data, b.folders"

_NO_ATTRIBUTES = Attributes()

_encode = msgspec.msgpack.Encoder().encode
_decode_attributes = msgspec.msgpack.Decoder(Attributes).decode
_decode_map = msgspec.msgpack.Decoder(dict[str, str]).decode


def pack_attributes(attributes: Attributes) -> bytes | None:
    """Attributes as they are stored; NULL for none."""
    return None if attributes == _NO_ATTRIBUTES else _encode(attributes)


def unpack_attributes(data: bytes | None) -> Attributes:
    """The inverse of ``pack_attributes``."""
    return _NO_ATTRIBUTES if data is None else _decode_attributes(data)


def pack_map(values: Mapping[str, str] | None) -> bytes | None:
    """A map as it is stored; NULL for an empty one."""
    return _encode(dict(values)) if values else None


def unpack_map(data: bytes | None) -> Mapping[str, str]:
    """The inverse of ``pack_map``."""
    return EMPTY if data is None else _decode_map(data)


def pack_class(storage_class: str) -> str | None:
    """A storage class as it is stored; NULL for the usual one."""
    return None if storage_class == STANDARD else storage_class


def version(row: Row, *, is_latest: bool, null_id: str = NULL_VERSION) -> Version:
    """The version in a row of ``VERSION_COLUMNS`` (more columns may follow).

    ``null_id`` is how a null version is called.
    """
    (
        key, seq, version_id, size, etag, modified, storage_class, blob, attributes, tags, writes, accessed,
    ) = row[:VERSION_WIDTH]  # fmt: skip
    return Version(
        key.decode(),
        seq,
        version_id or null_id,
        size,
        etag,
        modified,
        storage_class or STANDARD,
        blob,
        unpack_attributes(attributes),
        unpack_map(tags),
        is_latest,
        writes,
        accessed or modified,
    )


def new_version_id(seq: int) -> str:
    """An opaque id of 32 hex digits, in the shape of a UUID of version 4, as commits have in Pachyderm.

    It carries the version's place in its log, so that a version is found by its primary key.
    """
    random = secrets.token_hex(10)
    return f"{seq:012x}4{random[:3]}{_VARIANTS[random[3]]}{random[4:19]}"


# RFC 9562 section 4.1: the two highest bits of this digit are 10.
_VARIANTS = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
_SEQ_DIGITS = 12  # 48 bits: ten thousand writes a second for 890 years


def seq_of(version_id: str) -> int | None:
    """The place that ``new_version_id`` put into an id; None for a string that cannot be one."""
    if len(version_id) != 32 or not version_id.isascii():
        return None
    try:
        return int(version_id[:_SEQ_DIGITS], 16)
    except ValueError:
        return None


UPLOAD_COLUMNS = "id, bucket, key, initiated, owner, storage_class, attributes, tags, checksum_algorithm, checksum_type"


def upload(row: Row) -> Upload:
    """The upload in a row of ``UPLOAD_COLUMNS`` (more columns may follow)."""
    upload_id, bucket, key, initiated, owner, storage_class, attributes, tags, algorithm, checksum_type = row[:10]
    return Upload(
        upload_id,
        bucket,
        key.decode(),
        initiated,
        owner,
        storage_class or STANDARD,
        unpack_attributes(attributes),
        unpack_map(tags),
        algorithm,
        checksum_type,
    )


def part(row: Row) -> Part:
    """The part in a row of ``PART_COLUMNS``."""
    number, size, etag, modified, blob, checksums = row
    return Part(number, size, etag, modified, blob, unpack_map(checksums))


PART_COLUMNS = "number, size, etag, modified, blob, checksums"
