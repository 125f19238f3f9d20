"""The servers that are attacked: one that checks credentials, one that does not. Both must be well in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.signing import Keys
from tests.attacks.world import World, add_user, problems
from tidegate.testing import ServerProcess, serve

# A worker may have opened a few for good since it was ready, such as the catalog's for checkpoints.
MORE_DESCRIPTORS = 8


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A server with authentication on, an administrator and two users."""
    with serve(auth=True, repos_port=None, access_log=True, log_level="debug") as server:
        users = [add_user(server.data, name) for name in ("alice", "bob")]
        before = descriptors(server)
        yield World(server, Keys(server.access_key, server.secret_key), *users)
        is_well(server, before)


@pytest.fixture(scope="session")
def open_world() -> Iterator[World]:
    """A server with authentication off: anybody may do anything, and every promise about a body is still checked."""
    with serve(repos_port=None) as server:
        anybody = Keys("anybody", "any-secret-of-theirs")
        before = descriptors(server)
        yield World(server, anybody, anybody, anybody)
        is_well(server, before)


def is_well(server: ServerProcess, before: int) -> None:
    """After all attacks nothing has failed in the server, its catalog is sound, and nothing is left open."""
    assert "Traceback" not in server.log
    assert problems(server.data) == []
    deadline = time.monotonic() + 10
    while descriptors(server) > before + MORE_DESCRIPTORS:
        assert time.monotonic() < deadline, "the server has kept files or connections open"
        time.sleep(0.05)


def descriptors(server: ServerProcess) -> int:
    """How many files and connections the workers have open, where the system tells."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    if not children.exists():
        return 0
    return sum(1 for child in children.read_text().split() for _ in Path(f"/proc/{child}/fd").iterdir())


@pytest.fixture
def bucket(world: World) -> str:
    """A bucket of alice's with an object in it."""
    name = world.make_bucket(world.alice)
    world.put(world.alice, name, "key", b"alice's")
    return name
