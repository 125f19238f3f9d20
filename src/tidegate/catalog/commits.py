"""Commits: places in the logs of a repository that have a name.

Whatever a transaction writes to a branch is one commit, or goes into the one that is open. A commit's ``seq`` is its
place in the log and that of every row that it wrote; its id is their version id and carries the place.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec
from msgspec.structs import replace

from tidegate import errors
from tidegate.catalog import hooks, rows
from tidegate.catalog.abc import Reader, Row, Transaction
from tidegate.catalog.hooks import About, Occasion
from tidegate.clock import now
from tidegate.model import NEWEST, Bucket, Commit, HookEvent, Layer, Origin, Repo, Writer
from tidegate.refs import RepoName

COLUMNS = "id, branch, log, seq, merged, author, message, metadata, origin, started, finished, objects, bytes, changes"
_INSERT = f"INSERT INTO commits ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_POINT = "SELECT log, seq, id, objects, bytes, coalesce(finished, 0) FROM commits"
# Newest first, as seq is the table's rowid.
_LAST = f"{_POINT} WHERE log = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
# All commits of a log were made on one branch. One that is open where no branch is, is written beside its branch.
_LOGS = """SELECT l.id, (SELECT c.branch FROM commits c WHERE c.log = l.id LIMIT 1) FROM logs l WHERE l.repo = ?
           AND (EXISTS (SELECT 1 FROM buckets b WHERE b.log = l.id)
                OR NOT EXISTS (SELECT 1 FROM commits c WHERE c.log = l.id AND c.finished IS NULL))"""

# In a transaction's memo: the branches, as their writers see them, on which it has made commits.
STAMPED = "branches with a new commit"


class Stamp(msgspec.Struct, frozen=True):
    """What a write into a branch is called: its place in the log, and its version's id."""

    seq: int
    id: str


class Point(msgspec.Struct, frozen=True):
    """A commit, as much as it takes to stand on it. ``finished`` is 0 while it is open."""

    log: int
    seq: int
    id: str
    objects: int
    size: int
    finished: int


def chain(tx: Reader, log: int, until: int = NEWEST) -> tuple[Layer, ...]:
    """The layers of what a log has up to a place, with all that it forked from."""
    layers = []
    while True:
        row = tx.one("SELECT parent, fork, is_whole FROM logs WHERE id = ?", (log,))
        parent, fork, is_whole = (None, 0, 0) if row is None else row
        layers.append(Layer(log, until, is_whole=bool(is_whole)))
        if parent is None:
            return tuple(layers)
        log, until = parent, fork


def last(tx: Reader, layers: Sequence[Layer]) -> Point | None:
    """The newest commit in a state."""
    for layer in layers:
        row = tx.one(_LAST, (layer.log, layer.until))
        if row is not None:
            return Point(*row)
    return None


def before(tx: Reader, log: int, seq: int) -> Point | None:
    """The commit that one stands on."""
    return last(tx, chain(tx, log, seq - 1))


def point(tx: Reader, commit_id: str) -> Point | None:
    """The commit of an id, of whatever repository."""
    seq = rows.seq_of(commit_id)
    if seq is None:
        return None
    row = tx.one(f"{_POINT} WHERE seq = ? AND id = ?", (seq, commit_id))
    return None if row is None else Point(*row)


def is_merged(tx: Reader, commit_id: str) -> bool:
    """Whether a merge says that it has taken over a commit: later ones of the same sides count from there."""
    return tx.one("SELECT 1 FROM commits WHERE merged = ? LIMIT 1", (commit_id,)) is not None


def hand_down(tx: Transaction, commit: Commit) -> None:
    """Before a commit becomes part of the next one in its log: what it has merged, that has then.

    Raises ``CommitInUse`` where both are merges, of which one would be forgotten.
    """
    if commit.merged is None:
        return
    row = tx.one(
        "SELECT seq, merged FROM commits WHERE log = ? AND seq > ? ORDER BY seq LIMIT 1", (commit.log, commit.seq)
    )
    if row is not None and row[1] is not None:
        raise errors.CommitInUse(f"cannot squash a merge into another one: {commit.id}")
    if row is not None:
        tx.execute("UPDATE commits SET merged = ? WHERE seq = ?", (commit.merged, row[0]))


