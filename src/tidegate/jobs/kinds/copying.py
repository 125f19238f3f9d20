"""``copy-bck`` and ``copy-listrange``: objects of one bucket into another.

Between buckets of ours no byte is read or copied. Where another provider keeps one side the bytes go through here, but
within that provider's bucket, which copies itself.
"""

from __future__ import annotations

from functools import partial

from tidegate.catalog import versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.jobs import Job
from tidegate.clock import now
from tidegate.gateway.assignments import Copy
from tidegate.gateway.copying import Source, draft_of_copy
from tidegate.gateway.remote.listing import RemoteListing
from tidegate.gateway.selection import Prefix, check_key
from tidegate.jobs.kinds import apart, walk
from tidegate.jobs.kinds.walk import Spot, cursor, spot_of
from tidegate.jobs.run import Run, advanced, destination, finished, source
from tidegate.model import Bucket, Version


async def copy(run: Run, task: Copy) -> None:
    """Copies what there is to copy."""
    if await run.rooms.catalog.read(lambda tx: _is_elsewhere(tx, run.job, task)):
        if task.is_dry_run and isinstance(task.selection, Prefix):
            await _count(run, task.selection.prefix)
        else:
            await _copy_apart(run, task)
        return
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


def _is_elsewhere(tx: Reader, job: Job, task: Copy) -> bool:
    """Whether another provider keeps one of the two; of a dry run, what is read."""
    if _source(tx, job).is_elsewhere:
        return True
    return not task.is_dry_run and destination(tx, job, elsewhere=True).is_elsewhere


def _source(tx: Reader, job: Job) -> Bucket:
    return source(tx, job, "s3:GetObject", elsewhere=True)


async def _copy_apart(run: Run, task: Copy) -> None:
    gateway, starter = run.gateway, run.job.starter

    async def act(bucket: Bucket, key: str) -> int:
        name = task.renaming.name(key)
        check_key(name)
        if task.is_dry_run:
            return (await gateway.objects.head(starter, bucket.identity, key)).size
        goal = await run.rooms.catalog.read(lambda tx: destination(tx, run.job, elsewhere=True))
        copied = await gateway.copying.copy(starter, Source(bucket.identity, key), goal.identity, name)
        return copied.version.size

    await apart.each(run, task.selection, lambda tx: _source(tx, run.job), act, goes_on=task.goes_on)


async def _count(run: Run, prefix: str) -> None:
    """A dry run over what a remote lists: that tells the sizes too."""
    listing = RemoteListing(run.rooms)
    while not run.job.is_over:
        bucket = await run.rooms.catalog.read(lambda tx: _source(tx, run.job))
        after = spot_of(run.job).key
        page = await listing.page(bucket, prefix=prefix, delimiter="", after=after, limit=apart.PAGE)
        size = sum(entry.size for entry in page.entries)
        spot = Spot(0, page.last or "")

        def counted(tx: Transaction, job: Job, *, count: int, size: int, spot: Spot) -> Job:
            _source(tx, job)
            job = advanced(job, cursor(spot), objects=count, size=size)
            return job if spot.key else finished(tx, job)

        await run.step(partial(counted, count=len(page.entries), size=size, spot=spot))
