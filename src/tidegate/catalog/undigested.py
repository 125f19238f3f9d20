"""Objects that nobody has computed their bucket's checksum of yet: those that are composed of others."""

from __future__ import annotations

import msgspec

from tidegate.catalog import buckets, rows, versions
from tidegate.catalog.abc import Reader, Row, Transaction
from tidegate.catalog.blobs import Kind
from tidegate.catalog.versions import NO_CHECKSUM, Stored
from tidegate.model import Bucket


class Undigested(msgspec.Struct, frozen=True):
    """A version without its bucket's checksum, and where its bytes are."""

    id: int
    bucket: Bucket
    stored: Stored


def add(tx: Transaction, log: int, key: bytes, seq: int) -> None:
    """Takes down a version whose checksum is to be computed."""
    tx.execute("INSERT INTO undigested (id, log, key, seq) VALUES (?, ?, ?, ?)", (tx.sequence(), log, key, seq))


def after(tx: Reader, task: int, limit: int) -> list[int]:
    """The numbers under which such versions were taken down, the oldest first."""
    return [each for (each,) in tx.rows("SELECT id FROM undigested WHERE id > ? ORDER BY id LIMIT ?", (task, limit))]


def find(tx: Reader, task: int) -> Undigested | None:
    """The version; None where it is gone, has its checksum, or needs none."""
    row = tx.one("SELECT log, key, seq FROM undigested WHERE id = ?", (task,))
    if row is None:
        return None
    log, key, seq = row
    bucket = buckets.of_log(tx, log)
    found = _version(tx, log, key, seq)
    if bucket is None or found is None or bucket.properties.checksum.type == NO_CHECKSUM:
        return None
    version = rows.version(found, is_latest=True)
    blob = tx.one(
        """SELECT b.kind, b.file, b.digest, s.data, b.folders FROM blobs b LEFT JOIN small_blobs s ON s.id = b.id
           WHERE b.id = ?""",
        (version.blob,),
    )
    if blob is None or blob[0] == Kind.REFERENCE:
        return None
    kind, *rest = blob
    return Undigested(task, bucket, Stored(version, Kind(kind), *rest))


def _version(tx: Reader, log: int, key: bytes, seq: int) -> Row | None:
    for table in ("head", "history"):
        row = tx.one(
            f"SELECT {rows.VERSION_COLUMNS} FROM {table} WHERE log = ? AND key = ? AND seq = ? AND blob IS NOT NULL",
            (log, key, seq),
        )
        if row is not None:
            return row
    return None


def settle(tx: Transaction, task: int, digest: tuple[str, str]) -> bool:
    """Stores a checksum. Returns False where the bucket has come to ask for another type meanwhile."""
    found = find(tx, task)
    if found is not None:
        if found.bucket.properties.checksum.type != digest[0]:
            return False
        version = found.stored.version
        attributes = msgspec.structs.replace(version.attributes, digest=digest)
        versions.set_attributes(tx, found.bucket, version.key, version, attributes)
    drop(tx, task)
    return True


def drop(tx: Transaction, task: int) -> None:
    """Gives a version up."""
    tx.execute("DELETE FROM undigested WHERE id = ?", (task,))
