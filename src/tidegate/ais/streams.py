"""Answers whose bytes come as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tidegate import errors

T = TypeVar("T")


class Stream(Response):
    """An answer with a stream for its body, which is closed when it ends or the client goes away.

    Where the stream fails, the connection breaks: what was sent so far must not look complete. Without a
    Content-Length in the headers the body goes out in chunks.
    """

    def __init__(self, body: AsyncGenerator[bytes, None], status: int, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__(None, status)
        self.raw_headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
        self._stream = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        async with aclosing(self._stream) as stream:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            watch = asyncio.create_task(until_gone(receive))
            try:
                async for piece in stream:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    if watch.done():
                        return
                await send({"type": "http.response.body", "body": b""})
            finally:
                watch.cancel()


async def begun(stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The stream with its first piece already read: what fails there is an error answer, not a broken connection."""
    try:
        first = await anext(stream)
    except StopAsyncIteration:
        first = b""

    async def rest() -> AsyncGenerator[bytes, None]:
        async with aclosing(stream):
            yield first
            async for piece in stream:
                yield piece

    return rest()


async def until_gone(receive: Receive) -> None:
    """Returns when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work finds out; it is ended where the client does not wait for it. For requests whose body was read.

    Raises ``ClientDisconnected``.
    """
    working = asyncio.create_task(work)
    watch = asyncio.create_task(until_gone(request.receive))
    try:
        await asyncio.wait((working, watch), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise errors.ClientDisconnected
        return working.result()
    finally:
        watch.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))
