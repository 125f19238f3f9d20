"""Presigned SigV4 request targets, made quickly: the signing key is derived once and the rest is one hash and one HMAC.

Source: AWS General Reference, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.values import Credentials

EXPIRES_MAX = 604_800  # seconds: S3 accepts no presigned URL that is valid for more than a week
_SPREAD = 500_000  # how many targets are made before a lifetime comes again, so that two for one key differ
_NONE: Mapping[str, str] = MappingProxyType({})


class Signer:
    """Signs request targets for one host (``127.0.0.1:8080``) as of one moment (now, unless ``at`` says otherwise)."""

    def __init__(
        self, credentials: Credentials, host: str, region: str = "us-east-1", at: datetime | None = None
    ) -> None:
        self._date = (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{self._date[:8]}/{region}/s3/aws4_request"
        self._host = host
        self._credential = f"{credentials.access_key}/{self._scope}"
        self._prefix = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={quote(self._credential, safe='~')}"
            f"&X-Amz-Date={self._date}&X-Amz-Expires="
        )
        self._key = f"AWS4{credentials.secret_key}".encode()
        for part in self._scope.split("/"):
            self._key = hmac.digest(self._key, part.encode(), "sha256")
        self._made = 0

    def target(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = _NONE,
        headers: Mapping[str, str] = _NONE,
        expires: int | None = None,
    ) -> str:
        """The path and query of a presigned request with an unsigned payload.

        ``path`` is ``/bucket/key``, not encoded. ``headers`` (lower-case names) must then be sent as they were signed.
        Without ``expires`` (seconds) each target gets another lifetime and with it another signature, so that no server
        can answer the second request for a key from a memory of signatures.
        """
        if expires is None:
            self._made += 1
            expires = EXPIRES_MAX - self._made % _SPREAD
        path = quote(path, safe="/~")
        names = ";".join(sorted(["host", *headers]))
        fields = f"{self._prefix}{expires}&X-Amz-SignedHeaders={quote(names, safe='~')}"
        if query:
            own = [tuple(field.split("=")) for field in fields.split("&")]
            given = [(quote(name, safe="~"), quote(value, safe="~")) for name, value in query.items()]
            fields = "&".join("=".join(field) for field in sorted([*own, *given]))
        lines = "".join(f"{name}:{value}\n" for name, value in sorted([("host", self._host), *headers.items()]))
        request = f"{method}\n{path}\n{fields}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        digest = sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self._date}\n{self._scope}\n{digest}"
        return f"{path}?{fields}&X-Amz-Signature={hmac.digest(self._key, text.encode(), 'sha256').hex()}"
