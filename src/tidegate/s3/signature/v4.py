"""AWS Signature Version 4: in the Authorization header and in presigned URLs.

Source: Amazon S3 API reference, "Authenticating requests (AWS Signature Version 4)".
"""

from __future__ import annotations

import hmac
import re
from functools import lru_cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import unquote_to_bytes

import msgspec

from tidegate import errors
from tidegate.s3.signature import canonical
from tidegate.s3.signature.request import (
    MAX_SKEW,
    UNSIGNED_PAYLOAD,
    Authenticated,
    ChunkSeed,
    SignedRequest,
    Unverified,
)
from tidegate.sigv4 import keyed, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ALGORITHM: Final = b"AWS4-HMAC-SHA256"
_UNSIGNED: Final = UNSIGNED_PAYLOAD.encode("ascii")

# Any of these in a query makes it a presigned URL, which must then have all of PRESIGN_PARAMETERS.
PRESIGN_MARKS: Final = (b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature")
PRESIGN_PARAMETERS: Final = (*PRESIGN_MARKS, b"X-Amz-Date", b"X-Amz-Expires", b"X-Amz-SignedHeaders")
_PAYLOAD_PARAMETER: Final = b"X-Amz-Content-Sha256"
# Fields that do not sign, before, between and after those that do, with nothing in them that is encoded.
_OWN: Final = rb"(?!x-amz-)[a-z][\w.~-]*=[\w.~-]*"
# Those that sign have no escape but where it has to be, and are in order of names or, as boto3 has it, with the headers
# before the lifetime.
_LISTED: Final = rb"(?:&X-Amz-SignedHeaders=([\w-]+(?:%3B[\w-]+)*))?"
USUAL: Final = re.compile(
    rb"((?:" + _OWN + rb"&)*)"
    rb"(X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=([\w.~-]+(?:%2F[\w.~-]+)+)&X-Amz-Date=([0-9TZ]+))"
    + _LISTED
    + rb"&X-Amz-Expires=([0-9]+)"
    + _LISTED
    + rb"((?:&"
    + _OWN
    + rb")*)&X-Amz-Signature=([0-9a-f]+)((?:&"
    + _OWN
    + rb")*)"
)
_AMPERSAND: Final = ord("&")
_ONLY_ONCE: Final = frozenset((*PRESIGN_PARAMETERS, _PAYLOAD_PARAMETER))

MAX_EXPIRES: Final = 7 * 24 * 60 * 60  # seconds; Amazon's limit for a presigned URL
_EXPIRES_DIGITS: Final = len(str(MAX_EXPIRES))
# Amazon's access keys have at most 128 characters; but a token may stand for one, which has up to 8 KiB.
MAX_CREDENTIAL_LENGTH: Final = 8 * 1024 + 128
MAX_SIGNER_REMEMBERED: Final = 512  # bytes of credential and list; bounds what the cache of them can hold
SIGNERS_REMEMBERED: Final = 1024  # one a key, day, region and list of headers; bounded, as the client chooses them


class _Signer(msgspec.Struct, frozen=True):
    """Who claims to have signed, and which headers: the same for all that a client signs in a day."""

    access_key: str
    day: bytes
    region: bytes
    scope: bytes  # day/region/s3/aws4_request
    listed: bytes  # SignedHeaders, as given
    names: tuple[bytes, ...]  # which those are, in order
    headers: frozenset[bytes]  # and as a set


class Presigned(msgspec.Struct, frozen=True):
    """What a presigned URL's query says of its signature. Nothing is well-formed yet but the encoding."""

    credential: bytes
    timestamp: bytes
    expires: bytes
    listed: bytes
    signature: bytes
    query: bytes  # the fields that are signed, in order of names
    payload_hash: bytes | None = None
    own: bytes = b""  # the fields of a usual one that do not sign, as they came


class _Claim(msgspec.Struct, frozen=True):
    """What a request says of its own signature, well-formed but not verified."""

    signer: _Signer
    timestamp: bytes
    signature: bytes
    payload_hash: bytes
    query: bytes  # the fields that are signed, in order of names
    presigned: bool


def authenticate_header(
    request: SignedRequest,
    headers: Mapping[bytes, bytes],
    fields: Sequence[canonical.Pair],
    now: float,
    prefix: bytes,
) -> Unverified:
    """Read a request whose Authorization header is of version 4."""
    signer, signature = _authorization(headers[b"authorization"])
    timestamp, seconds = _timestamp(headers)
    if timestamp[:8] != signer.day:
        _header_malformed(_other_day(signer.day, timestamp))
    check_skew(seconds, now)
    payload_hash = headers.get(b"x-amz-content-sha256")
    if payload_hash is None:
        raise errors.InvalidRequest("Missing required header for this request: x-amz-content-sha256")
    query = canonical.query(fields)
    claim = _Claim(signer, timestamp, signature, payload_hash.strip(), query, presigned=False)
    verify = partial(_verify, claim, request, headers, prefix)
    return Unverified(signer.access_key, verify, region=signer.region, listed=signer.listed)


def authenticate_query(
    request: SignedRequest, headers: Mapping[bytes, bytes], presigned: Presigned, now: float, prefix: bytes
) -> Unverified:
    """Read a presigned URL of version 4."""
    signer = _signer(presigned.credential, presigned.listed, _query_malformed)
    timestamp = presigned.timestamp
    seconds = canonical.parse_iso8601(timestamp)
    if seconds is None:
        raise errors.AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    if timestamp[:8] != signer.day:
        raise errors.AuthorizationQueryParametersError(_other_day(signer.day, timestamp))
    _check_lifetime(seconds, _expires(presigned.expires), now)
    payload_hash = _presigned_payload_hash(presigned.payload_hash, headers)
    claim = _Claim(signer, timestamp, presigned.signature, payload_hash, presigned.query, presigned=True)
    verify = partial(_verify, claim, request, headers, prefix)
    return Unverified(signer.access_key, verify, presigned=True, region=signer.region, listed=signer.listed)


def check_skew(seconds: float, now: float) -> None:
    """Raise RequestTimeTooSkewed where a request's own time is too far from ours, before or after: it is a replay."""
    if abs(now - seconds) > MAX_SKEW:
        raise errors.RequestTimeTooSkewed(
            RequestTime=canonical.format_for_humans(seconds),
            ServerTime=canonical.format_for_humans(now),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW * 1000),
        )


