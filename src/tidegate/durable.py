"""Making what is on disk durable: it survives a power cut once ``sync`` has returned."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Has the disk take a file's bytes, or a folder's names. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
