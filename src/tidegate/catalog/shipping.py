"""Copies of the catalog in other folders, brought up to date every second while it is written to.

A copy is the database as it once was, and SQLite's write-ahead log since then, byte by byte: together they are the
catalog as of the last transaction that was shipped, which SQLite recovers as after a crash. What is shipped is what was
written since, so that the size of the catalog does not matter.

The log begins anew when all of it has been copied back into the database. Nothing may be lost then that was not
shipped, so a read transaction, the *pin*, is held on what was shipped last: SQLite copies nothing back that is newer
than a reader, and does not begin the log anew over one that needs it. A pin that needs nothing of the log, because all
is copied back, lets the log begin anew once, at exactly what was shipped, and no second time. A copy that was up to
date then folds its log into its database and goes on with the new one.

Source: https://sqlite.org/walformat.html
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import apsw

from tidegate.catalog.replica import HEADER_SIZE, SALTS, Frames, LostError, Replica, frame_size_of, log_of

# The folder of a copy, in a data folder.
COPY = "catalog"
# Bytes of two logs that are compared at a time.
COMPARED = 1024 * 1024
PAUSE_SECONDS = 0.001
# A reader waits for nobody but who is just writing the header that all share, or opening the catalog as the first.
BUSY_TIMEOUT_MS = 5_000
# A server that ends waits so long for disks to take what is left.
CLOSE_SECONDS = 3.0


class Shipper:
    """Ships a catalog, from the one process that checkpoints it. Until it is told where to, it does nothing."""

    def __init__(self, catalog: Path) -> None:
        self._path = catalog
        self._log = log_of(catalog)
        self._lock = threading.Lock()
        self._meter: apsw.Connection | None = None
        self._pin: apsw.Connection | None = None
        self._header = b""
        self._end = 0
        self._copies: dict[Path, Replica] = {}

    async def ship(self, folders: Sequence[Path], beside: Mapping[str, bytes]) -> None:
        """Brings the copies in these folders up to date, and drops from mind all others. With each go small files, by
        name.

        Returns when what was collected is on its way; a folder that hangs keeps nobody waiting.
        """
        for folder, copy in list(self._copies.items()):
            if folder not in folders and copy.drop():
                del self._copies[folder]
        for folder in folders:
            self._copies.setdefault(folder, Replica(folder / COPY / self._path.name, self))
        if not folders:
            self._let_go()
            return
        await asyncio.to_thread(self.collect)
        for folder in folders:
            self._copies[folder].start(beside)

    async def close(self) -> None:
        """Ships what there is, as far as the disks take it in a moment, and lets go of the catalog."""
        if self._pin is not None:
            await asyncio.to_thread(self.collect)
            for copy in self._copies.values():
                copy.start({})
            tasks = [copy.task for copy in self._copies.values() if copy.task is not None]
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        self._copies.clear()
        self._let_go()

    def collect(self) -> None:
        """Takes what was appended to the log, for all copies, and moves the pin behind it."""
        with self._lock:
            pin = self.pinned()
            try:
                self._collect()
            except BaseException:
                pin.close()
                raise
            if self._pin is not None:
                self._pin.close()
            self._pin = pin

    @contextmanager
    def caught_up(self) -> Iterator[None]:
        """For a checkpoint after which the log is to begin anew, while nobody writes: the pin stands at its end."""
        if self._pin is None:
            yield
            return
        self.collect()
        try:
            yield
        finally:
            self.collect()

    def join(self, copy: Replica, header: bytes, end: int) -> Frames | None:
        """All of the log that there is, or what is behind the frames of a copy that has its beginning. The copy gets
        whatever comes after that. None where the log is empty.

        The caller holds a pin.
        """
        with self._lock:
            self._collect()
            copy.go_live()
            while self._end:
                frames = self._read(end if header == self._header else 0)
                if frames is not None:
                    return frames
                self._collect()
            return None

    def begins_with(self, log: BinaryIO, size: int) -> bool:
        """Whether the catalog's log begins with so many bytes of a file. The caller holds a pin."""
        with self._log.open("rb") as ours:
            while size > 0:
                piece = ours.read(min(size, COMPARED))
                if not piece or log.read(len(piece)) != piece:
                    return False
                size -= len(piece)
        return True

    def pinned(self) -> apsw.Connection:
        """A connection that reads, and so keeps the log from beginning anew over what it needs. To be closed."""
        connection = self._connect()
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM counters").fetchall()  # the first read is what begins
        return connection

    def _let_go(self) -> None:
        with self._lock:
            for connection in (self._pin, self._meter):
                if connection is not None:
                    connection.close()
            self._pin = self._meter = None
            self._header, self._end = b"", 0

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.pragma("wal_autocheckpoint", 0)
        connection.pragma("user_version")  # reading opens the log
        return connection

    def _collect(self) -> None:
        while True:
            before, self._header, self._end = (self._header, self._end), *self._measure()
            live = [copy for copy in self._copies.values() if copy.is_live]
            if not self._end or not live or before == (self._header, self._end):
                return
            frames = self._read(before[1] if before[0] == self._header else 0)
            if frames is not None:
                for copy in live:
                    copy.take(frames)
                return
            self._header, self._end = before

    def _measure(self) -> tuple[bytes, int]:
        """The log's header, and how many frames of whole transactions there are."""
        if self._meter is None:
            self._meter = self._connect()
        while True:
            header = self._read_header()
            try:
                end, _ = self._meter.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            except apsw.BusyError:  # somebody was just writing the header that all share
                time.sleep(PAUSE_SECONDS)
                continue
            if header == self._read_header():
                return (header, end) if end > 0 and len(header) == HEADER_SIZE else (b"", 0)

    def _read_header(self) -> bytes:
        try:
            with self._log.open("rb") as log:
                return log.read(HEADER_SIZE)
        except FileNotFoundError:
            return b""

    def _read(self, start: int) -> Frames | None:
        """The frames from one on; None where the log began anew meanwhile."""
        frame_size = frame_size_of(self._header)
        with self._log.open("rb") as log:
            log.seek(HEADER_SIZE + start * frame_size)
            data = log.read((self._end - start) * frame_size)
        if self._read_header() != self._header:
            return None
        frames = Frames(self._header, frame_size, start, data)
        if frames.end != self._end or (data and data[-frame_size:][8:16] != self._header[SALTS]):
            raise LostError("the catalog's log is not what SQLite says")
        return frames
