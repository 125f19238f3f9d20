"""What the benchmarks measure and keep: frozen structs, no I/O."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KIB = 1024
MIB = 1024 * KIB
MICROSECONDS = 1e6
MILLISECONDS = 1e3
MEGABYTE = 1e6
# What measures of repositories are called begins so.
REPOSITORY = "repo: "


class Credentials(msgspec.Struct, frozen=True):
    """An access key and its secret."""

    access_key: str
    secret_key: str


class Outcome(msgspec.Struct, frozen=True):
    """What a client saw of one run of requests. Times are seconds; ``problem`` is the first refusal, if known."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float
    problem: str = ""


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One timed round. Times are seconds, ``rss`` and ``moved`` are bytes.

    ``cpu`` is what the server's process tree used; ``p50`` and ``p99`` are latencies as the client saw them.
    """

    requests: int
    seconds: float
    cpu: float
    rss: int = 0
    moved: int = 0
    errors: int = 0
    p50: float = 0.0
    p99: float = 0.0


def seconds(sample: Sample) -> float:
    """How long the round took."""
    return sample.seconds


def latency(sample: Sample) -> float:
    """Seconds of the middle request."""
    return sample.p50


def requests(sample: Sample) -> float:
    """How many requests there were."""
    return sample.requests


def rate(sample: Sample) -> float:
    """Requests a second."""
    return sample.requests / sample.seconds if sample.seconds else 0.0


def cost(sample: Sample) -> float:
    """Server CPU microseconds per request."""
    return sample.cpu / sample.requests * MICROSECONDS if sample.requests else 0.0


def weight(sample: Sample) -> float:
    """Bytes that one request moved, or left behind."""
    return sample.moved / sample.requests if sample.requests else 0.0


def throughput(sample: Sample) -> float:
    """Megabytes (10**6 bytes) a second."""
    return sample.moved / sample.seconds / MEGABYTE if sample.seconds else 0.0


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rounds of one measure on one server. ``keys`` is how many keys the bucket held, where that matters."""

    measure: str
    server: str
    workers: int
    keys: int
    samples: tuple[Sample, ...]

    def median(self, value: Callable[[Sample], float]) -> float:
        """The median of the rounds' values."""
        return median(value(sample) for sample in self.samples)

    def values(self, value: Callable[[Sample], float]) -> Sequence[float]:
        """The rounds' values."""
        return [value(sample) for sample in self.samples]


class Machine(msgspec.Struct, frozen=True):
    """What the numbers were measured on, as far as they depend on it."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    filesystem: str
    load: float  # load average of the last minute before the run: above 0.3 or so, somebody else was working
    md5: float  # MB/s of hashlib.md5 in one thread, 1 MiB at a time
    disk_write: float  # MB/s of one sequential write with an fsync at its end
    disk_fsync: float  # 4 KiB appends a second, each with an fsync


class Run(msgspec.Struct, frozen=True):
    """A whole run, as it is kept in ``results/``."""

    started: str
    machine: Machine
    versions: dict[str, str]
    client: str
    rounds: int
    seconds: float
    connections: int
    large: int  # bytes
    results: tuple[Result, ...]
