"""CPU time and resident memory of a server's whole process tree, from Linux's ``/proc`` (proc(5))."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PPID, _UTIME, _STIME, _CUTIME, _CSTIME = 1, 11, 12, 13, 14  # fields of /proc/PID/stat after the command's name


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the state on, or none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[_PPID])].append(int(entry.name))
    found = [pid]
    for parent in found:
        found.extend(children[parent])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree so far, that of its ended and reaped members included."""
    ticks = 0
    for member in tree(pid):
        if fields := _stat(member):
            ticks += sum(int(fields[index]) for index in (_UTIME, _STIME, _CUTIME, _CSTIME))
    return ticks / _TICKS


def _status_bytes(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def reset_peak_rss(pid: int) -> None:
    """Lets each process's peak resident size start again from its present one."""
    for member in tree(pid):
        Path(f"/proc/{member}/clear_refs").write_text("5")


def peak_rss(pid: int) -> int:
    """The peak resident bytes of the tree since the last reset: the sum of its members' peaks, an upper bound."""
    return sum(_status_bytes(member, "VmHWM") for member in tree(pid))


def largest_rss(pid: int) -> int:
    """The resident bytes of the tree's largest process now."""
    return max(_status_bytes(member, "VmRSS") for member in tree(pid))
