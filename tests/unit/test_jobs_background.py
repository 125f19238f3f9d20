"""What is done though nobody asks: checksums of composed objects, and emptying destroyed buckets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash

from tests.unit.job_store import (
    COUNT,
    GOAL,
    KEYS,
    SOURCE,
    content,
    ended,
    faults,
    fill,
    left,
    opened,
    put,
    read,
    small_steps,  # noqa: F401 - a fixture
)
from tidegate import errors
from tidegate.catalog.abc import Transaction
from tidegate.catalog.jobs import State
from tidegate.gateway.body import body_of
from tidegate.gateway.copying import Source
from tidegate.gateway.objects import Deletion, NewObject
from tidegate.jobs import digests, dropped, garbage
from tidegate.jobs.mirror import Mirror
from tidegate.model import EVERYONE, Versioning
from tidegate.names import BucketName

pytestmark = pytest.mark.usefixtures("small_steps")


def test_composed_objects_get_their_checksum(tmp_path: Path) -> None:
    """What was put together gets the checksum of the type that its bucket asks for by then."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            parts = [b"a" * 2000, b"b" * 10, b"c"]
            versions = []
            for key in ("x", "deleted", "y"):
                upload = await gateway.multipart.create(EVERYONE, GOAL, key, NewObject())
                for number, part in enumerate(parts, 1):
                    await gateway.multipart.put_part(EVERYONE, GOAL, key, upload.id, number, body_of(part))
                await gateway.native.complete(EVERYONE, GOAL, key, upload.id, {1: "", 2: "", 3: ""})
                versions.append(await gateway.objects.head(EVERYONE, GOAL, key))
            assert {version.attributes.digest for version in versions} == {None}
            await gateway.objects.delete(EVERYONE, GOAL, Deletion("deleted"))
            assert await digests.compute(gateway.rooms) == 2
            for key in ("x", "y"):
                version = await gateway.objects.head(EVERYONE, GOAL, key)
                assert version.attributes.digest == ("xxhash", xxhash.xxh64_hexdigest(b"".join(parts)))
            assert await digests.compute(gateway.rooms) == 0

            await gateway.jobs.copy(EVERYONE, GOAL, third := BucketName("third"))
            await gateway.buckets.set_properties(EVERYONE, third, {"checksum.type": "md5"})
            (job,) = await gateway.jobs.list(EVERYONE)
            await ended(gateway, tmp_path, job)
            assert (await gateway.objects.head(EVERYONE, third, "x")).attributes.digest is None
            assert await digests.compute(gateway.rooms) == 2
            digest = (await gateway.objects.head(EVERYONE, third, "x")).attributes.digest
            assert digest is not None
            assert digest[0] == "md5"
            assert await left(gateway, "undigested") == 0

    asyncio.run(run())


@pytest.mark.parametrize(("kind", "kept", "computed"), [("xxhash", 1, 0), ("md5", 0, 1), ("none", 0, 0)])
def test_a_copy_has_the_checksum_of_its_bucket(tmp_path: Path, kind: str, kept: int, computed: int) -> None:
    """That of its source if it is of the same type; else one that is computed, or none."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            await gateway.buckets.set_properties(EVERYONE, GOAL, {"checksum.type": kind})
            await gateway.copying.copy(EVERYONE, Source(SOURCE, KEYS[0]), GOAL, "copy")
            digest = (await gateway.objects.head(EVERYONE, GOAL, "copy")).attributes.digest
            assert (digest is not None) == kept
            assert await digests.compute(gateway.rooms) == computed
            digest = (await gateway.objects.head(EVERYONE, GOAL, "copy")).attributes.digest
            assert (digest[0] if digest is not None else "none") == kind

    asyncio.run(run())


def test_bucket_without_checksums_needs_none(tmp_path: Path) -> None:
    """What waited for one does not any more when the bucket asks for none."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            upload = await gateway.multipart.create(EVERYONE, GOAL, "x", NewObject())
            await gateway.multipart.put_part(EVERYONE, GOAL, "x", upload.id, 1, body_of(b"x"))
            await gateway.native.complete(EVERYONE, GOAL, "x", upload.id, {1: ""})
            assert await left(gateway, "undigested") == 1
            await gateway.buckets.set_properties(EVERYONE, GOAL, {"checksum.type": "none"})
            assert await digests.compute(gateway.rooms) == 0
            assert (await gateway.objects.head(EVERYONE, GOAL, "x")).attributes.digest is None
            assert await left(gateway, "undigested") == 0

    asyncio.run(run())


