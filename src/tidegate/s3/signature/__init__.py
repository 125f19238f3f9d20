"""Who signed a request? AWS Signature Versions 4 and 2, in the Authorization header and in presigned URLs; and tokens,
as ``Authorization: Bearer`` or, beside a signature, as ``X-Amz-Security-Token``.

A signature is a keyed hash of one canonical text of the request (``canonical``), so verifying it is: read what the
client claims (``v4``, ``v2``), build the same text, compare. Clients differ in what they think is canonical, so a few
texts may be tried; the first is what every SDK signs, and each stands for one bucket and object only. The body is not
looked at: its hash is part of what was signed, and ``chunks`` continues the signature over the chunks of a streaming
body.

This package does no I/O and keeps no state but a small cache of derived keys. It must never let a request pass whose
signature was not computed over it: a request that carries any mark of a signature or of a token is verified or refused,
and only one that carries none is anonymous. It happens once, before routing, so that no handler can forget it. What a
token is worth is not known here: it is only found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from tidegate import errors
from tidegate.s3.signature import canonical, v2, v4
from tidegate.s3.signature.chunks import ChunkSigner
from tidegate.s3.signature.request import (
    MAX_SKEW,
    UNSIGNED_PAYLOAD,
    Authenticated,
    ChunkSeed,
    SignedRequest,
    Unverified,
)
from tidegate.s3.signature.v4 import Presigned, usual

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "MARKS",
    "MAX_SKEW",
    "UNSIGNED_PAYLOAD",
    "Authenticated",
    "ChunkSeed",
    "ChunkSigner",
    "Presigned",
    "SignedRequest",
    "Unverified",
    "authenticate",
    "read",
    "usual",
]

_TOKEN_MARKS: Final = frozenset((b"X-Amz-Security-Token", b"x-amz-security-token"))  # of version 4, and of 2
_V4_MARKS: Final = frozenset(v4.PRESIGN_MARKS)
_V2_MARKS: Final = frozenset(v2.PRESIGN_MARKS)
MARKS: Final = _V4_MARKS | _V2_MARKS | _TOKEN_MARKS


def authenticate(
    request: SignedRequest,
    secret_of: Callable[[str], str],
    now: float,
    *,
    prefix: bytes = b"",
    host_bucket: bytes = b"",
    allow_v2: bool = True,
) -> Authenticated | None:
    """Do as ``read`` does and verify what it returns, where secrets are at hand and nobody has tokens.

    ``secret_of`` gives the secret of an access key, or raises InvalidAccessKeyId. Raises InvalidToken for a token that
    no signature comes with.
    """
    unverified = read(request, now, prefix=prefix, host_bucket=host_bucket, allow_v2=allow_v2)
    if unverified is None:
        return None
    if not unverified.access_key and unverified.token is not None:
        raise errors.InvalidToken
    return unverified.verify(secret_of(unverified.access_key))


def read(
    request: SignedRequest,
    now: float,
    *,
    prefix: bytes = b"",
    host_bucket: bytes = b"",
    allow_v2: bool = True,
    fields: Sequence[canonical.Pair] | None = None,
    presigned: Presigned | None = None,
) -> Unverified | None:
    """Return who claims to have signed ``request``, or whose token it carries, or None where it carries no credentials
    at all (anonymous).

    ``now`` is seconds since the epoch. ``prefix`` is the part of the path that stands for the service, as in
    ``/s3/bucket/key``; a client may have signed the path with or without it. ``host_bucket`` is the bucket that the
    Host header names, which version 2 signs as part of the path. With ``allow_v2=False`` signatures of version 2 are
    refused. Where the caller has looked at the query already, ``presigned`` is what ``usual`` returns for it, and
    ``fields`` are those of any other.

    Raises the error that Amazon S3 gives: AccessDenied, AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError, InvalidArgument, InvalidRequest, RequestTimeTooSkewed.
    """
    headers = canonical.header_table(request.headers)
    authorization = headers.get(b"authorization")
    token = headers.get(b"x-amz-security-token")
    if fields is None and presigned is None:
        presigned = usual(request.query)
    if presigned is not None and not authorization and token is None:
        return v4.authenticate_query(request, headers, presigned, now, prefix)
    if fields is None or presigned is not None:
        fields = canonical.pairs(request.query)
    values = {name: value for name, _, value in fields}
    marks = MARKS.intersection(values)
    if authorization:
        if marks:
            raise _only_one_mechanism()
        scheme = authorization.partition(b" ")[0]
        if scheme == v4.ALGORITHM:
            found = v4.authenticate_header(request, headers, fields, now, prefix)
        elif scheme == b"AWS":
            _require_v2(allow=allow_v2)
            found = v2.authenticate_header(request, headers, fields, now, _resources(request.path, prefix, host_bucket))
        elif scheme.lower() == b"bearer":
            return _bearer(authorization, token)
        else:
            raise errors.InvalidArgument("Unsupported Authorization Type", ArgumentName="Authorization")
        return found if token is None else _with_token(found, token, presigned=False)
    if not marks:
        return None if token is None else _with_token(_UNSIGNED, token, presigned=False)
    kinds, given = marks, [] if token is None else [token]
    if not _TOKEN_MARKS.isdisjoint(marks):
        kinds = marks - _TOKEN_MARKS
        given += [canonical.decoded(value) for name, _, value in fields if name in _TOKEN_MARKS]
    if len(given) > 1:
        raise _only_one_mechanism()
    if kinds <= _V4_MARKS:
        found = v4.authenticate_query(request, headers, v4.read_presigned(fields, values), now, prefix)
    elif kinds <= _V2_MARKS:
        _require_v2(allow=allow_v2)
        found = v2.authenticate_query(request, headers, fields, now, _resources(request.path, prefix, host_bucket))
    else:
        raise _only_one_mechanism()
    return _with_token(found, given[0], presigned=True) if given else found


def _bearer(authorization: bytes, other: bytes | None) -> Unverified:
    """Return the token of an Authorization header of RFC 6750. A second token beside it may be the same only."""
    token = authorization.partition(b" ")[2].strip()
    if other is not None and other.strip() != token:
        raise _only_one_mechanism()
    return _with_token(_UNSIGNED, token, presigned=False)


def _with_token(found: Unverified, token: bytes, *, presigned: bool) -> Unverified:
    return msgspec.structs.replace(found, token=token.strip().decode("latin-1"), presigned=presigned)


def _not_signed(secret: str) -> NoReturn:
    del secret
    raise errors.SignatureDoesNotMatch


_UNSIGNED: Final = Unverified("", _not_signed)


def _only_one_mechanism() -> errors.InvalidArgument:
    return errors.InvalidArgument(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter "
        "or the Authorization header should be specified",
        ArgumentName="Authorization",
    )


def _require_v2(*, allow: bool) -> None:
    if not allow:
        # s3cmd reads this text and tries version 4.
        raise errors.InvalidRequest(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        )


def _resources(path: bytes, prefix: bytes, host_bucket: bytes) -> list[bytes]:
    """Return the paths that version 2 may have signed.

    Where the Host names the bucket there is one only: as the host is not signed, a signature for ``/bucket/key`` must
    not pass for the key ``bucket/key`` of whatever bucket the Host names.
    """
    path = path or b"/"
    if host_bucket:
        return [b"/" + host_bucket + path]
    without_prefix = path[len(prefix) :] or b"/" if path.startswith(prefix) else path
    resources = [path, without_prefix] if prefix else [path]
    if without_prefix.count(b"/") == 1 and without_prefix != b"/":
        resources.append(without_prefix + b"/")  # botocore sends /bucket and signs /bucket/
    return resources
