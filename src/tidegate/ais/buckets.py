"""Buckets: listing, making, configuring, summing up and destroying them.

One path has many operations, which the action message tells apart. Those that start jobs are in ``work``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from enum import IntEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from tidegate import errors
from tidegate.ais import listing, summaries, work
from tidegate.ais.absent import refusal
from tidegate.ais.answers import as_json, identity
from tidegate.ais.call import Action, Call, Properties, decode, decode_optional
from tidegate.asgi import OPERATION
from tidegate.model import Bucket
from tidegate.names import AIS, BucketName, check_bucket_name, parse_namespace, provider_of
from tidegate.properties import present

if TYPE_CHECKING:
    from tidegate.ais.app import Handler
    from tidegate.ais.work import Act

PROPS_HEADER = "Ais-Bucket-Props"
SUMMARY_HEADER = "Ais-Bucket-Summ"
JOB_HEADER = "Ais-Xaction-Id"
# Buckets that are read from the catalog at a time.
_STEP = 1000


class Presence(IntEnum):
    """Where a client looks for buckets: in the cluster, which is what the catalog knows, or elsewhere too."""

    EXISTS = 0
    EXISTS_NO_PROPS = 1
    PRESENT = 2
    PRESENT_NO_PROPS = 3
    PRESENT_CLUSTER = 4
    EXISTS_OUTSIDE = 5


async def list_buckets(call: Call) -> Response:
    """All buckets that the caller may list, of one provider and namespace where the query names them."""
    action = await call.action()
    if action.action == "summary-bck":
        return await summaries.summarise(call, action, [bucket.identity for bucket in await _buckets(call)])
    if action.action not in {"list", ""}:
        raise _unknown("GET", action.action)
    known = [bucket.identity for bucket in await _buckets(call)]
    outside = await _outside(call)
    if _presence(call) is Presence.EXISTS_OUTSIDE:
        return as_json([identity(name) for name in sorted(outside - set(known))])
    return as_json([identity(name) for name in (*known, *sorted(outside - set(known)))])


async def _outside(call: Call) -> AbstractSet[BucketName]:
    """The buckets of another provider that the server may see there, where the query names that provider and says that
    it does not mean the cluster alone.
    """
    query = call.request.query_params
    provider = provider_of(query["provider"]) if query.get("provider") else AIS
    if provider == AIS or not query.get("presence") or query.get("namespace"):
        return set()
    if _presence(call) not in {Presence.EXISTS, Presence.EXISTS_NO_PROPS, Presence.EXISTS_OUTSIDE}:
        return set()
    return set(await call.gateway.buckets.names_elsewhere(call.principal, provider))


async def _buckets(call: Call) -> list[Bucket]:
    query = call.request.query_params
    provider = provider_of(query["provider"]) if query.get("provider") else None
    namespace = parse_namespace(query["namespace"]) if query.get("namespace") else None
    return [
        bucket
        async for bucket in every_bucket(call)
        if provider in {None, bucket.provider} and namespace in {None, bucket.namespace}
    ]


async def every_bucket(call: Call) -> AsyncIterator[Bucket]:
    """All buckets that the caller may list."""
    after: str | None = ""
    while after is not None:
        page = await call.gateway.buckets.list(call.principal, after=after, limit=_STEP)
        for bucket in page.buckets:
            yield bucket
        after = page.last


async def head_bucket(call: Call) -> Response:
    """A bucket's properties, and with ``bsumm_remote`` its summary (see ``summaries``)."""
    presence = _presence(call)
    may_be_new = presence in {Presence.EXISTS, Presence.EXISTS_NO_PROPS} and not (
        call.has_set("dont_add_remote_bck_md") or call.has_set("dont_head_remote_bck")
    )
    bucket = await call.gateway.buckets.get(call.principal, call.bucket, may_be_new=may_be_new)
    if presence is Presence.EXISTS_OUTSIDE:
        raise errors.NoSuchBucket(f'bucket "{bucket.identity.uri}" is in the cluster', BucketName=bucket.name)
    headers = {}
    if presence not in {Presence.EXISTS_NO_PROPS, Presence.PRESENT_NO_PROPS}:
        headers[PROPS_HEADER] = _header(properties(bucket))
    query = call.request.query_params
    if "bsumm_remote" not in query:
        return Response(headers=headers)
    job = query.get("uuid")
    if not job:
        await call.gateway.buckets.get(call.principal, call.bucket, "s3:ListBucket")
        headers[JOB_HEADER] = summaries.id_of(call.request.path_params.get("prefix", ""))
        return Response(status_code=HTTPStatus.ACCEPTED, headers=headers)
    counts_remote = query["bsumm_remote"].lower() in {"true", "1"}
    found = await summaries.summary(call, call.bucket, summaries.prefix_of(job), counts_remote=counts_remote)
    return Response(headers={**headers, JOB_HEADER: job, SUMMARY_HEADER: _header(found)})


