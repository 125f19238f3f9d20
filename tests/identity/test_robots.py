"""Robots and their tokens, at the gateway."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from tidegate import errors
from tidegate.access import Access
from tidegate.catalog.roles import ClusterRule, Role
from tidegate.gateway import Gateway, open_gateway
from tidegate.gateway.accounts import MAX_ROBOT_LIFETIME, Accounts
from tidegate.model import ANONYMOUS, EVERYONE, Principal

T = TypeVar("T")
ADMIN = Principal("admin", "admin", is_admin=True)


class House:
    """A gateway, and its accounts in a test that is not asynchronous."""

    def __init__(self, runner: asyncio.Runner, gateway: Gateway, folder: Path) -> None:
        self.runner = runner
        self.gateway = gateway
        self.accounts: Accounts = gateway.accounts
        self.folder = folder

    def run(self, work: Awaitable[T]) -> T:
        """What comes of it."""

        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    def token(self, name: str, lifetime: int | None = None) -> str:
        """A new token for a robot."""
        return self.run(self.accounts.robot_token(ADMIN, name, lifetime)).token

    def whoami(self, token: str) -> Principal:
        """Who a token speaks for."""
        return self.run(self.accounts.recognise(token))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An empty house."""

    async def opened() -> Gateway:
        return open_gateway(tmp_path, inline_limit=64, durable=False)

    with asyncio.Runner() as runner:
        gateway = runner.run(opened())
        yield House(runner, gateway, tmp_path)
        runner.run(gateway.close())


def test_a_robot_is_a_user(house: House) -> None:
    """The first token of a name makes the robot, with or without its kind said; it owns what it makes, and is nobody
    else's.
    """
    first = house.run(house.accounts.robot_token(ADMIN, "ci"))
    second = house.run(house.accounts.robot_token(ADMIN, "robot:ci"))
    assert (first.user, first.expires) == ("robot:ci", None)
    assert first.token != second.token
    one, other = house.whoami(first.token), house.whoami(second.token)
    assert one == other
    assert (one.name, one.is_admin, one.grants) == ("robot:ci", False, None)
    assert house.run(house.accounts.expires(first.token)) is None
    assert [account.name for account in house.run(house.accounts.users(ADMIN))] == ["robot:ci"]
    assert house.whoami(house.token("cd")).id != one.id


@pytest.mark.parametrize("name", ["", "robot:", "a b", "a/b", "robot:robot:x", "ä", "x" * 59, "a\n", "a:b"])
def test_a_robots_name(house: House, name: str) -> None:
    """What could not be told from something else in a policy or a log is no name."""
    with pytest.raises(errors.InvalidArgument):
        house.token(name)


@pytest.mark.parametrize("lifetime", [0, -1, MAX_ROBOT_LIFETIME + 1, 10**30])
def test_a_robots_lifetime(house: House, lifetime: int) -> None:
    """A time that is none is refused, and nothing is made."""
    with pytest.raises(errors.InvalidArgument):
        house.token("ci", lifetime)
    assert house.run(house.accounts.users(ADMIN)) == []


def test_only_administrators_make_robots(house: House) -> None:
    """Nobody makes themselves a token: not anonymously, not as a robot, and not where authentication is off."""
    robot = house.whoami(house.token("ci"))
    for principal, expected in (
        (ANONYMOUS, errors.AccessDenied),
        (robot, errors.AccessDenied),
        (EVERYONE, errors.AuthenticationIsOff),
    ):
        with pytest.raises(expected):
            house.run(house.accounts.robot_token(principal, "other"))
        with pytest.raises(expected):
            house.run(house.accounts.revoke_robot(principal, "ci"))


