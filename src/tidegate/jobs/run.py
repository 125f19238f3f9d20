"""What a kind of job works with: the rooms, and the job's own row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tidegate import errors
from tidegate.catalog import buckets, jobs
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.committing import conclude
from tidegate.catalog.jobs import Job, State, WorkedOn
from tidegate.clock import now
from tidegate.gateway.permissions import authorise
from tidegate.gateway.rooms import is_refusal
from tidegate.model import Bucket, Writer

if TYPE_CHECKING:
    from tidegate.catalog.blobs import Content
    from tidegate.gateway import Gateway


class StoppedError(Exception):
    """Somebody has ended the job, or another process has gone on with it."""


class Run:
    """A job that is being done. ``job`` is as of its last step."""

    def __init__(self, gateway: Gateway, data: Path, started: int, job: Job) -> None:
        self.gateway = gateway
        self.rooms = gateway.rooms
        self.data = data
        self.started = started
        self.job = job

    async def step(self, function: Callable[[Transaction, Job], Job], content: tuple[Content, ...] = ()) -> Job:
        """Does a step in a transaction that also takes down how far the job is: what the function returns.

        ``content`` is new, and removed where the step is refused. Raises ``StoppedError``, and as the function.
        """

        def work(tx: Transaction) -> Job:
            job = jobs.get(tx, self.job.id)
            if job.is_over or job.cursor != self.job.cursor:
                raise StoppedError
            after = function(tx, job)
            conclude(tx)
            if not after.is_over:
                jobs.save(tx, after)
            return after

        try:
            self.job = await self.rooms.hook_calls.write(work, self.job.kind)
        except (StoppedError, errors.Error) as error:
            # As in ``Rooms.commit``: where the outcome is not known, a sweep judges.
            if isinstance(error, StoppedError) or is_refusal(error):
                for each in content:
                    await self.rooms.receiver.discard(each)
            raise
        return self.job


def source(tx: Reader, job: Job, action: str, *, elsewhere: bool = False) -> Bucket:
    """The bucket that the job reads, if its starter may still do this. Raises as ``Rooms.bucket``."""
    return _bucket(tx, job, job.source, action, elsewhere=elsewhere)


def source_elsewhere(tx: Reader, job: Job, action: str) -> Bucket:
    """The same, for a job on what is cached of it. Raises ``InvalidArgument`` where no provider keeps it any more."""
    bucket = source(tx, job, action, elsewhere=True)
    if not bucket.is_elsewhere:
        raise errors.InvalidArgument(f'bucket "{bucket.identity.uri}" is not kept by another provider any more')
    return bucket


def destination(tx: Reader, job: Job, action: str = "s3:PutObject", *, elsewhere: bool = False) -> Bucket:
    """The bucket that the job writes. Raises as ``source``."""
    return written(job, _bucket(tx, job, job.destination, action, elsewhere=elsewhere))


def written(job: Job, bucket: Bucket) -> Bucket:
    """A bucket as the job writes it, in the name of who started it."""
    return buckets.writable(bucket, Writer(job.starter.name, job.starter.note))


def _bucket(tx: Reader, job: Job, worked_on: WorkedOn | None, action: str, *, elsewhere: bool = False) -> Bucket:
    if worked_on is None:
        raise errors.NoSuchBucket
    bucket = buckets.numbered(tx, worked_on.id, worked_on.name)
    authorise(job.starter, bucket, action, elsewhere=elsewhere)
    return bucket


def advanced(
    job: Job, cursor: bytes | None, *, objects: int = 0, size: int = 0, failures: int = 0, error: str = ""
) -> Job:
    """The job with more done."""
    return msgspec.structs.replace(
        job,
        cursor=cursor,
        objects=job.objects + objects,
        size=job.size + size,
        failures=job.failures + failures,
        error=job.error or error,
    )


def finished(tx: Transaction, job: Job) -> Job:
    """Ends a job that has done all it could."""
    summary = ""
    if job.failures:
        summary = f"{job.failures} of the objects failed; the first: {job.error}"
    return jobs.end(tx, job, State.FINISHED, now(), summary)


def failed(tx: Transaction, job: Job, reason: str) -> Job:
    """Ends a job over what it may not go on over."""
    return jobs.end(tx, job, State.FAILED, now(), reason)
