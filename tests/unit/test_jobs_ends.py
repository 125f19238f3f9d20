"""How jobs end: stopped, failed, forgotten; and what they leave."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.job_store import (
    COUNT,
    GOAL,
    KEYS,
    SOURCE,
    Power,
    ended,
    faults,
    fill,
    listed,
    opened,
    put,
    read,
    small_steps,  # noqa: F401 - a fixture
    uploads,
)
from tidegate import errors
from tidegate.catalog.jobs import State
from tidegate.gateway.assignments import Kind
from tidegate.gateway.selection import Names, Prefix, parse_template
from tidegate.jobs import work
from tidegate.jobs.run import Run
from tidegate.jobs.work import Work
from tidegate.model import EVERYONE, Versioning
from tidegate.names import BucketName

pytestmark = pytest.mark.usefixtures("small_steps")


def test_job_that_is_stopped_writes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment that it is acknowledged; what was done stays."""

    async def run() -> None:
        power = Power(monkeypatch)
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            job = await gateway.jobs.copy(EVERYONE, SOURCE, GOAL)
            await power.until_out(gateway, tmp_path, job, 3)
            copied = await listed(gateway, GOAL)
            assert 0 < len(copied) < COUNT
            assert (await gateway.jobs.stop(EVERYONE, job.id)).state is State.ABORTED
            power.steps_left = 1000
            assert (await ended(gateway, tmp_path, job)).state is State.ABORTED
            other = await gateway.jobs.copy(EVERYONE, SOURCE, BucketName("third"))
            assert (await ended(gateway, tmp_path, other)).state is State.FINISHED
            assert await listed(gateway, GOAL) == copied

    asyncio.run(run())


def test_archive_that_is_stopped_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its upload goes with it, in the same transaction."""

    async def run() -> None:
        power = Power(monkeypatch)
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            job = await gateway.jobs.archive(EVERYONE, SOURCE, GOAL, "x.zip", Prefix())
            await power.until_out(gateway, tmp_path, job, 4)
            assert await uploads(gateway)
            await gateway.jobs.stop(EVERYONE, job.id)
            assert not await uploads(gateway)
            assert await listed(gateway, GOAL) == []
            assert faults(gateway) == []

    asyncio.run(run())


def test_archive_whose_upload_is_aborted_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An S3 client sees the upload and may end it: then there is no archive."""

    async def run() -> None:
        power = Power(monkeypatch)
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            job = await gateway.jobs.archive(EVERYONE, SOURCE, GOAL, "x.tar", Prefix())
            job = await power.until_out(gateway, tmp_path, job, 3)
            await gateway.multipart.abort(EVERYONE, GOAL, "x.tar", job.upload or "")
            power.steps_left = 1000
            assert (await ended(gateway, tmp_path, job)).state is State.FAILED
            assert await listed(gateway, GOAL) == []
            assert faults(gateway) == []

    asyncio.run(run())


def test_archive_that_is_replaced_meanwhile_is_not_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newer object stays, and the job fails."""

    async def run() -> None:
        power = Power(monkeypatch)
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            await put(gateway, GOAL, "x.tar", bytes(1024))
            job = await gateway.jobs.archive(EVERYONE, SOURCE, GOAL, "x.tar", Prefix(), appends=True)
            await power.until_out(gateway, tmp_path, job, 3)
            await put(gateway, GOAL, "x.tar", b"newer")
            power.steps_left = 1000
            job = await ended(gateway, tmp_path, job)
            assert "replaced" in job.error
            assert await read(gateway, GOAL, "x.tar") == b"newer"
            assert faults(gateway) == []

    asyncio.run(run())


def test_job_keeps_to_its_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It follows a bucket that is renamed, and does not take another for it; where it is destroyed, it fails."""

    async def run() -> None:
        power = Power(monkeypatch)
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            job = await gateway.jobs.copy(EVERYONE, SOURCE, GOAL)
            await power.until_out(gateway, tmp_path, job, 2)
            renamed = BucketName("renamed")
            await gateway.buckets.rename(EVERYONE, GOAL, renamed)
            await gateway.buckets.create(EVERYONE, GOAL)
            power.steps_left = 1000
            assert (await ended(gateway, tmp_path, job)).state is State.FINISHED
            assert (await listed(gateway, renamed), await listed(gateway, GOAL)) == (KEYS, [])

            job = await gateway.jobs.copy(EVERYONE, SOURCE, GOAL)
            await power.until_out(gateway, tmp_path, job, 2)
            await gateway.buckets.destroy(EVERYONE, GOAL)
            power.steps_left = 1000
            job = await ended(gateway, tmp_path, job)
            assert job.state is State.FAILED
            assert "ais://goal" in job.error

    asyncio.run(run())


