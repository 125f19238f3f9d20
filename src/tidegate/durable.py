"""Making what is on disk durable: it survives a power cut once ``sync`` has returned."""

from __future__ import annotations

import os
from pathlib import Path

# What is not complete has this behind its name.
PARTIAL = ".partial"


def sync(path: Path) -> None:
    """Has the disk take a file's bytes, or a folder's names. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file, or replaces it in one step. Only its owner may read it. Raises OSError."""
    aside = path.with_name(path.name + PARTIAL)
    aside.unlink(missing_ok=True)
    aside.touch(mode=0o600)
    aside.write_bytes(content)
    sync(aside)
    aside.rename(path)
    sync(path.parent)
