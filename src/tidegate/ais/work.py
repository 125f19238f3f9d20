"""Jobs: the requests that start one, or stop it. Those that ask how it goes are in ``progress``.

A request that starts a job is answered with the job's id, as text. All jobs run on the one node that there is. What
AIStore's jobs do and ours need not (``force`` over others that are under way, a number of workers, the latest version
of what is here anyway) makes no difference.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from tidegate import errors
from tidegate.ais import progress
from tidegate.ais.absent import refusal
from tidegate.ais.call import Action, Call, decode, decode_optional
from tidegate.ais.progress import Asked, kind_of
from tidegate.gateway.assignments import Kind
from tidegate.gateway.selection import Selection, parse, renaming
from tidegate.names import AIS, BucketName, parse_bucket_uri, parse_namespace, provider_of

if TYPE_CHECKING:
    from tidegate.gateway.jobs import Job

Act = Callable[[Call, Action], Awaitable[Response]]
Query = Callable[[Call], Awaitable[Response]]


# --- what clients send -----------------------------------------------------------------------------------------------


class _Namespace(msgspec.Struct):
    uuid: str = ""
    name: str = ""


class _Bucket(msgspec.Struct):
    """A bucket in a message."""

    name: str = ""
    provider: str = ""
    namespace: _Namespace | None = None

    def identity(self) -> BucketName:
        """Raises ``InvalidArgument``."""
        space = self.namespace or _Namespace()
        if not self.name:
            raise errors.InvalidArgument("the message has a bucket without a name")
        return BucketName(self.name, provider_of(self.provider or AIS), parse_namespace(f"@{space.uuid}#{space.name}"))


class _Selected(msgspec.Struct):
    """Which objects."""

    objnames: list[str] | None = None
    template: str | None = None
    coer: bool = False

    def selection(self) -> Selection:
        return parse(self.objnames, self.template)


class _Prefetch(_Selected):
    latest: bool = msgspec.field(default=False, name="latest-ver")


class _Copy(msgspec.Struct):
    """How objects are copied."""

    ext: dict[str, str] | None = None
    prepend: str = ""
    prefix: str = ""
    dry_run: bool = False
    coer: bool = False


class _CopySelected(_Selected):
    ext: dict[str, str] | None = None
    prepend: str = ""
    dry_run: bool = False
    tobck: _Bucket | None = None


class _Archive(_Selected):
    archname: str = ""
    mime: str = ""
    isbn: bool = False
    aate: bool = False
    tobck: _Bucket | None = None


class _Promote(msgspec.Struct):
    src: str = ""
    obj: str = ""
    rcr: bool = False
    ovw: bool = False
    dls: bool = False


# --- starting --------------------------------------------------------------------------------------------------------


async def copy_bucket(call: Call, action: Action) -> Response:
    wanted = decode_optional(action.value, _Copy) or _Copy()
    job = await call.gateway.jobs.copy(
        call.principal,
        call.bucket,
        _destination(call),
        renaming=renaming(wanted.prepend, wanted.ext or {}),
        prefix=wanted.prefix,
        is_dry_run=wanted.dry_run,
        goes_on=wanted.coer,
    )
    return _started(job)


async def move_bucket(call: Call, action: Action) -> Response:
    del action
    return _started(await call.gateway.jobs.move(call.principal, call.bucket, _destination(call)))


async def copy_objects(call: Call, action: Action) -> Response:
    wanted = decode(action.value, _CopySelected)
    job = await call.gateway.jobs.copy(
        call.principal,
        call.bucket,
        wanted.tobck.identity() if wanted.tobck is not None else call.bucket,
        wanted.selection(),
        renaming(wanted.prepend, wanted.ext or {}),
        is_dry_run=wanted.dry_run,
        goes_on=wanted.coer,
    )
    return _started(job)


async def delete_objects(call: Call, action: Action) -> Response:
    wanted = decode(action.value, _Selected)
    job = await call.gateway.jobs.delete(call.principal, call.bucket, wanted.selection(), goes_on=wanted.coer)
    return _started(job)


async def evict_objects(call: Call, action: Action) -> Response:
    wanted = decode(action.value, _Selected)
    return _started(await call.gateway.jobs.evict(call.principal, call.bucket, wanted.selection()))


async def prefetch_objects(call: Call, action: Action) -> Response:
    wanted = decode(action.value, _Prefetch)
    job = await call.gateway.jobs.prefetch(
        call.principal, call.bucket, wanted.selection(), latest=wanted.latest, goes_on=wanted.coer
    )
    return _started(job)


async def archive_objects(call: Call, action: Action) -> Response:
    wanted = decode(action.value, _Archive)
    job = await call.gateway.jobs.archive(
        call.principal,
        call.bucket,
        wanted.tobck.identity() if wanted.tobck is not None and wanted.tobck.name else call.bucket,
        wanted.archname,
        wanted.selection(),
        mime=wanted.mime,
        names_bucket=wanted.isbn,
        appends=wanted.aate,
        goes_on=wanted.coer,
    )
    return _started(job)


async def make_copies(call: Call, action: Action) -> Response:
    copies = decode(action.value, int)
    return _started(await call.gateway.jobs.make_copies(call.principal, call.bucket, copies))


async def promote_files(call: Call, action: Action) -> Response:
    wanted = decode_optional(action.value, _Promote) or _Promote()
    job = await call.gateway.jobs.promote(
        call.principal,
        call.bucket,
        wanted.src or action.name,
        wanted.obj,
        is_recursive=wanted.rcr,
        overwrites=wanted.ovw,
        deletes_source=wanted.dls,
    )
    return _started(job)


async def start_job(call: Call, action: Action) -> Response:
    """Starts a job of a kind that needs no more than that."""
    kind = kind_of(decode(action.value, Asked).kind)
    match kind:
        case Kind.CLEAN_UP:
            return _started(await call.gateway.jobs.clean_up(call.principal))
        case Kind.EVICT_LEAST_USED:
            return _started(await call.gateway.jobs.evict_least_used(call.principal))
    if kind in list(Kind):
        raise errors.InvalidArgument(
            f'a job of kind "{kind}" needs to be told more: start it with a request of its own'
        )
    raise refusal(kind) or errors.NotImplementedByServer(f'Jobs of kind "{kind}" are not implemented.')


async def stop_job(call: Call, action: Action) -> Response:
    """Stops a job, or all of a kind."""
    asked = decode(action.value, Asked)
    if asked.job:
        await call.gateway.jobs.stop(call.principal, asked.job)
    elif asked.kind:
        await call.gateway.jobs.stop_kind(call.principal, kind_of(asked.kind))
    else:
        raise errors.InvalidArgument("name a job, or a kind of jobs, to stop")
    return Response()


def _destination(call: Call) -> BucketName:
    """The bucket that the query names, as ``ais/@#/name/`` or by its URI. Raises ``InvalidArgument``."""
    text = call.request.query_params.get("bck_to", "")
    if "://" in text:
        return parse_bucket_uri(text)
    parts = text.rstrip("/").split("/")
    if len(parts) != 3 or not parts[2]:
        raise errors.InvalidArgument(f'bck_to="{text}" does not name a bucket')
    return BucketName(parts[2], provider_of(parts[0] or AIS), parse_namespace(parts[1]))


