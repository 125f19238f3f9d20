"""Robots: users that are programs, each with as many tokens as it needs, which live until somebody ends them.

Such a token is random, and means nothing by itself: the catalog knows of it by its digest, and what it gives is what
the robot may do at that moment. It is short enough for wherever a client takes an access key.

Source of what robots are for: Pachyderm's ``pachctl auth get-robot-token``.
"""

from __future__ import annotations

import re
import secrets
import string
import time
from hashlib import sha256
from typing import Final

import msgspec

from tidegate import errors
from tidegate.catalog import robots, users
from tidegate.catalog.abc import Driver, Reader, Transaction
from tidegate.catalog.robots import RobotSession
from tidegate.catalog.users import User
from tidegate.clock import SECOND, now
from tidegate.model import Principal

#: What a robot's name as a user begins with. Nobody else's has a colon.
KIND: Final = "robot:"
#: What its tokens begin with, for people and for programs that look for secrets where none should be.
PREFIX: Final = "tgr_"
# 40 letters and digits: 238 bits, which nobody guesses, so that a plain digest of them is enough.
_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 40
_TOKEN: Final = re.compile(rf"{PREFIX}[A-Za-z0-9]{{{_LENGTH}}}", re.ASCII)
_NAME: Final = re.compile(r"[\w+=,.@-]{1,58}", re.ASCII)  # with "robot:" the 64 characters that user names have
# Ten years in seconds. Who wants more wants a token without an end.
MAX_LIFETIME: Final = 10 * 365 * 24 * 60 * 60


class RobotToken(msgspec.Struct, frozen=True):
    """A token at the only time when it is shown, whose it is, and when it ends by itself, in microseconds."""

    token: str
    user: str
    expires: int | None


class Robots:
    """The robots of a catalog."""

    def __init__(self, catalog: Driver) -> None:
        self._catalog = catalog

    async def issue(self, name: str, lifetime: int | None = None) -> RobotToken:
        """A new token for the robot of that name, which is made if there is none.

        ``lifetime`` is in seconds; None for a token that lives until it is revoked. Raises ``InvalidArgument``.
        """
        name = full_name(name)
        if lifetime is not None and not 1 <= lifetime <= MAX_LIFETIME:
            raise errors.InvalidArgument(
                f"a robot's token lives 1 to {MAX_LIFETIME} seconds, or until it is revoked if no time is given"
            )
        token = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        since = int(time.time())
        expires = None if lifetime is None else since + lifetime
        user = User(name, secrets.token_hex(32), is_admin=False, created=now())

        def add(tx: Transaction) -> None:
            found = users.find(tx, name)
            if found is None:
                users.add(tx, user)
            robots.add(tx, _digest(token), (found or user).id, since, expires)

        await self._catalog.write(add)
        return RobotToken(token, name, None if expires is None else expires * SECOND)

    async def revoke(self, token: str, by: Principal) -> None:
        """Ends a token, which is the caller's own unless that is an administrator.

        Raises ``InvalidToken``, ``AccessDenied``.
        """

        def revoke(tx: Transaction) -> None:
            if find(tx, token).user.id != by.id and not by.is_admin:
                raise errors.AccessDenied
            robots.revoke(tx, _digest(token))

        await self._catalog.write(revoke)

    async def revoke_all(self, name: str) -> int:
        """Ends all tokens of a robot; how many that were. Raises ``NoSuchUser``, ``InvalidArgument``."""
        name = full_name(name)
        return await self._catalog.write(lambda tx: robots.revoke_all(tx, users.get(tx, name).id, int(time.time())))


def full_name(name: str) -> str:
    """The name that a robot has as a user. Raises ``InvalidArgument``."""
    short = name.removeprefix(KIND)
    if not _NAME.fullmatch(short):
        raise errors.InvalidArgument("A robot's name has 1 to 58 letters, digits and +=,.@-_")
    return KIND + short


def find(tx: Reader, token: str) -> RobotSession:
    """Whose a robot's token is. Raises ``InvalidToken``, also for one that was revoked: nobody knows of it any more."""
    found = robots.find(tx, _digest(token)) if _TOKEN.fullmatch(token) else None
    if found is None:
        raise errors.InvalidToken
    return found


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
