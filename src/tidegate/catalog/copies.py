"""How many copies of a blob there should be, and in which data folders there are some.

Whoever refers to a blob may ask for copies; the most that any asks for count. Raising that is one comparison where a
reference is made. Lowering it needs everyone who refers to the blob: that is counted anew, by a task, over the whole
catalog. What is under count has its number negative; a reference that asks for copies meanwhile makes it positive
again, and so takes the blob out of the count.

``unsettled`` names the blobs whose copies may not be as they should. One job settles them, and the tasks here, which
each survive a restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from tidegate.catalog.abc import Reader, Transaction

_FILE = 1  # ``blobs.Kind.FILE``
_REFERENCE = 3  # whose bytes are for another provider to keep


class TaskKind(StrEnum):
    """What there is to do for many blobs."""

    BUCKET = "make-n-copies"  # a bucket, ``subject``, asks for more copies than it did
    COUNT = "count-copies"  # some bucket asks for fewer
    CHECK = "check-folder"  # the files of a folder, ``subject``, may be gone
    LEAVE = "leave-folder"  # a folder is to be given up


class Task(msgspec.Struct, frozen=True):
    """A task, and how far it has come: ``done`` of about ``total`` versions or blobs."""

    id: int
    kind: TaskKind
    subject: int
    copies: int
    done: int
    total: int
    position: bytes | None


class Placed(msgspec.Struct, frozen=True):
    """A blob in use, and where it is. ``data`` is that of an inline blob, and then there is no ``file``."""

    blob: int
    size: int
    digest: bytes
    file: bytes | None
    data: bytes | None
    folders: int
    copies: int


# --- what is wanted --------------------------------------------------------------------------------------------------


def want(tx: Transaction, blob: int, copies: int) -> None:
    """Sees to it that a blob, and what it is composed of, gets at least so many copies."""
    row = tx.one(f"SELECT copies FROM blobs WHERE id = ? AND kind <> {_REFERENCE}", (blob,))
    if row is None or row[0] >= copies:
        return
    tx.execute("UPDATE blobs SET copies = ? WHERE id = ?", (max(abs(row[0]), copies), blob))
    if not want_sources(tx, blob, copies):
        unsettle(tx, blob)


def want_sources(tx: Transaction, blob: int, copies: int) -> bool:
    """The same for what a blob is composed of. Returns whether it is."""
    sources = [source for (source,) in tx.rows("SELECT DISTINCT source FROM blob_parts WHERE blob = ?", (blob,))]
    for source in sources:
        want(tx, source, copies)
    return bool(sources)


def unsettle(tx: Transaction, blob: int, *, is_suspect: bool = False) -> None:
    """Has the job look at a blob; where it ``is_suspect``, at every byte of it."""
    tx.execute(
        """INSERT INTO unsettled (blob, due, is_suspect) VALUES (?, 0, ?)
           ON CONFLICT (blob) DO UPDATE SET due = 0, is_suspect = max(is_suspect, excluded.is_suspect)""",
        (blob, int(is_suspect)),
    )


def suspect(tx: Transaction, file: bytes) -> None:
    """A copy of the blob of that file has turned out to be damaged or gone."""
    row = tx.one("SELECT id, folders FROM blobs WHERE file = ?", (file,))
    if row is not None and row[1].bit_count() > 1:
        unsettle(tx, row[0], is_suspect=True)


# --- what is there ---------------------------------------------------------------------------------------------------


def due(tx: Reader, now: int, limit: int, *, suspects_only: bool = False) -> list[tuple[int, bool]]:
    """Blobs to look at, and whether at every byte."""
    found: list[tuple[int, bool]] = []
    for is_suspect in (True,) if suspects_only else (True, False):
        rows = tx.rows(
            "SELECT blob FROM unsettled WHERE is_suspect = ? AND due <= ? ORDER BY due LIMIT ?",
            (int(is_suspect), now, limit - len(found)),
        )
        found += [(blob, is_suspect) for (blob,) in rows]
    return found


def placed(tx: Reader, blob: int) -> Placed | None:
    """Where a blob is; None where it is not in use or has no bytes of its own."""
    row = tx.one(
        """SELECT b.id, b.size, b.digest, b.file, s.data, b.folders, abs(b.copies)
           FROM blobs b LEFT JOIN small_blobs s ON s.id = b.id
           WHERE b.id = ? AND b.refs > 0 AND b.digest IS NOT NULL AND (b.file IS NOT NULL OR s.data IS NOT NULL)""",
        (blob,),
    )
    return None if row is None else Placed(*row)


def place(tx: Transaction, before: Placed, folders: int) -> bool:
    """Says that a blob is in these folders now. Returns False where it is no longer where it was, or not in use."""
    now = placed(tx, before.blob)
    if now is None or (now.file, now.folders) != (before.file, before.folders):
        return False
    tx.execute("UPDATE blobs SET folders = ? WHERE id = ?", (folders, before.blob))
    return True


def put_in_file(tx: Transaction, before: Placed, file: bytes, digest: bytes, folders: int) -> bool:
    """Says that an inline blob is in a file now. Returns as ``place``."""
    now = placed(tx, before.blob)
    if now is None or now.data is None:
        return False
    tx.execute(
        f"UPDATE blobs SET kind = {_FILE}, file = ?, digest = ?, folders = ? WHERE id = ?",
        (file, digest, folders, before.blob),
    )
    tx.execute("DELETE FROM small_blobs WHERE id = ?", (before.blob,))
    return True


def settled(tx: Transaction, blob: int) -> None:
    """A blob's copies are as they should be."""
    tx.execute("DELETE FROM unsettled WHERE blob = ?", (blob,))


