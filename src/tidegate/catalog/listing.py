"""Pages of a bucket's keys and versions, in the order of their UTF-8 bytes.

With a delimiter, keys that share what comes before it appear once, as a common prefix. Such a group is jumped over by
seeking to its end, never read through: a page costs what it shows. (UTF-8 has no byte FF, so ``prefix + FF`` comes
after every key that begins with the prefix.)
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tidegate.catalog import rows, states
from tidegate.catalog.abc import Reader, Row, Value
from tidegate.catalog.blobs import Kind, whereabouts
from tidegate.model import NULL_VERSION, STANDARD, Bucket, Layer, Upload, Version, Versioning

END = b"\xff"

_KEYS = "SELECT key, size, etag, modified, storage_class FROM head WHERE log = ? AND key > ? AND key < ? ORDER BY key"

# Of an object that is not composed of parts.
_FOLDERS = f"SELECT folders FROM blobs WHERE id = head.blob AND kind <> {Kind.COMPOSED:d}"
_DETAILS = f"SELECT {rows.VERSION_COLUMNS}, ({_FOLDERS}) FROM head WHERE log = ? AND key "
_SIZES = """
    SELECT count(*), coalesce(sum(size), 0), coalesce(min(size), 0), coalesce(max(size), 0)
    FROM head WHERE log = ? AND key > ? AND key < ?"""

# Walks from common prefix to common prefix inside the engine, a seek each, and ends at the first key without the
# delimiter. Parameters: log, after, end, length of the listing's prefix, delimiter, length of the delimiter.
_CUT = "instr(substr(walk.key, ?4 + 1), ?5)"
_COMMON = f"substr(walk.key, 1, ?4 + {_CUT} + ?6 - 1)"
_NEXT = "SELECT key FROM head WHERE log = ?1 AND key > {} AND key < ?3 ORDER BY key LIMIT 1"
_PREFIXES = f"""
    WITH RECURSIVE walk (key) AS (
        SELECT ({_NEXT.format("?2")})
        UNION ALL
        SELECT ({_NEXT.format(f"CAST({_COMMON} || x'FF' AS BLOB)")}) FROM walk WHERE {_CUT} > 0)
    SELECT {_COMMON} FROM walk WHERE {_CUT} > 0"""


class Entry(msgspec.Struct, frozen=True):
    """An object in a listing. ``modified`` is in microseconds."""

    key: str
    size: int
    etag: str
    modified: int
    storage_class: str


class Page(msgspec.Struct, frozen=True):
    """Objects and common prefixes, each in order. ``last`` is the item to go on after, where there is more."""

    entries: list[Entry]
    prefixes: list[str]
    last: str | None


class Details(msgspec.Struct, frozen=True):
    """An object in a listing with all that is known of it. ``folders`` and ``copies`` are those of ``Whereabouts``."""

    version: Version
    folders: int
    copies: int


class Sizes(msgspec.Struct, frozen=True):
    """How many objects there are, their bytes together, and the size of the smallest and the largest."""

    objects: int
    bytes: int
    smallest: int
    largest: int


class VersionPage(msgspec.Struct, frozen=True):
    """Versions (delete markers among them) and common prefixes.

    ``last_*`` name the item to go on after, where there is more.
    """

    versions: list[Version]
    prefixes: list[str]
    last_key: str | None
    last_version_id: str


class UploadPage(msgspec.Struct, frozen=True):
    """Uploads that are under way, by key and age, and common prefixes."""

    uploads: list[Upload]
    prefixes: list[str]
    last_key: str | None
    last_id: str


def _bounds(prefix: bytes, after: bytes, delimiter: bytes) -> tuple[bytes, bytes]:
    """The open interval of keys to look at: after the marker, under the prefix.

    A marker that is itself a common prefix stands for its whole group.
    """
    if _is_group(after, prefix, delimiter):
        after += END
    # The smallest key that has the prefix is the prefix itself, so begin just before it.
    start = after if after >= prefix and after else prefix[:-1] + _before(prefix[-1:]) if prefix else b""
    return start, prefix + END


def _is_group(after: bytes, prefix: bytes, delimiter: bytes) -> bool:
    """Whether a marker is a common prefix: it ends where the delimiter first comes after the listing's prefix."""
    if not delimiter or not after.startswith(prefix):
        return False
    return after.find(delimiter, len(prefix)) == len(after) - len(delimiter) >= len(prefix)


def _is_within(after: bytes, prefix: bytes, delimiter: bytes) -> bool:
    """Whether a page may go on within the marker's key: it is one that the listing shows."""
    return after.startswith(prefix) and not _is_group(after, prefix, delimiter)


def _before(byte: bytes) -> bytes:
    """What comes just before everything that begins with ``byte``."""
    return bytes([byte[0] - 1]) + END * 2 if byte[0] else b""


