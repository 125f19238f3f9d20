"""An answer comes after the disk has what it promises: every write is followed by an fsync before anyone hears of
success.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from tests.durability.folder import INLINE_LIMIT, LARGE, SMALL
from tests.durability.processes import needs_proc
from tidegate import errors
from tidegate.blobs.local import LocalBlobs
from tidegate.catalog import buckets
from tidegate.catalog.sqlite import SQLite, connect
from tidegate.gateway import open_gateway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tidegate.gateway import Gateway


class Disk:
    """What has been done to files, in order: their names and what was done."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def note(self, what: str, path: str) -> None:
        self.events.append((what, path))

    def unsynced(self) -> set[str]:
        """The files that were written and not made durable after that."""
        dirty: set[str] = set()
        for what, path in self.events:
            dirty.add(path) if what == "write" else dirty.discard(path)
        return {path for path in dirty if not path.endswith("-shm")}


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, inherited: str, name: Any, flags: list[int]) -> None:
        super().__init__(inherited, name, flags)
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.note("write", self._path)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - same
        super().xSync(flags)
        self._disk.note("sync", self._path)


class _FileSystem(apsw.VFS):
    """SQLite's own way to files, watched."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._below = apsw.vfs_names()[0]
        super().__init__("watched", self._below, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802 - same
        return _File(self._disk, self._below, name, flags)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Everything that SQLite and the blob store do to files."""
    watched = Disk()
    real = {name: getattr(os, name) for name in ("write", "fsync", "fdatasync")}

    def watch(name: str, what: str) -> None:
        def call(descriptor: int, *rest: Any) -> Any:
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            outcome = real[name](descriptor, *rest)
            watched.note(what, path)
            return outcome

        monkeypatch.setattr(os, name, call)

    watch("write", "write")
    watch("fsync", "sync")
    watch("fdatasync", "sync")
    system = _FileSystem(watched)
    try:
        yield watched
    finally:
        system.unregister()


def test_synchronous_is_full(tmp_path: Path) -> None:
    """SQLite is told to wait for the disk, in the mode in which a commit is one sync of its log."""
    with closing(connect(tmp_path / "catalog.db")) as connection:
        assert connection.pragma("synchronous") == 2
        assert connection.pragma("journal_mode") == "wal"
        assert connection.pragma("wal_autocheckpoint") == 0


@needs_proc
def test_commit_is_synced_before_it_is_acknowledged(tmp_path: Path, disk: Disk) -> None:
    """When a write to the catalog has returned, nothing of it is unsynced; and a sync is shared by those who write
    together.
    """

    async def run() -> None:
        catalog = SQLite(tmp_path)
        for name in ("one", "two"):
            disk.events.clear()
            await catalog.write(partial(buckets.create, name=name, owner="", region="", now=0))
            assert ("write", str(tmp_path / "catalog.db-wal")) in disk.events
            assert disk.unsynced() == set()
        disk.events.clear()
        many = [
            catalog.write(partial(buckets.create, name=f"many-{name}", owner="", region="", now=0))
            for name in range(64)
        ]
        await asyncio.gather(*many)
        assert disk.unsynced() == set()
        assert len([what for what, path in disk.events if what == "sync" and path.endswith("-wal")]) < 64
        await catalog.close()

    asyncio.run(run())


@needs_proc
def test_what_need_not_be_durable_does_not_wait(tmp_path: Path, disk: Disk) -> None:
    """A write that may be lost in a power cut is not synced; one that may not makes durable all that was before it, and
    those that it is committed with.
    """

    def create(catalog: SQLite, name: str, *, durable: bool) -> Awaitable[object]:
        return catalog.write(partial(buckets.create, name=name, owner="", region="", now=0), durable=durable)

    async def run() -> None:
        catalog = SQLite(tmp_path)
        disk.events.clear()
        for name in ("one", "two"):
            await create(catalog, name, durable=False)
        assert not [path for what, path in disk.events if what == "sync"]
        assert disk.unsynced() == {str(tmp_path / "catalog.db-wal")}
        await create(catalog, "three", durable=True)
        assert disk.unsynced() == set()
        await asyncio.gather(*(create(catalog, f"many-{number}", durable=number == 7) for number in range(16)))
        await create(catalog, "last", durable=True)
        assert disk.unsynced() == set()
        await catalog.close()

    asyncio.run(run())


@needs_proc
def test_relaxed_leaves_syncing_to_the_system(tmp_path: Path, disk: Disk) -> None:
    """Where durability is relaxed no write waits for the disk."""

    async def run() -> None:
        catalog, store = SQLite(tmp_path, durable=False), LocalBlobs(tmp_path / "blobs", durable=False)
        disk.events.clear()
        await catalog.write(lambda tx: buckets.create(tx, "one", "", "", 0))
        writer = store.writer([])
        await writer.write(LARGE)
        await writer.finish()
        assert not [path for what, path in disk.events if what == "sync"]
        await catalog.close()
        store.close()

    asyncio.run(run())


@needs_proc
def test_blob_is_synced_before_the_catalog_names_it(tmp_path: Path, disk: Disk) -> None:
    """A file and the folder that it is in are durable when the writer has finished."""

    async def run() -> None:
        store = LocalBlobs(tmp_path / "blobs")
        disk.events.clear()
        writer = store.writer([])
        await writer.write(LARGE)
        stored = await writer.finish()
        path = store.path(stored.name)
        assert disk.unsynced() == set()
        assert ("write", str(path)) in disk.events
        assert disk.events.index(("sync", str(path))) < disk.events.index(("sync", str(path.parent)))
        store.close()

    asyncio.run(run())


def remove_all(folder: Path) -> None:
    """Removes every blob, one at least."""
    paths = list(folder.glob("*/*"))
    assert paths
    for path in paths:
        path.unlink()


def test_file_that_is_removed_while_it_is_written(tmp_path: Path) -> None:
    """A writer whose file somebody removes does not say that it is stored."""

    async def run() -> None:
        store = LocalBlobs(tmp_path)
        writer = store.writer([])
        await writer.write(LARGE)
        await writer.flush()
        remove_all(tmp_path)
        with pytest.raises(errors.ServiceUnavailable):
            await writer.finish()
        await writer.abort()
        store.close()

    asyncio.run(run())


@needs_proc
def test_first_write_to_a_new_folder(tmp_path: Path, disk: Disk) -> None:
    """The folders of a new data folder are durable before anything is in them, and its key file before a secret needs
    it.
    """

    async def run(work: Callable[[Gateway], Awaitable[object]]) -> None:
        gateway = open_gateway(tmp_path / "data", inline_limit=INLINE_LIMIT)
        await work(gateway)
        await gateway.close()

    async def add_user(gateway: Gateway) -> None:
        await gateway.identity.add_user("alice")
        await gateway.identity.add_key("alice", secret_key=SMALL.decode())

    asyncio.run(run(add_user))
    synced = [path for what, path in disk.events if what == "sync"]
    assert str(tmp_path / "data" / "blobs") in synced
    assert str(tmp_path / "data") in synced
    assert disk.unsynced() == set()
