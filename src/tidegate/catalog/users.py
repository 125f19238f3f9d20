"""Users, their access keys and passwords. Secrets arrive here encrypted, passwords hashed: nobody reads them here."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tidegate import errors
from tidegate.catalog.abc import Reader, Row, Transaction


class User(msgspec.Struct, frozen=True):
    """Somebody who may own buckets. ``id`` is what S3 calls the canonical user id.

    ``roles`` are names of roles; None for an account without, which may make buckets of its own.
    """

    name: str
    id: str
    is_admin: bool
    created: int
    roles: tuple[str, ...] | None = None


_COLUMNS = "name, id, is_admin, created, roles"
_encode_roles = msgspec.json.Encoder().encode
_decode_roles = msgspec.json.Decoder(tuple[str, ...]).decode


def _user(row: Row) -> User:
    name, user_id, is_admin, created, roles = row
    return User(name, user_id, bool(is_admin), created, None if roles is None else _decode_roles(roles))


class AccessKey(msgspec.Struct, frozen=True):
    """An access key with its secret, encrypted, and the user it speaks for."""

    id: str
    secret: bytes
    created: int
    user: User


def add(tx: Transaction, user: User, password: str | None = None) -> None:
    """Adds a user, with the hash of a password. Raises ``UserAlreadyExists``."""
    if tx.one("SELECT 1 FROM users WHERE name = ?", (user.name,)) is not None:
        raise errors.UserAlreadyExists(f'user "{user.name}" exists already')
    tx.touch_names()
    roles = None if user.roles is None else _encode_roles(user.roles)
    tx.execute(
        "INSERT INTO users (name, id, is_admin, created, roles, password) VALUES (?, ?, ?, ?, ?, ?)",
        (user.name, user.id, user.is_admin, user.created, roles, password),
    )


def get(tx: Reader, name: str) -> User:
    """Raises ``NoSuchUser``."""
    user = find(tx, name)
    if user is None:
        raise errors.NoSuchUser(f'user "{name}" does not exist')
    return user


def find(tx: Reader, name: str) -> User | None:
    """The user of that name."""
    row = tx.one(f"SELECT {_COLUMNS} FROM users WHERE name = ?", (name,))
    return None if row is None else _user(row)


def by_id(tx: Reader, user_id: str) -> User | None:
    """The user with a canonical id."""
    row = tx.one(f"SELECT {_COLUMNS} FROM users WHERE id = ?", (user_id,))
    return None if row is None else _user(row)


def name_of(tx: Reader, user_id: str) -> str | None:
    """The name of the user with a canonical id."""
    row = tx.one("SELECT name FROM users WHERE id = ?", (user_id,))
    return None if row is None else row[0]


def every(tx: Reader) -> list[User]:
    """All users, by name."""
    return [_user(row) for row in tx.rows(f"SELECT {_COLUMNS} FROM users ORDER BY name")]


def password(tx: Reader, name: str) -> str | None:
    """The hash of a user's password; None where there is no such user, or the user has no password."""
    row = tx.one("SELECT password FROM users WHERE name = ?", (name,))
    return None if row is None else row[0]


def set_password(tx: Transaction, name: str, hashed: str) -> None:
    """Raises ``NoSuchUser``."""
    get(tx, name)
    tx.touch_names()
    tx.execute("UPDATE users SET password = ? WHERE name = ?", (hashed, name))


def set_roles(tx: Transaction, name: str, roles: Iterable[str]) -> None:
    """Gives a user exactly these roles. Raises ``NoSuchUser``."""
    get(tx, name)
    tx.touch_names()
    tx.execute("UPDATE users SET roles = ? WHERE name = ?", (_encode_roles(tuple(roles)), name))


def remove(tx: Transaction, name: str) -> None:
    """Removes a user, with keys and tokens. Buckets stay, for the administrator. Raises ``NoSuchUser``."""
    user = get(tx, name)
    tx.touch_names()
    tx.execute("DELETE FROM robot_tokens WHERE user = ?", (user.id,))
    tx.execute("DELETE FROM access_keys WHERE user = ?", (name,))
    tx.execute("DELETE FROM users WHERE name = ?", (name,))


def add_key(tx: Transaction, key_id: str, user: str, secret: bytes, now: int) -> None:
    """Raises ``NoSuchUser``, or ``AccessKeyAlreadyExists`` where the id is taken."""
    get(tx, user)
    if tx.one("SELECT 1 FROM access_keys WHERE id = ?", (key_id,)) is not None:
        raise errors.AccessKeyAlreadyExists
    tx.touch_names()
    tx.execute("INSERT INTO access_keys (id, user, secret, created) VALUES (?, ?, ?, ?)", (key_id, user, secret, now))


_KEYS = """
    SELECT k.id, k.secret, k.created, u.name, u.id, u.is_admin, u.created, u.roles
    FROM access_keys k JOIN users u ON u.name = k.user"""


def _key(row: Row) -> AccessKey:
    key_id, secret, created, *user = row
    return AccessKey(key_id, secret, created, _user(tuple(user)))


def key(tx: Reader, key_id: str) -> AccessKey:
    """Raises ``InvalidAccessKeyId``."""
    row = tx.one(f"{_KEYS} WHERE k.id = ?", (key_id,))
    if row is None:
        raise errors.InvalidAccessKeyId(AWSAccessKeyId=key_id)
    return _key(row)


def keys(tx: Reader, user: str | None = None) -> list[AccessKey]:
    """All access keys, or one user's, by user and age."""
    rows = tx.rows(f"{_KEYS} WHERE ?1 IS NULL OR k.user = ?1 ORDER BY k.user, k.created, k.id", (user,))
    return [_key(row) for row in rows]


def remove_key(tx: Transaction, key_id: str) -> None:
    """Raises ``NoSuchAccessKey``."""
    if tx.one("SELECT 1 FROM access_keys WHERE id = ?", (key_id,)) is None:
        raise errors.NoSuchAccessKey
    tx.touch_names()
    tx.execute("DELETE FROM access_keys WHERE id = ?", (key_id,))
