"""A store in this process whose jobs lose their power in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tidegate.catalog.check import CHECKS
from tidegate.catalog.jobs import Job, State
from tidegate.gateway import Gateway, open_gateway
from tidegate.gateway.body import body_of
from tidegate.gateway.objects import NewObject
from tidegate.jobs.kinds import archive, members, promoting, walk
from tidegate.jobs.run import Run
from tidegate.jobs.work import Work
from tidegate.model import EVERYONE, Version
from tidegate.names import BucketName

SOURCE, GOAL = BucketName("source"), BucketName("goal")
COUNT = 23
KEYS = [f"a/{number:03}{'x' * (number % 5)}" for number in range(COUNT)]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few objects in each step, so that there are many."""
    monkeypatch.setattr(walk, "STEP", 4)
    monkeypatch.setattr(members, "MEMBERS", 5)
    monkeypatch.setattr(archive, "LOOK", 10)
    monkeypatch.setattr(promoting, "STEP", 4)


@asynccontextmanager
async def opened(folder: Path, promote_from: Sequence[Path] = ()) -> AsyncIterator[Gateway]:
    """The gateway of a data folder."""
    gateway = open_gateway(folder, inline_limit=1000, durable=False, promote_from=promote_from)
    try:
        yield gateway
    finally:
        await gateway.close()


def content(key: str) -> bytes:
    """Some of the objects are inline, some are files."""
    return key.encode() * (1 + len(key) % 3 * 400)


async def put(gateway: Gateway, bucket: BucketName, key: str, data: bytes | None = None) -> Version:
    """Writes an object."""
    body = body_of(content(key) if data is None else data)
    return await gateway.objects.put(EVERYONE, bucket, key, body, NewObject(metadata={"m": key}))


async def fill(gateway: Gateway) -> None:
    """Two buckets, one with objects."""
    for name in (SOURCE, GOAL):
        await gateway.buckets.create(EVERYONE, name)
    await asyncio.gather(*(put(gateway, SOURCE, key) for key in KEYS))


async def read(gateway: Gateway, bucket: BucketName, key: str) -> bytes:
    """An object's bytes."""
    reading = await gateway.objects.read(EVERYONE, bucket, key)
    return b"".join([piece async for piece in reading.stream(0, reading.version.size)])


async def listed(gateway: Gateway, bucket: BucketName) -> list[str]:
    """The keys of a bucket."""
    _, page = await gateway.buckets.list_objects(EVERYONE, bucket, prefix="", delimiter="", after="", limit=1000)
    return [entry.key for entry in page.entries]


async def ended(gateway: Gateway, folder: Path, job: Job) -> Job:
    """Does jobs until this one is over."""
    task = asyncio.create_task(Work(gateway, folder, 0).run())
    try:
        async with asyncio.timeout(30):
            while not (job := await gateway.jobs.get(EVERYONE, job.id)).is_over and not task.done():  # noqa: ASYNC110 - another process would see no event either
                await asyncio.sleep(0.005)
    finally:
        task.cancel()
        await asyncio.wait([task])
    return job


def faults(gateway: Gateway) -> list[object]:
    """What is wrong in the catalog."""
    with gateway.rooms.catalog.snapshot() as tx:
        return [problem for check in CHECKS for problem in check(tx)]


class Power:
    """Fails after a number of steps, for good, as a power cut: what was committed is there, and nothing comes after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps_left = 0
        self._step = Run.step
        monkeypatch.setattr(Run, "step", self._guarded())

    def _guarded(self) -> Callable[..., Awaitable[Job]]:
        power = self

        async def step(run: Run, *arguments: object) -> Job:
            if power.steps_left == 0:
                await asyncio.Event().wait()
            job = await power._step(run, *arguments)  # type: ignore[arg-type]
            power.steps_left -= 1
            if power.steps_left == 0 and not job.is_over:
                await asyncio.Event().wait()  # nothing that comes after a step is done either
            return job

        return step

    async def until_out(self, gateway: Gateway, folder: Path, job: Job, steps: int) -> Job:
        """Does jobs until the power is gone, or the job over."""
        self.steps_left = steps
        task = asyncio.create_task(Work(gateway, folder, 0).run())
        while self.steps_left and not (await gateway.jobs.get(EVERYONE, job.id)).is_over:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        return await gateway.jobs.get(EVERYONE, job.id)


async def broken_off(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    start: Callable[[Gateway], Awaitable[Job]],
    promote_from: Sequence[Path] = (),
) -> Job:
    """A job that loses its power every few steps, until it is over; each time another process takes it up."""
    power = Power(monkeypatch)
    async with opened(folder, promote_from) as gateway:
        await fill(gateway)
        job = await start(gateway)
    rounds = 0
    while not job.is_over:
        rounds += 1
        assert rounds < 100
        async with opened(folder, promote_from) as gateway:
            job = await power.until_out(gateway, folder, job, steps)
    assert rounds > 1
    assert job.state is State.FINISHED, job.error
    return job


async def uploads(gateway: Gateway) -> list[object]:
    """The multipart uploads that are remembered."""
    return await gateway.rooms.catalog.read(lambda tx: list(tx.rows("SELECT id FROM uploads")))


async def left(gateway: Gateway, *tables: str) -> int:
    """How many rows there are in tables."""
    counts = [
        await gateway.rooms.catalog.read(lambda tx, table=table: tx.one(f"SELECT count(*) FROM {table}"))  # type: ignore[misc]
        for table in tables
    ]
    return sum(count[0] for count in counts)
