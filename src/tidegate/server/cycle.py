"""One request and its answer, as uvicorn has them, but for the head of an answer, and answers that are one message.

uvicorn checks and collects the head header by header; here it is put together and checked as a whole, for a third of
the CPU.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from tidegate import errors
from tidegate.asgi import ANSWER, Message
from tidegate.telemetry.failures import is_known

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

    from tidegate.asgi import Headers

_NO_CONTENT = frozenset({204, 304})
# No name has these (RFC 9110 section 5.6.2); no value has control characters, but for the tab (section 5.5).
_NOT_IN_NAMES = bytes([*range(33), *b'"(),/:;<=>?@[\\]{}', *range(127, 256)])
_AS_A_NAME = bytes.maketrans(_NOT_IN_NAMES, b"-" * len(_NOT_IN_NAMES))
_CONTROLS = bytes([*range(9), *range(10, 32), 127])


class Cycle(RequestResponseCycle):
    """A request on its way through the application. Names of an answer's headers are in lower case."""

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Runs the application. Where it gives an answer up that it has begun, and has said so in the log, the
        connection breaks without another word; also where the server ends and cannot wait any longer, as nobody knows
        then what has become of the request. What else goes wrong is uvicorn's to tell.
        """
        try:
            await app(self.scope, self.receive, self.send)  # type: ignore[arg-type]
        except asyncio.CancelledError:
            self.disconnected = True
            self.transport.close()
            raise
        except BaseException as error:  # noqa: BLE001 - told or passed on
            if isinstance(error, errors.Error) and self.response_started and is_known(error):
                self.disconnected = True  # there is nothing left to complete
                self.transport.close()
            else:
                await super().run_asgi(_ending_with(error))
        else:
            if not (self.response_complete or self.disconnected):
                await super().run_asgi(_ending_with(None))
        finally:
            self.on_response = _nobody

    async def send(self, message: Message) -> None:  # type: ignore[override]
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == ANSWER and not self.response_started:
            self._answer(message)
        elif message["type"] == "http.response.start" and not self.response_started:
            self.transport.write(self._head(message))
        else:
            await super().send(message)  # type: ignore[arg-type]

    def _answer(self, message: Message) -> None:
        """Sends an answer that is all there."""
        head, body = self._head(message), message["body"]
        if self.scope["method"] == "HEAD":
            body = b""
        elif self.chunked_encoding or len(body) != self.expected_content_length:
            raise RuntimeError("the body of an answer has another length than its head says")
        self.transport.write(head)
        self.transport.write(body)
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _head(self, message: Message) -> bytes:
        """The head of the answer. Decides by it how the body is framed and whether the connection is kept."""
        self.response_started = True
        self.waiting_for_100_continue = False
        status: int = message["status"]
        headers: Headers = [*self.default_headers, *message.get("headers", ())]
        table = dict(headers)
        length = table.get(b"content-length")
        if length is not None:
            self.chunked_encoding = False
            self.expected_content_length = int(length)
        elif self.scope["method"] != "HEAD" and status not in _NO_CONTENT:
            self.chunked_encoding = True
            headers.append((b"transfer-encoding", b"chunked"))
        connection = table.get(b"connection")
        if connection is not None and b"close" in connection.lower():
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append((b"connection", b"close"))
        names = b"".join(table)
        lines = b"\r\n".join(map(b": ".join, headers))
        line_ends = 2 * (len(headers) - 1)
        if names.translate(_AS_A_NAME) != names or len(lines.translate(None, _CONTROLS)) != len(lines) - line_ends:
            raise RuntimeError("a header of an answer has characters in it that no header can have")
        return STATUS_LINE[status] + lines + b"\r\n\r\n"


def _ending_with(error: BaseException | None) -> ASGI3Application:
    """An application that ends so."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        del scope, receive, send
        if error is not None:
            raise error

    return app


def _nobody() -> None:
    """Is told of an answer that nobody waits for."""
