"""Writing and reading objects."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from tidegate import errors
from tidegate.asgi import Headers, begun
from tidegate.clock import SECOND
from tidegate.gateway.reading import ALL, UNKNOWN, Reading, Span
from tidegate.model import COMPOSITE, STANDARD, ObjectPart, Version
from tidegate.preconditions import if_range_holds
from tidegate.s3 import fields, ranges
from tidegate.s3.call import SIZE_DIGITS, Call, Response, whole_number
from tidegate.s3.payload import open_payload
from tidegate.s3.target import CONTROL

MAX_PART_NUMBER = 10_000  # Amazon S3

_ACCEPT_RANGES = (b"accept-ranges", b"bytes")
_DEFAULT_CONTENT_TYPE = (b"content-type", fields.DEFAULT_CONTENT_TYPE.encode())


async def put_object(call: Call) -> Response:
    headers = call.headers
    if "x-amz-rename-source" in headers:
        raise errors.InvalidRequest("x-amz-rename-source needs the sub-resource renameObject.")
    given = headers.get("x-amz-write-offset-bytes")
    offset = None if given is None else whole_number(given, SIZE_DIGITS)
    if given is not None and offset is None:
        raise errors.InvalidArgument(
            "The write offset is not a number of bytes.", ArgumentName="x-amz-write-offset-bytes"
        )
    version = await call.gateway.objects.put(
        call.principal,
        call.name,
        call.key,
        open_payload(call),
        fields.new_object(headers),
        preconditions=fields.preconditions(headers),
        write_offset=offset,
    )
    return answer_written(version, with_size=offset is not None)


def answer_written(version: Version, *, with_size: bool = False) -> Response:
    """The answer to a request that has written an object."""
    answer = [(b"etag", fields.quoted(version.etag)), *fields.new_version_headers(version.version_id)]
    answer += fields.checksum_headers(version.attributes.checksums, version.attributes.checksum_type)
    if with_size:
        answer.append((b"x-amz-object-size", b"%d" % version.size))
    return Response(200, answer)


def head_object(call: Call) -> Awaitable[Response]:
    return _read(call, with_body=False)


def get_object(call: Call) -> Awaitable[Response]:
    return _read(call, with_body=True)


async def _read(call: Call, *, with_body: bool) -> Response:
    reading = await call.gateway.objects.read(
        call.principal,
        call.name,
        call.key,
        call.version_id,
        preconditions=fields.preconditions(call.headers),
        span=_span(call.headers.get("range")) if with_body else UNKNOWN,
    )
    return await answer_reading(call, reading, with_body=with_body)


def _span(header: str | None) -> Span:
    """What a Range header asks for."""
    return ALL if header is None else Span(*ranges.expected(header))


async def answer_reading(call: Call, reading: Reading, *, with_body: bool) -> Response:
    """The answer to a request for an object that was found."""
    version = reading.version
    headers = object_headers(version)
    start, length, status = 0, version.size, 200
    sums: Mapping[str, str] = {}
    if "partNumber" in call.query:
        start, part, count = await _part(call, reading)
        length, status = part.size, 206 if part.size else 200  # a Content-Range cannot name no bytes
        if count:
            headers.append((b"x-amz-mp-parts-count", b"%d" % count))
        if version.attributes.checksum_type == COMPOSITE:
            sums = part.checksums
    elif (header := call.headers.get("range")) is not None and if_range_holds(call.headers.get("if-range"), version):
        selected = ranges.evaluate(header, version.size)
        if selected is not None:
            start, length = selected
            status = 206
    if status == 206:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, start + length - 1, version.size)))
    if call.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        if length == version.size and not sums:
            sums = version.attributes.checksums
        headers += fields.checksum_headers(sums, version.attributes.checksum_type)
    _override(call, headers)
    data = b"" if length == 0 else reading.data
    if with_body and data is not None:
        return Response(status, headers, data if status == 200 else data[start : start + length])
    headers.append((b"content-length", b"%d" % length))
    return Response(status, headers, await begun(reading.stream(start, length)) if with_body else b"")


def object_headers(version: Version) -> Headers:
    """The headers that describe an object, but for its length."""
    attributes = version.attributes
    headers = [
        (b"etag", fields.quoted(version.etag)),
        (b"last-modified", fields.http_date(version.modified // SECOND)),
        _ACCEPT_RANGES,
    ]
    for name, value in attributes.headers.items():
        headers.append((name.encode(), fields.wire(value)))
    if "content-type" not in attributes.headers:
        headers.append(_DEFAULT_CONTENT_TYPE)
    for name, value in attributes.metadata.items():
        headers.append((f"{fields.METADATA_PREFIX}{name}".encode("latin-1"), fields.wire(value)))
    headers += fields.version_headers(version)
    if version.storage_class != STANDARD:
        headers.append((b"x-amz-storage-class", version.storage_class.encode()))
    if version.tags:
        headers.append((b"x-amz-tagging-count", b"%d" % len(version.tags)))
    if attributes.website_redirect:
        headers.append((b"x-amz-website-redirect-location", fields.wire(attributes.website_redirect)))
    return headers


async def _part(call: Call, reading: Reading) -> tuple[int, ObjectPart, int]:
    """First byte of the part that is asked for, the part, and how many there are: 0 where it stands for the object."""
    if "range" in call.headers:
        raise errors.InvalidRequest("Cannot specify both Range header and partNumber query parameter")
    number = call.number("partNumber", 0, 1, 2**31)
    if number > MAX_PART_NUMBER:
        raise errors.InvalidArgument(
            f"Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=call.query["partNumber"],
        )
    parts = await reading.parts()
    start = 0
    for part in parts:
        if part.number == number:
            return start, part, len(parts)
        start += part.size
    if parts or number > 1:
        raise errors.InvalidPartNumber(PartNumberRequested=str(number), ActualPartCount=str(len(parts) or 1))
    return 0, ObjectPart(number, reading.version.size), 0


def _override(call: Call, headers: Headers) -> None:
    """Puts the ``response-*`` fields of the query in place of the stored headers.

    Only who signs a request may do so.
    """
    overrides = {
        fields.RESPONSE_OVERRIDES[name]: value
        for name, value in call.query.items()
        if name in fields.RESPONSE_OVERRIDES
    }
    if not overrides:
        return
    if not call.principal.id and not call.principal.is_admin and call.passage is None:
        raise errors.InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
    if any(CONTROL.search(value) for value in overrides.values()):
        raise errors.InvalidArgument("A response header cannot have control characters in it.")
    headers[:] = [pair for pair in headers if pair[0].decode() not in overrides]
    headers += [(name.encode(), value.encode("utf-8", "replace")) for name, value in overrides.items()]
