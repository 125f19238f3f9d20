"""The catalog's file as a whole: the engine's own check of it, and copies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from tidegate.catalog.abc import Reader
from tidegate.catalog.sqlite import BUSY_TIMEOUT_MS, SQLiteReader
from tidegate.durable import sync


def faults(tx: Reader) -> Iterator[str]:
    """What SQLite finds wrong with its own pages and indexes, in its words."""
    # A table at a time: the check of one holds up the log's being copied back for as long as it takes, not for all of
    # them.
    for (table,) in list(tx.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")):
        for (fault,) in tx.rows(f"PRAGMA integrity_check('{table}')"):
            if fault != "ok":
                yield f"{table}: {fault}"


def copy(source: Path, target: Path) -> None:
    """Writes a consistent copy of a catalog file, beside its readers and writers; durable when this returns.

    The copy keeps no write-ahead log until somebody writes to it, so that it is one file and can be read from a disk
    that is read-only.
    """
    target.touch(mode=0o600)
    with (
        closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)) as origin,
        closing(apsw.Connection(str(target))) as destination,
    ):
        origin.set_busy_timeout(BUSY_TIMEOUT_MS)
        with destination.backup("main", origin, "main") as work:
            work.step(-1)  # all in one, and so of one moment
    settle(target)


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Reads a catalog file that nobody writes to."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        yield SQLiteReader(connection)


def settle(path: Path) -> None:
    """Makes one durable file of a catalog that nobody uses."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("journal_mode", "delete")
    sync(path)
