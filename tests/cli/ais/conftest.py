"""A server for the commands, and buckets that no other test uses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.ais.command import Ais
from tidegate.testing import ServerProcess, serve

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server with authentication off, whose configuration nobody changes."""
    with serve(repos_port=None) as running:
        yield running


@pytest.fixture
def ais(server: ServerProcess, tmp_path: Path) -> Ais:
    """Runs a command against the server, in a folder of its own."""
    return Ais(server, tmp_path, {"HOME": str(tmp_path)})


@pytest.fixture
def bucket(ais: Ais) -> str:
    """The URI of an empty bucket."""
    uri = f"ais://bucket-{next(_numbers)}"
    ais("create", uri)
    return uri
