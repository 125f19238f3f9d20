"""The metrics themselves: what several workers count is one sum, whatever becomes of them."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.telemetry import folder
from tidegate.telemetry.metrics import GROUP_BOUNDS, Metrics, observe_group_commit
from tidegate.telemetry.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def workers(shared: Path, count: int) -> Iterator[list[Metrics]]:
    """The metrics of some workers of one server."""
    made = [Metrics(shared) for _ in range(count)]
    try:
        yield made
    finally:
        for metrics in made:
            metrics.close()


def samples(metrics: Metrics) -> dict[str, float]:
    """A scrape, by name and labels."""
    lines = metrics.exposition({}).decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_every_worker_shows_the_sum(tmp_path: Path) -> None:
    """Counters, bytes and histograms are added up over the files of all, also of one that has ended."""

    async def count() -> None:
        with workers(tmp_path, 3) as (first, second, third):
            first.count("GetObject", 200, 0.0002, 0, 10)
            first.count("GetObject", 404, 0.0002, 0, 1)
            second.count("GetObject", 200, 20.0, 0, 10)
            third.count("PutObject", 200, 0.02, 7, 0)
            third.close()
            for metrics in (first, second):
                metrics.flush()
            shown = samples(first)
            assert shown == samples(second)
        assert shown['tidegate_requests_total{operation="GetObject",status="200"}'] == 2
        assert shown['tidegate_requests_total{operation="GetObject",status="404"}'] == 1
        assert shown['tidegate_requests_total{operation="PutObject",status="200"}'] == 1
        assert shown['tidegate_response_body_bytes_total{operation="GetObject"}'] == 21
        assert shown['tidegate_request_body_bytes_total{operation="PutObject"}'] == 7
        name = "tidegate_request_duration_seconds"
        assert shown[f'{name}_bucket{{le="0.0001",operation="GetObject"}}'] == 0
        assert shown[f'{name}_bucket{{le="0.00025",operation="GetObject"}}'] == 2
        assert shown[f'{name}_bucket{{le="10.0",operation="GetObject"}}'] == 2
        assert shown[f'{name}_bucket{{le="60.0",operation="GetObject"}}'] == 3
        assert shown[f'{name}_count{{operation="GetObject"}}'] == 3
        assert round(shown[f'{name}_sum{{operation="GetObject"}}'], 4) == 20.0004

    asyncio.run(count())


def test_what_is_counted_is_flushed_by_itself(tmp_path: Path) -> None:
    """Nobody has to ask a worker: its numbers reach the others after a moment."""

    async def count() -> None:
        with workers(tmp_path, 2) as (first, second):
            first.count("GetObject", 200, 0.1, 0, 0)
            name = 'tidegate_requests_total{operation="GetObject",status="200"}'
            while name not in samples(second):  # noqa: ASYNC110 - the flush is a timer, which tells nobody
                await asyncio.sleep(0.01)

    asyncio.run(count())


def test_count_after_the_end_is_no_error(tmp_path: Path) -> None:
    """A request that is cut off at shutdown may still be counted, to no effect."""

    async def count() -> None:
        with workers(tmp_path, 1) as (metrics,):
            metrics.close()
            metrics.count("GetObject", 200, 0.1, 0, 0)
            metrics.flush()

    asyncio.run(count())


def test_group_commits_are_a_histogram(tmp_path: Path) -> None:
    """The sizes of group commits are in a scrape as soon as there was one."""
    with workers(tmp_path, 1) as (metrics,):
        metrics.flush()
        before = samples(metrics).get("tidegate_group_commit_transactions_sum", 0.0)
        observe_group_commit(3)
        observe_group_commit(200)
        metrics.flush()
        shown = samples(metrics)
    assert shown["tidegate_group_commit_transactions_sum"] - before == 203


@given(st.lists(st.floats(0, 1000)))
def test_tally_counts_a_value_once_where_it_belongs(values: list[float]) -> None:
    """A bucket has what is at most its bound and more than the bound before, as Prometheus's ``le`` says."""
    tally = Tally(GROUP_BOUNDS)
    for value in values:
        tally.add(value)
    for position, bound in enumerate(GROUP_BOUNDS):
        assert sum(tally.counts[: position + 1]) == sum(value <= bound for value in values)
    assert sum(tally.counts) == len(values)


def test_folder_is_private_and_removed_in_the_end() -> None:
    """Nobody else can write metrics, and none are left when a server ends."""
    with folder.shared(1) as made:
        assert made.stat().st_mode & 0o777 == 0o700
        with folder.shared(1) as other:
            assert made.is_dir()
            assert other != made
    assert not made.exists()


def test_abandoned_folder_is_removed_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server removes what killed ones have left, which nobody holds, and touches nothing else."""
    monkeypatch.setattr(folder, "MEMORY_FOLDER", tmp_path)
    (tmp_path / "other").mkdir()
    abandoned = tmp_path / f"{folder.PREFIX}x"
    abandoned.mkdir()
    (abandoned / "counter_1.db").touch()
    (tmp_path / f"{folder.PREFIX}link").symlink_to(tmp_path / "other")
    with folder.shared(1):
        assert not abandoned.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", f"{folder.PREFIX}link"]


def test_folder_is_elsewhere_where_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server starts without a memory file system, or with a small one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with folder.shared(1_000_000_000) as made:
        assert made.parent == tmp_path
    monkeypatch.setattr(folder, "MEMORY_FOLDER", tmp_path / "missing")
    with folder.shared(1) as made:
        assert made.parent == tmp_path
