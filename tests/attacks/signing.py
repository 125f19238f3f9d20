"""Requests and their signatures by hand, as a client makes them and as an attacker would: any part can be made wrong.

Nothing here is shared with the server's own verification. Source: Amazon S3 API reference, "Authenticating requests".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl, quote

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()

V4 = "AWS4-HMAC-SHA256"
REGION = "us-east-1"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Keys:
    """An access key and its secret."""

    access: str
    secret: str


@dataclass(frozen=True)
class Request:
    """What goes over the wire. ``path`` and ``query`` are encoded already and are sent as they are."""

    method: str
    path: str
    query: str = ""
    headers: Headers = ()
    body: bytes = b""

    def with_headers(self, **headers: str) -> Request:
        """With more headers, underscores for hyphens. One that is there already is replaced."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = tuple((name, value) for name, value in self.headers if name not in named)
        return replace(self, headers=(*kept, *named.items()))

    def with_query(self, *fields: str) -> Request:
        """With more in its query."""
        return replace(self, query="&".join(field for field in (self.query, *fields) if field))

    def header(self, name: str) -> str:
        """A header's value, empty if it is not there."""
        return dict(self.headers).get(name, "")


def now() -> datetime:
    """The time by which requests are signed."""
    return datetime.now(UTC)


def stamp(when: datetime) -> str:
    """A time as signatures have it."""
    return when.strftime("%Y%m%dT%H%M%SZ")


def sha256(data: bytes) -> str:
    """A payload's hash."""
    return hashlib.sha256(data).hexdigest()


# --- version 4 -------------------------------------------------------------------------------------------------------


def signing_key(keys: Keys, day: str, region: str = REGION) -> bytes:
    """The key of a day and region."""
    key = b"AWS4" + keys.secret.encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def v4(
    keys: Keys,
    request: Request,
    *,
    payload: str | None = None,
    when: datetime | None = None,
    day: str | None = None,
    signed: tuple[str, ...] | None = None,
) -> Request:
    """Signs in the Authorization header: the payload's hash unless another is given, and all ``x-amz-`` headers."""
    when = when or now()
    day = day or f"{when:%Y%m%d}"
    request = request.with_headers(
        x_amz_date=stamp(when), x_amz_content_sha256=sha256(request.body) if payload is None else payload
    )
    if signed is None:
        signed = tuple(sorted({name for name, _ in request.headers if name == "host" or name.startswith("x-amz-")}))
    signature = _v4_signature(keys, request, signed, stamp(when), day, request.header("x-amz-content-sha256"))
    credential = f"{keys.access}/{day}/{REGION}/s3/aws4_request"
    return request.with_headers(
        authorization=f"{V4} Credential={credential}, SignedHeaders={';'.join(signed)}, Signature={signature}"
    )


def v4_url(
    keys: Keys,
    request: Request,
    *,
    expires: str = "300",
    when: datetime | None = None,
    day: str | None = None,
    signed: tuple[str, ...] = ("host",),
    payload: str | None = None,
) -> Request:
    """Presigns. ``payload`` pins the hash of what is uploaded."""
    when = when or now()
    day = day or f"{when:%Y%m%d}"
    fields = {
        "X-Amz-Algorithm": V4,
        "X-Amz-Credential": f"{keys.access}/{day}/{REGION}/s3/aws4_request",
        "X-Amz-Date": stamp(when),
        "X-Amz-Expires": expires,
        "X-Amz-SignedHeaders": ";".join(signed),
    }
    if payload is not None:
        fields["X-Amz-Content-Sha256"] = payload
    request = request.with_query(*(f"{name}={quote(value, safe='-_.~')}" for name, value in fields.items()))
    signature = _v4_signature(keys, request, signed, stamp(when), day, payload or UNSIGNED)
    return request.with_query(f"X-Amz-Signature={signature}")


