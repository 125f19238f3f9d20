"""AWS Signature Version 2: in the Authorization header and in presigned URLs. Older clients, and s3cmd --signature-v2.

It covers neither the host nor the body nor most of the query, so a server may refuse it.

Source: Amazon S3 developer guide, "Signing and authenticating REST requests".
"""

from __future__ import annotations

import binascii
import hmac
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

import msgspec

from tidegate import errors
from tidegate.s3.signature import canonical
from tidegate.s3.signature.request import UNSIGNED_PAYLOAD, Authenticated, SignedRequest, Unverified
from tidegate.s3.signature.v4 import check_skew

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Either of these in a query makes it a presigned URL, which must then have all of PRESIGN_PARAMETERS.
PRESIGN_MARKS: Final = (b"AWSAccessKeyId", b"Signature")
PRESIGN_PARAMETERS: Final = (*PRESIGN_MARKS, b"Expires")
MAX_EXPIRES_DIGITS: Final = 15  # seconds since the epoch, for a million years; int() of more would be work for nothing

# The query fields that are signed: those that choose what is acted on. Amazon's guide, and botocore, s3cmd and rclone.
SUBRESOURCES: Final = frozenset(
    {
        b"accelerate",
        b"acl",
        b"analytics",
        b"cors",
        b"defaultObjectAcl",
        b"delete",
        b"inventory",
        b"lifecycle",
        b"location",
        b"logging",
        b"metrics",
        b"notification",
        b"object-lock",
        b"partNumber",
        b"policy",
        b"replication",
        b"requestPayment",
        b"response-cache-control",
        b"response-content-disposition",
        b"response-content-encoding",
        b"response-content-language",
        b"response-content-type",
        b"response-expires",
        b"restore",
        b"select",
        b"select-type",
        b"storageClass",
        b"tagging",
        b"torrent",
        b"uploadId",
        b"uploads",
        b"versionId",
        b"versioning",
        b"versions",
        b"website",
    }
)
_STANDARD_HEADERS: Final = frozenset((b"content-md5", b"content-type"))


class _Claim(msgspec.Struct, frozen=True):
    """What a request says of its own signature, well-formed but not verified."""

    access_key: str
    signature: bytes
    date: bytes  # the Date header, or empty where there is x-amz-date, or Expires
    presigned: bool


def authenticate_header(
    request: SignedRequest,
    headers: Mapping[bytes, bytes],
    fields: Sequence[canonical.Pair],
    now: float,
    resources: Sequence[bytes],
) -> Unverified:
    """Read a request whose Authorization header is of version 2: ``AWS key:signature``."""
    access_key, _, signature = headers[b"authorization"].partition(b" ")[2].strip().rpartition(b":")
    if not access_key or not signature:
        raise errors.InvalidArgument(
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature", ArgumentName="Authorization"
        )
    amz_date = headers.get(b"x-amz-date")
    date = headers.get(b"date", b"") if amz_date is None else amz_date
    seconds = canonical.parse_date(date)
    if seconds is None:
        raise errors.AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    check_skew(seconds, now)
    signed_date = date.strip() if amz_date is None else b""
    claim = _Claim(access_key.decode("utf-8", "replace"), signature, signed_date, presigned=False)
    return Unverified(claim.access_key, partial(_verify, claim, request, headers, fields, resources))


def authenticate_query(
    request: SignedRequest,
    headers: Mapping[bytes, bytes],
    fields: Sequence[canonical.Pair],
    now: float,
    resources: Sequence[bytes],
) -> Unverified:
    """Read a presigned URL of version 2.

    The signer's ``x-amz-`` headers, Content-MD5 and Content-Type may be in the query, as SDKs put them there; where the
    request has the header itself, that counts.
    """
    names = [name for name, _, _ in fields]
    if any(names.count(name) != 1 for name in PRESIGN_PARAMETERS):
        raise errors.AccessDenied(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        )
    access_key, signature, expires = (
        unquote_to_bytes(value) for parameter in PRESIGN_PARAMETERS for name, _, value in fields if name == parameter
    )
    if not expires.isdigit() or len(expires) > MAX_EXPIRES_DIGITS:
        shown = expires.decode("ascii", "replace")
        raise errors.AccessDenied(f"Invalid date (should be seconds since epoch): {shown}")
    if now > int(expires):
        raise errors.AccessDenied("Request has expired", ServerTime=canonical.format_for_humans(now))
    moved = {
        name: canonical.decoded(value)
        for name, _, value in fields
        if name.startswith(b"x-amz-") or name in _STANDARD_HEADERS
    }
    if any(b"\n" in value for value in moved.values()):
        raise errors.AccessDenied("A header that is given in the query cannot have a line break in it")
    claim = _Claim(access_key.decode("utf-8", "replace"), signature, expires, presigned=True)
    verify = partial(_verify, claim, request, {**moved, **headers}, fields, resources)
    return Unverified(claim.access_key, verify, presigned=True)


def _verify(
    claim: _Claim,
    request: SignedRequest,
    headers: Mapping[bytes, bytes],
    fields: Sequence[canonical.Pair],
    resources: Sequence[bytes],
    secret: str,
) -> Authenticated:
    key = secret.encode()
    amz_headers = sorted(name for name in headers if name.startswith(b"x-amz-"))
    text = b"\n".join(
        (
            request.method.encode("ascii"),
            headers.get(b"content-md5", b"").strip(),
            headers.get(b"content-type", b"").strip(),
            claim.date,
            *(name + b":" + headers[name].strip() for name in amz_headers),
            b"",
        )
    )
    for resource in _forms(resources, fields):
        expected = binascii.b2a_base64(hmac.digest(key, text + resource, "sha1"), newline=False)
        if hmac.compare_digest(expected, claim.signature):
            return Authenticated(
                claim.access_key,
                2,
                claim.presigned,
                frozenset((*amz_headers, *(_STANDARD_HEADERS & headers.keys()))),
                headers.get(b"x-amz-content-sha256", UNSIGNED_PAYLOAD.encode("ascii")).decode("ascii", "replace"),
                None,
            )
    raise errors.SignatureDoesNotMatch(
        AWSAccessKeyId=claim.access_key,
        StringToSign=(text + next(_forms(resources, fields))).decode("utf-8", "replace"),
        SignatureProvided=claim.signature.decode("utf-8", "replace"),
    )


def _forms(resources: Sequence[bytes], fields: Sequence[canonical.Pair]) -> Iterator[bytes]:
    """Yield each form in which a client may have signed the resource, the usual one first.

    The path is signed as it is sent or in canonical encoding; a sub-resource decoded, and one without a value with or
    without the ``=`` that it was sent with.
    """
    signed = [(name, equals, canonical.decoded(value)) for name, equals, value in fields if name in SUBRESOURCES]
    signed.sort()
    queries = dict.fromkeys(
        (
            b"&".join(name + equals + value for name, equals, value in signed),
            b"&".join(name + b"=" + value if value else name for name, _, value in signed),
        )
    )
    for resource in resources:
        for path in dict.fromkeys((resource, canonical.path(resource))):
            for query in queries:
                yield path + b"?" + query if query else path
