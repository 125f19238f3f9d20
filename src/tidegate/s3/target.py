"""What a request's URL names: the bucket and key from its path and Host, the fields of its query, and whether a new
bucket may have a name.

One ``Target`` is made per request and used by everything after it, so that what was authorised is what is acted on.
A key is bytes that happen to be UTF-8: it is decoded once and never normalised, and nothing here is ever a file path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

import msgspec

from tidegate import errors
from tidegate.names import MAX_KEY_BYTES
from tidegate.s3.signature.canonical import Pair, pairs

Level = Literal["service", "bucket", "object"]

PREFIX: Final = "/s3"  # S3 is served under it and at the root; a bucket name has three characters, so it hides none
MAX_HOST_LENGTH: Final = 260  # a DNS name has 253 characters at most, the dot after it one, a port six
HOSTS_REMEMBERED: Final = 1024  # a client uses one, or one a bucket; bounded, as the client chooses them
MAX_QUERY_FIELDS: Final = 128  # the longest real query, a presigned URL with every override and header, has about 60
QUERIES_REMEMBERED: Final = 256  # clients use a few dozen combinations of names; bounded, as they choose them

#: The names by which a presigned URL carries its signature (SigV4). They mean nothing to any operation.
SIGNING: Final = frozenset(
    {
        b"X-Amz-Algorithm",
        b"X-Amz-Credential",
        b"X-Amz-Date",
        b"X-Amz-Expires",
        b"X-Amz-SignedHeaders",
        b"X-Amz-Signature",
        b"X-Amz-Security-Token",
        b"X-Amz-Content-Sha256",
    }
)

CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # no header's value has these (RFC 9110 section 5.5)

_PERCENT, _PLUS, _NUL = b"%+\0"  # as numbers: Python finds them in bytes much faster than as bytes
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ODD_ESCAPE = re.compile(rb"%(?![0-7][0-9A-Fa-f])|%00")  # malformed, of U+0000, or part of what may be no UTF-8
_HOST = re.compile(r"([a-z0-9_](?:[a-z0-9._-]*[a-z0-9_-])?)\.?(?::[0-9]*)?", re.ASCII | re.IGNORECASE)

_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_BUCKET_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_IPV4 = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_MIN_BUCKET_NAME: Final = 3
_MAX_BUCKET_NAME: Final = 63
_RESERVED_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES: Final = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


class Target(msgspec.Struct, frozen=True):
    """What a request is about: the service (no bucket), a bucket (no key) or an object.

    ``path_prefix`` is ``"/s3"`` where the path begins with it, else empty. ``virtual_host`` says that the Host named
    the bucket, so that the whole path is the key.
    """

    bucket: str | None
    key: str | None
    path_prefix: str = ""
    virtual_host: bool = False

    @property
    def level(self) -> Level:
        """What operations the target has."""
        return "service" if self.bucket is None else "bucket" if self.key is None else "object"


def parse_target(raw_path: bytes, host: str, domains: tuple[str, ...] = ()) -> Target:
    """Return what ``raw_path`` (percent-encoded, without the query) names on ``host``, the Host header's value.

    ``domains`` are the names under which a Host may carry the bucket, beside ``localhost``. The key is everything after
    the bucket's slash; ``/bucket/`` has none. Bucket names are not judged here: one that cannot exist is not found.
    Raises InvalidURI for a malformed escape, for what is not UTF-8, for U+0000 (XML has no way to list such a key) and
    for an empty bucket name before a key, and KeyTooLongError for a key of more than 1024 bytes.
    """
    if raw_path[:1] not in (b"/", b""):
        raise errors.InvalidURI
    bucket = bucket_of_host(host, domains)
    if bucket is not None:
        return Target(bucket, _key(raw_path[1:]), virtual_host=True)
    raw_bucket, slash, raw_key = raw_path[1:].partition(b"/")
    prefix = ""
    if raw_bucket == b"s3":
        prefix = PREFIX
        raw_bucket, slash, raw_key = raw_key.partition(b"/")
    if raw_bucket:
        return Target(_text(_unquote(raw_bucket)), _key(raw_key), prefix)
    if slash:
        raise errors.InvalidURI
    return Target(None, None, prefix)


def bucket_of_host(host: str, domains: tuple[str, ...] = ()) -> str | None:
    """Return the bucket that the Host header names, in lower case, or None where the path does (path-style).

    That is what stands before the longest of ``domains`` and ``localhost`` that the name ends in. A domain itself, an
    address, an unknown name and anything malformed are path-style.
    """
    if len(host) > MAX_HOST_LENGTH:
        return None
    return _bucket_of_host(host, domains)


@lru_cache(maxsize=HOSTS_REMEMBERED)
def _bucket_of_host(host: str, domains: tuple[str, ...]) -> str | None:
    match = _HOST.fullmatch(host)
    if match is None:
        return None
    name = match[1].lower()
    known = sorted((domain.lower().removesuffix(".") for domain in (*domains, "localhost")), key=len, reverse=True)
    if name in known:
        return None
    return next((name.removesuffix(f".{domain}") for domain in known if name.endswith(f".{domain}")), None)


def parse_query(raw: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a raw query, in order, decoded as HTML forms are: ``+`` is a blank.

    A name without ``=`` has an empty value; empty fields are dropped. Raises InvalidURI for a malformed escape, for
    what is not UTF-8, for U+0000 and for more than ``MAX_QUERY_FIELDS`` fields.
    """
    return _decoded(split_query(raw))


