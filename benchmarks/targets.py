"""What is to be reached, and whether a run reached it. Judged by medians, at the smallest number of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from benchmarks.values import MIB, MILLISECONDS, Result, Run, Sample, cost, latency, rate, seconds, throughput

if TYPE_CHECKING:
    from collections.abc import Callable

OURS, PEER = "tidegate", "rclone"
MILLION = 1_000_000


class Verdict(msgspec.Struct, frozen=True):
    """A target beside what was measured. ``value`` is none where this run did not measure it."""

    name: str
    sign: str  # <= or >=
    limit: float
    unit: str
    value: float | None

    @property
    def passed(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.limit if self.sign == "<=" else self.value >= self.limit


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


class _Medians:
    """The medians of a run's results at its smallest number of workers."""

    def __init__(self, run: Run) -> None:
        fewest = min((result.workers for result in run.results), default=1)
        self._results = [result for result in run.results if result.workers == fewest]

    def find(
        self,
        measure: str,
        value: Callable[[Sample], float],
        keys: int | None = None,
        server: str = OURS,
        factor: float = 1,
    ) -> float | None:
        """The median times ``factor``. Without ``keys`` their number does not matter."""

        def fits(result: Result) -> bool:
            return (result.measure, result.server) == (measure, server) and keys in {None, result.keys}

        return next((result.median(value) * factor for result in self._results if fits(result)), None)

    def page(self, measure: str, keys: int | None = None) -> float | None:
        """CPU milliseconds of a page."""
        return self.find(measure, cost, keys, factor=1e-3)

    def beside_peer(self, measure: str) -> float | None:
        """How much more of this one CPU second does here than on the peer."""
        return _ratio(self.find(measure, cost, server=PEER), self.find(measure, cost))

    def against(self, measure: str, other: str) -> float | None:
        """How much longer one takes than another."""
        return _ratio(self.find(measure, latency), self.find(other, latency))


def judge(run: Run) -> list[Verdict]:
    """Every target, in the order in which they are told."""
    medians = _Medians(run)
    longer = _ratio(medians.page("LIST at scale", 10 * MILLION), medians.page("LIST at scale", MILLION))
    of_md5 = _ratio(medians.find("PUT large", throughput), run.machine.md5)
    completion = medians.against("complete parts of 16 MiB", "complete parts of 5 MiB")
    batch = _ratio(medians.find("in one batch", rate), medians.find("one by one", rate))
    start = medians.find("start", seconds, factor=MILLISECONDS)
    idle = medians.find("start", lambda sample: sample.rss, factor=1 / MIB)
    return [
        Verdict("signed GET of 4 KiB, CPU", "<=", 65, "µs", medians.find("GET", cost)),
        Verdict("durable signed PUT of 4 KiB, CPU", "<=", 140, "µs", medians.find("PUT new", cost)),
        Verdict("LIST page at 1 M keys, CPU", "<=", 3, "ms", medians.page("LIST at scale", MILLION)),
        Verdict(
            "LIST page of prefixes at 1 M keys, CPU", "<=", 3, "ms", medians.page("LIST by prefix at scale", MILLION)
        ),
        Verdict("LIST page past one key's versions, CPU", "<=", 3, "ms", medians.page("LIST past versions")),
        Verdict("LIST page at 10 M keys / at 1 M, CPU", "<=", 1.5, "times", longer),
        Verdict("GET large, one stream", ">=", 2000, "MB/s", medians.find("GET large", throughput)),
        Verdict("PUT large, one stream / MD5 alone", ">=", 0.75, "times", of_md5),
        Verdict("copy of large / of 1 MiB, time", "<=", 1.5, "times", medians.against("copy large", "copy 1 MiB")),
        Verdict("completion, parts of 16 MiB / of 5 MiB, time", "<=", 1.5, "times", completion),
        Verdict(f"GET per CPU second / {PEER}'s", ">=", 1.5, "times", medians.beside_peer("GET")),
        Verdict(f"PUT per CPU second / {PEER}'s, unsynced", ">=", 2, "times", medians.beside_peer("PUT new")),
        Verdict("objects of 4 KiB in one batch / one by one, speed", ">=", 5, "times", batch),
        Verdict("start to ready line", "<=", 1000, "ms", start),
        Verdict("idle worker, resident", "<=", 80, "MiB", idle),
    ]
