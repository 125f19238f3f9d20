"""The embedded engine: SQLite in WAL mode, shared by all processes of a machine.

*Group commit.* Each process has one writer thread. Transactions that wait when it comes by are run one after the
other inside one SQLite transaction, each in its own savepoint so that one that fails fails alone, and made durable by
one fsync. Callers hear of success only after that.

*Turns.* Processes take turns at the file by two locks: whoever holds ``gate`` is next, whoever holds ``lock`` writes. A
writer that has just finished has to pass the gate again and so cannot overtake one that waits, as SQLite's own polling
would allow.

*Checkpoints* never happen inside a commit: a job copies the log back beside the writers, and takes a turn only for the
small rest.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import apsw

from tidegate import errors
from tidegate.catalog.abc import Reader, Row, Transaction, Value
from tidegate.catalog.generation import Generation
from tidegate.catalog.schema import migrate
from tidegate.catalog.shipping import Shipper
from tidegate.catalog.turnstile import Turnstile

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CATALOG_FILE = "catalog.db"

# A group holds the writer lock for as long as its transactions take, some 30 µs each: this bounds the wait of other
# processes.
MAX_GROUP = 256
# Where the last group had this many members, more are likely to come. A larger group costs each member less, so the
# writer waits for them in short naps, as long as some come in each. (PostgreSQL: commit_siblings and commit_delay.)
SIBLINGS = 2
NAP_SECONDS = 0.0002
MAX_NAPS = 5
# SQLite's own lock is only ever waited for when something outside Tidegate (a backup tool, a shell) has the file open.
BUSY_TIMEOUT_MS = 30_000
# Enough for the upper levels of the trees of a catalog with millions of keys; the system's page cache has the rest.
CACHE_KIB = 24 * 1024
STATEMENT_CACHE = 400
# Buckets and keys that a process remembers, a few hundred bytes each.
MAX_REMEMBERED = 10_000
# Below this the log is left alone; copying it back early would write hot pages again and again.
CHECKPOINT_BYTES = 16 * 1024 * 1024
# Above this the log is copied back to the last frame in a turn of its own, so that it starts again from the beginning.
RESTART_BYTES = 64 * 1024 * 1024


def has_catalog(folder: Path) -> bool:
    """Whether a catalog has been made in a folder."""
    try:
        return (folder / CATALOG_FILE).stat().st_size > 0
    except FileNotFoundError:
        return False


def connect(path: Path, *, durable: bool = True) -> apsw.Connection:
    """A connection to the catalog file, created if it is not there, with the settings that every connection has."""
    connection = apsw.Connection(str(path), statementcachesize=STATEMENT_CACHE)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    # Without it a query is planned again whenever a parameter changes, which costs more than running it.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL" if durable else "NORMAL")
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("temp_store", "MEMORY")
    return connection


class SQLiteReader:
    """Implements ``abc.Reader`` on a connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> Iterator[Row]:
        return self._execute(sql, parameters)

    def one(self, sql: str, parameters: Sequence[Value] = ()) -> Row | None:
        cursor = self._execute(sql, parameters)
        row: Row | None = cursor.fetchone()
        cursor.close()
        return row


class SQLiteTransaction(SQLiteReader):
    """Implements ``abc.Transaction``: one member of a group. The counters are kept in memory until the group ends."""

    def __init__(self, connection: apsw.Connection, group: Group) -> None:
        super().__init__(connection)
        self._connection = connection
        self._group = group
        self.counts: dict[int, tuple[int, int]] = {}
        self.memo: dict[Hashable, Any] = {}

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> None:
        self._connection.execute(sql, parameters)

    def execute_many(self, sql: str, parameters: Iterable[Sequence[Value]]) -> None:
        self._connection.executemany(sql, parameters)

    def recall(self, name: Hashable, function: Callable[[Reader, *Ts], T], *arguments: *Ts) -> T:
        group = self._group
        if group.touches_names:
            return function(self, *arguments)
        if name in group.remembered:
            known: T = group.remembered[name]
            return known
        found = function(self, *arguments)
        if len(group.remembered) < MAX_REMEMBERED:
            group.remembered[name] = found
        return found

    def sequence(self) -> int:
        return self._group.draw()

    def touch_names(self) -> None:
        self._group.touches_names = True

    def count(self, log: int, objects: int, size: int) -> None:
        had = self.counts.get(log, (0, 0))
        self.counts[log] = (had[0] + objects, had[1] + size)


