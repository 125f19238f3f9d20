"""Errors as JSON: ``{"error": {"code", "message", "request_id"}}``.

Codes are the names of the errors' classes, but for a few which say S3's word for a thing that has another name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from starlette.responses import Response

from tidegate import errors
from tidegate.api.call import JSON
from tidegate.documents import Conflict, Failure, Fault

_CODES: Final[Mapping[type[errors.Error], str]] = MappingProxyType(
    {
        errors.Error: "InternalError",
        errors.NotImplementedByServer: "NotImplemented",
        errors.NoSuchKey: "NoSuchFile",
        errors.DeleteMarker: "NoSuchFile",
        errors.KeyTooLongError: "PathTooLong",
        errors.InvalidBucketName: "InvalidName",
        errors.BucketAccessDenied: "AccessDenied",
        errors.EntityTooLarge: "ContentTooLarge",
    }
)
# Where S3 has one status and HTTP a better one (RFC 9110 section 15.5.14).
_STATUSES: Final[Mapping[type[errors.Error], int]] = MappingProxyType({errors.EntityTooLarge: 413})
# What is said instead of S3's sentence: what is missing is named in the path.
_SENTENCES: Final[Mapping[type[errors.Error], str]] = MappingProxyType(
    {
        errors.NoSuchTag: 'tag "{tag}" not found in repo {project}/{repo}',
        errors.NoSuchKey: "file {path} not found in repo {project}/{repo} at {ref}",
        errors.DeleteMarker: "file {path} not found in repo {project}/{repo} at {ref}",
    }
)
# Characters of a message: a path is not longer than 1 KiB, and some messages name two.
MAX_MESSAGE: Final = 4096


class MergeConflict(errors.Error):
    """A merge would have to choose between two sides, and nothing says which."""

    status = 409
    message = "Both sides have changed the same paths: say whose are to stay."

    def __init__(self, conflicts: tuple[Conflict, ...]) -> None:
        self.conflicts = conflicts
        super().__init__()


def code_of(error: errors.Error) -> str:
    """What the error is called here."""
    return _CODES.get(type(error), type(error).__name__)


def response(error: errors.Error, names: Mapping[str, str], request_id: str) -> Response:
    """The answer that tells of an error. ``names`` are those in the path."""
    status = _STATUSES.get(type(error), error.status)
    headers = _headers(error, status)
    if status == 304:  # which has no body (RFC 9110 section 15.4.5)
        return Response(status_code=status, headers=headers)
    conflicts = error.conflicts if isinstance(error, MergeConflict) else ()
    fault = Fault(code_of(error), _message(error, names)[:MAX_MESSAGE], request_id)
    return Response(msgspec.json.encode(Failure(fault, conflicts)), status, headers, JSON)


def _headers(error: errors.Error, status: int) -> dict[str, str]:
    match error:
        case errors.NotModified() if "etag" in error.fields:
            return {"ETag": f'"{error.fields["etag"]}"'}
        case errors.MethodNotAllowed() if "Allow" in error.fields:
            return {"Allow": error.fields["Allow"]}
        case errors.InvalidRange() if "ActualObjectSize" in error.fields:
            return {"Content-Range": f"bytes */{error.fields['ActualObjectSize']}"}
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}  # RFC 9110 section 11.6.1


def _message(error: errors.Error, names: Mapping[str, str]) -> str:
    """The error's own words, or a sentence that names what is missing."""
    if isinstance(error, errors.AccessDenied) and error.message == errors.AccessDenied.message and error.bucket:
        return f"access to {error.bucket} is denied"
    sentence = _SENTENCES.get(type(error))
    if sentence is None or error.message != type(error).message:
        return error.message
    try:
        return sentence.format_map(names)
    except KeyError:  # the path names no such thing: it was in the query, or in the body
        return error.message
