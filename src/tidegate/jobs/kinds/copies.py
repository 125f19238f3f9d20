"""``make-n-copies``: waits until the objects of a bucket are in as many data folders as its property asks for.

The copies are made by the mirror job; see ``jobs/mirror.py``.
"""

from __future__ import annotations

import asyncio

import msgspec

from tidegate.catalog import copies
from tidegate.catalog.abc import Transaction
from tidegate.catalog.jobs import Job
from tidegate.clock import now
from tidegate.gateway.assignments import MakeCopies
from tidegate.jobs.run import Run, finished, source

LOOK_SECONDS = 0.5


async def make_copies(run: Run, task: MakeCopies) -> None:
    """Looks every now and then."""
    del task  # the bucket's property says it
    while True:
        await run.step(_look)
        if run.job.is_over:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _look(tx: Transaction, job: Job) -> Job:
    bucket = source(tx, job, "ais:PatchBucket")
    for task in copies.tasks(tx):
        if task.kind is copies.TaskKind.BUCKET and task.subject == bucket.id:
            return msgspec.structs.replace(job, objects=task.done, total=task.total)
    if copies.due(tx, now(), 1):
        return job
    return finished(tx, msgspec.structs.replace(job, objects=job.total or job.objects))
