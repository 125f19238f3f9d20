"""HTTP to a remote: requests, their answers, retries, time-outs and limits. It knows no provider.

urllib3 speaks HTTP, in threads: at most ``CONCURRENT`` requests of an upstream are under way, each in a thread while
something is sent or awaited, in none while our reader is busy. Request bodies are in memory (an object, or a part of
one, of some MiB) or a ``Feed``, so that any of them can be sent again.

Redirects are never followed here: a request is signed for one host, and goes to that host or nowhere. URLs may have
signatures in them, so no error of ours shows one, nor what urllib3 says of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import msgspec
import urllib3
from urllib3 import exceptions

from tidegate import errors
from tidegate.model import EMPTY
from tidegate.telemetry.remotes import meter_of
from tidegate.upstream.ending import GivenUpError, Waits
from tidegate.upstream.feed import Feed, Feeding
from tidegate.upstream.sockets import Sockets

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Requests under way at once, to one bucket and from one process. SDKs use 10 to 50; each may hold a thread.
CONCURRENT: Final = 64
# Pieces of bodies: large enough that a thread's turn costs nothing beside it.
PIECE: Final = 256 * 1024
# A reader waits this long for a piece to fill up after its first byte came.
FILL_SECONDS: Final = 0.005
# What may be watched on the event loop: a thread's turn costs more than a checksum of so little.
_LITTLE: Final = 16 * 1024
# Answers that are documents: a page of 5,000 names of 1 KiB, twice escaped, is 20 MiB.
MAX_DOCUMENT: Final = 32 * 1024 * 1024
MAX_REFUSAL: Final = 64 * 1024
# What a request block is given to the socket in; urllib3's 16 KiB costs a third of the speed of a large upload.
_BLOCK: Final = 1024 * 1024

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


# An answer, and what has come of its body.
_Begun: TypeAlias = tuple[urllib3.BaseHTTPResponse, bytes]

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
        self._environment = environment
        self._places = asyncio.Semaphore(CONCURRENT)
        self._threads = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="upstream")
        self._managers: dict[str, urllib3.PoolManager] = {}
        self._sockets = Sockets()
        self._waits = Waits()

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
                if is_last or self._waits.is_given_up or (lost.is_sent and not request.repeats):
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
        for manager in self._managers.values():
            manager.clear()
        self._sockets.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _once(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self.patience.place):
                await self._places.acquire()
        except TimeoutError:
            self.meter.fail("no-place")
            raise errors.SlowDown(f"{self.uri}: too many requests to the remote are waiting") from None
        stream: Stream | None = None
        self.meter.request(request.method)
        began = time.monotonic()
        try:
            response, first = await self._exchange(request)
            stream = Stream(self, response, first)
            status = response.status
            # With a body it is our own upload, and with a long one the remote's own work, that takes the time.
            written = len(request.body) if request.feed is None else request.feed.size
            first_byte = None if written or request.is_long else time.monotonic() - began
            self.meter.answer(status, written, first_byte)
            headers = {name.lower(): value for name, value in response.headers.itermerged()}
            if request.is_stream and status < 300:
                return Answer(status, headers, stream=stream)
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
        return Answer(status, headers, body)

    async def _exchange(self, request: Request) -> _Begun:
        """Sends a request and reads its answer's head, and the first bytes of a stream: they mostly come with it."""
        if request.feed is None:
            is_patient = bool(request.body) or request.is_long
            return await self._run(lambda: self._begin(request), _discard_begun, is_patient=is_patient)
        feeding = Feeding(request.feed)
        try:
            return await self._run(lambda: self._begin(request, feeding), _discard_begun, is_patient=True)
        finally:
            await feeding.close()

    def _begin(self, request: Request, feeding: Feeding | None = None) -> _Begun:
        """As ``_exchange``, in a thread."""
        response = self._open(request, feeding)
        if not request.is_stream or response.status >= 300:
            return response, b""
        try:
            return response, _fill(response, 0.0, None)
        except BaseException:
            _discard(response)
            raise

    def _open(self, request: Request, feeding: Feeding | None = None) -> urllib3.BaseHTTPResponse:
        """Sends a request and reads its answer's head."""
        waits = self.patience.long if request.is_long else self.patience.read
        address = request.origin
        headers = {"host": address.authority, "accept-encoding": "identity", "user-agent": "tidegate"}
        if request.feed is not None:
            headers["content-length"] = str(request.feed.size)
        pool = self._manager(address).connection_from_host(address.host, address.port, address.scheme)
        try:
            return pool.urlopen(
                request.method,
                request.target,
                body=feeding or request.body or None,  # type: ignore[arg-type] # any buffer will do, and any iterable
                headers=headers | dict(request.headers),
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=self.patience.connect, read=waits),
                preload_content=False,
                decode_content=False,
            )
        except (exceptions.HTTPError, OSError) as error:
            raise _as_lost(error) from None

    def _manager(self, address: Origin) -> urllib3.PoolManager:
        """The connections to use, through the environment's proxy where it names one for HTTPS."""
        proxy = ""
        if address.scheme == "https":
            variables = {name.lower(): value for name, value in self._environment.items()}
            proxy = variables.get("https_proxy", "")
            if proxy and proxy_bypass_environment(address.authority, {"no": variables.get("no_proxy", "")}):
                proxy = ""
        manager = self._managers.get(proxy)
        if manager is None:
            bundle = self._environment.get("AWS_CA_BUNDLE") or None
            if proxy:
                manager = urllib3.proxy_from_url(proxy, maxsize=CONCURRENT, blocksize=_BLOCK, ca_certs=bundle)
            else:
                manager = urllib3.PoolManager(maxsize=CONCURRENT, blocksize=_BLOCK, ca_certs=bundle)
            manager.pool_classes_by_scheme = self._sockets.pools()
            manager = self._managers.setdefault(proxy, manager)
        return manager

    async def _run(self, function: Callable[[], T], abandon: Callable[[T], None], *, is_patient: bool = False) -> T:
        """What a function returns in a thread; if nobody waits for it any longer, it is given to ``abandon``.

        ``is_patient`` is as for ``Waits``. Raises ``LostError`` where the server ends before.
        """
        if self._waits.is_given_up:
            raise errors.RemoteUnavailable(f"{self.uri}: the server is ending")
        try:
            future = self._threads.submit(function)
        except RuntimeError:
            raise errors.RemoteUnavailable(f"{self.uri}: the connection was closed") from None
        try:
            return await self._waits.wait(asyncio.wrap_future(future), is_patient=is_patient)
        except (asyncio.CancelledError, GivenUpError) as error:

            def clean(done: Future[T]) -> None:
                if not done.cancelled() and done.exception() is None:
                    abandon(done.result())

            future.add_done_callback(clean)
            if isinstance(error, GivenUpError):
                raise LostError("the remote is silent, and the server is ending") from None
            raise


