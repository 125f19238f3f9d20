"""A pytest plugin for the suite's own pytest: leaves out what is excluded, gives each worker process users of its own,
and records what became of each test.

``run.py`` loads it with ``-p recorder``, and says in a variable in which folder its files are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import pytest

FOLDER_VARIABLE = "S3_TESTS_FOLDER"

# pytest-xdist's name of this process; None in the one that hears of all tests, which without xdist is the only one.
_THIS_WORKER = os.environ.get("PYTEST_XDIST_WORKER")
_FIRST_WORKER = "gw0"


Kind = Literal["excluded", "planned", "collected", "selected"]


class Outcome(msgspec.Struct, frozen=True):
    """What became of a test; ``text`` is the traceback of its failure, or why it was skipped."""

    test: str
    outcome: Literal["passed", "failed", "skipped"]
    text: str


class Folder:
    """The files by which ``run.py`` and pytest's processes talk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def configuration(self, worker: str) -> Path:
        """Where the suite's configuration for a worker process is."""
        return self._path / f"{worker}.conf"

    def write_names(self, kind: Kind, tests: Iterable[str]) -> None:
        """Writes names of tests. Of ``run.py``: ``excluded`` are not to be run, ``planned`` are not thought to pass.

        Of pytest: ``collected`` are all that the suite has, ``selected`` those that are going to be run.
        """
        (self._path / kind).write_text("\n".join(tests), encoding="utf-8")

    def names(self, kind: Kind) -> Sequence[str]:
        """What was written; nothing if pytest did not come that far."""
        path = self._path / kind
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def record(self, outcome: Outcome) -> None:
        """Adds what became of one more test."""
        with (self._path / "outcomes").open("ab") as file:
            file.write(msgspec.json.encode(outcome) + b"\n")

    def outcomes(self) -> Sequence[Outcome]:
        """All that was recorded."""
        path = self._path / "outcomes"
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [msgspec.json.decode(line, type=Outcome) for line in lines]


def worker_names(processes: int) -> Sequence[str]:
    """The names of pytest-xdist's worker processes."""
    return [f"gw{number}" for number in range(processes)]


def pytest_configure(config: pytest.Config) -> None:
    """The suite counts and deletes all buckets of its users: two processes may not have the same."""
    folder = _folder()
    os.environ["S3TEST_CONF"] = str(folder.configuration(_THIS_WORKER or _FIRST_WORKER))
    if _THIS_WORKER is None:
        config.pluginmanager.register(_Recorder(folder), "s3-tests-recorder")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Takes out what is excluded, and marks what is planned as bound to fail. pytest's own -k comes later."""
    folder = _folder()
    if _THIS_WORKER in {None, _FIRST_WORKER}:  # all processes collect the same
        folder.write_names("collected", (_name(item.nodeid) for item in items))
    excluded = frozenset(folder.names("excluded"))
    config.hook.pytest_deselected(items=[item for item in items if _name(item.nodeid) in excluded])
    items[:] = [item for item in items if _name(item.nodeid) not in excluded]
    planned = frozenset(folder.names("planned"))
    for item in items:
        if _name(item.nodeid) in planned:
            item.add_marker(pytest.mark.xfail)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Says what is left to be run."""
    if _THIS_WORKER in {None, _FIRST_WORKER} and session.items:
        _folder().write_names("selected", (_name(item.nodeid) for item in session.items))


class _Recorder:
    """Records each test when it is over."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._troubles: dict[str, Outcome] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = _name(report.nodeid)
        if report.outcome != "passed":  # in the test itself, or before or after it
            self._troubles.setdefault(test, Outcome(test, report.outcome, report.longreprtext))
        if report.when == "teardown":
            self._folder.record(self._troubles.pop(test, Outcome(test, "passed", "")))


def _folder() -> Folder:
    return Folder(Path(os.environ[FOLDER_VARIABLE]))


def _name(nodeid: str) -> str:
    """The lists say ``test_s3.py::test_x`` where pytest says ``s3tests/functional/test_s3.py::test_x``."""
    file, _, test = nodeid.partition("::")
    return f"{file.rpartition('/')[2]}::{test}"
