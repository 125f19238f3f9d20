"""Long chains of forks become short ones: a log gets rows of its own for what is in the logs below it.

They are the rows that are there, with their places and ids, so nothing that anybody sees changes, whatever is written
meanwhile. They point at the same blobs. Once all are there the log is whole: who looks for an object in it looks no
further down.
"""

from __future__ import annotations

from itertools import islice

from tidegate.catalog import blobs, commits, listing, states, versions
from tidegate.catalog.abc import Reader, Transaction

# Logs below one another that a read may have to look into, two seeks each.
MAX_DEPTH = 4


def deepest(tx: Reader) -> int | None:
    """A log that is to be flattened: one that a branch is on."""
    row = tx.one(
        """SELECT l.id FROM logs l JOIN buckets b ON b.log = l.id
           WHERE b.repo IS NOT NULL AND l.depth > ? AND l.is_whole = 0 AND l.dropped = 0 LIMIT 1""",
        (MAX_DEPTH,),
    )
    return None if row is None else row[0]


def flatten(tx: Transaction, log: int, limit: int) -> bool:
    """Adds up to ``limit`` rows to a log. Returns whether there is more to do."""
    row = tx.one("SELECT parent, flattened FROM logs WHERE id = ? AND is_whole = 0 AND dropped = 0", (log,))
    if row is None or row[0] is None:
        return False
    below = commits.chain(tx, log)[1:]
    found = list(islice(states.objects(tx, below, row[1] or b"", listing.END), limit))
    for version in found:
        name = (log, version[0])
        is_written = any(
            tx.one(f"SELECT 1 FROM {table} WHERE log = ? AND key = ? LIMIT 1", name) is not None
            for table in ("head", "history")
        )
        # What was written since is newer, and may be dropped again.
        tx.execute(versions.INSERT_HISTORY if is_written else versions.INSERT_HEAD, (log, *version))
        blobs.add(tx, blobs.Existing(version[7]))
    if len(found) == limit:
        tx.execute("UPDATE logs SET flattened = ? WHERE id = ?", (found[-1][0], log))
        return True
    tx.touch_names()
    # What forks from it from now on has but this log below it.
    tx.execute("UPDATE logs SET is_whole = 1, flattened = NULL, depth = 0 WHERE id = ?", (log,))
    return False