def postpone(tx: Transaction, blob: int, until: int) -> None:
    """Nothing can be done for a blob right now."""
    tx.execute("UPDATE unsettled SET due = ? WHERE blob = ?", (until, blob))


def hurry(tx: Transaction) -> None:
    """What could not be done may be possible now."""
    tx.execute("UPDATE unsettled SET due = 0 WHERE due > 0")


def files_after(tx: Reader, after: int, limit: int) -> list[tuple[int, bytes, int, int]]:
    """Blobs in use that are files, in order of their numbers: number, file, size, folders."""
    return list(
        tx.rows(
            f"""SELECT id, file, size, folders FROM blobs
                WHERE id > ? AND kind = {_FILE} AND refs > 0 AND file IS NOT NULL ORDER BY id LIMIT ?""",
            (after, limit),
        )
    )


def short(tx: Reader, capacity: int) -> Iterator[int]:
    """The blobs that are in fewer folders than is wanted and possible, and those that should be files."""
    yield from (
        blob
        for blob, folders, copies, is_file in tx.rows(
            f"""SELECT id, folders, abs(copies), kind = {_FILE} FROM blobs
                WHERE copies <> 1 AND refs > 0 AND digest IS NOT NULL ORDER BY id"""
        )
        if capacity > 1 and (not is_file or folders.bit_count() < min(copies, capacity))
    )


def reside_at_home(tx: Transaction) -> None:
    """In a copy of a catalog all of whose files are in one folder: there is no other, and the store is another."""
    if tx.one("SELECT 1 FROM folders WHERE number > 0") is not None:
        tx.execute("UPDATE blobs SET folders = 1 WHERE folders <> 1")
    tx.execute("DELETE FROM folders WHERE number > 0")
    tx.execute("UPDATE folders SET id = lower(hex(randomblob(16)))")
    tx.execute("DELETE FROM mirror_tasks WHERE kind IN (?, ?)", (TaskKind.CHECK, TaskKind.LEAVE))
    tx.execute("INSERT OR IGNORE INTO unsettled (blob, due) SELECT id, 0 FROM blobs WHERE copies <> 1")


def file_count(tx: Reader) -> int:
    """How many blobs are files. Reads all blobs."""
    row = tx.one(f"SELECT count(*) FROM blobs WHERE kind = {_FILE}")
    return 0 if row is None else row[0]


# --- tasks -----------------------------------------------------------------------------------------------------------


def ask(tx: Transaction, bucket: int, before: int, after: int) -> None:
    """A bucket asks for another number of copies than before."""
    if before == after:
        return
    name = (TaskKind.BUCKET, bucket)
    is_walking = tx.one("SELECT 1 FROM mirror_tasks WHERE kind = ? AND subject = ?", name) is not None
    tx.execute("DELETE FROM mirror_tasks WHERE kind = ? AND subject = ?", name)
    if after > before or (is_walking and after > 1):
        begin(tx, TaskKind.BUCKET, bucket, after)
    if after < before:
        begin(tx, TaskKind.COUNT)


