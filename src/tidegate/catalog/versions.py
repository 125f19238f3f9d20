"""The log of a bucket: appending versions, deleting them, reading one.

What S3 calls unversioned, versioned and suspended are three ways to append. In every one of them these stay true:

- the newest version of a key is in ``head`` if it is an object, and nothing of that key is in head if it is a delete
  marker;
- a key has at most one null version, in head or in history;
- a version that is dropped has let go of its blob.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from tidegate import errors
from tidegate.catalog import blobs, rows
from tidegate.catalog.abc import Reader, Row, Transaction, Value
from tidegate.catalog.rows import VERSION_COLUMNS, VERSION_WIDTH
from tidegate.model import NULL_VERSION, Attributes, Bucket, Version, Versioning

NO_CHECKSUM = "none"

Check = Callable[[Version | None], None]

_HEAD = f"SELECT {VERSION_COLUMNS} FROM head WHERE log = ? AND key = ?"
_HEAD_WITH_DATA = f"""
    SELECT {", ".join("h." + column for column in VERSION_COLUMNS.split(", "))},
        b.kind, b.file, b.digest, s.data, b.folders
    FROM head h JOIN blobs b ON b.id = h.blob LEFT JOIN small_blobs s ON s.id = h.blob
    WHERE h.log = ? AND h.key = ?"""
# So many keys are looked up by one statement, which costs a third of as many statements. The joins are outer ones so
# that the keys come first: else a planner may read all of the log to find them.
GLANCES = 64
_WANTED = f"(VALUES {', '.join(f'({number}, ?{number + 2})' for number in range(GLANCES))})"
_GLANCES = f"""
    SELECT w.column1, h.seq, h.modified, b.digest, s.data FROM {_WANTED} w
    LEFT JOIN head h ON h.log = ?1 AND h.key = w.column2
    LEFT JOIN blobs b ON b.id = h.blob LEFT JOIN small_blobs s ON s.id = h.blob"""
_MISSING = f"""
    SELECT min(w.column1) FROM {_WANTED} w
    WHERE NOT EXISTS (SELECT 1 FROM head h WHERE h.log = ?1 AND h.key = w.column2)"""
_HISTORY = f"SELECT {VERSION_COLUMNS} FROM history WHERE log = ? AND key = ? ORDER BY seq DESC LIMIT 1"
_COLUMNS = f"log, {VERSION_COLUMNS}"
_INSERT_HEAD = f"INSERT OR REPLACE INTO head ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_HISTORY = f"INSERT INTO history ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Draft(msgspec.Struct, frozen=True):
    """An object that is about to become a version. ``modified`` is in microseconds."""

    content: blobs.Content
    size: int
    etag: str
    modified: int
    storage_class: str
    attributes: Attributes
    tags: Mapping[str, str]


class Stored(msgspec.Struct, frozen=True):
    """A version with what a reader needs to find its bytes: ``data`` if they are inline."""

    version: Version
    kind: blobs.Kind
    file: bytes | None
    digest: bytes | None
    data: bytes | None
    folders: int


class Glance(msgspec.Struct, frozen=True):
    """An object's place in its log, when it was modified, and its bytes, to be verified, where they are inline."""

    seq: int
    modified: int
    digest: bytes | None
    data: bytes | None


class Deleted(msgspec.Struct, frozen=True):
    """What a delete did: which version it made or removed (none in an unversioned bucket), perhaps a delete marker."""

    version_id: str = ""
    is_delete_marker: bool = False


