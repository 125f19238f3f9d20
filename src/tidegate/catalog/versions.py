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
from msgspec.structs import replace

from tidegate import errors
from tidegate.catalog import blobs, commits, rows, states
from tidegate.catalog.abc import Reader, Row, Transaction, Value
from tidegate.catalog.rows import BLOB_COLUMNS, VERSION_COLUMNS, VERSION_WIDTH
from tidegate.model import MESSAGE_NAME, NULL_VERSION, Attributes, Bucket, Layer, Version, Versioning

NO_CHECKSUM = "none"
# What Pachyderm's S3 gateway says where a version id is no commit of the branch.
NO_SUCH_COMMIT = "The version ID specified in the request does not match an existing version."

Check = Callable[[Version | None], None]

_HEAD = f"SELECT {VERSION_COLUMNS} FROM head WHERE log = ? AND key = ?"
_HEAD_WITH_DATA = f"""
    SELECT {", ".join("h." + column for column in VERSION_COLUMNS.split(", "))}, {BLOB_COLUMNS}
    FROM head h JOIN blobs b ON b.id = h.blob LEFT JOIN small_blobs s ON s.id = h.blob
    WHERE h.log = ?1 AND h.key = ?2"""
_UNDOUBTED = f"{_HEAD_WITH_DATA} AND NOT EXISTS (SELECT 1 FROM intents WHERE log = ?1 AND key = ?2)"
_DATA = f"SELECT {BLOB_COLUMNS} FROM blobs b LEFT JOIN small_blobs s ON s.id = b.id WHERE b.id = ?"
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
INSERT_HEAD = f"INSERT OR REPLACE INTO head ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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


def draft_of(version: Version) -> Draft:
    """What makes a version, which is no delete marker, an object once more: of the bytes that are there."""
    return Draft(
        blobs.Existing(version.blob or 0), version.size, version.etag, version.modified, version.storage_class,
        version.attributes, version.tags,
    )  # fmt: skip


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
    if bucket.place is not None:
        bucket, draft = _noted(bucket, draft)
    name = (bucket.log, key.encode())
    own = tx.one(_HEAD, name)
    row = states.live(tx, bucket.layers, name[1]) if bucket.layers else own
    if check is not None:
        check(None if row is None else rows.version(row, is_latest=True, null_id=_null_id(bucket)))
    blob = blobs.add(tx, draft.content, bucket.copies)
    seq, version_id = _place(tx, bucket, key)
    _make_room(tx, bucket, key, own, seq, draft.modified)
    attributes, tags = rows.pack_attributes(draft.attributes), rows.pack_map(draft.tags)
    storage_class = rows.pack_class(draft.storage_class)
    writes = _writes(bucket, row)
    tx.execute(
        INSERT_HEAD,
        (
            *name, seq, version_id, draft.size, draft.etag, draft.modified, storage_class, blob, attributes, tags,
            writes, None,
        ),
    )  # fmt: skip
    _count(tx, bucket, name[1], seq, row, draft.size)
    if draft.attributes.digest is None and bucket.properties.checksum.type != NO_CHECKSUM:
        undigested = "INSERT INTO undigested (id, log, key, seq) VALUES (?, ?, ?, ?)"
        tx.execute(undigested, (tx.sequence(), *name, seq))
    return Version(
        key, seq, version_id or _null_id(bucket), draft.size, draft.etag, draft.modified, draft.storage_class,
        blob, draft.attributes, draft.tags, writes=writes, accessed=draft.modified,
    )  # fmt: skip


def _noted(bucket: Bucket, draft: Draft) -> tuple[Bucket, Draft]:
    """A commit's message that came as metadata of the object, with its bucket instead of with the object."""
    metadata = draft.attributes.metadata
    if MESSAGE_NAME not in metadata:
        return bucket, draft
    rest = {name: value for name, value in metadata.items() if name != MESSAGE_NAME}
    note = bucket.writer.note
    if not note.message:
        note = replace(note, message=metadata[MESSAGE_NAME].encode("latin-1", "replace").decode(errors="replace"))
    draft = replace(draft, attributes=replace(draft.attributes, metadata=rest))
    return replace(bucket, writer=replace(bucket.writer, note=note)), draft


def _place(tx: Transaction, bucket: Bucket, key: str) -> tuple[int, str | None]:
    """The place in the log of a version that is about to be written, and its id."""
    if bucket.place is not None:
        stamp = commits.stamp(tx, bucket, key)
        return stamp.seq, stamp.id
    seq = tx.sequence()
    return seq, rows.new_version_id(seq) if bucket.versioning is Versioning.ENABLED else None


