"""``evict-listrange``: forgets what is cached of another provider's bucket; and ``lru``, which does so where a disk is
too full.
"""

from __future__ import annotations

from functools import partial

from tidegate.catalog import eviction
from tidegate.catalog.abc import Transaction
from tidegate.catalog.jobs import Job
from tidegate.clock import now
from tidegate.gateway.assignments import Evict, Nothing
from tidegate.gateway.selection import Prefix
from tidegate.jobs.eviction import evict as evict_by_watermarks
from tidegate.jobs.kinds.walk import Spot, cursor, spot_of
from tidegate.jobs.run import Run, advanced, finished, source_elsewhere

# Keys that are looked at in one transaction.
STEP = 200
# Blobs that are let go of in one: an object that is not all here has one for each 8 MiB.
MAX_BLOBS = 2000


async def evict(run: Run, task: Evict) -> None:
    """Forgets what there is to forget."""
    while not run.job.is_over:
        await run.step(partial(_some, task=task))


async def evict_least_used(run: Run, task: Nothing) -> None:
    """Makes room where that is needed. Counts objects, and the bytes that they take."""
    del task
    done = await evict_by_watermarks(run.rooms, run.data)
    await run.step(lambda tx, job: finished(tx, advanced(job, None, objects=done.objects, size=done.size)))


def _some(tx: Transaction, job: Job, task: Evict) -> Job:
    bucket = source_elsewhere(tx, job, "s3:DeleteObject")
    spot, selection, moment = spot_of(job), task.selection, now()
    if isinstance(selection, Prefix):
        keys = eviction.cached_keys(tx, bucket, selection.prefix, spot.key, STEP)
        is_last = len(keys) < STEP
    else:
        keys = selection.part(spot.index, STEP)
        is_last = spot.index + len(keys) >= selection.count
    objects = size = blobs = 0
    for key in keys:
        if blobs >= MAX_BLOBS:
            is_last = False
            break
        evicted = eviction.evict(tx, bucket, key, moment)
        if evicted is not None:
            objects += 1
            size += evicted.size
            blobs += evicted.blobs
        spot = Spot(spot.index + 1, key if isinstance(selection, Prefix) else "")
    job = advanced(job, cursor(spot), objects=objects, size=size)
    return finished(tx, job) if is_last else job