def test_damaged_object_gets_no_checksum(tmp_path: Path) -> None:
    """A checksum of wrong bytes would make them look right."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            upload = await gateway.multipart.create(EVERYONE, GOAL, "x", NewObject())
            await gateway.multipart.put_part(EVERYONE, GOAL, "x", upload.id, 1, body_of(b"x" * 5000))
            await gateway.native.complete(EVERYONE, GOAL, "x", upload.id, {1: ""})
            for path in (tmp_path / "blobs").glob("*/*"):
                if b"xxxx" in path.read_bytes():
                    path.write_bytes(path.read_bytes().replace(b"xxxx", b"xxyx", 1))
            assert await digests.compute(gateway.rooms) == 0
            assert (await gateway.objects.head(EVERYONE, GOAL, "x")).attributes.digest is None

    asyncio.run(run())


@pytest.mark.parametrize("versioning", list(Versioning))
def test_destroyed_bucket_is_emptied_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versioning: Versioning
) -> None:
    """At every step the catalog is sound; in the end nothing is left of it, and its files go with the garbage."""
    monkeypatch.setattr(dropped, "STEP", 1)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await fill(gateway)
            await gateway.buckets.set_versioning(EVERYONE, GOAL, versioning)
            for key in ("a", "b", "b", "c", "c", "d"):
                await put(gateway, GOAL, key, b"x" * 3000)
            for key in ("c", "d", "none"):
                await gateway.objects.delete(EVERYONE, GOAL, Deletion(key))
            upload = await gateway.multipart.create(EVERYONE, GOAL, "up", NewObject())
            await gateway.multipart.put_part(EVERYONE, GOAL, "up", upload.id, 1, body_of(b"y" * 3000))
            await ended(gateway, tmp_path, await gateway.jobs.copy(EVERYONE, SOURCE, GOAL))
            before = await gateway.stats()
            await gateway.buckets.destroy(EVERYONE, GOAL)
            assert (await gateway.stats())["objects"] == COUNT < before["objects"]

            write = gateway.rooms.catalog.write
            found: list[object] = []

            async def watched(function: Callable[[Transaction], object]) -> object:
                result = await write(function)
                found.extend(faults(gateway))
                return result

            monkeypatch.setattr(gateway.rooms.catalog, "write", watched)
            assert await dropped.empty(gateway.rooms) > COUNT
            assert found == []
            assert await left(gateway, "logs", "buckets") == 2
            assert await left(gateway, "head", "history") == COUNT
            assert await left(gateway, "uploads", "upload_parts") == 0
            await garbage.collect(gateway.rooms, tmp_path, grace=-1)
            files = [path for path in (tmp_path / "blobs").glob("*/*") if path.is_file()]
            assert len(files) == sum(len(content(key)) > 1000 for key in KEYS)
            assert [await read(gateway, SOURCE, key) for key in KEYS] == [content(key) for key in KEYS]

    asyncio.run(run())


def test_making_copies_waits_until_they_are_there(tmp_path: Path) -> None:
    """The job ends when every object of the bucket is in two data folders, and not before."""

    async def run() -> None:
        data = tmp_path / "data"
        async with opened(data) as gateway:
            await gateway.folders.open([tmp_path / "second"])
            await fill(gateway)
            with pytest.raises(errors.InvalidArgument):
                await gateway.jobs.make_copies(EVERYONE, SOURCE, 3)
            job = await gateway.jobs.make_copies(EVERYONE, SOURCE, 2)
            doing = asyncio.create_task(ended(gateway, data, job))
            done, _ = await asyncio.wait([doing], timeout=0.2)
            assert not done
            await Mirror(gateway.rooms, gateway.folders, data).run()
            assert (await doing).state is State.FINISHED
            placed = await gateway.rooms.catalog.read(lambda tx: list(tx.rows("SELECT folders FROM blobs")))
            assert [folders.bit_count() for (folders,) in placed] == [2] * COUNT

    asyncio.run(run())