def _count(tx: Transaction, bucket: Bucket, key: bytes, seq: int, before: Row | None, size: int | None) -> None:
    """Counts an object of a size (None for a delete marker) that takes the place of another, or of none."""
    objects, grown = int(size is not None), size or 0
    if before is not None:
        objects, grown = objects - 1, grown - before[3]
    if bucket.place is None:
        tx.count(bucket.log, objects, grown)
    else:
        commits.count(tx, bucket.log, seq, key, objects, grown)


def delete(tx: Transaction, bucket: Bucket, key: str, now: int, check: Check | None = None) -> Deleted:
    """Deletes without naming a version: prunes an unversioned bucket, appends a delete marker to any other.

    To a branch nothing is appended where nothing is to be deleted.
    """
    name = (bucket.log, key.encode())
    own = tx.one(_HEAD, name)
    row = states.live(tx, bucket.layers, name[1]) if bucket.layers else own
    if check is not None:
        check(None if row is None else rows.version(row, is_latest=True, null_id=_null_id(bucket)))
    if bucket.versioning is Versioning.OFF:
        if row is not None:
            _drop_head(tx, bucket, row, now)
        return Deleted()
    if row is None and bucket.place is not None:
        return Deleted()
    seq, version_id = _place(tx, bucket, key)
    _make_room(tx, bucket, key, own, seq, now)
    if own is not None:
        tx.execute("DELETE FROM head WHERE log = ? AND key = ?", name)
    nothing = (None,) * 6
    tx.execute(INSERT_HISTORY, (*name, seq, version_id, 0, "", now, *nothing))
    _count(tx, bucket, name[1], seq, row, None)
    return Deleted(version_id or NULL_VERSION, is_delete_marker=True)


def delete_version(
    tx: Transaction, bucket: Bucket, key: str, version_id: str, now: int, check: Check | None = None
) -> Deleted:
    """Removes one version for good. A version that is not there is no error, as in S3.

    Raises ``NotImplementedByServer`` for a branch: what was committed stays.
    """
    if bucket.place is not None:
        raise errors.NotImplementedByServer("Versions on a branch belong to commits: squash or drop those.")
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
    if bucket.layers or (version_id and bucket.place is not None):
        return _of_state(tx, bucket, key, version_id)
    if not version_id:
        row = tx.one(_HEAD, name)
        if row is None:
            raise _absent(tx, name)
        return rows.version(row, is_latest=True, null_id=_null_id(bucket))
    row, in_head = _named(tx, name, version_id)
    if row is None:
        raise errors.NoSuchVersion(Key=key, VersionId=version_id)
    return rows.version(row, is_latest=in_head or _is_newest(tx, name, row[1]), null_id=_null_id(bucket))


def _of_state(tx: Reader, bucket: Bucket, key: str, version_id: str) -> Version:
    """As ``get``, where there are layers. A version id is that of a commit, and names the state at that commit."""
    layers, past = bucket.layers, _past(bucket)
    if version_id:
        layers = _at(tx, past, version_id)
        if not layers:
            return _row_of_state(tx, past, key, version_id)
    row = states.find(tx, layers, key.encode())
    if row is None:
        raise errors.NoSuchKey(Key=key)
    if row[7] is None and row[2] != version_id:
        raise errors.DeleteMarker(Key=key, version_id=row[2] or NULL_VERSION)
    if not version_id:
        return rows.version(row, is_latest=True)
    newest = states.find(tx, bucket.state, key.encode())
    version = rows.version(row, is_latest=newest is not None and newest[1] == row[1])
    return replace(version, version_id=version_id)


def _past(bucket: Bucket) -> Sequence[Layer]:
    """Where the commits are that version ids may name."""
    place = bucket.place
    return place.newest if place is not None and not place.is_snapshot else bucket.layers


def _at(tx: Reader, past: Sequence[Layer], version_id: str) -> tuple[Layer, ...]:
    """The state at the commit of that id; none where it is no commit's."""
    at = commits.point(tx, version_id)
    return () if at is None else commits.within(past, at.log, at.seq)


def _row_of_state(tx: Reader, layers: Sequence[Layer], key: str, version_id: str) -> Version:
    """The very version of that id, where it is not a commit's: the bucket is no branch, or its commit was squashed."""
    for layer in layers:
        row, _ = _named(tx, (layer.log, key.encode()), version_id)
        if row is not None and row[5 if layer.by_time else 1] <= layer.until:
            return rows.version(row, is_latest=states.find(tx, layers, key.encode()) == row)
    raise errors.NoSuchVersion(NO_SUCH_COMMIT, Key=key, VersionId=version_id)


def read(tx: Reader, bucket: Bucket, key: str, version_id: str = "") -> Stored:
    """As ``get``, with what is needed to read the bytes. Whether a commit's version is the latest is not looked up.

    Raises ``NamedDeleteMarker`` where the named version is one.
    """
    if not version_id and (stored := newest(tx, bucket, key)) is not None:
        return stored
    version = get_object(tx, bucket, key, version_id)
    row = tx.one(_DATA, (version.blob,))
    if row is None:
        raise errors.DamagedBlob
    return Stored(version, *row)


