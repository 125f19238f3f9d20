"""A server for the commands, and repos that no other test uses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.pachctl.command import Pachctl
from tidegate.testing import ServerProcess, serve

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server with authentication off, in which each test has repos or projects of its own."""
    with serve() as running:
        yield running


@pytest.fixture
def pachctl(server: ServerProcess, tmp_path: Path) -> Pachctl:
    """Runs a command against the server, in a folder of its own."""
    return Pachctl(server, tmp_path, {"HOME": str(tmp_path)})


@pytest.fixture
def alone(tmp_path: Path) -> Pachctl:
    """A command without a server."""
    return Pachctl(None, tmp_path, {"HOME": str(tmp_path)})


@pytest.fixture
def project(pachctl: Pachctl) -> str:
    """An empty project."""
    name = f"project-{next(_numbers)}"
    pachctl("create", "project", name)
    return name


@pytest.fixture
def repo(pachctl: Pachctl) -> str:
    """A repo with an empty branch master."""
    name = f"repo-{next(_numbers)}"
    pachctl("create", "repo", name)
    pachctl("create", "branch", f"{name}@master")
    return name
