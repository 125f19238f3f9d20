"""What the gateway wants of a request's body, whichever door it came through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol


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
