"""Intents: writes of other providers' buckets that are on their way, or that came to an end which nobody knows.

A write takes down its intent before it touches the remote, and removes it in the transaction that takes down what came
of it. Whoever finds one must not trust what is cached of the key without asking the remote. An intent belongs to its
``owner`` as long as ``until`` (microseconds since the epoch) is to come; then the owner is taken to have crashed. One
that has no owner is a *doubt*: its write is over, but may still arrive at the remote until then.
"""

from __future__ import annotations

import msgspec

from tidegate.catalog.abc import Reader, Transaction

NOBODY = ""


class Intent(msgspec.Struct, frozen=True):
    """Who writes a key, and until when that counts."""

    owner: str
    until: int


class Claim(msgspec.Struct, frozen=True):
    """What came of a try to take down an intent, and the one that stood there before: if taken, what that did is in
    doubt.
    """

    is_taken: bool
    before: Intent | None = None


def find(tx: Reader, log: int, key: str) -> Intent | None:
    """The intent to write a key."""
    row = tx.one("SELECT owner, until FROM intents WHERE log = ? AND key = ?", (log, key.encode()))
    return None if row is None else Intent(*row)


def claim(tx: Transaction, log: int, key: str, owner: str, now: int, until: int) -> Claim:
    """Takes down an intent, unless somebody else's counts."""
    known = find(tx, log, key)
    if known is not None and known.owner != NOBODY and known.until > now:
        return Claim(is_taken=False, before=known)
    tx.execute(
        "INSERT OR REPLACE INTO intents (log, key, owner, until) VALUES (?, ?, ?, ?)", (log, key.encode(), owner, until)
    )
    return Claim(is_taken=True, before=known)


def renew(tx: Transaction, log: int, key: str, owner: str, until: int) -> bool:
    """Makes an intent count for longer. Returns whether it still was the owner's."""
    known = find(tx, log, key)
    if known is None or known.owner != owner:
        return False
    tx.execute("UPDATE intents SET until = ? WHERE log = ? AND key = ?", (until, log, key.encode()))
    return True


def settle(tx: Transaction, log: int, key: str, owner: str) -> bool:
    """Ends a write whose outcome is known. Returns whether the intent still was the owner's."""
    known = find(tx, log, key)
    if known is None or known.owner != owner:
        return False
    tx.execute("DELETE FROM intents WHERE log = ? AND key = ?", (log, key.encode()))
    return True


def doubt(tx: Transaction, log: int, key: str, owner: str, until: int) -> bool:
    """Ends a write that may arrive at the remote until then. Returns whether the intent still was the owner's."""
    is_owned = renew(tx, log, key, owner, until)
    if is_owned:
        tx.execute("UPDATE intents SET owner = ? WHERE log = ? AND key = ?", (NOBODY, log, key.encode()))
    return is_owned


def clear(tx: Transaction, log: int, key: str, seen: Intent) -> None:
    """Ends a doubt, if the intent is still the one that was seen."""
    tx.execute(
        "DELETE FROM intents WHERE log = ? AND key = ? AND owner = ? AND until = ?",
        (log, key.encode(), seen.owner, seen.until),
    )


def keys(tx: Reader, log: int) -> list[str]:
    """The keys of a log that have an intent: few, as each is a write under way or a crash."""
    return [key.decode() for (key,) in tx.rows("SELECT key FROM intents WHERE log = ?", (log,))]


def has_any(tx: Reader, log: int) -> bool:
    """Whether any key of a log has an intent."""
    return tx.one("SELECT 1 FROM intents WHERE log = ? LIMIT 1", (log,)) is not None


def forget(tx: Transaction, log: int) -> None:
    """Removes the intents of a log that is to go."""
    tx.execute("DELETE FROM intents WHERE log = ?", (log,))
