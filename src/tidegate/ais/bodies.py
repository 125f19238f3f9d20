"""The body of a request that carries an object or a piece of one, held against the checksum that the client said."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence

from starlette.requests import Request

from tidegate import asgi, checksums, errors
from tidegate.gateway.appends import bad_checksum
from tidegate.model import EMPTY

CHECKSUM_TYPE = "ais-checksum-type"
CHECKSUM_VALUE = "ais-checksum-value"
NO_CHECKSUM = "none"

# AIStore's newer name for the same algorithm.
_ALIASES = {"xxhash2": "xxhash"}
_HEX = re.compile(r"[0-9a-f]*")


def declared_checksum(request: Request) -> tuple[str, str] | None:
    """The type and value of the checksum that the headers promise, as properties of buckets name the type.

    Raises ``InvalidArgument`` for a type that nobody knows, for a value that cannot be one, and for half of the two.
    """
    kind, value = request.headers.get(CHECKSUM_TYPE, ""), request.headers.get(CHECKSUM_VALUE, "").lower()
    kind = _ALIASES.get(kind, kind)
    if kind in {"", NO_CHECKSUM} and not value:
        return None
    if kind not in checksums.DIGESTS:
        raise errors.InvalidArgument(f'invalid checksum type "{kind}"')
    size = checksums.ALGORITHMS[checksums.DIGESTS[kind]].size
    if len(value) != 2 * size or not _HEX.fullmatch(value):
        raise errors.InvalidArgument(f'invalid {kind} checksum "{value}": not {2 * size} hexadecimal digits')
    return kind, value


class NativeBody:
    """Implements ``gateway.body.Body`` for one request. Read it once.

    ``expected`` is the checksum that it has to have. Raises ``MissingContentLength``.
    """

    def __init__(self, request: Request, expected: tuple[str, str] | None) -> None:
        self._receive = request.receive
        self.size = asgi.content_size(request.headers)
        self._expected = expected
        self.algorithms: Sequence[str] = [] if expected is None else [checksums.DIGESTS[expected[0]]]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return asgi.body(self._receive, self.size)

    def verify(self, digests: Mapping[str, bytes]) -> Mapping[str, str]:
        if self._expected is not None:
            kind, expected = self._expected
            actual = digests[checksums.DIGESTS[kind]].hex()
            if actual != expected:
                raise bad_checksum(kind, expected, actual)
        return EMPTY


def open_body(request: Request) -> NativeBody:
    """The body with what its headers promise. Raises ``MissingContentLength``, and as ``declared_checksum``."""
    return NativeBody(request, declared_checksum(request))
