"""The processes of a server, seen from outside."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tidegate.testing import ServerProcess

# For what comes soon or never.
PATIENCE_SECONDS = 30.0

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")


def workers(server: ServerProcess) -> list[int]:
    """The process ids of the workers that run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == server.pid and b"spawn_main" in command:
            found.append(int(folder.name))
    return sorted(found)


def kill(pid: int) -> None:
    """``kill -9``."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def peak_memory(pid: int) -> int:
    """The most memory that a process has had resident, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def eventually(holds: object, what: str) -> None:
    """Waits until ``holds()`` is true."""
    assert callable(holds)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