def _started(job: Job) -> Response:
    return Response(job.id, media_type="text/plain")


# --- what others have of this ----------------------------------------------------------------------------------------

# Actions on ``/v1/buckets/{bucket}`` that start jobs, by method and action.
BUCKET_ACTIONS: Final[Mapping[tuple[str, str], Act]] = MappingProxyType(
    {
        ("POST", "copy-bck"): copy_bucket,
        ("POST", "move-bck"): move_bucket,
        ("POST", "copy-listrange"): copy_objects,
        ("POST", "prefetch-listrange"): prefetch_objects,
        ("POST", "make-n-copies"): make_copies,
        ("PUT", "archive"): archive_objects,
        ("DELETE", "delete-listrange"): delete_objects,
        ("DELETE", "evict-listrange"): evict_objects,
    }
)
# Actions on ``/v1/objects/{bucket}`` (POST), by action.
OBJECT_ACTIONS: Final[Mapping[str, Act]] = MappingProxyType({"promote": promote_files})
# ``GET /v1/cluster?what=`` and actions of ``PUT /v1/cluster``.
CLUSTER_QUERIES: Final[Mapping[str, Query]] = MappingProxyType(
    {
        "status": progress.show_job,
        "status_all": progress.list_jobs,
        "running_all": progress.list_running_jobs,
        "qryxstats": progress.show_progress,
    }
)
CLUSTER_ACTIONS: Final[Mapping[str, Act]] = MappingProxyType({"start": start_job, "stop": stop_job})
