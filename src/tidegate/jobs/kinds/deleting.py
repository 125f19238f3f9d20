"""``delete-listrange``: deletes objects of a bucket."""

from __future__ import annotations

from functools import partial

from tidegate.catalog import versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.jobs import Job
from tidegate.clock import now
from tidegate.gateway.assignments import Delete
from tidegate.gateway.objects import Deletion
from tidegate.jobs.kinds import apart, walk
from tidegate.jobs.run import Run, source, written
from tidegate.model import Bucket, Version


async def delete(run: Run, task: Delete) -> None:
    """Deletes what there is to delete. At a remote it is not looked at first, so that one that is not there counts."""

    def find(tx: Reader) -> Bucket:
        return source(tx, run.job, "s3:DeleteObject", elsewhere=True)

    async def act(bucket: Bucket, key: str) -> int:
        await run.gateway.objects.delete(run.job.starter, bucket.identity, Deletion(key))
        return 0

    if (await run.rooms.catalog.read(find)).is_elsewhere:
        await apart.each(run, task.selection, find, act, goes_on=task.goes_on)
    while not run.job.is_over:
        await run.step(partial(_some, task=task))


def _some(tx: Transaction, job: Job, task: Delete) -> Job:
    bucket = written(job, source(tx, job, "s3:DeleteObject"))
    moment = now()

    def act(version: Version) -> None:
        versions.delete(tx, bucket, version.key, moment)

    return walk.each(tx, job, bucket, task.selection, act, until=task.until, goes_on=task.goes_on, needs_all=False)
