"""Tags of buckets and objects."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from tidegate import errors
from tidegate.asgi import Headers
from tidegate.s3 import xml
from tidegate.s3.call import Call, Response, xml_response
from tidegate.s3.fields import MAX_BUCKET_TAGS, MAX_OBJECT_TAGS, check_tags
from tidegate.s3.payload import read_document

_TAGGING_DOCUMENT = 128 * 1024  # bytes; 50 tags of the longest kind, four bytes a character, stay below


def parse_tag_set(tag_set: Element, limit: int) -> dict[str, str]:
    """The tags in a ``TagSet`` or ``Tags`` element. Raises ``MalformedXML``, ``InvalidTag``."""
    xml.only(tag_set, ("Tag",))
    for tag in tag_set:
        xml.only(tag, ("Key", "Value"))
    pairs = [(xml.required(tag, "Key"), xml.required(tag, "Value")) for tag in tag_set]
    return check_tags(pairs, limit)


async def _read_tags(call: Call, limit: int, action: str) -> dict[str, str]:
    root = xml.parse(await read_document(call, _TAGGING_DOCUMENT, action), "Tagging")
    xml.only(root, ("TagSet",))
    tag_set = xml.child(root, "TagSet")
    if tag_set is None:
        raise errors.MalformedXML
    return parse_tag_set(tag_set, limit)


def _tagging(tags: Mapping[str, str]) -> bytes:
    entries = [
        xml.group("Tag", xml.element("Key", key), xml.element("Value", value)) for key, value in sorted(tags.items())
    ]
    return xml.document("Tagging", xml.group("TagSet", *entries))


async def get_bucket_tagging(call: Call) -> Response:
    return xml_response(_tagging(await call.gateway.buckets.tags(call.principal, call.name)))


async def put_bucket_tagging(call: Call) -> Response:
    tags = await _read_tags(call, MAX_BUCKET_TAGS, "s3:PutBucketTagging")
    await call.gateway.buckets.set_tags(call.principal, call.name, tags)
    return Response(204)


async def delete_bucket_tagging(call: Call) -> Response:
    await call.gateway.buckets.set_tags(call.principal, call.name, None)
    return Response(204)


async def get_object_tagging(call: Call) -> Response:
    tags, version_id = await call.gateway.objects.tags(call.principal, call.name, call.key, call.version_id)
    return xml_response(_tagging(tags), _named(version_id))


async def put_object_tagging(call: Call) -> Response:
    tags = await _read_tags(call, MAX_OBJECT_TAGS, "s3:PutObjectTagging")
    version_id = await call.gateway.objects.set_tags(call.principal, call.name, call.key, call.version_id, tags)
    return Response(200, _named(version_id))


async def delete_object_tagging(call: Call) -> Response:
    version_id = await call.gateway.objects.set_tags(call.principal, call.name, call.key, call.version_id, {})
    return Response(204, _named(version_id))


def _named(version_id: str) -> Headers:
    return [(b"x-amz-version-id", version_id.encode())] if version_id else []
