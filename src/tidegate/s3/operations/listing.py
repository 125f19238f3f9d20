"""Listings of a bucket: ListObjects in both versions, and ListObjectVersions.

A page of a thousand objects is the heaviest answer that is built here; its entries are single formatted strings for
that reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tidegate import errors
from tidegate.gateway import Entry
from tidegate.model import Bucket, Version
from tidegate.s3 import tokens, xml
from tidegate.s3.call import Call, Response, quote_key, xml_response
from tidegate.s3.operations.buckets import DEFAULT_REGION

# Amazon S3: entries in one page.
MAX_KEYS = 1000

Encode = Callable[[str], str]


def encoding(call: Call) -> Encode:
    """How keys and prefixes are written: escaped for XML, or percent-encoded where the query asks for it."""
    match call.query.get("encoding-type", ""):
        case "":
            return xml.text
        case "url":
            return quote_key
        case other:
            raise errors.InvalidArgument(
                "Invalid Encoding Method specified in Request", ArgumentName="encoding-type", ArgumentValue=other
            )


def raw(name: str, content: str | None) -> str:
    """An element whose text is encoded already; nothing for None."""
    return "" if content is None else f"<{name}>{content}</{name}>"


def common_prefixes(prefixes: Iterable[str], encode: Encode) -> str:
    return "".join(f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes)


async def owner(call: Call, bucket: Bucket, name: str = "Owner") -> str:
    """The element of a bucket's owner, to whom its objects belong."""
    display = await call.gateway.identity.name_of(bucket.owner) if bucket.owner else ""
    return xml.group(name, xml.element("ID", bucket.owner), xml.element("DisplayName", display))


async def list_objects(call: Call) -> Response:
    query, encode = call.query, encoding(call)
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("marker", "")
    limit = call.number("max-keys", MAX_KEYS, 0, MAX_KEYS)
    bucket, page = await call.gateway.buckets.list_objects(
        call.principal, call.name, prefix=prefix, delimiter=delimiter, after=marker, limit=limit
    )
    next_marker = page.last if delimiter else None
    document = xml.document(
        "ListBucketResult",
        xml.element("Name", call.bucket),
        raw("Prefix", encode(prefix)),
        raw("Marker", encode(marker)),
        raw("NextMarker", encode(next_marker) if next_marker is not None else None),
        xml.element("MaxKeys", limit),
        raw("Delimiter", encode(delimiter) if delimiter else None),
        xml.element("EncodingType", query.get("encoding-type") or None),
        xml.element("IsTruncated", page.last is not None),
        _contents(page.entries, encode, await owner(call, bucket)),
        common_prefixes(page.prefixes, encode),
    )
    return _listed(document, bucket)


async def list_objects_v2(call: Call) -> Response:
    query, encode = call.query, encoding(call)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token, start_after = query.get("continuation-token"), query.get("start-after")
    if token == "":
        raise errors.InvalidArgument("The continuation token provided is incorrect", ArgumentName="continuation-token")
    limit = call.number("max-keys", MAX_KEYS, 0, MAX_KEYS)
    after = tokens.decode(token) if token is not None else start_after or ""
    bucket, page = await call.gateway.buckets.list_objects(
        call.principal, call.name, prefix=prefix, delimiter=delimiter, after=after, limit=limit
    )
    shown_owner = await owner(call, bucket) if query.get("fetch-owner", "").lower() == "true" else ""
    document = xml.document(
        "ListBucketResult",
        xml.element("Name", call.bucket),
        raw("Prefix", encode(prefix)),
        raw("Delimiter", encode(delimiter) if delimiter else None),
        xml.element("MaxKeys", limit),
        xml.element("EncodingType", query.get("encoding-type") or None),
        xml.element("KeyCount", len(page.entries) + len(page.prefixes)),
        xml.element("IsTruncated", page.last is not None),
        xml.element("ContinuationToken", token),
        xml.element("NextContinuationToken", tokens.encode(page.last) if page.last is not None else None),
        raw("StartAfter", encode(start_after) if start_after is not None else None),
        _contents(page.entries, encode, shown_owner),
        common_prefixes(page.prefixes, encode),
    )
    return _listed(document, bucket)


def _contents(entries: Iterable[Entry], encode: Encode, shown_owner: str) -> str:
    timestamp = xml.timestamp
    return "".join(
        [
            f"<Contents><Key>{encode(entry.key)}</Key><LastModified>{timestamp(entry.modified)}</LastModified>"
            f"<ETag>&quot;{entry.etag}&quot;</ETag><Size>{entry.size}</Size>{shown_owner}"
            f"<StorageClass>{entry.storage_class}</StorageClass></Contents>"
            for entry in entries
        ]
    )


async def list_object_versions(call: Call) -> Response:
    query, encode = call.query, encoding(call)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    marker, version_marker = query.get("key-marker", ""), query.get("version-id-marker", "")
    if version_marker and not marker:
        raise errors.InvalidArgument(
            "A version-id marker cannot be specified without a key marker.", ArgumentName="version-id-marker"
        )
    limit = call.number("max-keys", MAX_KEYS, 0, MAX_KEYS)
    bucket, page = await call.gateway.buckets.list_versions(
        call.principal,
        call.name,
        prefix=prefix,
        delimiter=delimiter,
        after=marker,
        after_version=version_marker,
        limit=limit,
    )
    show = partial(_version, encode=encode, shown_owner=await owner(call, bucket))
    document = xml.document(
        "ListVersionsResult",
        xml.element("Name", call.bucket),
        raw("Prefix", encode(prefix)),
        raw("KeyMarker", encode(marker)),
        xml.element("VersionIdMarker", version_marker),
        raw("NextKeyMarker", encode(page.last_key) if page.last_key is not None else None),
        xml.element("NextVersionIdMarker", page.last_version_id or None),
        xml.element("MaxKeys", limit),
        raw("Delimiter", encode(delimiter) if delimiter else None),
        xml.element("EncodingType", query.get("encoding-type") or None),
        xml.element("IsTruncated", page.last_key is not None),
        *map(show, page.versions),
        common_prefixes(page.prefixes, encode),
    )
    return _listed(document, bucket)


def _version(version: Version, *, encode: Encode, shown_owner: str) -> str:
    start = (
        f"<Key>{encode(version.key)}</Key><VersionId>{version.version_id}</VersionId>"
        f"{xml.element('IsLatest', version.is_latest)}<LastModified>{xml.timestamp(version.modified)}</LastModified>"
    )
    if version.is_delete_marker:
        return f"<DeleteMarker>{start}{shown_owner}</DeleteMarker>"
    return (
        f"<Version>{start}<ETag>&quot;{version.etag}&quot;</ETag><Size>{version.size}</Size>"
        f"<StorageClass>{version.storage_class}</StorageClass>{shown_owner}</Version>"
    )


def _listed(document: bytes, bucket: Bucket) -> Response:
    return xml_response(document, [(b"x-amz-bucket-region", (bucket.region or DEFAULT_REGION).encode())])
