"""What a remote's refusal means to us: one place for all providers.

An error names the bucket, the remote's own code for what went wrong, and nothing that the remote may have been told in
confidence: where access is denied, only the code is taken from the answer.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

import msgspec

from tidegate import errors

# What is shown of a remote's own words.
MAX_WORDS: Final = 200
# What may be a key, a token or a signature: nothing shorter is one.
_SECRET: Final = re.compile(r"[A-Za-z0-9+/=_%.~-]{20,}")

_CODES: Final = MappingProxyType(
    {
        # Amazon
        "NoSuchKey": errors.NoSuchKey,
        "NoSuchBucket": errors.NoSuchBucket,
        "NoSuchUpload": errors.NoSuchUpload,
        "NoSuchVersion": errors.NoSuchVersion,
        "PreconditionFailed": errors.PreconditionFailed,
        "ConditionalRequestConflict": errors.ConditionalRequestConflict,
        "InvalidRange": errors.InvalidRange,
        "SlowDown": errors.SlowDown,
        "EntityTooLarge": errors.EntityTooLarge,
        "NotImplemented": errors.NotImplementedByServer,
        "ExpiredToken": errors.RemoteDenied,
        "InvalidToken": errors.RemoteDenied,
        "TokenRefreshRequired": errors.RemoteDenied,
        "XMinioStorageFull": errors.InsufficientStorage,
        # Azure
        "BlobNotFound": errors.NoSuchKey,
        "ContainerNotFound": errors.NoSuchBucket,
        "ContainerBeingDeleted": errors.NoSuchBucket,
        "ConditionNotMet": errors.PreconditionFailed,
        "TargetConditionNotMet": errors.PreconditionFailed,
        "SourceConditionNotMet": errors.PreconditionFailed,
        "CannotVerifyCopySource": errors.NoSuchKey,
        "BlobAlreadyExists": errors.PreconditionFailed,
        "RequestBodyTooLarge": errors.EntityTooLarge,
    }
)
_CODE: Final = re.compile(r"[A-Za-z]{3,64}")  # a word, which no signature is
# What Amazon says of a signature with status 400.
_OF_SIGNATURES: Final = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "AuthorizationQueryParametersError",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
    }
)
_STATUSES: Final = MappingProxyType(
    {
        401: errors.RemoteDenied,
        403: errors.RemoteDenied,
        407: errors.RemoteDenied,
        412: errors.PreconditionFailed,
        413: errors.EntityTooLarge,
        416: errors.InvalidRange,
        429: errors.SlowDown,
        501: errors.NotImplementedByServer,
        503: errors.SlowDown,
        507: errors.InsufficientStorage,
    }
)


class Refusal(msgspec.Struct, frozen=True):
    """An answer that is no success: its status, and the remote's code and words for it, both perhaps empty."""

    status: int
    code: str = ""
    words: str = ""


def fault(uri: str, refusal: Refusal, key: str | None = None) -> errors.Error:
    """The error to raise for a refusal. ``key`` is the object that was asked for, None for the bucket itself."""
    kind = _CODES.get(refusal.code) or _STATUSES.get(refusal.status)
    if kind is None:
        if refusal.status == 404:
            kind = errors.NoSuchBucket if key is None else errors.NoSuchKey
        else:
            kind = errors.RemoteRefused if 400 <= refusal.status < 500 else errors.RemoteUnavailable
    fields = {} if key is None else {"Key": key}
    subject = uri if key is None else f"{uri}/{key}"
    if kind in {errors.NoSuchKey, errors.NoSuchBucket}:
        return kind(f"{subject if kind is errors.NoSuchKey else uri} does not exist", **fields)
    if kind is errors.NoSuchVersion:
        return kind(f"{subject} has no such version", **fields)
    return kind(f"{subject}: {_sentence(kind, refusal)}", **fields)


def signed_elsewhere(uri: str, refusal: Refusal, key: str) -> errors.Error:
    """As ``fault``, for a request that somebody else has signed: the remote's words may repeat what it was signed with,
    and where access is denied the signature is to be looked at.
    """
    if refusal.status in {401, 403} or refusal.code in _OF_SIGNATURES:
        cause = refusal.code if _CODE.fullmatch(refusal.code) else f"HTTP status {refusal.status}"
        return errors.RemoteDenied(f"{uri}/{key}: the remote refused the request as it is signed ({cause})", Key=key)
    return fault(uri, msgspec.structs.replace(refusal, words=""), key)


def _sentence(kind: type[errors.Error], refusal: Refusal) -> str:
    cause = _plain(refusal.code) or f"HTTP status {refusal.status}"
    if kind is errors.RemoteDenied:
        return f"the remote denied access ({cause}): look at the server's credentials for it"
    if 300 <= refusal.status < 400:
        return "the remote redirects to another place, which is not followed: look at the bucket's endpoint"
    words = _plain(refusal.words)
    said = f"{cause}: {words}" if words else cause
    if kind in {errors.PreconditionFailed, errors.InvalidRange}:
        return f"the remote says {said}"
    return f"the remote failed ({said})" if refusal.status >= 500 else f"the remote refused the request ({said})"


def _plain(text: str) -> str:
    """The beginning of the first line, without what does not print or may be a secret that was echoed."""
    line = _SECRET.sub("…", text.strip().partition("\n")[0])
    return "".join(letter for letter in line if letter.isprintable())[:MAX_WORDS]
