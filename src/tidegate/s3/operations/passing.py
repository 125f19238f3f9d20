"""Reading and writing objects by requests that are signed for the remote which keeps them."""

from __future__ import annotations

from tidegate import errors
from tidegate.gateway.reading import UNKNOWN, Span
from tidegate.passage import Passage
from tidegate.s3 import fields, ranges
from tidegate.s3.call import Call, Response
from tidegate.s3.operations.objects import answer_reading, answer_written
from tidegate.s3.passing import may_keep
from tidegate.s3.payload import open_payload


async def put_object(call: Call) -> Response:
    payload = open_payload(call)
    spool = call.gateway.passing.spool() if payload.is_framed else None
    if spool is not None:
        payload.watch(spool.write)
    version = await call.gateway.passing.put(
        call.principal,
        call.bucket,
        call.key,
        payload,
        fields.new_object(call.headers),
        _passage(call),
        spool=spool,
        keeps=may_keep(call.query),
    )
    return answer_written(version)


async def read_object(call: Call) -> Response:
    with_body = call.method != "HEAD"
    reading = await call.gateway.passing.read(
        call.principal,
        call.bucket,
        call.key,
        _passage(call),
        preconditions=fields.preconditions(call.headers),
        span=Span(*ranges.expected(call.headers.get("range", ""))) if with_body else UNKNOWN,
    )
    return await answer_reading(call, reading, with_body=with_body)


def _passage(call: Call) -> Passage:
    if call.passage is None:
        raise errors.InvalidRequest
    return call.passage


HANDLERS = {"GetObject": read_object, "HeadObject": read_object, "PutObject": put_object}
