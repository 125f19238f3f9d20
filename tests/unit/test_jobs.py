"""Jobs that are broken off after any step and taken up again do all of their work, and none of it twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.archives import unpacked
from tests.unit.job_store import (
    COUNT,
    GOAL,
    KEYS,
    SOURCE,
    broken_off,
    content,
    ended,
    faults,
    fill,
    listed,
    opened,
    read,
    small_steps,  # noqa: F401 - a fixture
)
from tidegate.catalog.jobs import Job
from tidegate.gateway import Gateway
from tidegate.gateway.selection import Names, Prefix, renaming
from tidegate.jobs.kinds import promoting
from tidegate.model import EVERYONE

pytestmark = pytest.mark.usefixtures("small_steps")


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_copy_that_is_broken_off_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Every object is copied once, with all that belongs to it."""

    async def run() -> None:
        job = await broken_off(
            tmp_path,
            monkeypatch,
            steps,
            lambda gateway: gateway.jobs.copy(EVERYONE, SOURCE, GOAL, renaming=renaming("new/", {})),
        )
        assert (job.objects, job.total, job.size) == (COUNT, COUNT, sum(len(content(key)) for key in KEYS))
        async with opened(tmp_path) as gateway:
            assert await listed(gateway, GOAL) == [f"new/{key}" for key in KEYS]
            for key in KEYS:
                version = await gateway.objects.head(EVERYONE, GOAL, f"new/{key}")
                original = await gateway.objects.head(EVERYONE, SOURCE, key)
                assert version.writes == 1
                assert (version.etag, version.attributes) == (original.etag, original.attributes)
                assert version.blob == original.blob
            assert faults(gateway) == []

    asyncio.run(run())


@pytest.mark.parametrize("steps", [1, 2])
def test_deletion_that_is_broken_off_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """What is selected goes, and each deletion is counted once."""

    async def run() -> None:
        job = await broken_off(
            tmp_path,
            monkeypatch,
            steps,
            lambda gateway: gateway.jobs.delete(EVERYONE, SOURCE, Names((*KEYS[:15], "missing"))),
        )
        assert (job.objects, job.failures) == (15, 0)
        async with opened(tmp_path) as gateway:
            assert await listed(gateway, SOURCE) == KEYS[15:]
            assert faults(gateway) == []

    asyncio.run(run())


@pytest.mark.parametrize("name", ["x.tar", "x.tgz", "x.zip"])
@pytest.mark.parametrize("steps", [1, 2])
def test_archive_that_is_broken_off_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, name: str
) -> None:
    """It has each object once, whichever process made which part of it."""

    async def run() -> None:
        async def start(gateway: Gateway) -> Job:
            return await gateway.jobs.archive(EVERYONE, SOURCE, GOAL, name, Prefix("a/"))

        job = await broken_off(tmp_path, monkeypatch, steps, start)
        assert job.objects == COUNT
        async with opened(tmp_path) as gateway:
            data = await read(gateway, GOAL, name)
            assert faults(gateway) == []
        assert unpacked(name, data) == [(key, content(key)) for key in KEYS]

    asyncio.run(run())


@pytest.mark.parametrize("steps", [1, 2])
def test_promotion_that_is_broken_off_loses_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Every file becomes an object and goes, also those of the step before the power was cut."""
    data, folder = tmp_path / "data", tmp_path / "files"
    expected = {}
    for number in range(COUNT):
        path = folder / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * 300)
        expected[f"{number % 3}/{number}"] = path.read_bytes()

    async def run() -> None:
        job = await broken_off(
            data,
            monkeypatch,
            steps,
            lambda gateway: gateway.jobs.promote(
                EVERYONE, GOAL, str(folder), "p", is_recursive=True, deletes_source=True
            ),
            [tmp_path],
        )
        assert job.objects == COUNT
        async with opened(data) as gateway:
            assert len(await listed(gateway, GOAL)) == COUNT
            for number in range(COUNT):
                assert await read(gateway, GOAL, f"p/d{number % 3}/f{number}") == b"%d" % number * 300
            assert faults(gateway) == []
        assert not [path for path in folder.rglob("*") if path.is_file()]

    asyncio.run(run())


def test_file_that_was_written_to_is_not_removed(tmp_path: Path) -> None:
    """Neither is one that took the place of what was promoted."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")

    async def run() -> None:
        async with opened(tmp_path / "data", [folder]) as gateway:
            await fill(gateway)
            job = await gateway.jobs.promote(EVERYONE, GOAL, str(folder), deletes_source=True)
            original = promoting._remove

            async def late(*arguments: object) -> None:
                (folder / "a").write_bytes(b"newer")
                await original(*arguments)  # type: ignore[arg-type]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(promoting, "_remove", late)
                await ended(gateway, tmp_path / "data", job)
            assert (folder / "a").read_bytes() == b"newer"

    asyncio.run(run())
