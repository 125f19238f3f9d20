"""Copying and renaming objects."""

from __future__ import annotations

from tidegate import checksums, errors
from tidegate.s3 import fields, xml
from tidegate.s3.call import Call, Response, xml_response
from tidegate.s3.waiting import kept_alive

_DIRECTIVES = ("COPY", "REPLACE")


async def copy_object(call: Call) -> Response:
    return await kept_alive(call, _copy(call))


async def _copy(call: Call) -> Response:
    headers = call.headers
    source = fields.copy_source(call)
    new = fields.new_object(headers)
    replaces_metadata = _directive(call, "x-amz-metadata-directive") == "REPLACE"
    replaces_tags = _directive(call, "x-amz-tagging-directive") == "REPLACE"
    copied = await call.gateway.copying.copy(
        call.principal,
        source,
        call.name,
        call.key,
        replace=new if replaces_metadata else None,
        tags=new.tags if replaces_tags else None,
        storage_class=fields.storage_class(headers),
        algorithm=checksum_algorithm(call),
        preconditions=fields.preconditions(headers),
    )
    version = copied.version
    answer = fields.new_version_headers(version.version_id)
    if copied.source_version_id:
        answer.append((b"x-amz-copy-source-version-id", copied.source_version_id.encode()))
    sums = version.attributes.checksums
    return xml_response(
        xml.document(
            "CopyObjectResult",
            xml.element("LastModified", xml.timestamp(version.modified)),
            xml.element("ETag", f'"{version.etag}"'),
            *(xml.element(f"Checksum{name}", value) for name, value in sums.items()),
            xml.element("ChecksumType", version.attributes.checksum_type if sums else None),
        ),
        answer,
    )


async def rename_object(call: Call) -> Response:
    await call.gateway.copying.rename(
        call.principal,
        call.name,
        fields.rename_source(call),
        call.key,
        preconditions=fields.preconditions(call.headers),
    )
    return Response()


def checksum_algorithm(call: Call) -> str | None:
    """The algorithm in ``x-amz-checksum-algorithm``. Raises ``InvalidRequest`` for one that there is not."""
    name = call.headers.get("x-amz-checksum-algorithm")
    if name is None:
        return None
    if name.upper() not in checksums.ALGORITHMS:
        raise errors.InvalidRequest(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(checksums.ALGORITHMS)}]"
        )
    return name.upper()


def _directive(call: Call, name: str) -> str:
    value = call.headers.get(name, "COPY")
    if value not in _DIRECTIVES:
        raise errors.InvalidArgument(f"Unknown {name.removeprefix('x-amz-')}.", ArgumentName=name, ArgumentValue=value)
    return value
