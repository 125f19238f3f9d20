"""Commits that go: dropped with all that they wrote, or squashed into the one after them.

What is to go is found by ``changes``, so the cost is that of the commit. A large one goes in steps, by a job: nobody
can name it any more from the first moment on.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidegate import errors
from tidegate.catalog import blobs, commits, repos, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.model import Commit

# Changes that go in the transaction that was asked for; more are for a job.
AT_ONCE = 1000


def drop(tx: Transaction, commit: Commit, now: int) -> None:
    """Removes the newest commit of its log, and what it wrote. The branch that is on it falls back to the one before.

    Raises ``CommitInUse`` where something stands on it.
    """
    before = commits.before(tx, commit.log, commit.seq)
    for bucket in list(_fallen_back(tx, commit)):
        repos.move(tx, repos.branch_of(tx, bucket), before)
    newer = tx.one("SELECT 1 FROM commits WHERE log = ? AND seq > ? LIMIT 1", (commit.log, commit.seq))
    if newer is not None:
        raise errors.CommitInUse(f"cannot drop a commit that has children: {commit.id}")
    if _is_held(tx, commit.log, commit.seq, None):
        raise errors.CommitInUse(f"cannot drop a commit that a branch or a tag stands on: {commit.id}")
    tx.touch_names()
    tx.execute("DELETE FROM commits WHERE seq = ?", (commit.seq,))
    tx.execute("INSERT INTO rewrites (seq, log) VALUES (?, ?)", (commit.seq, commit.log))
    found = tx.one("SELECT bucket FROM branches WHERE open = ?", (commit.seq,))
    if found is not None:
        repos.set_open(tx, found[0], None)
    # What was squashed into it, and is not yet its own, goes with it.
    has_more = tx.one("SELECT 1 FROM rewrites WHERE successor = ? LIMIT 1", (commit.seq,)) is not None
    tx.execute("UPDATE rewrites SET successor = NULL WHERE successor = ?", (commit.seq,))
    if commit.changes <= AT_ONCE and not has_more:
        undo(tx, commit.log, commit.seq, AT_ONCE + 1, now)
    elif (on := tx.one("SELECT id FROM buckets WHERE log = ?", (commit.log,))) is not None:
        repos.move(tx, repos.branch_of(tx, on[0]), before)
    repos.drop_if_unused(tx, commit.log)


def _fallen_back(tx: Reader, commit: Commit) -> Iterator[int]:
    """The branch that a commit was made on, where a drop has put it back onto it, and nothing was committed since."""
    for (bucket,) in tx.rows(
        """SELECT n.bucket FROM logs l JOIN buckets b ON b.log = l.id JOIN branches n ON n.bucket = b.id
           WHERE l.parent = ? AND l.fork = ? AND l.dropped = 0 AND n.name = ?
           AND NOT EXISTS (SELECT 1 FROM commits c WHERE c.log = l.id)""",
        (commit.log, commit.seq, commit.branch),
    ):
        yield bucket


def squash(tx: Transaction, commit: Commit, now: int) -> None:
    """Makes a commit part of the one after it in its log. Raises ``CommitInUse`` where there is none, or where a
    branch, a tag or an output needs it.
    """
    row = tx.one("SELECT seq FROM commits WHERE log = ? AND seq > ? ORDER BY seq LIMIT 1", (commit.log, commit.seq))
    if row is None:
        raise errors.CommitInUse(
            "cannot squash a commit that has no children as that would cause data loss, use the drop operation "
            f"instead: {commit.id}"
        )
    if commit.finished is None:
        raise errors.ParentNotFinished
    successor = row[0]
    if _is_held(tx, commit.log, commit.seq, successor):
        raise errors.CommitInUse(f"cannot squash a commit that a branch or a tag stands on: {commit.id}")
    tx.touch_names()
    tx.execute("DELETE FROM commits WHERE seq = ?", (commit.seq,))
    tx.execute("INSERT INTO rewrites (seq, log, successor) VALUES (?, ?, ?)", (commit.seq, commit.log, successor))
    tx.execute("UPDATE rewrites SET successor = ? WHERE successor = ?", (successor, commit.seq))
    tx.execute("UPDATE commits SET changes = changes + ? WHERE seq = ?", (commit.changes, successor))
    if commit.changes <= AT_ONCE:
        fold(tx, commit.log, commit.seq, successor, AT_ONCE + 1, now)


def _is_held(tx: Reader, log: int, seq: int, before: int | None) -> bool:
    """Whether a log forked from the state at a place, or a tag names it; of a state that lasts to ``before``."""
    last = seq if before is None else before - 1
    held = "SELECT 1 FROM logs WHERE parent = ? AND fork >= ? AND fork <= ? AND dropped = 0 LIMIT 1"
    return (
        tx.one(held, (log, seq, last)) is not None
        or tx.one("SELECT 1 FROM tags WHERE seq = ? LIMIT 1", (seq,)) is not None
    )


def next_rewrite(tx: Reader) -> tuple[int, int, int | None] | None:
    """Log, place and successor of a commit that has gone while what it wrote has not."""
    row = tx.one("SELECT log, seq, successor FROM rewrites ORDER BY seq LIMIT 1")
    return None if row is None else (row[0], row[1], row[2])


def undo(tx: Transaction, log: int, seq: int, limit: int, now: int) -> int:
    """Removes up to ``limit`` of what was written at a place. Returns how many; the last time fewer."""
    keys = _changes(tx, log, seq, limit)
    for key in keys:
        for table in ("head", "history"):
            row = tx.one(f"SELECT blob FROM {table} WHERE log = ? AND key = ? AND seq = ?", (log, key, seq))
            if row is not None:
                tx.execute(f"DELETE FROM {table} WHERE log = ? AND key = ? AND seq = ?", (log, key, seq))
                if row[0] is not None:
                    blobs.release(tx, row[0], now)
        versions.promote(tx, log, key, counts=False)
    _forget(tx, log, seq, keys, limit)
    return len(keys)


def fold(tx: Transaction, log: int, seq: int, successor: int, limit: int, now: int) -> int:
    """Makes up to ``limit`` of what was written at a place the successor's, and removes what that has written again."""
    row = tx.one("SELECT id FROM commits WHERE seq = ?", (successor,))
    logs = (log, *_with_copies(tx, log))
    keys = _changes(tx, log, seq, limit)
    for key in keys:
        name = (log, key, seq)
        if _is_written(tx, log, key, seq, successor):
            old = tx.one("SELECT blob FROM history WHERE log = ? AND key = ? AND seq = ?", name)
            tx.execute("DELETE FROM history WHERE log = ? AND key = ? AND seq = ?", name)
            if old is not None and old[0] is not None:
                blobs.release(tx, old[0], now)
        elif row is not None:
            for table in ("head", "history"):
                moved = f"UPDATE {table} SET seq = ?, version_id = ? WHERE log = ? AND key = ? AND seq = ?"
                tx.execute_many(moved, [(successor, row[0], each, key, seq) for each in logs])
            tx.execute("UPDATE undigested SET seq = ? WHERE log = ? AND key = ? AND seq = ?", (successor, *name))
    successors = [(log, successor, key) for key in keys]
    tx.execute_many("INSERT OR IGNORE INTO changes (log, seq, key) VALUES (?, ?, ?)", successors)
    _forget(tx, log, seq, keys, limit)
    if len(keys) < limit:
        written = "(SELECT count(*) FROM changes WHERE log = ? AND seq = ?)"
        tx.execute(f"UPDATE commits SET changes = {written} WHERE seq = ?", (log, successor, successor))
    return len(keys)


