"""What must hold between the rows of a catalog, and where it does not.

Each check is a query whose rows are the exceptions, so nothing is held in memory but what is wrong. A check sees one
snapshot: beside writers it raises no false alarm. ``repair`` mends what can be mended without losing anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import StrEnum

import msgspec

from tidegate.catalog import commits, states
from tidegate.catalog.abc import Reader
from tidegate.catalog.blobs import Kind
from tidegate.catalog.fills import CHUNK
from tidegate.catalog.listing import END
from tidegate.model import NULL_VERSION


class Fault(StrEnum):
    """What can be wrong, by the name that a report gives it."""

    BLOB_MISSING = "blob-missing"
    RANGES_BROKEN = "ranges-broken"
    BYTES_MISSING = "bytes-missing"
    BYTES_DAMAGED = "bytes-damaged"
    COPY_DAMAGED = "copy-damaged"
    COPIES_MISSING = "copies-missing"
    BYTES_ORPHANED = "bytes-orphaned"
    RANGES_ORPHANED = "ranges-orphaned"
    PART_ORPHANED = "part-orphaned"
    INTENT_ORPHANED = "intent-orphaned"
    REFERENCES_WRONG = "references-wrong"
    GARBAGE_MISSING = "garbage-missing"
    GARBAGE_WRONG = "garbage-wrong"
    SIZE_WRONG = "size-wrong"
    MARKER_IN_HEAD = "marker-in-head"
    HEAD_OUTDATED = "head-outdated"
    HEAD_MISSING = "head-missing"
    NULL_TWICE = "null-twice"
    SEQUENCE_BEHIND = "sequence-behind"
    LOG_MISSING = "log-missing"
    LOG_ORPHANED = "log-orphaned"
    COUNTERS_WRONG = "counters-wrong"
    FORK_BROKEN = "fork-broken"
    COMMIT_WRONG = "commit-wrong"
    COMMIT_ORPHANED = "commit-orphaned"
    BRANCH_ORPHANED = "branch-orphaned"
    HOOK_ORPHANED = "hook-orphaned"
    KEY_ORPHANED = "key-orphaned"
    CHUNK_ORPHANED = "chunk-orphaned"
    PARTIAL_ORPHANED = "partial-orphaned"
    PARTIAL_WRONG = "partial-wrong"


class Problem(msgspec.Struct, frozen=True):
    """Something that does not hold, and as much of where as applies.

    ``key`` is UTF-8, as it is stored. ``off_by`` and ``bytes_off_by`` say how far a count is from what it should be:
    they stay true while others write, because a right transaction changes the count and what is counted alike.
    """

    fault: Fault
    detail: str
    log: int | None = None
    key: bytes | None = None
    seq: int | None = None
    version_id: str = ""
    upload: str = ""
    part: int | None = None
    blob: int | None = None
    access_key: str = ""
    partial: int | None = None
    since: int = 0
    off_by: int = 0
    bytes_off_by: int = 0


Check = Callable[[Reader], Iterator[Problem]]


def _sequence(tx: Reader) -> Iterator[Problem]:
    """The counter is ahead of every number that is in use."""
    row = tx.one(
        """SELECT (SELECT value FROM counters WHERE name = 'sequence'),
           max((SELECT coalesce(max(id), 0) FROM blobs), (SELECT coalesce(max(seq), 0) FROM head),
               (SELECT coalesce(max(seq), 0) FROM history), (SELECT coalesce(max(id), 0) FROM buckets),
               (SELECT coalesce(max(id), 0) FROM logs))"""
    )
    if row is not None and (row[0] or 0) < row[1]:
        yield Problem(Fault.SEQUENCE_BEHIND, f"the counter stands at {row[0]}, {row[1]} is in use", off_by=row[1])


def _null_twice(tx: Reader) -> Iterator[Problem]:
    """A key has one null version."""
    for log, key, seq in tx.rows(
        """SELECT o.log, o.key, o.seq FROM history o JOIN head h ON h.log = o.log AND h.key = o.key
           WHERE o.version_id IS NULL AND h.version_id IS NULL"""
    ):
        yield Problem(Fault.NULL_TWICE, "the key has two null versions", log, key, seq, NULL_VERSION)


def _marker_in_head(tx: Reader) -> Iterator[Problem]:
    """What is in head is an object."""
    for log, key, seq, version_id in tx.rows("SELECT log, key, seq, version_id FROM head WHERE blob IS NULL"):
        yield Problem(
            Fault.MARKER_IN_HEAD, "a delete marker is listed as an object", log, key, seq, version_id or NULL_VERSION
        )


def _head_outdated(tx: Reader) -> Iterator[Problem]:
    """What is in head is newer than all of its key's history."""
    for log, key, seq, version_id, newest in tx.rows(
        """SELECT h.log, h.key, h.seq, h.version_id, o.newest FROM
           (SELECT log, key, max(seq) AS newest FROM history GROUP BY log, key) o
           JOIN head h ON h.log = o.log AND h.key = o.key WHERE o.newest >= h.seq"""
    ):
        detail = f"its place in the log is {seq}, but there is a version at {newest}"
        yield Problem(Fault.HEAD_OUTDATED, detail, log, key, seq, version_id or NULL_VERSION)


