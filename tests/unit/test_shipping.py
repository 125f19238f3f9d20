"""The copies of the catalog are the catalog, whatever the engine does with its log meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.catalog import replica, shipping, sqlite
from tidegate.catalog.abc import Transaction
from tidegate.catalog.replica import Replica
from tidegate.catalog.shipping import COPY
from tidegate.catalog.sqlite import CATALOG_FILE, SQLite

ROUNDS = 60


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to copies: those that are begun, logs that are folded. The engine's own log begins anew often."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_BYTES", 200_000)
    monkeypatch.setattr(sqlite, "RESTART_BYTES", 600_000)
    events: list[str] = []
    begin, fold = Replica._begin, replica._fold

    def note_begin(copy: Replica) -> None:
        events.append("begin")
        begin(copy)

    def note_fold(catalog: Path, frames: int) -> None:
        events.append("fold")
        fold(catalog, frames)

    monkeypatch.setattr(Replica, "_begin", note_begin)
    monkeypatch.setattr(replica, "_fold", note_fold)
    return events


def dump(catalog: Path) -> dict[str, list[object]]:
    """All rows of a catalog, read from a copy of its files."""
    scratch = catalog.parent / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for path in catalog.parent.glob(f"{CATALOG_FILE}*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, scratch)
    with closing(sqlite3.connect(scratch / CATALOG_FILE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    shutil.rmtree(scratch)
    return rows


async def shipped(catalog: SQLite, folders: list[Path]) -> None:
    """Ships until everything is there."""
    for _ in range(3):
        await catalog.ship(folders, {"secret.key": b"key"})
        await asyncio.gather(*(copy.task for copy in catalog._shipper._copies.values() if copy.task is not None))


async def write(catalog: SQLite, chance: random.Random) -> None:
    """Writes a little, or a little more."""

    def change(tx: Transaction) -> None:
        for _ in range(chance.choice([1, 1, 10])):
            content = chance.randbytes(chance.randrange(1, 20_000))
            tx.execute("INSERT INTO small_blobs (id, data) VALUES (?, ?)", (tx.sequence(), content))
        if chance.random() < 0.3:
            tx.execute("DELETE FROM small_blobs WHERE id IN (SELECT id FROM small_blobs ORDER BY random() LIMIT 20)")

    await catalog.write(change)


def test_copies_follow_the_catalog(tmp_path: Path, begun: list[str]) -> None:
    """Under writers and checkpoints that make the log begin anew, with disks that come and go, each copy is the catalog
    whenever it has caught up, and whole copies are made only for disks that come.
    """
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    home, steady, moody = (tmp_path / name for name in ("home", "steady", "moody"))
    for folder in (home, steady, moody):
        folder.mkdir()

    async def story() -> None:
        catalog = SQLite(home, durable=False)
        has_ended = False

        async def keep_writing() -> None:
            while not has_ended:
                await write(catalog, chance)

        async def keep_checkpointing() -> None:
            while not has_ended:
                await catalog.checkpoint()
                await asyncio.sleep(chance.random() * 0.05)

        for number in range(ROUNDS):
            has_ended = False
            tasks = [asyncio.create_task(work()) for work in (keep_writing, keep_writing, keep_checkpointing)]
            await asyncio.sleep(chance.random() * 0.1)
            await catalog.ship([steady] if chance.random() < 0.1 else [steady, moody], {"secret.key": b"key"})
            await asyncio.sleep(chance.random() * 0.05)
            has_ended = True
            await asyncio.gather(*tasks)
            if number % 10 == 9:
                await shipped(catalog, [steady, moody])
                for folder in (steady, moody):
                    assert dump(folder / COPY / CATALOG_FILE) == dump(home / CATALOG_FILE), (seed, folder)
        await write(catalog, chance)
        await catalog.close()  # ships what is left
        for folder in (steady, moody):
            assert dump(folder / COPY / CATALOG_FILE) == dump(home / CATALOG_FILE), (seed, folder)
            assert (folder / COPY / "secret.key").read_bytes() == b"key"
            assert {path.stat().st_mode & 0o777 for path in (folder / COPY).iterdir()} == {0o600}

    asyncio.run(story())
    assert begun.count("fold") > 3
    assert begun.count("begin") < ROUNDS


def test_a_copy_goes_on_where_it_was(tmp_path: Path, begun: list[str]) -> None:
    """Who ships after another one, which was killed, goes on with its copies; a copy that is of another time or damaged
    begins anew.
    """
    home, target = tmp_path / "home", tmp_path / "target"
    home.mkdir()
    target.mkdir()
    chance = random.Random(1)

    async def story() -> None:
        other = SQLite(home)  # keeps the log from being put away
        catalog = SQLite(home)
        await write(catalog, chance)
        await shipped(catalog, [target])
        assert begun == ["begin"]
        catalog._shipper = shipping.Shipper(home / CATALOG_FILE)
        await write(catalog, chance)
        await shipped(catalog, [target])
        assert begun == ["begin"]
        assert dump(target / COPY / CATALOG_FILE) == dump(home / CATALOG_FILE)
        log = replica.log_of(target / COPY / CATALOG_FILE)
        with log.open("r+b") as file:
            file.seek(-4090, os.SEEK_END)
            file.write(b"damaged")
        catalog._shipper = shipping.Shipper(home / CATALOG_FILE)
        await shipped(catalog, [target])
        assert begun == ["begin", "begin"]
        await catalog.close()
        await other.close()
        assert dump(target / COPY / CATALOG_FILE) == dump(home / CATALOG_FILE)

    asyncio.run(story())


def test_a_disk_that_fails_holds_up_nobody(tmp_path: Path, begun: list[str]) -> None:
    """A folder that cannot be written is told, and left alone for a while; the others get their copies."""
    home, target, broken = tmp_path / "home", tmp_path / "target", tmp_path / "broken"
    home.mkdir()
    target.mkdir()
    broken.write_text("no folder")
    chance = random.Random(1)

    async def story() -> None:
        catalog = SQLite(home)
        for _ in range(3):
            await write(catalog, chance)
            await shipped(catalog, [broken, target])
            assert dump(target / COPY / CATALOG_FILE) == dump(home / CATALOG_FILE)
        await catalog.close()

    asyncio.run(story())
    assert begun == ["begin", "begin"]


def test_without_folders_nothing_is_held(tmp_path: Path) -> None:
    """A store of one folder ships nothing and has no connection for it."""

    async def story() -> None:
        catalog = SQLite(tmp_path)
        await catalog.ship([], {})
        assert catalog._shipper._pin is None
        await catalog.close()

    asyncio.run(story())
