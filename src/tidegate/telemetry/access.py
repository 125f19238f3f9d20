"""The access log: one line for each request, with nothing in it that could be used to make another.

A presigned URL is a credential for as long as it is valid, so what proves it is blotted out before the line is made.
"""

from __future__ import annotations

import logging
from urllib.parse import unquote_to_bytes

import msgspec

logger = logging.getLogger("tidegate.access")

REDACTED = b"REDACTED"
# By lower-case name. Credential and token are no proof by themselves, but no reader of a log needs them either.
SECRET_PARAMETERS = frozenset(
    {b"x-amz-signature", b"signature", b"x-amz-security-token", b"x-amz-credential", b"awsaccesskeyid"}
)
# A line stays below the 4096 bytes that a pipe takes at once, so that lines of several workers never mix.
MAX_TARGET = 2048
MAX_AGENT = 256


class Request(msgspec.Struct, frozen=True):
    """What a line is about. ``sent`` counts bytes of the body, ``seconds`` until its end."""

    remote: str
    request_id: str
    access_key: str
    operation: str
    method: str
    path: bytes
    query: bytes
    status: int
    error: str
    sent: int
    seconds: float
    agent: bytes


def log(request: Request) -> None:
    """Writes the line of a request that has been answered."""
    target = request.path + b"?" + redact(request.query) if request.query else request.path
    fields = {
        "remote": request.remote,
        "request_id": request.request_id,
        "access_key": request.access_key,
        "operation": request.operation,
        "method": request.method,
        "target": _text(target, MAX_TARGET),
        "status": request.status,
        "error": request.error,
        "bytes": request.sent,
        "milliseconds": round(request.seconds * 1000, 3),
        "agent": _text(request.agent, MAX_AGENT),
    }
    logger.info("request", extra={"fields": fields})


def redact(query: bytes) -> bytes:
    """A query string without the values that prove who is asking, however their names are spelt."""
    return b"&".join(map(_redact_parameter, query.split(b"&")))


def _redact_parameter(parameter: bytes) -> bytes:
    name, _, _ = parameter.partition(b"=")
    plain = unquote_to_bytes(name.replace(b"+", b" ")).strip().lower()
    return name + b"=" + REDACTED if plain in SECRET_PARAMETERS else parameter


def _text(value: bytes, most: int) -> str:
    text = value[:most].decode("ascii", "backslashreplace")
    return text + "…" if len(value) > most else text
