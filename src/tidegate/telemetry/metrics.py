"""Metrics of all workers of a server, in Prometheus's text format.

A request is counted in plain Python, in well under a microsecond. A few times a second what has changed is written to
this process's files in the format of prometheus-client's multiprocess mode, and a scrape, whichever worker gets it,
adds up the files of all. The files outlive a worker that died, so that no counter ever goes down.

The files are memory-mapped and must lie on a memory file system, never on the data folder's disk: a write to a mapped
page waits for the disk while it is busy, which would stop the event loop, and kills the process when the disk is full.
"""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import floatToGoString

from tidegate import __version__
from tidegate.telemetry.folder import COUNTER_FILE_SIZE, HISTOGRAM_FILE_SIZE
from tidegate.telemetry.remotes import METERS, Meter
from tidegate.telemetry.tally import Tally

CONTENT_TYPE = CONTENT_TYPE_LATEST

# From a GET out of the page cache to a large upload.
LATENCY_BOUNDS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
    60.0,
)
GROUP_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
# How old another worker's numbers may be in a scrape. Writing them more often would only cost.
FLUSH_SECONDS = 0.25
# The same where a worker has no requests and works on a job.
IDLE_FLUSH_SECONDS = 1.0

_REQUESTS = ("tidegate_requests", "Requests by operation and HTTP status (499: the client left before the answer).")
_LATENCY = ("tidegate_request_duration_seconds", "Seconds from a request's headers to the end of its answer.")
_RECEIVED = ("tidegate_request_body_bytes", "Bytes of request bodies that were read.")
_SENT = ("tidegate_response_body_bytes", "Bytes of response bodies that were sent.")
_GROUPS = ("tidegate_group_commit_transactions", "Transactions that were made durable by one commit.")
_REMOTE_READS = (
    "tidegate_remote_reads",
    "GETs of other providers' objects: warm if all of the object was here.",
)
_REMOTE_REQUESTS = ("tidegate_remote_requests", "Requests that were sent to other providers, each attempt.")
_REMOTE_ERRORS = ("tidegate_remote_errors", "Requests to other providers that came to nothing, by what went wrong.")
_REMOTE_READ = ("tidegate_remote_read_bytes", "Bytes of bodies that other providers have sent.")
_REMOTE_WRITTEN = ("tidegate_remote_written_bytes", "Bytes of bodies that were sent to other providers.")
_REMOTE_FIRST_BYTE = (
    "tidegate_remote_first_byte_seconds",
    "Seconds until other providers began to answer requests that have no body.",
)
_GAUGES = {
    "buckets": ("tidegate_buckets", "Buckets."),
    "objects": ("tidegate_objects", "Objects in all buckets, as a listing would show them."),
    "bytes": ("tidegate_object_bytes", "Bytes of these objects."),
    "jobs": ("tidegate_running_jobs", "Jobs that somebody started and that are being done."),
}


_group_commits = Tally(GROUP_BOUNDS)


def observe_group_commit(size: int) -> None:
    """Counts one commit of ``size`` transactions. To be called from the one thread that commits."""
    _group_commits.add(size)


class _Operation:
    """What is counted about one operation."""

    __slots__ = ("latency", "received", "sent", "statuses")

    def __init__(self) -> None:
        self.latency = Tally(LATENCY_BOUNDS)
        self.received = 0
        self.sent = 0
        self.statuses: defaultdict[int, int] = defaultdict(int)