def test_a_token_ends_when_its_time_is_over(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a time it has an end, which is told; after it the token is expired, remembered or not."""
    token = house.token("ci", 3600)
    expires = house.run(house.accounts.expires(token))
    assert expires is not None
    assert house.whoami(token).name == "robot:ci"
    monkeypatch.setattr(time, "time", lambda: expires / 1_000_000)
    with pytest.raises(errors.ExpiredToken):
        house.whoami(token)


def test_revoking(house: House) -> None:
    """A robot ends its own tokens, an administrator anybody's; one more is enough to end all of a robot's."""
    one, two, three, others = (house.token(name) for name in ("ci", "ci", "ci", "other"))
    robot = house.whoami(one)
    with pytest.raises(errors.AccessDenied):
        house.run(house.accounts.revoke(robot, others))
    house.run(house.accounts.revoke(robot, one))
    house.run(house.accounts.revoke(ADMIN, two))
    for token in (one, two):
        with pytest.raises(errors.InvalidToken):
            house.whoami(token)
        with pytest.raises(errors.InvalidToken):
            house.run(house.accounts.revoke(ADMIN, token))
    assert house.whoami(three) == robot
    house.token("ci")
    assert house.run(house.accounts.revoke_robot(ADMIN, "robot:ci")) == 2
    assert house.run(house.accounts.revoke_robot(ADMIN, "ci")) == 0
    with pytest.raises(errors.InvalidToken):
        house.whoami(three)
    assert house.whoami(others).name == "robot:other"
    with pytest.raises(errors.NoSuchUser):
        house.run(house.accounts.revoke_robot(ADMIN, "nobody"))


def test_a_token_gives_what_its_robot_may_do_now(house: House) -> None:
    """Roles that a robot gets or loses count at once, for the tokens that it has."""
    token = house.token("ci")
    role = Role("readers", "", (ClusterRule("", str(int(Access.GET))),))
    house.run(house.accounts.add_role(ADMIN, role))
    assert house.whoami(token).grants is None
    house.run(house.accounts.change_user(ADMIN, "robot:ci", None, ["readers"]))
    grants = house.whoami(token).grants
    assert grants is not None
    assert grants.cluster == Access.GET
    house.run(house.accounts.change_user(ADMIN, "robot:ci", None, ["Admin"]))
    assert house.whoami(token).is_admin
    house.run(house.accounts.change_user(ADMIN, "robot:ci", None, []))
    assert not house.whoami(token).is_admin


def test_a_robot_that_was_removed(house: House) -> None:
    """Its tokens go with it, and another robot of the name has none of them."""
    token = house.token("ci")
    before = house.whoami(token)
    house.run(house.accounts.remove_user(ADMIN, "robot:ci"))
    after = house.whoami(house.token("ci"))
    assert before.id != after.id
    with pytest.raises(errors.InvalidToken):
        house.whoami(token)


def test_what_is_no_robots_token(house: House) -> None:
    """A token is exactly what was given out, and nothing that is like it."""
    token = house.token("ci")
    for other in (
        token[:-1],
        f"{token}a",
        f"{token}\n",
        f" {token}",
        token.upper(),
        token.swapcase(),
        f"{token[:-1]}ä",
        f"tgr_{'A' * 40}",
        "tgr_\udcff",
        "tgr_",
    ):
        with pytest.raises(errors.InvalidToken):
            house.whoami(other)


def test_no_token_lies_in_the_catalog(house: House) -> None:
    """Whoever reads the data folder finds digests, of which no token can be made."""
    token = house.token("ci")
    house.run(house.gateway.rooms.catalog.checkpoint())
    assert all(
        token.encode() not in path.read_bytes() and token[4:].encode() not in path.read_bytes()
        for path in house.folder.rglob("*")
        if path.is_file()
    )
    with closing(sqlite3.connect(house.folder / "catalog.db")) as catalog:
        assert catalog.execute("SELECT count(*) FROM robot_tokens").fetchone() == (1,)


def test_no_access_key_is_like_a_token(house: House) -> None:
    """An access key that begins as tokens do could never be used, and is refused."""
    house.token("ci")
    for access_key in ("tgr_mine", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.x"):
        with pytest.raises(errors.InvalidArgument):
            house.run(house.gateway.identity.add_key("robot:ci", access_key))