# --- what the client claims ------------------------------------------------------------------------------------------


def _header_malformed(reason: str) -> NoReturn:
    raise errors.AuthorizationHeaderMalformed(f"The authorization header is malformed; {reason}")


def _query_malformed(reason: str) -> NoReturn:
    raise errors.AuthorizationQueryParametersError(f"Error parsing the X-Amz-Credential parameter; {reason}")


def _other_day(day: bytes, timestamp: bytes) -> str:
    return (
        f'Invalid credential date "{day.decode("ascii")}". '
        f'This date is not the same as X-Amz-Date: "{timestamp[:8].decode("ascii")}".'
    )


def _authorization(value: bytes) -> tuple[_Signer, bytes]:
    """Return who signs, and the signature: Credential, SignedHeaders and Signature are there once each, in any order,
    with or without blanks between them.
    """
    components = [part.strip().partition(b"=") for part in value.partition(b" ")[2].split(b",")]
    named = {name: content for name, _, content in components}
    if len(components) == len(named) == 3:
        try:
            credential, listed, signature = named[b"Credential"], named[b"SignedHeaders"], named[b"Signature"]
        except KeyError:
            pass
        else:
            return _signer(credential, listed, _header_malformed), signature
    _header_malformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.")


def _timestamp(headers: Mapping[bytes, bytes]) -> tuple[bytes, int]:
    """Return when a request was signed, as its signature has it (``YYYYMMDDTHHMMSSZ``) and in seconds."""
    value = headers.get(b"x-amz-date", headers.get(b"date", b""))
    seconds = canonical.parse_iso8601(value)
    if seconds is not None:
        return value, seconds
    seconds = canonical.parse_date(value)
    if seconds is None:
        raise errors.AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    return canonical.format_iso8601(seconds), seconds


def _signer(credential: bytes, listed: bytes, malformed: Callable[[str], NoReturn]) -> _Signer:
    """Return who signs. An access key may have slashes in it, the rest of a credential may not."""
    if len(credential) + len(listed) > MAX_SIGNER_REMEMBERED:
        return _parsed_signer(credential, listed, malformed)
    return _remembered_signer(credential, listed, malformed)


def _parsed_signer(credential: bytes, listed: bytes, malformed: Callable[[str], NoReturn]) -> _Signer:
    parts = credential.rsplit(b"/", 4)
    if len(parts) != 5 or len(credential) > MAX_CREDENTIAL_LENGTH or not credential.isascii():
        malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    access_key, day, region, service, terminator = parts
    if not access_key:
        malformed("a non-empty Access Key (AKID) must be provided in the credential.")
    if len(day) != 8 or not day.isdigit():
        malformed(f'incorrect date format "{day.decode("ascii")}". This date in the credential must be in "yyyyMMdd".')
    if service != b"s3":
        malformed(f'incorrect service "{service.decode("ascii")}". This endpoint belongs to "s3".')
    if terminator != b"aws4_request":
        malformed(f'incorrect terminal "{terminator.decode("ascii")}". This endpoint uses "aws4_request".')
    names = tuple(listed.split(b";"))
    scope = credential[len(access_key) + 1 :]
    return _Signer(access_key.decode("ascii"), day, region, scope, listed, names, frozenset(names))


