"""A proxy that does to answers what networks and servers do to them.

It passes each request on as it is, so that signatures hold, and gives the answer back as the next fault in ``plan``
makes it. Without a plan it changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from tests.upstream.serving import served


class Seen(msgspec.Struct, frozen=True):
    """A request that came. Header names are lower-case."""

    method: str
    target: str
    headers: Mapping[str, str]


class Reply(msgspec.Struct, frozen=True):
    """An answer as it goes to the client: ``stalls`` keeps the connection open after it, ``delay`` comes before it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    stalls: bool = False
    delay: float = 0.0


# What becomes of an answer; None for no answer at all.
Fault: TypeAlias = Callable[[Reply], Reply | None]


def status(code: int, body: bytes = b"", **headers: str) -> Fault:
    """Another answer; the request was passed on nevertheless."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(code, {"content-length": str(len(body)), **named}, body)


def cut(after: int) -> Fault:
    """The body breaks off."""
    return lambda reply: msgspec.structs.replace(reply, body=reply.body[:after])


def stall(after: int) -> Fault:
    """The body stops coming, and the connection stays."""
    return lambda reply: msgspec.structs.replace(reply, body=reply.body[:after], stalls=True)


def damage(at: int) -> Fault:
    """One bit of the body is another."""

    def fault(reply: Reply) -> Reply:
        body = bytearray(reply.body)
        body[at] ^= 1
        return msgspec.structs.replace(reply, body=bytes(body))

    return fault


def header(name: str, value: str) -> Fault:
    """One header is another."""
    return lambda reply: msgspec.structs.replace(reply, headers={**reply.headers, name: value})


def lose(_: Reply) -> None:
    """The remote has done its work, and the answer goes lost."""


def slow(seconds: float) -> Fault:
    """The answer takes its time."""
    return lambda reply: msgspec.structs.replace(reply, delay=seconds)


def sound(reply: Reply) -> Reply:
    """Nothing happens."""
    return reply


class Proxy:
    """``url`` is the way through. ``before`` is called with each request before it is passed on; ``instead`` may answer
    it, and then it is not passed on.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = parts.hostname or "", parts.port or 80
        self._path = parts.path
        self.url = ""
        self.plan: list[Fault] = []
        self.always: Fault = sound
        self.seen: list[Seen] = []
        self.under_way = self.most = 0
        self.before: Callable[[Seen], Awaitable[None]] | None = None
        self.instead: Callable[[Seen], Reply | None] = lambda _: None
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request. Its socket is closed when this ends, however it ends."""
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if not self.refuses:
                    await self._answer(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = dict(_pair(line) for line in lines)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(method, target, headers)
        self.seen.append(seen)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.before is not None:
                await self.before(seen)
            reply = self.instead(seen)
            if reply is None:
                fault = self.plan.pop(0) if self.plan else self.always
                reply = fault(await self._ask(raw, body))
            if reply is None:
                return
            await asyncio.sleep(reply.delay)
        finally:
            self.under_way -= 1
        head = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items() if name != "connection")
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{head}connection: close\r\n\r\n".encode("latin-1"))
        if method != "HEAD":
            writer.write(reply.body)
        await writer.drain()
        if reply.stalls:
            await reader.read()  # until the client goes away

    async def _ask(self, raw: bytes, body: bytes) -> Reply:
        """The target's answer, which it ends by closing the connection."""
        reader, writer = await asyncio.open_connection(*self._target)
        try:
            writer.write(raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1) + body)
            await writer.drain()
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
            rest = await reader.read()
        finally:
            writer.transport.abort()
        return Reply(int(first.split(" ")[1]), dict(_pair(line) for line in lines), rest)


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


@asynccontextmanager
async def proxy(target: str) -> AsyncIterator[Proxy]:
    """A proxy in front of a server."""
    between = Proxy(target)
    async with served(between.serve) as port:
        between.url = f"http://127.0.0.1:{port}{urlsplit(target).path}"
        yield between
