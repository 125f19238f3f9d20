"""AWS Signature Version 4, in the headers of requests that we send. Pure functions.

Source: Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header". awscrt signs too, but gives
its turn at the interpreter away four times for a request: with many under way that took longer than their signatures.
"""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Final

import msgspec

from tidegate import errors
from tidegate.sigv4 import keyed, signing_key
from tidegate.upstream.wire import Request, encode

SHA256: Final = "x-amz-content-sha256"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_NOTHING: Final = sha256(b"").hexdigest()
_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Secret(msgspec.Struct, frozen=True):
    """An access key with its secret, and the token that comes with keys for a while."""

    access_key: str
    secret_key: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Secret({self.access_key!r})"


def signed(request: Request, region: str, secret: Secret, seconds: float | None = None) -> Request:
    """A request with a signature made at a time, which is now where none is given.

    Paths are signed as they are sent: "a//b" and "a/../b" are keys. The hash of a body is taken from
    ``x-amz-content-sha256`` if it is there. Raises ``InvalidArgument`` for a header that is not UTF-8.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    headers = {
        **request.headers,
        "host": request.origin.authority,
        "x-amz-date": moment,
        SHA256: request.headers.get(SHA256) or (UNSIGNED if request.body else _NOTHING),
    }
    if secret.token:
        headers["x-amz-security-token"] = secret.token
    names = sorted(headers)
    listed = ";".join(names)
    query = "&".join(f"{name}={value}" for name, value in sorted((encode(n), encode(v)) for n, v in request.query))
    canonical = "\n".join(
        (
            request.method,
            request.origin.path + request.path,
            query,
            *(f"{name}:{_as_signed(headers[name])}" for name in names),
            "",
            listed,
            headers[SHA256],
        )
    )
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    mac = keyed(signing_key(secret.secret_key, moment[:8].encode(), region.encode())).copy()
    mac.update(f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}".encode())
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={secret.access_key}/{scope}, SignedHeaders={listed}, Signature={mac.hexdigest()}"
    )
    return msgspec.structs.replace(request, headers=headers)


def _as_signed(value: str) -> str:
    """A header's value, which is Latin-1 for bytes, as the text of the same bytes, with single spaces."""
    if not value.isascii():
        try:
            value = value.encode("latin-1").decode()
        except UnicodeError:
            told = "a header or metadata that is not UTF-8 cannot be sent to the remote"
            raise errors.InvalidArgument(told) from None
    return " ".join(filter(None, value.split(" ")))
