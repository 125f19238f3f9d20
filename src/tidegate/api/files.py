"""The content of files (``…/repos/{repo}/files/{ref}/{path}``): reading, writing, appending, copying and deleting it.

A path is an object's key as S3's clients have it: nothing is put before it or taken away.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from email.utils import formatdate
from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tidegate import asgi, errors, ranges
from tidegate.api import shapes
from tidegate.api.bodies import FileBody
from tidegate.api.call import COMMIT_MESSAGE, COMMIT_METADATA, ON_HEAD, Call, as_json, no_such_file, parse_pairs
from tidegate.api.repos import REPO
from tidegate.api.routes import Header, Route, route
from tidegate.api.words import Message, Metadata, Name, Path, Ref
from tidegate.clock import SECOND
from tidegate.documents import File
from tidegate.gateway.appending import AT_END
from tidegate.gateway.copying import Source
from tidegate.gateway.multipart import MAX_OBJECT_SIZE
from tidegate.gateway.objects import Deletion, NewObject
from tidegate.gateway.reading import UNKNOWN, Span
from tidegate.gateway.selection import check_key
from tidegate.model import EMPTY, Principal, Version
from tidegate.preconditions import NONE, if_range_holds, of_headers
from tidegate.refs import RefName, RepoName

COMMIT: Final = "x-tidegate-commit"
# Kept with a file, and shown when it is read.
STORED: Final = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control")
CONTENT_TYPE: Final = "application/octet-stream"


class Putting(msgspec.Struct, frozen=True):
    """How a file is written."""

    append: Annotated[bool, Meta(description="Put the body behind what is there.")] = False


class Deleting(msgspec.Struct, frozen=True):
    """What is deleted."""

    recursive: Annotated[bool, Meta(description="Also all that is below, as in a directory; of an empty path all.")] = (
        False
    )


class Deleted(msgspec.Struct, frozen=True):
    """How many files were deleted, and in which commit: none where there was nothing."""

    deleted: int
    commit: str | None


class Copy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that is to be copied. The source is in the repository of the path, if it does not say."""

    source_ref: Ref
    source_path: Path
    ref: Ref
    path: Path
    source_repo: Name | None = None
    source_project: Name | None = None
    message: Message = ""
    metadata: Metadata = {}


class Content(Response):
    """An answer whose bytes come as they are read. Where that fails the connection breaks."""

    def __init__(self, status: int, headers: asgi.Headers, body: AsyncGenerator[bytes, None]) -> None:
        super().__init__(None, status)
        self.raw_headers = headers
        self._stream = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await asgi.send_stream(send, receive, self.status_code, self.raw_headers, self._stream)


async def get_file(call: Call) -> Response:
    """The content of a file, or with `Range` a part of it."""
    headers, is_head = call.request.headers, call.request.method == "HEAD"
    wanted = "" if is_head else headers.get("range", "")
    reading = await call.gateway.objects.read(
        call.principal,
        call.at(call.ref),
        _path(call),
        preconditions=of_headers(headers),
        span=UNKNOWN if is_head else Span(*ranges.expected(wanted)),
    )
    version = reading.version
    start, length, status = 0, version.size, 200
    answer = _described(version)
    selected = ranges.evaluate(wanted, version.size) if if_range_holds(headers.get("if-range"), version) else None
    if selected is not None:
        start, length = selected
        status = 206
        answer.append((b"content-range", b"bytes %d-%d/%d" % (start, start + length - 1, version.size)))
    answer.append((b"content-length", b"%d" % length))
    if is_head or not length or reading.data is not None:
        data = b"" if is_head or reading.data is None else reading.data[start : start + length]
        whole = Response(data, status)
        whole.raw_headers = answer
        return whole
    return Content(status, answer, await asgi.begun(reading.stream(start, length)))


async def put_file(call: Call, query: Putting) -> File | Response:
    """Write a file: the body is its content. It is there when all of it came, and in one commit."""
    request = call.request
    if "content-range" in request.headers:  # RFC 9110 section 14.5
        raise errors.InvalidRequest("a part of a file cannot be written; append=true puts something behind it")
    stored = {name: request.headers[name] for name in STORED if name in request.headers}
    version = await call.gateway.objects.put(
        _noted(call),
        call.at(call.ref),
        _path(call),
        FileBody(request),
        NewObject(stored),
        preconditions=of_headers(request.headers),
        write_offset=AT_END if query.append else None,
        max_size=MAX_OBJECT_SIZE,
    )
    return _written(version)


