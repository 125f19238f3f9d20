"""GetObjectAttributes: what is known of an object, without its bytes."""

from __future__ import annotations

from tidegate import errors
from tidegate.clock import SECOND
from tidegate.gateway.reading import UNKNOWN
from tidegate.model import ObjectPart, Version
from tidegate.s3 import fields, xml
from tidegate.s3.call import Call, Response, whole_number, xml_response

_NAMES = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})
# Amazon S3: parts in one page.
MAX_PARTS = 1000


async def get_object_attributes(call: Call) -> Response:
    wanted = {name.strip() for name in call.headers.get("x-amz-object-attributes", "").split(",") if name.strip()}
    if not wanted or not wanted <= _NAMES:
        raise errors.InvalidArgument(
            "Invalid attribute name specified.",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue=", ".join(sorted(wanted)),
        )
    reading = await call.gateway.objects.read(
        call.principal, call.name, call.key, call.version_id, action="s3:GetObjectAttributes", span=UNKNOWN
    )
    version = reading.version
    children = []
    if "ETag" in wanted:
        children.append(xml.element("ETag", version.etag))
    if "Checksum" in wanted:
        children.append(_checksum(version))
    if "ObjectParts" in wanted and (parts := await reading.parts()):
        children.append(_object_parts(call, parts))
    if "StorageClass" in wanted:
        children.append(xml.element("StorageClass", version.storage_class))
    if "ObjectSize" in wanted:
        children.append(xml.element("ObjectSize", version.size))
    headers = [(b"last-modified", fields.http_date(version.modified // SECOND)), *fields.version_headers(version)]
    return xml_response(xml.document("GetObjectAttributesResponse", *children), headers)


def _checksum(version: Version) -> str:
    sums = version.attributes.checksums
    if not sums:
        return ""
    values = [xml.element(f"Checksum{name}", value.partition("-")[0]) for name, value in sums.items()]
    return xml.group("Checksum", *values, xml.element("ChecksumType", version.attributes.checksum_type))


def _object_parts(call: Call, parts: tuple[ObjectPart, ...]) -> str:
    limit = min(_header_number(call, "x-amz-max-parts", MAX_PARTS), MAX_PARTS)
    marker = _header_number(call, "x-amz-part-number-marker", 0)
    rest = [part for part in parts if part.number > marker]
    page = rest[:limit]
    return xml.group(
        "ObjectParts",
        xml.element("PartsCount", len(parts)),
        xml.element("PartNumberMarker", marker),
        xml.element("NextPartNumberMarker", page[-1].number if page else marker),
        xml.element("MaxParts", limit),
        xml.element("IsTruncated", 0 < limit < len(rest)),
        *(
            xml.group(
                "Part",
                xml.element("PartNumber", part.number),
                xml.element("Size", part.size),
                *(xml.element(f"Checksum{name}", value) for name, value in part.checksums.items()),
            )
            for part in page
        ),
    )


def _header_number(call: Call, name: str, default: int) -> int:
    value = call.headers.get(name)
    if value is None:
        return default
    number = whole_number(value)
    if number is None:
        raise errors.InvalidArgument(f"{name} is not a number.", ArgumentName=name, ArgumentValue=value)
    return number
