"""Passwords: hashed, verified, and not guessed at will."""

from __future__ import annotations

import asyncio

import pytest

from tidegate import errors
from tidegate.identity import passwords
from tidegate.identity.passwords import MAX_FAILURES, MAX_PASSWORD, MAX_TRACKED, MAX_WAITING, Passwords, Throttle


def test_a_password_is_verified_by_its_hash() -> None:
    """The hash is Argon2id's, salted; it verifies its password and no other."""

    async def main() -> None:
        rooms = Passwords()
        one, two = await rooms.hash("päss wörd"), await rooms.hash("päss wörd")
        assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert one != two
        assert await rooms.verify(one, "päss wörd")
        assert not await rooms.verify(one, "pass word")
        assert not await rooms.verify(one, "")
        assert not await rooms.verify("no hash", "päss wörd")

    asyncio.run(main())


def test_nobody_has_no_password() -> None:
    """Where there is no hash, a hash of the same cost is compared with, and nothing matches."""

    async def main() -> None:
        assert not await Passwords().verify(None, "")
        assert not await Passwords().verify(None, "password")

    asyncio.run(main())
    real = asyncio.run(Passwords().hash("x")).split("$")
    nobodys = passwords._nobodys().split("$")
    assert nobodys[:4] == real[:4]
    assert [len(part) for part in nobodys] == [len(part) for part in real]


@pytest.mark.parametrize("password", ["", " ", "\t\n", "x" * (MAX_PASSWORD + 1), "ü" * MAX_PASSWORD, "\udc80"])
def test_what_can_be_no_password(password: str) -> None:
    """Blank, too long, or not to be encoded: refused before it costs anything."""
    with pytest.raises(errors.InvalidArgument):
        asyncio.run(Passwords().hash(password))


def test_logins_wait_in_a_line_that_ends() -> None:
    """More logins than can be answered in seconds are told to come back; the others are answered."""

    async def main() -> None:
        rooms = Passwords()
        rooms._waiting = MAX_WAITING - 1
        first = asyncio.create_task(rooms.verify(None, "x"))
        await asyncio.sleep(0)
        with pytest.raises(errors.SlowDown):
            await rooms.verify(None, "x")
        assert not await first
        assert not await rooms.verify(None, "x")

    asyncio.run(main())


def test_guessing_ends_for_a_minute() -> None:
    """After some wrong passwords nobody may try that user's any more, until the minute is over; others' they may."""
    now = 0.0
    throttle = Throttle(lambda: now)
    for _ in range(MAX_FAILURES):
        throttle.check("alice")
        throttle.failed("alice")
    with pytest.raises(errors.TooManyLogins):
        throttle.check("alice")
    throttle.check("bob")
    now = 60.0
    throttle.check("alice")
    throttle.failed("alice")
    throttle.check("alice")


def test_what_is_counted_is_bounded() -> None:
    """However many names are tried, memory is bounded, and the newest are those that are counted."""
    throttle = Throttle(lambda: 0.0)
    for number in range(MAX_TRACKED + 10):
        throttle.failed(str(number))
    assert len(throttle._failures) == MAX_TRACKED
    assert "0" not in throttle._failures
    assert str(MAX_TRACKED + 9) in throttle._failures
