"""When a write is on disk: ``write_policy.data``."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tidegate.gateway import open_gateway
from tidegate.gateway.body import body_of
from tidegate.gateway.objects import NewObject
from tidegate.model import EVERYONE

LARGE = bytes(200_000)


@pytest.mark.parametrize(("policy", "waits"), [("", True), ("immediate", True), ("delayed", False)], ids=str)
def test_a_delayed_write_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, *, waits: bool
) -> None:
    """A blob file is synced before the write is answered, unless the bucket says that it may come later."""
    synced: list[str] = []
    fsync = os.fsync

    def watch(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        fsync(file)

    async def run() -> None:
        gateway = open_gateway(tmp_path, inline_limit=64)
        try:
            await gateway.buckets.create(EVERYONE, "abc", properties={"write_policy.data": policy})
            monkeypatch.setattr(os, "fsync", watch)
            await gateway.objects.put(EVERYONE, "abc", "key", body_of(LARGE), NewObject())
            reading = await gateway.objects.read(EVERYONE, "abc", "key")
            assert b"".join([piece async for piece in reading.stream(0, len(LARGE))]) == LARGE
        finally:
            await gateway.close()

    asyncio.run(run())
    assert any("/blobs/" in name for name in synced) is waits