def _head_missing(tx: Reader) -> Iterator[Problem]:
    """The newest version of a key that is in history is a delete marker, unless the key is in head."""
    for log, key, seq, version_id in tx.rows(
        """SELECT o.log, o.key, o.seq, o.version_id FROM
           (SELECT log, key, max(seq) AS newest FROM history GROUP BY log, key) n
           JOIN history o ON o.log = n.log AND o.key = n.key AND o.seq = n.newest
           WHERE o.blob IS NOT NULL AND NOT EXISTS (SELECT 1 FROM head h WHERE h.log = n.log AND h.key = n.key)"""
    ):
        detail = "the newest version is an object and is not listed"
        yield Problem(Fault.HEAD_MISSING, detail, log, key, seq, version_id or NULL_VERSION)


def _logs(tx: Reader) -> Iterator[Problem]:
    """A bucket has its log, and a log its bucket or its repository, unless that was destroyed and the log is being
    emptied. A log that forked has the commit that it forked from.
    """
    for name, log in tx.rows("SELECT name, log FROM buckets WHERE log NOT IN (SELECT id FROM logs)"):
        yield Problem(Fault.LOG_MISSING, f"the bucket {name} has no log", log)
    orphaned = {
        log
        for (log,) in tx.rows(
            """SELECT id FROM logs WHERE dropped = 0 AND id NOT IN (SELECT log FROM buckets)
               AND (repo IS NULL OR repo NOT IN (SELECT id FROM repos))"""
        )
    }
    for table in ("head", "history"):
        # From log to log by a seek each: there are few logs and many rows.
        found = tx.rows(
            f"""WITH RECURSIVE walk (log) AS (
                    SELECT min(log) FROM {table}
                    UNION ALL SELECT (SELECT min(log) FROM {table} v WHERE v.log > walk.log) FROM walk
                    WHERE walk.log IS NOT NULL)
                SELECT log FROM walk WHERE log IS NOT NULL AND log NOT IN (SELECT log FROM buckets)
                AND log NOT IN (SELECT id FROM logs WHERE dropped = 1 OR repo IN (SELECT id FROM repos))"""
        )
        orphaned.update(log for (log,) in found)
    for log in sorted(orphaned):
        yield Problem(Fault.LOG_ORPHANED, f"no bucket names the log {log}", log)
    for log, parent, fork in tx.rows(
        """SELECT id, parent, fork FROM logs l WHERE dropped = 0 AND parent IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM commits c WHERE c.seq = l.fork AND c.log = l.parent)"""
    ):
        yield Problem(Fault.FORK_BROKEN, f"forked from {parent} at {fork}, where there is no commit", log)


def _counters(tx: Reader) -> Iterator[Problem]:
    """A log counts its objects and their bytes."""
    for log, objects, size, has_objects, has_size in tx.rows(
        """SELECT l.id, l.objects, l.bytes, coalesce(c.objects, 0), coalesce(c.bytes, 0) FROM logs l LEFT JOIN
           (SELECT log, count(*) AS objects, sum(size) AS bytes FROM head GROUP BY log) c ON c.log = l.id
           WHERE l.dropped = 0 AND l.repo IS NULL
               AND (l.objects <> coalesce(c.objects, 0) OR l.bytes <> coalesce(c.bytes, 0))"""
    ):
        detail = f"counts {objects} objects of {size} bytes, and has {has_objects} of {has_size}"
        yield Problem(Fault.COUNTERS_WRONG, detail, log, off_by=has_objects - objects, bytes_off_by=has_size - size)


