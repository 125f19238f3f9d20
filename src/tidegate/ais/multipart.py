"""Multipart uploads, as AIStore's clients make them. They are the same uploads that S3's clients see."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from tidegate import errors
from tidegate.ais import attributes, custom
from tidegate.ais.bodies import open_body
from tidegate.ais.call import Action, Call, decode
from tidegate.gateway.native import check_metadata
from tidegate.gateway.objects import NewObject

# Amazon S3.
MAX_PARTS = 10_000
NULL = b"null"


class _Part(msgspec.Struct, frozen=True, rename={"number": "part-number"}):
    number: int
    etag: str = ""


async def create(call: Call, key: str) -> Response:
    metadata = custom.parse_headers(call.request.headers.getlist(custom.HEADER))
    check_metadata(metadata)
    upload = await call.gateway.multipart.create(call.principal, call.bucket, key, NewObject(metadata=metadata))
    return Response(upload.id, media_type="text/plain")


async def put_part(call: Call, key: str) -> Response:
    number = _number(call.request.query_params.get("partNumber", ""))
    part, _ = await call.gateway.multipart.put_part(
        call.principal, call.bucket, key, _upload_id(call), number, open_body(call.request)
    )
    return attributes.respond([("etag", f'"{part.etag}"')])


async def complete(call: Call, key: str, action: Action) -> Response:
    parts = decode(action.value, list[_Part]) if bytes(action.value) != NULL else []
    etags: Mapping[int, str] = {_number(str(part.number)): part.etag.strip('"') for part in parts}
    if not etags:
        raise errors.InvalidArgument("no parts: an upload is completed with one part at least")
    completed = await call.gateway.native.complete(call.principal, call.bucket, key, _upload_id(call), etags)
    return attributes.respond([("etag", f'"{completed.etag}"')])


async def abort(call: Call, key: str) -> Response:
    await call.gateway.multipart.abort(call.principal, call.bucket, key, _upload_id(call))
    return attributes.respond([])


def _upload_id(call: Call) -> str:
    upload_id = call.request.query_params.get("uploadId", "")
    if not upload_id:
        raise errors.InvalidArgument("uploadId is missing")
    return upload_id


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PARTS)) and 1 <= int(text) <= MAX_PARTS):
        raise errors.InvalidArgument(f'invalid part number "{text[:20]}": not a number from 1 to {MAX_PARTS}')
    return int(text)