def recount(tx: Transaction) -> None:
    """Somebody who asked for copies of a blob has let go of it, and others still refer to it: has a count begin, unless
    one waits to. One that has begun (it knows its ``total`` then) may have missed this.
    """
    if tx.one("SELECT 1 FROM mirror_tasks WHERE kind = ? AND total = 0", (TaskKind.COUNT,)) is None:
        begin(tx, TaskKind.COUNT)


def begin(tx: Transaction, kind: TaskKind, subject: int = 0, copies: int = 1) -> None:
    """Begins a task, or begins it again."""
    tx.execute("DELETE FROM mirror_tasks WHERE kind = ? AND subject = ?", (kind, subject))
    tx.execute(
        "INSERT INTO mirror_tasks (id, kind, subject, copies) VALUES (?, ?, ?, ?)",
        (tx.sequence(), kind, subject, copies),
    )


def tasks(tx: Reader) -> list[Task]:
    """The tasks that are not done, in the order in which they began."""
    rows = tx.rows("SELECT id, kind, subject, copies, done, total, position FROM mirror_tasks ORDER BY id")
    return [Task(row[0], TaskKind(row[1]), *row[2:]) for row in rows]


def save(tx: Transaction, task: Task) -> None:
    """Takes down how far a task has come. One that was begun again meanwhile stays as it is."""
    tx.execute(
        "UPDATE mirror_tasks SET done = ?, total = ?, position = ? WHERE id = ?",
        (task.done, task.total, task.position, task.id),
    )


def end(tx: Transaction, task: Task) -> None:
    """A task is done."""
    tx.execute("DELETE FROM mirror_tasks WHERE id = ?", (task.id,))


# --- a bucket asks for more ------------------------------------------------------------------------------------------


class Spot(msgspec.Struct, frozen=True, array_like=True):
    """How far a walk over a bucket has come: the phase, and the last that was seen in it."""

    phase: int = 0
    key: bytes = b""
    seq: int = 0
    upload: str = ""
    number: int = 0


# A version that moves between head and history while the walk goes on is met in one of these.
_PHASES = ("head", "history", "head", "parts")

_decode_spot = msgspec.msgpack.Decoder(Spot).decode
_encode_spot = msgspec.msgpack.Encoder().encode


def size_of_bucket(tx: Reader, bucket: int) -> int:
    """About how many versions a walk over a bucket meets. Reads all of its history."""
    row = tx.one(
        """SELECT l.objects + (SELECT count(*) FROM history h WHERE h.log = l.id)
           FROM buckets b JOIN logs l ON l.id = b.log WHERE b.id = ?""",
        (bucket,),
    )
    return 0 if row is None else row[0]


def walk(tx: Transaction, task: Task, limit: int) -> Task | None:
    """Asks for copies of the next versions or parts of a bucket. Returns the task as it is then; None at its end."""
    row = tx.one("SELECT log FROM buckets WHERE id = ?", (task.subject,))
    if row is None or tx.one("SELECT 1 FROM mirror_tasks WHERE id = ?", (task.id,)) is None:
        return None  # the bucket is gone, or the task was begun anew
    spot = Spot() if task.position is None else _decode_spot(task.position)
    found = _next_of_bucket(tx, task.subject, row[0], spot, limit)
    for blob, _ in found:
        if blob is not None:
            want(tx, blob, task.copies)
    if not found and spot.phase == len(_PHASES) - 1:
        return None
    after = found[-1][1] if found else Spot(spot.phase + 1)
    counted = len(found) if _PHASES[spot.phase] == "history" or spot.phase == 0 else 0
    moved = msgspec.structs.replace(task, done=task.done + counted, position=_encode_spot(after))
    save(tx, moved)
    return moved


