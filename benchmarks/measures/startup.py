"""From start to ready line on an empty data folder, and what an idle process keeps in memory."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import process
from benchmarks.servers import Launcher, Server
from benchmarks.values import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.arena import Notebook

IDLE = 1.0  # seconds after the ready line, when the memory is read


def run(launchers: Sequence[Launcher], folder: Path, workers: int, rounds: int, notebook: Notebook) -> None:
    """``rss`` of these samples is that of the largest process, which is a worker."""
    for _ in range(rounds):
        for launcher in launchers:
            with (
                tempfile.TemporaryDirectory(dir=folder) as empty,
                Server(launcher, Path(empty, launcher.name), workers) as server,
            ):
                time.sleep(IDLE)
                sample = Sample(
                    requests=1,
                    seconds=server.ready_after,
                    cpu=process.cpu_seconds(server.pid),
                    rss=process.largest_rss(server.pid),
                )
                notebook.add("start", server, sample)
