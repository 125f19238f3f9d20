"""What is cached of other providers' buckets, to be evicted: by key, or what was not read for the longest time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tidegate import errors
from tidegate.catalog import buckets, fills, listing, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.blobs import Kind
from tidegate.model import Bucket


class Evicted(msgspec.Struct, frozen=True):
    """What was here of an object: bytes, and the blobs that were let go of."""

    size: int
    blobs: int


class Candidate(msgspec.Struct, frozen=True):
    """Something that may be evicted: an object by its number in the log, or a partial by its own."""

    is_partial: bool
    used: int
    log: int
    key: bytes
    number: int


# --- by key ----------------------------------------------------------------------------------------------------------


def cached_keys(tx: Reader, bucket: Bucket, prefix: str, after: str, limit: int) -> Sequence[str]:
    """Up to ``limit`` keys of which anything is here, in order, after a key."""
    page = listing.keys(tx, bucket, prefix=prefix, delimiter="", after=after, limit=limit)
    keys = {entry.key.encode() for entry in page.entries}
    start = prefix.encode()
    arriving = tx.rows(
        "SELECT key FROM partials WHERE log = ? AND key > ? AND key >= ? ORDER BY key LIMIT ?",
        (bucket.log, after.encode(), start, limit),
    )
    keys |= {key for (key,) in arriving if key.startswith(start)}
    return [key.decode() for key in sorted(keys)[:limit]]


def evict(tx: Transaction, bucket: Bucket, key: str, now: int) -> Evicted | None:
    """Forgets what is here of an object of a bucket that another provider keeps. None where that is nothing."""
    if not bucket.is_elsewhere:
        raise ValueError(bucket.identity.uri)  # what is in it is nowhere else
    try:
        found = Evicted(versions.get(tx, bucket, key).size, 1)
    except errors.NoSuchKey:
        arriving = fills.find(tx, bucket.log, key)
        if arriving is None:
            return None
        chunks = 0 if arriving.remote is None else fills.count(arriving.size) - arriving.missing
        found = Evicted(min(arriving.size, chunks * fills.CHUNK), chunks)
    fills.forget(tx, bucket, key, now)
    return found


# --- by time ---------------------------------------------------------------------------------------------------------


def least_used(reader: Reader, before: Mapping[int, int]) -> Iterator[Candidate]:
    """What is here in logs and was last used before a time, by log; what was not used for the longest time first.

    Reads and sorts all of that: for ``Driver.snapshot``.
    """
    rows = reader.rows(
        """WITH wanted (log, before) AS (
               SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))
           SELECT 0, coalesce(h.accessed, h.modified) AS used, h.log, h.key, h.seq
           FROM wanted w CROSS JOIN head h ON h.log = w.log WHERE coalesce(h.accessed, h.modified) < w.before
           UNION ALL
           SELECT 1, p.used, p.log, p.key, p.id
           FROM wanted w CROSS JOIN partials p ON p.log = w.log WHERE p.used < w.before
           ORDER BY 2""",
        (json.dumps(list(before.items())),),
    )
    for is_partial, used, log, key, number in rows:
        yield Candidate(bool(is_partial), used, log, key, number)


def evict_candidate(tx: Transaction, candidate: Candidate, folders: int, over: int, now: int) -> Evicted | None:
    """Forgets a candidate that frees room in one of these folders. Returns the bytes that it does.

    None where it does not, where it was used meanwhile, or where nobody else keeps it any more.
    """
    bucket = buckets.of_log(tx, candidate.log)
    if bucket is None or not bucket.is_elsewhere or not bucket.properties.lru.enabled:
        return None
    if candidate.is_partial:
        same = "SELECT 1 FROM partials WHERE id = ? AND used = ?"
        if tx.one(same, (candidate.number, candidate.used)) is None:
            return None
        if fills.is_being_filled(tx, candidate.number, over):
            return None
        sql = "SELECT blob FROM fills WHERE partial = ? AND blob IS NOT NULL"
        blobs = [blob for (blob,) in tx.rows(sql, (candidate.number,))]
    else:
        same = "SELECT blob FROM head WHERE log = ? AND key = ? AND seq = ? AND coalesce(accessed, modified) = ?"
        row = tx.one(same, (candidate.log, candidate.key, candidate.number, candidate.used))
        if row is None:
            return None
        blobs = [row[0]]
    size = sum(_room_of(tx, blob, folders) for blob in blobs)
    if not size:
        return None
    fills.forget(tx, bucket, candidate.key.decode(), now)
    return Evicted(size, len(blobs))


def _room_of(tx: Reader, blob: int, folders: int) -> int:
    """The bytes in folders that go when somebody lets go of a blob: none of what others refer to."""
    row = tx.one("SELECT kind, size, refs, folders FROM blobs WHERE id = ?", (blob,))
    if row is None or row[2] > 1:
        return 0
    kind, size, _, kept_in = row
    if kind == Kind.COMPOSED:
        sources = tx.one(
            """SELECT coalesce(sum(size), 0) FROM blobs WHERE refs = 1 AND folders & ?2 AND id IN (
                   SELECT source FROM blob_parts WHERE blob = ?1)""",
            (blob, folders),
        )
        return 0 if sources is None else int(sources[0])
    return int(size) if kept_in & folders else 0


def waiting_to_go(tx: Reader, folders: int) -> int:
    """The bytes in folders of garbage that is not collected yet."""
    files = tx.one(
        """SELECT coalesce(sum(b.size), 0) FROM garbage g JOIN blobs b ON b.id = g.blob
           WHERE b.kind = ? AND b.folders & ?""",
        (Kind.FILE, folders),
    )
    sources = tx.one(
        """SELECT coalesce(sum(s.size), 0) FROM blobs s WHERE s.refs = 1 AND s.folders & ?2 AND s.id IN (
               SELECT p.source FROM garbage g JOIN blobs b ON b.id = g.blob AND b.kind = ?1
               JOIN blob_parts p ON p.blob = b.id)""",
        (Kind.COMPOSED, folders),
    )
    return sum(int(row[0]) for row in (files, sources) if row is not None)
