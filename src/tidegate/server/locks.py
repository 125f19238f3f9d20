"""Who works on a data folder: one server at a time, and its workers.

Both locks are the kernel's (flock), so that they end with the process that holds them, however it ends. The files hold
no state but a note, in ``server.lock``, of who has it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

SERVER_LOCK = "server.lock"
WORKERS_LOCK = "workers.lock"

# Workers of a server that was killed are killed by the kernel; one that waits for a disk may take a moment to go.
WORKERS_GONE_SECONDS = 15.0
_POLL_SECONDS = 0.02


class Owner(msgspec.Struct, frozen=True):
    """The note in ``server.lock``."""

    pid: int
    endpoints: tuple[str, ...] = ()


class InUseError(Exception):
    """Another server, or what is left of one, works on the data folder."""


class ServerLock:
    """The one server of a data folder. Held until the process ends or ``release``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, owner: Owner) -> None:
        """Leaves a note for whoever comes second. A courtesy: a full disk must not keep a server from starting."""
        note = msgspec.json.encode(owner)
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, note, 0)

    def release(self) -> None:
        try:
            os.ftruncate(self._descriptor, 0)
        finally:
            os.close(self._descriptor)


@contextmanager
def hold(data: Path) -> Iterator[ServerLock]:
    """Keeps every other server, and every command that needs the folder for itself, out. Raises InUseError."""
    descriptor = _open(data / SERVER_LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _read(descriptor)
        os.close(descriptor)
        raise InUseError(f"{data} is in use by {_described(owner)}") from None
    except BaseException:
        os.close(descriptor)
        raise
    lock = ServerLock(descriptor)
    try:
        _wait_for_workers(data)
        yield lock
    finally:
        lock.release()


def join(data: Path) -> int:
    """Marks this process as a worker of the folder for as long as the descriptor that is returned is open.

    Raises InUseError where a new server has taken the folder over.
    """
    descriptor = _open(data / WORKERS_LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InUseError(f"another server has taken over {data}") from None
    return descriptor


def _wait_for_workers(data: Path) -> None:
    descriptor = _open(data / WORKERS_LOCK)
    try:
        deadline = time.monotonic() + WORKERS_GONE_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InUseError(f"workers of a server that was killed still use {data}") from None
                time.sleep(_POLL_SECONDS)
            else:
                return
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _read(descriptor: int) -> Owner | None:
    try:
        return msgspec.json.decode(os.pread(descriptor, 4096, 0), type=Owner)
    except (OSError, msgspec.MsgspecError):
        return None


def _described(owner: Owner | None) -> str:
    if owner is None:
        return "another server"
    where = f" at {' and '.join(owner.endpoints)}" if owner.endpoints else ""
    return f"another server: process {owner.pid}{where}"
