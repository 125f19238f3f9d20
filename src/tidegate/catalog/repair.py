"""Mends what ``check`` finds, as far as that loses nothing.

A problem was found in a snapshot that is past. So each repair looks again, inside its transaction, or is relative: what
was off by two is still off by two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tidegate.catalog import blobs, fills, rows, versions
from tidegate.catalog.abc import Transaction
from tidegate.catalog.blobs import Kind
from tidegate.catalog.check import Fault, Problem


def repair(tx: Transaction, problem: Problem, now: int) -> bool:
    """Mends a problem; False where it cannot be. ``now`` is in microseconds."""
    mend = _REPAIRS.get(problem.fault)
    return mend is not None and mend(tx, problem, now)


def _sequence(tx: Transaction, problem: Problem, _now: int) -> bool:
    tx.execute("UPDATE counters SET value = max(value, ?) WHERE name = 'sequence'", (problem.off_by,))
    return True


def _null_twice(tx: Transaction, problem: Problem, _now: int) -> bool:
    """The older null version gets an id of its own."""
    if problem.seq is None:
        return False
    tx.execute(
        "UPDATE history SET version_id = ? WHERE log = ? AND key = ? AND seq = ? AND version_id IS NULL",
        (rows.new_version_id(problem.seq), problem.log, problem.key, problem.seq),
    )
    return True


def _into_history(tx: Transaction, problem: Problem, _now: int) -> bool:
    """Puts a row of head where it belongs by its age; the newest version of the key, if an object, takes its place."""
    row = tx.one(
        f"SELECT {rows.VERSION_COLUMNS} FROM head WHERE log = ? AND key = ? AND seq = ?",
        (problem.log, problem.key, problem.seq),
    )
    if row is None or problem.log is None or problem.key is None:
        return True  # somebody has written or deleted the key since
    name = (problem.log, problem.key)
    if tx.one("SELECT 1 FROM history WHERE log = ? AND key = ? AND seq = ?", (*name, problem.seq)) is not None:
        return False  # two versions claim one place: nobody can say which is right
    if (
        row[2] is None
        and tx.one("SELECT 1 FROM history WHERE log = ? AND key = ? AND version_id IS NULL", name) is not None
    ):
        return False
    tx.execute("DELETE FROM head WHERE log = ? AND key = ?", name)
    tx.execute(versions.INSERT_HISTORY, (problem.log, *row))
    tx.count(problem.log, -1, -row[3])
    versions.promote(tx, *name)
    return True


def _promote(tx: Transaction, problem: Problem, _now: int) -> bool:
    if problem.log is not None and problem.key is not None:
        versions.promote(tx, problem.log, problem.key)
    return True


def _log_missing(tx: Transaction, problem: Problem, _now: int) -> bool:
    """Its counters come right by the check of counters."""
    tx.execute("INSERT OR IGNORE INTO logs (id) VALUES (?)", (problem.log,))
    return True


def _log_orphaned(tx: Transaction, problem: Problem, _now: int) -> bool:
    for table in ("head", "history"):
        if tx.one(f"SELECT 1 FROM {table} WHERE log = ? LIMIT 1", (problem.log,)) is not None:
            return False  # versions that somebody may miss
    tx.execute("DELETE FROM logs WHERE id = ? AND id NOT IN (SELECT log FROM buckets)", (problem.log,))
    return True


def _counters(tx: Transaction, problem: Problem, _now: int) -> bool:
    if problem.log is not None:
        tx.count(problem.log, problem.off_by, problem.bytes_off_by)
    return True


def _commit(tx: Transaction, problem: Problem, _now: int) -> bool:
    counts = "UPDATE commits SET objects = objects + ?, bytes = bytes + ? WHERE seq = ?"
    tx.execute(counts, (problem.off_by, problem.bytes_off_by, problem.seq))
    return True


def _commit_orphaned(tx: Transaction, problem: Problem, _now: int) -> bool:
    if tx.one("SELECT 1 FROM logs WHERE id = ?", (problem.log,)) is None:
        for table in ("commits", "changes", "rewrites"):
            tx.execute(f"DELETE FROM {table} WHERE log = ?", (problem.log,))
    return True


def _branch_orphaned(tx: Transaction, problem: Problem, _now: int) -> bool:
    """Its commits stay with the repository."""
    tx.execute(
        "DELETE FROM branches WHERE bucket = ? AND bucket NOT IN (SELECT id FROM buckets WHERE repo IS NOT NULL)",
        (problem.seq,),
    )
    return True


def _hook_orphaned(tx: Transaction, problem: Problem, _now: int) -> bool:
    """Its deliveries are forgotten in the background."""
    tx.execute("DELETE FROM hooks WHERE id = ? AND repo NOT IN (SELECT id FROM repos)", (problem.seq,))
    return True


def _ranges_orphaned(tx: Transaction, problem: Problem, now: int) -> bool:
    for (source,) in list(tx.rows("SELECT source FROM blob_parts WHERE blob = ?", (problem.blob,))):
        blobs.release(tx, source, now)
    tx.execute("DELETE FROM blob_parts WHERE blob = ?", (problem.blob,))
    return True


def _part_orphaned(tx: Transaction, problem: Problem, now: int) -> bool:
    name = (problem.upload, problem.part)
    row = tx.one("SELECT blob FROM upload_parts WHERE upload = ? AND number = ?", name)
    if row is not None:
        blobs.release(tx, row[0], now)
        tx.execute("DELETE FROM upload_parts WHERE upload = ? AND number = ?", name)
    return True


def _bytes_orphaned(tx: Transaction, problem: Problem, _now: int) -> bool:
    tx.execute("DELETE FROM small_blobs WHERE id = ?", (problem.blob,))
    return True


def _key_orphaned(tx: Transaction, problem: Problem, _now: int) -> bool:
    """It opens nothing, but would if somebody made a user of that name again."""
    tx.touch_names()
    tx.execute("DELETE FROM access_keys WHERE id = ? AND user NOT IN (SELECT name FROM users)", (problem.access_key,))
    return True


def _arriving(tx: Transaction, problem: Problem, now: int) -> bool:
    """What has arrived of another provider's object can be read again."""
    if problem.partial is not None:
        fills.drop(tx, problem.partial, now)
    return True


