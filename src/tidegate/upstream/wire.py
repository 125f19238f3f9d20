"""HTTP to a remote: requests, their answers, retries, time-outs and limits. It knows no provider.

At most ``CONCURRENT`` requests of an upstream are under way. What is read as a stream comes over ``connections`` on the
event loop; all else goes through ``threads``. Request bodies are in memory (an object, or a part of one, of some MiB)
or a ``Feed``, so that any of them can be sent again.

Redirects are never followed here: a request is signed for one host, and goes to that host or nowhere. URLs may have
signatures in them, so no error of ours shows one, nor what urllib3 says of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import quote, urlsplit

import msgspec

from tidegate import errors
from tidegate.model import EMPTY
from tidegate.telemetry.remotes import meter_of
from tidegate.upstream.connections import Connections
from tidegate.upstream.feed import Feed
from tidegate.upstream.lost import LostError
from tidegate.upstream.sockets import PORTS
from tidegate.upstream.threads import Source, Threads

logger = logging.getLogger(__name__)

# Requests under way at once, to one bucket and from one process. SDKs use 10 to 50; each may hold a thread.
CONCURRENT: Final = 64
# Answers that are documents: a page of 5,000 names of 1 KiB, twice escaped, is 20 MiB.
MAX_DOCUMENT: Final = 32 * 1024 * 1024
MAX_REFUSAL: Final = 64 * 1024

# May be asked again: the remote had a fault, or no time.
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
# Among them those by which a remote says that it has not even begun.
_NOT_BEGUN: Final = frozenset({429, 503})

_UNRESERVED: Final = "-_.~"  # beside letters and digits: RFC 3986 section 2.3


class Patience(msgspec.Struct, frozen=True):
    """How long and how often we try.

    ``connect`` is for a connection, ``read`` for the next bytes on it, ``long`` the same for answers that take a
    remote's own work (joining parts, copying), ``place`` for one of our own places. The pause before attempt n is
    random, up to ``pause * 2**n``, or what the remote asks for, but at most ``longest``.
    """

    connect: float = 5.0
    read: float = 30.0
    long: float = 600.0
    place: float = 30.0
    attempts: int = 5
    pause: float = 0.1
    longest: float = 5.0


PATIENCE: Final = Patience()


class Origin(msgspec.Struct, frozen=True):
    """Where requests go. ``path`` comes before every path of a request: empty, or ``/s3``."""

    scheme: str
    host: str
    port: int | None
    path: str = ""

    @property
    def authority(self) -> str:
        """As in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def listening_port(self) -> int:
        """The port, also where the URL does not say it."""
        return self.port or PORTS[self.scheme]


class Request(msgspec.Struct, frozen=True):
    """A request, complete but for what a signature adds.

    ``path`` is percent-encoded and sent as it is; ``query`` is not yet encoded, and ``raw_query`` in its place is sent
    as it is; header names are lower-case. ``feed`` is a body in place of ``body``. ``repeats`` says whether it may be
    sent again where it is not known if the remote has acted on it. ``is_long`` asks for ``Patience.long``;
    ``is_stream`` for an answer whose body is read in pieces.
    """

    method: str
    origin: Origin
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = EMPTY
    body: bytes | bytearray = b""
    repeats: bool = True
    is_long: bool = False
    is_stream: bool = False
    raw_query: str = ""
    feed: Feed | None = None

    def __repr__(self) -> str:  # headers and query have signatures in them
        return f"Request({self.method!r}, {self.path!r})"

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        query = self.raw_query or "&".join(f"{encode(name)}={encode(value)}" for name, value in self.query)
        path = self.origin.path + self.path
        return f"{path}?{query}" if query else path


class Answer(msgspec.Struct, frozen=True):
    """An answer; header names are lower-case.

    ``body`` is all of it, unless there is a ``stream``. ``attempts`` counts how often the request may have reached the
    remote: more than one for an answer to a repeated one.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    stream: Stream | None = None
    attempts: int = 1


Sign: TypeAlias = Callable[[Request], Awaitable[Request]]


def encode(text: str, safe: str = "") -> str:
    """Percent-encoded as Amazon's signatures want it: all but unreserved characters, in upper-case hexadecimal."""
    return quote(text, safe=_UNRESERVED + safe, errors="strict")


