"""Does the jobs that somebody has started: several at once, each in steps that a crash cannot tear.

A kind of job is a coroutine function. It does its work in transactions that also take down how far it is
(``Run.step``), and goes on from there when it is called again: after a kill, or when the store could not be written. A
job that was stopped is refused its next transaction; outside of one a kind must not change what it cannot do again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate import errors
from tidegate.catalog import jobs
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.jobs import Job, State
from tidegate.clock import SECOND, now
from tidegate.gateway.assignments import Archive, Copy, Delete, Evict, Kind, MakeCopies, Nothing, Prefetch, Promote
from tidegate.jobs.kinds.archive import archive
from tidegate.jobs.kinds.cleaning import clean_up
from tidegate.jobs.kinds.copies import make_copies
from tidegate.jobs.kinds.copying import copy
from tidegate.jobs.kinds.deleting import delete
from tidegate.jobs.kinds.evicting import evict, evict_least_used
from tidegate.jobs.kinds.prefetching import prefetch
from tidegate.jobs.kinds.promoting import promote
from tidegate.jobs.run import Run, StoppedError

if TYPE_CHECKING:
    from tidegate.gateway import Gateway

logger = logging.getLogger(__name__)

# A look for new jobs is a look at a number in memory while nothing changes: see ``catalog/generation.py``.
POLL_SECONDS = 0.05
# More would only take the writer and the disk from each other, and from requests.
AT_ONCE = 4
# After this, what could not be written is tried again.
RETRY_SECONDS = 2.0
# A job that has ended is remembered for a day, for who comes back to see how it went, and the newest thousand of them.
REMEMBER = 24 * 3600 * SECOND
MAX_REMEMBERED = 1000
FORGET_STEP = 500

Perform = Callable[[Run, Any], Awaitable[None]]

# What each kind is asked to do, and what does it. The others are over when they are taken down.
KINDS: Mapping[Kind, tuple[type[msgspec.Struct], Perform]] = MappingProxyType(
    {
        Kind.COPY_BUCKET: (Copy, copy),
        Kind.COPY_OBJECTS: (Copy, copy),
        Kind.DELETE_OBJECTS: (Delete, delete),
        Kind.PREFETCH_OBJECTS: (Prefetch, prefetch),
        Kind.EVICT_OBJECTS: (Evict, evict),
        Kind.ARCHIVE: (Archive, archive),
        Kind.PROMOTE: (Promote, promote),
        Kind.MAKE_COPIES: (MakeCopies, make_copies),
        Kind.CLEAN_UP: (Nothing, clean_up),
        Kind.EVICT_LEAST_USED: (Nothing, evict_least_used),
    }
)


class Work:
    """The jobs of a store. ``started`` is a time when no upload of today was under way."""

    def __init__(self, gateway: Gateway, data: Path, started: int) -> None:
        self._gateway = gateway
        self._rooms = gateway.rooms
        self._data = data
        self._started = started

    async def run(self) -> None:
        """Does jobs as they come, until it is cancelled."""
        under_way: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                for job_id in await self._rooms.catalog.recall("pending jobs", jobs.pending):
                    if len(under_way) >= AT_ONCE:
                        break
                    if job_id not in under_way:
                        under_way.add(job_id)
                        task = group.create_task(self._perform(job_id), name=job_id)
                        task.add_done_callback(lambda task: under_way.discard(task.get_name()))
                await asyncio.sleep(POLL_SECONDS)

    async def forget(self) -> None:
        """Forgets jobs that ended long ago."""
        while True:
            forget = partial(jobs.forget, ended_before=now() - REMEMBER, keep=MAX_REMEMBERED, limit=FORGET_STEP)
            if await self._rooms.catalog.write(forget) < FORGET_STEP:
                return

    async def _perform(self, job_id: str) -> None:
        """Does a job to its end, whatever comes between."""
        while True:
            try:
                await self._attempt(job_id)
            except StoppedError:
                return
            except errors.ServiceUnavailable as error:
                logger.warning("the job %s waits: %s", job_id, error.message)
            except errors.Error as error:
                if await self._fail(job_id, error.message):
                    return
            except Exception:
                logger.exception("the job %s failed", job_id)
                if await self._fail(job_id, "an internal error, which the server's log tells of"):
                    return
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _attempt(self, job_id: str) -> None:
        job, arguments = await self._rooms.catalog.read(partial(_load, job_id=job_id))
        kind, perform = KINDS[Kind(job.kind)]
        run = Run(self._gateway, self._data, self._started, job)
        if job.state is State.QUEUED:
            await run.step(lambda _, job: msgspec.structs.replace(job, state=State.RUNNING, started=now()))
        await perform(run, msgspec.msgpack.decode(arguments, type=kind))
        if not run.job.is_over:
            raise RuntimeError(f"the job {job_id} has no end")

    async def _fail(self, job_id: str, reason: str) -> bool:
        """Takes down that a job has failed. Returns whether that could be done."""

        def fail(tx: Transaction) -> None:
            job = jobs.get(tx, job_id)
            if not job.is_over:
                jobs.end(tx, job, State.FAILED, now(), reason)

        try:
            await self._rooms.catalog.write(fail)
        except errors.NoSuchJob:
            return True
        except errors.Error:
            logger.warning("cannot take down that the job %s failed: %s", job_id, reason)
            return False
        return True


def _load(tx: Reader, job_id: str) -> tuple[Job, bytes]:
    job = jobs.get(tx, job_id)
    if job.is_over:
        raise StoppedError
    return job, jobs.arguments(tx, job_id)
