"""A number in shared memory by which every process sees at once that names have changed: buckets, users, access keys.

Each process remembers what it read of them, for as long as the number stays the same. A writer that changes names makes
the number odd before its commit and even, larger than before, after it. While it is odd nobody remembers anything. So
what is remembered was read after the last change was committed; and a writer that dies in between leaves an odd number,
which is slow but not wrong.

Only the holder of the turnstile writes.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

FILE = "catalog.generation"
_SIZE = 8


class Generation:
    """The number of one catalog."""

    def __init__(self, folder: Path) -> None:
        descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, _SIZE)
            self._map = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
        self._view = memoryview(self._map).cast("Q")

    @property
    def value(self) -> int:
        return self._view[0]

    def begin(self) -> None:
        """Says that names are about to change."""
        self._view[0] |= 1

    def end(self) -> None:
        """Says that they have changed, or that it came to nothing."""
        self._view[0] = (self._view[0] | 1) + 1

    def close(self) -> None:
        self._view.release()
        self._map.close()
