"""A gateway for the tests that need no server, and a server whose buckets are branches of repositories."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.repos.repository import Repository
from tidegate.gateway import Gateway, open_gateway
from tidegate.testing import ServerProcess, serve

MakeRepository = Callable[..., Repository]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Runs coroutines, all on one loop."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def gateway(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of its own for each module, without a server."""

    async def opened() -> Gateway:
        return open_gateway(tmp_path_factory.mktemp("data"), inline_limit=64, durable=False, min_part_size=4)

    gateway = runner.run(opened())
    yield gateway
    runner.run(gateway.close())


@pytest.fixture
def make_repository(runner: asyncio.Runner, gateway: Gateway) -> MakeRepository:
    """Makes repositories that nobody else uses: with a branch master, or with the branches that are named."""
    return lambda *branches: Repository(runner, gateway, *branches)


@pytest.fixture
def repo(make_repository: MakeRepository) -> Repository:
    """A repository with an empty branch master."""
    return make_repository()


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server with two worker processes and authentication off."""
    with serve(workers=2) as running:
        yield running


@pytest.fixture(scope="session")
def s3(server: ServerProcess) -> Iterator[Any]:
    """A boto3 client of the port that sees repositories only."""
    client = server.boto3_client(endpoint_url=server.repos_url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def main_s3(server: ServerProcess) -> Iterator[Any]:
    """A boto3 client of the main port."""
    client = server.boto3_client()
    yield client
    client.close()


def new_name() -> str:
    """A name for a repository that no other test of this process uses."""
    return f"repo_{next(_numbers)}"
