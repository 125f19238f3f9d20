"""Buckets themselves: listing, making, finding, versioning and removing them."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate import errors
from tidegate.model import Bucket, Versioning
from tidegate.s3 import tokens, xml
from tidegate.s3.call import Call, Response, xml_response
from tidegate.s3.fields import MAX_BUCKET_TAGS
from tidegate.s3.operations import branches
from tidegate.s3.operations.tagging import parse_tag_set
from tidegate.s3.payload import read_document
from tidegate.s3.target import validate_bucket_name

DEFAULT_REGION = "us-east-1"
# Amazon S3: buckets in one page.
MAX_BUCKETS = 10_000
_MAX_REGION = 63
_CREATE_DOCUMENT = 64 * 1024  # bytes; with 50 tags of the longest kind it stays below
_SMALL_DOCUMENT = 4 * 1024


async def list_buckets(call: Call) -> Response:
    limit = call.number("max-buckets", MAX_BUCKETS, 1, MAX_BUCKETS)
    token = call.query.get("continuation-token", "")
    region = call.query.get("bucket-region")
    if call.is_repos:
        return await branches.list_buckets(call, limit, tokens.decode(token) if token else "")
    page = await call.gateway.buckets.list(
        call.principal, prefix=call.query.get("prefix", ""), after=tokens.decode(token) if token else "", limit=limit
    )
    entries = [
        xml.group(
            "Bucket",
            xml.element("Name", bucket.name),
            xml.element("CreationDate", xml.timestamp(bucket.created)),
            xml.element("String", provider),
            xml.element("BucketRegion", bucket.region or DEFAULT_REGION),
        )
        for bucket, provider in zip(page.buckets, providers(page.buckets), strict=True)
        if region in (None, bucket.region or DEFAULT_REGION)
    ]
    return xml_response(
        xml.document(
            "ListAllMyBucketsResult",
            xml.group("Owner", xml.element("ID", call.principal.id), xml.element("DisplayName", call.principal.name)),
            xml.group("Buckets", *entries),
            xml.element("Prefix", call.query.get("prefix")),
            xml.element("ContinuationToken", tokens.encode(page.last) if page.last is not None else None),
        )
    )


def providers(buckets: Sequence[Bucket]) -> list[str]:
    """What AIStore says of each bucket in a list: who keeps it, and whether a bucket before it has the same name.

    Of such a name S3 clients can only see that it is there: it means none of the buckets.
    """
    said: dict[str, str] = {}
    found = []
    for bucket in buckets:
        name, text = bucket.name, f"Provider: {bucket.provider}"
        if name in said:
            text += f" (WARNING: {{{name}, {said[name]}}} and {{{name}, {text}}} share the same name)"
        said[name] = text
        found.append(text)
    return found


async def create_bucket(call: Call) -> Response:
    if call.is_repos:
        return await branches.create_bucket(call)
    validate_bucket_name(call.bucket)
    if call.headers.get("x-amz-bucket-object-lock-enabled", "false").lower() != "false":
        raise errors.NotImplementedByServer("Object lock is not implemented.")
    region, tags = "", None
    document = await read_document(call, _CREATE_DOCUMENT)
    if document:
        root = xml.parse(document, "CreateBucketConfiguration")
        xml.only(root, ("LocationConstraint", "Tags"))
        region = xml.optional(root, "LocationConstraint") or ""
        if len(region) > _MAX_REGION or (region and not (region.isascii() and region.replace("-", "").isalnum())):
            raise errors.InvalidLocationConstraint(LocationConstraint=region)
        tag_set = xml.child(root, "Tags")
        tags = parse_tag_set(tag_set, MAX_BUCKET_TAGS) if tag_set is not None else None
    try:
        await call.gateway.buckets.create(call.principal, call.name, region=region, tags=tags)
    except errors.BucketAlreadyOwnedByYou:
        if not await _may_be_made_again(call, region):
            raise
    return Response(200, [(b"location", f"/{call.bucket}".encode())])


async def _may_be_made_again(call: Call, region: str) -> bool:
    """Whether making a bucket that is there is no error: in the default region, where Amazon keeps its first behaviour.

    Source: Amazon S3 API reference, "CreateBucket", BucketAlreadyOwnedByYou.
    """
    bucket = await call.gateway.buckets.get(call.principal, call.name)
    return {region, bucket.region} <= {"", DEFAULT_REGION}


async def head_bucket(call: Call) -> Response:
    bucket = await call.gateway.buckets.get(call.principal, call.name)
    return Response(200, [(b"x-amz-bucket-region", (bucket.region or DEFAULT_REGION).encode())])


async def delete_bucket(call: Call) -> Response:
    await call.gateway.buckets.delete(call.principal, call.name)
    return Response(204)


async def get_bucket_location(call: Call) -> Response:
    bucket = await call.gateway.buckets.get(call.principal, call.name, "s3:GetBucketLocation")
    region = "" if bucket.region == DEFAULT_REGION else bucket.region
    if call.is_repos:
        region = branches.LOCATION
    return xml_response(xml.document("LocationConstraint", xml.text(region)))


async def get_bucket_versioning(call: Call) -> Response:
    bucket = await call.gateway.buckets.get(call.principal, call.name, "s3:GetBucketVersioning")
    return xml_response(xml.document("VersioningConfiguration", xml.element("Status", bucket.versioning or None)))


async def put_bucket_versioning(call: Call) -> Response:
    document = await read_document(call, _SMALL_DOCUMENT, "s3:PutBucketVersioning")
    root = xml.parse(document, "VersioningConfiguration")
    xml.only(root, ("Status", "MfaDelete"))
    if xml.optional(root, "MfaDelete") not in (None, "Disabled"):
        raise errors.NotImplementedByServer("MFA delete is not implemented.")
    status = xml.optional(root, "Status")
    if status not in (Versioning.ENABLED, Versioning.SUSPENDED):
        raise errors.IllegalVersioningConfiguration
    await call.gateway.buckets.set_versioning(call.principal, call.name, Versioning(status))
    return Response()