def put(tx: Transaction, bucket: Bucket, key: str, draft: Draft, check: Check | None = None) -> Version:
    """Appends an object. ``check`` sees the object that is replaced (or None) and raises to refuse."""
    row = tx.one(_HEAD, (bucket.log, key.encode()))
    if check is not None:
        check(None if row is None else rows.version(row, is_latest=True, null_id=_null_id(bucket)))
    blob = blobs.add(tx, draft.content, bucket.copies)
    seq = tx.sequence()
    version_id = rows.new_version_id(seq) if bucket.versioning is Versioning.ENABLED else None
    _make_room(tx, bucket, key, row, draft.modified)
    attributes, tags = rows.pack_attributes(draft.attributes), rows.pack_map(draft.tags)
    storage_class = rows.pack_class(draft.storage_class)
    writes = _writes(bucket, row)
    tx.execute(
        _INSERT_HEAD,
        (
            bucket.log, key.encode(), seq, version_id, draft.size, draft.etag, draft.modified, storage_class,
            blob, attributes, tags, writes, None,
        ),
    )  # fmt: skip
    tx.count(bucket.log, 1, draft.size)
    if draft.attributes.digest is None and bucket.properties.checksum.type != NO_CHECKSUM:
        tx.execute("INSERT INTO undigested (log, key, seq) VALUES (?, ?, ?)", (bucket.log, key.encode(), seq))
    return Version(
        key, seq, version_id or _null_id(bucket), draft.size, draft.etag, draft.modified, draft.storage_class,
        blob, draft.attributes, draft.tags, writes=writes, accessed=draft.modified,
    )  # fmt: skip


def delete(tx: Transaction, bucket: Bucket, key: str, now: int, check: Check | None = None) -> Deleted:
    """Deletes without naming a version: prunes an unversioned bucket, appends a delete marker to any other."""
    row = tx.one(_HEAD, (bucket.log, key.encode()))
    if check is not None:
        check(None if row is None else rows.version(row, is_latest=True, null_id=_null_id(bucket)))
    if bucket.versioning is Versioning.OFF:
        if row is not None:
            _drop_head(tx, bucket, row, now)
        return Deleted()
    seq = tx.sequence()
    version_id = rows.new_version_id(seq) if bucket.versioning is Versioning.ENABLED else None
    _make_room(tx, bucket, key, row, now)
    if row is not None:
        tx.execute("DELETE FROM head WHERE log = ? AND key = ?", (bucket.log, key.encode()))
    nothing = (None,) * 6
    tx.execute(INSERT_HISTORY, (bucket.log, key.encode(), seq, version_id, 0, "", now, *nothing))
    return Deleted(version_id or NULL_VERSION, is_delete_marker=True)


def delete_version(
    tx: Transaction, bucket: Bucket, key: str, version_id: str, now: int, check: Check | None = None
) -> Deleted:
    """Removes one version for good. A version that is not there is no error, as in S3."""
    try:
        version = get(tx, bucket, key, version_id)
    except errors.NoSuchVersion:
        if check is not None:
            check(None)
        return Deleted(version_id)
    if check is not None:
        check(None if version.is_delete_marker else version)
    name = (bucket.log, key.encode())
    in_head = tx.one("SELECT blob, size FROM head WHERE log = ? AND key = ? AND seq = ?", (*name, version.seq))
    if in_head is not None:
        _drop_head(tx, bucket, tx.one(_HEAD, name), now)
    else:
        tx.execute("DELETE FROM history WHERE log = ? AND key = ? AND seq = ?", (*name, version.seq))
        if version.blob is not None:
            blobs.release(tx, version.blob, now)
    promote(tx, *name)
    return Deleted(version_id, version.is_delete_marker)


def get(tx: Reader, bucket: Bucket, key: str, version_id: str = "") -> Version:
    """The newest version, or the one that is named (which may be a delete marker).

    Raises ``NoSuchKey``, ``DeleteMarker`` (with fields ``version_id``) where the newest is one, ``NoSuchVersion``.
    """
    name = (bucket.log, key.encode())
    if not version_id:
        row = tx.one(_HEAD, name)
        if row is None:
            raise _absent(tx, name)
        return rows.version(row, is_latest=True, null_id=_null_id(bucket))
    row, in_head = _named(tx, name, version_id)
    if row is None:
        raise errors.NoSuchVersion(Key=key, VersionId=version_id)
    return rows.version(row, is_latest=in_head or _is_newest(tx, name, row[1]), null_id=_null_id(bucket))


