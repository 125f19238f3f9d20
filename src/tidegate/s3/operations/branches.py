"""Buckets where they are branches of repositories: on the port that sees nothing else.

Source: Pachyderm's S3 gateway (seed 004).
"""

from __future__ import annotations

from tidegate import errors
from tidegate.refs import RefName
from tidegate.s3 import tokens, xml
from tidegate.s3.call import Call, Response, xml_response
from tidegate.s3.payload import read_document

LOCATION = "PACHYDERM"
# Where authentication is off nobody owns anything, and clients are shown this.
_OWNER = ("0" * 32, "pachyderm")
_OWNED = "The bucket you tried to create already exists, and you own it."
_DOCUMENT = 64 * 1024  # bytes of a configuration, which says nothing of a branch


async def list_buckets(call: Call, limit: int, after: str) -> Response:
    """Every branch of every repository, those of the newest first; its date is the repository's."""
    found = list(await call.gateway.repos.list_buckets(call.principal))
    names = [bucket.name for bucket in found]
    start = names.index(after) + 1 if after in names else 0
    prefix = call.query.get("prefix", "")
    chosen = [bucket for bucket in found[start:] if bucket.name.startswith(prefix)]
    shown, last = chosen[:limit], chosen[limit - 1].name if len(chosen) > limit else None
    owner = (call.principal.id, call.principal.name) if call.principal.id else _OWNER
    return xml_response(
        xml.document(
            "ListAllMyBucketsResult",
            xml.group("Owner", xml.element("ID", owner[0]), xml.element("DisplayName", owner[1])),
            xml.group(
                "Buckets",
                *(
                    xml.group(
                        "Bucket",
                        xml.element("Name", bucket.name),
                        xml.element("CreationDate", xml.timestamp(bucket.created)),
                    )
                    for bucket in shown
                ),
            ),
            xml.element("Prefix", call.query.get("prefix")),
            xml.element("ContinuationToken", tokens.encode(last) if last is not None else None),
        )
    )


async def create_bucket(call: Call) -> Response:
    """Makes a branch, and its repository where there is none. What the request says of regions is nothing to it."""
    await read_document(call, _DOCUMENT)
    name = call.name
    if not isinstance(name, RefName):
        raise errors.InvalidBucketName(BucketName=call.bucket)
    try:
        await call.gateway.branches.create_bucket(call.principal, name)
    except errors.BucketAlreadyOwnedByYou as error:
        raise errors.BucketAlreadyOwnedByYou(_OWNED, **error.fields) from None
    return Response(200, [(b"location", f"/{call.bucket}".encode())])
