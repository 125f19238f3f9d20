"""Turns at a catalog that several processes write.

Two locks of the kernel: whoever holds ``gate`` is next, whoever holds ``lock`` writes. A writer that has just finished
has to pass the gate again and so cannot overtake one that waits, as SQLite's own polling would allow. The kernel tells
processes apart by these, not the threads of one: they have a lock of their own.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turnstile:
    """Mutual exclusion between processes in which nobody waits behind the same neighbour twice."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._gate = os.open(folder / "catalog.gate", flags, 0o600)
        self._lock = os.open(folder / "catalog.lock", flags, 0o600)
        self._threads = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        with self._threads:
            fcntl.flock(self._gate, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._gate, fcntl.LOCK_UN)
            try:
                yield
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._gate)
        os.close(self._lock)