def _commits(tx: Reader) -> Iterator[Problem]:
    """The newest commit of a log counts what is in it. Commits and changes are of a log, branches are buckets, and
    hooks are of a repository.
    """
    newest = "SELECT log, max(seq) FROM commits WHERE log NOT IN (SELECT log FROM rewrites) GROUP BY log"
    for log, seq in list(tx.rows(newest)):
        point = commits.last(tx, commits.chain(tx, log, seq))
        if point is None:
            continue
        objects = size = 0
        for row in states.objects(tx, commits.chain(tx, log, seq), b"", END):
            objects, size = objects + 1, size + row[3]
        if (objects, size) != (point.objects, point.size):
            detail = (
                f"commit {point.id} counts {point.objects} objects of {point.size} bytes, and has {objects} of {size}"
            )
            yield Problem(
                Fault.COMMIT_WRONG, detail, log, seq=seq, off_by=objects - point.objects, bytes_off_by=size - point.size
            )
    for table in ("commits", "changes", "rewrites"):
        for log, seq in tx.rows(
            f"SELECT log, min(seq) FROM {table} WHERE log NOT IN (SELECT id FROM logs) GROUP BY log"
        ):
            yield Problem(Fault.COMMIT_ORPHANED, f"{table} of a log that does not exist", log, seq=seq)
    for bucket, name in tx.rows(
        "SELECT bucket, name FROM branches WHERE bucket NOT IN (SELECT id FROM buckets WHERE repo IS NOT NULL)"
    ):
        yield Problem(Fault.BRANCH_ORPHANED, f"the branch {name} has no bucket", seq=bucket)
    for hook, name in tx.rows("SELECT id, name FROM hooks WHERE repo NOT IN (SELECT id FROM repos)"):
        yield Problem(Fault.HOOK_ORPHANED, f"the hook {name} is of no repository", seq=hook)


def _orphans(tx: Reader) -> Iterator[Problem]:
    """Ranges belong to a blob, parts to an upload under way, bytes to an inline blob, access keys to a user."""
    for (blob,) in tx.rows(
        "SELECT DISTINCT blob FROM blob_parts p WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE id = p.blob)"
    ):
        yield Problem(Fault.RANGES_ORPHANED, "ranges of a blob that does not exist", blob=blob)
    for upload, number, blob in tx.rows(
        """SELECT p.upload, p.number, p.blob FROM upload_parts p
           WHERE NOT EXISTS (SELECT 1 FROM uploads u WHERE u.id = p.upload AND u.completed IS NULL)"""
    ):
        detail = "a part of an upload that is not under way"
        yield Problem(Fault.PART_ORPHANED, detail, upload=upload, part=number, blob=blob)
    for (blob,) in tx.rows(
        """SELECT s.id FROM small_blobs s
           WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = s.id AND b.kind = ?)""",
        (Kind.INLINE,),
    ):
        yield Problem(Fault.BYTES_ORPHANED, "bytes that no blob names", blob=blob)
    for key, user in tx.rows("SELECT id, user FROM access_keys WHERE user NOT IN (SELECT name FROM users)"):
        yield Problem(Fault.KEY_ORPHANED, f"an access key of {user}, who does not exist", access_key=key)


def _partials(tx: Reader) -> Iterator[Problem]:
    """What has arrived of another provider's object belongs to a partial of a bucket, whose chunks are what they should
    be and are counted.
    """
    for (partial,) in tx.rows("SELECT DISTINCT partial FROM fills WHERE partial NOT IN (SELECT id FROM partials)"):
        yield Problem(Fault.CHUNK_ORPHANED, "chunks of an object that is not arriving", partial=partial)
    for partial, log, key in tx.rows(
        """SELECT id, log, key FROM partials WHERE log NOT IN (SELECT log FROM buckets)
           AND log NOT IN (SELECT id FROM logs WHERE dropped = 1)"""
    ):
        yield Problem(Fault.PARTIAL_ORPHANED, "an object arrives in no bucket", log, key, partial=partial)
    for partial, log, key, missing, has in tx.rows(
        """SELECT p.id, p.log, p.key, p.missing, coalesce(f.has, 0) FROM partials p LEFT JOIN (
               SELECT f.partial, count(*) AS has,
                   sum(b.id IS NULL OR b.size <> min(?1, p.size - f.number * ?1)) AS wrong
               FROM fills f JOIN partials p ON p.id = f.partial LEFT JOIN blobs b ON b.id = f.blob
               WHERE f.blob IS NOT NULL GROUP BY f.partial) f ON f.partial = p.id
           WHERE f.wrong OR coalesce(f.has, 0) + p.missing
               <> CASE WHEN p.remote IS NULL THEN 0 ELSE (p.size + ?1 - 1) / ?1 END""",
        (CHUNK,),
    ):
        detail = f"{has} chunks of an arriving object are here, {missing} are said to be missing, or one is wrong"
        yield Problem(Fault.PARTIAL_WRONG, detail, log, key, partial=partial)


