"""Brings a store back whose home folder is lost, from the copy of the catalog in one of its further folders.

What had a copy in another folder is all there; a job makes the copies again that were lost with the home folder. What
was only there is lost, and ``fsck`` names it.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from tidegate.blobs.folder import BLOBS_FOLDER, MARKER, Marker, read_marker, write_marker
from tidegate.catalog import buckets, copies, folders, sqlite_files
from tidegate.catalog.abc import Transaction
from tidegate.catalog.copies import TaskKind
from tidegate.catalog.folders import KnownFolder
from tidegate.catalog.replica import BEFORE, log_of
from tidegate.catalog.shipping import COPY
from tidegate.catalog.sqlite import CATALOG_FILE, SQLite
from tidegate.durable import sync, write_durably
from tidegate.identity.vault import KEY_FILE
from tidegate.jobs.backup import BackupError, alone, check_apart, has_content, incoming
from tidegate.jobs.runner import SERVER_LOCK

# A folder whose copy is older than another's by more than this (seconds) has not been shipped to for a while.
TOLERANCE_SECONDS = 60.0
# What may be in the folder that becomes the home folder: blobs whose catalog is gone, and what a server leaves there.
_MAY_BE_THERE = frozenset({BLOBS_FOLDER, "lost+found", SERVER_LOCK, "workers.lock"})


class Recovered(msgspec.Struct, frozen=True):
    """What has been brought back, as of a time (seconds), and the further folders with whether each is there."""

    objects: int
    bytes: int
    taken: float
    folders: list[tuple[str, bool]]


async def recover(disk: Path, home: Path, *, may_be_older: bool = False) -> Recovered:
    """Makes ``home`` the home folder of the store that ``disk`` is a further folder of. Raises ``BackupError``."""
    check_apart(disk, home)
    marker = read_marker(disk)
    if marker is None:
        raise BackupError(f"{disk} is no further data folder: it has no {MARKER}")
    if has_content(home, _MAY_BE_THERE):
        raise BackupError(f"{home} is not empty")
    with alone(disk), alone(home):
        source = _copy_in(disk)
        if source is None:
            raise BackupError(f"{disk} has no copy of the catalog")
        with incoming(home) as scratch:
            await _fetch(source, scratch, marker, home)
            with sqlite_files.reading(scratch / CATALOG_FILE) as reader:
                known = folders.everyone(reader)
                _, objects, size = buckets.totals(reader)
            if not may_be_older:
                _check_newest(disk, known)
            for name in (KEY_FILE, CATALOG_FILE):
                with suppress(FileNotFoundError):
                    (scratch / name).rename(home / name)
            sync(home)
        found = [(folder.path, _claim(folder, known[0], home)) for folder in known[1:]]
    return Recovered(objects, size, _time(source), found)


async def _fetch(source: Path, scratch: Path, marker: Marker, home: Path) -> None:
    """Copies a catalog, brings its log into it, and says in it that the home folder is a new one."""
    for path in (source, log_of(source)):
        with suppress(FileNotFoundError):
            write_durably(scratch / path.name, b"")
            shutil.copyfile(path, scratch / path.name)
    with suppress(FileNotFoundError):
        write_durably(scratch / KEY_FILE, (source.parent / KEY_FILE).read_bytes())
    catalog = SQLite(scratch)

    def move(tx: Transaction) -> None:
        old = folders.everyone(tx)[0]
        generation = max(old.generation, marker.generation) + 1
        folders.put(tx, msgspec.structs.replace(old, path=str(home.resolve()), generation=generation))
        copies.begin(tx, TaskKind.CHECK, 0)
        copies.hurry(tx)

    try:
        await catalog.write(move)
    finally:
        await catalog.close()
    sqlite_files.settle(scratch / CATALOG_FILE)


def _claim(folder: KnownFolder, store: KnownFolder, home: Path) -> bool:
    """Tells a further folder where its store is now. Returns whether it is there."""
    path = Path(folder.path)
    try:
        marker = read_marker(path)
        if marker is None or (marker.store, marker.id) != (store.id, folder.id):
            return False
        write_marker(path, msgspec.structs.replace(marker, home=str(home.resolve()), generation=store.generation))
    except OSError:
        return False
    return True


def _check_newest(disk: Path, known: list[KnownFolder]) -> None:
    mine = _copy_in(disk)
    for folder in known[1:]:
        other = _copy_in(Path(folder.path))
        if mine is not None and other is not None and _time(other) > _time(mine) + TOLERANCE_SECONDS:
            raise BackupError(f"the copy in {folder.path} is newer: recover from that, or say --older")


def _copy_in(folder: Path) -> Path | None:
    for name in (COPY, COPY + BEFORE):
        catalog = folder / name / CATALOG_FILE
        try:
            if catalog.stat().st_size:
                return catalog
        except OSError:
            continue
    return None


def _time(catalog: Path) -> float:
    """When a copy was last brought up to date."""
    times = [catalog.stat().st_mtime]
    with suppress(OSError):
        times.append(log_of(catalog).stat().st_mtime)
    return max(times)
