"""A server with authentication on, and users who have tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.cli.command import tidegate
from tests.robots import robot_token
from tidegate.testing import ServerProcess, serve

PASSWORD = "pass word"


class Place:
    """The server. ``alice`` and ``bob`` are users without roles, who own what they make, and so does the robot ``ci``;
    each has a token.
    """

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.alice = self.token("alice")
        self.bob = self.token("bob")
        self.robot = robot_token(server.data, "ci")

    def token(self, name: str) -> str:
        """A token of a user, who is made if need be."""
        tidegate("user", "add", name, "--password", "--data", self.server.data, typed=f"{PASSWORD}\n")
        reply = requests.post(f"{self.server.url}/v1/users/{name}", json={"password": PASSWORD})
        token: str = reply.json()["token"]
        return token

    def key(self, name: str) -> tuple[str, str]:
        """A new access key of a user's."""
        (made,) = tidegate("key", "add", name, "--json", "--data", self.server.data).values
        return made["access_key"], made["secret_key"]

    def revoke(self, token: str) -> None:
        """Ends a token, by its own authority."""
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.delete(f"{self.server.url}/v1/tokens", json={"token": token}, headers=headers).ok


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """The server with its users. Its log must have no token in it in the end."""
    with serve(auth=True, access_log=True, log_level="debug") as server:
        found = Place(server)
        yield found
        assert "Traceback" not in server.log
        for secret in (found.alice, found.bob, found.robot, PASSWORD):
            assert secret not in server.log
