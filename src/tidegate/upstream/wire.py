"""HTTP to a remote: requests, their answers, retries, time-outs and limits. It knows no provider.

urllib3 speaks HTTP, in threads: at most ``CONCURRENT`` requests of an upstream are under way, each in a thread while
something is sent or awaited, in none while our reader is busy. Request bodies are in memory (an object, or a part of
one, of some MiB), so that any of them can be sent again.

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
from typing import Final, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import msgspec
import urllib3
from urllib3 import exceptions

from tidegate import errors
from tidegate.model import EMPTY

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Requests under way at once, to one bucket and from one process. SDKs use 10 to 50; each may hold a thread.
CONCURRENT: Final = 64
# Pieces of bodies: large enough that a thread's turn costs nothing beside it.
PIECE: Final = 256 * 1024
# A reader waits this long for a piece to fill up after its first byte came.
FILL_SECONDS: Final = 0.005
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

    ``path`` is percent-encoded and sent as it is; ``query`` is not yet encoded; header names are lower-case.
    ``repeats`` says whether it may be sent again where it is not known if the remote has acted on it. ``is_long``
    asks for ``Patience.long``; ``is_stream`` for an answer whose body is read in pieces.
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

    def __repr__(self) -> str:  # headers and query have signatures in them
        return f"Request({self.method!r}, {self.path!r})"

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        query = "&".join(f"{encode(name)}={encode(value)}" for name, value in self.query)
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
    """Connections to a remote. ``uri`` names it in errors; proxies and certificates are the environment's."""

    def __init__(self, uri: str, environment: Mapping[str, str], patience: Patience = PATIENCE) -> None:
        self.uri = uri
        self.patience = patience
        self._environment = environment
        self._places = asyncio.Semaphore(CONCURRENT)
        self._threads = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="upstream")
        self._managers: dict[str, urllib3.PoolManager] = {}

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
                if is_last or (lost.is_sent and not request.repeats):
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
        """Ends all connections that are idle; others end with what is under way on them."""
        for manager in self._managers.values():
            manager.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _once(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self.patience.place):
                await self._places.acquire()
        except TimeoutError:
            raise errors.SlowDown(f"{self.uri}: too many requests to the remote are waiting") from None
        stream: Stream | None = None
        try:
            response = await self._run(lambda: self._open(request), _discard)
            stream = Stream(self, response)
            status = response.status
            headers = {name.lower(): value for name, value in response.headers.itermerged()}
            if request.is_stream and status < 300:
                return Answer(status, headers, stream=stream)
            limit = MAX_DOCUMENT if status < 300 else MAX_REFUSAL
            body = await stream.whole(limit, must_fit=status < 300)
        except BaseException:
            if stream is None:
                self._places.release()
            else:
                await stream.close()
            raise
        await stream.close()
        return Answer(status, headers, body)

    def _open(self, request: Request) -> urllib3.BaseHTTPResponse:
        """Sends a request and reads its answer's head. Runs in a thread."""
        waits = self.patience.long if request.is_long else self.patience.read
        address = request.origin
        headers = {"host": address.authority, "accept-encoding": "identity", "user-agent": "tidegate"}
        pool = self._manager(address).connection_from_host(address.host, address.port, address.scheme)
        try:
            return pool.urlopen(
                request.method,
                request.target,
                body=request.body or None,  # type: ignore[arg-type] # any buffer will do
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
        variables = {name.lower(): value for name, value in self._environment.items()}
        proxy = variables.get("https_proxy", "") if address.scheme == "https" else ""
        if proxy and proxy_bypass_environment(address.authority, {"no": variables.get("no_proxy", "")}):
            proxy = ""
        manager = self._managers.get(proxy)
        if manager is None:
            bundle = self._environment.get("AWS_CA_BUNDLE") or None
            if proxy:
                manager = urllib3.proxy_from_url(proxy, maxsize=CONCURRENT, blocksize=_BLOCK, ca_certs=bundle)
            else:
                manager = urllib3.PoolManager(maxsize=CONCURRENT, blocksize=_BLOCK, ca_certs=bundle)
            manager = self._managers.setdefault(proxy, manager)
        return manager

    async def _run(self, function: Callable[[], T], abandon: Callable[[T], None]) -> T:
        """What a function returns in a thread; if nobody waits for it any longer, it is given to ``abandon``."""
        try:
            future = self._threads.submit(function)
        except RuntimeError:
            raise errors.RemoteUnavailable(f"{self.uri}: the connection was closed") from None
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:

            def clean(done: Future[T]) -> None:
                if not done.cancelled() and done.exception() is None:
                    abandon(done.result())

            future.add_done_callback(clean)
            raise


class Stream:
    """The body of an answer. It holds a place until it is closed."""

    def __init__(self, wire: Wire, response: urllib3.BaseHTTPResponse) -> None:
        self._wire = wire
        self._response = response
        self._is_open = True
        self._has_begun = False

    async def read(self, watch: Callable[[bytes], None] | None = None) -> bytes:
        """The next piece, empty at the end. ``watch`` sees it first, in the thread that reads.

        Raises ``RemoteUnavailable`` where the body breaks off or stalls; the end may be an early one if it did so
        before, which is for the caller to know.
        """
        response, patience = self._response, FILL_SECONDS if self._has_begun else 0.0
        self._has_begun = True
        try:
            return await self._wire._run(lambda: _fill(response, patience, watch), _ignore)  # noqa: SLF001 - one machine
        except LostError as lost:
            raise errors.RemoteUnavailable(f"{self._wire.uri}: {lost}") from None
        except asyncio.CancelledError:
            # Wakes the thread, which may be waiting for bytes.
            with suppress(ValueError, RuntimeError, OSError):
                response.shutdown()
            raise

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

        return await self._wire._run(run, _ignore)  # noqa: SLF001 - one machine in two classes

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


def _ignore(_: object) -> None:
    """For what needs no cleaning up."""
