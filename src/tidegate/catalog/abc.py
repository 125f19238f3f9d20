"""What a catalog engine offers: transactions, as plain synchronous functions that can be run again.

``Reader`` and ``Transaction`` are what the functions of this room get; ``Driver`` is what runs them. The SQL is the
same for every engine; parameters are positional (``?``).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Value = str | bytes | int | float | None
Row = tuple[Any, ...]


class Reader(Protocol):
    """A consistent view of the catalog for the length of one function."""

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> Iterator[Row]:
        """The rows of a query, lazily: stop iterating and the rest is never computed."""

    def one(self, sql: str, parameters: Sequence[Value] = ()) -> Row | None:
        """The first row of a query, or None."""


class Transaction(Reader, Protocol):
    """A reader that can also write. What it wrote is seen by all, or by none if the function raises.

    ``memo`` is for what functions of this room have to know of each other in one transaction; it begins empty.
    """

    memo: dict[Hashable, Any]

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> None:
        """Runs a statement that returns nothing."""

    def execute_many(self, sql: str, parameters: Iterable[Sequence[Value]]) -> None:
        """Runs a statement once for each set of parameters."""

    def recall(self, name: Hashable, function: Callable[[Reader, *Ts], T], *arguments: *Ts) -> T:
        """What the function finds, called with this and the arguments. For what changes rarely: as ``Driver.recall``,
        it is remembered between transactions until one touches names, and after that not in the same transaction.
        """

    def sequence(self) -> int:
        """The next number of the catalog's one counter: larger than all given out before, and never given again."""

    def touch_names(self) -> None:
        """Says that this changes what ``Driver.recall`` may remember: every process is to read it again."""

    def count(self, log: int, objects: int, size: int) -> None:
        """Adds to a log's counters of live objects and their bytes."""


class Driver(Protocol):
    """An engine that runs transaction functions."""

    async def read(self, function: Callable[[Reader], T]) -> T:
        """Runs a function that only reads, and returns what it returns."""

    async def read_once(self, function: Callable[[Reader, *Ts], T], *arguments: *Ts) -> T:
        """As ``read``, for a function that runs one statement at most, which needs no transaction around it. It is
        called with the arguments.
        """

    async def recall(self, name: Hashable, function: Callable[[Reader, *Ts], T], *arguments: *Ts) -> T:
        """As ``read``, for what changes rarely: remembers the outcome as ``name`` until a transaction touches names.
        The function is called with the arguments.

        A process that begins to recall after such a transaction was acknowledged sees what it did.
        """

    def snapshot(self) -> AbstractContextManager[Reader]:
        """A view of its own for long reads of everything, which sorts on disk rather than in memory.

        What is read raises ``errors.DamagedCatalog`` where the engine's own files are broken.
        """

    async def write(self, function: Callable[[Transaction], T], *, durable: bool = True) -> T:
        """Runs a function that writes.

        Returns when its writes are durable; raises what it raises, with nothing written. What need not be ``durable``
        is seen by all processes when this returns, and a power cut may take it back: never anything from before
        something durable.

        Raises ``errors.InsufficientStorage`` when the disk is full, ``errors.ServiceUnavailable`` when it cannot be
        written.
        """

    async def checkpoint(self) -> None:
        """Does the engine's periodic housekeeping, beside its readers and writers."""

    async def ship(self, folders: Sequence[Path], beside: Mapping[str, bytes]) -> None:
        """Keeps copies of the engine's files in these folders, on other disks, with small files beside them; brings
        them up to date. To be called every so often by one process, the one that calls ``checkpoint``.
        """

    async def close(self) -> None:
        """Finishes what was asked for and lets go of the engine."""
