"""Killed at any moment, a server loses nothing that it acknowledged, and keeps nothing by halves."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import tidegate
from tests.durability.client import Client
from tests.durability.folder import check
from tests.durability.load import KEPT, PLAIN, Writer
from tests.durability.processes import kill, needs_proc, workers
from tidegate.testing import serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.durability.client import Listed

# More rounds find more. Read here, because tests run without variables of Tidegate's.
ROUNDS = int(os.environ.get("TIDEGATE_CRASH_ROUNDS", "4"))
WRITERS = 6
LOAD_SECONDS = (0.5, 2.0)


@needs_proc
@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_killed_at_any_moment(tmp_path: Path) -> None:
    """After kill -9 of workers and of the whole server, under load, every acknowledged write is there with its exact
    bytes, no other is half there, no listing shows what cannot be read, and fsck finds nothing.
    """
    data = tmp_path / "data"
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    writers = [Writer(number, seed) for number in range(WRITERS)]
    with serve(data, workers=2) as server, Client(server.port) as client:
        client.make_bucket(PLAIN)
        client.make_bucket(KEPT, "Enabled")
    for number in range(ROUNDS):
        with serve(data, workers=2) as server:
            verify(writers, server.port)
            threads = [writer.start_on(server.port) for writer in writers]
            assert tidegate("gc", "--data", data, "--grace", "0").code == 0
            for _ in range(number % 3):
                time.sleep(chance.uniform(*LOAD_SECONDS))
                kill(chance.choice(workers(server) or [0x7FFFFFFF]))
            time.sleep(chance.uniform(*LOAD_SECONDS))
            server.stop(signal.SIGKILL)
            for writer in writers:
                writer.stop()
            for thread in threads:
                thread.join()
            for writer in writers:
                if writer.error is not None:
                    raise writer.error
    with serve(data, workers=2) as server:
        verify(writers, server.port)
        ran = tidegate("fsck", "--data", data, "--no-repair")
        assert ran.code == 0, ran.output
    assert check(data, repairs=False) == []
    assert all(writer.acknowledged > ROUNDS for writer in writers), "the load was no load"


def verify(writers: list[Writer], port: int) -> None:
    """Holds the server against what every writer knows, and against nobody's having written anything else."""
    with Client(port) as client:
        plain = {entry.key: entry for entry in client.keys(PLAIN)}
        kept: defaultdict[str, list[Listed]] = defaultdict(list)
        for entry in client.versions(KEPT):
            kept[entry.key].append(entry)
        shown = {entry.key for entry in client.keys(KEPT)}
        assert shown == {key for key, versions in kept.items() if not versions[0].is_delete_marker}
        for writer in writers:
            writer.verify(client, plain, kept)
        assert plain.keys() <= {key for writer in writers for key in writer.plain}
