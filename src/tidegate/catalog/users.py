"""Users and their access keys. Secrets arrive here encrypted: this room cannot read them."""

from __future__ import annotations

import msgspec

from tidegate import errors
from tidegate.catalog.abc import Reader, Row, Transaction


class User(msgspec.Struct, frozen=True):
    """Somebody who may own buckets. ``id`` is what S3 calls the canonical user id."""

    name: str
    id: str
    is_admin: bool
    created: int


class AccessKey(msgspec.Struct, frozen=True):
    """An access key with its secret, encrypted, and the user it speaks for."""

    id: str
    secret: bytes
    created: int
    user: User


def add(tx: Transaction, user: User) -> None:
    """Raises ``UserAlreadyExists``."""
    if tx.one("SELECT 1 FROM users WHERE name = ?", (user.name,)) is not None:
        raise errors.UserAlreadyExists(UserName=user.name)
    tx.touch_names()
    tx.execute(
        "INSERT INTO users (name, id, is_admin, created) VALUES (?, ?, ?, ?)",
        (user.name, user.id, user.is_admin, user.created),
    )


def get(tx: Reader, name: str) -> User:
    """Raises ``NoSuchUser``."""
    row = tx.one("SELECT name, id, is_admin, created FROM users WHERE name = ?", (name,))
    if row is None:
        raise errors.NoSuchUser(UserName=name)
    return User(row[0], row[1], bool(row[2]), row[3])


def name_of(tx: Reader, user_id: str) -> str | None:
    """The name of the user with a canonical id."""
    row = tx.one("SELECT name FROM users WHERE id = ?", (user_id,))
    return None if row is None else row[0]


def every(tx: Reader) -> list[User]:
    """All users, by name."""
    rows = tx.rows("SELECT name, id, is_admin, created FROM users ORDER BY name")
    return [User(name, canonical, bool(admin), created) for name, canonical, admin, created in rows]


def remove(tx: Transaction, name: str) -> None:
    """Removes a user and all keys of theirs. Buckets stay, for the administrator. Raises ``NoSuchUser``."""
    get(tx, name)
    tx.touch_names()
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
    SELECT k.id, k.secret, k.created, u.name, u.id, u.is_admin, u.created
    FROM access_keys k JOIN users u ON u.name = k.user"""


def _key(row: Row) -> AccessKey:
    key_id, secret, created, name, user_id, is_admin, user_created = row
    return AccessKey(key_id, secret, created, User(name, user_id, bool(is_admin), user_created))


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
