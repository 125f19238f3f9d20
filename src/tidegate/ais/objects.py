"""Objects: reading, writing, appending, copying, renaming, describing and deleting them (``/v1/objects``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from tidegate import asgi, errors, ranges
from tidegate.ais import archives, attributes, batch, custom, multipart, work
from tidegate.ais.absent import ETL, refusal
from tidegate.ais.bodies import NativeBody, declared_checksum, open_body
from tidegate.ais.call import Action, Call, decode
from tidegate.ais.streams import Stream
from tidegate.ais.uname import parse_uname
from tidegate.asgi import begun
from tidegate.gateway.appends import Handle, parse_handle
from tidegate.gateway.copying import Source
from tidegate.gateway.multipart import MAX_OBJECT_SIZE
from tidegate.gateway.native import check_metadata
from tidegate.gateway.objects import NewObject
from tidegate.gateway.reading import Span
from tidegate.gateway.selection import check_key

if TYPE_CHECKING:
    from tidegate.ais.app import Handler

APPEND_HANDLE = "ais-append-handle"
RENAME = ("ais:MoveObject",)
NULL = b"null"
# AIStore's values of ``presence`` that mean what is here, and not what another provider has.
_PRESENT = frozenset({"2", "3", "4"})


class _Key(Convertor[str]):
    """The rest of a path, whatever is in it: a key may have slashes and line breaks."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("key", _Key())


def object_key(call: Call) -> str:
    """The object's name in the path. Raises ``KeyTooLongError``, ``InvalidArgument``."""
    check_key(call.key)
    return call.key


# --- reading ---------------------------------------------------------------------------------------------------------


async def head_object(call: Call) -> Response:
    props = attributes.wanted_props(call.request.query_params)
    described = await call.gateway.native.describe(call.principal, call.bucket, object_key(call))
    if call.request.query_params.get("presence") in _PRESENT and not described.is_present:
        raise errors.NoSuchKey(f"{call.bucket.uri}/{call.key} is not in the cluster", Key=call.key)
    return attributes.respond(await attributes.of_description(call, described, props))


async def get_object(call: Call) -> Response:
    _refuse_transformation(call)
    if archives.is_wanted(call):
        return await archives.get(call, object_key(call))
    wanted = call.request.headers.get("range", "")
    reading = await call.gateway.objects.read(
        call.principal,
        call.bucket,
        object_key(call),
        span=Span(*ranges.expected(wanted)),
        latest=call.request.query_params.get("latest-ver", "").lower() in {"true", "1", "yes", "on"},
    )
    version = reading.version
    start, length, status = 0, version.size, 200
    headers: attributes.Headers = [("content-type", attributes.CONTENT_TYPE), ("accept-ranges", "bytes")]
    headers += attributes.of_version(version)
    selected = ranges.evaluate(wanted, version.size)
    if selected is not None:
        start, length = selected
        status = 206
        headers.append(("content-range", f"bytes {start}-{start + length - 1}/{version.size}"))
    headers.append(("content-length", str(length)))
    if reading.data is not None:
        return attributes.respond(headers, status, reading.data[start : start + length])
    if not length:
        return attributes.respond(headers, status)
    return Stream(await begun(reading.stream(start, length)), status, headers)


# --- writing ---------------------------------------------------------------------------------------------------------


async def put_object(call: Call) -> Response:
    """One of several things, which the query tells apart."""
    _refuse_transformation(call)
    query = call.request.query_params
    if "append_type" in query:
        return await _append(call)
    if "uploadId" in query or "partNumber" in query:
        return await multipart.put_part(call, object_key(call))
    if "object_to" in query:
        return await _copy(call)
    if "archpath" in query:
        return await archives.put(call, object_key(call))
    metadata = custom.parse_headers(call.request.headers.getlist(custom.HEADER))
    check_metadata(metadata)
    version = await call.gateway.objects.put(
        call.principal,
        call.bucket,
        object_key(call),
        open_body(call.request),
        NewObject(metadata=metadata),
        max_size=MAX_OBJECT_SIZE,
    )
    return attributes.respond(attributes.of_version(version, {"checksum", "version", "etag"}))