_remembered_signer = lru_cache(maxsize=SIGNERS_REMEMBERED)(_parsed_signer)


def usual(query: bytes) -> Presigned | None:
    """Return what a presigned URL says whose query is written as SDKs write it, with nothing encoded but in the
    signature's own fields. Any other is None, and for ``read_presigned``.
    """
    found = USUAL.fullmatch(query)
    if found is None:
        return None
    first, start, credential, timestamp, before, expires, after, between, signature, last = found.groups()
    if (before is None) == (after is None):
        return None
    listed = before or after
    signed = b"%b&X-Amz-Expires=%b&X-Amz-SignedHeaders=%b" % (start, expires, listed)
    own = b""
    if first or between or last:
        own = (first + between[1:] + last).strip(b"&")
        # Small letters come after all capitals, and one field is in order.
        signed += b"&" + (canonical.query(canonical.pairs(own)) if _AMPERSAND in own else own)
    return Presigned(
        credential.replace(b"%2F", b"/"), timestamp, expires, listed.replace(b"%3B", b";"), signature, signed, own=own
    )


def read_presigned(fields: Sequence[canonical.Pair], values: Mapping[bytes, bytes]) -> Presigned:
    """Return what a query says of its signature: all there, nothing twice. ``values`` are those of ``fields``, by name.

    Raises AuthorizationQueryParametersError.
    """
    if len(values) != len(fields):
        names = [name for name, _, _ in fields if name in _ONLY_ONCE]
        if len(names) != len(set(names)):
            raise errors.AuthorizationQueryParametersError(
                "Query-string authentication parameters must not be given more than once."
            )
    if not all(map(values.get, PRESIGN_PARAMETERS)):
        raise errors.AuthorizationQueryParametersError(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    if values[b"X-Amz-Algorithm"] != ALGORITHM:
        raise errors.AuthorizationQueryParametersError(f'X-Amz-Algorithm only supports "{ALGORITHM.decode()}"')
    return Presigned(
        unquote_to_bytes(values[b"X-Amz-Credential"]),
        values[b"X-Amz-Date"],
        values[b"X-Amz-Expires"],
        unquote_to_bytes(values[b"X-Amz-SignedHeaders"]),
        values[b"X-Amz-Signature"],
        canonical.query([field for field in fields if field[0] != b"X-Amz-Signature"]),
        values.get(_PAYLOAD_PARAMETER),
    )


def _expires(value: bytes) -> int:
    # The length first: int() of thousands of digits is slow, and refused.
    if value.isdigit() and len(value) <= _EXPIRES_DIGITS and 1 <= (seconds := int(value)) <= MAX_EXPIRES:
        return seconds
    if not value.removeprefix(b"-").isdigit():
        raise errors.AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    if value.startswith(b"-"):
        raise errors.AuthorizationQueryParametersError("X-Amz-Expires must be non-negative")
    raise errors.AuthorizationQueryParametersError(
        f"X-Amz-Expires must be between 1 and {MAX_EXPIRES} seconds: less than or equal to a week"
    )


def _check_lifetime(signed: int, expires: int, now: float) -> None:
    """Raise AccessDenied where a presigned URL has expired, or is of a time that our clock has yet to reach."""
    if signed > now + MAX_SKEW:
        raise errors.AccessDenied("Request is not yet valid", ServerTime=canonical.format_for_humans(now))
    if now > signed + expires:
        raise errors.AccessDenied(
            "Request has expired",
            **{"X-Amz-Expires": str(expires)},
            Expires=canonical.format_for_humans(signed + expires),
            ServerTime=canonical.format_for_humans(now),
        )


def _presigned_payload_hash(in_query: bytes | None, headers: Mapping[bytes, bytes]) -> bytes:
    """Return what the URL pins as the payload's hash: in the query, or in a header (which must then be signed)."""
    in_header = headers.get(b"x-amz-content-sha256")
    if in_query is not None and in_header is not None and in_query != in_header.strip():
        raise errors.InvalidRequest("The x-amz-content-sha256 header is not what the URL was signed for.")
    if in_query is not None:
        return in_query
    return _UNSIGNED if in_header is None else in_header.strip()


# --- whether it is true ----------------------------------------------------------------------------------------------


def _verify(
    claim: _Claim, request: SignedRequest, headers: Mapping[bytes, bytes], prefix: bytes, secret: str
) -> Authenticated:
    signer = claim.signer
    _check_all_signed(headers, signer.headers)
    key = signing_key(secret, signer.day, signer.region)
    host = headers.get(b"host", b"").strip()
    # A slash in the Host could pass for one of the forms in which s3cmd signs an endpoint's path as a part of the host.
    if signer.headers <= headers.keys() and host.find(b"/") < 0:
        lines = {name: name + b":" + canonical.folded(headers[name]) for name in signer.names}
        path = request.path or b"/"
        # All SDKs sign path and query as they send them.
        if _is_signed(claim, key, request.method, path, claim.query, lines) or any(
            _is_signed(claim, key, request.method, signed_path, query, {**lines, b"host": b"host:" + signed_host})
            for signed_path, query, signed_host in _forms(path, claim, host, prefix)
        ):
            return Authenticated(
                signer.access_key,
                4,
                claim.presigned,
                signer.headers,
                claim.payload_hash.decode("ascii", "replace"),
                ChunkSeed(key, claim.timestamp, signer.scope, claim.signature),
            )
    raise _mismatch(claim, request, headers)


def _is_signed(claim: _Claim, key: bytes, method: str, path: bytes, query: bytes, lines: Mapping[bytes, bytes]) -> bool:
    """Whether this is the request that was signed. ``lines`` are the signed headers, by name and in order."""
    mac = keyed(key).copy()
    mac.update(_string_to_sign(claim, _canonical_request(method, path, query, lines.values(), claim)))
    return hmac.compare_digest(mac.hexdigest().encode("ascii"), claim.signature)


def _check_all_signed(headers: Mapping[bytes, bytes], signed: frozenset[bytes]) -> None:
    """Raise AccessDenied unless the host and every ``x-amz-`` header are signed: anybody could add one that is not."""
    unsigned = [name for name in headers.keys() - signed if name[:6] == b"x-amz-"]
    if b"host" not in signed:
        unsigned.append(b"host")
    if unsigned:
        raise errors.AccessDenied(
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(name.decode("ascii", "replace") for name in sorted(unsigned)),
        )


def _forms(path: bytes, claim: _Claim, host: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield each (path, query, host) that a client may have signed for this request.

    They are needed by clients that do not encode canonically, and by s3cmd where its endpoint has a path: it takes
    that, or even the bucket, for a part of the host name. No requests for two different buckets or objects have a form
    in common.
    """
    queries = dict.fromkeys((claim.query, canonical.encoded_query(canonical.pairs(claim.query))))
    for candidate, signed_host in _endpoints(path, host, prefix):
        for signed_path in dict.fromkeys((candidate, canonical.path(candidate))):
            for query in queries:
                yield signed_path, query, signed_host


def _endpoints(path: bytes, host: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (path, host) with the endpoint's path, such as ``/s3``, in the one, the other, both and neither."""
    yield path, host
    if prefix and path.startswith(prefix):
        rest = path[len(prefix) :] or b"/"
        bucket, _, key = rest[1:].partition(b"/")
        yield rest, host + prefix
        yield b"/" + key, host + prefix + b"/" + bucket
        yield rest, host
        yield path, host + prefix


def _canonical_request(method: str, path: bytes, query: bytes, lines: Iterable[bytes], claim: _Claim) -> bytes:
    return b"\n".join((method.encode("ascii"), path, query, *lines, b"", claim.signer.listed, claim.payload_hash))


def _string_to_sign(claim: _Claim, canonical_request: bytes) -> bytes:
    digest = sha256(canonical_request).hexdigest().encode("ascii")
    return b"\n".join((ALGORITHM, claim.timestamp, claim.signer.scope, digest))


def _mismatch(claim: _Claim, request: SignedRequest, headers: Mapping[bytes, bytes]) -> errors.SignatureDoesNotMatch:
    """Return the error with what should have been signed, as Amazon does, so that a client can be mended."""
    text = _canonical_request(
        request.method,
        canonical.path(request.path or b"/"),
        canonical.encoded_query(canonical.pairs(claim.query)),
        [name + b":" + canonical.folded(headers.get(name, b"")) for name in claim.signer.names],
        claim,
    )
    return errors.SignatureDoesNotMatch(
        AWSAccessKeyId=claim.signer.access_key,
        StringToSign=_string_to_sign(claim, text).decode("utf-8", "replace"),
        SignatureProvided=claim.signature.decode("utf-8", "replace"),
        CanonicalRequest=text.decode("utf-8", "replace"),
    )
