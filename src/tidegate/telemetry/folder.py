"""Where the workers of a server keep their metrics for each other: a folder that their parent makes and removes."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

# Room for every S3 operation with some statuses each, reserved at once: a mapped page that finds no memory kills the
# process.
COUNTER_FILE_SIZE = 256 * 1024
HISTOGRAM_FILE_SIZE = 512 * 1024
# What a folder on the memory file system must have free: containers often give it 64 MiB. Workers that died leave
# theirs.
NEEDED_PER_WORKER = 4 * (COUNTER_FILE_SIZE + HISTOGRAM_FILE_SIZE)
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - the folder made in it has a name of its own and is its owner's alone
PREFIX = "tidegate-metrics-"


def make(workers: int) -> Path:
    """A fresh folder for the files of one server's workers, in memory where the system offers enough of that."""
    try:
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=_memory_folder(workers * NEEDED_PER_WORKER)))
    except OSError:  # it is there, but not for us
        return Path(tempfile.mkdtemp(prefix=PREFIX))


def _memory_folder(needed: int) -> Path | None:
    try:
        space = os.statvfs(MEMORY_FOLDER)
    except OSError:
        return None
    return MEMORY_FOLDER if space.f_bavail * space.f_frsize >= needed else None


def remove(folder: Path) -> None:
    """Removes a folder that ``make`` made, also one that a killed server left behind; any other is left alone."""
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