class Group:
    """Transactions that are committed together. ``remembered`` is what they recall, true of what was committed."""

    def __init__(self, connection: apsw.Connection, remembered: dict[Hashable, Any] | None = None) -> None:
        self._connection = connection
        self.remembered = {} if remembered is None else remembered
        self._first = _int(connection.execute("SELECT value FROM counters WHERE name = 'sequence'").get)
        self._last = self._first
        self._counts: dict[int, tuple[int, int]] = {}
        self.touches_names = False

    def run(self, function: Callable[[Transaction], T]) -> T:
        """Runs one member in a savepoint. Numbers that a failed member drew are not given out again."""
        execute = self._connection.execute
        transaction = SQLiteTransaction(self._connection, self)
        execute("SAVEPOINT member")
        try:
            result = function(transaction)
        except BaseException:
            if self._connection.in_transaction:  # else SQLite has given the whole group up
                execute("ROLLBACK TO member")
                execute("RELEASE member")
            raise
        execute("RELEASE member")
        for log, (objects, size) in transaction.counts.items():
            had = self._counts.get(log, (0, 0))
            self._counts[log] = (had[0] + objects, had[1] + size)
        return result

    def draw(self) -> int:
        """The next number of the counter."""
        self._last += 1
        return self._last

    def finish(self) -> None:
        """Writes the counters."""
        execute = self._connection.execute
        if self._last != self._first:
            execute("UPDATE counters SET value = ? WHERE name = 'sequence'", (self._last,))
        for log, (objects, size) in self._counts.items():
            if objects or size:
                execute("UPDATE logs SET objects = objects + ?, bytes = bytes + ? WHERE id = ?", (objects, size, log))


class _Request:
    """A transaction function that waits for its group, and where its outcome goes."""

    __slots__ = ("durable", "error", "function", "future", "result")

    def __init__(self, function: Callable[[Transaction], Any], future: asyncio.Future[Any], *, durable: bool) -> None:
        self.function = function
        self.future = future
        self.durable = durable
        self.result: Any = None
        self.error: BaseException | None = None