def test_newer_objects_are_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written after a deletion was asked for is not what was meant."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            job = await gateway.jobs.delete(EVERYONE, SOURCE, Prefix("a/"))
            await put(gateway, SOURCE, KEYS[20], b"newer")
            assert (await ended(gateway, tmp_path, job)).objects == COUNT - 1
            assert await listed(gateway, SOURCE) == [KEYS[20]]

    asyncio.run(run())


def test_versions_are_kept_by_a_deletion(tmp_path: Path) -> None:
    """In a versioned bucket a job puts delete markers, as S3 does, and none on what is not there."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            await gateway.buckets.set_versioning(EVERYONE, GOAL, Versioning.ENABLED)
            version = await put(gateway, GOAL, "n-1")
            await ended(gateway, tmp_path, await gateway.jobs.delete(EVERYONE, GOAL, parse_template("n-{0..3}")))
            assert await listed(gateway, GOAL) == []
            assert (await gateway.objects.head(EVERYONE, GOAL, "n-1", version.version_id)).size == version.size
            _, page = await gateway.buckets.list_versions(
                EVERYONE, GOAL, prefix="", delimiter="", after="", after_version="", limit=10
            )
            assert len(page.versions) == 2

    asyncio.run(run())


def test_ended_jobs_are_forgotten_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some time, or when there are too many; those that run never are."""
    monkeypatch.setattr(work, "MAX_REMEMBERED", 3)
    monkeypatch.setattr(work, "FORGET_STEP", 2)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            pending = await gateway.jobs.copy(EVERYONE, SOURCE, GOAL)
            over = [
                await gateway.jobs.stop(EVERYONE, (await gateway.jobs.evict_least_used(EVERYONE)).id) for _ in range(6)
            ]
            await Work(gateway, tmp_path, 0).forget()
            kept = {job.id for job in await gateway.jobs.list(EVERYONE)}
            assert kept == {pending.id, *(job.id for job in over[3:])}
            monkeypatch.setattr(work, "REMEMBER", 0)
            await Work(gateway, tmp_path, 0).forget()
            assert [job.id for job in await gateway.jobs.list(EVERYONE)] == [pending.id]
            assert await gateway.rooms.catalog.read(lambda tx: tx.one("SELECT count(*) FROM job_arguments")) == (1,)

    asyncio.run(run())


def test_too_many_jobs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client is told to come back, and nothing is taken down."""
    monkeypatch.setattr("tidegate.gateway.jobs.MAX_PENDING", 2)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            job = await gateway.jobs.copy(EVERYONE, SOURCE, GOAL)
            await gateway.jobs.copy(EVERYONE, SOURCE, GOAL)
            with pytest.raises(errors.SlowDown):
                await gateway.jobs.copy(EVERYONE, SOURCE, BucketName("third"))
            with pytest.raises(errors.NoSuchBucket):
                await gateway.buckets.get(EVERYONE, BucketName("third"))
            await gateway.jobs.stop(EVERYONE, job.id)
            await gateway.jobs.copy(EVERYONE, SOURCE, GOAL)

    asyncio.run(run())


def test_jobs_wait_for_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few are done at a time, in the order in which they were started."""
    monkeypatch.setattr(work, "AT_ONCE", 1)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            jobs = [await gateway.jobs.copy(EVERYONE, SOURCE, BucketName(f"to-{number}")) for number in range(4)]
            await ended(gateway, tmp_path, jobs[-1])
            done = [await gateway.jobs.get(EVERYONE, job.id) for job in jobs]
            assert all(job.state is State.FINISHED for job in done)
            times = [(job.started or 0, job.ended or 0) for job in done]
            assert times == sorted(times)
            assert all(one[1] <= other[0] for one, other in pairwise(times))

    asyncio.run(run())


def test_unknown_fault_fails_the_job_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of ours in one kind must not end the work on all others."""

    async def broken(run: Run, task: object) -> None:
        raise ZeroDivisionError

    kinds = {**work.KINDS, Kind.DELETE_OBJECTS: (work.KINDS[Kind.DELETE_OBJECTS][0], broken)}
    monkeypatch.setattr(work, "KINDS", kinds)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            wrong = await gateway.jobs.delete(EVERYONE, SOURCE, Names(("a",)))
            right = await gateway.jobs.copy(EVERYONE, SOURCE, GOAL)
            assert (await ended(gateway, tmp_path, right)).state is State.FINISHED
            assert (await gateway.jobs.get(EVERYONE, wrong.id)).state is State.FAILED
            assert "ZeroDivisionError" in caplog.text

    asyncio.run(run())
