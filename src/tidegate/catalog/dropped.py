"""Logs of buckets that were destroyed: they are emptied some rows at a time, and then forgotten.

Nobody can reach what is in them. ``buckets.destroy`` has set their counters to zero.
"""

from __future__ import annotations

from tidegate.catalog import blobs, fills, intents
from tidegate.catalog.abc import Reader, Transaction


def first(tx: Reader) -> int | None:
    """A log that is to be emptied."""
    row = tx.one("SELECT id FROM logs WHERE dropped = 1 ORDER BY id LIMIT 1")
    return None if row is None else row[0]


def empty(tx: Transaction, log: int, limit: int, now: int) -> int:
    """Drops up to ``limit`` versions of a log, or the log itself where there are none. Returns how many versions.

    The oldest of a key goes first, so that what is left looks as ever to those who check. What has not arrived yet of
    another provider's objects counts as they do,
    and so do a branch's commits and their changes.
    """
    for table in ("history", "head"):
        rows = tx.rows(f"SELECT key, seq, blob FROM {table} WHERE log = ? ORDER BY key DESC, seq LIMIT ?", (log, limit))
        if found := list(rows):
            names = [(log, key, seq) for key, seq, _ in found]
            tx.execute_many(f"DELETE FROM {table} WHERE log = ? AND key = ? AND seq = ?", names)
            for _, _, blob in found:
                if blob is not None:
                    blobs.release(tx, blob, now)
            return len(found)
    if arriving := fills.first_of_log(tx, log, limit):
        for partial in arriving:
            fills.drop(tx, partial, now)
        return len(arriving)
    keys = list(tx.rows("SELECT seq, key FROM changes WHERE log = ? LIMIT ?", (log, limit)))
    if keys:
        tx.execute_many("DELETE FROM changes WHERE log = ? AND seq = ? AND key = ?", [(log, *each) for each in keys])
        return len(keys)
    places = list(tx.rows("SELECT seq FROM commits WHERE log = ? LIMIT ?", (log, limit)))
    if places:
        tx.execute_many("DELETE FROM commits WHERE seq = ?", places)
        return len(places)
    tx.execute("DELETE FROM rewrites WHERE log = ?", (log,))
    intents.forget(tx, log)
    tx.execute("DELETE FROM logs WHERE id = ?", (log,))
    return 0
