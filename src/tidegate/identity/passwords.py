"""Passwords: hashed with Argon2id, beside the event loop, one at a time, and not guessed at will.

A user that does not exist costs as much time as one with a wrong password.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

from tidegate import errors

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

# Bytes; bounds what is hashed.
MAX_PASSWORD: Final = 1024
# What OWASP's Password Storage Cheat Sheet recommends for Argon2id: 19 MiB and some 30 ms of one core. More would be a
# way to keep a storage server from its work by logging in.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
# One at a time in a process. Those who wait are few enough for the last of them to be answered within a second or two;
# others are told to come back.
MAX_WAITING: Final = 32
# Wrong passwords for a user within a minute, in one process; then none is tried until the minute is over.
MAX_FAILURES: Final = 10
WINDOW_SECONDS: Final = 60.0
# Names whose failures are counted. Who would push a name out with others' failures needs more than a minute for it.
MAX_TRACKED: Final = 10_000


class Passwords:
    """Hashes and verifies. To be used on one event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "passwords")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Raises ``InvalidArgument`` for what can be no password, ``SlowDown``."""
        check(password)
        return await self._run(lambda: _hasher().hash(password))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password. Without a hash it is not, and finding out takes as long. Raises ``SlowDown``."""
        return await self._run(lambda: _verify(hashed, password))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise errors.SlowDown("too many logins at once: try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1


class Throttle:
    """Counts wrong passwords by user name, in one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[float, int]] = {}

    def check(self, name: str) -> None:
        """Raises ``TooManyLogins``."""
        since, count = self._failures.get(name, (0.0, 0))
        if count >= MAX_FAILURES and self._clock() - since < WINDOW_SECONDS:
            raise errors.TooManyLogins

    def failed(self, name: str) -> None:
        now = self._clock()
        since, count = self._failures.pop(name, (now, 0))
        if now - since >= WINDOW_SECONDS:
            since, count = now, 0
        if len(self._failures) >= MAX_TRACKED:
            del self._failures[next(iter(self._failures))]
        self._failures[name] = (since, count + 1)


def check(password: str) -> None:
    """Raises ``InvalidArgument`` for what can be no password."""
    try:
        length = len(password.encode())
    except UnicodeEncodeError:
        length = 0
    if not 1 <= length <= MAX_PASSWORD or not password.strip():
        raise errors.InvalidArgument(f"a password has 1 to {MAX_PASSWORD} bytes of UTF-8 and is not blank")


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # noqa: PLC0415 - only who logs in needs it

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """What passwords of users who are not there are compared with: it looks like a hash, and is none of anything."""
    hasher = _hasher()
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"


def _verify(hashed: str | None, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415 - as above

    try:
        _hasher().verify(_nobodys() if hashed is None else hashed, password)
    except (VerificationError, InvalidHashError):
        return False
    return hashed is not None
