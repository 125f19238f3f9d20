"""Backups: a folder that is laid out like a data folder and holds one moment of it. Taken while a server runs.

The catalog is copied first, in one piece, and while its files follow no garbage is collected: whatever the copy names
is there to be copied. Blobs never change, so a later backup into the same folder copies only new ones. The new catalog
takes the old one's place in one step, when everything it names is there; only then is removed what nothing names any
more. Broken off anywhere, the folder holds the backup before.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from tidegate import __version__
from tidegate.blobs.folder import BLOBS_FOLDER, Folder
from tidegate.blobs.layout import stored_size
from tidegate.catalog import blobs, buckets, sqlite_files
from tidegate.catalog import copies as mirrored
from tidegate.catalog.sqlite import CATALOG_FILE, SQLite
from tidegate.clock import now
from tidegate.durable import PARTIAL, sync, write_durably
from tidegate.gateway import folders
from tidegate.identity.vault import KEY_FILE
from tidegate.jobs.garbage import STEP
from tidegate.jobs.hold import hold_garbage
from tidegate.jobs.runner import SERVER_LOCK

MANIFEST = "backup.json"
# Where what is not complete waits. It is removed at the next try.
_INCOMING = "incoming"
_FOREVER = 2**63 - 1


class BackupError(Exception):
    """Why there is no backup, or no restored folder, in one line."""


class Manifest(msgspec.Struct, frozen=True):
    """The note in a backup. Without ``taken`` (microseconds) it was never finished."""

    tidegate: str
    taken: int = 0
    objects: int = 0
    bytes: int = 0


class Outcome(msgspec.Struct):
    """What was done. ``missing`` are files that the catalog names and that are not there: ``fsck`` says whose."""

    objects: int = 0
    bytes: int = 0
    linked: int = 0
    copied: int = 0
    kept: int = 0
    removed: int = 0
    missing: list[str] = msgspec.field(default_factory=list)
    has_secrets: bool = False


async def backup(data: Path, target: Path, *, copies: bool = False) -> Outcome:
    """Brings the backup in ``target`` up to date with a data folder, or begins one in an empty folder.

    Files are linked where the disk allows it, unless ``copies`` is set. Raises ``BackupError``.
    """
    check_apart(data, target)
    if read_manifest(target) is None and has_content(target):
        raise BackupError(f"{target} is neither empty nor a backup")
    with alone(target):
        if read_manifest(target) is None:
            write_durably(target / MANIFEST, msgspec.json.encode(Manifest(__version__)))
        with hold_garbage(data):
            taken = now()
            outcome = await _transfer(data, target, copies=copies)
        manifest = Manifest(__version__, taken, outcome.objects, outcome.bytes)
        write_durably(target / MANIFEST, msgspec.json.encode(manifest))
        outcome.removed = _remove_unknown(target)
    return outcome


async def restore(source: Path, data: Path, *, copies: bool = False) -> Outcome:
    """Makes a data folder of a backup. ``data`` has to be empty, or not there. Raises ``BackupError``."""
    check_apart(source, data)
    manifest = read_manifest(source)
    if manifest is None:
        raise BackupError(f"{source} is no backup: it has no {MANIFEST}")
    if not manifest.taken:
        raise BackupError(f"the backup in {source} was never finished")
    if has_content(data):
        raise BackupError(f"{data} is not empty")
    with alone(data):
        return await _transfer(source, data, copies=copies)


def read_manifest(folder: Path) -> Manifest | None:
    """The note in a backup; None where the folder is none. Raises ``BackupError`` where it cannot be read."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except msgspec.MsgspecError:
        raise BackupError(f"{folder / MANIFEST} is not what a backup has there") from None


async def _transfer(source: Path, target: Path, *, copies: bool) -> Outcome:
    """Copies a catalog with all that it names. The catalog comes into its place last."""
    outcome = Outcome()
    with incoming(target) as scratch:
        catalog = scratch / CATALOG_FILE
        sqlite_files.copy(source / CATALOG_FILE, catalog)
        await _drop_garbage(scratch)
        sqlite_files.settle(catalog)
        with sqlite_files.reading(catalog) as reader:
            _, outcome.objects, outcome.bytes = buckets.totals(reader)
            _bring_files(
                blobs.files(reader), folders.there(reader, source), target / BLOBS_FOLDER, outcome, copies=copies
            )
        await _make_one_folder(scratch)
        outcome.has_secrets = (source / KEY_FILE).exists()
        if outcome.has_secrets:
            write_durably(target / KEY_FILE, (source / KEY_FILE).read_bytes())
        for leftover in ("-wal", "-shm"):  # of somebody who served the backup where it lies
            (target / f"{CATALOG_FILE}{leftover}").unlink(missing_ok=True)
        catalog.rename(target / CATALOG_FILE)
        sync(target)
    return outcome


