"""``copy-bck`` and ``copy-listrange``: objects of one bucket into another. No byte is read or copied."""

from __future__ import annotations

from functools import partial

from tidegate.catalog import versions
from tidegate.catalog.abc import Transaction
from tidegate.catalog.jobs import Job
from tidegate.clock import now
from tidegate.gateway.assignments import Copy
from tidegate.gateway.copying import draft_of_copy
from tidegate.gateway.selection import check_key
from tidegate.jobs.kinds import walk
from tidegate.jobs.run import Run, destination, source
from tidegate.model import Version


async def copy(run: Run, task: Copy) -> None:
    """Copies what there is to copy."""
    while not run.job.is_over:
        await run.step(partial(_some, task=task))


def _some(tx: Transaction, job: Job, task: Copy) -> Job:
    bucket = source(tx, job, "s3:GetObject")
    goal = None if task.is_dry_run else destination(tx, job)
    moment = now()

    def act(version: Version) -> None:
        key = task.renaming.name(version.key)
        check_key(key)
        if goal is not None:
            versions.put(tx, goal, key, draft_of_copy(version, goal, moment))

    return walk.each(tx, job, bucket, task.selection, act, until=task.until, goes_on=task.goes_on, needs_all=True)
