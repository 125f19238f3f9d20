"""Users and access keys: making, listing and removing them, and finding out whom a key speaks for."""

from __future__ import annotations

import re
import secrets
import string
import time

import msgspec

from tidegate import errors
from tidegate.catalog import users
from tidegate.catalog.abc import Driver, Transaction
from tidegate.catalog.users import AccessKey, User
from tidegate.identity.vault import Vault
from tidegate.model import Principal

ADMINISTRATOR = "admin"

_USER_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)  # Amazon IAM's rule for user names
_KEY_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"
_KEY_LENGTH = 20  # as Amazon's: clients and their configuration forms expect these lengths
_SECRET_LENGTH = 40
_MIN_SECRET_LENGTH = 8
_OPENED = 1024  # decrypted secrets kept in memory, so that a request does not pay for decryption


class NewKey(msgspec.Struct, frozen=True):
    """An access key at the only time when its secret is shown."""

    access_key: str
    secret_key: str


class Identity:
    """The users of a catalog."""

    def __init__(self, catalog: Driver, vault: Vault) -> None:
        self._catalog = catalog
        self._vault = vault
        self._opened: dict[bytes, str] = {}

    async def find(self, access_key: str) -> tuple[Principal, str]:
        """Whom a key speaks for, and its secret. Raises ``InvalidAccessKeyId``."""
        key = await self._catalog.recall(("key", access_key), lambda tx: users.key(tx, access_key))
        secret = self._opened.get(key.secret)
        if secret is None:
            secret = self._vault.open(key.secret, key.id)
            if len(self._opened) >= _OPENED:
                self._opened.clear()
            self._opened[key.secret] = secret
        return Principal(key.user.id, key.user.name, key.user.is_admin), secret

    async def name_of(self, user_id: str) -> str:
        """The name of the user with a canonical id; the id itself if there is none."""
        return await self._catalog.read(lambda tx: users.name_of(tx, user_id)) or user_id

    async def users(self) -> list[User]:
        return await self._catalog.read(users.every)

    async def add_user(self, name: str, *, is_admin: bool = False) -> User:
        """Raises ``InvalidArgument`` for a name that is none, ``UserAlreadyExists``."""
        if not _USER_NAME.fullmatch(name):
            raise errors.InvalidArgument("A user name has 1 to 64 letters, digits and +=,.@-_")
        user = User(name, secrets.token_hex(32), is_admin, _now())
        await self._catalog.write(lambda tx: users.add(tx, user))
        return user

    async def remove_user(self, name: str) -> None:
        """Removes a user and their keys. Raises ``NoSuchUser``."""
        await self._catalog.write(lambda tx: users.remove(tx, name))

    async def add_key(self, user: str, access_key: str | None = None, secret_key: str | None = None) -> NewKey:
        """Makes a key for a user, random unless given.

        Raises ``NoSuchUser``, ``AccessKeyAlreadyExists``, ``InvalidArgument``.
        """
        if access_key is not None and not re.fullmatch(r"[\w.@-]{3,128}", access_key, re.ASCII):
            raise errors.InvalidArgument("An access key has 3 to 128 letters, digits and .@-_")
        if secret_key is not None and len(secret_key) < _MIN_SECRET_LENGTH:
            raise errors.InvalidArgument(f"A secret key has at least {_MIN_SECRET_LENGTH} characters.")
        new = _new_key(access_key, secret_key)
        sealed = self._vault.seal(new.secret_key, new.access_key)
        await self._catalog.write(lambda tx: users.add_key(tx, new.access_key, user, sealed, _now()))
        return new

    async def keys(self, user: str | None = None) -> list[AccessKey]:
        """All keys, or one user's. Raises ``NoSuchUser``."""
        if user is not None:
            name = user
            await self._catalog.read(lambda tx: users.get(tx, name))
        return await self._catalog.read(lambda tx: users.keys(tx, user))

    async def remove_key(self, access_key: str) -> None:
        """Raises ``NoSuchAccessKey``."""
        await self._catalog.write(lambda tx: users.remove_key(tx, access_key))

    async def make_administrator(self) -> NewKey | None:
        """On the first start with authentication: an administrator with a key. None if there is a user already."""
        user = User(ADMINISTRATOR, secrets.token_hex(32), is_admin=True, created=_now())
        new = _new_key()
        sealed = self._vault.seal(new.secret_key, new.access_key)

        def make(tx: Transaction) -> bool:
            if users.every(tx):
                return False
            users.add(tx, user)
            users.add_key(tx, new.access_key, user.name, sealed, user.created)
            return True

        return new if await self._catalog.write(make) else None


def _new_key(access_key: str | None = None, secret_key: str | None = None) -> NewKey:
    return NewKey(
        access_key or "TG" + _random(_KEY_ALPHABET, _KEY_LENGTH - 2),
        secret_key or _random(_SECRET_ALPHABET, _SECRET_LENGTH),
    )


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _now() -> int:
    return time.time_ns() // 1000