def keys(tx: Reader, bucket: Bucket, *, prefix: str, delimiter: str, after: str, limit: int) -> Page:
    """A page of a bucket's live objects with at most ``limit`` items, after the key or common prefix ``after``."""
    head, cut = prefix.encode(), delimiter.encode()
    position, end = _bounds(head, after.encode(), cut)
    if bucket.layers:
        return _keys_of_state(tx, bucket.layers, (head, cut), (position, end), limit)
    entries: list[Entry] = []
    prefixes: list[str] = []
    last = ""
    room = limit
    more = False
    while not more:
        group = None
        for key, size, etag, modified, storage_class in tx.rows(_KEYS, (bucket.log, position, end)):
            if cut and key.find(cut, len(head)) >= 0:
                group = key
                break
            if not room:
                more = True
                break
            room -= 1
            position = key
            last = key.decode()
            entries.append(Entry(last, size, etag, modified, storage_class or STANDARD))
        if more or group is None:
            break
        for (common,) in tx.rows(_PREFIXES, (bucket.log, position, end, len(head), cut, len(cut))):
            if not room:
                more = True
                break
            room -= 1
            position = common + END
            last = common.decode()
            prefixes.append(last)
    return Page(entries, prefixes, last if more else None)


def _keys_of_state(
    tx: Reader, layers: Sequence[Layer], names: tuple[bytes, bytes], bounds: tuple[bytes, bytes], limit: int
) -> Page:
    """As ``keys``, for a prefix and delimiter, between two keys: reads what is hidden too, but not within a group."""
    (head, cut), (position, end) = names, bounds
    entries: list[Entry] = []
    prefixes: list[str] = []
    last = ""
    while True:
        group = None
        for row in states.objects(tx, layers, position, end, states.BRIEF):
            if len(entries) + len(prefixes) == limit:
                return Page(entries, prefixes, last)
            at = row[0].find(cut, len(head)) if cut else -1
            if at >= 0:
                group = row[0][: at + len(cut)]
                break
            key, size, etag, modified, storage_class = row[:5]
            last = key.decode()
            entries.append(Entry(last, size, etag, modified, storage_class or STANDARD))
        if group is None:
            return Page(entries, prefixes, None)
        position = group + END
        last = group.decode()
        prefixes.append(last)


def details(tx: Reader, bucket: Bucket, page: Page) -> list[Details]:
    """More of a page's objects than ``keys`` tells, read in the same transaction."""
    if not page.entries:
        return []
    if page.prefixes or bucket.layers:
        return details_of(tx, bucket, (entry.key for entry in page.entries))
    # Then nothing lies between them.
    ends = page.entries[0].key.encode(), page.entries[-1].key.encode()
    found = list(tx.rows(_DETAILS + "BETWEEN ? AND ? ORDER BY key", (bucket.log, *ends)))
    return [_detail(tx, bucket, row) for row in found]


def details_of(tx: Reader, bucket: Bucket, names: Iterable[str]) -> list[Details]:
    """All that is known of the live objects of these names; those that are none are left out."""
    if bucket.layers:
        rows_there = [states.live(tx, bucket.layers, name.encode()) for name in names]
        return [_detail(tx, bucket, (*row, None)) for row in rows_there if row is not None]
    found = [row for name in names for row in tx.rows(_DETAILS + "= ?", (bucket.log, name.encode()))]
    return [_detail(tx, bucket, row) for row in found]


def _detail(tx: Reader, bucket: Bucket, row: Row) -> Details:
    null_id = "" if bucket.versioning is Versioning.OFF else NULL_VERSION
    version, folders = rows.version(row, is_latest=True, null_id=null_id), row[-1]
    if folders is not None:
        return Details(version, folders, folders.bit_count())
    where = whereabouts(tx, version.blob or 0)
    return Details(version, where.folders, where.copies)


def sizes(tx: Reader, bucket: Bucket, prefix: str) -> Sizes:
    """The sizes of a bucket's live objects under a prefix. Reads all of them."""
    if bucket.layers:
        found = [row[3] for row in states.objects(tx, bucket.layers, *_bounds(prefix.encode(), b"", b""))]
        return Sizes(len(found), sum(found), min(found, default=0), max(found, default=0))
    row = tx.one(_SIZES, (bucket.log, *_bounds(prefix.encode(), b"", b"")))
    return Sizes(0, 0, 0, 0) if row is None else Sizes(*row)


