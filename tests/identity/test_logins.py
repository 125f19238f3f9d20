"""From a password to a token, from a token to who it speaks for: with a catalog, without a server."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tidegate import errors
from tidegate.access import EVERYTHING, Access, Grants
from tidegate.catalog import configuration, roles, users
from tidegate.catalog.configuration import Cluster
from tidegate.catalog.roles import Bucket, BucketRule, ClusterRule, Namespace, Role
from tidegate.catalog.sqlite import SQLite
from tidegate.catalog.users import User
from tidegate.identity import Identity
from tidegate.identity.tokens import DEFAULT_LIFETIME, MAX_LIFETIME
from tidegate.identity.vault import Vault
from tidegate.model import Principal
from tidegate.names import BucketName

HERE = "cluster"
PASSWORD = "pass word"


class Place:
    """A catalog with its identities."""

    def __init__(self, catalog: SQLite, identity: Identity) -> None:
        self.catalog = catalog
        self.identity = identity
        self.logins = identity.logins

    async def put_role(self, name: str, perm: int, *, bucket: str = "", admin: bool = False) -> None:
        """Makes or replaces a role."""
        clusters = () if bucket or not perm else (ClusterRule(HERE, str(perm)),)
        buckets = (BucketRule(Bucket(bucket, "ais", Namespace(HERE)), str(perm)),) if bucket else ()
        await self.catalog.write(lambda tx: roles.put(tx, Role(name, "", clusters, buckets, admin)))

    async def login(self, name: str = "alice", role_names: Sequence[str] | None = ()) -> str:
        """A token of a new user."""
        await self.identity.add_user(name, password=PASSWORD, role_names=role_names)
        return await self.logins.login(name, PASSWORD)

    async def refuses(self, token: str, error: type[errors.Error] = errors.InvalidToken) -> None:
        """Checks that the token speaks for nobody."""
        with pytest.raises(error):
            await self.logins.recognise(token)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Place], Awaitable[None]]], None]:
    """Runs a story in a new catalog."""

    def start(story: Callable[[Place], Awaitable[None]]) -> None:
        async def main() -> None:
            catalog = SQLite(tmp_path)
            try:
                await catalog.write(lambda tx: configuration.name_cluster(tx, Cluster(HERE, 1)))
                await story(Place(catalog, Identity(catalog, Vault(tmp_path))))
            finally:
                await catalog.close()

        asyncio.run(main())

    return start


Run = Callable[[Callable[[Place], Awaitable[None]]], None]


def test_a_token_speaks_for_its_user(run: Run) -> None:
    """The right password gives a token; a wrong one, a user without, and a user who is not there, the same refusal."""

    async def story(place: Place) -> None:
        await place.put_role("reader", Access.GET)
        token = await place.login(role_names=["reader"])
        principal = await place.logins.recognise(token)
        assert (principal.name, principal.is_admin, principal.grants) == ("alice", False, Grants(Access.GET))
        await place.identity.add_user("keyless")
        for name, password in (("alice", "other"), ("alice", ""), ("keyless", ""), ("nobody", PASSWORD)):
            with pytest.raises(errors.Unauthorized) as caught:
                await place.logins.login(name, password)
            assert caught.value.message == "invalid credentials"

    run(story)


def test_two_logins_are_two_tokens(run: Run) -> None:
    """Ending one leaves the other, though both were issued in the same second."""

    async def story(place: Place) -> None:
        one = await place.login()
        two = await place.logins.login("alice", PASSWORD)
        alice = await place.logins.recognise(one)
        assert one != two
        await place.logins.revoke(one, alice)
        await place.refuses(one, errors.RevokedToken)
        assert await place.logins.recognise(two) == alice

    run(story)


def test_an_account_without_roles_keeps_its_own_buckets(run: Run) -> None:
    """As its access keys do, its tokens let it make buckets: it has no grants, which is not the same as none given."""

    async def story(place: Place) -> None:
        token = await place.login(role_names=None)
        assert (await place.logins.recognise(token)).grants is None
        assert (await place.logins.recognise(await place.login("bob", []))).grants == Grants()
        await place.identity.change_user("alice", role_names=[])
        assert (await place.logins.recognise(token)).grants == Grants()

    run(story)


def test_a_role_that_gives_less_is_felt_at_once(run: Run) -> None:
    """What a token says is the most that it gives: roles take away at once, and add nothing before the next login."""

    async def story(place: Place) -> None:
        await place.put_role("role", Access.GET | Access.PUT)
        await place.put_role("other", Access.GET, bucket="b")
        token = await place.login(role_names=["role"])

        async def grants() -> Grants | None:
            return (await place.logins.recognise(token)).grants

        await place.put_role("role", Access.GET | Access.DELETE_OBJECT)
        assert await grants() == Grants(Access.GET)
        await place.put_role("role", EVERYTHING)
        assert await grants() == Grants(Access.GET | Access.PUT)
        await place.identity.change_user("alice", role_names=["role", "other"])
        assert await grants() == Grants(Access.GET | Access.PUT, {BucketName("b"): Access.GET})
        await place.catalog.write(lambda tx: roles.remove(tx, "role"))
        assert await grants() == Grants(Access.NONE, {BucketName("b"): Access.GET})
        again = await place.logins.recognise(await place.logins.login("alice", PASSWORD))
        assert again.grants == Grants(Access.NONE, {BucketName("b"): Access.GET})

    run(story)


def test_an_administrator_is_one_twice(run: Run) -> None:
    """A token of an administrator is an administrator's as long as its user is one, and no other token becomes one."""

    async def story(place: Place) -> None:
        await place.put_role("boss", 0, admin=True)
        token = await place.login(role_names=["boss"])
        assert (await place.logins.recognise(token)).is_admin
        plain = await place.login("bob", [])
        await place.identity.change_user("bob", role_names=["Admin"])
        assert not (await place.logins.recognise(plain)).is_admin
        assert (await place.logins.recognise(await place.logins.login("bob", PASSWORD))).is_admin
        await place.identity.change_user("alice", role_names=[])
        assert not (await place.logins.recognise(token)).is_admin

    run(story)