class Metrics:
    """The metrics of one worker, and the way to those of all. To be used on one event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._operations: dict[str, _Operation] = {}
        self._changed: set[str] = set()
        self._flush_handle: asyncio.TimerHandle | None = None
        self._idle_handle: asyncio.TimerHandle | None = None
        self._groups_written = 0
        self._remotes_written: dict[str, int] = {}
        self._is_closed = False
        # Never the file of a worker that died, whose process id came back.
        mine = f"{os.getpid()}-{time.monotonic_ns()}.db"
        self._counters = _open(folder / f"counter_{mine}", COUNTER_FILE_SIZE)
        self._histograms = _open(folder / f"histogram_{mine}", HISTOGRAM_FILE_SIZE)

    def begin(self) -> None:
        """From now to the end, has what is counted without a request (by jobs) reach the others too."""
        self._idle_handle = asyncio.get_running_loop().call_later(IDLE_FLUSH_SECONDS, self.begin)
        self._flush_processwide()

    def count(self, operation: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Counts one request. ``operation`` must come from a fixed list, never from the request's text."""
        entry = self._operations.get(operation)
        if entry is None:
            entry = self._operations[operation] = _Operation()
        entry.statuses[status] += 1
        entry.latency.add(seconds)
        entry.received += received
        entry.sent += sent
        self._changed.add(operation)
        if self._flush_handle is None:
            self._flush_handle = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Makes what was counted so far visible to every worker."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        if self._is_closed:  # a request that was cut off at shutdown
            return
        changed, self._changed = self._changed, set()
        for operation in changed:
            entry = self._operations[operation]
            label = {"operation": operation}
            for status, number in entry.statuses.items():
                self._write_counter(_REQUESTS, label | {"status": str(status)}, number)
            self._write_counter(_RECEIVED, label, entry.received)
            self._write_counter(_SENT, label, entry.sent)
            self._write_histogram(_LATENCY, label, entry.latency)
        self._flush_processwide()

    def exposition(self, stats: Mapping[str, int]) -> bytes:
        """The metrics of all workers and the gauges of ``stats``, as text. Reads files: not for the event loop."""
        registry = CollectorRegistry(auto_describe=False)
        MultiProcessCollector(registry, path=str(self._folder))  # type: ignore[no-untyped-call]
        registry.register(_Gauges(stats))
        return generate_latest(registry)

    def close(self) -> None:
        self.flush()
        self._is_closed = True
        if self._idle_handle is not None:
            self._idle_handle.cancel()
        self._counters.close()  # type: ignore[no-untyped-call]
        self._histograms.close()  # type: ignore[no-untyped-call]

    def _flush_processwide(self) -> None:
        groups = sum(_group_commits.counts)
        if groups != self._groups_written:
            self._groups_written = groups
            self._write_histogram(_GROUPS, {}, _group_commits)
        for provider, meter in METERS.items():
            if meter.changes != self._remotes_written.get(provider, 0):
                self._remotes_written[provider] = meter.changes
                self._write_remote({"provider": provider}, meter)

    def _write_remote(self, label: Mapping[str, str], meter: Meter) -> None:
        for temperature, number in meter.reads.items():
            self._write_counter(_REMOTE_READS, {**label, "temperature": temperature}, number)
        for method, number in meter.requests.items():
            self._write_counter(_REMOTE_REQUESTS, {**label, "method": method}, number)
        for kind, number in meter.errors.items():
            self._write_counter(_REMOTE_ERRORS, {**label, "kind": kind}, number)
        self._write_counter(_REMOTE_READ, label, meter.bytes_read)
        self._write_counter(_REMOTE_WRITTEN, label, meter.bytes_written)
        self._write_histogram(_REMOTE_FIRST_BYTE, label, meter.first_byte)

    def _write_counter(self, metric: tuple[str, str], labels: Mapping[str, str], value: float) -> None:
        name, text = metric
        _write(self._counters, name, f"{name}_total", labels, text, value)

    def _write_histogram(self, metric: tuple[str, str], labels: Mapping[str, str], tally: Tally) -> None:
        name, text = metric
        _write(self._histograms, name, f"{name}_sum", labels, text, tally.total)
        for bound, number in zip((*tally.bounds, float("inf")), tally.counts, strict=True):
            bucket = {**labels, "le": floatToGoString(bound)}  # type: ignore[no-untyped-call]
            _write(self._histograms, name, f"{name}_bucket", bucket, text, number)


def _open(path: Path, size: int) -> MmapedDict:
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
    return MmapedDict(str(path))  # type: ignore[no-untyped-call]


def _write(file: MmapedDict, metric: str, sample: str, labels: Mapping[str, str], text: str, value: float) -> None:
    key = mmap_key(metric, sample, list(labels), list(labels.values()), text)
    file.write_value(key, float(value), 0.0)  # type: ignore[no-untyped-call]


class _Gauges:
    """What is asked for at a scrape instead of being counted."""

    def __init__(self, stats: Mapping[str, int]) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        build = GaugeMetricFamily("tidegate_build_info", "The running version.", labels=["version", "python"])
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        for key, (name, text) in _GAUGES.items():
            if key in self._stats:
                yield GaugeMetricFamily(name, text, value=self._stats[key])
