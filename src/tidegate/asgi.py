"""ASGI 3: its types, what server and doors tell each other in a request's scope, bodies in pieces, and answers whose
bytes come as they are read. It knows nothing of what a door speaks.

Where a stream fails the connection breaks: what was sent so far must not look complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, MutableMapping
from contextlib import aclosing
from typing import Any, TypeVar

from tidegate import errors

T = TypeVar("T")

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

# A message of ours beside ASGI's: an answer that is all there, with ``status``, ``headers`` (among them its length,
# where it has a body) and ``body``.
ANSWER = "tidegate.answer"


def body_size(headers: Mapping[str, str]) -> int | None:
    """How many bytes a request's body has, by its headers in lower case; None for one that comes in chunks."""
    length = headers.get("content-length")
    if length is None:
        return None if "transfer-encoding" in headers else 0
    return int(length)  # the server has let nothing through but digits


def content_size(headers: Mapping[str, str]) -> int | None:
    """As ``body_size``, where the body is what is to be stored. Raises ``MissingContentLength`` where nothing says that
    there is one: for HTTP it is empty (RFC 9112 section 6.3), for who forgot to say so it is not.
    """
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise errors.MissingContentLength(
            "nothing says how long the body is: send Content-Length (0 for an empty one), or Transfer-Encoding: chunked"
        )
    return body_size(headers)


async def body(receive: Receive, size: int | None) -> AsyncIterator[bytes]:
    """A request's body in pieces; ``size`` as ``body_size`` has it. It never ends early: raises ``ClientDisconnected``,
    ``IncompleteBody``.
    """
    left = size
    if left == 0:
        return
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise errors.ClientDisconnected
        data: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if data:
            if left is not None:
                left -= len(data)
            yield data
    if left:
        raise errors.IncompleteBody


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


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What the work finds out; it is ended where the client does not wait for it. For requests whose body was read.

    Raises ``ClientDisconnected``.
    """
    working = asyncio.create_task(work)
    watch = asyncio.create_task(until_gone(receive))
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
