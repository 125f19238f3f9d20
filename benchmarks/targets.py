"""What is to be reached, and whether a run reached it. Judged by medians, at the smallest number of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from benchmarks.values import (
    MIB,
    MILLISECONDS,
    REPOSITORY,
    Result,
    Run,
    Sample,
    cost,
    latency,
    rate,
    requests,
    seconds,
    throughput,
    weight,
)

if TYPE_CHECKING:
    from collections.abc import Callable

OURS, PEER, REMOTE = "tidegate", "rclone", "remote"
MILLION = 1_000_000
PUBLISHED = 500_000  # entries of the commit whose time lakeFS published
METADATA = "metadata, commit of a new key"
FIRST_BYTES = ("4 KiB", "1 MiB", "16 MiB")


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

    def late(self, size: str) -> float | None:
        """How many milliseconds after the remote's own the first byte of a cold GET comes."""
        name = f"first byte of {size}"
        ours, direct = self.find(name, latency), self.find(name, latency, server=REMOTE)
        return None if ours is None or direct is None else (ours - direct) * MILLISECONDS

    def through(self, measure: str) -> float | None:
        """How fast something is through us, beside the remote itself."""
        of = throughput if measure == "GET cold" else rate
        return _ratio(self.find(measure, of), self.find(measure, of, server=REMOTE))


class _Repositories:
    """The medians of the measures of repositories: those of the largest one, where there are several."""

    def __init__(self, medians: _Medians, run: Run) -> None:
        self._medians = medians
        self._keys: dict[str, list[int]] = {}
        for result in run.results:
            self._keys.setdefault(result.measure, []).append(result.keys)

    def find(
        self, measure: str, value: Callable[[Sample], float], *, keys: int | None = None, smallest: bool = False
    ) -> float | None:
        sizes = self._keys.get(REPOSITORY + measure, [0])
        return self._medians.find(REPOSITORY + measure, value, keys or (min(sizes) if smallest else max(sizes)))

    def milliseconds(self, measure: str, value: Callable[[Sample], float] = latency) -> float | None:
        found = self.find(measure, value)
        return None if found is None else found * MILLISECONDS

    def beside(self, measure: str, other: str) -> float | None:
        """How much more CPU one takes than another."""
        return _ratio(self.find(measure, cost), self.find(other, cost))


def _of_repositories(repos: _Repositories) -> list[Verdict]:
    # lakeFS published 2 min 47 s for a commit of 500,000 entries (its issue 2875): of committing alone, what it is
    # compared with here has putting the objects in it.
    whole = repos.find("large commit, all of it", seconds, keys=PUBLISHED)
    page = repos.find("LIST of a commit's bucket", cost)
    grown = _ratio(repos.find("branch", latency), repos.find("branch", latency, smallest=True))
    return [
        *(
            Verdict(f"{name} / at HEAD, CPU", "<=", 1.2, "times", repos.beside(name, "GET at HEAD"))
            for name in ("GET by a commit's versionId", "GET from a commit's bucket")
        ),
        Verdict("LIST page of a commit's bucket, CPU", "<=", 3, "ms", None if page is None else page * 1e-3),
        Verdict("branch of the largest repository", "<=", 10, "ms", repos.milliseconds("branch")),
        Verdict("branch of the largest repository / of the smallest, time", "<=", 1.5, "times", grown),
        *(
            Verdict(f"{name} that differ by 1,000 changes", "<=", 20, "ms", repos.milliseconds(name))
            for name in ("diff of commits", "diff of branches")
        ),
        Verdict("metadata of a commit of one key", "<=", 1024, "bytes", repos.find(METADATA, weight)),
        Verdict("500,000 objects in a commit, all of it", "<=", 167, "s", whole),
    ]


def judge(run: Run) -> list[Verdict]:
    """Every target, in the order in which they are told."""
    medians = _Medians(run)
    longer = _ratio(medians.page("LIST at scale", 10 * MILLION), medians.page("LIST at scale", MILLION))
    of_md5 = _ratio(medians.find("PUT large", throughput), run.machine.md5)
    completion = medians.against("complete parts of 16 MiB", "complete parts of 5 MiB")
    batch = _ratio(medians.find("in one batch", rate), medians.find("one by one", rate))
    warm = _ratio(medians.find("GET warm", cost), medians.find("GET native", cost))
    large_warm = _ratio(medians.find("GET large native", throughput), medians.find("GET large warm", throughput))
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
        Verdict("warm GET of a remote's 4 KiB / of ours, CPU", "<=", 1.1, "times", warm),
        Verdict("warm GET of a remote's large object / of ours, time", "<=", 1.1, "times", large_warm),
        *(
            Verdict(f"first byte of a cold GET of {size} after the remote's own", "<=", 5, "ms", medians.late(size))
            for size in FIRST_BYTES
        ),
        Verdict(
            "cold GET of a large object / the remote's own, speed", ">=", 0.95, "times", medians.through("GET cold")
        ),
        Verdict(
            "reads of the remote for 1,000 cold GETs of 10 keys",
            "<=",
            10,
            "",
            medians.find("cold at once", requests, server=REMOTE),
        ),
        Verdict("prefetch of small objects / direct reads, speed", ">=", 0.9, "times", medians.through("prefetch")),
        Verdict(
            "memory during a prefetch",
            "<=",
            200,
            "MB",
            medians.find("prefetch", lambda sample: sample.rss, factor=1e-6),
        ),
        *_of_repositories(_Repositories(medians, run)),
        Verdict("start to ready line", "<=", 1000, "ms", start),
        Verdict("idle worker, resident", "<=", 80, "MiB", idle),
    ]