def within(layers: Sequence[Layer], log: int, seq: int) -> tuple[Layer, ...]:
    """The layers of the state at a place, if it is in the past of another state; else none."""
    for depth, layer in enumerate(layers):
        if layer.log == log:
            return (replace(layer, until=seq), *layers[depth + 1 :]) if seq <= layer.until else ()
    return ()


def stamp(tx: Transaction, bucket: Bucket, key: str | None = None) -> Stamp:
    """What the writes of this transaction to a branch are called: a new commit, made by the first of them, which is of
    ``key``, or the one that is open. Hooks that may refuse are asked before.
    """
    place = bucket.place
    if place is None or place.is_snapshot:
        raise errors.AccessDenied("A commit cannot be changed.")
    if place.open is not None:
        return Stamp(*place.open)
    made: Stamp | None = tx.memo.get(("stamp", bucket.log))
    if made is None:
        if place.has_hooks:
            ask_hooks(tx, bucket, key)
        made = begin(tx, bucket, is_open=False)
        tx.memo["stamp", bucket.log] = made
        tx.memo.setdefault(STAMPED, []).append(bucket)
    return made


def ask_hooks(tx: Transaction, bucket: Bucket, key: str | None = None) -> None:
    """Raises ``hooks.UnaskedError`` unless the hooks agree to what the bucket's writer is about to commit."""
    place, writer = bucket.place, bucket.writer
    if place is None:
        return
    parent = last(tx, bucket.state)
    about = About(
        None, None if parent is None else parent.id, writer.merged, writer.name, writer.note.message,
        dict(writer.note.metadata), writer.origin,
    )  # fmt: skip
    event = HookEvent.PRE_MERGE if writer.origin is Origin.MERGE else HookEvent.PRE_COMMIT
    hooks.ask(tx, place.repo_id, Occasion(event, place.repo, place.branch, about, key, mark=writer.merged or ""))


def begin(tx: Transaction, bucket: Bucket, *, is_open: bool) -> Stamp:
    """Makes a commit on a branch that has the same content as the one before it."""
    place, writer = bucket.place, bucket.writer
    seq = tx.sequence()
    made = Stamp(seq, rows.new_version_id(seq))
    parent = last(tx, bucket.state)
    # Times in a log never go back, whatever the clock does: a state is found by its time.
    moment = now() if parent is None else max(now(), parent.finished)
    tx.execute(
        _INSERT,
        (
            made.id, "" if place is None else place.branch, bucket.log, seq, writer.merged, writer.name,
            writer.note.message, rows.pack_map(writer.note.metadata), writer.origin, moment,
            None if is_open else moment, 0 if parent is None else parent.objects, 0 if parent is None else parent.size,
            0,
        ),
    )  # fmt: skip
    return made


def count(tx: Transaction, log: int, seq: int, key: bytes, objects: int, size: int) -> None:
    """Takes down that a commit has written a key, and by how much its content has grown."""
    is_new = tx.one("INSERT OR IGNORE INTO changes (log, seq, key) VALUES (?, ?, ?) RETURNING 1", (log, seq, key))
    tx.execute(
        "UPDATE commits SET objects = objects + ?, bytes = bytes + ?, changes = changes + ? WHERE seq = ?",
        (objects, size, int(is_new is not None), seq),
    )


def rebase(tx: Transaction, seq: int, old: Point | None, new: Point) -> None:
    """Has a commit that is open stand on another one, which came after the one that it stands on."""
    objects, size = (0, 0) if old is None else (old.objects, old.size)
    tx.execute(
        "UPDATE commits SET objects = objects + ?, bytes = bytes + ?, started = max(started, ?) WHERE seq = ?",
        (new.objects - objects, new.size - size, new.finished, seq),
    )


def wrote(tx: Reader, log: int, seq: int, key: bytes) -> bool:
    """Whether a commit has written a key."""
    return tx.one("SELECT 1 FROM changes WHERE log = ? AND seq = ? AND key = ?", (log, seq, key)) is not None


def finish(tx: Transaction, seq: int, writer: Writer) -> None:
    """Ends a commit that was open. What is said of it now takes the place of what was."""
    row = tx.one("SELECT message, metadata, started FROM commits WHERE seq = ?", (seq,))
    if row is None:
        raise errors.NoSuchCommit
    message, metadata, started = row
    said = {**rows.unpack_map(metadata), **writer.note.metadata}
    tx.execute(
        "UPDATE commits SET finished = ?, message = ?, metadata = ? WHERE seq = ?",
        (max(now(), started), writer.note.message or message, rows.pack_map(said), seq),
    )


