"""HTTP by urllib3, in threads: what has a body of ours, or a document for an answer, and all that has to pass a proxy.

A thread is taken while something is sent or awaited, none while our reader is busy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import urllib3
from urllib3 import exceptions

from tidegate import errors
from tidegate.upstream import lost
from tidegate.upstream.ending import GivenUpError, Waits
from tidegate.upstream.feed import Feeding
from tidegate.upstream.lost import LostError
from tidegate.upstream.sockets import Sockets

if TYPE_CHECKING:
    from tidegate.upstream.wire import Origin, Patience, Request

T = TypeVar("T")

# Pieces of bodies: large enough that a thread's turn costs nothing beside it.
PIECE: Final = 256 * 1024
# A reader waits this long for a piece to fill up after its first byte came.
FILL_SECONDS: Final = 0.005
# What may be watched on the event loop: a thread's turn costs more than a checksum of so little.
LITTLE: Final = 16 * 1024
# What a request block is given to the socket in; urllib3's 16 KiB costs a third of the speed of a large upload.
_BLOCK: Final = 1024 * 1024

# An answer, and what has come of its body.
_Begun: TypeAlias = tuple[urllib3.BaseHTTPResponse, bytes]


class Source(Protocol):
    """An answer whose head is here; header names are lower-case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def is_over(self) -> bool:
        """Whether all that was announced has been read: then nothing else can come."""

    async def read(self, watch: Callable[[bytes], None] | None = None) -> bytes:
        """The next piece, empty at the end. ``watch`` sees it first, in a thread where it is long.

        Raises ``LostError`` where the body breaks off or stalls; the end may be an early one if it did so before.
        """

    async def whole(self, limit: int) -> bytes:
        """All of it, up to a limit. Raises ``LostError``."""

    def close(self) -> None:
        """A connection whose body was read to its end serves the next request; any other is ended."""


def headers_of(request: Request) -> Mapping[str, str]:
    """The headers of a request, as they are sent."""
    own = {"host": request.origin.authority, "accept-encoding": "identity", "user-agent": "tidegate"}
    if request.feed is not None:
        own["content-length"] = str(request.feed.size)
    return {**own, **request.headers}


