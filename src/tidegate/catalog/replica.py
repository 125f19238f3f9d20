"""One copy of the catalog in another folder: the database as it once was, and SQLite's write-ahead log since then."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import apsw
import msgspec

from tidegate.durable import PARTIAL, sync, write_durably

logger = logging.getLogger(__name__)

# What a copy is called while a newer one takes its place.
BEFORE = ".before"
HEADER_SIZE = 32
SALTS = slice(16, 24)
_FRAME_HEADER_SIZE = 24
# Frames of the log that wait for a disk; where there are more, it gets the whole catalog when it answers again.
MAX_BACKLOG = 64 * 1024 * 1024
# Pages that are copied before other threads get their turn: some milliseconds.
BACKUP_PAGES = 500
# A disk that refused a copy is left alone for so long.
REST_SECONDS = 30.0


class LostError(Exception):
    """A copy does not go together with the log any more: it has to begin anew."""


class Frames(msgspec.Struct, frozen=True):
    """What was appended to the log: whole transactions, behind its first ``start`` frames."""

    header: bytes  # of the log
    frame_size: int
    start: int
    data: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.data) // self.frame_size

    @property
    def offset(self) -> int:
        return HEADER_SIZE + self.start * self.frame_size


class Source(Protocol):
    """Where the catalog comes from."""

    def pinned(self) -> apsw.Connection:
        """A connection that reads, and so keeps the log from beginning anew over what it needs. To be closed."""

    def begins_with(self, log: BinaryIO, size: int) -> bool:
        """Whether the catalog's log begins with so many bytes of a file. The caller holds a pin."""

    def join(self, copy: Replica, header: bytes, end: int) -> Frames | None:
        """All of the log that there is, or what is behind the frames of a copy that has its beginning. The copy gets
        whatever comes after that. None where the log is empty.

        The caller holds a pin.
        """