def _intents(tx: Reader) -> Iterator[Problem]:
    """A write that is on its way to another provider, or in doubt, is one of a bucket."""
    for log, key in tx.rows(
        """SELECT log, key FROM intents WHERE log NOT IN (SELECT log FROM buckets)
           AND log NOT IN (SELECT id FROM logs WHERE dropped = 1)"""
    ):
        yield Problem(Fault.INTENT_ORPHANED, "a write of an object in no bucket", log, key)


def _references(tx: Reader) -> Iterator[Problem]:
    """A blob counts what refers to it. A reference to none is found where it stands."""
    for blob, counted, refs in tx.rows(
        """SELECT blob, sum(counted), sum(refs) FROM (
               SELECT blob, 1 AS counted, 0 AS refs, 0 AS present FROM head WHERE blob IS NOT NULL
               UNION ALL SELECT blob, 1, 0, 0 FROM history WHERE blob IS NOT NULL
               UNION ALL SELECT blob, 1, 0, 0 FROM upload_parts
               UNION ALL SELECT blob, 1, 0, 0 FROM fills WHERE blob IS NOT NULL
               UNION ALL SELECT source, 1, 0, 0 FROM blob_parts
               UNION ALL SELECT id, 0, refs, 1 FROM blobs)
           GROUP BY blob HAVING sum(counted) <> sum(refs) AND sum(present)"""
    ):
        detail = f"counts {refs} references, and has {counted}"
        yield Problem(Fault.REFERENCES_WRONG, detail, blob=blob, off_by=counted - refs)


def _garbage(tx: Reader) -> Iterator[Problem]:
    """What nothing refers to is garbage, and nothing else is."""
    for (blob,) in tx.rows("SELECT id FROM blobs WHERE refs <= 0 AND id NOT IN (SELECT blob FROM garbage)"):
        yield Problem(Fault.GARBAGE_MISSING, "nothing refers to it, and it is not marked as garbage", blob=blob)
    for since, blob in tx.rows(
        "SELECT since, blob FROM garbage g WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = g.blob AND b.refs <= 0)"
    ):
        yield Problem(Fault.GARBAGE_WRONG, "marked as garbage, but in use or not there at all", blob=blob, since=since)


def _versions(tx: Reader) -> Iterator[Problem]:
    """A version points at a blob that exists and has the version's size. So does a part of an upload."""
    for table in ("head", "history"):
        for log, key, seq, version_id, blob, size, has in tx.rows(
            f"""SELECT v.log, v.key, v.seq, v.version_id, v.blob, v.size, b.size
                FROM {table} v LEFT JOIN blobs b ON b.id = v.blob
                WHERE v.blob IS NOT NULL AND (b.id IS NULL OR b.size <> v.size)"""
        ):
            fault, detail = _content(blob, size, has)
            yield Problem(fault, detail, log, key, seq, version_id or NULL_VERSION, blob=blob)
    for upload, number, blob, size, has in tx.rows(
        """SELECT p.upload, p.number, p.blob, p.size, b.size FROM upload_parts p LEFT JOIN blobs b ON b.id = p.blob
           WHERE b.id IS NULL OR b.size <> p.size"""
    ):
        fault, detail = _content(blob, size, has)
        yield Problem(fault, detail, upload=upload, part=number, blob=blob)


def _content(blob: int, size: int, has: int | None) -> tuple[Fault, str]:
    if has is None:
        return Fault.BLOB_MISSING, f"its content, blob {blob}, does not exist"
    return Fault.SIZE_WRONG, f"its size is said to be {size}, and is {has}"


