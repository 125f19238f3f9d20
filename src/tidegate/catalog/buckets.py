"""Buckets: names of logs."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate import errors
from tidegate.catalog import rows
from tidegate.catalog.abc import Reader, Row, Transaction
from tidegate.model import Bucket, Versioning

_COLUMNS = "id, provider, namespace, name, log, owner, created, versioning, region, tags"

AIS = "ais"


def _bucket(row: Row) -> Bucket:
    number, provider, namespace, name, log, owner, created, versioning, region, tags = row
    return Bucket(
        number, provider, namespace, name, log, owner, created, Versioning(versioning), region,
        None if tags is None else rows.unpack_map(tags),
    )  # fmt: skip


def get(tx: Reader, name: str) -> Bucket:
    """The bucket of that name. Raises ``NoSuchBucket``."""
    row = tx.one(f"SELECT {_COLUMNS} FROM buckets WHERE name = ?", (name,))
    if row is None:
        raise errors.NoSuchBucket(BucketName=name)
    return _bucket(row)


def page(tx: Reader, *, owner: str | None, prefix: str, after: str, limit: int) -> list[Bucket]:
    """Buckets in order of their names, of one owner or of all (None)."""
    sql = f"SELECT {_COLUMNS} FROM buckets WHERE name > ? AND name >= ?"
    parameters: list[str | int] = [after, prefix]
    if owner is not None:
        sql += " AND owner = ?"
        parameters.append(owner)
    found: list[Bucket] = []
    for row in tx.rows(sql + " ORDER BY name", parameters):
        if not row[3].startswith(prefix) or len(found) == limit:
            break
        found.append(_bucket(row))
    return found


def create(
    tx: Transaction, name: str, owner: str, region: str, now: int, tags: Mapping[str, str] | None = None
) -> Bucket:
    """Makes a bucket with an empty log. Raises ``BucketAlreadyOwnedByYou`` or ``BucketAlreadyExists``."""
    row = tx.one("SELECT owner FROM buckets WHERE name = ?", (name,))
    if row is not None:
        raise (
            errors.BucketAlreadyOwnedByYou(BucketName=name)
            if row[0] == owner
            else errors.BucketAlreadyExists(BucketName=name)
        )
    bucket = Bucket(tx.sequence(), AIS, "", name, tx.sequence(), owner, now, Versioning.OFF, region, tags or None)
    tx.touch_names()
    tx.execute("INSERT INTO logs (id) VALUES (?)", (bucket.log,))
    tx.execute(
        f"INSERT INTO buckets ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (bucket.id, AIS, "", name, bucket.log, owner, now, bucket.versioning, region, rows.pack_map(tags)),
    )
    return bucket


def delete(tx: Transaction, bucket: Bucket) -> None:
    """Removes a bucket that has no version. Raises ``BucketNotEmpty``.

    As in S3, uploads that are under way do not keep a bucket alive: they can no longer be reached, and
    ``uploads.abandon`` sweeps them up.
    """
    for table in ("head", "history"):
        if tx.one(f"SELECT 1 FROM {table} WHERE log = ? LIMIT 1", (bucket.log,)) is not None:
            raise errors.BucketNotEmpty(BucketName=bucket.name)
    tx.touch_names()
    tx.execute("DELETE FROM logs WHERE id = ?", (bucket.log,))
    tx.execute("DELETE FROM buckets WHERE id = ?", (bucket.id,))


def set_versioning(tx: Transaction, bucket: Bucket, versioning: Versioning) -> None:
    """Says how the bucket's log is kept from now on."""
    tx.touch_names()
    tx.execute("UPDATE buckets SET versioning = ? WHERE id = ?", (versioning, bucket.id))


def set_tags(tx: Transaction, bucket: Bucket, tags: Mapping[str, str] | None) -> None:
    """Replaces the bucket's tags."""
    tx.touch_names()
    tx.execute("UPDATE buckets SET tags = ? WHERE id = ?", (rows.pack_map(tags), bucket.id))


def totals(tx: Reader) -> tuple[int, int, int]:
    """The number of buckets, of live objects, and of the live objects' bytes, in the whole catalog."""
    row = tx.one("SELECT (SELECT count(*) FROM buckets), coalesce(sum(objects), 0), coalesce(sum(bytes), 0) FROM logs")
    return (0, 0, 0) if row is None else row