def split_query(raw: bytes) -> list[Pair]:
    """Return the fields of a raw query, in order and not decoded. Raises InvalidURI for more than
    ``MAX_QUERY_FIELDS``.
    """
    if raw.count(b"&") >= MAX_QUERY_FIELDS:
        raise errors.InvalidURI
    return pairs(raw)


def meaning(raw: bytes, fields: Sequence[Pair]) -> list[tuple[str, str]]:
    """Do as ``parse_query`` does for a query that was split, and leave out what only signs it.

    Where a name comes twice, in whatever spelling, nothing is left out: routing has to see it.
    """
    if not raw.isascii() or _NUL in raw or _ODD_ESCAPE.search(raw):
        _decoded(fields)  # refuses them, in what is left out too
    telling = _telling(tuple([name for name, _, _ in fields]))
    return _decoded([fields[place] for place in telling]) if telling else []


@lru_cache(maxsize=QUERIES_REMEMBERED)
def _telling(names: tuple[bytes, ...]) -> tuple[int, ...]:
    """Return the places of the fields that say more than who signed."""
    plain = {_unquote(name).lower() for name in names}
    return tuple(place for place, name in enumerate(names) if name not in SIGNING or len(plain) < len(names))


def _decoded(fields: Iterable[Pair]) -> list[tuple[str, str]]:
    return [(_form_text(name), _form_text(value)) for name, _, value in fields]


def validate_bucket_name(name: str) -> None:
    """Raise InvalidBucketName unless a bucket called ``name`` may be created.

    Source: Amazon S3 user guide, "General purpose bucket naming rules". A hyphen beside a dot is refused as S3 does,
    though the page does not say so. The suffix ``-an``, which marks an account's own namespace there, is free here.
    """
    if (
        not _MIN_BUCKET_NAME <= len(name) <= _MAX_BUCKET_NAME
        or _BUCKET_NAME.fullmatch(name) is None
        or _IPV4.fullmatch(name) is not None
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
    ):
        raise errors.InvalidBucketName(BucketName=name)


def _form_text(raw: bytes) -> str:
    """Return a name or value of a query decoded."""
    if _PERCENT in raw or _PLUS in raw:  # most have nothing to decode
        raw = _unquote(raw.replace(b"+", b" "))
    return _text(raw)


def _key(raw: bytes) -> str | None:
    if not raw:
        return None
    key = _unquote(raw)
    if len(key) > MAX_KEY_BYTES:
        raise errors.KeyTooLongError(Size=str(len(key)), MaxSizeAllowed=str(MAX_KEY_BYTES))
    return _text(key)


def _unquote(raw: bytes) -> bytes:
    if _PERCENT not in raw:
        return raw
    if _BAD_ESCAPE.search(raw):
        raise errors.InvalidURI
    return unquote_to_bytes(raw)


def _text(raw: bytes) -> str:
    if _NUL in raw:
        raise errors.InvalidURI
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise errors.InvalidURI from None
