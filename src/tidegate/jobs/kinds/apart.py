"""Working through objects that another provider keeps, or is to keep: outside of transactions, several at once.

The job is as far as all before it is done. What was done of what comes after is done again when the job is gone on
with, so it has to be something that may be.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from tidegate import errors
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.jobs import Job
from tidegate.gateway.remote.listing import RemoteListing
from tidegate.gateway.selection import Names, Prefix, Selection
from tidegate.jobs.kinds import walk
from tidegate.jobs.kinds.walk import Spot, cursor, spot_of
from tidegate.jobs.run import Run, advanced, failed, finished
from tidegate.model import Bucket

# Objects that a job works on at once: half of the requests that an upstream makes, so that readers have room.
AT_ONCE: Final = 32
# Objects that are begun or waiting while the first of them is not done. A large one holds up no others for long.
WINDOW: Final = 512
# Keys that are asked for at once: what a page of Amazon's has.
PAGE: Final = 1000
# How often the job's row tells how far it is, and whether somebody has stopped it is looked at.
STEP_SECONDS: Final = 0.5

# The bucket that a job works through, if its starter may still do this.
Find = Callable[[Reader], Bucket]
# Does something with an object. Returns its size, or None where there was nothing to do.
Act = Callable[[Bucket, str], Awaitable[int | None]]


class _Outcome(msgspec.Struct, frozen=True):
    """What came of an object: its ``size`` where something was done, None where not, or an ``error``."""

    size: int | None = None
    error: str = ""


class Keys:
    """The keys that are selected, from a spot on. Of a prefix they are those that are there: here, or at the remote."""

    def __init__(self, run: Run, selection: Selection, spot: Spot) -> None:
        self._rooms = run.rooms
        self._listing = RemoteListing(run.rooms)
        self._selection = selection
        self.spot = spot
        self.is_over = False

    async def next(self, bucket: Bucket, limit: int) -> Sequence[str]:
        """Some of them. ``spot`` is then after the last."""
        selection, spot = self._selection, self.spot
        if isinstance(selection, Prefix) and bucket.is_elsewhere:
            page = await self._listing.page(bucket, prefix=selection.prefix, delimiter="", after=spot.key, limit=limit)
            found: Sequence[str] = [entry.key for entry in page.entries]
            self.spot, self.is_over = Spot(0, found[-1]) if found else spot, page.last is None
        else:
            found, self.spot, self.is_over = await self._rooms.catalog.read(
                lambda tx: walk.next_keys(tx, bucket, selection, spot, limit)
            )
        return found

    def spot_after(self, key: str, index: int) -> Spot:
        """Where to go on after one of them, which was the ``index``-th from ``spot`` on."""
        return Spot(0, key) if isinstance(self._selection, Prefix) else Spot(index)


async def each(run: Run, selection: Selection, find: Find, act: Act, *, goes_on: bool, at_once: int = AT_ONCE) -> None:
    """Does a job that acts on each object that is selected, to its end; on ``at_once`` of them at the same time, which
    is ``AT_ONCE`` where ``act`` asks the remote once for each and does nothing else.

    An object that fails ends the job, unless it ``goes_on``. That a name is not there is a failure if it is one of a
    list, and ``act`` raises it. ``ServiceUnavailable`` and ``InsufficientStorage`` are raised: over those no other can
    be done either.
    """
    keys = Keys(run, selection, spot_of(run.job))
    places = asyncio.Semaphore(at_once)
    found: deque[tuple[str, Spot]] = deque()
    window: deque[tuple[Spot, asyncio.Task[_Outcome]]] = deque()
    needs_all = isinstance(selection, Names)
    try:
        while not run.job.is_over:
            bucket = await run.rooms.catalog.read(find)
            while len(window) < WINDOW and (found or not keys.is_over):
                if not found:
                    first = keys.spot.index
                    names = await keys.next(bucket, PAGE)
                    found.extend((name, keys.spot_after(name, index)) for index, name in enumerate(names, first + 1))
                    continue
                key, after = found.popleft()
                window.append((after, asyncio.create_task(_one(bucket, key, act, places, needs_all=needs_all))))
            if window:
                is_last = keys.is_over and not found
                awaited = window[-1 if is_last else len(window) // 2][1]
                await asyncio.wait([awaited], timeout=STEP_SECONDS)
            spot, outcomes = spot_of(run.job), []
            while window and window[0][1].done():
                spot, done = window.popleft()
                outcomes.append(done.result())
            is_over = keys.is_over and not found and not window
            taken_down = partial(_taken_down, find=find, spot=spot, outcomes=outcomes, goes_on=goes_on, is_over=is_over)
            await run.step(taken_down)
    finally:
        left = [task for _, task in window]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _one(bucket: Bucket, key: str, act: Act, places: asyncio.Semaphore, *, needs_all: bool) -> _Outcome:
    async with places:
        try:
            return _Outcome(await act(bucket, key))
        except (errors.ServiceUnavailable, errors.InsufficientStorage):
            raise
        except errors.Error as error:
            if isinstance(error, (errors.NoSuchKey, errors.DeleteMarker)) and not needs_all:
                return _Outcome()
            return _Outcome(error=f"{bucket.identity.uri}/{key}: {error.message}")


def _taken_down(
    tx: Transaction, job: Job, find: Find, spot: Spot, outcomes: Sequence[_Outcome], *, goes_on: bool, is_over: bool
) -> Job:
    find(tx)
    sizes = [outcome.size for outcome in outcomes if outcome.size is not None]
    problems = [outcome.error for outcome in outcomes if outcome.error]
    first = problems[0] if problems else ""
    job = advanced(job, cursor(spot), objects=len(sizes), size=sum(sizes), failures=len(problems), error=first)
    if problems and not goes_on:
        return failed(tx, job, first)
    return finished(tx, job) if is_over else job
