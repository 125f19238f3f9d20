"""``delete-listrange``: deletes objects of a bucket."""

from __future__ import annotations

from functools import partial

from tidegate.catalog import versions
from tidegate.catalog.abc import Transaction
from tidegate.catalog.jobs import Job
from tidegate.clock import now
from tidegate.gateway.assignments import Delete
from tidegate.jobs.kinds import walk
from tidegate.jobs.run import Run, source
from tidegate.model import Version


async def delete(run: Run, task: Delete) -> None:
    """Deletes what there is to delete."""
    while not run.job.is_over:
        await run.step(partial(_some, task=task))


def _some(tx: Transaction, job: Job, task: Delete) -> Job:
    bucket = source(tx, job, "s3:DeleteObject")
    moment = now()

    def act(version: Version) -> None:
        versions.delete(tx, bucket, version.key, moment)

    return walk.each(tx, job, bucket, task.selection, act, until=task.until, goes_on=task.goes_on, needs_all=False)
