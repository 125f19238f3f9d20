"""``python -m benchmarks.origin``: a remote in small, with a known distance and a known bandwidth.

It answers S3's GET and HEAD of any object whose key begins with its size (``4096-anything``), after a delay, and all
its answers share one link. What it serves is made up, so that it costs next to nothing. ``/-/reads`` tells how many
GETs of objects it was sent so far.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import signal
from functools import cache
from http import HTTPStatus

import uvloop

from benchmarks.values import KIB, MIB

DELAY = 0.020  # seconds from a request to the first byte of its answer
RATE = 100e6  # bytes a second, of all answers together
PIECE = 64 * KIB
# What the link may be behind its rate and catch up with: timers are exact to a millisecond or two.
BURST = 0.005  # seconds
_SLACK = 0.001
_BUFFER = 2 * MIB
READS = "/-/reads"
BLOCK = bytes(range(256)) * (2 * MIB // 256)  # any PIECE of the content is a slice of it
_TARGET = re.compile(r"/[^/?]+/(?:[^?]*/)?(\d+)-[^/?]*(?:\?.*)?")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_END = b"\r\n\r\n"


@cache
def etag(size: int) -> str:
    """The MD5 of an object's content, as S3 tells it of what was uploaded in one part."""
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, size, MIB):
        digest.update(memoryview(BLOCK)[: min(MIB, size - start)])
    return digest.hexdigest()


class Link:
    """What all answers go through, one piece after the other."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = 0.0

    async def carry(self, size: int) -> None:
        """Returns when so many bytes have come through."""
        now = asyncio.get_running_loop().time()
        self._free = max(self._free, now - BURST) + size / self._rate
        if self._free - now > _SLACK:
            await asyncio.sleep(self._free - now)


class Origin:
    """The server. ``delay`` is in seconds, ``rate`` in bytes a second."""

    def __init__(self, delay: float, rate: float) -> None:
        self._delay = delay
        self._link = Link(rate)
        self._reads = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection, with one request after the other."""
        writer.transport.set_write_buffer_limits(_BUFFER)
        try:
            while True:
                request = (await reader.readuntil(_END)).decode("latin-1")
                await self._answer(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()

    async def _answer(self, request: str, writer: asyncio.StreamWriter) -> None:
        line, *fields = request.split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        if target == READS:
            writer.write(_head(HTTPStatus.OK, len(body := b"%d" % self._reads)) + body)
            return
        found = _TARGET.fullmatch(target)
        if found is None or method not in {"GET", "HEAD"}:
            writer.write(_head(HTTPStatus.NOT_IMPLEMENTED, 0))
            return
        size = int(found[1])
        start, stop, status, more = 0, size, HTTPStatus.OK, [f'ETag: "{etag(size)}"']
        if selected := _RANGE.fullmatch(headers.get("range", "")):
            start, stop = int(selected[1]), min(size, int(selected[2]) + 1 if selected[2] else size)
            status = HTTPStatus.PARTIAL_CONTENT
            more.append(f"Content-Range: bytes {start}-{stop - 1}/{size}")
        self._reads += method == "GET"
        await asyncio.sleep(self._delay)
        writer.write(_head(status, stop - start, *more))
        if method == "GET":
            await self._send(writer, start, stop)

    async def _send(self, writer: asyncio.StreamWriter, start: int, stop: int) -> None:
        block = memoryview(BLOCK)
        while start < stop:
            length = min(PIECE, stop - start)
            await self._link.carry(length)
            writer.write(block[start % MIB : start % MIB + length])
            await writer.drain()
            start += length


def _head(status: HTTPStatus, length: int, *more: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Length: {length}",
        "Content-Type: application/octet-stream",
        "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _run(delay: float, rate: float) -> None:
    server = await asyncio.start_server(Origin(delay, rate).serve, "127.0.0.1", 0, backlog=1024)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    print(f"origin ready on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Runs until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.origin", description=__doc__)
    parser.add_argument("--delay", type=float, default=DELAY, help="seconds before an answer (0.02)")
    parser.add_argument("--rate", type=float, default=RATE, help="bytes a second (100e6)")
    given = parser.parse_args()
    uvloop.run(_run(given.delay, given.rate))


if __name__ == "__main__":
    main()