def at_once(tx: Reader, bucket: Bucket, key: str, version_id: str = "") -> Stored | None:
    """As ``read``, where one statement can tell; None where none can, or where there is no such object."""
    if version_id:
        return _at_commit(tx, bucket, key, version_id)
    return newest(tx, bucket, key) if len(bucket.layers) <= states.TOGETHER else None


def _at_commit(tx: Reader, bucket: Bucket, key: str, version_id: str) -> Stored | None:
    """What a branch that has forked from nothing had under a key at a commit of its own."""
    past, seq = _past(bucket), rows.seq_of(version_id)
    if bucket.place is None or len(past) != 1 or past[0].by_time or seq is None or seq > past[0].until:
        return None
    row = states.find_at_commit(tx, past[0].log, seq, version_id, key.encode())
    if row is None or row[VERSION_WIDTH] is None:
        return None
    version = rows.version((*row[:2], version_id, *row[3:VERSION_WIDTH]), is_latest=False)
    return Stored(version, *row[VERSION_WIDTH:])


def newest(tx: Reader, bucket: Bucket, key: str) -> Stored | None:
    """As ``read``, without a version id; None where there is no object. One statement for a bucket with up to
    ``states.TOGETHER`` layers.
    """
    if bucket.layers:
        return _stored(bucket, states.find_with_data(tx, bucket.layers, key.encode()))
    return _stored(bucket, tx.one(_HEAD_WITH_DATA, (bucket.log, key.encode())))


def undoubted(tx: Reader, bucket: Bucket, key: str) -> Stored | None:
    """As ``newest``, for what is kept of somebody else's object; None also where somebody intends to write it."""
    return _stored(bucket, tx.one(_UNDOUBTED, (bucket.log, key.encode())))


def _stored(bucket: Bucket, row: Row | None) -> Stored | None:
    if row is None or row[VERSION_WIDTH] is None:
        return None
    return Stored(rows.version(row, is_latest=True, null_id=_null_id(bucket)), *row[VERSION_WIDTH:])


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
    """Replaces the tags of a version in place, or on a branch by a commit. Returns the version that has them."""
    version = get_object(tx, bucket, key, version_id)
    if bucket.place is not None:
        return _commit_again(tx, bucket, replace(version, tags=tags))
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


def change_attributes(tx: Transaction, bucket: Bucket, version: Version, attributes: Attributes) -> None:
    """Replaces what is stored beside an object's bytes as its owner wishes: in place, or on a branch by a commit."""
    if bucket.place is not None:
        _commit_again(tx, bucket, replace(version, attributes=attributes))
    else:
        set_attributes(tx, bucket, version.key, version, attributes)


def _commit_again(tx: Transaction, bucket: Bucket, version: Version) -> Version:
    """Writes the newest version of a key once more, with something beside its bytes changed."""
    if not version.is_latest or version.blob is None:
        raise errors.NotImplementedByServer("What was committed cannot be changed: change the newest version.")
    return put(tx, bucket, version.key, draft_of(version))


def set_attributes(tx: Transaction, bucket: Bucket, key: str, version: Version, attributes: Attributes) -> bool:
    """Replaces what is stored beside a version's bytes, in place. Returns whether the version was still there."""
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


def _make_room(tx: Transaction, bucket: Bucket, key: str, head: Row | None, seq: int, now: int) -> None:
    """Before a version is appended: moves the one in head to history if the log keeps it, drops it if it does not, as
    it does with what the same commit wrote before.

    A head row that stays is to be replaced or deleted by the caller.
    """
    name = (bucket.log, key.encode())
    makes_null = bucket.versioning is not Versioning.ENABLED
    if bucket.place is not None:
        tx.execute("DELETE FROM history WHERE log = ? AND key = ? AND seq = ?", (*name, seq))  # a delete marker
    if head is not None:
        if (head[2] is None and makes_null) or head[1] == seq:
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


def promote(tx: Transaction, log: int, key: bytes, *, counts: bool = True) -> None:
    """After a version was removed: where head is empty and the newest of history is an object, that is the head now."""
    if tx.one("SELECT 1 FROM head WHERE log = ? AND key = ?", (log, key)) is not None:
        return
    row = tx.one(_HISTORY, (log, key))
    if row is not None and row[7] is not None:
        tx.execute("DELETE FROM history WHERE log = ? AND key = ? AND seq = ?", (log, key, row[1]))
        tx.execute(INSERT_HEAD, (log, *row))
        if counts:
            tx.count(log, 1, row[3])
