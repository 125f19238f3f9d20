"""One server for all tests of ``/v2``, with authentication off."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.api.client import Api, Repo
from tidegate.testing import ServerProcess, serve

_numbers = itertools.count(1)


def new_name() -> str:
    """A name that no other test of this process uses."""
    return f"name-{next(_numbers)}"


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server with authentication off, and with a log of requests."""
    with serve(repos_port=None, access_log=True) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture(scope="session")
def api(server: ServerProcess) -> Iterator[Api]:
    """A client of the server."""
    client = Api(server.url)
    yield client
    client.session.close()


@pytest.fixture
def repo(api: Api) -> Repo:
    """A repository that nobody else uses, with an empty branch master."""
    made = Repo(api, new_name())
    api.post("/projects/default/repos", {"name": made.name})
    made.branch("master")
    return made
