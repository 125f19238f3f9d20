"""Objects of other providers on their way here: in aligned chunks, each read once and kept under a lease.

A *partial* begins as an *opening*: somebody asks the remote for the object, and others wait for what it says. Then its
chunks are filled, by whoever leases them, in any order. When none is missing the object takes its place in ``head``,
and the partial goes. So what is in head is complete, and a chunk that is not filled is never read.

A partial is of one state of the remote's object. Whoever changes the object drops it (``keep``, ``forget``); who was
filling a chunk of it finds that out when they come to commit, for another partial has another number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tidegate import errors
from tidegate.catalog import blobs, buckets, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.blobs import Composed, Content, Range
from tidegate.catalog.versions import Draft
from tidegate.model import Bucket, Version

# What is read, leased and kept as one. Small enough that a range costs little, large enough that an object of 100 GB
# has some ten thousand.
CHUNK: Final = 8 * 1024 * 1024
# The number of a chunk that no object has.
NO_END: Final = 2**63 // CHUNK


class Lease(msgspec.Struct, frozen=True):
    """Who wants to hold something until when, and which leases are over: those that end at ``over`` or before.

    Times are microseconds since the epoch.
    """

    owner: bytes
    until: int
    over: int


class Partial(msgspec.Struct, frozen=True):
    """An object that is not all here. ``remote`` is what the remote said of it, None for an opening.

    ``until`` is when somebody will be given up who asks the remote, or who makes an object of what is complete.
    """

    id: int
    size: int
    etag: str
    missing: int
    remote: bytes | None
    until: int | None

    def is_opened_by_another(self, over: int) -> bool:
        """Whether somebody is asking the remote for it."""
        return self.remote is None and (self.until or 0) > over

    def is_left_complete(self, over: int) -> bool:
        """Whether nothing is missing, and nobody makes an object of it."""
        return self.remote is not None and not self.missing and (self.until or 0) <= over


class Grant(msgspec.Struct, frozen=True):
    """What may be filled: the chunks from ``first`` to before ``stop``, of which the first two at most are leased."""

    partial: int
    first: int
    stop: int


class Filled(msgspec.Struct, frozen=True):
    """What a filled chunk leaves to do: how many chunks are missing, and whether the one wanted next is leased."""

    missing: int
    is_leased: bool


def count(size: int) -> int:
    """How many chunks an object has."""
    return -(-size // CHUNK)


def chunk_size(size: int, number: int) -> int:
    """The bytes of one of its chunks."""
    return min(CHUNK, size - number * CHUNK)


# --- what is there ---------------------------------------------------------------------------------------------------


def find(tx: Reader, log: int, key: str) -> Partial | None:
    """What is here of an object that is not in head."""
    row = tx.one(
        "SELECT id, size, etag, missing, remote, until FROM partials WHERE log = ? AND key = ?", (log, key.encode())
    )
    return None if row is None else Partial(*row)


def chunk(tx: Reader, partial: int, number: int, over: int) -> tuple[int | None, bool]:
    """The blob of a chunk that is here, and of any other whether somebody is filling it."""
    row = tx.one("SELECT blob, until FROM fills WHERE partial = ? AND number = ?", (partial, number))
    if row is None:
        return None, False
    return row[0], row[0] is None and row[1] > over


def is_being_filled(tx: Reader, partial: int, over: int) -> bool:
    """Whether somebody is filling any chunk."""
    return tx.one("SELECT 1 FROM fills WHERE partial = ? AND blob IS NULL AND until > ?", (partial, over)) is not None


def state(tx: Reader, log: int, key: str) -> object:
    """Something that is equal as long as nothing has changed for who waits for a chunk of an object."""
    name = (log, key.encode())
    return (
        tx.one("SELECT seq FROM head WHERE log = ? AND key = ?", name),
        tx.one("SELECT id, missing, owner FROM partials WHERE log = ? AND key = ?", name),
        tx.one(
            """SELECT group_concat(f.number) FROM partials p JOIN fills f ON f.partial = p.id AND f.blob IS NULL
               WHERE p.log = ? AND p.key = ?""",
            name,
        ),
    )


# --- leases ----------------------------------------------------------------------------------------------------------


def open_partial(tx: Transaction, bucket: Bucket, key: str, lease: Lease, now: int) -> int | None:
    """Begins to ask the remote for an object of which nothing is here. The partial's number; None where somebody was
    faster. What is stuck makes room. Raises ``NoSuchBucket`` where the log is not the bucket's any more.
    """
    if not _is_still(tx, bucket):
        raise errors.NoSuchBucket(BucketName=bucket.name)
    name = (bucket.log, key.encode())
    known = find(tx, bucket.log, key)
    if known is not None:
        if known.is_opened_by_another(lease.over):
            return None
        if known.remote is not None and not _is_stuck(tx, known, lease.over):
            return None
        drop(tx, known.id, now)
    if tx.one("SELECT 1 FROM head WHERE log = ? AND key = ?", name) is not None:
        return None
    partial = tx.sequence()
    tx.execute(
        "INSERT INTO partials (id, log, key, used, owner, until) VALUES (?, ?, ?, ?, ?, ?)",
        (partial, *name, now, lease.owner, lease.until),
    )
    return partial


def describe(tx: Transaction, opening: Grant, lease: Lease, size: int, etag: str, remote: bytes) -> bool:
    """Takes down what the remote has answered, and leases the first chunk of the grant, with the next one. False where
    the opening was taken away.
    """
    partial, first = opening.partial, opening.first
    if not _is_opened_by(tx, partial, lease.owner):
        return False
    tx.execute(
        "UPDATE partials SET size = ?, etag = ?, missing = ?, remote = ?, owner = NULL, until = NULL WHERE id = ?",
        (size, etag, count(size), remote, partial),
    )
    for number in range(first, min(first + 2, opening.stop)):
        _lease(tx, partial, number, lease)
    return True


def lease_chunks(tx: Transaction, partial: int, first: int, stop: int, lease: Lease) -> Grant | None:
    """Leases a chunk and the next one. ``stop`` is the end of what is wanted; what is granted ends earlier where a
    chunk is here or being filled. None where that is the first, or the partial is gone.
    """
    if tx.one("SELECT 1 FROM partials WHERE id = ? AND remote IS NOT NULL", (partial,)) is None:
        return None
    taken = tx.one(
        """SELECT number FROM fills WHERE partial = ? AND number >= ? AND (blob IS NOT NULL OR until > ?)
           ORDER BY number LIMIT 1""",
        (partial, first, lease.over),
    )
    stop = stop if taken is None else min(stop, taken[0])
    if stop <= first:
        return None
    for number in range(first, min(first + 2, stop)):
        _lease(tx, partial, number, lease)
    return Grant(partial, first, stop)


def _lease(tx: Transaction, partial: int, number: int, lease: Lease) -> bool:
    if tx.one(
        "SELECT 1 FROM fills WHERE partial = ? AND number = ? AND (blob IS NOT NULL OR until > ?)",
        (partial, number, lease.over),
    ):
        return False
    tx.execute(
        "INSERT OR REPLACE INTO fills (partial, number, owner, until) VALUES (?, ?, ?, ?)",
        (partial, number, lease.owner, lease.until),
    )
    return True


def renew(tx: Transaction, leases: Iterable[tuple[int, bytes]], until: int) -> None:
    """Makes leases count for longer: all that each owner has of a partial."""
    for partial, owner in leases:
        tx.execute("UPDATE partials SET until = ? WHERE id = ? AND owner = ?", (until, partial, owner))
        tx.execute(
            "UPDATE fills SET until = ? WHERE partial = ? AND blob IS NULL AND owner = ?", (until, partial, owner)
        )


def give_up(tx: Transaction, partial: int, owner: bytes, now: int) -> None:
    """Ends an owner's leases of a partial. A partial that has nothing, or that nobody can go on with, goes."""
    row = tx.one("SELECT owner, remote IS NULL, etag, missing FROM partials WHERE id = ?", (partial,))
    if row is None:
        return
    is_mine, is_opening, etag, missing = row[0] == owner, *row[1:]
    if (is_mine and is_opening) or (not is_opening and not etag and missing):
        drop(tx, partial, now)
        return
    if is_mine:
        tx.execute("UPDATE partials SET owner = NULL, until = NULL WHERE id = ?", (partial,))
    tx.execute("DELETE FROM fills WHERE partial = ? AND blob IS NULL AND owner = ?", (partial, owner))
    if tx.one("SELECT 1 FROM fills WHERE partial = ? LIMIT 1", (partial,)) is None:
        tx.execute("DELETE FROM partials WHERE id = ? AND remote IS NOT NULL AND missing > 0", (partial,))


