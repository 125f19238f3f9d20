"""Deleting objects, one or many at a time."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import msgspec

from tidegate import errors
from tidegate.asgi import Headers
from tidegate.gateway.objects import Deletion
from tidegate.names import MAX_KEY_BYTES
from tidegate.preconditions import NONE, Preconditions
from tidegate.s3 import fields, xml
from tidegate.s3.call import SIZE_DIGITS, Call, Response, whole_number, xml_response
from tidegate.s3.payload import read_document

# Amazon S3: keys in one request.
MAX_DELETIONS = 1000
_NAMES = ("Key", "VersionId", "ETag", "LastModifiedTime", "Size")


async def delete_object(call: Call) -> Response:
    headers = call.headers
    conditions = fields.preconditions(headers)
    size, modified = headers.get("x-amz-if-match-size"), headers.get("x-amz-if-match-last-modified-time")
    if size is not None or modified is not None:
        conditions = msgspec.structs.replace(conditions, if_match_size=_size(size), if_match_modified=_date(modified))
    deletion = Deletion(call.key, call.version_id, conditions)
    deleted = await call.gateway.objects.delete(call.principal, call.name, deletion)
    answer: Headers = []
    if deleted.version_id:
        answer.append((b"x-amz-version-id", deleted.version_id.encode()))
    if deleted.is_delete_marker:
        answer.append((b"x-amz-delete-marker", b"true"))
    return Response(204, answer)


async def delete_objects(call: Call) -> Response:
    root = xml.parse(await read_document(call, xml.MAX_DOCUMENT, "s3:DeleteObject"), "Delete")
    xml.only(root, ("Object", "Quiet"))
    quiet = (xml.optional(root, "Quiet") or "").lower() == "true"
    objects = root.findall("Object")
    if not 1 <= len(objects) <= MAX_DELETIONS:
        raise errors.MalformedXML
    deletions = [_deletion(node) for node in objects]
    outcomes = await call.gateway.objects.delete_many(call.principal, call.name, deletions)
    entries = []
    for deletion, outcome in zip(deletions, outcomes, strict=True):
        if isinstance(outcome, errors.Error):
            entries.append(
                xml.group(
                    "Error",
                    xml.element("Key", deletion.key),
                    xml.element("VersionId", deletion.version_id or None),
                    xml.element("Code", outcome.code),
                    xml.element("Message", outcome.message),
                )
            )
        elif not quiet:
            made = outcome.is_delete_marker
            entries.append(
                xml.group(
                    "Deleted",
                    xml.element("Key", deletion.key),
                    xml.element("VersionId", deletion.version_id or None),
                    xml.element("DeleteMarker", made or None),
                    xml.element("DeleteMarkerVersionId", outcome.version_id if made else None),
                )
            )
    return xml_response(xml.document("DeleteResult", *entries))


def _deletion(node: Element) -> Deletion:
    xml.only(node, _NAMES)
    key = xml.required(node, "Key")
    if not key:
        raise errors.MalformedXML
    if len(key.encode()) > MAX_KEY_BYTES:
        raise errors.KeyTooLongError(Size=str(len(key.encode())), MaxSizeAllowed=str(MAX_KEY_BYTES))
    etag, size, modified = (xml.optional(node, name) for name in ("ETag", "Size", "LastModifiedTime"))
    conditions = NONE
    if etag is not None or size is not None or modified is not None:
        conditions = Preconditions(
            if_match=None if etag is None else (etag.strip('"'),),
            if_match_size=_size(size),
            if_match_modified=_date(modified),
        )
    return Deletion(key, xml.optional(node, "VersionId") or "", conditions)


def _size(value: str | None) -> int | None:
    if value is None:
        return None
    size = whole_number(value, SIZE_DIGITS)
    if size is None:
        raise errors.InvalidArgument("The size to match is not a number.", ArgumentValue=value)
    return size


def _date(value: str | None) -> int | None:
    if value is None:
        return None
    date = fields.parse_http_date(value)
    if date is None:
        raise errors.InvalidArgument("The time to match is not a date.", ArgumentValue=value)
    return date
