"""Blobs on local disks: files, written once, over one data folder or several.

Which folders have a blob is for the catalog to remember, as a set of bits; the home folder's is the first. Writing,
hashing and reading happen in threads. With one folder nothing of this costs anything: there is nothing to choose.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from tidegate import errors
from tidegate.blobs import HOME, layout
from tidegate.blobs.folder import Folder
from tidegate.blobs.layout import NAME_SIZE, Footer, storage_error
from tidegate.blobs.reader import Reader
from tidegate.blobs.writer import Copy, LocalWriter
from tidegate.checksums import Hasher

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

logger = logging.getLogger(__name__)

# Threads that read, write and hash. They wait for the disk more than they compute.
THREADS = 16
# A folder with less than this free gets new blobs only where no other has more: uploads whose size nobody knows yet are
# under way, and the home folder's catalog must be able to grow.
RESERVE = 256 * 1024 * 1024


class LocalBlobs:
    """Implements ``BlobStore``, with the home folder's files in ``home``. To be made and used on one event loop.

    ``durable`` False leaves it to the system when bytes reach the disk: they survive a killed process, not a power cut.
    ``on_damage`` is told of a blob by name when a copy of it turned out to be damaged or gone, and returns whether that
    is news, which the log should have.
    """

    def __init__(
        self, home: Path, *, durable: bool = True, on_damage: Callable[[bytes], bool] = lambda _name: True
    ) -> None:
        self._home = Folder(0, home)
        self._folders = {0: self._home}
        self._durable = durable
        self.on_damage = on_damage
        self.disks = [home.parent]  # a folder on each
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self._home.prepare()

    def close(self) -> None:
        self.pool.shutdown()

    def path(self, name: bytes) -> Path:
        """Where a blob is, or would be, in the home folder."""
        return self._home.file(name)

    # --- folders -----------------------------------------------------------------------------------------------------

    @property
    def has_several(self) -> bool:
        return len(self._folders) > 1

    @property
    def capacity(self) -> int:
        return sum(not folder.is_leaving for folder in self._folders.values())

    @property
    def there(self) -> int:
        return sum(folder.bit for folder in self._folders.values() if folder.is_there)

    @property
    def leaving(self) -> int:
        return sum(folder.bit for folder in self._folders.values() if folder.is_leaving)

    def arrange(self, further: Sequence[Folder]) -> None:
        """Says which folders there are beside the home folder. Those that were known stay as they are."""
        old, self._folders = self._folders, {0: self._home}
        for folder in further:
            known = old.get(folder.number)
            if known is None or (known.id, known.blobs, known.is_given) != (folder.id, folder.blobs, folder.is_given):
                known = folder
            known.is_leaving = folder.is_leaving
            self._folders[folder.number] = known
        self.disks[:] = [folder.blobs.parent for folder in self._folders.values() if folder.is_given]

    def look(self) -> None:
        """Sees which folders are there, and what is free. Blocks: to be called in a thread."""
        for folder in list(self._folders.values()):
            folder.look()

    async def refresh(self) -> None:
        await self.run(self.look)

    def others(self, tried: set[int]) -> list[Folder]:
        """The folders that may take a blob beside those tried, the emptiest first."""
        left = [folder for folder in self._folders.values() if folder.takes and folder.number not in tried]
        return sorted(left, key=lambda folder: -folder.free)

    def place(self, count: int, size: int) -> list[Folder]:
        """Folders for the copies of a new blob: so many, or as many as there are, and one at least."""
        if not self.has_several:
            return [self._home]
        return self._usable(size, 0)[:count] or [self._home]

    def room(self, size: int, beside: int) -> list[int]:
        return [folder.bit for folder in self._usable(size, beside)]

    def by_room(self, folders: int) -> list[int]:
        having = [folder for folder in self._folders.values() if folder.bit & folders]
        return [folder.bit for folder in sorted(having, key=lambda folder: -folder.free)]

    def _usable(self, size: int, beside: int) -> list[Folder]:
        """The folders that may take a new blob, best first: those with room by chance, in proportion to it, so that
        they fill up together; then the others.
        """
        usable = [folder for folder in self._folders.values() if folder.takes and not folder.bit & beside]
        # Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
        usable.sort(
            key=lambda folder: (
                (0, random.expovariate(folder.free + 1)) if folder.free >= size + RESERVE else (1, -folder.free)
            )
        )
        return usable

    # --- blobs -------------------------------------------------------------------------------------------------------

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Runs a blocking function in a thread. Turns what the disk refuses into errors of ours."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, function, *args)
        except OSError as error:
            raise storage_error(error) from error

    def writer(
        self, hashers: Sequence[Hasher], copies: int = 1, size: int = 0, *, durable: bool | None = None
    ) -> LocalWriter:
        durable = self._durable if durable is None else durable and self._durable
        return LocalWriter(self, secrets.token_bytes(NAME_SIZE), hashers, self.place(copies, size), durable=durable)

    async def read(
        self, name: bytes, size: int, digest: bytes, start: int, length: int, folders: int = HOME
    ) -> AsyncGenerator[bytes, None]:
        position, end = start, start + length
        order = self._order(name, folders)
        failure: errors.Error = errors.FolderMissing() if folders else errors.DamagedBlob()
        failed = 0  # the folders whose copy cannot be read at this position
        sound: list[bytes] = []  # of a piece of which not all is sound in one copy
        while folder := next((folder for folder in order if not folder.bit & failed), None):
            reader = Reader(folder.file(name), name, size, digest)
            folder.reads += 1
            try:
                await self.run(reader.open)
                while position < end:
                    stop = min(end, (position // layout.PIECE + 1) * layout.PIECE)
                    sound.append(await self.run(reader.read, position, stop))
                    position, failed = position + len(sound[-1]), 0
                    if position == stop:
                        yield b"".join(sound)
                        sound.clear()
            except (errors.DamagedBlob, errors.ServiceUnavailable) as error:
                failure = await self._failed(folder, name, error)
                failed |= folder.bit
            else:
                return
            finally:
                folder.reads -= 1
                reader.close()
        raise failure

    async def sound(self, name: bytes, size: int, digest: bytes, folders: int = HOME) -> int:
        """Reads every copy that is there. Returns the folders whose copy is as it was written."""
        found = 0
        for folder in self._order(name, folders):
            try:
                async with aclosing(self._one(folder, name, size, digest)) as pieces:
                    async for _ in pieces:
                        pass
            except errors.Error:
                continue
            found |= folder.bit
        return found

    async def complete(self, name: bytes, size: int, folders: int) -> int:
        """The folders whose copy is there in its full length. Nothing is read."""
        return await self.run(self._complete, name, size, folders)

    async def copy(self, name: bytes, size: int, digest: bytes, folders: int, target: int) -> None:
        folder = next(folder for folder in self._folders.values() if folder.bit == target)
        # Under a name of its own until it is whole; what a crash leaves of it is a file that nobody knows.
        copy = Copy(folder, name[:1] + secrets.token_bytes(NAME_SIZE - 1))
        footer = Footer()

        def write(piece: bytes) -> None:
            footer.update(piece)
            copy.write(piece)

        def seal() -> None:
            ended = footer.end()
            if layout.digest(name, ended) != digest:
                raise errors.DamagedBlob
            copy.seal(ended, durable=True)
            copy.rename(name)

        try:
            async with aclosing(self.read(name, size, digest, 0, size, folders)) as pieces:
                async for piece in pieces:
                    await self.run(write, piece)
            await self.run(seal)
        except BaseException as error:
            if isinstance(error, errors.InsufficientStorage):
                folder.rest()
            with suppress(errors.Error):  # a sweep finds it
                await self.run(copy.discard)
            raise

    async def delete(self, blobs: Sequence[tuple[bytes, int]]) -> None:
        await self.run(self._delete, blobs)

    def names(self) -> Iterator[tuple[bytes, int, int]]:
        for folder in list(self._folders.values()):
            if not folder.is_there:
                continue
            try:
                yield from ((name, folder.bit, written) for name, written in folder.names())
            except OSError as error:
                if folder is self._home:
                    raise
                logger.warning("cannot look through %s: %s", folder.blobs, error)

    # -----------------------------------------------------------------------------------------------------------------

    def _order(self, name: bytes, folders: int) -> Sequence[Folder]:
        """Where to read a blob from, the best first: what is there, what is least busy, and else by the blob's name, so
        that each is in one page cache.
        """
        if folders == HOME:
            return (self._home,)
        having = [folder for folder in self._folders.values() if folder.bit & folders]
        if len(having) > 1:
            turn = name[1] % len(having)
            having = having[turn:] + having[:turn]
            having.sort(key=lambda folder: (not folder.is_there, folder.reads))
        return having

    async def _one(self, folder: Folder, name: bytes, size: int, digest: bytes) -> AsyncGenerator[bytes, None]:
        """All of one copy."""
        reader = Reader(folder.file(name), name, size, digest)
        try:
            await self.run(reader.open)
            position = 0
            while position < size:
                piece = await self.run(reader.read, position, min(size, position + layout.PIECE))
                yield piece
                position += len(piece)
        finally:
            reader.close()

    async def _failed(self, folder: Folder, name: bytes, error: errors.Error) -> errors.Error:
        """A copy could not be read. What to raise if no other can: a folder that is not there may come back."""
        if not self.has_several:
            return error
        await self.run(folder.look)
        if not folder.is_there:
            return errors.FolderMissing()
        if self.on_damage(name):
            logger.warning("a copy of the blob %s in %s is damaged, unreadable or gone", name.hex(), folder.blobs)
        return error

    def _complete(self, name: bytes, size: int, folders: int) -> int:
        found = 0
        for folder in self._order(name, folders):
            try:
                found |= folder.bit * (folder.file(name).stat().st_size == layout.stored_size(size))
            except OSError:
                continue
        return found

    def _delete(self, blobs: Sequence[tuple[bytes, int]]) -> None:
        for name, folders in blobs:
            for folder in self._order(name, folders):
                try:
                    folder.file(name).unlink(missing_ok=True)
                except OSError as error:
                    if folder is self._home:
                        raise
                    logger.warning("cannot remove a file from %s, a sweep will: %s", folder.blobs, error)