class Replica:
    """The copy in one folder. One thread at a time works on it."""

    def __init__(self, catalog: Path, source: Source) -> None:
        self._catalog = catalog
        self._folder = catalog.parent
        self.task: asyncio.Task[None] | None = None
        self._source = source
        self._lock = threading.Lock()
        self._waiting: deque[Frames] = deque()
        self._backlog = 0
        self.is_live = False  # takes frames
        self._header = b""
        self._end = 0
        self._rests_until = 0.0

    def go_live(self) -> None:
        """From now on it takes frames."""
        with self._lock:
            self._forget()
            self.is_live = True

    def drop(self) -> bool:
        """Takes no more frames. Returns whether nobody works on it any more either."""
        with self._lock:
            self._forget()
        return self.task is None or self.task.done()

    def take(self, frames: Frames) -> None:
        """Has frames shipped when the folder is ready for them."""
        with self._lock:
            if not self.is_live:
                return
            self._waiting.append(frames)
            self._backlog += len(frames.data)
            if self._backlog > MAX_BACKLOG:
                self._forget()

    def start(self, beside: Mapping[str, bytes]) -> None:
        """Begins to bring the copy up to date, unless that is under way."""
        if (self.task is None or self.task.done()) and time.monotonic() >= self._rests_until:
            self.task = asyncio.create_task(self._work(beside))

    async def _work(self, beside: Mapping[str, bytes]) -> None:
        try:
            await asyncio.to_thread(self._bring_up, beside)
        except Exception as error:  # noqa: BLE001 - whatever it was, the copy begins anew
            with self._lock:
                self._forget()
            self._rests_until = time.monotonic() + REST_SECONDS
            logger.warning("cannot copy the catalog to %s: %s", self._folder, error)

    # --- in a thread -------------------------------------------------------------------------------------------------

    def _bring_up(self, beside: Mapping[str, bytes]) -> None:
        if not self.is_live:
            if not self._resume():
                self._begin()
            for name, content in beside.items():
                write_durably(self._folder / name, content)
        while True:
            with self._lock:
                if not self._waiting:
                    return
                frames = self._waiting.popleft()
                self._backlog -= len(frames.data)
            self._append(frames, self._catalog)

    def _resume(self) -> bool:
        """Goes on with the copy that is there, if it has the beginning of the log as it is now."""
        with suppress(OSError, LostError), log_of(self._catalog).open("rb") as log, closing(self._source.pinned()):
            header = log.read(HEADER_SIZE)
            frame_size = frame_size_of(header)
            end = (os.fstat(log.fileno()).st_size - HEADER_SIZE) // frame_size
            log.seek(0)
            if end > 0 and self._source.begins_with(log, HEADER_SIZE + end * frame_size):
                frames = self._source.join(self, header, end)
                if frames is not None and (frames.header, frames.start) == (header, end):
                    self._header, self._end = header, end
                    self._append(frames, self._catalog)
                    return True
        with self._lock:
            self._forget()
        return False

    def _begin(self) -> None:
        """Copies the whole catalog; it takes the place of the copy that is there when it is complete."""
        partial, before = (self._folder.with_name(self._folder.name + suffix) for suffix in (PARTIAL, BEFORE))
        for leftover in (partial, before):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        catalog = partial / self._catalog.name
        catalog.touch(mode=0o600)
        with closing(self._source.pinned()) as origin:
            with closing(apsw.Connection(str(catalog))) as target:
                target.pragma("journal_mode", "off")
                target.pragma("synchronous", "off")
                with target.backup("main", origin, "main") as work:
                    while not work.done:
                        work.step(BACKUP_PAGES)
            sync(catalog)
            # The pin still holds: what the log has now goes together with what was copied.
            self._header, self._end = b"", 0
            frames = self._source.join(self, b"", 0)
            if frames is not None:
                self._append(frames, catalog)
        sync(partial)
        with suppress(FileNotFoundError):
            self._folder.rename(before)
        partial.rename(self._folder)
        sync(self._folder.parent)
        shutil.rmtree(before, ignore_errors=True)

    def _append(self, frames: Frames, catalog: Path) -> None:
        """Adds frames to the log of a copy; to a new one, once the old one is in the database."""
        path = log_of(catalog)
        if frames.header != self._header:
            if frames.start or (self._header and _sequence(frames.header) != _sequence(self._header) + 1):
                raise LostError("the catalog's log began anew before it was shipped")
            if self._header:
                _fold(catalog, self._end)
            self._header, self._end = frames.header, 0
            path.unlink(missing_ok=True)
        if frames.end <= self._end:
            return  # it came with the beginning
        skip = (self._end - frames.start) * frames.frame_size
        if skip < 0:
            raise LostError("a part of the catalog's log is missing")
        is_new = not self._end
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if is_new:
                _write_all(descriptor, frames.header, 0)
            _write_all(descriptor, frames.data[skip:], frames.offset + skip)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync(path.parent)
        self._end = frames.end

    def _forget(self) -> None:
        self._waiting.clear()
        self._backlog = 0
        self.is_live = False


def log_of(catalog: Path) -> Path:
    """SQLite's write-ahead log of a database."""
    return catalog.with_name(f"{catalog.name}-wal")


def frame_size_of(header: bytes) -> int:
    """Bytes of a frame: its header and a page. Raises ``LostError`` for what is no log's header."""
    if len(header) != HEADER_SIZE:
        raise LostError("the catalog's log has no header")
    (page_size,) = struct.unpack(">I", header[8:12])
    return _FRAME_HEADER_SIZE + int(page_size)


def _sequence(header: bytes) -> int:
    """How often the log has begun anew."""
    (number,) = struct.unpack(">I", header[12:16])
    return int(number)


def _fold(catalog: Path, frames: int) -> None:
    """Brings the log of a copy, which has to have so many frames, into its database."""
    with closing(apsw.Connection(str(catalog))) as connection:
        connection.pragma("synchronous", "full")
        if connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL) != (frames, frames):
            raise LostError("the log of the copy is damaged")
    log_of(catalog).unlink(missing_ok=True)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