class Stream:
    """The body of an answer. It holds a place until it is closed."""

    def __init__(self, wire: Wire, response: urllib3.BaseHTTPResponse, first: bytes) -> None:
        self._wire = wire
        self._response = response
        self._is_open = True
        self._first = first  # what has come of the body, and was not asked for yet

    @property
    def is_over(self) -> bool:
        """Whether all that was announced has been read: then nothing else can come."""
        return not self._first and getattr(self._response, "length_remaining", None) == 0

    async def read(self, watch: Callable[[bytes], None] | None = None) -> bytes:
        """The next piece, empty at the end. ``watch`` sees it first, in the thread that reads.

        Raises ``RemoteUnavailable`` where the body breaks off or stalls; the end may be an early one if it did so
        before, which is for the caller to know.
        """
        response, first = self._response, self._first
        self._first = b""

        def read() -> bytes:
            if not first:
                return _fill(response, FILL_SECONDS, watch)
            if watch is not None:
                watch(first)
            return first

        try:
            is_here = first and (watch is None or len(first) <= _LITTLE)
            piece = read() if is_here else await self._run(read)
            self._wire.meter.arrive(len(piece))
        except LostError as lost:
            self._wire.meter.fail("lost")
            raise errors.RemoteUnavailable(f"{self._wire.uri}: {lost}") from None
        return piece

    async def whole(self, limit: int, *, must_fit: bool) -> bytes:
        """All of it, up to a limit. Raises ``LostError``."""
        response = self._response

        def run() -> bytes:
            pieces, room = [], limit
            while room and (piece := _fill(response, FILL_SECONDS, None, room, is_strict=True)):
                pieces.append(piece)
                room -= len(piece)
            if not room and must_fit:
                raise errors.RemoteDamaged(f"{self._wire.uri}: the remote's answer is longer than {limit} bytes")
            return b"".join(pieces)

        document = await self._run(run)
        self._wire.meter.arrive(len(document))
        return document

    async def _run(self, function: Callable[[], bytes]) -> bytes:
        """What a thread reads."""
        try:
            return await self._wire._run(function, _ignore)  # noqa: SLF001 - one machine in two classes
        except (LostError, asyncio.CancelledError):
            # Wakes the thread, which may be waiting for bytes, and holds what it takes to close the answer.
            with suppress(ValueError, RuntimeError, OSError):
                self._response.shutdown()
            raise

    async def close(self) -> None:
        """Gives the place back. A connection whose body was read to its end serves the next request."""
        if not self._is_open:
            return
        self._is_open = False
        self._wire._places.release()  # noqa: SLF001 - one machine in two classes
        # A body that has ended has given its connection back; then this closes nothing.
        _discard(self._response)


