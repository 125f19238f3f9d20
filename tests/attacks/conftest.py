"""The servers that are attacked: one that checks credentials, one that does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.signing import Keys
from tests.attacks.world import World, add_user
from tidegate.testing import serve


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A server with authentication on, which must be as well at the end as it was at the beginning."""
    with serve(auth=True, repos_port=None) as server:
        users = [add_user(server.data, name) for name in ("alice", "bob")]
        yield World(server, Keys(server.access_key, server.secret_key), *users)
        assert "Traceback" not in server.log


@pytest.fixture(scope="session")
def open_world() -> Iterator[World]:
    """A server with authentication off: anybody may do anything, and every promise about a body is still checked."""
    with serve(repos_port=None) as server:
        anybody = Keys("anybody", "any-secret-of-theirs")
        yield World(server, anybody, anybody, anybody)
        assert "Traceback" not in server.log


@pytest.fixture
def bucket(world: World) -> str:
    """A bucket of alice's with an object in it."""
    name = world.make_bucket(world.alice)
    world.put(world.alice, name, "key", b"alice's")
    return name
