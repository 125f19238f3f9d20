"""Answers that are read as streams, over connections on the event loop.

A turn of a thread, and the interpreter's lock that it has to wait for, cost more than all else that a small object
takes. Only GETs go this way, and none through a proxy: ``threads`` has the tunnel for those, and takes what has a body
of ours. httptools reads the answers.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import httptools

from tidegate import errors
from tidegate.upstream import lost
from tidegate.upstream.ending import GivenUpError
from tidegate.upstream.lost import LostError
from tidegate.upstream.threads import FILL_SECONDS, LITTLE, PIECE, Threads, headers_of

if TYPE_CHECKING:
    from tidegate.upstream.wire import Origin, Request

# What is taken in ahead of a reader: the next piece, while one is dealt with.
HELD: Final = 2 * PIECE
# As much as most servers and proxies allow for the lines before a body.
MAX_HEAD: Final = 64 * 1024
_IS_TARGET: Final = re.compile(r"[!-~]+")
_IS_FIELD: Final = re.compile(r"[^\r\n\0]*")


class Connections:
    """Connections of one upstream. ``threads`` are for what takes long with the bytes that come."""

    def __init__(self, environment: Mapping[str, str], threads: Threads) -> None:
        self._authorities = environment.get("AWS_CA_BUNDLE") or None
        self._context: ssl.SSLContext | None = None
        self._threads = threads
        self._resting: dict[Origin, list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._is_closed = False

    async def ask(self, request: Request) -> Reply:
        """Sends a request without a body. Returns when the head of its answer is here. Raises ``LostError``."""
        told = _told(request)
        connection = self._rested(request.origin) or await self._connect(request.origin)
        try:
            connection.begin(told)
            await self.wait(connection.until_headed())
            if not connection.is_headed:
                raise connection.fault
        except BaseException:
            connection.abort()
            raise
        return Reply(self, connection, request.origin)

    async def wait(self, awaited: Coroutine[None, None, None]) -> None:
        """Waits for what a remote sends. Raises ``LostError`` where it is silent for too long."""
        try:
            await self._threads.waits.wait(awaited, seconds=self._threads.patience.read)
        except TimeoutError:
            raise LostError(lost.STOPPED) from None
        except GivenUpError:
            raise LostError(lost.GIVEN_UP) from None

    async def watch(self, piece: bytes, watch: Callable[[bytes], None]) -> None:
        """Has a piece seen, in a thread where it is long."""
        if len(piece) <= LITTLE:
            watch(piece)
        else:
            await self._threads.run(lambda: watch(piece))

    def rest(self, origin: Origin, connection: _Connection) -> None:
        """Keeps a connection for the next request."""
        self._resting.setdefault(origin, []).append(connection)

    def close(self) -> None:
        """Ends all connections, and what is under way on them."""
        self._is_closed = True
        for connection in list(self._open):
            connection.abort()

    def _rested(self, origin: Origin) -> _Connection | None:
        """The connection that was used last, if the remote has not closed it."""
        resting = self._resting.get(origin)
        while resting:
            connection = resting.pop()
            if not connection.is_gone:
                return connection
        return None

    async def _connect(self, origin: Origin) -> _Connection:
        if self._threads.waits.is_given_up:
            raise LostError(lost.GIVEN_UP)
        context = await self._trusted() if origin.scheme == "https" else None
        try:
            async with asyncio.timeout(self._threads.patience.connect):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._open), origin.host, origin.listening_port, ssl=context
                )
        except TimeoutError:
            raise LostError(lost.NOT_ACCEPTED, is_sent=False) from None
        except (socket.gaierror, UnicodeError):
            raise LostError(lost.UNKNOWN_HOST, is_sent=False) from None
        except ssl.SSLError:
            raise LostError(lost.BAD_CERTIFICATE, is_sent=False) from None
        except OSError:
            raise LostError(lost.REFUSED, is_sent=False) from None
        if self._is_closed:
            connection.abort()
        return connection

    async def _trusted(self) -> ssl.SSLContext:
        """Whose certificates are good: those of the system's authorities, or of the environment's. Reads files."""
        if self._context is None:
            try:
                self._context = await self._threads.run(lambda: ssl.create_default_context(cafile=self._authorities))
            except OSError:
                raise LostError(lost.BAD_CERTIFICATE, is_sent=False) from None
        return self._context


class Reply:
    """Implements ``threads.Source``: an answer whose head is here."""

    def __init__(self, connections: Connections, connection: _Connection, origin: Origin) -> None:
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers
        self._connections = connections
        self._connection: _Connection | None = connection
        self._origin = origin
        self._is_begun = False

    @property
    def is_over(self) -> bool:
        connection = self._connection
        return connection is not None and connection.is_over and not connection.held

    async def read(self, watch: Callable[[bytes], None] | None = None) -> bytes:
        piece = await self._next(PIECE)
        if watch is not None and piece:
            await self._connections.watch(piece, watch)
        return piece

    async def whole(self, limit: int) -> bytes:
        pieces, room = [], limit
        while room and (piece := await self._next(min(room, PIECE))):
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.is_over and connection.lasts and not connection.is_gone:
            self._connections.rest(self._origin, connection)
        else:
            connection.abort()

    async def _next(self, room: int) -> bytes:
        """What has come, after a little while for more but at the beginning."""
        connection = self._connection
        if connection is None:
            raise LostError(lost.BROKEN_OFF)
        if not connection.has(1):
            try:
                await self._connections.wait(connection.until_has(1))
            except LostError:
                connection.abort()
                raise
        if self._is_begun and not connection.has(room):
            with suppress(TimeoutError):
                async with asyncio.timeout(FILL_SECONDS):
                    await connection.until_has(room)
        self._is_begun = True
        if not connection.held and not connection.is_over:
            raise connection.fault
        return connection.take(room)


class _Connection(asyncio.Protocol):
    """A connection, with one answer after the other. httptools calls what begins with ``on_``."""

    def __init__(self, opened: set[_Connection]) -> None:
        self.fault = LostError(lost.BROKEN_OFF)
        self.is_gone = False
        self._opened = opened
        self._transport: asyncio.Transport
        self._changed: asyncio.Future[None] | None = None
        self._clear()

    def _clear(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_headed = self.is_over = self.lasts = False
        self.held = 0
        self._pieces: deque[bytes] = deque()
        self._read = 0
        self._is_paused = False
        self._parser: httptools.HttpResponseParser | None = None

    # --- its user ----------------------------------------------------------------------------------------------------

    def begin(self, request: bytes) -> None:
        """Sends a request. The answer to the one before has been read."""
        self._clear()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)

    async def until_headed(self) -> None:
        """Returns when the answer's head is here, or the connection is gone."""
        while not (self.is_headed or self.is_gone):
            await self._change()

    async def until_has(self, size: int) -> None:
        """Returns when so many bytes of the body are here, or no more will come."""
        while not self.has(size):
            await self._change()

    def has(self, size: int) -> bool:
        """Whether so many bytes of the body are here, or no more will come."""
        return self.held >= size or self.is_over or self.is_gone

    def take(self, room: int) -> bytes:
        """Bytes that are here, at most so many."""
        pieces = []
        while room and self._pieces:
            piece = self._pieces.popleft()
            if len(piece) > room:
                self._pieces.appendleft(piece[room:])
                piece = piece[:room]
            pieces.append(piece)
            room -= len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.held -= len(data)
        if self._is_paused and self.held < HELD:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    def abort(self) -> None:
        """Ends the connection."""
        self._transport.abort()
        self._lose()

    async def _change(self) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed

    # --- the event loop's --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no instance of it
        self._opened.add(self)

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self.is_over:
            self.abort()  # nobody has asked for it
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, httptools.HttpParserCallbackError, ValueError):
            self.fault = LostError("the remote's answer is no HTTP")
            self.abort()
            return
        if not self.is_headed:
            self._read += len(data)
            if self._read > MAX_HEAD:
                self.fault = LostError("the remote's answer has a head without end")
                self.abort()
        if self.held >= HELD and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        ends = self.is_headed and "content-length" not in self.headers and "transfer-encoding" not in self.headers
        self.is_over = self.is_over or (ends and error is None and not self.is_gone)
        self._lose()

    def _lose(self) -> None:
        self.is_gone = True
        self._opened.discard(self)
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # --- the parser's ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.is_over:
            raise ValueError("more than was asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_headed:
            return  # it is behind the body
        known, told = name.decode("latin-1").lower(), value.decode("latin-1").rstrip(" \t")
        self.headers[known] = f"{self.headers[known]}, {told}" if known in self.headers else told

    def on_headers_complete(self) -> None:
        assert self._parser is not None  # noqa: S101 - narrows the type
        self.status = self._parser.get_status_code()
        self.is_headed = self.status >= 200
        if not self.is_headed:  # there is another one to come
            self.headers = {}

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)
        self.held += len(data)

    def on_message_complete(self) -> None:
        assert self._parser is not None  # noqa: S101 - narrows the type
        if self.is_headed:
            self.is_over, self.lasts = True, self._parser.should_keep_alive()


def _told(request: Request) -> bytes:
    """A request as it is sent. Raises ``InvalidArgument`` for what would be another request, or two."""
    target, fields = request.target, headers_of(request)
    if not (_IS_TARGET.fullmatch(target) and all(map(_IS_FIELD.fullmatch, (*fields, *fields.values())))):
        raise errors.InvalidArgument("a name or header has characters in it that cannot be sent to the remote")
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    try:
        return f"{request.method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        raise errors.InvalidArgument("a header that is not Latin-1 cannot be sent to the remote") from None