@lru_cache(maxsize=256)
def origin(url: str) -> Origin:
    """The origin that a URL names. Raises ``InvalidArgument`` for one that is none, without repeating it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise errors.InvalidArgument("the remote's endpoint is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise errors.InvalidArgument("the remote's endpoint is not a URL with http:// or https:// in front")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise errors.InvalidArgument('the remote\'s endpoint may not have "?", "#" or "@" in it')
    return Origin(parts.scheme, parts.hostname, port, encode(parts.path.rstrip("/"), "/%"))


async def unsigned(request: Request) -> Request:
    """A signature that is none."""
    return request


class Wire:
    """Connections to a remote. ``uri`` names it in errors; proxies and certificates are the environment's. ``meter``
    counts what goes over them.
    """

    def __init__(self, uri: str, environment: Mapping[str, str], patience: Patience = PATIENCE) -> None:
        self.uri = uri
        self.patience = patience
        self.meter = meter_of(uri)
        self._places = asyncio.Semaphore(CONCURRENT)
        self._threads = Threads(uri, environment, patience, CONCURRENT)
        self._connections = Connections(environment, self._threads)
        self._is_closed = False

    async def send(self, request: Request, sign: Sign = unsigned) -> Answer:
        """The answer to a request, whatever its status; an error's body is read in any case.

        Each attempt is signed anew. Raises ``RemoteUnavailable`` where there is no answer, ``SlowDown`` where there is
        no place for the request.
        """
        sent = 0
        for attempt in range(self.patience.attempts):
            is_last = attempt == self.patience.attempts - 1
            pause = random.uniform(0, self.patience.pause * 2**attempt)  # noqa: S311 - jitter, not a secret
            signed = await sign(request)
            try:
                answer = await self._once(signed)
            except LostError as lost:
                sent += lost.is_sent
                if is_last or self._threads.waits.is_given_up or (lost.is_sent and not request.repeats):
                    raise errors.RemoteUnavailable(f"{self.uri}: {lost}") from None
                logger.debug("%s: %s: trying again", self.uri, lost)
            else:
                sent += 1
                if answer.status not in _PASSING or is_last:
                    return msgspec.structs.replace(answer, attempts=sent)
                if answer.status not in _NOT_BEGUN and not request.repeats:
                    return msgspec.structs.replace(answer, attempts=sent)
                with suppress(ValueError):
                    pause = max(pause, float(answer.headers.get("retry-after", "")))
                logger.debug("%s: HTTP status %d: trying again", self.uri, answer.status)
            await asyncio.sleep(min(pause, self.patience.longest))
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Ends all connections, and what is under way on them. One that is being made ends when it is."""
        self._is_closed = True
        self._connections.close()
        self._threads.close()
        await asyncio.sleep(0)  # what was closed on the event loop is gone in its next turn

    async def _place(self) -> None:
        """Takes a place for a request. Raises ``SlowDown``."""
        if not self._places.locked():
            await self._places.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self.patience.place):
                await self._places.acquire()
        except TimeoutError:
            self.meter.fail("no-place")
            raise errors.SlowDown(f"{self.uri}: too many requests to the remote are waiting") from None

    async def _once(self, request: Request) -> Answer:
        if self._is_closed:
            raise errors.RemoteUnavailable(f"{self.uri}: the connection was closed")
        await self._place()
        stream: Stream | None = None
        self.meter.request(request.method)
        began = time.monotonic()
        try:
            is_read = request.is_stream and request.method == "GET" and not self._threads.proxy(request.origin)
            source = await (self._connections if is_read else self._threads).ask(request)
            stream, status = Stream(self, source), source.status
            # With a body it is our own upload, and with a long one the remote's own work, that takes the time.
            written = len(request.body) if request.feed is None else request.feed.size
            first_byte = None if written or request.is_long else time.monotonic() - began
            self.meter.answer(status, written, first_byte)
            if request.is_stream and status < 300:
                return Answer(status, source.headers, stream=stream)
            limit = MAX_DOCUMENT if status < 300 else MAX_REFUSAL
            body = await stream.whole(limit, must_fit=status < 300)
        except BaseException as error:
            if isinstance(error, LostError):
                self.meter.fail("lost" if error.is_sent else "unreachable")
            if stream is None:
                self._places.release()
            else:
                await stream.close()
            raise
        await stream.close()
        return Answer(status, source.headers, body)


class Stream:
    """The body of an answer. It holds a place until it is closed."""

    def __init__(self, wire: Wire, source: Source) -> None:
        self._wire = wire
        self._source = source
        self._is_open = True

    @property
    def is_over(self) -> bool:
        """As ``Source``."""
        return self._source.is_over

    async def read(self, watch: Callable[[bytes], None] | None = None) -> bytes:
        """As ``Source``, but raises ``RemoteUnavailable``."""
        try:
            piece = await self._source.read(watch)
        except LostError as lost:
            self._wire.meter.fail("lost")
            raise errors.RemoteUnavailable(f"{self._wire.uri}: {lost}") from None
        self._wire.meter.arrive(len(piece))
        return piece

    async def whole(self, limit: int, *, must_fit: bool) -> bytes:
        """All of it, up to a limit. Raises ``LostError``."""
        document = await self._source.whole(limit)
        if must_fit and len(document) == limit:
            raise errors.RemoteDamaged(f"{self._wire.uri}: the remote's answer is longer than {limit} bytes")
        self._wire.meter.arrive(len(document))
        return document

    async def close(self) -> None:
        """Gives the place back."""
        if self._is_open:
            self._is_open = False
            self._wire._places.release()  # noqa: SLF001 - one machine in two classes
            self._source.close()
