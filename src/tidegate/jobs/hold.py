"""Keeps garbage from being collected while somebody needs it: a backup that copies files, a check that follows
references. And keeps the copies of blobs to one at a time who changes them.

The locks are the kernel's (flock), so that they end with the process that holds them. Any number may hold garbage at
once; a collector never waits for them, it tries again later.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GARBAGE_LOCK = "garbage.lock"
COPIES_LOCK = "copies.lock"


@contextmanager
def hold_garbage(data: Path) -> Iterator[None]:
    """While this is open, no blob that the catalog knows loses its bytes. Waits for a step of a collection to end, some
    milliseconds.
    """
    with _locked(data / GARBAGE_LOCK, fcntl.LOCK_SH):
        yield


@contextmanager
def may_collect(data: Path) -> Iterator[bool]:
    """Whether nobody holds garbage; while this is open and said so, nobody can."""
    with _locked(data / GARBAGE_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB) as is_ours:
        yield is_ours


@contextmanager
def hold_copies(data: Path) -> Iterator[None]:
    """While this is open, nobody else makes or removes copies of blobs. Waits for a step of who does."""
    with _locked(data / COPIES_LOCK, fcntl.LOCK_EX):
        yield


@contextmanager
def may_copy(data: Path) -> Iterator[bool]:
    """Whether nobody else makes or removes copies of blobs; while this is open and said so, nobody can."""
    with _locked(data / COPIES_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB) as is_ours:
        yield is_ours


@contextmanager
def _locked(path: Path, operation: int) -> Iterator[bool]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, operation)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
