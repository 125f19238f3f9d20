"""How jobs go: what has ended, what runs, and what was done so far. All jobs run on the one node that there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from tidegate import errors
from tidegate.ais import gotime, nodes
from tidegate.ais.answers import as_json, identity
from tidegate.ais.call import Call, decode
from tidegate.gateway.assignments import Kind
from tidegate.names import BucketName

if TYPE_CHECKING:
    from tidegate.gateway.jobs import Job

# How Go writes no time at all.
_NO_TIME: Final = "0001-01-01T00:00:00Z"
_RFC3339: Final = "2006-01-02T15:04:05.000000Z07:00"
_NANOSECONDS_EACH: Final = 1000
# Names that people know kinds by, beside the ones that clients send.
_DISPLAYED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cleanup": Kind.CLEAN_UP,
        "store-cleanup": Kind.CLEAN_UP,
        "lru-eviction": Kind.EVICT_LEAST_USED,
        "mirror": Kind.MAKE_COPIES,
        "copy-bucket": Kind.COPY_BUCKET,
        "rename-bucket": Kind.MOVE_BUCKET,
        "copy-objects": Kind.COPY_OBJECTS,
        "delete-objects": Kind.DELETE_OBJECTS,
        "prefetch-objects": Kind.PREFETCH_OBJECTS,
        "evict-objects": Kind.EVICT_OBJECTS,
        "promote-files": Kind.PROMOTE,
    }
)


def kind_of(name: str) -> str:
    """The kind that is called so."""
    return _DISPLAYED.get(name, name)


class Asked(msgspec.Struct):
    """Which jobs a message is about."""

    job: str = msgspec.field(default="", name="ID")
    kind: str = msgspec.field(default="", name="Kind")


class _Listed(msgspec.Struct):
    kind: str = ""
    node: str = ""
    show_active: bool = False


async def show_job(call: Call) -> Response:
    """Whether a job, or the newest of a kind, has ended, and how."""
    asked = await _asked(call, Asked)
    if asked.job:
        return as_json(_status(await call.gateway.jobs.get(call.principal, asked.job)))
    found = await call.gateway.jobs.list(call.principal, kind_of(asked.kind))
    if not found:
        raise errors.NoSuchJob(f'there is no job of kind "{asked.kind}"')
    return as_json(_status(found[0]))


async def list_jobs(call: Call) -> Response:
    """The same of all jobs that are remembered."""
    return as_json([_status(job) for job in await _list(call)])


async def list_running_jobs(call: Call) -> Response:
    """Names of jobs that have not ended, each with its kind."""
    return as_json([f"{job.kind}[{job.id}]" for job in await _list(call, only_pending=True)])


async def show_progress(call: Call) -> Response:
    """What jobs have done so far, by the node that does them."""
    asked = await _asked(call, Asked)
    found: Sequence[Job]
    if asked.job:
        try:
            found = [await call.gateway.jobs.get(call.principal, asked.job)]
        except errors.NoSuchJob:  # nobody on this node has seen it
            found = []
    else:
        found = await call.gateway.jobs.list(call.principal, kind_of(asked.kind))
    node = nodes.target_id(await call.gateway.system.identify())
    return as_json({node: [_snapshot(job) for job in found]})


async def _asked(call: Call, kind: type[Asked]) -> Asked:
    body = await call.body()
    return decode(body, kind) if body.strip() else kind()


async def _list(call: Call, *, only_pending: bool = False) -> Sequence[Job]:
    body = await call.body()
    wanted = decode(body, _Listed) if body.strip() else _Listed()
    found = await call.gateway.jobs.list(
        call.principal, kind_of(wanted.kind), only_pending=only_pending or wanted.show_active
    )
    elsewhere = wanted.node and wanted.node != nodes.target_id(await call.gateway.system.identify())
    return [] if elsewhere else found


def _status(job: Job) -> dict[str, object]:
    return {
        "kind": job.kind,
        "uuid": job.id,
        "err": job.error,
        "start_time": (job.started or job.created) * _NANOSECONDS_EACH,
        "end_time": (job.ended or 0) * _NANOSECONDS_EACH,
        "aborted": _has_broken_off(job),
        "is_idle": job.is_over,
    }


def _snapshot(job: Job) -> dict[str, object]:
    broken_off = _has_broken_off(job)
    source = None if job.source is None else identity(job.source.name)
    destination = None if job.destination is None else identity(job.destination.name)
    return {
        "ext": None,
        "id": job.id,
        "kind": job.kind,
        "start-time": _time(job.started or job.created),
        "end-time": _time(job.ended),
        "bck": source or destination or identity(BucketName("")),
        "src-bck": source,
        "dst-bck": destination,
        "ctlmsg": "" if job.total is None else f"{job.objects} of {job.total} objects",
        "abort-err": job.error or "stopped" if broken_off else "",
        "err": job.error,
        "glob.id": "0",
        "stats": {
            "loc-objs": str(job.objects),
            "loc-bytes": str(job.size),
            "out-objs": "0",
            "out-bytes": "0",
            "in-objs": "0",
            "in-bytes": "0",
        },
        "aborted": broken_off,
        "is_idle": job.is_over,
    }


def _has_broken_off(job: Job) -> bool:
    return job.is_over and not job.has_finished


def _time(microseconds: int | None) -> str:
    if microseconds is None:
        return _NO_TIME
    return gotime.write(_RFC3339, microseconds)