def test_who_is_made_again_is_somebody_else(run: Run) -> None:
    """Tokens and keys of a user who was removed are good for nothing, and stay so under a new user of the name."""

    async def story(place: Place) -> None:
        token = await place.login()
        key = await place.identity.add_key("alice")
        await place.identity.remove_user("alice")
        await place.refuses(token)
        await place.login()
        await place.refuses(token)
        with pytest.raises(errors.InvalidAccessKeyId):
            await place.identity.find(key.access_key)
        old = await place.catalog.read(lambda tx: users.password(tx, "alice")) or ""
        token = await place.logins.login("alice", PASSWORD)
        await place.identity.remove_user("alice")
        await place.catalog.write(lambda tx: users.add(tx, User("alice", "0" * 64, is_admin=False, created=1), old))
        await place.refuses(token)

    run(story)


def test_a_role_that_is_made_again_is_given_to_nobody(run: Run) -> None:
    """Removing a role takes it from its users: who makes another of the name does not give them that."""

    async def story(place: Place) -> None:
        await place.put_role("role", Access.GET)
        token = await place.login(role_names=["role"])
        await place.catalog.write(lambda tx: roles.remove(tx, "role"))
        await place.put_role("role", EVERYTHING, admin=True)
        principal = await place.logins.recognise(token)
        assert (principal.is_admin, principal.grants) == (False, Grants())

    run(story)


def test_a_new_password_ends_the_tokens_of_the_old_one(run: Run) -> None:
    """Who has stolen a token loses it when its user changes the password."""

    async def story(place: Place) -> None:
        token = await place.login()
        await place.identity.change_user("alice", password="new")
        await place.refuses(token)
        with pytest.raises(errors.Unauthorized):
            await place.logins.login("alice", PASSWORD)
        assert (await place.logins.recognise(await place.logins.login("alice", "new"))).name == "alice"

    run(story)


def test_only_ones_own_tokens_are_ended(run: Run) -> None:
    """Another's token is ended by an administrator alone; what is none of ours by nobody."""

    async def story(place: Place) -> None:
        token = await place.login()
        bob = await place.logins.recognise(await place.login("bob"))
        with pytest.raises(errors.AccessDenied):
            await place.logins.revoke(token, bob)
        with pytest.raises(errors.InvalidToken):
            await place.logins.revoke("no.token.this", bob)
        await place.logins.recognise(token)
        await place.logins.revoke(token, Principal("x", "x", is_admin=True))
        await place.refuses(token, errors.RevokedToken)

    run(story)


def test_how_long_a_token_lives(run: Run) -> None:
    """As long as its user asks, a default otherwise, and never longer than the longest, which 0 asks for."""

    async def story(place: Place) -> None:
        await place.identity.add_user("alice", password=PASSWORD)

        async def lifetime(seconds: int | None) -> int:
            payload = (await place.logins.login("alice", PASSWORD, seconds)).split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
            return int(claims["exp"]) - int(claims["iat"])

        assert await lifetime(None) == DEFAULT_LIFETIME
        assert await lifetime(5) == 5
        assert await lifetime(0) == MAX_LIFETIME
        await place.logins.set_lifetime(7)
        assert await lifetime(None) == 7
        for wrong in (-1, MAX_LIFETIME + 1):
            with pytest.raises(errors.InvalidArgument):
                await place.logins.login("alice", PASSWORD, wrong)
            with pytest.raises(errors.InvalidArgument):
                await place.logins.set_lifetime(wrong)

    run(story)
