"""The data folders of a store: which there are, which of them are there, and how one comes and goes.

What a folder is, its marker says; which folders there are, the catalog. A folder that should be there and is not, or
has no marker because its disk failed to mount, is *missing*: what has copies elsewhere is served from there, and nobody
takes the empty folder for a new one until ``renew`` says so.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import msgspec

from tidegate import errors
from tidegate.alongside import alongside
from tidegate.blobs.folder import BLOBS_FOLDER, MARKER, Folder, Marker, read_marker, write_marker
from tidegate.blobs.local import LocalBlobs
from tidegate.catalog import copies, folders
from tidegate.catalog.abc import Driver, Reader, Transaction
from tidegate.catalog.copies import TaskKind
from tidegate.catalog.folders import KnownFolder
from tidegate.identity.vault import KEY_FILE

logger = logging.getLogger(__name__)

# How long a look at the folders' disks counts: what a disk that went away costs each request until then is one try.
LOOK_SECONDS = 2.0
# A blob whose damage a process has told the catalog of is told again after this: mended, it may be damaged once more.
# Until then a blob that is read all the time costs one write and one line in the log.
TELL_AGAIN_SECONDS = 5.0
# Blobs that it remembers to have told. Beyond that the first are forgotten.
MAX_TOLD = 10_000

_LOCK_FILE = "folders.lock"
# What may be in a folder that is to be taken up: what file systems and servers leave there.
_LEFTOVERS = frozenset({"lost+found", "server.lock", "workers.lock"})


class Folders:
    """The folders of the store whose home is ``home``."""

    def __init__(self, catalog: Driver, store: LocalBlobs, home: Path) -> None:
        self._catalog = catalog
        self._store = store
        self._home = home.resolve()
        self._given: set[int] = set()
        self._told: dict[bytes, float] = {}  # when, the longest ago first
        self._telling: set[asyncio.Task[None]] = set()
        store.on_damage = self._tell

    async def open(self, further: Sequence[Path] | None = None) -> None:
        """Takes the folders up: beside the home folder those that are given, or else those that a server last had.

        Raises ``InvalidArgument`` for a folder that is no empty one and none of this store.
        """
        if further is None:
            known = await self._catalog.read(folders.everyone)
            # A copy of a home folder must not work on the disks of the original, unless somebody says so to a server.
            self._given = {folder.number for folder in known if self._is_ours(folder)}
        else:
            with self._alone():
                self._given = set(await self._join([path.resolve() for path in further]))
        await self.refresh()
        for folder, is_there in (await self.everyone())[1:]:
            if folder.number not in self._given and further is not None:
                logger.warning("the data folder %s was not given: what is only there cannot be read", folder.path)
            elif not is_there:
                logger.warning("the data folder %s is not there, or has no %s of this store", folder.path, MARKER)

    async def refresh(self) -> None:
        """Sees which folders there are, and which are there."""
        known = await self._catalog.recall("folders", folders.everyone)
        self._store.arrange([_folder(each, is_given=each.number in self._given) for each in known[1:]])
        if self._store.has_several:
            await asyncio.to_thread(self._store.look)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Looks at the folders every so often while the context is open."""
        async with alongside(self._keep(), "data folders"):
            yield

    async def everyone(self) -> list[tuple[KnownFolder, bool]]:
        """The folders, and whether each is there. The home folder comes first."""
        known = await self._catalog.read(folders.everyone)
        return [(folder, bool(self._store.there >> folder.number & 1)) for folder in known]

    async def ship_catalog(self) -> None:
        """Brings the copies of the catalog in the further folders up to date."""
        ready = [Path(folder.path) for folder, is_there in await self.everyone() if folder.number and is_there]
        key = self._home / KEY_FILE
        await self._catalog.ship(ready, {KEY_FILE: key.read_bytes()} if ready else {})

    async def renew(self, path: Path) -> KnownFolder:
        """Takes an empty folder in place of the one that was known there, and is lost. A job brings its blobs back.

        Raises ``InvalidArgument``.
        """
        with self._alone():
            known = self._known(await self._catalog.read(folders.everyone), path)
            if not _is_empty(path):
                raise errors.InvalidArgument(f"{path} is not there or not empty: a data folder begins empty")
            renewed = msgspec.structs.replace(known, id=folders.new_id())
            await self._take_up(renewed)

            def renew(tx: Transaction) -> None:
                folders.put(tx, renewed)
                copies.begin(tx, TaskKind.CHECK, renewed.number)
                copies.hurry(tx)

            await self._catalog.write(renew)
        self._given.add(renewed.number)
        await self.refresh()
        return renewed

    async def remove(self, path: Path) -> KnownFolder:
        """Begins to give a folder up: a job brings what is in it elsewhere, and forgets what is lost with it.

        Raises ``InvalidArgument``.
        """
        with self._alone():
            known = self._known(await self._catalog.read(folders.everyone), path)

            def remove(tx: Transaction) -> None:
                folders.put(tx, msgspec.structs.replace(known, is_leaving=True))
                copies.begin(tx, TaskKind.LEAVE, known.number)

            await self._catalog.write(remove)
        await self.refresh()
        return known

    async def close(self) -> None:
        """Waits for what is being told."""
        if self._telling:
            await asyncio.wait(self._telling)

    # -----------------------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.refresh()
            except Exception:  # it is tried again
                logger.exception("cannot look at the data folders")

    async def _join(self, further: Sequence[Path]) -> list[int]:
        """Brings the catalog's folders up to date with those that are given. Returns their numbers."""
        _check_apart([self._home, *further])
        known = await self._catalog.read(folders.everyone)
        if known[0].path != str(self._home):
            await self._catalog.write(partial(folders.put, folder=_at(known[0], self._home)))
        numbers = []
        for path in further:
            marker = _marker(path)
            folder = next((folder for folder in known[1:] if folder.path == str(path)), None)
            if marker is not None:
                folder = await self._recognise(path, marker, known)
                if (marker.home, marker.generation) != (str(self._home), known[0].generation):
                    home, generation = str(self._home), known[0].generation
                    write_marker(path, msgspec.structs.replace(marker, home=home, generation=generation))
            elif folder is None:
                number = await self._catalog.read(folders.next_number)
                folder = KnownFolder(number, folders.new_id(), str(path))
                await self._begin(folder)
            if folder not in known:
                await self._catalog.write(partial(_joined, folder=folder))
                known = await self._catalog.read(folders.everyone)
            numbers.append(folder.number)
        if len(set(numbers)) < len(numbers):
            raise errors.InvalidArgument("two of the data folders are copies of each other")
        return numbers

    async def _recognise(self, path: Path, marker: Marker, known: Sequence[KnownFolder]) -> KnownFolder:
        """The folder that a marker means. Raises ``InvalidArgument`` where it is none of this store."""
        if marker.store != known[0].id:
            raise errors.InvalidArgument(f"{path} belongs to another store, whose catalog was in {marker.home}")
        if marker.generation > known[0].generation:
            raise errors.InvalidArgument(
                f"the store was recovered to {marker.home}: {self._home} is what was left of it before"
            )
        for folder in known:
            if folder.id == marker.id:
                return _at(folder, path)
        if any((path / BLOBS_FOLDER).glob("*/*")):
            raise errors.InvalidArgument(f"{path} was given up or replaced: to use it again, empty it")
        number = await self._catalog.read(folders.next_number)
        return KnownFolder(number, marker.id, str(path))

    async def _begin(self, folder: KnownFolder) -> None:
        """Makes an empty folder one of this store. Its marker comes before its row: one without is not told apart from
        a disk that is not mounted.
        """
        path = Path(folder.path)
        if not _is_empty(path, make=True):
            raise errors.InvalidArgument(f"{path} is not empty, and no data folder: a further one begins empty")
        await self._take_up(folder)

    async def _take_up(self, folder: KnownFolder) -> None:
        home = (await self._catalog.read(folders.everyone))[0]
        _folder(folder).prepare()
        write_marker(Path(folder.path), Marker(home.id, folder.id, folder.number, str(self._home), home.generation))

    def _is_ours(self, folder: KnownFolder) -> bool:
        marker = _marker(Path(folder.path))
        return marker is None or marker.home == str(self._home)

    def _known(self, known: Sequence[KnownFolder], path: Path) -> KnownFolder:
        for folder in known[1:]:
            if folder.path == str(path.resolve()):
                return folder
        raise errors.InvalidArgument(f"{path} is no further data folder of {self._home}")

    def _tell(self, name: bytes) -> bool:
        """A copy of a blob was found damaged: takes it down for the job that mends it. Returns whether that is news."""
        told, time_now = self._told.get(name), time.monotonic()
        if told is not None and time_now - told < TELL_AGAIN_SECONDS:
            return False
        self._told.pop(name, None)
        if len(self._told) >= MAX_TOLD:
            del self._told[next(iter(self._told))]
        self._told[name] = time_now
        task = asyncio.create_task(self._take_down(name))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        return True

    async def _take_down(self, name: bytes) -> None:
        try:
            await self._catalog.write(partial(copies.suspect, file=name))
        except errors.Error:
            self._told.pop(name, None)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = os.open(self._home / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _joined(tx: Transaction, folder: KnownFolder) -> None:
    folders.put(tx, folder)
    copies.hurry(tx)


def _at(folder: KnownFolder, path: Path) -> KnownFolder:
    return msgspec.structs.replace(folder, path=str(path))


def there(reader: Reader, home: Path) -> list[Folder]:
    """The folders of the store in ``home`` that are there, for who works on one without a gateway."""
    found = []
    for known in folders.everyone(reader):
        path = Path(known.path) if known.number else home
        marker = _marker(path)
        if not known.number or (marker is not None and (marker.id, marker.home) == (known.id, str(home.resolve()))):
            found.append(Folder(known.number, path / BLOBS_FOLDER, known.id))
    return found


def _folder(known: KnownFolder, *, is_given: bool = True) -> Folder:
    blobs = Path(known.path) / BLOBS_FOLDER
    return Folder(known.number, blobs, known.id, is_leaving=known.is_leaving, is_given=is_given)


def _marker(path: Path) -> Marker | None:
    try:
        return read_marker(path)
    except OSError:
        return None


def _is_empty(path: Path, *, make: bool = False) -> bool:
    """Whether a folder is there and has nothing in it that somebody may miss."""
    if make:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return all(entry.name in _LEFTOVERS for entry in path.iterdir())
    except OSError:
        return False


def _check_apart(paths: Sequence[Path]) -> None:
    for number, path in enumerate(paths):
        for other in paths[:number]:
            if path == other or path in other.parents or other in path.parents:
                raise errors.InvalidArgument(f"the data folders {other} and {path} lie in each other")
