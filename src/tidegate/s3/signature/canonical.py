"""The one spelling of a request that client and server both sign: percent-encoding, header values, query, time.

Pure functions over bytes. Nothing here is normalised beyond what Amazon's rules say: ``//``, ``.`` and ``..`` are part
of a key.

Source: Amazon S3 API reference, "Signature calculations for the Authorization header"; RFC 3986 section 2.3.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DAYS_REMEMBERED: Final = 64  # requests are signed today, presigned URLs within the last week

TIMES_REMEMBERED: Final = 256  # a client signs many requests in one second, and presigns many URLs

UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

_ENCODED: Final = tuple(bytes((byte,)) if byte in UNRESERVED else b"%%%02X" % byte for byte in range(256))
_ENCODED_IN_PATH: Final = tuple(b"/" if byte == ord("/") else encoded for byte, encoded in enumerate(_ENCODED))

# As numbers: Python finds them in bytes much faster than as bytes.
PERCENT: Final = ord("%")
_TAB: Final = ord("\t")

# (name, "=" or nothing, value), still percent-encoded
Pair: TypeAlias = tuple[bytes, bytes, bytes]


def path(raw: bytes) -> bytes:
    """Return a path from the wire in canonical encoding: every byte but the unreserved ones and ``/`` escaped, once."""
    if not raw.translate(None, UNRESERVED + b"/"):
        return raw
    return b"".join(map(_ENCODED_IN_PATH.__getitem__, unquote_to_bytes(raw)))


def component(raw: bytes) -> bytes:
    """Return a name or value of a query in canonical encoding. ``+`` is a blank, as where the query is parsed."""
    if not raw.translate(None, UNRESERVED):
        return raw
    return b"".join(map(_ENCODED.__getitem__, decoded(raw)))


def decoded(raw: bytes) -> bytes:
    """Return what a name or value of a query means."""
    return unquote_to_bytes(raw.replace(b"+", b" "))


def pairs(raw_query: bytes) -> list[Pair]:
    """Split a query into its fields, in order, without decoding them. Empty fields are dropped."""
    return [field.partition(b"=") for field in raw_query.split(b"&") if field]


def query(fields: Iterable[Pair]) -> bytes:
    """Join fields in order of name and value. One without ``=`` gets it."""
    return b"&".join([name + b"=" + value for name, _, value in sorted(fields)])


def encoded_query(fields: Iterable[Pair]) -> bytes:
    """Do as ``query`` does, after encoding each name and value as ``component`` does."""
    return query((component(name), b"=", component(value)) for name, _, value in fields)


def header_table(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers by name. Values of one that came more than once are joined by commas, in order."""
    table = dict(headers)
    if len(table) != len(headers):
        table = {}
        for name, value in headers:
            table[name] = b",".join((table[name], value.strip())) if name in table else value.strip()
    return table


def folded(value: bytes) -> bytes:
    """Return a header's value without blanks around it, and with one blank for each run of blanks within."""
    value = value.strip()
    return b" ".join(value.split()) if value.find(b"  ") >= 0 or _TAB in value else value


@lru_cache(maxsize=TIMES_REMEMBERED)
def parse_iso8601(stamp: bytes) -> int | None:
    """Return the seconds since the epoch that ``YYYYMMDDTHHMMSSZ`` means, or None where it is not that."""
    day, clock = stamp[:8], stamp[9:15]
    if len(stamp) != 16 or stamp[8:9] != b"T" or stamp[15:] != b"Z" or not day.isdigit() or not clock.isdigit():
        return None
    midnight = _midnight(day)
    hours, minutes, seconds = int(clock[:2]), int(clock[2:4]), int(clock[4:])
    if midnight is None or hours > 23 or minutes > 59 or seconds > 59:
        return None
    return midnight + hours * 3600 + minutes * 60 + seconds


@lru_cache(maxsize=DAYS_REMEMBERED)
def _midnight(day: bytes) -> int | None:
    try:
        return int(datetime(int(day[:4]), int(day[4:6]), int(day[6:]), tzinfo=UTC).timestamp())
    except ValueError:
        return None


def parse_date(value: bytes) -> int | None:
    """Return the seconds since the epoch that a Date or x-amz-date header means, or None where it means none.

    ISO 8601's basic form and HTTP's dates (RFC 9110 section 5.6.7, RFC 5322 section 3.3) are understood; nothing before
    1970 is.
    """
    value = value.strip()
    seconds = parse_iso8601(value)
    if seconds is None:
        try:
            moment = parsedate_to_datetime(value.decode("ascii"))
            seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        except (ValueError, TypeError, OverflowError):
            return None
    return seconds if seconds >= 0 else None


def format_iso8601(seconds: float) -> bytes:
    """Return the inverse of ``parse_iso8601``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ").encode("ascii")


def format_for_humans(seconds: float) -> str:
    """Return a time as Amazon's error documents show it: ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