def _with_copies(tx: Reader, log: int) -> list[int]:
    """The logs that may have rows of a log's beside their own: see ``flattening.py``."""
    sql = """SELECT id FROM logs WHERE repo = (SELECT repo FROM logs WHERE id = ?1) AND id <> ?1
             AND (is_whole OR flattened IS NOT NULL)"""
    return [each for (each,) in tx.rows(sql, (log,))]


def _is_written(tx: Reader, log: int, key: bytes, after: int, until: int) -> bool:
    """Whether a key has a version between two places."""
    sql = "SELECT 1 FROM {} WHERE log = ? AND key = ? AND seq > ? AND seq <= ? LIMIT 1"
    return any(tx.one(sql.format(table), (log, key, after, until)) is not None for table in ("head", "history"))


def _changes(tx: Reader, log: int, seq: int, limit: int) -> list[bytes]:
    sql = "SELECT key FROM changes WHERE log = ? AND seq = ? ORDER BY key LIMIT ?"
    return [key for (key,) in tx.rows(sql, (log, seq, limit))]


def _forget(tx: Transaction, log: int, seq: int, keys: list[bytes], limit: int) -> None:
    tx.execute_many("DELETE FROM changes WHERE log = ? AND seq = ? AND key = ?", [(log, seq, key) for key in keys])
    if len(keys) < limit:
        tx.execute("DELETE FROM rewrites WHERE seq = ?", (seq,))
