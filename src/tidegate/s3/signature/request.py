"""What goes into a verification and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
MAX_SKEW: Final = 15 * 60  # seconds between the client's clock and ours; Amazon's value, and how long a replay works


class SignedRequest(msgspec.Struct, frozen=True):
    """The parts of a request that signatures cover, exactly as they came over the wire.

    ``path`` is percent-encoded, ``query`` is without its ``?``; ``headers`` have lower-case names, as ASGI gives them.
    """

    method: str
    path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]


class Unverified(msgspec.Struct, frozen=True):
    """A well-formed signature of a known kind that may be anybody's; or a token, or both.

    ``verify`` takes the secret of ``access_key``. It returns who signed, or raises SignatureDoesNotMatch or
    AccessDenied. ``access_key`` is empty where there is a token alone. ``presigned`` is for a signature in the URL.
    ``region`` and ``listed`` (the names of the signed headers, joined by ``;``) are version 4's.
    """

    access_key: str
    verify: Callable[[str], Authenticated]
    token: str | None = None
    presigned: bool = False
    region: bytes = b""
    listed: bytes = b""


class ChunkSeed(msgspec.Struct, frozen=True):
    """What the signatures of a streaming body's chunks start from: see ``ChunkSigner``."""

    key: bytes
    timestamp: bytes  # YYYYMMDDTHHMMSSZ
    scope: bytes  # YYYYMMDD/region/s3/aws4_request
    signature: bytes  # the request's own, which the first chunk's continues


class Authenticated(msgspec.Struct, frozen=True):
    """Who signed a request, and what the signature says.

    ``payload_hash`` is the value of ``x-amz-content-sha256`` that was signed: the SHA-256 of the body in hex, one of
    the ``STREAMING-`` forms, or ``UNSIGNED-PAYLOAD`` where the client said nothing. It is as the client wrote it:
    nobody has judged it or compared it with the body yet. ``seed`` is there for version 4 only.
    """

    access_key: str
    version: Literal[2, 4]
    presigned: bool
    signed_headers: frozenset[bytes]
    payload_hash: str
    seed: ChunkSeed | None
