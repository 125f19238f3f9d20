"""A small closed-loop HTTP/1.1 client on uvloop: fills buckets, and drives the load where wrk is absent.

Each connection has one request under way. It reads no more of an answer than it needs to find its end and its status.
"""

from __future__ import annotations

import asyncio
import re
import time
from array import array
from functools import partial
from statistics import quantiles
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.values import KIB, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_BODILESS = (204, 304)
_PROBLEM_BYTES = KIB  # how much of a refusal is kept, to be shown


class _Run:
    """What the connections of one run share: the targets to come and the tally."""

    def __init__(self, method: str, host: str, targets: Iterator[str], body: bytes, deadline: float) -> None:
        self.head = f"{method} ".encode()
        length = f"Content-Length: {len(body)}\r\n" if method == "PUT" else ""
        self.tail = f" HTTP/1.1\r\nHost: {host}\r\n{length}\r\n".encode() + body
        self.bodiless = method == "HEAD"
        self.targets = targets
        self.deadline = deadline
        self.latencies = array("d")
        self.errors = 0
        self.problem = b""

    def next(self) -> bytes | None:
        """The next request's bytes; none when the time is up or the targets are."""
        if time.perf_counter() >= self.deadline:
            return None
        target = next(self.targets, None)
        return None if target is None else self.head + target.encode() + self.tail

    def answered(self, status: int, seconds: float, answer: bytes) -> None:
        self.latencies.append(seconds)
        if not 200 <= status < 300:
            self.errors += 1
            self.problem = self.problem or answer[:_PROBLEM_BYTES]


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run, done: asyncio.Future[None]) -> None:
        self._run = run
        self._done = done
        self._answer = bytearray()
        self._end = 0  # where the answer ends; 0 while that is not known, -1 for a chunked one
        self._status = 0
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by duck typing only
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        answer += data
        if not self._end:
            head = answer.find(_END)
            if head < 0:
                return
            self._read_head(bytes(answer[:head]), head + len(_END))
        if answer.endswith(_LAST_CHUNK) if self._end < 0 else len(answer) >= self._end:
            self._run.answered(self._status, time.perf_counter() - self._sent, bytes(answer[:_PROBLEM_BYTES]))
            self._send()

    def _read_head(self, head: bytes, body: int) -> None:
        self._status = int(head[9:12])
        length = _LENGTH.search(head)
        if self._run.bodiless or self._status in _BODILESS:
            self._end = body
        elif length:
            self._end = body + int(length[1])
        elif _CHUNKED.search(head):
            self._end = -1
        else:
            self._end = body

    def _send(self) -> None:
        assert self._transport is not None
        request = self._run.next()
        if request is None:
            self._done.set_result(None)
            self._transport.close()
            return
        self._answer.clear()
        self._end = 0
        self._sent = time.perf_counter()
        self._transport.write(request)


async def _drive(run: _Run, endpoint: str, connections: int) -> None:
    address = urlsplit(endpoint)
    loop = asyncio.get_running_loop()
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    failed: asyncio.Future[None] = loop.create_future()

    def fail(_: object, context: dict[str, Any]) -> None:
        if not failed.done():
            failed.set_exception(context.get("exception") or RuntimeError(context["message"]))

    loop.set_exception_handler(fail)  # what a connection's callback raises ends the run
    for end in ends:
        await loop.create_connection(partial(_Connection, run, end), address.hostname or "", address.port or 80)
    ending: list[asyncio.Future[Any]] = [failed, asyncio.gather(*ends)]
    ended, _ = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
    ended.pop().result()


def drive(
    endpoint: str,
    method: str,
    targets: Iterator[str],
    body: bytes = b"",
    connections: int = 32,
    seconds: float = float("inf"),
) -> Outcome:
    """Requests the targets until there are no more or the time is up.

    Raises ConnectionError if the server closes a connection.
    """
    started = time.perf_counter()
    run = _Run(method, urlsplit(endpoint).netloc, targets, body, started + seconds)
    uvloop.run(_drive(run, endpoint, connections))
    elapsed = time.perf_counter() - started
    cuts = quantiles(run.latencies, n=100) if len(run.latencies) > 1 else [0.0] * 99
    return Outcome(
        requests=len(run.latencies),
        seconds=elapsed,
        errors=run.errors,
        p50=cuts[49],
        p99=cuts[98],
        problem=run.problem.decode(errors="replace"),
    )
