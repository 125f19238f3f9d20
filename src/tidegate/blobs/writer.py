"""Writing one blob, in as many copies as are wanted: each on a folder of its own, hashed once.

A copy that fails is given up as long as another is left. The last one moves where its disk is full and another has
room. When ``finish`` has returned, every copy that it names is durable: the file, then its folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import xxhash

from tidegate import errors
from tidegate.blobs import StoredBlob, layout
from tidegate.blobs.folder import Folder
from tidegate.blobs.lane import Lane
from tidegate.blobs.layout import Footer, means_full, storage_error
from tidegate.checksums import Hasher
from tidegate.durable import sync

if TYPE_CHECKING:
    from tidegate.blobs.local import LocalBlobs

logger = logging.getLogger(__name__)

# Pieces that the threads of an upload may be behind, beside the one that is gathered: what it holds in memory.
MAX_BEHIND = 1


class Copy:
    """The file of one copy while it is written. All of it raises ``OSError``. One that ``can_move`` remembers what it
    needs for that.
    """

    def __init__(self, folder: Folder, name: bytes, *, can_move: bool = False) -> None:
        self.folder = folder
        self.is_given_up = False
        self._name = name
        self._path = folder.file(name)
        self._file = -1
        self._size = 0
        self._written = xxhash.xxh3_64() if can_move else None
        # A request that is cancelled cannot stop its threads: whoever closes the file waits for them here.
        self._lock = threading.Lock()
        self._is_open = True

    def write(self, piece: bytes) -> None:
        """Appends bytes."""
        with self._lock:
            if not self._is_open:
                return
            self._open()
            _write_all(self._file, piece)
            self._size += len(piece)
            if self._written is not None:
                self._written.update(piece)

    def write_back(self) -> None:
        """Has the system write what is dirty, on a descriptor of its own so that it may outlast the writer's."""
        with self._lock:
            if self._file < 0:
                return
            file = os.dup(self._file)
        try:
            os.fdatasync(file)
        finally:
            os.close(file)

    def seal(self, footer: bytes, *, durable: bool) -> None:
        """Ends the file."""
        with self._lock:
            self._open()
            _write_all(self._file, footer)
            if durable:
                os.fsync(self._file)
            if os.fstat(self._file).st_nlink == 0:  # somebody took it for what a crash left
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            self._close()
        if durable:
            sync(self._path.parent)

    def rename(self, name: bytes) -> None:
        """Gives a sealed file another name, in place of what has it."""
        path = self.folder.file(name)
        self._path.rename(path)
        sync(path.parent)

    def discard(self) -> None:
        """Removes the file."""
        with self._lock:
            self._close()
            self._path.unlink(missing_ok=True)

    def move(self, folder: Folder) -> None:
        """Goes on in another folder, with the bytes that are complete."""
        with self._lock:
            if not self._is_open or self._written is None:
                return
            path = folder.file(self._name)
            file = _create(path)
            try:
                # A disk that is full may have lost what it took before.
                if _copy_bytes(self._path, file, self._size) != self._written.digest():
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            except BaseException:
                os.close(file)
                path.unlink(missing_ok=True)
                raise
            if self._file >= 0:
                os.close(self._file)
                self._path.unlink(missing_ok=True)
            self.folder, self._path, self._file = folder, path, file

    def _open(self) -> None:
        if self._file < 0:
            self._file = _create(self._path)

    def _close(self) -> None:
        self._is_open = False
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class LocalWriter:
    """Implements ``BlobWriter``: gathers bytes into pieces; while one is written and hashed, the next is received."""

    def __init__(
        self, store: LocalBlobs, name: bytes, hashers: Sequence[Hasher], folders: Sequence[Folder], *, durable: bool
    ) -> None:
        self._store = store
        self._name = name
        self._hashers = hashers
        self._durable = durable
        self._copies = [Copy(folder, name, can_move=store.has_several) for folder in folders]
        self._tried = {folder.number for folder in folders}
        self._footer = Footer()
        self._synced = 0
        self._pieces: list[bytes | memoryview] = []
        self._gathered = 0
        pool = store.pool
        first, *others = self._copies
        self._lanes = [Lane(pool, partial(self._write_first, first)), Lane(pool, self._hash)]
        self._lanes += [Lane(pool, partial(self._write, copy)) for copy in others]
        self._writing_back: asyncio.Future[None] | None = None
        self._giving_up = threading.Lock()

    async def write(self, data: bytes | memoryview) -> None:
        self._pieces.append(data)
        self._gathered += len(data)
        if self._gathered >= layout.PIECE:
            await self._hand_over()

    async def flush(self) -> None:
        await self._hand_over()
        await self._wait(0)
        await self._written_back()

    async def finish(self) -> StoredBlob:
        await self.flush()
        footer = self._footer.end()
        await self._on_each(lambda copy: copy.seal(footer, durable=self._durable))
        folders = sum(copy.folder.bit for copy in self._copies if not copy.is_given_up)
        return StoredBlob(self._name, self._footer.size, layout.digest(self._name, footer), folders)

    async def abort(self) -> None:
        for step in (self._wait(0), self._written_back()):
            with contextlib.suppress(errors.Error):
                await step
        await self._store.run(self._discard)

    async def _hand_over(self) -> None:
        """Gives what was gathered to threads, that may be a piece behind: one to hash, and one to write each copy."""
        await self._wait(MAX_BEHIND)
        if not self._pieces:
            return
        piece = b"".join(self._pieces)  # a thread takes one long piece faster than many short ones
        self._pieces.clear()
        self._gathered = 0
        for lane in self._lanes:
            lane.put(piece)
        if self._durable and self._footer.size - self._synced >= layout.WRITEBACK:
            await self._written_back()
            self._synced = self._footer.size
            self._writing_back = asyncio.ensure_future(self._on_each(Copy.write_back))

    async def _wait(self, at_most: int) -> None:
        try:
            for lane in self._lanes:
                await lane.wait(at_most)
        except OSError as error:
            raise storage_error(error) from error

    async def _written_back(self) -> None:
        """Waits for the last writeback. Its failure counts: the system tells of a lost page only once."""
        writing, self._writing_back = self._writing_back, None
        if writing is not None:
            await writing

    async def _on_each(self, work: Callable[[Copy], None]) -> None:
        """Does something to every copy, side by side."""
        if len(self._copies) == 1:
            await self._store.run(self._attempt, self._copies[0], work)
        else:
            await asyncio.gather(*(self._store.run(self._attempt, copy, work) for copy in self._copies))

    # --- in threads --------------------------------------------------------------------------------------------------

    def _hash(self, piece: bytes) -> None:
        for hasher in self._hashers:
            hasher.update(piece)

    def _write_first(self, copy: Copy, piece: bytes) -> None:
        self._footer.update(piece)
        self._write(copy, piece)

    def _write(self, copy: Copy, piece: bytes) -> None:
        self._attempt(copy, lambda each: each.write(piece))

    def _attempt(self, copy: Copy, work: Callable[[Copy], None]) -> None:
        """Does something to a copy. Raises ``OSError`` where it fails and no other copy is left."""
        while not copy.is_given_up:
            try:
                work(copy)
            except OSError as error:
                copy.folder.rest()
                if self._store.has_several:
                    copy.folder.look()
                if self._gives_up(copy):
                    logger.warning("gave up a copy of a blob in %s: %s", copy.folder.blobs, error)
                elif not (means_full(error) and self._moved(copy)):
                    raise
            else:
                return

    def _gives_up(self, copy: Copy) -> bool:
        with self._giving_up:
            if all(other.is_given_up for other in self._copies if other is not copy):
                return False
            copy.is_given_up = True
        with contextlib.suppress(OSError):  # a sweep finds it
            copy.discard()
        return True

    def _moved(self, copy: Copy) -> bool:
        """Takes the last copy to a folder that has room, if there is one."""
        for folder in self._store.others(self._tried):
            self._tried.add(folder.number)
            try:
                copy.move(folder)
            except OSError as error:
                folder.rest()
                logger.warning("could not go on in %s: %s", folder.blobs, error)
            else:
                return True
        return False

    def _discard(self) -> None:
        failure: OSError | None = None
        for copy in self._copies:
            try:
                if not copy.is_given_up:
                    copy.discard()
            except OSError as error:
                failure = error
        if failure is not None:
            raise failure


def _create(path: os.PathLike[str]) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _copy_bytes(source: os.PathLike[str], target: int, size: int) -> bytes:
    """Copies the first bytes of a file. Returns the XXH3 checksum of what there was."""
    copied = xxhash.xxh3_64()
    if size:
        with open(source, "rb", buffering=0) as file:
            while piece := file.read(min(size, layout.PIECE)):
                _write_all(target, piece)
                copied.update(piece)
                size -= len(piece)
    return copied.digest()
