"""Users, access keys and roles: making, listing and removing them, and finding out whom a key speaks for."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Awaitable, Iterable

import msgspec

from tidegate import errors
from tidegate.catalog import users
from tidegate.catalog.abc import Driver, Reader, Transaction
from tidegate.catalog.roles import Role
from tidegate.catalog.users import AccessKey, User
from tidegate.clock import now
from tidegate.identity import roles
from tidegate.identity.logins import Logins, is_token
from tidegate.identity.passwords import Passwords
from tidegate.identity.tokens import Signer
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
        self._passwords = Passwords()
        self.logins = Logins(catalog, Signer(vault.derive("tokens")), self._passwords)

    def find(self, access_key: str) -> Awaitable[tuple[Principal, str]]:
        """Whom a key speaks for, and its secret. Raises ``InvalidAccessKeyId``."""
        return self._catalog.recall(("key", access_key), self._found, access_key)

    def _found(self, tx: Reader, access_key: str) -> tuple[Principal, str]:
        key = users.key(tx, access_key)
        secret = self._opened.get(key.secret)
        if secret is None:
            secret = self._vault.open(key.secret, key.id)
            if len(self._opened) >= _OPENED:
                self._opened.clear()
            self._opened[key.secret] = secret
        return roles.principal(tx, key.user), secret

    def sealed(self, secret: str, purpose: str) -> bytes:
        """A secret that is to be kept in the catalog, for a purpose that it has to be opened with."""
        return self._vault.seal(secret, purpose)

    def revealed(self, sealed: bytes, purpose: str) -> str:
        """The secret. Raises ``WrongSecretKey``."""
        return self._vault.open(sealed, purpose)

    async def name_of(self, user_id: str) -> str:
        """The name of the user with a canonical id; the id itself if there is none."""
        return await self._catalog.read(lambda tx: users.name_of(tx, user_id)) or user_id

    async def users(self) -> list[User]:
        return await self._catalog.read(users.every)

    async def add_user(
        self, name: str, *, is_admin: bool = False, password: str | None = None, role_names: Iterable[str] | None = None
    ) -> User:
        """Adds a user.

        With roles, none included, the user may do what they say; without (None) it may make buckets of its own. Raises
        ``InvalidArgument`` for a name or password that is none, ``UserAlreadyExists``, ``NoSuchRole``.
        """
        if not _USER_NAME.fullmatch(name):
            raise errors.InvalidArgument("A user name has 1 to 64 letters, digits and +=,.@-_")
        names = None if role_names is None else tuple(dict.fromkeys(role_names))
        user = User(name, secrets.token_hex(32), is_admin, now(), names)
        hashed = None if password is None else await self._passwords.hash(password)

        def add(tx: Transaction) -> None:
            _check_roles(tx, names or ())
            users.add(tx, user, hashed)

        await self._catalog.write(add)
        return user

    async def change_user(
        self, name: str, *, password: str | None = None, role_names: Iterable[str] | None = None
    ) -> None:
        """Gives a user another password, which ends the tokens of the old one, or exactly these roles, or both.

        Raises ``NoSuchUser``, ``NoSuchRole``, ``InvalidArgument``.
        """
        names = None if role_names is None else tuple(dict.fromkeys(role_names))
        hashed = None if password is None else await self._passwords.hash(password)

        def change(tx: Transaction) -> None:
            users.get(tx, name)
            if hashed is not None:
                users.set_password(tx, name, hashed)
            if names is not None:
                _check_roles(tx, names)
                users.set_roles(tx, name, names)

        await self._catalog.write(change)

    async def users_with_roles(self, name: str | None = None) -> list[tuple[User, list[Role]]]:
        """All users with their roles, or the one of that name. Raises ``NoSuchUser``."""

        def read(tx: Reader) -> list[tuple[User, list[Role]]]:
            found = users.every(tx) if name is None else [users.get(tx, name)]
            return [(user, roles.of(tx, user)) for user in found]

        return await self._catalog.read(read)

    async def remove_user(self, name: str) -> None:
        """Removes a user and their keys. Raises ``NoSuchUser``."""
        await self._catalog.write(lambda tx: users.remove(tx, name))

    async def add_key(self, user: str, access_key: str | None = None, secret_key: str | None = None) -> NewKey:
        """Makes a key for a user, random unless given.

        Raises ``NoSuchUser``, ``AccessKeyAlreadyExists``, ``InvalidArgument``.
        """
        if access_key is not None and not re.fullmatch(r"[\w.@-]{3,128}", access_key, re.ASCII):
            raise errors.InvalidArgument("An access key has 3 to 128 letters, digits and .@-_")
        if access_key is not None and is_token(access_key):
            raise errors.InvalidArgument("An access key does not begin as a token does.")
        if secret_key is not None and len(secret_key) < _MIN_SECRET_LENGTH:
            raise errors.InvalidArgument(f"A secret key has at least {_MIN_SECRET_LENGTH} characters.")
        new = _new_key(access_key, secret_key)
        sealed = self._vault.seal(new.secret_key, new.access_key)
        await self._catalog.write(lambda tx: users.add_key(tx, new.access_key, user, sealed, now()))
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

    async def make_administrator(self, password: str = "") -> NewKey | None:
        """On the first start with authentication: an administrator with a key. None if there is a user already.

        ``password`` becomes the administrator's if that has none yet, who is made if need be; without one nobody can
        log in as the administrator until it is set.
        """
        user = User(ADMINISTRATOR, secrets.token_hex(32), is_admin=True, created=now())
        new = _new_key()
        sealed = self._vault.seal(new.secret_key, new.access_key)
        needs_password = password and await self._catalog.read(lambda tx: users.password(tx, ADMINISTRATOR)) is None
        hashed = await self._passwords.hash(password) if needs_password else None

        def make(tx: Transaction) -> bool:
            names = {each.name for each in users.every(tx)}
            if not names or (hashed is not None and ADMINISTRATOR not in names):
                users.add(tx, user)
            if hashed is not None and users.password(tx, ADMINISTRATOR) is None:
                users.set_password(tx, ADMINISTRATOR, hashed)
            if not names:
                users.add_key(tx, new.access_key, user.name, sealed, user.created)
            return not names

        return new if await self._catalog.write(make) else None


def _check_roles(tx: Reader, names: Iterable[str]) -> None:
    """Raises ``NoSuchRole``."""
    for name in names:
        roles.find(tx, name)


def _new_key(access_key: str | None = None, secret_key: str | None = None) -> NewKey:
    return NewKey(
        access_key or "TG" + _random(_KEY_ALPHABET, _KEY_LENGTH - 2),
        secret_key or _random(_SECRET_ALPHABET, _SECRET_LENGTH),
    )


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
