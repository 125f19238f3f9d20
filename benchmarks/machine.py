"""What the numbers are measured on, and the two speeds that bound them: MD5 in one thread and the disk's fsync."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from pathlib import Path

from benchmarks.values import MEGABYTE, MIB, Machine

MD5_BYTES = 512 * MIB  # about a second
DISK_BYTES = 256 * MIB
FSYNC_SECONDS = 0.5


def md5_speed(size: int = MD5_BYTES) -> float:
    """MB/s of ``hashlib.md5`` in one thread, fed 1 MiB at a time."""
    block = os.urandom(MIB)
    digest = hashlib.md5(usedforsecurity=False)
    started = time.perf_counter()
    for _ in range(size // MIB):
        digest.update(block)
    return size / (time.perf_counter() - started) / MEGABYTE


def _disk_write(folder: Path) -> float:
    """MB/s of one sequential write with an fsync at its end."""
    block = os.urandom(MIB)
    scratch = folder / "probe"
    started = time.perf_counter()
    with scratch.open("wb", buffering=0) as file:
        for _ in range(DISK_BYTES // MIB):
            file.write(block)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    scratch.unlink()
    return DISK_BYTES / seconds / MEGABYTE


def _disk_fsync(folder: Path) -> float:
    """4 KiB appends a second, each with an fsync."""
    block = os.urandom(4096)
    scratch = folder / "probe"
    count = 0
    started = time.perf_counter()
    with scratch.open("wb", buffering=0) as file:
        while time.perf_counter() - started < FSYNC_SECONDS:
            file.write(block)
            os.fsync(file.fileno())
            count += 1
    seconds = time.perf_counter() - started
    scratch.unlink()
    return count / seconds


def _filesystem(folder: Path) -> str:
    """The type of the file system that holds ``folder``."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(len(point), kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(holding)[1]


def describe(folder: Path) -> Machine:
    """This machine and the disk that holds ``folder``. Takes about three seconds."""
    load = os.getloadavg()[0]
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return Machine(
        cpu=models[0].partition(":")[2].strip() if models else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        filesystem=_filesystem(folder),
        load=load,
        md5=md5_speed(),
        disk_write=_disk_write(folder),
        disk_fsync=_disk_fsync(folder),
    )
