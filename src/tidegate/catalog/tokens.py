"""Tokens that were revoked, by their ids, until they would have expired anyway."""

from __future__ import annotations

from tidegate.catalog.abc import Reader, Transaction


def is_revoked(tx: Reader, token_id: str) -> bool:
    """Whether a token has been revoked."""
    return tx.one("SELECT 1 FROM revoked_tokens WHERE id = ?", (token_id,)) is not None


def revoke(tx: Transaction, token_id: str, expires: int, now: int) -> None:
    """Revokes a token, in every process at its next request. Times are seconds since the epoch."""
    tx.touch_names()
    tx.execute("DELETE FROM revoked_tokens WHERE expires < ?", (now,))
    tx.execute("INSERT OR REPLACE INTO revoked_tokens (id, expires) VALUES (?, ?)", (token_id, expires))
