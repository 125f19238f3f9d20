"""Multipart uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate import checksums, errors
from tidegate.asgi import Headers
from tidegate.gateway import Wanted
from tidegate.gateway.multipart import Expected
from tidegate.model import COMPOSITE, FULL_OBJECT
from tidegate.s3 import fields, ranges, xml
from tidegate.s3.call import SIZE_DIGITS, Call, Response, whole_number, xml_response
from tidegate.s3.operations.copying import checksum_algorithm
from tidegate.s3.operations.listing import common_prefixes, encoding, owner, raw
from tidegate.s3.operations.objects import MAX_PART_NUMBER
from tidegate.s3.payload import open_payload, read_document
from tidegate.s3.waiting import kept_alive

# Amazon S3: parts or uploads in one page.
MAX_PAGE = 1000
_PART_NAMES = ("PartNumber", "ETag", *(f"Checksum{name}" for name in checksums.ALGORITHMS))


async def create_multipart_upload(call: Call) -> Response:
    algorithm, checksum_type = _checksum_choice(call)
    upload = await call.gateway.multipart.create(
        call.principal,
        call.name,
        call.key,
        fields.new_object(call.headers),
        algorithm=algorithm,
        checksum_type=checksum_type,
    )
    headers: Headers = []
    if algorithm:
        headers = [
            (b"x-amz-checksum-algorithm", algorithm.encode()),
            (b"x-amz-checksum-type", checksum_type.encode()),
        ]
    return xml_response(
        xml.document(
            "InitiateMultipartUploadResult",
            xml.element("Bucket", call.bucket),
            xml.element("Key", call.key),
            xml.element("UploadId", upload.id),
        ),
        headers,
    )


def _checksum_choice(call: Call) -> tuple[str, str]:
    """Algorithm and type that a new upload asks for, both empty if it does not."""
    name = checksum_algorithm(call)
    checksum_type = call.headers.get("x-amz-checksum-type", "").upper()
    if name is None:
        if checksum_type:
            raise errors.InvalidRequest(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return "", ""
    algorithm = checksums.ALGORITHMS[name]
    if not checksum_type:
        checksum_type = COMPOSITE if algorithm.composite else FULL_OBJECT
    possible = {COMPOSITE: algorithm.composite, FULL_OBJECT: algorithm.full_object}
    if checksum_type not in possible:
        raise errors.InvalidRequest("Value for x-amz-checksum-type header is invalid.")
    if not possible[checksum_type]:
        raise errors.InvalidRequest(
            f"The {checksum_type} checksum type cannot be used with the {name.lower()} checksum algorithm."
        )
    return name, checksum_type


def _part_number(call: Call) -> int:
    value = call.query["partNumber"]
    number = whole_number(value)
    if number is None or not 1 <= number <= MAX_PART_NUMBER:
        raise errors.InvalidArgument(
            f"Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=value,
        )
    return number


async def upload_part(call: Call) -> Response:
    part, declared = await call.gateway.multipart.put_part(
        call.principal, call.name, call.key, call.query["uploadId"], _part_number(call), open_payload(call)
    )
    sums = declared or part.checksums
    return Response(200, [(b"etag", fields.quoted(part.etag)), *fields.checksum_headers(sums, "")])


async def upload_part_copy(call: Call) -> Response:
    byte_range = call.headers.get("x-amz-copy-source-range")
    part, source_version_id = await call.gateway.multipart.copy_part(
        call.principal,
        fields.copy_source(call),
        ranges.parse_copy_range(byte_range) if byte_range is not None else None,
        call.name,
        call.key,
        call.query["uploadId"],
        _part_number(call),
    )
    headers: Headers = [(b"x-amz-copy-source-version-id", source_version_id.encode())] if source_version_id else []
    return xml_response(
        xml.document(
            "CopyPartResult",
            xml.element("LastModified", xml.timestamp(part.modified)),
            xml.element("ETag", f'"{part.etag}"'),
            *_checksum_elements(part.checksums),
        ),
        headers,
    )


async def list_parts(call: Call) -> Response:
    marker = call.number("part-number-marker", 0, 0, MAX_PART_NUMBER)
    limit = call.number("max-parts", MAX_PAGE, 0, MAX_PAGE)
    bucket, upload, parts, more = await call.gateway.multipart.parts(
        call.principal, call.name, call.key, call.query["uploadId"], after=marker, limit=limit
    )
    encode = encoding(call)
    return xml_response(
        xml.document(
            "ListPartsResult",
            xml.element("Bucket", call.bucket),
            raw("Key", encode(call.key)),
            xml.element("UploadId", upload.id),
            await owner(call, bucket, "Initiator"),
            await owner(call, bucket),
            xml.element("StorageClass", upload.storage_class),
            xml.element("PartNumberMarker", marker),
            xml.element("NextPartNumberMarker", parts[-1].number if parts else 0),
            xml.element("MaxParts", limit),
            xml.element("IsTruncated", more),
            xml.element("ChecksumAlgorithm", upload.checksum_algorithm or None),
            xml.element("ChecksumType", upload.checksum_type or None),
            *(
                xml.group(
                    "Part",
                    xml.element("PartNumber", part.number),
                    xml.element("LastModified", xml.timestamp(part.modified)),
                    xml.element("ETag", f'"{part.etag}"'),
                    xml.element("Size", part.size),
                    *_checksum_elements(part.checksums),
                )
                for part in parts
            ),
        )
    )


async def list_multipart_uploads(call: Call) -> Response:
    query, encode = call.query, encoding(call)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    limit = call.number("max-uploads", MAX_PAGE, 0, MAX_PAGE)
    bucket, page = await call.gateway.multipart.list(
        call.principal,
        call.name,
        prefix=prefix,
        delimiter=delimiter,
        after=marker,
        after_id=id_marker if marker else "",
        limit=limit,
    )
    shown_owner, initiator = await owner(call, bucket), await owner(call, bucket, "Initiator")
    return xml_response(
        xml.document(
            "ListMultipartUploadsResult",
            xml.element("Bucket", call.bucket),
            raw("KeyMarker", encode(marker)),
            xml.element("UploadIdMarker", id_marker),
            raw("NextKeyMarker", encode(page.last_key) if page.last_key is not None else None),
            xml.element("NextUploadIdMarker", page.last_id or None),
            raw("Delimiter", encode(delimiter) if delimiter else None),
            raw("Prefix", encode(prefix)),
            xml.element("MaxUploads", limit),
            xml.element("EncodingType", query.get("encoding-type") or None),
            xml.element("IsTruncated", page.last_key is not None),
            *(
                xml.group(
                    "Upload",
                    raw("Key", encode(upload.key)),
                    xml.element("UploadId", upload.id),
                    initiator,
                    shown_owner,
                    xml.element("StorageClass", upload.storage_class),
                    xml.element("Initiated", xml.timestamp(upload.initiated)),
                    xml.element("ChecksumAlgorithm", upload.checksum_algorithm or None),
                    xml.element("ChecksumType", upload.checksum_type or None),
                )
                for upload in page.uploads
            ),
            common_prefixes(page.prefixes, encode),
        )
    )


async def complete_multipart_upload(call: Call) -> Response:
    root = xml.parse(await read_document(call, xml.MAX_DOCUMENT, "s3:PutObject"), "CompleteMultipartUpload")
    xml.only(root, ("Part",))
    if not 1 <= len(root) <= MAX_PART_NUMBER:
        raise errors.MalformedXML
    wanted = []
    for node in root:
        xml.only(node, _PART_NAMES)
        number = whole_number(xml.required(node, "PartNumber").strip())
        if number is None:
            raise errors.MalformedXML
        if not 1 <= number <= MAX_PART_NUMBER:
            raise errors.InvalidPart(UploadId=call.query["uploadId"], PartNumber=str(number))
        sums = {name: xml.optional(node, f"Checksum{name}") for name in checksums.ALGORITHMS} if len(node) > 2 else {}
        wanted.append(
            Wanted(
                number,
                xml.required(node, "ETag").strip().strip('"').lower(),
                {name: value for name, value in sums.items() if value is not None},
            )
        )
    return await kept_alive(call, _complete(call, wanted))


async def _complete(call: Call, wanted: Sequence[Wanted]) -> Response:
    completed = await call.gateway.multipart.complete(
        call.principal,
        call.name,
        call.key,
        call.query["uploadId"],
        wanted,
        _expected(call),
        preconditions=fields.preconditions(call.headers),
    )
    return xml_response(
        xml.document(
            "CompleteMultipartUploadResult",
            xml.element("Location", call.location),
            xml.element("Bucket", call.bucket),
            xml.element("Key", call.key),
            xml.element("ETag", f'"{completed.etag}"'),
            *_checksum_elements(completed.checksums),
            xml.element("ChecksumType", completed.checksum_type if completed.checksums else None),
        ),
        fields.new_version_headers(completed.version_id),
    )


def _expected(call: Call) -> Expected:
    """What the headers say of the object that is to come of the parts."""
    headers = call.headers
    sums = {algorithm.name: headers[name] for name, algorithm in checksums.BY_HEADER.items() if name in headers}
    given = headers.get("x-amz-mp-object-size")
    size = None if given is None else whole_number(given, SIZE_DIGITS)
    if given is not None and size is None:
        raise errors.InvalidArgument("x-amz-mp-object-size is not a number.", ArgumentName="x-amz-mp-object-size")
    return Expected(sums, headers.get("x-amz-checksum-type"), size)


async def abort_multipart_upload(call: Call) -> Response:
    await call.gateway.multipart.abort(call.principal, call.name, call.key, call.query["uploadId"])
    return Response(204)


def _checksum_elements(sums: Mapping[str, str]) -> list[str]:
    return [xml.element(f"Checksum{name}", value) for name, value in sums.items()]