class SQLite:
    """Implements ``abc.Driver``. To be made and used on one event loop.

    ``on_group`` is told the size of each group after its commit, on the writer's thread.
    """

    def __init__(self, folder: Path, *, durable: bool = True, on_group: Callable[[int], None] | None = None) -> None:
        path = folder / CATALOG_FILE
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._durable = durable
        self._syncs = durable
        self._on_group = on_group
        self._turnstile = Turnstile(folder)
        with self._turnstile.turn():
            path.touch(mode=0o600)  # objects are in it: whoever may read the folder may not read them for that
            self._writer = connect(path, durable=durable)
            migrate(self._writer)
            self._generation = Generation(folder)
            self._generation.end()  # whoever changed names last may have died over it
        self._reading = connect(path)
        self._reader = SQLiteReader(self._reading)
        self._remembered: dict[Hashable, Any] = {}
        self._remembered_at = self._generation.value
        self._written: dict[Hashable, Any] = {}  # what the writer remembers, on its own thread
        self._written_at = self._generation.value
        self._checkpointer: apsw.Connection | None = None
        self._shipper = Shipper(path)
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_groups, name="catalog-writer", daemon=True)
        self._thread.start()

    async def read(self, function: Callable[[Reader], T]) -> T:
        # One transaction for all statements: a consistent view, and SQLite's read lock is taken once.
        execute = self._reading.execute
        execute("BEGIN")
        try:
            return function(self._reader)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise errors.DamagedCatalog from error
        finally:
            execute("COMMIT")

    async def read_once(self, function: Callable[[Reader, *Ts], T], *arguments: *Ts) -> T:
        try:
            return function(self._reader, *arguments)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise errors.DamagedCatalog from error

    async def recall(self, name: Hashable, function: Callable[[Reader, *Ts], T], *arguments: *Ts) -> T:
        generation = self._generation.value
        if generation != self._remembered_at:
            self._remembered.clear()
            self._remembered_at = generation
        if name in self._remembered:
            known: T = self._remembered[name]
            return known
        found = await self.read(lambda tx: function(tx, *arguments))
        if generation % 2 == 0 and len(self._remembered) < MAX_REMEMBERED:
            self._remembered[name] = found
        return found

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        connection = connect(self._path)
        try:
            connection.pragma("temp_store", "FILE")
            connection.execute("BEGIN")
            yield SQLiteReader(connection)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise errors.DamagedCatalog from error
        finally:
            connection.close()

    async def write(self, function: Callable[[Transaction], T], *, durable: bool = True) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Request(function, future, durable=durable))
        return await future

    async def checkpoint(self) -> None:
        if self._wal_size() >= CHECKPOINT_BYTES:
            await asyncio.to_thread(self._checkpoint)

    async def ship(self, folders: Sequence[Path], beside: Mapping[str, bytes]) -> None:
        await self._shipper.ship(folders, beside)

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        await self._shipper.close()
        for connection in (self._writer, self._reading, self._checkpointer):
            if connection is not None:
                connection.close()
        self._generation.close()
        self._turnstile.close()

    # --- the writer's thread -----------------------------------------------------------------------------------------

    def _write_groups(self) -> None:
        last_size = 1
        while (first := self._queue.get()) is not None:
            if last_size >= SIBLINGS and first.durable:  # what waits for no disk gains nothing by company
                self._wait_for_siblings()
            requests = [first]
            last = False
            while len(requests) < MAX_GROUP:
                try:
                    request = self._queue.get_nowait()
                except queue.Empty:
                    break
                if request is None:
                    last = True
                    break
                requests.append(request)
            last_size = len(requests)
            self._write_group(requests)
            if last:
                return

    def _wait_for_siblings(self) -> None:
        for _ in range(MAX_NAPS):
            waiting = self._queue.qsize()
            time.sleep(NAP_SECONDS)
            if self._queue.qsize() == waiting:
                return

    def _write_group(self, requests: list[_Request]) -> None:
        try:
            with self._turnstile.turn():
                self._commit(requests)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nothing is durable and all must hear of it
            for request in requests:
                request.error = request.error or _storage_error(error)
        else:
            if self._on_group is not None:
                self._on_group(len(requests))
        loop = requests[0].future.get_loop()
        try:
            loop.call_soon_threadsafe(_deliver, requests)
        except RuntimeError:  # the loop was closed under us: nobody is left to tell
            return

    def _commit(self, requests: list[_Request]) -> None:
        execute = self._writer.execute
        self._sync(durable=any(request.durable for request in requests))
        execute("BEGIN IMMEDIATE")
        try:
            group = Group(self._writer, self._recalled())
            for request in requests:
                try:
                    request.result = group.run(request.function)
                except errors.Error as error:
                    request.error = error
                except apsw.Error as error:
                    if not self._writer.in_transaction:  # SQLite gave the whole group up (disk full, I/O error)
                        raise
                    request.error = _storage_error(error)
                except Exception as error:  # noqa: BLE001 - a fault in one member must not take its group down
                    request.error = error
            group.finish()
            if group.touches_names:
                self._generation.begin()
            try:
                execute("COMMIT")
            finally:
                if group.touches_names:
                    self._generation.end()
        except BaseException:
            if self._writer.in_transaction:
                execute("ROLLBACK")
            raise

    def _recalled(self) -> dict[Hashable, Any]:
        """What the writer remembers that is still true: while it has its turn nobody else changes names."""
        generation = self._generation.value
        if generation != self._written_at or generation % 2:
            self._written = {}
            self._written_at = generation
        return self._written

    def _sync(self, *, durable: bool) -> None:
        """Has the next commit wait for the disk, or not: a log that is synced later is synced as a whole."""
        if self._durable and durable != self._syncs:
            self._writer.pragma("synchronous", "FULL" if durable else "NORMAL")
            self._syncs = durable

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def _wal_size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _checkpoint(self) -> None:
        if self._checkpointer is None:
            self._checkpointer = connect(self._path)
        connection = self._checkpointer
        try:
            frames, copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:  # somebody was just writing the header that all share: the next time will do
            return
        if frames != copied and self._wal_size() >= RESTART_BYTES:
            with self._turnstile.turn(), self._shipper.caught_up():
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value


def _deliver(requests: list[_Request]) -> None:
    for request in requests:
        if request.future.cancelled():
            continue
        if request.error is not None:
            request.future.set_exception(request.error)
        else:
            request.future.set_result(request.result)


def _storage_error(error: BaseException) -> BaseException:
    """What a failed commit means to the callers."""
    match error:
        case apsw.FullError():
            return errors.InsufficientStorage()
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.IOError():
            return errors.ServiceUnavailable()
        case OSError():
            return errors.ServiceUnavailable()
        case apsw.CorruptError() | apsw.NotADBError():
            return errors.DamagedCatalog()
        case _:
            return error
