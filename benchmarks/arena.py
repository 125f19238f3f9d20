"""What every measure is given: the servers that run, the options of the run and a notebook for the results."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from benchmarks import client
from benchmarks.s3 import AnswerError, Api
from benchmarks.values import KIB, MIB, Outcome, Result, Sample, cost, rate, throughput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.servers import Server

FILL_CONNECTIONS = 64
FILL_ATTEMPTS = 3  # rclone answers 500 to a few of the PUTs that make their folder at the same time
BATCH = 100_000  # keys that are put between two lines about a filling


class Options(msgspec.Struct, frozen=True):
    """How much is measured. Sizes are bytes; ``seconds`` is the length of one round of one load."""

    keys: tuple[int, ...]
    workers: tuple[int, ...]
    peer_keys: int = 10_000
    rounds: int = 3
    seconds: float = 3.0
    connections: int = 32
    small: int = 4 * KIB
    objects: int = 10_000
    large: int = 1024 * MIB
    versions: int = 100_000
    prefetch: int = 10_000
    commit: int = 500_000


class Notebook:
    """Collects the samples of each measure, and says each on standard error as it comes."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str, int, int], list[Sample]] = {}

    def add(self, measure: str, server: Server, sample: Sample, keys: int = 0) -> None:
        self._samples.setdefault((measure, server.name, server.workers, keys), []).append(sample)
        speed = f"{throughput(sample):,.0f} MB/s" if sample.moved else f"{rate(sample):,.1f}/s"
        cpu = f"{cost(sample):,.1f} µs CPU each"
        failed = f", {sample.errors} ERRORS" if sample.errors else ""
        name = f"{measure:<24} {server.name:<9} workers {server.workers}"
        say(f"  {name} {keys or '':>9} {speed:>14} {cpu:>22}{failed}")

    def results(self) -> tuple[Result, ...]:
        """What has been collected, in the order of the measures, with the servers of each side by side."""
        order: dict[tuple[str, int, int], int] = {}
        for measure, _, workers, keys in self._samples:
            order.setdefault((measure, workers, keys), len(order))
        results = [Result(*key, tuple(samples)) for key, samples in self._samples.items()]
        return tuple(sorted(results, key=lambda result: order[result.measure, result.workers, result.keys]))


class Arena:
    """The servers of one number of workers, all running; a measure keeps all but one of them idle at any time."""

    def __init__(self, servers: Sequence[Server], options: Options, notebook: Notebook) -> None:
        self.servers = servers
        self.options = options
        self.notebook = notebook

    def rounds(self) -> Iterator[tuple[int, Sequence[Server]]]:
        """The rounds, each with the servers in the order of their turns: who was first is last in the next round."""
        for number in range(self.options.rounds):
            first = number % len(self.servers)
            yield number, [*self.servers[first:], *self.servers[:first]]


def say(line: str) -> None:
    """A line about the run's progress."""
    print(line, file=sys.stderr, flush=True)


def prepare(server: Server, what: str, action: Callable[[], object]) -> None:
    """Does what makes the data folder ready for a measure, unless that was done in this run or an earlier one."""
    mark = server.data.with_name(f"{server.data.name}.{what}.ready")
    if not mark.exists():
        action()
        mark.touch()


def put_all(server: Server, bucket: str, keys: Iterable[str], body: bytes) -> None:
    """Puts an object under each key, many at a time. Raises AnswerError if some are refused time and again."""
    signer = server.signer()
    targets = (signer.target("PUT", f"/{bucket}/{key}") for key in keys)
    done = 0
    while batch := list(islice(targets, BATCH)):
        outcome = _put_batch(server, batch, body)
        done += outcome.requests
        if done >= BATCH:
            say(f"  filling {bucket} on {server.name}: {done:,} keys, {outcome.requests / outcome.seconds:,.0f}/s")


def _put_batch(server: Server, targets: Sequence[str], body: bytes) -> Outcome:
    problem = ""
    for _ in range(FILL_ATTEMPTS):
        outcome = client.drive(server.endpoint, "PUT", iter(targets), body, FILL_CONNECTIONS)
        if not outcome.errors:
            return outcome
        problem = f"{server.name} refused {outcome.errors} of {outcome.requests} PUTs: {outcome.problem}"
        say(f"  {problem.partition(':')[0]}, once more")
    raise AnswerError(problem)


def fill(server: Server, bucket: str, keys: Iterable[str], body: bytes) -> None:
    """Makes the bucket and puts an object under each key, unless that was done on this data folder before."""

    def do() -> None:
        with Api(server) as api:
            api.create_bucket(bucket)
        put_all(server, bucket, keys, body)

    prepare(server, bucket, do)
