"""Multipart uploads: parts that wait to become one object.

Completion makes a blob composed of the parts' blobs: no byte is read or copied. What was completed is remembered for a
while, so that a client that repeats the request (it never saw the answer) gets the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise

import msgspec

from tidegate import errors
from tidegate.catalog import blobs, rows, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.versions import Check, Draft
from tidegate.model import Bucket, Part, Upload, Version

# Amazon S3: every part but the last has at least 5 MiB.
MIN_PART_SIZE = 5 * 1024 * 1024


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """A part as the request to complete names it: its ETag without quotes, and checksums (base64) if they are given."""

    number: int
    etag: str
    checksums: Mapping[str, str] = {}


class Completed(msgspec.Struct, frozen=True):
    """The outcome of a completion, as far as its answer needs it."""

    wanted: tuple[Wanted, ...]
    etag: str
    version_id: str
    checksums: Mapping[str, str]
    checksum_type: str


_encode = msgspec.msgpack.Encoder().encode
_decode_completed = msgspec.msgpack.Decoder(Completed).decode


def create(tx: Transaction, upload: Upload) -> None:
    """Starts an upload."""
    tx.execute(
        f"INSERT INTO uploads ({rows.UPLOAD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            upload.id, upload.bucket, upload.key.encode(), upload.initiated, upload.owner,
            rows.pack_class(upload.storage_class), rows.pack_attributes(upload.attributes), rows.pack_map(upload.tags),
            upload.checksum_algorithm, upload.checksum_type,
        ),
    )  # fmt: skip


def get(tx: Reader, bucket: Bucket, key: str, upload_id: str) -> Upload:
    """The upload of that id to that key of that bucket, still under way. Raises ``NoSuchUpload``."""
    upload, completed = _find(tx, bucket, key, upload_id)
    if completed is not None:
        raise errors.NoSuchUpload(UploadId=upload_id)
    return upload


def completed(tx: Reader, bucket: Bucket, key: str, upload_id: str) -> Completed | None:
    """What came of an upload that was completed not long ago; None for one under way. Raises ``NoSuchUpload``."""
    done = _find(tx, bucket, key, upload_id)[1]
    return None if done is None else _decode_completed(done)


def _find(tx: Reader, bucket: Bucket, key: str, upload_id: str) -> tuple[Upload, bytes | None]:
    row = tx.one(
        f"SELECT {rows.UPLOAD_COLUMNS}, completed FROM uploads WHERE id = ? AND bucket = ? AND key = ?",
        (upload_id, bucket.id, key.encode()),
    )
    if row is None:
        raise errors.NoSuchUpload(UploadId=upload_id)
    return rows.upload(row), row[10]


def put_part(
    tx: Transaction,
    bucket: Bucket,
    key: str,
    upload_id: str,
    part: Part,
    content: blobs.Content,
) -> None:
    """Keeps a part, in place of one of the same number.

    ``part.blob`` is ignored: the content says what it is. Raises ``NoSuchUpload``.
    """
    get(tx, bucket, key, upload_id)
    blob = blobs.add(tx, content, bucket.copies)
    old = tx.one("SELECT blob FROM upload_parts WHERE upload = ? AND number = ?", (upload_id, part.number))
    if old is not None:
        blobs.release(tx, old[0], part.modified)
    tx.execute(
        f"INSERT OR REPLACE INTO upload_parts (upload, {rows.PART_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (upload_id, part.number, part.size, part.etag, part.modified, blob, rows.pack_map(part.checksums)),
    )


def parts(tx: Reader, upload_id: str, after: int = 0, limit: int = -1) -> list[Part]:
    """The parts that have been uploaded, in order of their numbers. A negative limit means all."""
    found = tx.rows(
        f"SELECT {rows.PART_COLUMNS} FROM upload_parts WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
        (upload_id, after, limit),
    )
    return [rows.part(row) for row in found]


def last_part(tx: Reader, upload_id: str) -> Part | None:
    """The part with the highest number."""
    row = tx.one(
        f"SELECT {rows.PART_COLUMNS} FROM upload_parts WHERE upload = ? ORDER BY number DESC LIMIT 1", (upload_id,)
    )
    return None if row is None else rows.part(row)


def complete(
    tx: Transaction,
    bucket: Bucket,
    key: str,
    upload_id: str,
    wanted: Sequence[Wanted],
    compose: Callable[[Upload, Sequence[Part]], Draft],
    check: Check | None = None,
    min_part_size: int = MIN_PART_SIZE,
) -> Completed:
    """Makes the wanted parts an object, described by ``compose``, and forgets the others.

    ``min_part_size`` is in bytes, for every part but the last.

    Raises ``NoSuchUpload``, ``InvalidPartOrder``, ``InvalidPart``, ``EntityTooSmall``, and what ``compose`` and
    ``check`` raise.
    """
    made = assemble(tx, bucket, key, upload_id, wanted, compose, min_part_size)
    if isinstance(made, Completed):
        return made
    return finish(tx, upload_id, wanted, versions.put(tx, bucket, key, made, check), made.modified)


def assemble(
    tx: Reader,
    bucket: Bucket,
    key: str,
    upload_id: str,
    wanted: Sequence[Wanted],
    compose: Callable[[Upload, Sequence[Part]], Draft],
    min_part_size: int = MIN_PART_SIZE,
) -> Draft | Completed:
    """What ``complete`` would make an object of, or what it did when the same was asked before. Raises as that does."""
    upload, done = _find(tx, bucket, key, upload_id)
    if done is not None:
        completed = _decode_completed(done)
        if completed.wanted != tuple(wanted):
            raise errors.NoSuchUpload(UploadId=upload_id)
        return completed
    stored = {part.number: part for part in parts(tx, upload_id)}
    return compose(upload, _choose(stored, wanted, upload_id, min_part_size))


def finish(tx: Transaction, upload_id: str, wanted: Sequence[Wanted], version: Version, now: int) -> Completed:
    """Ends an upload of which an object was made: forgets its parts, and remembers the answer for a while."""
    _drop_parts(tx, upload_id, parts(tx, upload_id), now, used={each.number for each in wanted})
    attributes = version.attributes
    completed = Completed(
        tuple(wanted), version.etag, version.version_id, attributes.checksums, attributes.checksum_type
    )
    tx.execute("UPDATE uploads SET completed = ?, attributes = NULL WHERE id = ?", (_encode(completed), upload_id))
    return completed


def _choose(stored: Mapping[int, Part], wanted: Sequence[Wanted], upload_id: str, min_part_size: int) -> list[Part]:
    if any(one.number >= other.number for one, other in pairwise(wanted)):
        raise errors.InvalidPartOrder(UploadId=upload_id)
    chosen = []
    for want in wanted:
        part = stored.get(want.number)
        differs = part is None or part.etag != want.etag
        if (
            part is None
            or differs
            or any(part.checksums.get(name, value) != value for name, value in want.checksums.items())
        ):
            raise errors.InvalidPart(UploadId=upload_id, PartNumber=str(want.number), ETag=want.etag)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < min_part_size:
            raise errors.EntityTooSmall(
                ProposedSize=str(part.size),
                MinSizeAllowed=str(min_part_size),
                PartNumber=str(part.number),
                ETag=part.etag,
            )
    return chosen


def _drop_parts(
    tx: Transaction, upload_id: str, gone: Iterable[Part], now: int, used: AbstractSet[int] = frozenset()
) -> None:
    """Drops parts. An object of the same bucket refers to those ``used``, by number."""
    for part in gone:
        blobs.release(tx, part.blob, now, is_handed_over=part.number in used)
    tx.execute("DELETE FROM upload_parts WHERE upload = ?", (upload_id,))


def abort(tx: Transaction, bucket: Bucket, key: str, upload_id: str, now: int) -> None:
    """Forgets an upload and its parts. Raises ``NoSuchUpload``."""
    get(tx, bucket, key, upload_id)
    _drop_parts(tx, upload_id, parts(tx, upload_id), now)
    tx.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))


def drop(tx: Transaction, upload_id: str, now: int) -> None:
    """Forgets an upload that may be under way, whatever its bucket and key. One that was completed stays."""
    if tx.one("SELECT 1 FROM uploads WHERE id = ? AND completed IS NULL", (upload_id,)) is not None:
        _drop_parts(tx, upload_id, parts(tx, upload_id), now)
        tx.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))


def forget(tx: Transaction, completed_before: int, limit: int, now: int) -> int:
    """Forgets up to ``limit`` uploads that were begun before a time and completed, or whose bucket is gone.

    Returns how many.
    """
    gone = list(
        tx.rows(
            """SELECT id FROM uploads WHERE completed IS NOT NULL AND initiated < ?1
               UNION ALL SELECT id FROM uploads WHERE bucket NOT IN (SELECT id FROM buckets) LIMIT ?2""",
            (completed_before, limit),
        )
    )
    for (upload_id,) in gone:
        _drop_parts(tx, upload_id, parts(tx, upload_id), now)
        tx.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))
    return len(gone)
