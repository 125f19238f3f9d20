"""Bytes from a socket to ASGI: uvicorn's protocol, with bounds on what a client can make it hold or wait for.

uvicorn parses with llhttp, which refuses most malformed framing by itself. What it leaves open is closed here, where
bytes arrive: a header section or trailer without end, a connection that begins a request or a body and then falls
silent, trailer fields that would be taken for headers, and an error answer inside another request's answer. What can be
judged from a complete request is judged in ``guard``.

It extends uvicorn's class because that is the place uvicorn offers for it: ``Config(http=Protocol)``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tidegate import errors
from tidegate.asgi import IS_OVERSIZED, TARGET
from tidegate.s3.faults import document
from tidegate.server.cork import Cork
from tidegate.server.cycle import Cycle
from tidegate.server.refusal import CONTENT_TYPE
from tidegate.telemetry.failures import new_request_id

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# S3 allows 8 KiB of headers. A presigned request line can be as long again: a percent-encoded key and a session token.
MAX_HEADER_SECTION = 16 * 1024
# A client that is silent this long (and at most twice this) within a request is gone. S3 gives up after some 20 s.
STALL_SECONDS = 30.0
# A connection without a request is kept this long at least, for clients that pool them, and until the next check for
# stalls. Longer than a load balancer's 60 s, so that it closes first.
KEEP_ALIVE_SECONDS = 75.0


class Protocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = Cork(transport, self.loop)  # type: ignore[assignment]
        self._unproductive = 0  # bytes since the last header section was complete or the last piece of a body came
        self._is_heard = True  # since the last check
        self._idle_checks = 0  # one after the other that found nothing asked and nothing to answer
        self._seen: object = _NEVER
        self._check_handle = self.loop.call_later(STALL_SECONDS, self._check_for_stall)

    def connection_lost(self, exc: Exception | None) -> None:
        self._check_handle.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._is_heard = True
        self._unproductive += len(data)
        super().data_received(data)
        if self._unproductive > MAX_HEADER_SECTION and not self.transport.is_closing():
            self._refuse(errors.RequestHeaderSectionTooLarge())

    def on_headers_complete(self) -> None:
        if self._unproductive > MAX_HEADER_SECTION:  # perhaps only because a body came along with it
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            self.scope[IS_OVERSIZED] = size > MAX_HEADER_SECTION  # type: ignore[literal-required]
        self._unproductive = 0
        self.scope[TARGET] = self.url  # type: ignore[literal-required]
        self._begin()
        self.headers = []  # what comes after the body is no header: it goes where nobody looks

    def _begin(self) -> None:
        """Begins what uvicorn's ``on_headers_complete`` does, with a cycle of our own."""
        scope, version = self.scope, self.parser.get_http_version()
        scope["method"] = self.parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        path, query = _split(self.url)
        shown = path.decode("ascii")
        scope["path"] = unquote(shown) if "%" in shown else shown
        scope["raw_path"] = path
        scope["query_string"] = query
        before = self.cycle
        self.cycle = Cycle(
            scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """As uvicorn's, but without a timer for each request: whether a connection is idle for too long is seen where
        it is looked for stalls.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start(*self.pipeline.pop())

    def on_body(self, body: bytes) -> None:
        self._unproductive = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        del msg
        self._refuse(errors.BadRequest())

    def _refuse(self, error: errors.Error) -> None:
        """Answers a request that could not be read and closes, but never in the middle of another request's answer."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                # What cannot be read comes after a good request, whose answer is still to be given.
                cycle.keep_alive = False
                self.flow.pause_reading()
                return
            if cycle.response_started or self.pipeline:
                self.transport.close()
                return
        request_id = new_request_id()
        body = document(error, request_id)
        head = [STATUS_LINE[error.status]]
        for name, value in self.server_state.default_headers:
            head += [name, b": ", value, b"\r\n"]
        head += [
            b"content-type: ",
            CONTENT_TYPE,
            b"\r\ncontent-length: ",
            b"%d" % len(body),
            b"\r\nx-amz-request-id: ",
            request_id.encode(),
            b"\r\nconnection: close\r\n\r\n",
        ]
        self.transport.write(b"".join([*head, body]))
        self.transport.close()

    def _check_for_stall(self) -> None:
        self._check_handle = self.loop.call_later(STALL_SECONDS, self._check_for_stall)
        is_heard, self._is_heard = self._is_heard, False
        last_seen, self._seen = self._seen, self.scope
        cycle = self.cycle
        is_idle = not is_heard and cycle is not None and cycle.scope is self.scope and cycle.response_complete
        self._idle_checks = self._idle_checks + 1 if is_idle else 0
        if cycle is None or cycle.scope is not self.scope:
            # Within a header section, or before the first: however it trickles, it has to end.
            if self.scope is last_seen:
                self.transport.close()
        elif cycle.more_body and not (is_heard or self.flow.read_paused or cycle.waiting_for_100_continue):
            if cycle.response_complete:
                self.transport.close()
            else:
                self._refuse(errors.RequestTimeout())
        elif (self._idle_checks - 1) * STALL_SECONDS >= KEEP_ALIVE_SECONDS:
            self.transport.close()


def _split(target: bytes) -> tuple[bytes, bytes]:
    """The path and query of a request target. Raises ``httptools.HttpParserInvalidURLError``."""
    if target[:1] == b"/":
        path, _, query = target.partition(b"?")
        return path, query
    url = httptools.parse_url(target)
    return url.path, url.query or b""


_NEVER = object()
