"""One request and its answer, as uvicorn has them, but for the head of an answer.

uvicorn checks and collects it header by header; here it is put together and checked as a whole, for a third of the CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from tidegate import errors
from tidegate.asgi import Message
from tidegate.telemetry.failures import is_known

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

    from tidegate.asgi import Headers

_NO_CONTENT = frozenset({204, 304})
# No name has these (RFC 9110 section 5.6.2); no value has control characters, but for the tab (section 5.5).
_NOT_IN_NAMES = bytes([*range(33), *b'"(),/:;<=>?@[\\]{}', *range(127, 256)])
_CONTROLS = bytes([*range(9), *range(10, 32), 127])


class Cycle(RequestResponseCycle):
    """A request on its way through the application. Names of an answer's headers are in lower case."""

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Runs the application. Where it gives an answer up that it has begun, and has said so in the log, the
        connection breaks without another word.
        """

        async def tell_no_more(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            try:
                await app(scope, receive, send)
            except errors.Error as error:
                if not (self.response_started and is_known(error)):
                    raise
                self.disconnected = True  # there is nothing left to complete
                self.transport.close()

        await super().run_asgi(tell_no_more)

    async def send(self, message: Message) -> None:  # type: ignore[override]
        if self.response_started or message["type"] != "http.response.start":
            await super().send(message)  # type: ignore[arg-type]
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started = True
        self.waiting_for_100_continue = False
        headers = [*self.default_headers, *message.get("headers", ())]
        self.transport.write(self._head(message["status"], headers))

    def _head(self, status: int, headers: Headers) -> bytes:
        """The head of the answer. Decides by it how the body is framed and whether the connection is kept."""
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
        lines = b"\r\n".join([name + b": " + value for name, value in headers])
        line_ends = 2 * (len(headers) - 1)
        if (
            len(names.translate(None, _NOT_IN_NAMES)) != len(names)
            or len(lines.translate(None, _CONTROLS)) != len(lines) - line_ends
        ):
            raise RuntimeError("a header of an answer has characters in it that no header can have")
        return STATUS_LINE[status] + lines + b"\r\n\r\n"
