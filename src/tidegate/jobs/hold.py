"""Keeps garbage from being collected while somebody needs it: a backup that copies files, a check that follows
references.

The lock is the kernel's (flock), so that it ends with the process that holds it. Any number may hold garbage at once; a
collector never waits for them, it tries again later.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "garbage.lock"


@contextmanager
def hold_garbage(data: Path) -> Iterator[None]:
    """While this is open, no blob that the catalog knows loses its bytes. Waits for a step of a collection to end, some
    milliseconds.
    """
    descriptor = _open(data)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def may_collect(data: Path) -> Iterator[bool]:
    """Whether nobody holds garbage; while this is open and said so, nobody can."""
    descriptor = _open(data)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _open(data: Path) -> int:
    return os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
