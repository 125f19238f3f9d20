"""Answers whose bytes come as they are read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tidegate import asgi
from tidegate.asgi import send_stream

T = TypeVar("T")


class Stream(Response):
    """An answer with a stream for its body. Without a Content-Length in the headers it goes out in chunks."""

    def __init__(self, body: AsyncGenerator[bytes, None], status: int, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__(None, status)
        self.raw_headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
        self._stream = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send_stream(send, receive, self.status_code, self.raw_headers, self._stream)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """As ``asgi.unless_gone``."""
    return await asgi.unless_gone(request.receive, work)