class LostError(Exception):
    """A request has no answer, or not all of it. ``is_sent``: the remote may have seen the request."""

    def __init__(self, cause: str, *, is_sent: bool = True) -> None:
        super().__init__(cause)
        self.is_sent = is_sent


def _as_lost(error: Exception) -> LostError:
    """What people are told of an error of urllib3's, which may have a URL in it."""
    match error:
        case exceptions.NameResolutionError():
            return LostError("the remote's host name is not known", is_sent=False)
        case exceptions.NewConnectionError():  # is a time-out too, by its class
            return LostError("the remote refused the connection", is_sent=False)
        case exceptions.ConnectTimeoutError():
            return LostError("the remote did not accept a connection in time", is_sent=False)
        case exceptions.ProxyError():
            return LostError("the proxy in front of the remote does not answer", is_sent=False)
        case exceptions.SSLError():
            return LostError("the remote's certificate is not good, or it speaks no TLS", is_sent=False)
        case exceptions.ReadTimeoutError() | TimeoutError():
            return LostError("the remote stopped answering")
        case _:
            return LostError("the remote broke off the connection")


def _fill(
    response: urllib3.BaseHTTPResponse,
    patience: float,
    watch: Callable[[bytes], None] | None,
    room: int = PIECE,
    *,
    is_strict: bool = False,
) -> bytes:
    """Up to a piece of a body: what comes within ``patience`` seconds after the first byte. Runs in a thread.

    Raises ``LostError`` where the body breaks off: if it is not ``is_strict``, only if nothing came before that.
    """
    pieces: list[bytes] = []
    room = min(room, PIECE)
    end: float | None = None
    try:
        while room and (piece := response.read1(room)):
            pieces.append(piece)
            room -= len(piece)
            end = end or time.monotonic() + patience
            if time.monotonic() >= end:
                break
    except (exceptions.HTTPError, OSError, ValueError) as error:
        if not pieces or is_strict:
            raise _as_lost(error) from None
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if watch is not None:
        watch(data)
    return data


def _discard(response: urllib3.BaseHTTPResponse) -> None:
    response.close()


def _discard_begun(begun: _Begun) -> None:
    begun[0].close()


def _ignore(_: object) -> None:
    """For what needs no cleaning up."""
