"""Blobs on a local disk: one file each, written once.

A file is the blob's bytes followed by a *footer*: the XXH3 checksum (64 bits, big-endian) of each block of ``BLOCK``
bytes. The catalog keeps the checksum of the footer together with the blob's name. So every byte is verified when it is
read, also in a range, and a file cannot stand in for another.

Writing, hashing and reading happen in threads. What is written is made durable before ``finish`` returns: the file,
then its folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import xxhash

from tidegate import errors
from tidegate.blobs import StoredBlob
from tidegate.blobs.lane import Lane
from tidegate.checksums import Hasher
from tidegate.durable import sync

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# What a small read from a large blob must read to be verified: 256 KiB take some 50 µs from the page cache.
BLOCK = 256 * 1024
CHECKSUM_SIZE = 8
# Bytes go to a thread and come from one in pieces of this size, so that the hop costs little beside the work.
PIECE = 1024 * 1024
# Pieces that the threads of an upload may be behind, beside the one that is gathered: what it holds in memory.
MAX_BEHIND = 1
# Dirty pages of a long upload are written back every so often, so that the last fsync is short and memory stays clean.
WRITEBACK = 32 * 1024 * 1024
# Threads that read, write and hash. They wait for the disk more than they compute.
THREADS = 16

# Folders that the files are spread over, by the first byte of their names.
SHARDS = 256

_NAME_SIZE = 16


def _digest(name: bytes, footer: bytes) -> bytes:
    return xxhash.xxh3_64_digest(name + footer)


def _block_count(size: int) -> int:
    return -(-size // BLOCK)


class LocalBlobs:
    """Implements ``BlobStore`` in a folder. To be made and used on one event loop.

    ``durable`` False leaves it to the system when bytes reach the disk: they survive a killed process, not a power cut.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._folder = folder
        self._durable = durable
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        if not (folder / f"{SHARDS - 1:02x}").exists():  # the last one: all were made
            for shard in range(SHARDS):
                (folder / f"{shard:02x}").mkdir(mode=0o700, parents=True, exist_ok=True)
            # What is durable in a folder is lost all the same with the folder.
            sync(folder)
            sync(folder.parent)

    def close(self) -> None:
        self.pool.shutdown()

    def path(self, name: bytes) -> Path:
        text = name.hex()
        return self._folder / text[:2] / text

    @staticmethod
    def stored_size(size: int) -> int:
        """The length of the file of a blob of ``size`` bytes."""
        return size + _block_count(size) * CHECKSUM_SIZE

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Runs a blocking function in a thread. Turns what the disk refuses into errors of ours."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, function, *args)
        except OSError as error:
            raise storage_error(error) from error

    def writer(self, hashers: Sequence[Hasher]) -> LocalWriter:
        return LocalWriter(self, secrets.token_bytes(_NAME_SIZE), hashers, durable=self._durable)

    async def read(self, name: bytes, size: int, digest: bytes, start: int, length: int) -> AsyncGenerator[bytes, None]:
        reader = _Reader(self.path(name), name, size, digest)
        position, end = start, start + length
        try:
            await self.run(reader.open)
            while position < end:
                stop = min(end, (position // PIECE + 1) * PIECE)
                yield await self.run(reader.read, position, stop)
                position = stop
        finally:
            reader.close()

    async def verify(self, name: bytes, size: int, digest: bytes) -> None:
        async for _ in self.read(name, size, digest, 0, size):
            pass

    async def delete(self, names: Sequence[bytes]) -> None:
        await self.run(self._delete, names)

    def _delete(self, names: Sequence[bytes]) -> None:
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def names(self) -> Iterator[tuple[bytes, int]]:
        for shard in range(SHARDS):
            with os.scandir(self._folder / f"{shard:02x}") as files:
                for file in files:
                    try:
                        name = bytes.fromhex(file.name)
                        written = file.stat().st_mtime_ns // 1000
                    except (ValueError, FileNotFoundError):
                        continue
                    if len(name) == _NAME_SIZE:
                        yield name, written


def storage_error(error: OSError) -> errors.Error:
    """What an operating system error of the disk means to a client."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return errors.InsufficientStorage()
    if isinstance(error, FileNotFoundError):
        return errors.DamagedBlob()
    return errors.ServiceUnavailable()


class _Reader:
    """An open blob file, used by one thread at a time."""

    def __init__(self, path: Path, name: bytes, size: int, digest: bytes) -> None:
        self._path = path
        self._name = name
        self._size = size
        self._expected = digest
        self._file = -1
        self._footer = b""

    def open(self) -> None:
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        length = _block_count(self._size) * CHECKSUM_SIZE
        self._footer = os.pread(self._file, length, self._size)
        if len(self._footer) != length or _digest(self._name, self._footer) != self._expected:
            raise errors.DamagedBlob

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``; the blocks that they lie in are read whole and verified."""
        first = start // BLOCK
        begin = first * BLOCK
        end = min(self._size, _block_count(stop) * BLOCK)
        data = os.pread(self._file, end - begin, begin)
        if len(data) != end - begin:
            raise errors.DamagedBlob
        view = memoryview(data)
        for index in range(_block_count(end - begin)):
            at = (first + index) * CHECKSUM_SIZE
            block = view[index * BLOCK : (index + 1) * BLOCK]
            if xxhash.xxh3_64_digest(block) != self._footer[at : at + CHECKSUM_SIZE]:
                raise errors.DamagedBlob
        return data if (start, stop) == (begin, end) else data[start - begin : stop - begin]


class LocalWriter:
    """Implements ``BlobWriter``: gathers bytes into pieces; while one is written and hashed, the next is received."""

    def __init__(self, store: LocalBlobs, name: bytes, hashers: Sequence[Hasher], *, durable: bool) -> None:
        self._store = store
        self._name = name
        self._hashers = hashers
        self._durable = durable
        self._file = -1
        self._size = 0
        self._synced = 0
        self._footer = bytearray()
        self._block = xxhash.xxh3_64()
        self._in_block = 0
        self._pieces: list[bytes | memoryview] = []
        self._gathered = 0
        self._lanes = (Lane(store.pool, self._write), Lane(store.pool, self._hash))
        self._writing_back: asyncio.Future[None] | None = None
        # A request that is cancelled cannot stop its threads: whoever closes the file waits for them here.
        self._lock = threading.Lock()
        self._is_open = True

    async def write(self, data: bytes | memoryview) -> None:
        self._pieces.append(data)
        self._gathered += len(data)
        if self._gathered >= PIECE:
            await self._hand_over()

    async def flush(self) -> None:
        await self._hand_over()
        await self._wait(0)
        await self._written_back()

    async def finish(self) -> StoredBlob:
        await self.flush()
        digest = await self._store.run(self._seal)
        return StoredBlob(self._name, self._size, digest)

    async def abort(self) -> None:
        for step in (self._wait(0), self._written_back()):
            with contextlib.suppress(errors.Error):
                await step
        await self._store.run(self._discard)

    async def _hand_over(self) -> None:
        """Gives what was gathered to two threads, one to write and one to hash, that may be a piece behind."""
        await self._wait(MAX_BEHIND)
        if not self._pieces:
            return
        piece = b"".join(self._pieces)  # a thread takes one long piece faster than many short ones
        self._pieces.clear()
        self._gathered = 0
        for lane in self._lanes:
            lane.put(piece)
        if self._durable and self._size - self._synced >= WRITEBACK:
            await self._written_back()
            self._synced = self._size
            self._writing_back = asyncio.ensure_future(self._store.run(self._write_back))

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

    # --- in threads --------------------------------------------------------------------------------------------------

    def _hash(self, piece: bytes) -> None:
        for hasher in self._hashers:
            hasher.update(piece)

    def _write(self, piece: bytes) -> None:
        with self._lock:
            if not self._is_open:
                return
            if self._file < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._file = os.open(self._store.path(self._name), flags, 0o600)
            self._check_in(piece)
            _write_all(self._file, piece)
            self._size += len(piece)

    def _write_back(self) -> None:
        """Has the system write what is dirty, on a descriptor of its own so that it may outlast the writer's."""
        with self._lock:
            if self._file < 0:
                return
            file = os.dup(self._file)
        try:
            os.fdatasync(file)
        finally:
            os.close(file)

    def _check_in(self, piece: bytes) -> None:
        """Feeds the block checksums."""
        view = memoryview(piece)
        while view:
            part = view[: BLOCK - self._in_block]
            self._block.update(part)
            self._in_block += len(part)
            if self._in_block == BLOCK:
                self._end_block()
            view = view[len(part) :]

    def _end_block(self) -> None:
        self._footer += self._block.digest()
        self._block.reset()
        self._in_block = 0

    def _seal(self) -> bytes:
        if self._file < 0:
            self._write(b"")
        with self._lock:
            if self._in_block:
                self._end_block()
            _write_all(self._file, bytes(self._footer))
            if self._durable:
                os.fsync(self._file)
            if os.fstat(self._file).st_nlink == 0:  # somebody took it for what a crash left
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            self._close()
        if self._durable:
            sync(self._store.path(self._name).parent)
        return _digest(self._name, bytes(self._footer))

    def _discard(self) -> None:
        with self._lock:
            self._close()
            self._store.path(self._name).unlink(missing_ok=True)

    def _close(self) -> None:
        self._is_open = False
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
