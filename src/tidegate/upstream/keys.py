"""Names of objects and of metadata, as they are said to a remote and read from one."""

from __future__ import annotations

from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final

from tidegate import errors

# S3's limit, and that of all others.
MAX_BYTES: Final = 1024

# AIStore keeps an object's checksum in its metadata, under names that begin as the headers do which carry them.
DIGEST_TYPE: Final = "x-amz-meta-ais-cksum-type"
DIGEST_VALUE: Final = "x-amz-meta-ais-cksum-val"
_PREFIX: Final = "x-amz-meta-"


def check(uri: str, key: str) -> None:
    """Raises ``UnrepresentableKey`` for what no remote can have as a key."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        length = 0
    if not 0 < length <= MAX_BYTES:
        raise errors.UnrepresentableKey(f"{uri}: a key has 1 to {MAX_BYTES} bytes of UTF-8", Key=ascii(key)[:MAX_BYTES])


def check_no_tags(uri: str, tags: Mapping[str, str]) -> None:
    """Raises ``NotImplementedByServer`` for tags, where S3's are not known."""
    if tags:
        raise errors.NotImplementedByServer(f"{uri}: tags of objects are implemented for s3:// only")


def with_digest(metadata: Mapping[str, str], digest: tuple[str, str] | None) -> Mapping[str, str]:
    """Metadata, with a checksum beside the user's own."""
    if digest is None:
        return metadata
    return {**metadata, DIGEST_TYPE: digest[0], DIGEST_VALUE: digest[1]}


def without_digest(metadata: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, str] | None]:
    """The user's own metadata, and the checksum. Its names are taken with and without the prefix."""
    mine = dict(metadata)
    found: list[str] = []
    for name in (DIGEST_TYPE, DIGEST_VALUE):
        value = mine.pop(name, None)
        short = mine.pop(name.removeprefix(_PREFIX), None)
        if value or short:
            found.append(value or short or "")
    return mine, (found[0], found[1].lower()) if len(found) == 2 else None


def plain(value: str) -> str:
    """A value of metadata as it was given: Amazon answers with RFC 2047 for what is not ASCII.

    Text is Latin-1 for bytes, as in headers everywhere.
    """
    if not value.startswith("=?"):
        return value
    try:
        pieces = decode_header(value)
        text = "".join(
            piece if isinstance(piece, str) else piece.decode(charset or "ascii") for piece, charset in pieces
        )
    except (HeaderParseError, UnicodeError, LookupError, ValueError):
        return value
    return text.encode().decode("latin-1")