def versions(
    tx: Reader, bucket: Bucket, *, prefix: str, delimiter: str, after: str, after_version: str, limit: int
) -> VersionPage:
    """A page of all versions and delete markers: by key, newest first.

    ``after`` is the key to go on after, or within: from the version after ``after_version`` on where that is given.
    """
    head, cut = prefix.encode(), delimiter.encode()
    position, end = _bounds(head, after.encode(), cut)
    found: list[Version] = []
    prefixes: list[str] = []
    last: tuple[str, str] = ("", "")
    newest_seen: bytes | None = None
    pending: Iterator[Row] = iter(())
    if after and after_version and _is_within(after.encode(), head, cut):
        pending, has_newer = _rest_of_key(tx, bucket, after.encode(), after_version)
        newest_seen = after.encode() if has_newer else None
    while True:
        group = None
        for row in _chain(pending, _all_versions(tx, bucket, position, end)):
            key = row[0]
            at = key.find(cut, len(head)) if cut else -1
            if len(found) + len(prefixes) == limit:
                return VersionPage(found, prefixes, *last)
            if at >= 0:
                group = key[: at + len(cut)]
                break
            version = rows.version(row, is_latest=key != newest_seen)
            newest_seen = key
            found.append(version)
            last = (version.key, version.version_id)
        if group is None:
            return VersionPage(found, prefixes, None, "")
        pending = iter(())
        position = group + END
        prefixes.append(group.decode())
        last = (group.decode(), "")


def _chain(first: Iterator[Row], second: Iterator[Row]) -> Iterator[Row]:
    yield from first
    yield from second


def _all_versions(tx: Reader, bucket: Bucket, after: bytes, end: bytes) -> Iterator[Row]:
    """All versions of the keys between ``after`` and ``end``, both excluded."""
    return _merged(tx, bucket, "key > ? AND key < ?", (after, end))


def _merged(tx: Reader, bucket: Bucket, condition: str, parameters: Sequence[Value]) -> Iterator[Row]:
    """Rows of head and history together. Head's row of a key is newer than history's."""
    if bucket.layers:
        return states.history(tx, bucket.layers, condition, parameters)
    head, history = (
        tx.rows(
            f"SELECT {rows.VERSION_COLUMNS} FROM {table} WHERE log = ? AND {condition} ORDER BY {order}",
            (bucket.log, *parameters),
        )
        for table, order in (("head", "key"), ("history", "key, seq DESC"))
    )
    return heapq.merge(head, history, key=lambda row: (row[0], -row[1]))


def _rest_of_key(tx: Reader, bucket: Bucket, key: bytes, after_version: str) -> tuple[Iterator[Row], bool]:
    """The versions of one key that are older than the named one, and whether there is one that is not.

    The named one may be gone, and what was older may be the newest by now. A null version that is gone does not say how
    old it was: then it is all of them, as one that is shown twice does less harm than one that is missed.
    """
    seq = rows.seq_of(after_version)
    if after_version == NULL_VERSION:
        null = "SELECT seq FROM {} WHERE log = ? AND key = ? AND version_id IS NULL"
        found = [tx.one(null.format(table), (bucket.log, key)) for table in ("head", "history")]
        seq = next((row[0] for row in found if row is not None), None)
    if seq is None:
        return _merged(tx, bucket, "key = ?", (key,)), False
    older = _merged(tx, bucket, "key = ? AND seq < ?", (key, seq))
    return older, next(_merged(tx, bucket, "key = ? AND seq >= ?", (key, seq)), None) is not None


def uploads(
    tx: Reader, bucket: Bucket, *, prefix: str, delimiter: str, after: str, after_id: str, limit: int
) -> UploadPage:
    """A page of the multipart uploads that are under way: by key, then in the order in which they were started."""
    head, cut = prefix.encode(), delimiter.encode()
    position, end = _bounds(head, after.encode(), cut)
    found: list[Upload] = []
    prefixes: list[str] = []
    last: tuple[str, str] = ("", "")
    inside = after.encode() if after and after_id and _is_within(after.encode(), head, cut) else None
    while True:
        group = None
        for row in _open_uploads(tx, bucket, position, end, inside, after_id):
            key = row[2]
            at = key.find(cut, len(head)) if cut else -1
            if len(found) + len(prefixes) == limit:
                return UploadPage(found, prefixes, *last)
            if at >= 0:
                group = key[: at + len(cut)]
                break
            upload = rows.upload(row)
            found.append(upload)
            last = (upload.key, upload.id)
        if group is None:
            return UploadPage(found, prefixes, None, "")
        inside = None
        position = group + END
        prefixes.append(group.decode())
        last = (group.decode(), "")


def _open_uploads(
    tx: Reader, bucket: Bucket, after: bytes, end: bytes, inside: bytes | None, after_id: str
) -> Iterator[Row]:
    sql = f"SELECT {rows.UPLOAD_COLUMNS} FROM uploads WHERE bucket = ? AND completed IS NULL AND "
    if inside is not None:
        yield from tx.rows(sql + "key = ? AND id > ? ORDER BY id", (bucket.id, inside, after_id))
    yield from tx.rows(sql + "key > ? AND key < ? ORDER BY key, id", (bucket.id, after, end))