def read(tx: Reader, bucket: Bucket, key: str, version_id: str = "") -> Stored:
    """As ``get``, with what is needed to read the bytes.

    Raises ``NamedDeleteMarker`` where the named version is one.
    """
    if not version_id:
        name = (bucket.log, key.encode())
        row = tx.one(_HEAD_WITH_DATA, name)
        if row is None:
            raise _absent(tx, name)
        return Stored(rows.version(row, is_latest=True, null_id=_null_id(bucket)), *row[VERSION_WIDTH:])
    version = get_object(tx, bucket, key, version_id)
    row = tx.one(
        """SELECT b.kind, b.file, b.digest, s.data, b.folders FROM blobs b LEFT JOIN small_blobs s ON s.id = b.id
           WHERE b.id = ?""",
        (version.blob,),
    )
    if row is None:
        raise errors.DamagedBlob
    return Stored(version, *row)


def glances(tx: Reader, log: int, keys: Sequence[str]) -> Sequence[Glance | None]:
    """As little of objects as serves them where they are small; None where there is none. Up to ``GLANCES`` at once."""
    found: list[Glance | None] = [None] * GLANCES
    for number, *columns in tx.rows(_GLANCES, (log, *_filled(keys))):
        if columns[0] is not None:
            found[number] = Glance(*columns)
    return found[: len(keys)]


def missing(tx: Reader, log: int, keys: Sequence[str]) -> int | None:
    """Which of up to ``GLANCES`` keys is the first that has no object."""
    row = tx.one(_MISSING, (log, *_filled(keys)))
    return None if row is None else row[0]


def _filled(keys: Sequence[str]) -> list[bytes]:
    """The keys, and the last of them as often as a statement has room."""
    encoded = [key.encode() for key in keys]
    return encoded + encoded[-1:] * (GLANCES - len(encoded))


def get_object(tx: Reader, bucket: Bucket, key: str, version_id: str = "") -> Version:
    """As ``get``, but a delete marker that is named raises ``NamedDeleteMarker``."""
    version = get(tx, bucket, key, version_id)
    if version.is_delete_marker:
        raise errors.NamedDeleteMarker(version_id=version.version_id, modified=str(version.modified))
    return version


def set_tags(tx: Transaction, bucket: Bucket, key: str, version_id: str, tags: Mapping[str, str]) -> Version:
    """Replaces the tags of a version in place. Returns the version as it was."""
    version = get_object(tx, bucket, key, version_id)
    for table in ("head", "history"):
        tx.execute(
            f"UPDATE {table} SET tags = ? WHERE log = ? AND key = ? AND seq = ?",
            (rows.pack_map(tags), bucket.log, key.encode(), version.seq),
        )
    return version


def touch(tx: Transaction, reads: Iterable[tuple[int, str, int, int]]) -> None:
    """Takes down when versions were last read: ``(log, key, seq, time in microseconds)`` each. Those gone are none."""
    tx.execute_many(
        "UPDATE head SET accessed = ?4 WHERE log = ?1 AND key = ?2 AND seq = ?3",
        [(log, key.encode(), seq, at) for log, key, seq, at in reads],
    )


def set_attributes(tx: Transaction, bucket: Bucket, key: str, version: Version, attributes: Attributes) -> bool:
    """Replaces what is stored beside a version's bytes. Returns whether the version was still there."""
    name = (bucket.log, key.encode(), version.seq)
    for table in ("head", "history"):
        if tx.one(f"SELECT 1 FROM {table} WHERE log = ? AND key = ? AND seq = ?", name) is not None:
            tx.execute(
                f"UPDATE {table} SET attributes = ? WHERE log = ? AND key = ? AND seq = ?",
                (rows.pack_attributes(attributes), *name),
            )
            return True
    return False


