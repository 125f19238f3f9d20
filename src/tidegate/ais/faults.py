"""Errors as AIStore writes them: JSON, and on HEAD the same in a header.

Clients tell errors apart by the URI in the message, so every message about a bucket or an object names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from tidegate import errors
from tidegate.names import AIS, PROVIDERS

# AIStore's names of error types; others go by the name of ours.
_TYPES: Mapping[type[errors.Error], str] = MappingProxyType(
    {
        errors.NoSuchBucket: "ErrBckNotFound",
        errors.NoSuchKey: "ErrObjNotFound",
        errors.DeleteMarker: "ErrObjNotFound",
        errors.BucketAlreadyExists: "ErrBucketAlreadyExists",
        errors.BucketAlreadyOwnedByYou: "ErrBucketAlreadyExists",
        errors.BucketAccessDenied: "ErrBucketAccessDenied",
        errors.InsufficientStorage: "ErrCapacityExceeded",
        errors.NotImplementedByServer: "ErrNotImpl",
    }
)
_ABOUT_BUCKETS = (errors.NoSuchBucket, errors.BucketAlreadyExists, errors.BucketAlreadyOwnedByYou)
UNAUTHORIZED = 401
# What AIStore says to who may not do something.
FORBIDDEN = "http error code 'Forbidden'"
HEAD_ERROR = "Hdr-Error"
NODE = "p[tidegate]"


def response(request: Request, error: errors.Error, status: int | None = None) -> Response:
    """The answer that tells of an error. ``status`` is another than the error's own."""
    status = error.status if status is None else status
    document = json.dumps(
        {
            **_subject(request, error),
            "tcode": _TYPES.get(type(error), error.code),
            "message": _message(request, error),
            "method": request.method,
            "url_path": request.url.path,
            "remote_addr": "",
            "caller": "",
            "node": NODE,
            "status": status,
        },
        separators=(",", ":"),  # and all in ASCII, which a header can take
    )
    headers = {"X-Content-Type-Options": "nosniff"}
    if status == UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 section 11.6.1
    if request.method == "HEAD":
        return Response(status_code=status, headers={**headers, HEAD_ERROR: document})
    return Response(document, status, headers, "application/json")


def _subject(request: Request, error: errors.Error) -> Mapping[str, str]:
    """The bucket that is missing or in the way, once more as the Python SDK reads it, and before all that it may read.

    It takes the first ``provider://name`` of the text. It knows the providers' names, but not all of their schemes; and
    with a namespace's slash it takes a bucket for an object, for which it goes on asking for a minute.
    """
    bucket = request.path_params.get("bucket")
    if not isinstance(error, _ABOUT_BUCKETS) or bucket is None or error.fields.get("BucketName") != bucket:
        return {}
    provider = request.query_params.get("provider") or AIS
    return {"bucket": f"{PROVIDERS.get(provider, provider)}://{bucket}"}


def _message(request: Request, error: errors.Error) -> str:
    """What is said: where the error itself names nothing, the URI of what was asked for is named."""
    if isinstance(error, (errors.NoSuchKey, errors.DeleteMarker)):
        uri = _uri(request)
        return f"{uri} does not exist" if uri else error.message
    if isinstance(error, errors.AccessDenied) and error.message == errors.AccessDenied.message:
        bucket = error.bucket or _bucket_uri(request)
        return f'{FORBIDDEN}, bucket "{bucket}"' if bucket else FORBIDDEN
    return error.message


def _uri(request: Request) -> str:
    bucket, key = _bucket_uri(request), request.path_params.get("key")
    return f"{bucket}/{key}" if bucket and key else ""


def _bucket_uri(request: Request) -> str:
    bucket = request.path_params.get("bucket")
    if not bucket:
        return ""
    provider = request.query_params.get("provider") or "ais"
    namespace = request.query_params.get("namespace", "")
    return f"{provider}://{namespace + '/' if namespace else ''}{bucket}"
