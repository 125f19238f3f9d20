"""Jobs that somebody has started: what is to be done, how far it is, and how it ended.

A job's row changes in the transaction that does a step of its work, so that row and work agree at every moment. Only a
job that has not ended may do a step: who stops a job ends it, and nothing is written for it from then on.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tidegate import errors
from tidegate.access import Access, Grants
from tidegate.catalog import uploads
from tidegate.catalog.abc import Reader, Row, Transaction
from tidegate.model import Principal
from tidegate.names import BucketName


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    ABORTED = "aborted"  # somebody stopped it
    FAILED = "failed"


class WorkedOn(msgspec.Struct, frozen=True, array_like=True):
    """A bucket that a job works on: that one, even if another gets its name. ``name`` is the one that it had."""

    id: int
    name: BucketName


class Job(msgspec.Struct, frozen=True):
    """A job. Times are in microseconds.

    ``objects``, their ``size`` in bytes, and ``failures`` count what was done, ``total`` is how many objects there are
    to do, where that is known. ``cursor`` is the kind's own note of how far it is. ``upload`` is a multipart upload
    that the job is filling. A job that finished has an ``error`` where it went on over failures.
    """

    id: str
    kind: str
    state: State
    starter: Principal
    source: WorkedOn | None
    destination: WorkedOn | None
    created: int
    started: int | None = None
    ended: int | None = None
    objects: int = 0
    size: int = 0
    total: int | None = None
    failures: int = 0
    error: str = ""
    cursor: bytes | None = None
    upload: str | None = None

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    @property
    def has_finished(self) -> bool:
        """Whether it did all it could."""
        return self.state is State.FINISHED


class _Starter(msgspec.Struct, array_like=True):
    """A principal as it is stored."""

    id: str
    name: str
    is_admin: bool
    everywhere: int | None
    buckets: list[tuple[BucketName, int]]


_encode = msgspec.msgpack.Encoder().encode
_decode_starter = msgspec.msgpack.Decoder(_Starter).decode
_decode_bucket = msgspec.msgpack.Decoder(WorkedOn).decode

_COLUMNS = (
    "id, kind, state, starter, source, destination, created, started, ended, objects, bytes, total, failures, error, "
    "cursor, upload"
)


def _pack(principal: Principal) -> bytes:
    grants = principal.grants
    return _encode(
        _Starter(
            principal.id,
            principal.name,
            principal.is_admin,
            None if grants is None else int(grants.cluster),
            [] if grants is None else [(bucket, int(access)) for bucket, access in grants.buckets.items()],
        )
    )


def _unpack(data: bytes) -> Principal:
    starter = _decode_starter(data)
    grants = None
    if starter.everywhere is not None:
        grants = Grants(Access(starter.everywhere), {bucket: Access(bits) for bucket, bits in starter.buckets})
    return Principal(starter.id, starter.name, starter.is_admin, grants)


def _job(row: Row) -> Job:
    number, kind, state, starter, source, destination, *rest = row
    return Job(
        number,
        kind,
        State(state),
        _unpack(starter),
        None if source is None else _decode_bucket(source),
        None if destination is None else _decode_bucket(destination),
        *rest,
    )


def add(tx: Transaction, job: Job, arguments: bytes) -> None:
    """Takes a job down. Whoever does the work sees it at once."""
    tx.touch_names()
    tx.execute(
        f"INSERT INTO jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job.id, job.kind, job.state, _pack(job.starter),
            None if job.source is None else _encode(job.source),
            None if job.destination is None else _encode(job.destination),
            job.created, job.started, job.ended, job.objects, job.size, job.total, job.failures, job.error, job.cursor,
            job.upload,
        ),
    )  # fmt: skip
    tx.execute("INSERT INTO job_arguments (job, arguments) VALUES (?, ?)", (job.id, arguments))


def get(tx: Reader, job_id: str) -> Job:
    """Raises ``NoSuchJob``."""
    row = tx.one(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,))
    if row is None:
        raise errors.NoSuchJob(f'job "{job_id}" does not exist')
    return _job(row)


def arguments(tx: Reader, job_id: str) -> bytes:
    """What the job was started with. Raises ``NoSuchJob``."""
    row = tx.one("SELECT arguments FROM job_arguments WHERE job = ?", (job_id,))
    if row is None:
        raise errors.NoSuchJob(f'job "{job_id}" does not exist')
    data: bytes = row[0]
    return data


def pending(tx: Reader) -> list[str]:
    """The ids of the jobs that have not ended, in the order in which they were started."""
    return [job_id for (job_id,) in tx.rows("SELECT id FROM jobs WHERE ended IS NULL ORDER BY created, id")]


def newest(tx: Reader, limit: int, kind: str = "", *, only_pending: bool = False) -> list[Job]:
    """Jobs, the newest first; of one kind where that is given."""
    rows = tx.rows(
        f"""SELECT {_COLUMNS} FROM jobs WHERE (?1 = '' OR kind = ?1) AND (NOT ?2 OR ended IS NULL)
            ORDER BY created DESC, id LIMIT ?3""",
        (kind, int(only_pending), limit),
    )
    return [_job(row) for row in rows]


def counts(tx: Reader) -> tuple[int, int]:
    """How many jobs run, and how many wait to."""
    row = tx.one(
        "SELECT count(*) FILTER (WHERE state = ?), count(*) FILTER (WHERE state = ?) FROM jobs WHERE ended IS NULL",
        (State.RUNNING, State.QUEUED),
    )
    return (0, 0) if row is None else (row[0], row[1])


def save(tx: Transaction, job: Job) -> None:
    """Takes down how far a job is."""
    tx.execute(
        """UPDATE jobs SET state = ?, started = ?, objects = ?, bytes = ?, total = ?, failures = ?, error = ?,
           cursor = ?, upload = ? WHERE id = ?""",
        (
            job.state, job.started, job.objects, job.size, job.total, job.failures, job.error, job.cursor, job.upload,
            job.id,
        ),
    )  # fmt: skip


def end(tx: Transaction, job: Job, state: State, now: int, error: str = "") -> Job:
    """Ends a job, whatever it had reached. An upload that it was filling goes, unless it finished."""
    tx.touch_names()
    if job.upload is not None and state is not State.FINISHED:
        uploads.drop(tx, job.upload, now)
    over = msgspec.structs.replace(job, state=state, ended=now, error=error or job.error, cursor=None, upload=None)
    save(tx, over)
    tx.execute("UPDATE jobs SET ended = ? WHERE id = ?", (now, job.id))
    tx.execute("UPDATE job_arguments SET arguments = x'' WHERE job = ?", (job.id,))
    return over


def forget(tx: Transaction, ended_before: int, keep: int, limit: int) -> int:
    """Forgets up to ``limit`` jobs that ended before a time, or are not among the ``keep`` newest. Returns how many."""
    gone = list(
        tx.rows(
            """SELECT id FROM jobs WHERE ended IS NOT NULL AND (ended < ?1 OR created < coalesce(
                   (SELECT created FROM jobs WHERE ended IS NOT NULL ORDER BY created DESC LIMIT 1 OFFSET ?2), 0))
               ORDER BY created LIMIT ?3""",
            (ended_before, keep - 1, limit),
        )
    )
    tx.execute_many("DELETE FROM job_arguments WHERE job = ?", gone)
    tx.execute_many("DELETE FROM jobs WHERE id = ?", gone)
    return len(gone)
