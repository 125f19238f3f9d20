"""Times as remotes write them, in microseconds since the epoch. What cannot be read is 0: a time is never essential."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

from tidegate.clock import SECOND


def from_http(text: str) -> int:
    """A time of HTTP's (RFC 9110 section 5.6.7)."""
    try:
        return int(parsedate_to_datetime(text).timestamp()) * SECOND
    except (ValueError, TypeError, OverflowError):
        return 0


def from_iso(text: str) -> int:
    """A time of RFC 3339, as ``2026-11-20T13:29:16.123Z``."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int(moment.timestamp()) * SECOND + moment.microsecond
