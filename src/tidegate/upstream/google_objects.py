"""What Google's answers say of objects, and how an object is described to Google. Structs and pure functions.

Source: Google Cloud Storage, "JSON API reference: Objects".
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

from tidegate import errors
from tidegate.upstream import keys, times
from tidegate.upstream.abc import Entry, RemoteObject
from tidegate.upstream.wire import Answer

# An object resource has no field for this header, so it is metadata.
_EXPIRES: Final = "tidegate-expires"
_FIELDS: Final = {
    "content-type": "contentType",
    "content-encoding": "contentEncoding",
    "content-disposition": "contentDisposition",
    "content-language": "contentLanguage",
    "cache-control": "cacheControl",
}


class Object(msgspec.Struct, frozen=True, rename="camel"):
    """An object resource."""

    name: str
    size: str = "0"
    etag: str = ""
    generation: str = ""
    updated: str = ""
    md5_hash: str | None = None
    crc32c: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    metadata: dict[str, str] | None = None


class Listing(msgspec.Struct, frozen=True, rename="camel"):
    """A page of a listing."""

    items: tuple[Object, ...] = ()
    prefixes: tuple[str, ...] = ()
    next_page_token: str = ""


class Rewriting(msgspec.Struct, frozen=True, rename="camel"):
    """How far a copy has come."""

    done: bool = True
    rewrite_token: str = ""
    resource: Object | None = None


class Bucket(msgspec.Struct, frozen=True):
    """A bucket resource."""

    name: str


class Buckets(msgspec.Struct, frozen=True, rename="camel"):
    """A page of buckets."""

    items: tuple[Bucket, ...] = ()
    next_page_token: str = ""


class _Words(msgspec.Struct, frozen=True):
    message: str = ""


class Refused(msgspec.Struct, frozen=True):
    """An error."""

    error: _Words = _Words()


def describing(
    headers: Mapping[str, str], metadata: Mapping[str, str], digest: tuple[str, str] | None
) -> dict[str, object]:
    """The fields of an object resource. JSON has text where headers have Latin-1 for bytes."""
    fields: dict[str, object] = {field: _text(headers[name]) for name, field in _FIELDS.items() if name in headers}
    told = {name: _text(value) for name, value in keys.with_digest(metadata, digest).items()}
    if "expires" in headers:
        told[_EXPIRES] = headers["expires"]
    if told:
        fields["metadata"] = told
    return fields


def _text(value: str) -> str:
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        raise errors.InvalidArgument("a header or metadata that is not UTF-8 cannot be sent to the remote") from None


def _value(text: str) -> str:
    """The opposite of ``_text``."""
    return text.encode().decode("latin-1")


def described(found: Object) -> RemoteObject:
    """What an object resource says."""
    told = {name.lower(): _value(text) for name, text in (found.metadata or {}).items()}
    fields = (
        ("content-type", found.content_type),
        ("content-encoding", found.content_encoding),
        ("content-disposition", found.content_disposition),
        ("content-language", found.content_language),
        ("cache-control", found.cache_control),
        ("expires", told.pop(_EXPIRES, None)),
    )
    metadata, digest = keys.without_digest(told)
    sums = {"CRC32C": found.crc32c, "MD5": found.md5_hash}
    return RemoteObject(
        found.name,
        _number(found.size),
        _etag(found),
        times.from_iso(found.updated),
        found.generation,
        {name: _value(text) for name, text in fields if text},
        metadata,
        {name: value for name, value in sums.items() if value},
        digest,
    )


def entry(found: Object) -> Entry:
    """The same in a listing."""
    return Entry(found.name, _number(found.size), _etag(found), times.from_iso(found.updated))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _etag(found: Object) -> str:
    """The MD5 as Google's S3-like API has it, else what identifies the content (and its metadata)."""
    if found.md5_hash:
        with suppress(ValueError):
            return b64decode(found.md5_hash, validate=True).hex()
    return found.etag.strip('"')


def hash_differs(answer: Answer, remote: RemoteObject) -> bool:
    """Whether the answer is of other content, by its ``x-goog-hash: crc32c=…,md5=…``."""
    crc = remote.checksums.get("CRC32C")
    told = dict(item.strip().partition("=")[::2] for item in answer.headers.get("x-goog-hash", "").split(","))
    return crc is not None and told.get("crc32c", crc) != crc
