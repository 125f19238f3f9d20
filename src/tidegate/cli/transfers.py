"""Files on their way to a server and back: bodies that tell how far they are, files that are there when they are whole,
and many of them at a time.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from tidegate.cli import say
from tidegate.cli.failures import Failure
from tidegate.cli.progress import Bar

T = TypeVar("T")

# Numbers of files that are being written.
_parts = itertools.count()


class Whole:
    """A file as a request's body, exactly as long as it was said to be."""

    def __init__(self, file: BinaryIO, path: Path, size: int, bar: Bar) -> None:
        self._file = file
        self._path = path
        self._left = size
        self._bar = bar

    def read(self, size: int = -1, /) -> bytes:
        block = self._file.read(self._left if size < 0 else min(size, self._left))
        if not block and self._left:
            raise Failure(f"{self._path} became shorter while it was put")
        self._left -= len(block)
        self._bar.advance(len(block))
        return block


class Stream:
    """A stream of unknown length as a request's body."""

    def __init__(self, file: BinaryIO, bar: Bar) -> None:
        self._file = file
        self._bar = bar

    def read(self, size: int = -1, /) -> bytes:
        block = self._file.read(size)
        self._bar.advance(len(block))
        return block


@contextmanager
def beside(place: Path) -> Iterator[BinaryIO]:
    """A file that takes its place when it is whole, and is gone if it is not.

    Raises ``Failure`` where there is no directory for it.
    """
    if not place.parent.is_dir():
        raise Failure(f'directory "{place.parent}" does not exist')
    part = place.with_name(f".tidegate-{os.getpid()}-{next(_parts)}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def writing(place: Path) -> Iterator[BinaryIO]:
    """As ``beside``; a device or a pipe is written as it is."""
    if place.exists() and not place.is_file():
        with place.open("wb") as file:
            yield file
    else:
        with beside(place) as file:
            yield file


def place_below(directory: Path, name: str) -> Path:
    """The file of a name in a directory, whose own directories are made. What is above the directory cannot be named.

    Raises ``Failure``.
    """
    parts = name.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise Failure("it has no name for a file below a directory")
    place = directory.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def many(items: Sequence[T], transfer: Callable[[T], None], name: Callable[[T], str], workers: int, bar: Bar) -> int:
    """Transfers many, some at a time; how many failed. What fails is told as ``name`` calls it, and the others go on.

    An interrupt lets nothing begin any more, and ends with their next block those that ``bar`` goes with.
    """
    failed = 0
    with ThreadPoolExecutor(workers) as pool:
        running = [(item, pool.submit(transfer, item)) for item in items]
        try:
            for item, future in running:
                try:
                    future.result()
                except (Failure, OSError) as error:
                    say.error(f"{name(item)}: {getattr(error, 'message', error)}")
                    failed += 1
        except KeyboardInterrupt:
            bar.cancel()
            pool.shutdown(cancel_futures=True)
            raise
    return failed