class Threads:
    """``count`` threads of one upstream, and their connections. ``uri`` names it in errors."""

    def __init__(self, uri: str, environment: Mapping[str, str], patience: Patience, count: int) -> None:
        self.patience = patience
        self.waits = Waits()
        self._uri = uri
        self._environment = environment
        self._count = count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="upstream")
        self._managers: dict[str, urllib3.PoolManager] = {}
        self._proxies: dict[Origin, str] = {}
        self._sockets = Sockets()

    async def ask(self, request: Request) -> Source:
        """Sends a request and reads its answer's head, and the first bytes of a stream: they mostly come with it.

        Raises ``LostError``.
        """
        if request.feed is None:
            is_patient = bool(request.body) or request.is_long
            return _Reply(self, *await self.run(lambda: self._begin(request), _discard, is_patient=is_patient))
        feeding = Feeding(request.feed)
        try:
            return _Reply(self, *await self.run(lambda: self._begin(request, feeding), _discard, is_patient=True))
        finally:
            await feeding.close()

    def proxy(self, address: Origin) -> str:
        """The environment's proxy for a place, if any: only HTTPS goes through one."""
        if address.scheme != "https":
            return ""
        known = self._proxies.get(address)
        if known is None:
            variables = {name.lower(): value for name, value in self._environment.items()}
            known = variables.get("https_proxy", "")
            if known and proxy_bypass_environment(address.authority, {"no": variables.get("no_proxy", "")}):
                known = ""
            self._proxies[address] = known
        return known

    def close(self) -> None:
        """Ends all connections, and what is under way on them. One that is being made ends when it is."""
        for manager in self._managers.values():
            manager.clear()
        self._sockets.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, request: Request, feeding: Feeding | None = None) -> _Begun:
        """As ``ask``, in a thread."""
        response = self._open(request, feeding)
        if not request.is_stream or response.status >= 300:
            return response, b""
        try:
            return response, _fill(response, 0.0, None)
        except BaseException:
            response.close()
            raise

    def _open(self, request: Request, feeding: Feeding | None = None) -> urllib3.BaseHTTPResponse:
        """Sends a request and reads its answer's head."""
        waits = self.patience.long if request.is_long else self.patience.read
        address = request.origin
        pool = self._manager(address).connection_from_host(address.host, address.port, address.scheme)
        try:
            return pool.urlopen(
                request.method,
                request.target,
                body=feeding or request.body or None,  # type: ignore[arg-type] # any buffer will do, and any iterable
                headers=headers_of(request),
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
        proxy = self.proxy(address)
        manager = self._managers.get(proxy)
        if manager is None:
            bundle = self._environment.get("AWS_CA_BUNDLE") or None
            if proxy:
                manager = urllib3.proxy_from_url(proxy, maxsize=self._count, blocksize=_BLOCK, ca_certs=bundle)
            else:
                manager = urllib3.PoolManager(maxsize=self._count, blocksize=_BLOCK, ca_certs=bundle)
            manager.pool_classes_by_scheme = self._sockets.pools()
            manager = self._managers.setdefault(proxy, manager)
        return manager

    async def run(
        self, function: Callable[[], T], abandon: Callable[[T], None] | None = None, *, is_patient: bool = False
    ) -> T:
        """What a function returns in a thread; if nobody waits for it any longer, it is given to ``abandon``.

        ``is_patient`` is as for ``Waits``. Raises ``LostError`` where the server ends before.
        """
        if self.waits.is_given_up:
            raise errors.RemoteUnavailable(f"{self._uri}: the server is ending")
        loop = asyncio.get_running_loop()
        awaited: asyncio.Future[T] = loop.create_future()

        def deliver(done: Future[T]) -> None:
            error = None if done.cancelled() else done.exception()
            if awaited.done():
                if error is None and not done.cancelled() and abandon is not None:
                    abandon(done.result())
            elif done.cancelled():
                awaited.cancel()
            elif error is not None:
                awaited.set_exception(error)
            else:
                awaited.set_result(done.result())

        def hand_over(done: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody is left to tell
                loop.call_soon_threadsafe(deliver, done)

        try:
            self._threads.submit(function).add_done_callback(hand_over)
        except RuntimeError:
            raise errors.RemoteUnavailable(f"{self._uri}: the connection was closed") from None
        try:
            return await self.waits.wait(awaited, is_patient=is_patient)
        except GivenUpError:
            raise LostError(lost.GIVEN_UP) from None


class _Reply:
    """Implements ``Source``."""

    def __init__(self, threads: Threads, response: urllib3.BaseHTTPResponse, first: bytes) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.itermerged()}
        self._threads = threads
        self._response = response
        self._first = first  # what has come of the body, and was not asked for yet

    @property
    def is_over(self) -> bool:
        return not self._first and getattr(self._response, "length_remaining", None) == 0

    async def read(self, watch: Callable[[bytes], None] | None = None) -> bytes:
        response, first = self._response, self._first
        self._first = b""

        def read() -> bytes:
            if not first:
                return _fill(response, FILL_SECONDS, watch)
            if watch is not None:
                watch(first)
            return first

        is_here = first and (watch is None or len(first) <= LITTLE)
        return read() if is_here else await self._run(read)

    async def whole(self, limit: int) -> bytes:
        response = self._response

        def run() -> bytes:
            pieces, room = [], limit
            while room and (piece := _fill(response, FILL_SECONDS, None, room, is_strict=True)):
                pieces.append(piece)
                room -= len(piece)
            return b"".join(pieces)

        return await self._run(run)

    async def _run(self, function: Callable[[], bytes]) -> bytes:
        """What a thread reads."""
        try:
            return await self._threads.run(function)
        except (LostError, asyncio.CancelledError):
            # Wakes the thread, which may be waiting for bytes, and holds what it takes to close the answer.
            with suppress(ValueError, RuntimeError, OSError):
                self._response.shutdown()
            raise

    def close(self) -> None:
        self._response.close()  # a body that has ended has given its connection back: then this closes nothing


def _as_lost(error: Exception) -> LostError:
    """What people are told of an error of urllib3's, which may have a URL in it."""
    match error:
        case exceptions.NameResolutionError():
            return LostError(lost.UNKNOWN_HOST, is_sent=False)
        case exceptions.NewConnectionError():  # is a time-out too, by its class
            return LostError(lost.REFUSED, is_sent=False)
        case exceptions.ConnectTimeoutError():
            return LostError(lost.NOT_ACCEPTED, is_sent=False)
        case exceptions.ProxyError():
            return LostError(lost.NO_PROXY, is_sent=False)
        case exceptions.SSLError():
            return LostError(lost.BAD_CERTIFICATE, is_sent=False)
        case exceptions.ReadTimeoutError() | TimeoutError():
            return LostError(lost.STOPPED)
        case _:
            return LostError(lost.BROKEN_OFF)


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


def _discard(begun: _Begun) -> None:
    begun[0].close()