def _is_stuck(tx: Reader, partial: Partial, over: int) -> bool:
    """Whether nobody can go on: without an ETag nothing proves that the rest belongs to what is here."""
    return not partial.etag and partial.missing > 0 and not is_being_filled(tx, partial.id, over)


def _is_opened_by(tx: Reader, partial: int, owner: bytes) -> bool:
    sql = "SELECT 1 FROM partials WHERE id = ? AND owner = ? AND remote IS NULL"
    return tx.one(sql, (partial, owner)) is not None


def _is_leased_by(tx: Reader, partial: int, number: int, owner: bytes) -> bool:
    row = tx.one("SELECT owner FROM fills WHERE partial = ? AND number = ? AND blob IS NULL", (partial, number))
    return row is not None and row[0] == owner


# --- what has arrived ------------------------------------------------------------------------------------------------


def fill(
    tx: Transaction, partial: int, number: int, content: Content, lease: Lease, ahead: int | None, now: int
) -> Filled | None:
    """Keeps a chunk, and leases the one ``ahead``. None, with nothing written, where the lease was taken away."""
    if not _is_leased_by(tx, partial, number, lease.owner):
        return None
    blob = blobs.add(tx, content)
    tx.execute(
        "UPDATE fills SET blob = ?, owner = NULL, until = NULL WHERE partial = ? AND number = ?",
        (blob, partial, number),
    )
    tx.execute("UPDATE partials SET missing = missing - 1, used = ? WHERE id = ?", (now, partial))
    row = tx.one("SELECT missing FROM partials WHERE id = ?", (partial,))
    missing = 0 if row is None else row[0]
    if not missing:  # whoever fills the last one makes an object of them
        tx.execute("UPDATE partials SET owner = ?, until = ? WHERE id = ?", (lease.owner, lease.until, partial))
    return Filled(missing, ahead is not None and _lease(tx, partial, ahead, lease))