def commit(row: Row, repo: RepoName, parent: str | None) -> Commit:
    """The commit in a row of ``COLUMNS``, which stands on another."""
    commit_id, branch, log, seq, merged, author, message, metadata, origin, *figures = row
    return Commit(
        commit_id, repo, branch, log, seq, parent, merged, author, message,
        rows.unpack_map(metadata), Origin(origin), *figures,
    )  # fmt: skip


def _parent(tx: Reader, row: Row) -> str | None:
    """The id of the commit that one stands on."""
    parent = before(tx, row[2], row[3])
    return None if parent is None else parent.id


def get(tx: Reader, seq: int, repo: RepoName) -> Commit:
    """The commit at a place. Raises ``NoSuchCommit``."""
    row = tx.one(f"SELECT {COLUMNS} FROM commits WHERE seq = ?", (seq,))
    if row is None:
        raise errors.NoSuchCommit
    return commit(row, repo, _parent(tx, row))


def page(tx: Reader, layers: Sequence[Layer], repo: RepoName, before_seq: int, limit: int) -> list[Commit]:
    """Commits in the past of a state, the newest first, from before a place. Each stands on the next one."""
    found: list[Row] = []
    for layer in layers:
        bounds = (layer.log, min(layer.until, before_seq - 1), limit + 1 - len(found))
        sql = f"SELECT {COLUMNS} FROM commits WHERE log = ? AND seq <= ? ORDER BY seq DESC LIMIT ?"
        found += tx.rows(sql, bounds)
        if len(found) > limit:
            break
    return [commit(row, repo, parent) for row, parent in islice(_linked(found), limit)]


def _linked(found: Iterable[Row]) -> Iterator[tuple[Row, str | None]]:
    """Commits, the newest first, each with the id of the next one, on which it stands; None for the last."""
    newer: Row | None = None
    for row in found:
        if newer is not None:
            yield newer, row[0]
        newer = row
    if newer is not None:
        yield newer, None


def at_time(tx: Reader, layers: Sequence[Layer], time: int) -> Point | None:
    """The newest commit in a state that was finished by a time: found by halves, as times in a log never go back."""
    for layer in layers:
        row = tx.one("SELECT min(seq), max(seq) FROM commits WHERE log = ? AND seq <= ?", (layer.log, layer.until))
        if row is None or row[0] is None:
            continue
        low, high = row  # places; what is sought, if it is here, is between them
        best: Point | None = None
        while low <= high:
            middle = (low + high) // 2
            found = last(tx, (Layer(layer.log, middle),))
            if found is None or found.seq < low:
                low = middle + 1
            elif 0 < found.finished <= time:
                best = found
                low = middle + 1
            else:
                high = found.seq - 1
        if best is not None:
            return best
    return None


def places(tx: Reader, layers: Sequence[Layer]) -> Iterator[tuple[int, int]]:
    """Log and place of each commit in a state, the newest first."""
    for layer in layers:
        bounds = (layer.log, layer.until)
        for (seq,) in tx.rows("SELECT seq FROM commits WHERE log = ? AND seq <= ? ORDER BY seq DESC", bounds):
            yield layer.log, seq


def logs(tx: Reader, repo: Repo) -> list[tuple[int, str]]:
    """The logs of a repository that have commits, with the branch that these were made on. What is still written beside
    a branch is not among them.
    """
    return [(log, branch) for log, branch in tx.rows(_LOGS, (repo.id,)) if branch is not None]


def page_of_logs(tx: Reader, logs: Sequence[int], repo: RepoName, before_seq: int, limit: int) -> list[Commit]:
    """Commits of some logs of a repository, the newest first, from before a place."""
    sql = f"SELECT {COLUMNS} FROM commits WHERE log = ? AND seq < ? ORDER BY seq DESC"
    streams = [_linked(tx.rows(sql, (log, before_seq))) for log in logs]
    newest = list(islice(heapq.merge(*streams, key=lambda linked: -linked[0][3]), limit))
    return [commit(row, repo, parent or _parent(tx, row)) for row, parent in newest]