async def delete_file(call: Call, query: Deleting) -> Deleted:
    """Delete a file, or all that is below a path. What is not there is no error. A large directory goes as a whole too:
    where others change what is to be deleted meanwhile, nothing is (409).
    """
    conditions = of_headers(call.request.headers)
    if not query.recursive:
        deletion = Deletion(_path(call), preconditions=conditions)
        done = await call.gateway.objects.delete(_noted(call), call.at(call.ref), deletion)
        return Deleted(int(bool(done.version_id)), done.version_id or None)
    if conditions != NONE:
        raise errors.InvalidRequest("conditions are about one file: a directory is deleted without")
    merged = await call.gateway.directories.delete(_noted(call), call.repo, call.ref, call.names["path"])
    return Deleted(merged.changes, None if merged.commit is None else merged.commit.id)


async def copy_file(call: Call, body: Copy) -> File | Response:
    """Copy a file, without its bytes being read: also from another repository."""
    own = call.repo
    source_repo = RepoName(body.source_repo or own.name, body.source_project or own.project)
    for path in (body.source_path, body.path):
        check_key(path)
    principal, conditions = call.noted(body.message, body.metadata), of_headers(call.request.headers)
    source = Source(RefName(source_repo, body.source_ref), body.source_path)
    try:
        copied = await call.gateway.copying.copy(
            principal, source, call.at(body.ref), body.path, preconditions=conditions
        )
    except (errors.NoSuchKey, errors.DeleteMarker):
        if conditions.if_match is not None:  # which says the same of the place where the copy was to go
            raise
        raise no_such_file(source_repo, body.source_ref, body.source_path) from None
    return _written(copied.version)


def _path(call: Call) -> str:
    """The path of a file. Raises ``InvalidArgument``, ``KeyTooLongError``."""
    path = call.names["path"]
    check_key(path)
    return path


def _noted(call: Call) -> Principal:
    """Who is asking, with the note that is in the headers. Raises ``InvalidArgument``."""
    message = _text(call.request, COMMIT_MESSAGE)
    given = call.request.headers.get(COMMIT_METADATA)
    metadata = EMPTY if given is None else parse_pairs(given.encode("latin-1"), COMMIT_METADATA)
    return call.noted(message, metadata)


def _text(request: Request, name: str) -> str:
    """A header's text, which is UTF-8 and percent-encoded. Raises ``InvalidArgument``."""
    try:
        return unquote_to_bytes(request.headers.get(name, "").encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise errors.InvalidArgument(f"the header {name} is not percent-encoded UTF-8") from None


def _described(version: Version) -> asgi.Headers:
    """The headers that describe a file, but for its length."""
    stored = version.attributes.headers
    headers = [
        (b"etag", b'"%b"' % version.etag.encode()),
        (b"last-modified", formatdate(version.modified // SECOND, usegmt=True).encode()),
        (b"accept-ranges", b"bytes"),
        (COMMIT.encode(), version.version_id.encode()),
    ]
    headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in stored.items()]
    return headers if "content-type" in stored else [*headers, (b"content-type", CONTENT_TYPE.encode())]


def _written(version: Version) -> Response:
    response = as_json(shapes.file(version))
    response.headers["ETag"] = f'"{version.etag}"'
    return response


_CONDITIONS = tuple(
    Header(name, "RFC 9110 section 13.")
    for name in ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
)
_ON_WRITES = _CONDITIONS[:2]
_ON_DELETES = _CONDITIONS[:1]
_NOTES = (
    Header("X-Tidegate-Commit-Message", "What is to be said of the commit: UTF-8, percent-encoded."),
    Header("X-Tidegate-Commit-Metadata", "Names and values to keep with the commit, written as a query."),
    ON_HEAD,
)
_ON_CONTENT = (
    Header("Content-MD5", "RFC 1864. Verified."),
    Header("Content-Digest", "RFC 9530, `sha-256` and `sha-512`. Verified."),
)
_FILE = REPO + "/files/{ref}/{path...}"

ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        _FILE,
        get_file,
        headers=(Header("Range", "One range of bytes."), Header("If-Range", "RFC 9110 section 13.1.5."), *_CONDITIONS),
        media=CONTENT_TYPE,
    ),
    route("PUT", _FILE, put_file, headers=(*_ON_WRITES, *_NOTES, *_ON_CONTENT), takes_content=True),
    route("DELETE", _FILE, delete_file, headers=(*_ON_DELETES, *_NOTES)),
    route("POST", REPO + "/copy", copy_file, headers=(*_ON_WRITES, ON_HEAD)),
)
