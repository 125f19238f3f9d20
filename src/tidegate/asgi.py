"""ASGI 3: its types, what server and doors tell each other in a request's scope, and answers whose bytes come as they
are read. It knows nothing of what a door speaks.

Where a stream fails the connection breaks: what was sent so far must not look complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any

# Keys and types of their values are ASGI's: https://asgi.readthedocs.io/en/latest/specs/www.html
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What a door writes into the scope before it answers, for the metrics and the access log.
OPERATION = "tidegate.operation"  # from a fixed list, such as Amazon's names
ACCESS_KEY = "tidegate.access_key"
REQUEST_ID = "tidegate.request_id"
ERROR = "tidegate.error"  # the code of the error that was answered

# What the server writes into the scope for the guard and the doors.
TARGET = "tidegate.target"  # the request target as it came
IS_OVERSIZED = "tidegate.is_oversized"  # whether its line and headers are larger than allowed
IS_REPOS = "tidegate.is_repos"  # whether it came in at the port that sees repositories only


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


async def send_stream(
    send: Send, receive: Receive, status: int, headers: Headers, body: AsyncGenerator[bytes, None]
) -> None:
    """Sends an answer with a body as it comes. The body is closed when it ends or the client has gone away."""
    async with aclosing(body):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        watch = asyncio.create_task(until_gone(receive))
        try:
            async for piece in body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                if watch.done():
                    return
            await send({"type": "http.response.body", "body": b""})
        finally:
            watch.cancel()


async def until_gone(receive: Receive) -> None:
    """Returns when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
