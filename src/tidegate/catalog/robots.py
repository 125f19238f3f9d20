"""Tokens of robots: whose each is, and until when, under its digest. The token itself is not here."""

from __future__ import annotations

import msgspec

from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.users import User, by_id


class RobotSession(msgspec.Struct, frozen=True):
    """Whose a token is, and when it ends, in seconds since the epoch: None for not by itself."""

    user: User
    expires: int | None


def find(tx: Reader, digest: bytes) -> RobotSession | None:
    """What is known of a token, whether or not its time is over."""
    row = tx.one("SELECT user, expires FROM robot_tokens WHERE digest = ?", (digest,))
    user = None if row is None else by_id(tx, row[0])
    return None if row is None or user is None else RobotSession(user, row[1])


def add(tx: Transaction, digest: bytes, user_id: str, now: int, expires: int | None) -> None:
    """Takes down a token, and forgets those whose time is over. Times are seconds since the epoch."""
    tx.touch_names()
    tx.execute("DELETE FROM robot_tokens WHERE expires < ?", (now,))
    tx.execute(
        "INSERT INTO robot_tokens (digest, user, created, expires) VALUES (?, ?, ?, ?)", (digest, user_id, now, expires)
    )


def revoke(tx: Transaction, digest: bytes) -> None:
    """Ends a token, in every process at its next request."""
    tx.touch_names()
    tx.execute("DELETE FROM robot_tokens WHERE digest = ?", (digest,))


def revoke_all(tx: Transaction, user_id: str, now: int) -> int:
    """Ends all tokens of a user; how many were in force."""
    tx.touch_names()
    row = tx.one(
        "SELECT count(*) FROM robot_tokens WHERE user = ?1 AND (expires IS NULL OR expires > ?2)", (user_id, now)
    )
    tx.execute("DELETE FROM robot_tokens WHERE user = ?", (user_id,))
    return 0 if row is None else row[0]
