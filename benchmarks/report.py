"""A run as Markdown tables, which read as well on a terminal as in a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.targets import OURS, judge
from benchmarks.values import MIB, MILLISECONDS, REPOSITORY, Result, Run, Sample, cost, rate, throughput, weight

Table = Sequence[Sequence[str]]  # the head, then the rows


def _table(rows: Table) -> str:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        first, *rest = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = [("-" * (width - 1) + ":") if column else "-" * width for column, width in enumerate(widths)]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def _number(value: float) -> str:
    """Three digits or so."""
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"


def _spread(result: Result, value: Callable[[Sample], float], best: Callable[[Sequence[float]], float]) -> str:
    """The median of the rounds, and the best of them behind it."""
    median = _number(result.median(value))
    return f"{median} ({_number(best(result.values(value)))})" if len(result.samples) > 1 else median


def _peer_of(result: Result, results: Sequence[Result]) -> Result | None:
    return next(
        (
            other
            for other in results
            if other.server != OURS
            and (other.measure, other.workers, other.keys) == (result.measure, result.workers, result.keys)
        ),
        None,
    )


def _ratio(above: float, below: float) -> str:
    return f"{above / below:.2f}x" if below else "-"


def _beside(result: Result, results: Sequence[Result], speed: Callable[[Sample], float]) -> tuple[str, str]:
    """Our speed over the peer's, and our work per CPU second over the peer's; both are better when they are larger."""
    peer = _peer_of(result, results) if result.server == OURS else None
    if peer is None:
        return "", ""
    return _ratio(result.median(speed), peer.median(speed)), _ratio(peer.median(cost), result.median(cost))


def _requests(results: Sequence[Result]) -> str:
    head = [
        "",
        "keys",
        "workers",
        "server",
        "requests/s",
        "CPU µs each",
        "p50 ms",
        "p99 ms",
        "peak MiB",
        "errors",
        "speed ratio",
        "per CPU ratio",
    ]
    rows = [
        [
            result.measure,
            f"{result.keys:,}" if result.keys else "",
            str(result.workers),
            result.server,
            _spread(result, rate, max),
            _spread(result, cost, min),
            _number(result.median(lambda sample: sample.p50) * MILLISECONDS),
            _number(result.median(lambda sample: sample.p99) * MILLISECONDS),
            _number(result.median(lambda sample: sample.rss) / MIB),
            str(sum(sample.errors for sample in result.samples)),
            *_beside(result, results, rate),
        ]
        for result in results
    ]
    return _table([head, *rows])


def _base(measure: str) -> str:
    """What a measure of repositories is held against."""
    kind, separator, rest = measure.partition(",")
    if kind == "commit":
        return f"PUT{separator}{rest}"
    kind = measure.partition(" ")[0]
    return f"{kind} at HEAD" if kind in {"GET", "LIST"} else ""


def _repositories(results: Sequence[Result]) -> str:
    """Commits beside plain PUTs, what is read of the past beside HEAD, and what is done one at a time."""
    head = ["", "keys", "workers", "a second", "CPU µs each", "p50 ms", "p99 ms", "bytes each", "errors"]
    rows = [[*head, "speed ratio", "CPU ratio"]]
    for result in results:
        measure = result.measure.removeprefix(REPOSITORY)
        is_weight = any(sample.moved for sample in result.samples)
        base = next(
            (
                other
                for other in results
                if (other.measure, other.workers, other.keys)
                == (REPOSITORY + _base(measure), result.workers, result.keys)
            ),
            result,
        )
        times = [
            _spread(result, rate, max),
            _spread(result, cost, min),
            _number(result.median(lambda sample: sample.p50) * MILLISECONDS),
            _number(result.median(lambda sample: sample.p99) * MILLISECONDS),
            "",
        ]
        rows.append(
            [
                measure,
                f"{result.keys:,}" if result.keys else "",
                str(result.workers),
                *([""] * 4 + [_number(result.median(weight))] if is_weight else times),
                str(sum(sample.errors for sample in result.samples)),
                "" if base is result else _ratio(result.median(rate), base.median(rate)),
                "" if base is result else _ratio(result.median(cost), base.median(cost)),
            ]
        )
    return _table(rows)


def _streams(results: Sequence[Result], md5: float) -> str:
    rows = [["", "workers", "server", "MB/s", "of MD5", "CPU s/GB", "peak MiB", "speed ratio", "per CPU ratio"]]
    for result in results:
        speed = result.median(throughput)
        rows.append(
            [
                result.measure,
                str(result.workers),
                result.server,
                _spread(result, throughput, max),
                f"{speed / md5:.0%}",
                _number(result.median(lambda sample: sample.cpu / sample.moved) * 1e9),
                _number(result.median(lambda sample: sample.rss) / MIB),
                *_beside(result, results, throughput),
            ]
        )
    return _table(rows)


def _moments(results: Sequence[Result]) -> str:
    """What is done once, or one after the other: how long it takes matters, not how often it can be done."""
    rows = [
        [
            result.measure,
            str(result.workers),
            result.server,
            _spread(result, lambda sample: (sample.p50 or sample.seconds) * MILLISECONDS, min),
            _number(result.median(cost) / MILLISECONDS),
            _number(result.median(lambda sample: sample.rss) / MIB),
            _beside(result, results, rate)[0],
        ]
        for result in results
    ]
    return _table([["", "workers", "server", "ms", "CPU ms", "MiB", "speed ratio"], *rows])


def _growth(results: Sequence[Result]) -> str:
    """CPU per request at each number of keys, over that at the fewest."""
    rows = [["", "workers", "server", "keys", "CPU µs each", "over the fewest keys"]]
    for result in results:
        fewest = next(
            other
            for other in results
            if (other.measure, other.workers, other.server) == (result.measure, result.workers, result.server)
        )
        if fewest is result:
            continue
        now, first = result.median(cost), fewest.median(cost)
        rows.append(
            [
                result.measure.removesuffix(" at scale"),
                str(result.workers),
                result.server,
                f"{fewest.keys:,} -> {result.keys:,}",
                f"{_number(first)} -> {_number(now)}",
                _ratio(now, first),
            ]
        )
    return _table(rows) if len(rows) > 1 else ""


def _verdicts(run: Run) -> str:
    words = {True: "pass", False: "MISS", None: "not measured"}
    rows = [["target", "to reach", "measured", ""]]
    for verdict in judge(run):
        value = "" if verdict.value is None else f"{_number(verdict.value)} {verdict.unit}"
        rows.append(
            [verdict.name, f"{verdict.sign} {_number(verdict.limit)} {verdict.unit}", value, words[verdict.passed]]
        )
    return _table(rows)


def _machine(run: Run) -> str:
    machine = run.machine
    return (
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB, Linux {machine.kernel}, "
        f"Python {machine.python}, {machine.filesystem}; load average before the run {machine.load:.2f}\n"
        f"MD5 in one thread {machine.md5:,.0f} MB/s; disk {machine.disk_write:,.0f} MB/s written and synced, "
        f"{machine.disk_fsync:,.0f} synced 4 KiB appends/s\n"
        f"{'; '.join(f'{name}: {version}' for name, version in run.versions.items())}; client: {run.client}\n"
        f"{run.rounds} rounds of {run.seconds:g} s, median (best); {run.connections} connections; {run.started}"
    )


def markdown(run: Run) -> str:
    """The whole report."""
    repos = [result for result in run.results if result.measure.startswith(REPOSITORY)]
    others = [result for result in run.results if not result.measure.startswith(REPOSITORY)]
    streams = [result for result in others if any(sample.moved for sample in result.samples)]
    moments = [result for result in others if result.measure.startswith(("start", "copy", "complete", "first byte"))]
    scale = [result for result in others if result.measure.endswith(" at scale")]
    versions = [result for result in others if result.measure.endswith(" versions")]
    apart = {id(result) for result in [*streams, *moments, *scale, *versions]}
    small = [result for result in others if id(result) not in apart]
    sections = [
        ("Small objects", _requests(small) if small else ""),
        ("Large buckets", _requests([*scale, *versions]) if scale or versions else ""),
        ("Growth", _growth(scale)),
        (f"Large objects ({run.large // MIB:,} MiB)", _streams(streams, run.machine.md5) if streams else ""),
        ("Repositories", _repositories(repos) if repos else ""),
        ("One at a time", _moments(moments) if moments else ""),
        ("Targets", _verdicts(run)),
    ]
    return "\n\n".join([_machine(run), *(f"### {title}\n\n{text}" for title, text in sections if text)])
