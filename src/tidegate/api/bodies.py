"""The body of a request that carries a file, held against what its headers promise."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from starlette.requests import Request

from tidegate import asgi, checksums, errors
from tidegate.model import EMPTY

# RFC 9530, "Digest Fields": what is secure. Other algorithms are for the recipient to ignore.
_ALGORITHMS: Final = {"sha-256": "SHA256", "sha-512": "SHA512"}
_DIGEST: Final = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*=*):")


class FileBody:
    """Implements ``gateway.body.Body`` for one request. Read it once.

    Raises ``MissingContentLength``, ``InvalidDigest`` for a promise that makes no sense.
    """

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self.size = asgi.content_size(request.headers)
        self._expected = _expected(request.headers)
        self.algorithms: Sequence[str] = list(self._expected)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return asgi.body(self._receive, self.size)

    def verify(self, digests: Mapping[str, bytes]) -> Mapping[str, str]:
        for algorithm, digest in self._expected.items():
            if digests[algorithm] != digest:
                raise errors.BadDigest(f"the body has another {algorithm} than its headers say")
        return EMPTY


def _expected(headers: Mapping[str, str]) -> dict[str, bytes]:
    """The digests that the headers promise, by S3's names of the algorithms."""
    found = {}
    if (md5 := headers.get("content-md5")) is not None:
        found["MD5"] = checksums.decode_content_md5(md5)
    for name in ("content-digest", "repr-digest"):
        for item in headers.get(name, "").split(",") if name in headers else ():
            matched = _DIGEST.fullmatch(item.strip())
            if matched is None:
                raise errors.InvalidDigest(f"{name} is not such as sha-256=:base64:")
            algorithm = _ALGORITHMS.get(matched[1])
            if algorithm is not None:
                found[algorithm] = _decoded(name, algorithm, matched[2])
    return found


def _decoded(name: str, algorithm: str, value: str) -> bytes:
    try:
        return checksums.decode(algorithm, value)
    except errors.InvalidRequest:
        raise errors.InvalidDigest(f"{name} has no {algorithm} in base64") from None