async def bucket_action(call: Call) -> Response:
    """Whatever the action message says is to be done with a bucket."""
    action = await call.action()
    method = call.request.method
    act = _ACTIONS.get((method, action.action)) or work.BUCKET_ACTIONS.get((method, action.action))
    if act is None:
        raise _unknown(method, action.action)
    call.request.scope[OPERATION] = f"ais.{act.__name__}"
    return await act(call, action)


async def create_bucket(call: Call, action: Action) -> Response:
    """Makes a bucket. One of another provider becomes known here, if it is there: that is not looked up where the query
    says ``dont_head_remote_bck``.
    """
    check_bucket_name(call.bucket.name)
    wanted = decode_optional(action.value, Properties) or {}
    await call.gateway.buckets.create(
        call.principal, call.bucket, properties=wanted, looks_up=not call.has_set("dont_head_remote_bck")
    )
    return Response()


async def destroy_bucket(call: Call, action: Action) -> Response:
    """Removes a bucket with all that is in it. One of another provider stays what it is there."""
    del action
    await call.gateway.buckets.destroy(call.principal, call.bucket)
    return Response()


async def evict_bucket(call: Call, action: Action) -> Response:
    """Forgets what is cached of a bucket that another provider keeps; and, but for ``keep_bck_md`` or a bucket of ours
    that shows another one, the bucket.
    """
    del action
    await call.gateway.buckets.evict(call.principal, call.bucket)
    if call.bucket.is_remote and not call.has_set("keep_bck_md"):
        await call.gateway.buckets.destroy(call.principal, call.bucket)
    return Response()


async def set_properties(call: Call, action: Action) -> Response:
    """Changes properties: flat names, a partial tree, or both. Answers the id of the job that this starts, if any."""
    changes = decode(action.value, Properties)
    return await _changed(call, *await call.gateway.buckets.set_properties(call.principal, call.bucket, changes))


async def reset_properties(call: Call, action: Action) -> Response:
    """Gives a bucket the properties that a new one would have. Answers as ``set_properties``."""
    del action
    return await _changed(call, *await call.gateway.buckets.reset_properties(call.principal, call.bucket))


async def _changed(call: Call, before: Bucket, after: Bucket) -> Response:
    """Where a bucket asks for another number of copies, a job shows when they are there. They are made in any case."""
    if before.copies == after.copies:
        return Response()
    try:
        job = await call.gateway.jobs.await_copies(call.principal, call.bucket)
    except errors.SlowDown:  # too many jobs to show one more; the properties are set
        return Response()
    return Response(job.id, media_type="text/plain")


async def summarise_bucket(call: Call, action: Action) -> Response:
    """How much is in a bucket. See ``summaries``."""
    return await summaries.summarise(call, action, [call.bucket])


def properties(bucket: Bucket) -> dict[str, object]:
    """All of a bucket's properties as AIStore's JSON, those that cannot be set among them."""
    return {
        **identity(bucket.identity),
        **present(bucket.properties),
        "bid": f"0x{bucket.id:x}",
        "created": str(bucket.created * 1000),
        "present": True,
        "renamed": "",
    }


def _header(document: Mapping[str, object]) -> str:
    """JSON that a header can take: all in ASCII."""
    return json.dumps(document, separators=(",", ":"))


def _presence(call: Call) -> Presence:
    text = call.request.query_params.get("presence") or "0"
    try:
        return Presence(int(text))
    except ValueError:
        raise errors.InvalidArgument(f'invalid presence "{text}"') from None


_ACTIONS: Final[Mapping[tuple[str, str], Act]] = MappingProxyType(
    {
        ("GET", ""): listing.list_objects,
        ("GET", "list"): listing.list_objects,
        ("GET", "summary-bck"): summarise_bucket,
        ("POST", "create-bck"): create_bucket,
        ("DELETE", "destroy-bck"): destroy_bucket,
        ("DELETE", "evict-remote-bck"): evict_bucket,
        ("PATCH", "set-bprops"): set_properties,
        ("PATCH", "reset-bprops"): reset_properties,
    }
)


def _unknown(method: str, action: str) -> errors.Error:
    """Why an action is not done: AIStore has it and this system does not, or nobody has it."""
    return refusal(action) or errors.InvalidArgument(f'{method} knows no action "{action}" here')


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v1/buckets", list_buckets),
    ("GET", "/v1/buckets/", list_buckets),
    ("HEAD", "/v1/buckets/{bucket}", head_bucket),
    ("HEAD", "/v1/buckets/{bucket}/{prefix:path}", head_bucket),
    *((method, "/v1/buckets/{bucket}", bucket_action) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
)
