"""Users with passwords, roles and tokens on the attacked server, made beside it; and requests to both of its doors."""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any

import requests

from tests.attacks.signing import Keys, Request
from tests.attacks.world import World, administer, opened
from tidegate.access import Access
from tidegate.catalog import roles
from tidegate.catalog.roles import Bucket, BucketRule, ClusterRule, Role
from tidegate.identity import Identity

PASSWORD = "pass word of a test"
HEADER = {"alg": "HS256", "typ": "JWT"}

_numbers = itertools.count(1)


def login(world: World, name: str, password: str = PASSWORD) -> str:
    """A token of a user who has the password."""
    reply = requests.post(f"{world.server.url}/v1/users/{name}", json={"password": password})
    assert reply.status_code == 200, reply.text
    token: str = reply.json()["token"]
    return token


@lru_cache(maxsize=64)
def _token(data: str, url: str, name: str) -> str:
    del data
    reply = requests.post(f"{url}/v1/users/{name}", json={"password": PASSWORD})
    assert reply.status_code == 200, reply.text
    token: str = reply.json()["token"]
    return token


def token_of(world: World, name: str) -> str:
    """A token of alice's, bob's or the administrator's, made once and not to be ended."""
    give_password(world, name)
    return _token(str(world.server.data), world.server.url, name)


_given: set[tuple[str, str]] = set()


def give_password(world: World, name: str) -> None:
    """Gives a user the password, once."""
    if (place := (str(world.server.data), name)) not in _given:
        administer(world.server.data, lambda identity: identity.change_user(name, password=PASSWORD))
        _given.add(place)


def add_role(
    world: World, everywhere: Access = Access.NONE, buckets: Mapping[str, Access] | None = None, *, admin: bool = False
) -> str:
    """A new role: what it gives everywhere and to some buckets, by name. See ``put_role``."""
    name = f"role-{next(_numbers)}"
    put_role(world, name, everywhere, buckets, admin=admin)
    return name


def put_role(
    world: World,
    name: str,
    everywhere: Access = Access.NONE,
    buckets: Mapping[str, Access] | None = None,
    *,
    admin: bool = False,
) -> None:
    """Makes a role, or replaces it."""
    role = Role(
        name,
        "",
        (ClusterRule("", str(int(everywhere))),),
        tuple(BucketRule(Bucket(bucket), str(int(access))) for bucket, access in (buckets or {}).items()),
        admin,
    )
    opened(world.server.data, lambda catalog: catalog.write(lambda tx: roles.put(tx, role)))


def add_user(world: World, *role_names: str, account: bool = False) -> tuple[str, Keys]:
    """A new user with the password, an access key, and roles; or as an account without roles."""
    name = f"user-{next(_numbers)}"

    async def make(identity: Identity) -> Keys:
        await identity.add_user(name, password=PASSWORD, role_names=None if account else role_names)
        key = await identity.add_key(name)
        return Keys(key.access_key, key.secret_key)

    return name, administer(world.server.data, make)


def change_user(world: World, name: str, **changes: Any) -> None:
    """Changes a user, as ``Identity.change_user``."""
    administer(world.server.data, lambda identity: identity.change_user(name, **changes))


def native(world: World, method: str, path: str, token: str | None = None, **more: Any) -> requests.Response:
    """A request to the native API, with a token or without any credentials."""
    headers = {**({} if token is None else {"Authorization": f"Bearer {token}"}), **more.pop("headers", {})}
    reply = requests.request(method, f"{world.server.url}/v1{path}", headers=headers, **more)
    assert reply.status_code < 500 or reply.status_code == 501, reply.text
    return reply


def bearer(request: Request, token: str) -> Request:
    """A request with a token alone."""
    return request.with_headers(authorization=f"Bearer {token}")


def part(value: object) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(token: str) -> dict[str, Any]:
    """What a token says."""
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def forged(header: object, payload: object, key: bytes | None, digest: str = "sha256") -> str:
    """A token made by hand, signed if there is a key."""
    text = f"{part(header)}.{part(payload)}"
    return f"{text}.{part(hmac.digest(key, text.encode(), digest)) if key is not None else ''}"


def stored(world: World, sql: str) -> Sequence[Any]:
    """What the catalog's file has, as who steals it could read it."""
    with closing(sqlite3.connect(world.server.data / "catalog.db")) as catalog:
        return catalog.execute(sql).fetchall()