async def _append(call: Call) -> Response:
    key, query = object_key(call), call.request.query_params
    kind, given = query["append_type"], query.get("append_handle", "")
    if kind not in {"append", "flush"}:
        raise errors.InvalidArgument(f'invalid append type "{kind[:100]}": neither "append" nor "flush"')
    handle = parse_handle(given) if given else None
    if kind == "append":
        handle = await call.gateway.appends.append(call.principal, call.bucket, key, handle, open_body(call.request))
        return attributes.respond([(APPEND_HANDLE, str(handle))])
    return await _flush(call, key, handle)


async def _flush(call: Call, key: str, handle: Handle | None) -> Response:
    """Ends an append. What the request carries is the last piece; its checksum headers are for the whole object."""
    expected = declared_checksum(call.request)
    if asgi.body_size(call.request.headers) != 0:
        body = NativeBody(call.request, None)
        handle = await call.gateway.appends.append(call.principal, call.bucket, key, handle, body)
    if handle is None:
        raise errors.InvalidArgument("a flush needs the handle of what was appended")
    await call.gateway.appends.flush(call.principal, call.bucket, key, handle, expected)
    return attributes.respond([])


async def _copy(call: Call) -> Response:
    bucket, key = parse_uname(call.request.query_params["object_to"])
    source = Source(call.bucket, object_key(call))
    copied = await call.gateway.copying.copy(call.principal, source, bucket, key)
    return attributes.respond(attributes.of_version(copied.version, {"checksum", "version", "etag"}))


async def delete_object(call: Call) -> Response:
    key, action = object_key(call), await call.action()
    if action.action == "mpt-abort":
        return await multipart.abort(call, key)
    if action.action in {"evict-listrange", "evict-objects"}:
        await call.gateway.native.evict(call.principal, call.bucket, key)
        return attributes.respond([])
    if action.action:
        raise _unknown(action)
    await call.gateway.native.remove(call.principal, call.bucket, key)
    return attributes.respond([])


async def patch_object(call: Call) -> Response:
    """Sets custom metadata: beside what is there, or instead of it."""
    action = await call.action()
    values = custom.parse_values(decode(action.value, dict[str, str]) if bytes(action.value) != NULL else {})
    replace = call.has_set("set-new-custom")
    await call.gateway.native.set_metadata(call.principal, call.bucket, object_key(call), values, replace=replace)
    return attributes.respond([])


# --- actions ---------------------------------------------------------------------------------------------------------


async def post_object(call: Call) -> Response:
    key, action = object_key(call), await call.action()
    match action.action:
        case "mpt-upload":
            return await multipart.create(call, key)
        case "mpt-complete":
            return await multipart.complete(call, key, action)
        case "rename-obj":
            source = Source(call.bucket, key)
            check_key(action.name)
            await call.gateway.copying.rename(call.principal, call.bucket, source, action.name, actions=RENAME)
            return attributes.respond([])
        case "check-lock":  # a write is one transaction: nobody ever finds an object locked
            await call.gateway.buckets.get(call.principal, call.bucket, "ais:HeadObject")
            return attributes.respond([])
    raise _unknown(action)


async def post_objects(call: Call) -> Response:
    """What is done to objects of a bucket, in jobs."""
    action = await call.action()
    act = work.OBJECT_ACTIONS.get(action.action)
    if act is None:
        raise _unknown(action)
    return await act(call, action)


def _unknown(action: Action) -> errors.Error:
    return refusal(action.action) or errors.NotImplementedByServer(
        f'The action "{action.action[:100]}" on an object is not implemented.'
    )


def _refuse_transformation(call: Call) -> None:
    if call.request.query_params.get("etl_name"):
        raise errors.NotImplementedByServer(ETL)


_OBJECT = "/v1/objects/{bucket}/{key:key}"

# HEAD stands before GET, which would answer it too.
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("HEAD", _OBJECT, head_object),
    ("GET", _OBJECT, get_object),
    ("PUT", _OBJECT, put_object),
    ("DELETE", _OBJECT, delete_object),
    ("PATCH", _OBJECT, patch_object),
    ("POST", _OBJECT, post_object),
    ("POST", "/v1/objects/{bucket}", post_objects),
    *batch.ROUTES,
)
