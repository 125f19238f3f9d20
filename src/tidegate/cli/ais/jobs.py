"""``ais show job``, ``wait``, ``start`` and ``stop``; and how every command that starts a job goes on."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tidegate.cli import progress
from tidegate.cli.ais import calls, text
from tidegate.cli.ais.client import connect
from tidegate.cli.ais.completion import complete_buckets
from tidegate.cli.ais.grammar import JobArgument, JsonOption, NoHeaderOption, TimeoutOption, UnitsOption
from tidegate.cli.ais.shapes import Job
from tidegate.cli.ais.uris import bucket_of
from tidegate.cli.failures import Failure
from tidegate.cli.transport import Client

# Kinds by the names that the native API has for them, where AIStore's commands say otherwise.
_KINDS = {
    "copy-bucket": "copy-bck",
    "copy-objects": "copy-listrange",
    "delete-objects": "delete-listrange",
    "evict-objects": "evict-listrange",
    "prefetch-objects": "prefetch-listrange",
    "prefetch": "prefetch-listrange",
    "rename-bucket": "move-bck",
    "mirror": "make-n-copies",
    "cleanup": "cleanup-store",
}
_NAMES = {api: name for name, api in _KINDS.items() if name != "prefetch"}


def show(
    job: Annotated[
        str, typer.Argument(metavar="[JOB]", help="A job's id, or a kind of jobs.", show_default=False)
    ] = "",
    all: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    units: UnitsOption = "iec",
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show jobs: those that run, one, or those of a kind."""
    found = [pair for pair in _find(connect(), job) if job or all or not pair[1].is_over]
    if as_json:
        print(text.document([each for _, each in found]))
        return
    if not found:
        if job:
            raise Failure(f'job "{job}" not found', "to list jobs: ais show job --all")
        print("No jobs" if all else "No running jobs. To also see those that are over: 'ais show job --all'")
        return
    header = ("NODE", "ID", "KIND", "BUCKET", "OBJECTS", "BYTES", "START", "END", "STATE")
    rows = [_row(node, each, units) for node, each in found]
    if len(rows) > 1:
        objects = sum(each.stats.loc_objs for _, each in found)
        size = sum(each.stats.loc_bytes for _, each in found)
        rows.append(("Total:", "", "", "", str(objects), text.size(size, units), "", "", ""))
    print(text.table(header, rows, has_header=not no_headers))


def _find(client: Client, job: str) -> list[tuple[str, Job]]:
    """Jobs by id, or else by kind; all for nothing."""
    return (calls.jobs(client, job) if job else []) or calls.jobs(client, kind=_KINDS.get(job, job))


def _row(node: str, job: Job, units: text.Units) -> tuple[str, ...]:
    return (
        node,
        job.id,
        _NAMES.get(job.kind, job.kind),
        " => ".join(bucket.uri for bucket in job.buckets) or text.NOTHING,
        str(job.stats.loc_objs),
        text.size(job.stats.loc_bytes, units),
        text.clock(job.start),
        text.clock(job.end),
        job.state,
    )


def wait(job: JobArgument, timeout: TimeoutOption = None) -> None:
    """Wait until a job is over; fails if the job did."""
    client = connect()
    ids = [each.id for _, each in _find(client, job) if each.id == job or not each.is_over]
    if not ids:
        raise Failure(f'job "{job}" not found', "to list jobs: ais show job --all")
    for id in ids:
        _wait(client, id, timeout)
    print("Done.")


def start(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="For instance mirror, lru, cleanup.", show_default=False)],
    uri: Annotated[str, typer.Argument(metavar="[BUCKET]", show_default=False, autocompletion=complete_buckets)] = "",
    copies: Annotated[int, typer.Option("--copies", min=1, help="For mirror: how many.")] = 2,
    waits: Annotated[bool, typer.Option("--wait", help="Wait until it is done.")] = False,
    timeout: TimeoutOption = None,
) -> None:
    """Start a job."""
    client, bucket = connect(), bucket_of(uri) if uri else None
    api = _KINDS.get(kind, kind)
    if api == "make-n-copies":
        if bucket is None:
            raise Failure("a bucket has to be named: ais start mirror ais://bucket --copies 2")
        id = calls.act(client, "POST", bucket, api, copies)
    else:
        id = calls.start_job(client, api, bucket)
    finish(client, id, f"Started {_NAMES.get(api, api)}[{id}]", waits=waits, timeout=timeout)


def stop(
    job: JobArgument,
    uri: Annotated[
        str, typer.Argument(metavar="[BUCKET]", help="Only the kind's jobs on it.", show_default=False)
    ] = "",
) -> None:
    """Stop a job, or all jobs of a kind."""
    client, bucket = connect(), bucket_of(uri) if uri else None
    running = [
        each for _, each in _find(client, job) if not each.is_over and (bucket is None or bucket in each.buckets)
    ]
    if not running:
        raise Failure(f'no running job "{job}"', "to list jobs: ais show job")
    for each in running:
        calls.stop_job(client, each.id, each.kind)
        print(f"Stopped {_NAMES.get(each.kind, each.kind)}[{each.id}]")


def finish(client: Client, id: str, line: str, *, waits: bool, timeout: float | None) -> None:
    """Says that a job was started, and awaits it where that was asked for."""
    if not id:
        print(f"{line}. Done.")
        return
    if not waits and timeout is None:
        print(started(line, id))
        return
    print(f"{line} ...", end=" ", flush=True)
    try:
        for each in id.split(","):
            _wait(client, each, timeout)
    except Failure:
        print(flush=True)
        raise
    print("Done.")


def started(what: str, id: str) -> str:
    """The line for a job that goes on by itself."""
    return f"{what}. To monitor the progress, run 'ais show job {id}'"


def _wait(client: Client, id: str, timeout: float | None) -> None:
    """Waits for a job. Raises ``Failure`` where it failed."""
    with progress.bar(id, None, "objects", wanted=sys.stderr.isatty()) as bar:

        def watch(seen: Job) -> None:
            bar.expect(seen.total)
            bar.reach(seen.stats.loc_objs)

        job = calls.wait(client, id, timeout, watch)
    if job.aborted or job.error:
        raise Failure(_ending(job))


def _ending(job: Job) -> str:
    """How a job ended that did not do all of its work."""
    why = job.abort_error or job.error
    if not job.aborted:
        return f"job {job.id} failed: {why}"
    return f"job {job.id} was stopped" + ("" if why in {"", "stopped"} else f": {why}")
