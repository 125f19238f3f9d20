"""What the gateway wants of a request's body, whichever door it came through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from tidegate.model import EMPTY


class Body(Protocol):
    """The bytes of an object or a part, without any framing, and what the client promised of them."""

    @property
    def size(self) -> int | None:
        """The declared number of bytes; None if the client did not say."""

    @property
    def algorithms(self) -> Sequence[str]:
        """The digests that ``verify`` needs, by their S3 names. May be asked for before the bytes are read."""

    def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        """The bytes in pieces. Raises where the framing is broken or the client goes away: never ends early."""

    def verify(self, digests: Mapping[str, bytes]) -> Mapping[str, str]:
        """Called once, after the last byte. Raises ``BadDigest`` and its kin where a promise was broken.

        Returns the checksums that the client declared, base64 by algorithm.
        """


class PlainBody:
    """Implements ``Body``: bytes of our own, in pieces, of which nobody promised anything. Read it once."""

    algorithms: Sequence[str] = ()

    def __init__(self, pieces: AsyncIterator[bytes], size: int | None = None) -> None:
        self._pieces = pieces
        self.size = size

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    def verify(self, digests: Mapping[str, bytes]) -> Mapping[str, str]:
        del digests
        return EMPTY


def body_of(data: bytes) -> PlainBody:
    """All of the bytes in one piece."""
    return PlainBody(_once(data), len(data))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