async def _drop_garbage(folder: Path) -> None:
    """What is garbage in a copy that nobody reads yet need not come along."""
    catalog = SQLite(folder)
    try:
        while (await catalog.write(partial(blobs.collect, before=_FOREVER, limit=STEP, now=0)))[0]:
            pass
    finally:
        await catalog.close()


def _bring_files(
    files: Iterator[tuple[bytes, int, int]], sources: Sequence[Folder], target: Path, outcome: Outcome, *, copies: bool
) -> None:
    """Sees to it that every file is in the target, durably."""
    there = Folder(0, target)
    there.prepare()
    for name, size, having in files:
        original = _find(name, size, having, sources)
        copy = there.file(name)
        if original is None:
            outcome.missing.append(name.hex())
        elif _is_complete(copy, stored_size(size)) and not (copies and copy.samefile(original)):
            outcome.kept += 1
        elif not copies and _link(original, copy):
            outcome.linked += 1
        else:
            _copy(original, copy)
            outcome.copied += 1
    for folder in (*target.iterdir(), target):
        sync(folder)


def _find(name: bytes, size: int, having: int, sources: Sequence[Folder]) -> Path | None:
    """The file of a blob, wherever: it may have been brought to another folder since the catalog was copied."""
    paths = [folder.file(name) for folder in sorted(sources, key=lambda folder: not folder.bit & having)]
    for _ in range(2):  # while it is brought there, it may be in neither at the moment when each is looked at
        for path in paths:
            if _is_complete(path, stored_size(size)):
                return path
    return next((path for path in paths if path.exists()), None)  # what there is of it


async def _make_one_folder(folder: Path) -> None:
    """What was in several folders is in one."""
    catalog = SQLite(folder)
    try:
        await catalog.write(mirrored.reside_at_home)
    finally:
        await catalog.close()
    sqlite_files.settle(folder / CATALOG_FILE)


def _is_complete(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _link(original: Path, copy: Path) -> bool:
    """Gives the file, which never changes, a second name; False where the disk does not allow it."""
    copy.unlink(missing_ok=True)
    try:
        copy.hardlink_to(original)
    except OSError:
        return False
    return True


def _copy(original: Path, copy: Path) -> None:
    aside = copy.with_name(copy.name + PARTIAL)
    try:
        aside.touch(mode=0o600)
        shutil.copyfile(original, aside)
        sync(aside)
        aside.rename(copy)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _remove_unknown(target: Path) -> int:
    """Removes the files that only the backup before named."""
    removed = 0
    folder = Folder(0, target / BLOBS_FOLDER)
    with sqlite_files.reading(target / CATALOG_FILE) as reader:
        found = folder.names()
        while names := [name for name, _ in itertools.islice(found, STEP)]:
            known = blobs.known_files(reader, names)
            for name in names:
                if name not in known:
                    folder.file(name).unlink(missing_ok=True)
                    removed += 1
    return removed


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps servers and other backups out of a folder, which is made if it is not there. Raises ``BackupError``."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / SERVER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackupError(f"{folder} is in use by a server or another backup") from None
    else:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def incoming(target: Path) -> Iterator[Path]:
    """A folder in another for what is not complete yet; it is removed in the end."""
    folder = target / _INCOMING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_apart(one: Path, other: Path) -> None:
    """Raises ``BackupError`` where one folder lies in the other."""
    first, second = one.resolve(), other.resolve()
    if first == second or first in second.parents or second in first.parents:
        raise BackupError(f"{one} and {other} lie in each other")


def has_content(folder: Path, beside: frozenset[str] = frozenset({SERVER_LOCK})) -> bool:
    """Whether a folder has more than these, the lock of this module mostly, or is no folder."""
    return folder.exists() and (not folder.is_dir() or any(each.name not in beside for each in folder.iterdir()))
