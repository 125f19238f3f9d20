"""Drives a load with wrk, the client that costs the least, by a script that walks through targets made beforehand."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from benchmarks.values import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCRIPT = Path(__file__).with_name("wrk.lua")
_MARK = "OUTCOME "
TIMEOUT = 60  # seconds: wrk counts an answer that comes later as an error
_CORES_A_THREAD = 4  # one wrk thread makes about 100 k requests a second: enough for four cores of servers


def find() -> str | None:
    """Where wrk is on this machine, if it is."""
    return shutil.which("wrk")


def drive(
    endpoint: str, method: str, targets: Sequence[str], body: bytes, connections: int, seconds: float, *, once: bool
) -> Outcome:
    """Requests the targets for that long (rounded up to whole seconds), in order.

    It starts again at the end of the list, or stops there with ``once``. Raises RuntimeError if wrk does not run.
    """
    threads = min(max(1, (os.cpu_count() or 1) // _CORES_A_THREAD), connections)
    with tempfile.TemporaryDirectory() as folder:
        listing, content = Path(folder, "targets"), Path(folder, "body")
        listing.write_text("\n".join(targets))
        content.write_bytes(body)
        command = [
            find() or "wrk",
            f"-t{threads}",
            f"-c{connections}",
            f"-d{math.ceil(seconds)}s",
            f"--timeout={TIMEOUT}s",
        ]
        arguments = [
            str(listing),
            urlsplit(endpoint).netloc,
            method,
            str(content) if body else "-",
            "once" if once else "again",
            str(threads),
        ]
        ran = subprocess.run(
            [*command, "-s", str(_SCRIPT), endpoint, "--", *arguments], capture_output=True, text=True, check=False
        )
    line = next((line for line in ran.stdout.splitlines() if line.startswith(_MARK)), None)
    if ran.returncode or line is None:
        raise RuntimeError(f"wrk failed: {ran.stdout}{ran.stderr}")
    return msgspec.json.decode(line.removeprefix(_MARK), type=Outcome)
