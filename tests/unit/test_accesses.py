"""When objects were last read is noted without a write on each read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tidegate import errors
from tidegate.catalog import configuration
from tidegate.gateway import Gateway, accesses, open_gateway
from tidegate.gateway.body import body_of
from tidegate.gateway.objects import NewObject
from tidegate.gateway.space import Space
from tidegate.model import EVERYONE, Version
from tidegate.properties import Configuration
from tidegate.properties.tree import Space as Watermarks


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Gateway]:
    """A gateway with a bucket."""
    gateway = open_gateway(folder, inline_limit=64)
    try:
        await gateway.buckets.create(EVERYONE, "abc")
        yield gateway
    finally:
        await gateway.close()


async def put(gateway: Gateway, key: str) -> Version:
    """Writes an object."""
    return await gateway.objects.put(EVERYONE, "abc", key, body_of(b"data"), NewObject())


def test_a_read_is_seen_after_the_next_flush(tmp_path: Path) -> None:
    """The access time is the write's until somebody reads, and then the last read's; the time of the write stays."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            for key in ("read", "unread"):
                written = await put(gateway, key)
                assert written.accessed == written.modified
            for _ in range(3):
                await gateway.objects.read(EVERYONE, "abc", "read")
            before = await gateway.objects.head(EVERYONE, "abc", "read")
            assert before.accessed == before.modified
            await gateway.rooms.accesses.flush()
            after = await gateway.objects.head(EVERYONE, "abc", "read")
            assert after.accessed > after.modified == before.modified
            unread = await gateway.objects.head(EVERYONE, "abc", "unread")
            assert unread.accessed == unread.modified

    asyncio.run(run())


def test_an_access_is_of_the_version_that_was_read(tmp_path: Path) -> None:
    """A read that is taken down after the object was overwritten or deleted does not count for what is there now."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await put(gateway, "key")
            await gateway.objects.read(EVERYONE, "abc", "key")
            await put(gateway, "key")
            await gateway.rooms.accesses.flush()
            version = await gateway.objects.head(EVERYONE, "abc", "key")
            assert version.accessed == version.modified
            assert version.writes == 2

    asyncio.run(run())


def test_what_is_noted_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many objects are read between two flushes, memory holds a fixed number of them."""
    monkeypatch.setattr(accesses, "MAX_NOTED", 2)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            for number in range(4):
                await put(gateway, str(number))
                await gateway.objects.read(EVERYONE, "abc", str(number))
            assert len(gateway.rooms.accesses._noted) == 2

    asyncio.run(run())


def test_closing_takes_down_what_was_noted(tmp_path: Path) -> None:
    """A server that ends in good order loses no access time."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            await put(gateway, "key")
            async with gateway.rooms.accesses.kept():
                await gateway.objects.read(EVERYONE, "abc", "key")
            version = await gateway.objects.head(EVERYONE, "abc", "key")
            assert version.accessed > version.modified

    asyncio.run(run())


def test_nothing_is_written_to_a_disk_that_is_too_full(tmp_path: Path) -> None:
    """From the watermark on writes are refused, with the property's name; below it they are not. It is read anew."""
    used = 100.0

    class Disk(Space):
        def used(self) -> float:
            return used

    async def run() -> None:
        nonlocal used
        async with opened(tmp_path) as gateway:
            now = 0.0
            disk = Disk(gateway.rooms.catalog, [tmp_path], lambda: now)
            with pytest.raises(errors.InsufficientStorage) as refusal:
                await disk.check()
            assert "space.out_of_space=95" in refusal.value.message
            used = 94.9
            now += 10
            await disk.check()
            wanted = Configuration(space=Watermarks(0, 0, 0, 50))
            await gateway.rooms.catalog.write(partial(configuration.put, configuration=wanted))
            now += 10
            with pytest.raises(errors.InsufficientStorage):
                await disk.check()

    asyncio.run(run())


def test_the_disks_are_looked_at() -> None:
    """What is compared with the watermark is the emptiest of the folders' disks, in percent."""
    assert 0 <= Space(None, [Path("/"), Path("/proc")]).used() < 100  # type: ignore[arg-type]