def _writes(bucket: Bucket, head: Row | None) -> int | None:
    """The count of an object's writes for a new version; where the bucket does not count, it stays what it was."""
    before = None if head is None else head[10]
    return (before or 0) + 1 if bucket.properties.versioning.enabled else before


def _null_id(bucket: Bucket) -> str:
    """How clients see a null version's id: not at all where the bucket never had versions."""
    return "" if bucket.versioning is Versioning.OFF else NULL_VERSION


def _named(tx: Reader, name: tuple[int, bytes], version_id: str) -> tuple[Row | None, bool]:
    """The row of a version that was named, and whether it is in head."""
    parameters: tuple[Value, ...]
    if version_id == NULL_VERSION:
        condition, parameters = "version_id IS NULL", name
    else:
        seq = rows.seq_of(version_id)
        if seq is None:
            return None, False
        condition, parameters = "seq = ? AND version_id = ?", (*name, seq, version_id)
    for table in ("head", "history"):
        row = tx.one(f"SELECT {VERSION_COLUMNS} FROM {table} WHERE log = ? AND key = ? AND {condition}", parameters)
        if row is not None:
            return row, table == "head"
    return None, False


def _is_newest(tx: Reader, name: tuple[int, bytes], seq: int) -> bool:
    """Whether a row of history is its key's newest version, which only a delete marker can be."""
    if tx.one("SELECT 1 FROM head WHERE log = ? AND key = ?", name) is not None:
        return False
    row = tx.one("SELECT max(seq) FROM history WHERE log = ? AND key = ?", name)
    return row is not None and row[0] == seq


def _absent(tx: Reader, name: tuple[int, bytes]) -> errors.Error:
    """Why a key has no object: nothing is there, or a delete marker."""
    row = tx.one(_HISTORY, name)
    if row is None:
        return errors.NoSuchKey(Key=name[1].decode())
    return errors.DeleteMarker(Key=name[1].decode(), version_id=row[2] or NULL_VERSION)


def _make_room(tx: Transaction, bucket: Bucket, key: str, head: Row | None, now: int) -> None:
    """Before a version is appended: moves the one in head to history if the log keeps it, drops it if it does not.

    A head row that stays is to be replaced or deleted by the caller.
    """
    name = (bucket.log, key.encode())
    makes_null = bucket.versioning is not Versioning.ENABLED
    if head is not None:
        tx.count(bucket.log, -1, -head[3])
        if head[2] is None and makes_null:
            blobs.release(tx, head[7], now)
        else:
            tx.execute(INSERT_HISTORY, (bucket.log, *head))
    if bucket.versioning is Versioning.SUSPENDED and (head is None or head[2] is not None):
        null = tx.one("SELECT seq, blob FROM history WHERE log = ? AND key = ? AND version_id IS NULL", name)
        if null is not None:
            tx.execute("DELETE FROM history WHERE log = ? AND key = ? AND seq = ?", (*name, null[0]))
            if null[1] is not None:
                blobs.release(tx, null[1], now)


def _drop_head(tx: Transaction, bucket: Bucket, row: Row | None, now: int) -> None:
    if row is None:
        return
    tx.execute("DELETE FROM head WHERE log = ? AND key = ?", (bucket.log, row[0]))
    blobs.release(tx, row[7], now)
    tx.count(bucket.log, -1, -row[3])


def promote(tx: Transaction, log: int, key: bytes) -> None:
    """After a version was removed: where head is empty and the newest of history is an object, that is the head now."""
    if tx.one("SELECT 1 FROM head WHERE log = ? AND key = ?", (log, key)) is not None:
        return
    row = tx.one(_HISTORY, (log, key))
    if row is not None and row[7] is not None:
        tx.execute("DELETE FROM history WHERE log = ? AND key = ? AND seq = ?", (log, key, row[1]))
        tx.execute(_INSERT_HEAD, (log, *row))
        tx.count(log, 1, row[3])
