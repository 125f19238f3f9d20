"""What a request must look like before any door sees it, and what becomes of a body that its answer did not wait for.

Two readers of one byte stream that disagree on where a request ends, or whom it is for, are how requests are smuggled
past an authenticating proxy (RFC 9112, section 11.2). llhttp refuses most of that; this refuses the rest, and whatever
is refused closes its connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from tidegate import errors
from tidegate.asgi import ANSWER, IS_OVERSIZED, TARGET, Message, Receive, Scope, Send

# S3's 2 KiB of user metadata can be some hundred headers of a few bytes; clients send a dozen.
MAX_HEADER_COUNT = 512
MAX_CONTENT_LENGTH = 2**63 - 1
# What is left of a body after an early answer is read and dropped up to here, so that the connection can be used again.
MAX_DISCARDED = 4 * 1024 * 1024
# A connection that is to be closed stays open this long for a client that is still sending, or it would see a reset,
# not the answer.
LINGER_SECONDS = 2.0

# Headers that decide where a request ends, whom it is for and who sends it: a second one is an attempt to have it both
# ways.
_SINGLETONS = frozenset({b"host", b"content-length", b"transfer-encoding", b"authorization", b"expect"})
_HOSTS_REMEMBERED = 1024
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::[0-9]{1,5})?")
_HASH = ord("#")  # as a number: Python finds it in bytes much faster than as bytes
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)[/?]", re.IGNORECASE)

Headers = Sequence[tuple[bytes, bytes]]
Fields = Mapping[bytes, bytes]


def fault(scope: Scope, fields: Fields) -> errors.Error | None:
    """Why a request is refused, or None. ``fields`` are its headers by lower-case name.

    A missing, repeated or malformed Host; a target for another host; more or larger headers than allowed; and framing
    that could be read in two ways.
    """
    headers: Headers = scope["headers"]
    if len(headers) > MAX_HEADER_COUNT or scope.get(IS_OVERSIZED):
        return errors.RequestHeaderSectionTooLarge()
    if len(fields) != len(headers) and _repeats_singleton(headers):
        return errors.BadRequest("A header that may be given once was given more than once.")
    host = fields.get(b"host")
    if host is None or not _is_host(host):
        return errors.BadRequest("A request needs one Host header with a name or address.")
    target: bytes = scope.get(TARGET, b"/")
    if target[:1] != b"/" and not _is_for(target, host):
        return errors.BadRequest("The request target is not a path on the host of the Host header.")
    if _HASH in target:
        return errors.InvalidURI()
    if b"content-length" in fields or b"transfer-encoding" in fields:
        return _framing_fault(scope, fields)
    return None if scope["http_version"] in {"1.1", "1.0"} else errors.BadRequest()


def _framing_fault(scope: Scope, fields: Fields) -> errors.Error | None:
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if length is not None and (
        coding is not None or not length.isdigit() or len(length) > 19 or int(length) > MAX_CONTENT_LENGTH
    ):
        return errors.BadRequest()
    if coding is not None and scope["http_version"] != "1.1":
        return errors.BadRequest()
    if coding is not None and coding.lower() != b"chunked":
        return errors.NotImplementedByServer("A transfer coding other than chunked is not implemented.")
    return None if scope["http_version"] in {"1.1", "1.0"} else errors.BadRequest()


def _repeats_singleton(headers: Headers) -> bool:
    names = [name for name, _ in headers if name in _SINGLETONS]
    return len(names) != len(set(names))


@lru_cache(maxsize=_HOSTS_REMEMBERED)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _is_for(target: bytes, host: bytes) -> bool:
    """Whether a target in absolute form (``http://host/path``) names the same host as the Host header."""
    matched = _ABSOLUTE.match(target)
    return matched is not None and matched[1].lower() == host.lower()


def body(fields: Fields, receive: Receive, send: Send) -> Body | None:
    """The body of a request that has one."""
    length = fields.get(b"content-length")
    if length is None and b"transfer-encoding" not in fields:
        return None
    if length == b"0":
        return None
    is_expected = fields.get(b"expect", b"").lower() == b"100-continue"
    return Body(None if length is None else int(length), receive, send, is_expected=is_expected)


class Body:
    """A request's way in and out that keeps the connection in step when the answer comes before the whole body was
    read.

    Without this, the rest of a body could be taken for the next request by whoever thinks that it is not coming any
    more: a client that was told nothing after ``Expect: 100-continue`` may or may not send it (RFC 9110, section
    10.1.1).
    """

    __slots__ = (
        "_is_asked_for",
        "_is_complete",
        "_is_expected",
        "_length",
        "_lingers",
        "_receive",
        "_send",
        "received",
    )

    def __init__(self, length: int | None, receive: Receive, send: Send, *, is_expected: bool) -> None:
        self._length = length
        self._receive = receive
        self._send = send
        self._is_expected = is_expected
        self._is_asked_for = False
        self._is_complete = False
        self._lingers = False
        self.received = 0

    async def receive(self) -> Message:
        self._is_asked_for = True
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message["body"])
            self._is_complete = not message["more_body"]
        else:
            self._is_complete = True
        return message

    async def send(self, message: Message) -> None:
        if self._is_complete:
            await self._send(message)
        elif message["type"] == ANSWER:
            await self.send({**message, "type": "http.response.start"})
            await self.send({**message, "type": "http.response.body"})
        elif message["type"] == "http.response.start":
            if self._has_to_close():
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await self._send(message)
        elif self._lingers and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._discard()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    def _has_to_close(self) -> bool:
        """Where it need not, the rest is little and the protocol drops it as it comes."""
        if self._is_expected and not self._is_asked_for:
            return True
        self._lingers = self._length is None or self._length - self.received > MAX_DISCARDED
        return self._lingers

    async def _discard(self) -> None:
        discarded = self.received + MAX_DISCARDED
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._is_complete and self.received < discarded:
                    await self.receive()
        except TimeoutError:
            pass
