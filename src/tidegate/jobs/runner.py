"""Runs the jobs in the one worker that holds their lock."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tidegate.alongside import alongside
from tidegate.jobs import digests, dropped, eviction, garbage, hooks, tidying
from tidegate.jobs.mirror import Mirror
from tidegate.jobs.work import Work

if TYPE_CHECKING:
    from tidegate.gateway import Gateway
    from tidegate.settings import Settings

logger = logging.getLogger(__name__)

LOCK_FILE = "jobs.lock"
# The server writes it once, when nobody else works on the folder and before its workers begin.
SERVER_LOCK = "server.lock"
TICK_SECONDS = 0.5
CHECKPOINT_SECONDS = 0.5
COLLECT_SECONDS = 10.0
FORGET_SECONDS = 300.0
MIRROR_SECONDS = 1.0
# How far the copies of the catalog may be behind.
SHIP_SECONDS = 1.0
SWEEP_SECONDS = 6 * 3600.0
DROP_SECONDS = 1.0
DIGEST_SECONDS = 1.0
TIDY_SECONDS = 1.0
# At a GB/s, some per cent of a disk of a TB: less than there is between the watermarks.
EVICT_SECONDS = 30.0


class Job(msgspec.Struct, frozen=True):
    """Something to do every so often."""

    name: str
    seconds: float
    work: Callable[[], Awaitable[object]]


@asynccontextmanager
async def run(gateway: Gateway, settings: Settings) -> AsyncIterator[None]:
    """Runs the jobs while the context is open, in this worker or in another one of the same data folder."""
    started = server_started(settings.home)
    mirror = Mirror(gateway.rooms, gateway.folders, settings.home)
    rooms = gateway.rooms
    work = Work(gateway, settings.home, started)
    jobs = [
        Job("checkpoint", CHECKPOINT_SECONDS, rooms.catalog.checkpoint),
        Job("collect", COLLECT_SECONDS, lambda: garbage.collect(rooms, settings.home)),
        Job("forget uploads", FORGET_SECONDS, lambda: garbage.forget_uploads(rooms)),
        Job("forget openings", FORGET_SECONDS, lambda: garbage.forget_openings(rooms)),
        Job("mirror", MIRROR_SECONDS, mirror.run),
        Job("ship the catalog", SHIP_SECONDS, gateway.folders.ship_catalog),
        Job("sweep", SWEEP_SECONDS, lambda: garbage.sweep(rooms, started)),
        Job("destroyed buckets", DROP_SECONDS, lambda: dropped.empty(rooms)),
        Job("tidying repositories", TIDY_SECONDS, lambda: tidying.tidy(rooms)),
        Job("eviction", EVICT_SECONDS, lambda: eviction.evict(rooms, settings.home)),
        Job("checksums", DIGEST_SECONDS, lambda: digests.compute(rooms)),
        Job("jobs that were started", TICK_SECONDS, work.run),
        Job("hooks", TICK_SECONDS, hooks.Deliveries(rooms).run),
        Job("forget deliveries", COLLECT_SECONDS, lambda: hooks.forget(rooms)),
        Job("forget jobs", FORGET_SECONDS, work.forget),
    ]
    lock = os.open(settings.home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        async with alongside(_run(lock, jobs), "jobs"):
            yield
    finally:
        os.close(lock)


def server_started(data: Path) -> int:
    """When the server began to work on the folder, in microseconds; 0 if that is not known.

    No upload under way is older.
    """
    try:
        return (data / SERVER_LOCK).stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return 0


async def _run(lock: int, jobs: list[Job]) -> None:
    while not _is_ours(lock):  # noqa: ASYNC110 - the kernel's lock has no event
        await asyncio.sleep(TICK_SECONDS)
    # Side by side: a sweep through millions of files must not keep the catalog's log from being copied back.
    await asyncio.gather(*(_repeat(job) for job in jobs))


def _is_ours(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _repeat(job: Job) -> None:
    while True:
        try:
            await job.work()
        except Exception:  # one job that fails must not end the others; it is tried again
            logger.exception("the job %r failed", job.name)
        await asyncio.sleep(job.seconds)
