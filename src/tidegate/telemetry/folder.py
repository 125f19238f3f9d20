"""Where the workers of a server keep their metrics for each other: a folder that their parent makes and removes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Room for every S3 operation with some statuses each, reserved at once: a mapped page that finds no memory kills the
# process.
COUNTER_FILE_SIZE = 256 * 1024
HISTOGRAM_FILE_SIZE = 512 * 1024
# What the memory file system must have free: containers often give it 64 MiB. Workers that died leave theirs.
NEEDED_PER_WORKER = 4 * (COUNTER_FILE_SIZE + HISTOGRAM_FILE_SIZE)
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - the folder made in it has a name of its own and is its owner's alone
PREFIX = "tidegate-metrics-"


@contextmanager
def shared(workers: int) -> Iterator[Path]:
    """A fresh folder for the workers of one server, in memory where the system offers enough of that.

    It is locked as long as the context is open. Folders of servers that were killed are not, and are removed here.
    """
    place = MEMORY_FOLDER if _has_room(workers * NEEDED_PER_WORKER) else Path(tempfile.gettempdir())
    for abandoned in place.glob(f"{PREFIX}*"):
        _remove_unlocked(abandoned)
    folder, descriptor = _make(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _has_room(needed: int) -> bool:
    try:
        space = os.statvfs(MEMORY_FOLDER)
    except OSError:
        return False
    return os.access(MEMORY_FOLDER, os.W_OK) and space.f_bavail * space.f_frsize >= needed


def _make(place: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)  # another server took it for an abandoned one before it was locked


def _remove_unlocked(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # somebody else's, or gone
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:  # in use
        pass
    finally:
        os.close(descriptor)