def _v4_signature(keys: Keys, request: Request, signed: tuple[str, ...], time: str, day: str, payload: str) -> str:
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in _fields(request.query))
    values: dict[str, list[str]] = {}
    for name, value in request.headers:
        values.setdefault(name, []).append(" ".join(value.split()))
    canonical = "\n".join(
        (
            request.method,
            request.path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{','.join(values.get(name, ['']))}" for name in signed),
            "",
            ";".join(signed),
            payload,
        )
    )
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = "\n".join((V4, time, scope, sha256(canonical.encode("latin-1"))))
    return hmac.digest(signing_key(keys, day), text.encode(), "sha256").hex()


def _fields(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


# --- bodies in chunks ------------------------------------------------------------------------------------------------


class Chunks:
    """The chain of signatures of a body that is sent in chunks."""

    def __init__(self, keys: Keys, request: Request) -> None:
        self.time = request.header("x-amz-date")
        self.scope = f"{self.time[:8]}/{REGION}/s3/aws4_request"
        self.key = signing_key(keys, self.time[:8])
        self.previous = request.header("authorization").rpartition("Signature=")[2]

    def chunk(self, data: bytes) -> bytes:
        """The next chunk, signed. The last one has no data."""
        signature = self._sign("AWS4-HMAC-SHA256-PAYLOAD", EMPTY_HASH, sha256(data))
        return b"%x;chunk-signature=%s\r\n" % (len(data), signature.encode()) + (data + b"\r\n" if data else b"")

    def trailer(self, **values: str) -> bytes:
        """The trailers, underscores for hyphens, and their signature."""
        lines = "".join(f"{name.replace('_', '-')}:{value}\n" for name, value in values.items())
        signature = self._sign("AWS4-HMAC-SHA256-TRAILER", sha256(lines.encode()))
        return f"{lines.replace(chr(10), chr(13) + chr(10))}x-amz-trailer-signature:{signature}\r\n".encode()

    def _sign(self, algorithm: str, *hashes: str) -> str:
        text = "\n".join((algorithm, self.time, self.scope, self.previous, *hashes))
        self.previous = hmac.digest(self.key, text.encode(), "sha256").hex()
        return self.previous


def chunked(*pieces: bytes, trailers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """A body in chunks without signatures."""
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return framed + b"0\r\n" + b"".join(f"{name}:{value}\r\n".encode() for name, value in trailers) + b"\r\n"


# --- version 2 -------------------------------------------------------------------------------------------------------

_SUBRESOURCES = ("acl", "delete", "partNumber", "tagging", "uploadId", "uploads", "versionId", "versioning", "versions")


def v2(keys: Keys, request: Request, when: datetime | None = None) -> Request:
    """Signs in the Authorization header, as old clients do."""
    request = request.with_headers(date=format_datetime(when or now(), usegmt=True))
    return request.with_headers(
        authorization=f"AWS {keys.access}:{_v2_signature(keys, request, request.header('date'))}"
    )


def v2_url(keys: Keys, request: Request, expires: datetime | None = None) -> Request:
    """Presigns, as old clients do."""
    seconds = str(int((expires or now() + timedelta(minutes=5)).timestamp()))
    signature = quote(_v2_signature(keys, request, seconds), safe="")
    return request.with_query(f"AWSAccessKeyId={keys.access}", f"Expires={seconds}", f"Signature={signature}")


def _v2_signature(keys: Keys, request: Request, date: str) -> str:
    amz = sorted((name, value) for name, value in request.headers if name.startswith("x-amz-"))
    fields = sorted((name, value) for name, value in _fields(request.query) if name in _SUBRESOURCES)
    query = "&".join(f"{name}={value}" if value else name for name, value in fields)
    lines = (
        request.method,
        request.header("content-md5"),
        request.header("content-type"),
        date,
        *(f"{name}:{value}" for name, value in amz),
        request.path + (f"?{query}" if query else ""),
    )
    return base64.b64encode(hmac.digest(keys.secret.encode(), "\n".join(lines).encode(), "sha1")).decode()
