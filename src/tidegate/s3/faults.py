"""Errors as S3 answers them: a status, an XML document, and the headers that some of them carry."""

from __future__ import annotations

from tidegate import errors
from tidegate.asgi import Headers
from tidegate.s3 import xml
from tidegate.s3.call import Response

NOT_MODIFIED = 304

# Fields of an error that are answered as headers. The others, capitalised, are elements of the document.
_HEADERS = {"version_id": b"x-amz-version-id", "etag": b"etag", "modified": b"last-modified"}


def translated(error: errors.Error, *, reads_object: bool) -> errors.Error:
    """The error as S3 clients know it: what is missing of a repository is a bucket to them, or of a snapshot that
    nobody has made, where they read from it, a key.

    Source: Pachyderm's S3 gateway.
    """
    if isinstance(error, errors.NoSuchCommit) and reads_object:
        return errors.NoSuchKey()
    if isinstance(error, errors.NoSuchRepo):
        return errors.NoSuchBucket(errors.NoSuchRepo.message, **error.fields)
    return error


def response(error: errors.Error, raw_path: bytes, request_id: str) -> Response:
    """The answer to a request that failed."""
    headers: Headers = []
    for name, value in error.fields.items():
        header = _HEADERS.get(name)
        if header is not None:
            headers.append((header, (f'"{value}"' if name == "etag" else value).encode()))
    if isinstance(error, (errors.DeleteMarker, errors.NamedDeleteMarker)):
        headers.append((b"x-amz-delete-marker", b"true"))
    if isinstance(error, errors.InvalidRange):
        headers.append((b"content-range", f"bytes */{error.fields['ActualObjectSize']}".encode()))
    if error.status == NOT_MODIFIED:
        return Response(error.status, headers)
    headers.append((b"content-type", b"application/xml"))
    return Response(error.status, headers, document(error, request_id, raw_path))


def document(error: errors.Error, request_id: str, raw_path: bytes = b"/") -> bytes:
    """S3's error document."""
    elements = [
        xml.element("Code", error.code),
        xml.element("Message", error.message),
        *(xml.element(name, value) for name, value in error.fields.items() if name[0].isupper()),
        xml.element("Resource", raw_path.decode("latin-1")),
        xml.element("RequestId", request_id),
        xml.element("HostId", request_id),
    ]
    return f"{xml.DECLARATION}<Error>{''.join(elements)}</Error>".encode("utf-8", "replace")
