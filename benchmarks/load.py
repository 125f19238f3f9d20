"""One timed load on one server: what the client saw, and what it cost the server."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from benchmarks import client, process, wrk
from benchmarks.s3 import Api
from benchmarks.values import Outcome, Sample

if TYPE_CHECKING:
    from benchmarks.servers import Server

SETTLE = 0.1  # seconds after a load in which the server finishes what was under way when the client stopped


class Load(msgspec.Struct, frozen=True):
    """The same request for many targets.

    With ``once``, each is requested at most once and the load ends with the last.
    """

    method: str
    targets: Sequence[str]
    connections: int
    body: bytes = b""
    once: bool = False


def _drive(endpoint: str, load: Load, seconds: float) -> Outcome:
    if wrk.find() and load.method != "HEAD":  # to HEAD, wrk waits for the body that Content-Length speaks of
        return wrk.drive(endpoint, load.method, load.targets, load.body, load.connections, seconds, once=load.once)
    targets = iter(load.targets) if load.once else itertools.cycle(load.targets)
    return client.drive(endpoint, load.method, targets, load.body, load.connections, seconds)


def run(server: Server, load: Load, seconds: float) -> Sample:
    """Drives the load for that long.

    Raises AnswerError if the server refuses its first request, RuntimeError if it answers none.
    """
    if load.method != "DELETE":  # a DELETE here would spoil the first of the load
        with Api(server) as api:
            api.call(load.method, load.targets[0], body=load.body)
    process.reset_peak_rss(server.pid)
    before = process.cpu_seconds(server.pid)
    outcome = _drive(server.endpoint, load, seconds)
    if not outcome.requests:
        raise RuntimeError(f"{server.name} answered none of the {load.method} requests")
    time.sleep(SETTLE)
    return Sample(
        requests=outcome.requests,
        seconds=outcome.seconds,
        cpu=process.cpu_seconds(server.pid) - before,
        rss=process.peak_rss(server.pid),
        errors=outcome.errors,
        p50=outcome.p50,
        p99=outcome.p99,
    )


def clock(
    server: Server, action: Callable[[], object], *, moved: int = 0, times: int = 1, within: float = 0.0
) -> Sample:
    """Does the action up to ``times`` times, one after the other, and stops early once ``within`` seconds are over.

    ``moved`` is how many bytes one action moves over the socket.
    """
    process.reset_peak_rss(server.pid)
    before = process.cpu_seconds(server.pid)
    latencies: list[float] = []
    while len(latencies) < times and (not latencies or not within or sum(latencies) < within):
        started = time.perf_counter()
        action()
        latencies.append(time.perf_counter() - started)
    time.sleep(SETTLE)
    return Sample(
        requests=len(latencies),
        seconds=sum(latencies),
        cpu=process.cpu_seconds(server.pid) - before,
        rss=process.peak_rss(server.pid),
        moved=moved * len(latencies),
        p50=median(latencies),
        p99=max(latencies),
    )