def _next_of_bucket(tx: Reader, bucket: int, log: int, spot: Spot, limit: int) -> list[tuple[int | None, Spot]]:
    phase = spot.phase
    match _PHASES[phase]:
        case "head":
            # The empty key is nobody's.
            rows = tx.rows(
                "SELECT blob, key FROM head WHERE log = ? AND key > ? ORDER BY key LIMIT ?", (log, spot.key, limit)
            )
            return [(blob, Spot(phase, key)) for blob, key in rows]
        case "history":
            rows = tx.rows(
                "SELECT blob, key, seq FROM history WHERE log = ? AND key = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (log, spot.key, spot.seq, limit),
            )
            found = [(blob, Spot(phase, key, seq)) for blob, key, seq in rows]
            if found:
                return found
            rows = tx.rows(
                "SELECT blob, key, seq FROM history WHERE log = ? AND key > ? ORDER BY key, seq DESC LIMIT ?",
                (log, spot.key, limit),
            )
            return [(blob, Spot(phase, key, seq)) for blob, key, seq in rows]
        case _:
            rows = tx.rows(
                """SELECT p.blob, p.upload, p.number FROM uploads u JOIN upload_parts p ON p.upload = u.id
                   WHERE u.bucket = ? AND (p.upload, p.number) > (?, ?) ORDER BY p.upload, p.number LIMIT ?""",
                (bucket, spot.upload, spot.number, limit),
            )
            return [(blob, Spot(phase, upload=upload, number=number)) for blob, upload, number in rows]


# --- a bucket asks for fewer: everything is counted anew --------------------------------------------------------------


def mark(tx: Transaction, after: int, limit: int) -> int | None:
    """Takes the next blobs that are wanted more than once into the count. Returns the last; None when all are."""
    return _negate(tx, "copies > 1", after, limit)


def unmark(tx: Transaction, after: int, limit: int) -> int | None:
    """Ends the count for the next blobs, whose number was right. Returns the last; None when none is left."""
    return _negate(tx, "copies < 0", after, limit)


def _negate(tx: Transaction, which: str, after: int, limit: int) -> int | None:
    found = list(
        tx.rows(f"SELECT id FROM blobs WHERE copies <> 1 AND {which} AND id > ? ORDER BY id LIMIT ?", (after, limit))
    )
    tx.execute_many("UPDATE blobs SET copies = -copies WHERE id = ?", found)
    return found[-1][0] if found else None


def too_many(tx: Reader, asked: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """The blobs in the count that nobody wants so many copies of, with how many are wanted.

    ``asked`` is what each bucket (by id) asks for that asks for more than one. Reads all versions of those buckets.
    """
    wanted = msgspec.json.encode([[bucket, copies] for bucket, copies in asked.items()]).decode()
    yield from tx.rows(
        """WITH asked (bucket, n) AS (SELECT value ->> 0, value ->> 1 FROM json_each(?)),
           direct (blob, n) AS (
               SELECT h.blob, a.n FROM asked a JOIN buckets b ON b.id = a.bucket JOIN head h ON h.log = b.log
               UNION ALL
               SELECT h.blob, a.n FROM asked a JOIN buckets b ON b.id = a.bucket JOIN history h ON h.log = b.log
               WHERE h.blob IS NOT NULL
               UNION ALL
               SELECT p.blob, a.n FROM asked a JOIN uploads u ON u.bucket = a.bucket
               JOIN upload_parts p ON p.upload = u.id),
           every (blob, n) AS (
               SELECT blob, n FROM direct
               UNION ALL SELECT p.source, d.n FROM direct d JOIN blob_parts p ON p.blob = d.blob)
           SELECT b.id, coalesce(w.n, 1) FROM blobs b
           LEFT JOIN (SELECT blob, max(n) AS n FROM every GROUP BY blob) w ON w.blob = b.id
           WHERE b.copies <> 1 AND b.copies < 0 AND coalesce(w.n, 1) < -b.copies""",
        (wanted,),
    )


def lower(tx: Transaction, wanted: Sequence[tuple[int, int]]) -> None:
    """Wants fewer copies of blobs, as far as they are still in the count."""
    for blob, copies in wanted:
        row = tx.one("SELECT folders, file FROM blobs WHERE id = ? AND copies < 0", (blob,))
        if row is None:
            continue
        tx.execute("UPDATE blobs SET copies = ? WHERE id = ?", (copies, blob))
        if row[1] is not None and row[0].bit_count() > copies:
            unsettle(tx, blob)


def mirrored_count(tx: Reader) -> int:
    """How many blobs are wanted more than once."""
    row = tx.one("SELECT count(*) FROM blobs WHERE copies <> 1")
    return 0 if row is None else row[0]