def complete(tx: Transaction, partial: int, bucket: Bucket, draft: Draft, now: int) -> Version | None:
    """Makes an object of a partial of which nothing is missing. None where it is gone, or something is missing.

    The draft's content is not looked at.
    """
    row = tx.one("SELECT key, size FROM partials WHERE id = ? AND remote IS NOT NULL AND missing = 0", (partial,))
    if row is None or not _is_still(tx, bucket):
        return None
    key, size = row
    numbered = tx.rows("SELECT number, blob FROM fills WHERE partial = ? ORDER BY number", (partial,))
    ranges = [Range(blob, 0, chunk_size(size, number)) for number, blob in numbered]
    return keep(tx, bucket, key.decode(), msgspec.structs.replace(draft, content=Composed(ranges)), now)


def keep_opened(
    tx: Transaction, partial: int, bucket: Bucket, key: str, draft: Draft, owner: bytes, now: int
) -> Version | None:
    """Makes an object of an opening, all at once. None, with nothing written, where the opening was taken away."""
    if not _is_opened_by(tx, partial, owner) or not _is_still(tx, bucket):
        return None
    return keep(tx, bucket, key, draft, now)


def _is_still(tx: Transaction, bucket: Bucket) -> bool:
    """Whether a bucket is there, and kept by the same provider."""
    current = tx.recall(("bucket of log", bucket.log), buckets.of_log, bucket.log)
    return current is not None and current.properties.backend_bck == bucket.properties.backend_bck


def keep(tx: Transaction, bucket: Bucket, key: str, draft: Draft, now: int) -> Version:
    """Makes a draft the object that is cached under a key, in place of all that was here of it.

    What it replaces becomes garbage ``now``: the time in the draft is the remote's, and may be long ago.
    """
    versions.delete(tx, bucket, key, now)
    version = versions.put(tx, bucket, key, draft)
    versions.touch(tx, [(bucket.log, key, version.seq, now)])
    drop_partial(tx, bucket.log, key, now)
    return version


# --- what goes -------------------------------------------------------------------------------------------------------


def forget(tx: Transaction, bucket: Bucket, key: str, now: int) -> None:
    """Drops all that is here of an object."""
    versions.delete(tx, bucket, key, now)
    drop_partial(tx, bucket.log, key, now)


def drop_partial(tx: Transaction, log: int, key: str, now: int) -> None:
    """Drops what is here of an object that is not in head."""
    row = tx.one("SELECT id FROM partials WHERE log = ? AND key = ?", (log, key.encode()))
    if row is not None:
        drop(tx, row[0], now)


def drop(tx: Transaction, partial: int, now: int) -> None:
    """Drops a partial."""
    for (blob,) in list(tx.rows("SELECT blob FROM fills WHERE partial = ? AND blob IS NOT NULL", (partial,))):
        blobs.release(tx, blob, now, is_handed_over=True)  # to the object of the same bucket, if to anybody
    tx.execute("DELETE FROM fills WHERE partial = ?", (partial,))
    tx.execute("DELETE FROM partials WHERE id = ?", (partial,))


def first_of_log(tx: Reader, log: int, limit: int) -> Sequence[int]:
    """Some partials of a log."""
    return [each for (each,) in tx.rows("SELECT id FROM partials WHERE log = ? LIMIT ?", (log, limit))]


def sweep(tx: Transaction, over: int, limit: int, now: int) -> int:
    """Drops up to so many openings that were given up at ``over`` or before, and partials of logs that are gone.

    Returns how many.
    """
    gone = list(
        tx.rows(
            """SELECT id FROM partials WHERE remote IS NULL AND until <= ?1
               UNION SELECT id FROM partials WHERE log NOT IN (SELECT id FROM logs) LIMIT ?2""",
            (over, limit),
        )
    )
    for (partial,) in gone:
        drop(tx, partial, now)
    return len(gone)