def _intent_orphaned(tx: Transaction, problem: Problem, _now: int) -> bool:
    tx.execute(
        "DELETE FROM intents WHERE log = ? AND key = ? AND log NOT IN (SELECT log FROM buckets)",
        (problem.log, problem.key),
    )
    return True


def _references(tx: Transaction, problem: Problem, now: int) -> bool:
    row = tx.one("SELECT refs, kind FROM blobs WHERE id = ?", (problem.blob,))
    if row is None or problem.blob is None:
        return True  # it has lost its last reference since
    refs, kind = max(row[0] + problem.off_by, 0), row[1]
    tx.execute("UPDATE blobs SET refs = ? WHERE id = ?", (refs, problem.blob))
    if refs:
        tx.execute("DELETE FROM garbage WHERE blob = ?", (problem.blob,))
    else:
        _discard(tx, problem.blob, kind, now)
    return True


def _garbage_missing(tx: Transaction, problem: Problem, now: int) -> bool:
    row = tx.one("SELECT kind FROM blobs WHERE id = ? AND refs <= 0", (problem.blob,))
    if row is not None and problem.blob is not None:
        _discard(tx, problem.blob, row[0], now)
    return True


def _discard(tx: Transaction, blob: int, kind: int, now: int) -> None:
    """As the last release does."""
    if kind == Kind.INLINE:
        tx.execute("DELETE FROM blobs WHERE id = ?", (blob,))
        tx.execute("DELETE FROM small_blobs WHERE id = ?", (blob,))
    elif tx.one("SELECT 1 FROM garbage WHERE blob = ?", (blob,)) is None:
        tx.execute("INSERT INTO garbage (since, blob) VALUES (?, ?)", (now, blob))


def _garbage_wrong(tx: Transaction, problem: Problem, _now: int) -> bool:
    tx.execute(
        """DELETE FROM garbage WHERE since = ?1 AND blob = ?2
           AND NOT EXISTS (SELECT 1 FROM blobs WHERE id = ?2 AND refs <= 0)""",
        (problem.since, problem.blob),
    )
    return True


def _size(tx: Transaction, problem: Problem, _now: int) -> bool:
    """The blob's size holds: its bytes are checked against it."""
    row = tx.one("SELECT size FROM blobs WHERE id = ?", (problem.blob,))
    if row is None:
        return False
    if problem.upload:
        tx.execute(
            "UPDATE upload_parts SET size = ? WHERE upload = ? AND number = ? AND blob = ?",
            (row[0], problem.upload, problem.part, problem.blob),
        )
        return True
    version = (problem.log, problem.key, problem.seq, problem.blob)
    where = "log = ? AND key = ? AND seq = ? AND blob = ?"
    listed = tx.one(f"SELECT size FROM head WHERE {where}", version)
    if listed is not None and problem.log is not None:
        tx.count(problem.log, 0, row[0] - listed[0])
    for table in ("head", "history"):
        tx.execute(f"UPDATE {table} SET size = ? WHERE {where}", (row[0], *version))
    return True


_REPAIRS: Mapping[Fault, Callable[[Transaction, Problem, int], bool]] = {
    Fault.SEQUENCE_BEHIND: _sequence,
    Fault.NULL_TWICE: _null_twice,
    Fault.MARKER_IN_HEAD: _into_history,
    Fault.HEAD_OUTDATED: _into_history,
    Fault.HEAD_MISSING: _promote,
    Fault.LOG_MISSING: _log_missing,
    Fault.LOG_ORPHANED: _log_orphaned,
    Fault.COUNTERS_WRONG: _counters,
    Fault.COMMIT_WRONG: _commit,
    Fault.COMMIT_ORPHANED: _commit_orphaned,
    Fault.BRANCH_ORPHANED: _branch_orphaned,
    Fault.HOOK_ORPHANED: _hook_orphaned,
    Fault.RANGES_ORPHANED: _ranges_orphaned,
    Fault.PART_ORPHANED: _part_orphaned,
    Fault.BYTES_ORPHANED: _bytes_orphaned,
    Fault.KEY_ORPHANED: _key_orphaned,
    Fault.CHUNK_ORPHANED: _arriving,
    Fault.PARTIAL_ORPHANED: _arriving,
    Fault.PARTIAL_WRONG: _arriving,
    Fault.INTENT_ORPHANED: _intent_orphaned,
    Fault.REFERENCES_WRONG: _references,
    Fault.GARBAGE_MISSING: _garbage_missing,
    Fault.GARBAGE_WRONG: _garbage_wrong,
    Fault.SIZE_WRONG: _size,
}
