"""Roles: sets of permissions that users have by name. A role is kept as AIStore's clients write it."""

from __future__ import annotations

import msgspec

from tidegate import errors
from tidegate.catalog import users
from tidegate.catalog.abc import Reader, Transaction


class Namespace(msgspec.Struct, frozen=True):
    """Where a bucket is: the cluster's id, empty for any, and the namespace within."""

    uuid: str = ""
    name: str = ""


class Bucket(msgspec.Struct, frozen=True):
    """A bucket as AIStore's messages name it."""

    name: str
    provider: str = "ais"
    namespace: Namespace | None = None


class ClusterRule(msgspec.Struct, frozen=True):
    """What one may do in a whole cluster. ``id`` is empty for any, ``perm`` a number of access bits in decimal."""

    id: str
    perm: str


class BucketRule(msgspec.Struct, frozen=True):
    """What one may do to a bucket. It takes the place of its cluster's rule."""

    bck: Bucket
    perm: str


class Role(msgspec.Struct, frozen=True):
    """A role. ``admin`` may do everything."""

    name: str
    desc: str = ""
    clusters: tuple[ClusterRule, ...] = ()
    buckets: tuple[BucketRule, ...] = ()
    admin: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Role).decode


def find(tx: Reader, name: str) -> Role | None:
    """The role of that name."""
    row = tx.one("SELECT role FROM roles WHERE name = ?", (name,))
    return None if row is None else _decode(row[0])


def get(tx: Reader, name: str) -> Role:
    """Raises ``NoSuchRole``."""
    role = find(tx, name)
    if role is None:
        raise errors.NoSuchRole(f'role "{name}" does not exist')
    return role


def every(tx: Reader) -> list[Role]:
    """All roles, by name."""
    return [_decode(row[0]) for row in tx.rows("SELECT role FROM roles ORDER BY name")]


def add(tx: Transaction, role: Role) -> None:
    """Raises ``RoleAlreadyExists``."""
    if find(tx, role.name) is not None:
        raise errors.RoleAlreadyExists(f'role "{role.name}" already exists')
    put(tx, role)


def put(tx: Transaction, role: Role) -> None:
    """Adds a role, or replaces the one of its name."""
    tx.touch_names()
    tx.execute("INSERT OR REPLACE INTO roles (name, role) VALUES (?, ?)", (role.name, _encode(role)))


def remove(tx: Transaction, name: str) -> None:
    """Removes a role, also from its users: who makes one of that name again gives it to nobody.

    Raises ``NoSuchRole``.
    """
    get(tx, name)
    tx.touch_names()
    tx.execute("DELETE FROM roles WHERE name = ?", (name,))
    for user in users.every(tx):
        if user.roles is not None and name in user.roles:
            users.set_roles(tx, user.name, (other for other in user.roles if other != name))
