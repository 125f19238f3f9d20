"""``prefetch-listrange``: reads objects of another provider's bucket that are not cached, several at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial

import msgspec

from tidegate import errors
from tidegate.catalog.abc import Transaction
from tidegate.catalog.jobs import Job
from tidegate.gateway.assignments import Prefetch
from tidegate.gateway.remote.fetching import fetch
from tidegate.gateway.remote.listing import RemoteListing
from tidegate.gateway.selection import Names, Prefix
from tidegate.jobs.kinds.walk import Spot, cursor, spot_of
from tidegate.jobs.run import Run, advanced, failed, finished, source_elsewhere
from tidegate.model import Bucket

# Objects that a job reads at once: a quarter of the requests that an upstream makes, so that readers have room.
AT_ONCE = 16
# Objects that are begun or waiting while the first of them is not done. A large one holds up no others for long.
WINDOW = 512
# Keys that are asked for at once: what a page of Amazon's has.
PAGE = 1000
# How often the job's row tells how far it is, and whether somebody has stopped it is looked at.
STEP_SECONDS = 0.5


class _Outcome(msgspec.Struct, frozen=True):
    """What came of an object: its ``size`` where it was read, None where there was nothing to do, or an ``error``."""

    size: int | None = None
    error: str = ""


class _Keys:
    """The keys that are selected, from a spot on, each with the spot after it."""

    def __init__(self, run: Run, task: Prefetch) -> None:
        self._listing = RemoteListing(run.rooms)
        self._selection = task.selection
        self._spot = spot_of(run.job)
        self.is_over = False

    async def next(self, bucket: Bucket) -> Sequence[tuple[str, Spot]]:
        """Some of them. Of a prefix they are those that the remote lists."""
        if isinstance(self._selection, Prefix):
            page = await self._listing.page(
                bucket, prefix=self._selection.prefix, delimiter="", after=self._spot.key, limit=PAGE
            )
            found = [(entry.key, Spot(0, entry.key)) for entry in page.entries]
            self.is_over = page.last is None
        else:
            first = self._spot.index
            names = self._selection.part(first, PAGE)
            found = [(name, Spot(index)) for index, name in enumerate(names, first + 1)]
            self.is_over = first + len(found) >= self._selection.count
        if found:
            self._spot = found[-1][1]
        return found


async def prefetch(run: Run, task: Prefetch) -> None:
    """Reads what there is to read.

    The job is as far as all before it is done; what was read of what comes after is cached, and is found so when the
    job is gone on with.
    """
    keys = _Keys(run, task)
    places = asyncio.Semaphore(AT_ONCE)
    found: deque[tuple[str, Spot]] = deque()
    window: deque[tuple[Spot, asyncio.Task[_Outcome]]] = deque()
    try:
        while not run.job.is_over:
            bucket = await run.rooms.catalog.read(lambda tx: source_elsewhere(tx, run.job, "s3:GetObject"))
            while len(window) < WINDOW and (found or not keys.is_over):
                if not found:
                    found.extend(await keys.next(bucket))
                    continue
                key, after = found.popleft()
                window.append((after, asyncio.create_task(_fetch(run, task, bucket, key, places))))
            if window:
                is_last = keys.is_over and not found
                awaited = window[-1 if is_last else len(window) // 2][1]
                await asyncio.wait([awaited], timeout=STEP_SECONDS)
            spot, outcomes = spot_of(run.job), []
            while window and window[0][1].done():
                spot, done = window.popleft()
                outcomes.append(done.result())
            is_over = keys.is_over and not found and not window
            await run.step(partial(_taken_down, task=task, spot=spot, outcomes=outcomes, is_over=is_over))
    finally:
        left = [task for _, task in window]
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _fetch(run: Run, task: Prefetch, bucket: Bucket, key: str, places: asyncio.Semaphore) -> _Outcome:
    """Reads one. Raises ``ServiceUnavailable`` and ``InsufficientStorage``, over which no other can be kept either."""
    async with places:
        try:
            return _Outcome(await fetch(run.gateway.reads, bucket, key, latest=task.latest))
        except (errors.ServiceUnavailable, errors.InsufficientStorage):
            raise
        except errors.Error as error:
            if isinstance(error, errors.NoSuchKey) and not isinstance(task.selection, Names):
                return _Outcome()
            return _Outcome(error=f"{bucket.identity.uri}/{key}: {error.message}")


def _taken_down(
    tx: Transaction, job: Job, task: Prefetch, spot: Spot, outcomes: Sequence[_Outcome], *, is_over: bool
) -> Job:
    source_elsewhere(tx, job, "s3:GetObject")
    sizes = [outcome.size for outcome in outcomes if outcome.size is not None]
    problems = [outcome.error for outcome in outcomes if outcome.error]
    first = problems[0] if problems else ""
    job = advanced(job, cursor(spot), objects=len(sizes), size=sum(sizes), failures=len(problems), error=first)
    if problems and not task.goes_on:
        return failed(tx, job, first)
    return finished(tx, job) if is_over else job
