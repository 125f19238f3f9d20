"""Who may start, see and stop which jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.job_store import (
    GOAL,
    SOURCE,
    Power,
    ended,
    fill,
    listed,
    opened,
    small_steps,  # noqa: F401 - a fixture
)
from tidegate import errors
from tidegate.access import Access, Grants
from tidegate.catalog.jobs import Job, State
from tidegate.gateway import Gateway
from tidegate.gateway.selection import Names, Prefix
from tidegate.model import EVERYONE, Principal
from tidegate.names import BucketName

pytestmark = pytest.mark.usefixtures("small_steps")

OWNER = Principal("owner", "owner")


def granted(source: Access, goal: Access, cluster: Access = Access.NONE) -> Principal:
    """Somebody with these permissions on the buckets."""
    return Principal("someone", "someone", grants=Grants(cluster, {SOURCE: source, GOAL: goal}))


async def attempt(gateway: Gateway, who: Principal, kind: str) -> Job:
    """Starts a job of each kind."""
    match kind:
        case "copy":
            return await gateway.jobs.copy(who, SOURCE, GOAL)
        case "copy names":
            return await gateway.jobs.copy(who, SOURCE, GOAL, Names(("a",)))
        case "new bucket":
            return await gateway.jobs.copy(who, SOURCE, BucketName("third"))
        case "delete":
            return await gateway.jobs.delete(who, SOURCE, Names(("a",)))
        case "delete prefix":
            return await gateway.jobs.delete(who, SOURCE, Prefix("a"))
        case "archive":
            return await gateway.jobs.archive(who, SOURCE, GOAL, "x.tar", Names(("a",)))
        case "append":
            return await gateway.jobs.archive(who, SOURCE, GOAL, "x.tar", Names(("a",)), appends=True)
        case "promote":
            return await gateway.jobs.promote(who, GOAL, "/nowhere")
        case "move":
            return await gateway.jobs.move(who, SOURCE, BucketName("third"))
        case "clean":
            return await gateway.jobs.clean_up(who)
        case _:
            raise AssertionError(kind)


ALL = Access((1 << 18) - 1)
NEEDED: Sequence[tuple[str, Access, Access, Access]] = [
    ("copy", Access.GET | Access.LIST_OBJECTS, Access.PUT, Access.NONE),
    ("copy names", Access.GET, Access.PUT, Access.NONE),
    ("new bucket", Access.GET | Access.LIST_OBJECTS, Access.NONE, Access.CREATE_BUCKET),
    ("delete", Access.DELETE_OBJECT, Access.NONE, Access.NONE),
    ("delete prefix", Access.DELETE_OBJECT | Access.LIST_OBJECTS, Access.NONE, Access.NONE),
    ("archive", Access.GET, Access.PUT, Access.NONE),
    ("append", Access.GET, Access.PUT | Access.GET, Access.NONE),
    ("move", Access.MOVE_BUCKET, Access.NONE, Access.CREATE_BUCKET),
    ("clean", Access.NONE, Access.NONE, Access.ADMIN),
]


def test_each_kind_needs_its_permissions(tmp_path: Path) -> None:
    """With all of them it starts; with any one of them missing, and all others there, it is refused."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            for kind, source, goal, cluster in NEEDED:
                for bit in (bit for bit in Access if bit in source):
                    with pytest.raises(errors.AccessDenied):
                        await attempt(gateway, granted(ALL & ~bit, ALL, ALL), kind)
                for bit in (bit for bit in Access if bit in goal):
                    with pytest.raises(errors.AccessDenied):
                        await attempt(gateway, granted(ALL, ALL & ~bit, ALL), kind)
                for bit in (bit for bit in Access if bit in cluster):
                    with pytest.raises(errors.AccessDenied):
                        await attempt(gateway, granted(ALL, ALL, ALL & ~bit), kind)
            for kind, source, goal, cluster in NEEDED:
                job = await attempt(gateway, granted(source, goal, cluster), kind)
                assert job.starter.id == "someone"
                if kind == "move":
                    await gateway.buckets.rename(EVERYONE, BucketName("third"), SOURCE)
                if kind == "new bucket":
                    await gateway.buckets.destroy(EVERYONE, BucketName("third"))
            with pytest.raises(errors.AccessDenied):
                await attempt(gateway, granted(ALL, ALL & ~Access.PROMOTE), "promote")

    asyncio.run(run())


def test_bucket_that_closes_stops_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bucket's own property forbids is forbidden to jobs that are under way too."""

    async def run() -> None:
        power = Power(monkeypatch)
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            job = await gateway.jobs.copy(EVERYONE, SOURCE, GOAL)
            await power.until_out(gateway, tmp_path, job, 2)
            before = await listed(gateway, GOAL)
            await gateway.buckets.set_properties(EVERYONE, GOAL, {"access": "ro"})
            power.steps_left = 1000
            job = await ended(gateway, tmp_path, job)
            assert job.state is State.FAILED
            assert "access denied" in job.error
            assert await listed(gateway, GOAL) == before

    asyncio.run(run())


def test_only_its_starter_or_an_administrator_stops_a_job(tmp_path: Path) -> None:
    """Seeing others' jobs needs a permission, too; seeing one's own does not."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            starter = granted(ALL, ALL)
            job = await gateway.jobs.copy(starter, SOURCE, GOAL)
            stranger = Principal("stranger", "stranger", grants=Grants(Access.NONE))
            viewer = Principal("viewer", "viewer", grants=Grants(Access.SHOW_CLUSTER))
            with pytest.raises(errors.AccessDenied):
                await gateway.jobs.get(stranger, job.id)
            with pytest.raises(errors.AccessDenied):
                await gateway.jobs.list(stranger)
            assert (await gateway.jobs.get(viewer, job.id)).id == job.id
            assert [each.id for each in await gateway.jobs.list(viewer)] == [job.id]
            for who in (stranger, viewer):
                with pytest.raises(errors.AccessDenied):
                    await gateway.jobs.stop(who, job.id)
                with pytest.raises(errors.AccessDenied):
                    await gateway.jobs.stop_kind(who, job.kind)
            assert (await gateway.jobs.get(starter, job.id)).state is State.QUEUED
            assert (await gateway.jobs.stop(starter, job.id)).state is State.ABORTED
            other = await gateway.jobs.copy(starter, SOURCE, GOAL)
            (stopped,) = await gateway.jobs.stop_kind(EVERYONE, other.kind)
            assert stopped.id == other.id

    asyncio.run(run())


def test_starters_are_stored_with_all_their_grants(tmp_path: Path) -> None:
    """What a job may do does not change on the way through the catalog."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            grants = Grants(Access.GET | Access.PUT, {SOURCE: ALL, BucketName("x", "aws", "n"): Access.NONE, GOAL: ALL})
            for starter in (EVERYONE, Principal("a", "b", grants=grants), granted(ALL, ALL)):
                job = await gateway.jobs.delete(starter, SOURCE, Names(("none",)))
                assert (await gateway.jobs.get(EVERYONE, job.id)).starter == starter

    asyncio.run(run())
