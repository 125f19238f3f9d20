"""Rooms to stand in for the real ones, where a test wants a door to behave as no real door would.

Objects are files in the data folder, so that workers share them. The first word of a path says what the door does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tidegate import asgi
from tidegate.server.front import House

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tidegate.settings import Settings


class Door:
    def __init__(self, data: Path) -> None:
        self.data = data

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        word = scope["raw_path"].split(b"/")[1].decode()
        scope[asgi.OPERATION] = word.capitalize()
        scope[asgi.ACCESS_KEY] = "AKIATEST"
        scope[asgi.REQUEST_ID] = "REQUEST1"
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        await getattr(self, word, self.missing)(scope, receive, send, query)

    async def missing(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, query: Any) -> None:
        scope[asgi.ERROR] = "NoSuchKey"
        await answer(send, 404, b"missing")

    async def describe(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, query: Any) -> None:
        """What a door sees of a request, after the body."""
        body = await read(receive)
        assert body is not None
        seen = {
            "pid": os.getpid(),
            "method": scope["method"],
            "raw_path": scope["raw_path"].decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": body.decode("latin-1"),
            "is_repos": scope.get(asgi.IS_REPOS, False),
            "modules": sorted(sys.modules) if "modules" in query else [],
        }
        await answer(send, 200, json.dumps(seen).encode())

    async def store(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, query: Any) -> None:
        path = self.data / scope["raw_path"].hex()
        if scope["method"] == "PUT":
            (self.data / "began").touch()
            body = await read(receive)
            if body is None:
                return
            path.write_bytes(body)
            await answer(send, 200, b"stored")
        else:
            await answer(send, 200, path.read_bytes())

    async def refuse(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, query: Any) -> None:
        """An error before any of the body is read, or after one piece of it."""
        if "after" in query:
            await receive()
        await answer(send, 403, b"denied")

    async def fail(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, query: Any) -> None:
        raise RuntimeError("the door is broken")

    async def sleep(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, query: Any) -> None:
        (self.data / "began").touch()
        await asyncio.sleep(float(query["seconds"][0]))
        await answer(send, 200, b"slept")

    async def large(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, query: Any) -> None:
        size = int(query["size"][0])
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(size // 65536):
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            await asyncio.sleep(0)  # uvloop writes, and learns that it should not, only between steps
        await send({"type": "http.response.body", "body": bytes(size % 65536), "more_body": False})


async def read(receive: asgi.Receive) -> bytes | None:
    """The body; None if the client went away."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def answer(send: asgi.Send, status: int, body: bytes) -> None:
    """A whole response."""
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Stands in for ``tidegate.server.house.open_house``."""
    if (settings.home / "broken").exists():
        raise RuntimeError("the rooms are broken")

    async def check() -> None:
        if (settings.home / "unready").exists():
            raise OSError("the catalog is not there")

    async def stats() -> dict[str, int]:
        return {"buckets": 1, "objects": 2, "bytes": 3}

    door = Door(settings.home)
    yield House(door, door, door, check, stats)
