"""Servers for the tests of the server itself."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tidegate.testing import Server, ServerProcess, serve, serve_in_thread
from tidegate.testing.plugin import tidegate_factory, tidegate_server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["tidegate_factory", "tidegate_server"]

STANDIN = "tests.server.standin:open_house"
LAUNCH = (sys.executable, str(Path(__file__).with_name("launch.py")))


class StartStandin(Protocol):
    def __call__(self, data: Path | None = None, **settings: object) -> ServerProcess: ...


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server in this process, with stand-in rooms that do what a test's path says."""
    with serve_in_thread(house=STANDIN) as running:
        yield running


@pytest.fixture
def start_standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StartStandin]:
    """Starts servers in processes of their own, with the stand-in rooms."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with ExitStack() as stack:

        def start(data: Path | None = None, **settings: object) -> ServerProcess:
            return stack.enter_context(serve(data, LAUNCH, **settings))

        yield start