def _blobs(tx: Reader) -> Iterator[Problem]:
    """A blob is complete: an inline one has its bytes, a file its name, a composed one ranges that make all of it."""
    for blob, size, has in tx.rows(
        """SELECT b.id, b.size, length(s.data) FROM blobs b LEFT JOIN small_blobs s ON s.id = b.id
           WHERE b.kind = ? AND (s.id IS NULL OR length(s.data) <> b.size OR b.digest IS NULL) AND b.refs > 0""",
        (Kind.INLINE,),
    ):
        detail = "its bytes are gone" if has is None else f"it has {has} bytes instead of {size}"
        yield Problem(Fault.BYTES_MISSING, detail, blob=blob)
    for (blob,) in tx.rows(
        "SELECT id FROM blobs WHERE kind = ? AND (file IS NULL OR digest IS NULL) AND refs > 0", (Kind.FILE,)
    ):
        yield Problem(Fault.BYTES_MISSING, "its file has no name or no checksum", blob=blob)
    for blob, kind in tx.rows("SELECT id, kind FROM blobs WHERE kind NOT BETWEEN 0 AND ? AND refs > 0", (max(Kind),)):
        yield Problem(Fault.BYTES_MISSING, f"a blob of a kind that is none: {kind}", blob=blob)
    for blob, size, total in tx.rows(
        """SELECT b.id, b.size, coalesce(r.total, 0) FROM blobs b LEFT JOIN (
               SELECT blob, sum(length) AS total, sum(wrong) AS wrong FROM (
                   SELECT p.blob, p.length,
                       s.id IS NULL OR s.kind = ?1 OR p.length <= 0 OR p.start < 0 OR p.start + p.length > s.size
                       OR p.offset <> lag(p.offset + p.length, 1, 0) OVER each_blob AS wrong
                   FROM blob_parts p LEFT JOIN blobs s ON s.id = p.source
                   WINDOW each_blob AS (PARTITION BY p.blob ORDER BY p.offset))
               GROUP BY blob) r ON r.blob = b.id
           WHERE b.kind = ?1 AND b.refs > 0 AND (coalesce(r.total, 0) <> b.size OR r.wrong)""",
        (Kind.COMPOSED,),
    ):
        detail = f"the ranges that it is made of, {total} bytes, are not {size} bytes without a gap"
        yield Problem(Fault.RANGES_BROKEN, detail, blob=blob)


# In the order in which repairs build on each other: rows get into the right table before they are counted, and orphans
# let go of their blobs before references are.
CHECKS: tuple[Check, ...] = (
    _sequence,
    _null_twice,
    _marker_in_head,
    _head_outdated,
    _head_missing,
    _logs,
    _counters,
    _commits,
    _orphans,
    _partials,
    _intents,
    _references,
    _garbage,
    _versions,
    _blobs,
)


class Place(msgspec.Struct, frozen=True):
    """Where a client finds something: a version of a key, or a part of an upload. Empty where it is in no bucket."""

    bucket: str = ""
    key: str = ""
    version_id: str = ""
    upload_id: str = ""
    part: int | None = None


def place(tx: Reader, problem: Problem) -> Place:
    """Where a problem is, as a client says it."""
    if problem.upload:
        return _part_place(tx, problem.upload, problem.part)
    if problem.log is None:
        return Place()
    row = tx.one("SELECT name FROM buckets WHERE log = ?", (problem.log,))
    return Place("" if row is None else row[0], _text(problem.key or b""), problem.version_id)


def _part_place(tx: Reader, upload: str, part: int | None) -> Place:
    row = tx.one("SELECT b.name, u.key FROM uploads u LEFT JOIN buckets b ON b.id = u.bucket WHERE u.id = ?", (upload,))
    bucket, key = ("", b"") if row is None else (row[0] or "", row[1])
    return Place(bucket, _text(key), upload_id=upload, part=part)


def places(tx: Reader, blobs: Collection[int]) -> Iterator[tuple[int, Place]]:
    """Who would read the bytes of these blobs: each blob with a version or part that needs it. Reads the whole catalog
    once.
    """
    needed = {blob: [blob] for blob in blobs}
    for composed, source in tx.rows("SELECT DISTINCT blob, source FROM blob_parts"):
        if source in blobs:
            needed.setdefault(composed, []).append(source)
    names: dict[int, str] = dict(tx.rows("SELECT log, name FROM buckets"))
    for table in ("head", "history"):
        for log, key, version_id, blob in tx.rows(
            f"SELECT log, key, version_id, blob FROM {table} WHERE blob IS NOT NULL"
        ):
            for damaged in needed.get(blob, ()):
                yield damaged, Place(names.get(log, ""), _text(key), version_id or NULL_VERSION)
    for log, key, blob in tx.rows(
        "SELECT p.log, p.key, f.blob FROM fills f JOIN partials p ON p.id = f.partial WHERE f.blob IS NOT NULL"
    ):
        for damaged in needed.get(blob, ()):
            yield damaged, Place(names.get(log, ""), _text(key))
    for upload, number, blob in tx.rows("SELECT upload, number, blob FROM upload_parts"):
        for damaged in needed.get(blob, ()):
            yield damaged, _part_place(tx, upload, number)


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
