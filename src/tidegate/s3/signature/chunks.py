"""The chain of signatures in a streaming body: each covers its chunk and the signature before it.

Source: Amazon S3 API reference, "Transferring payload in multiple chunks (chunked upload)", with and without trailers.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tidegate.s3.signature.request import ChunkSeed

EMPTY_SHA256: Final = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class ChunkSigner:
    """Computes the signatures of a body's chunks, in order, from that of its request."""

    __slots__ = ("_previous", "_seed")

    def __init__(self, seed: ChunkSeed) -> None:
        self._seed = seed
        self._previous = seed.signature

    def sign_chunk(self, payload_hash: bytes) -> bytes:
        """Return the signature of the next chunk, whose bytes have this SHA-256 (hex)."""
        return self._sign(b"AWS4-HMAC-SHA256-PAYLOAD", EMPTY_SHA256 + b"\n" + payload_hash)

    def sign_trailers(self, trailers: bytes) -> bytes:
        """Return the signature of the trailers, given as ``name:value`` lines, each ended by LF."""
        return self._sign(b"AWS4-HMAC-SHA256-TRAILER", sha256(trailers).hexdigest().encode("ascii"))

    def _sign(self, algorithm: bytes, hashes: bytes) -> bytes:
        seed = self._seed
        text = b"\n".join((algorithm, seed.timestamp, seed.scope, self._previous, hashes))
        self._previous = hmac.digest(seed.key, text, "sha256").hex().encode("ascii")
        return self._previous
