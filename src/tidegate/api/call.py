"""One request on its way through the door: who asks, what the path names, and how the rest is parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tidegate import asgi, errors
from tidegate.api.routes import Header
from tidegate.api.words import MAX_MESSAGE, MAX_METADATA, After, Limit
from tidegate.documents import MAX_PAGE
from tidegate.gateway import Gateway
from tidegate.model import EMPTY, NO_NOTE, Note, Principal
from tidegate.refs import RefName, RepoName

T = TypeVar("T")

# The largest body has a choice for each of 10,000 conflicts, with paths of 1 KiB.
MAX_BODY: Final = 16 * 1024 * 1024
# Anybody may send a password.
MAX_OPEN_BODY: Final = 16 * 1024
JSON: Final = "application/json"
IF_HEAD: Final = "if-head-commit"
COMMIT_MESSAGE: Final = "x-tidegate-commit-message"
COMMIT_METADATA: Final = "x-tidegate-commit-metadata"
# What may not be ignored where it cannot be heeded (RFC 9110 section 13.1).
BINDING: Final = ("if-match", "if-none-match", "if-unmodified-since", IF_HEAD, COMMIT_MESSAGE, COMMIT_METADATA)
ON_HEAD: Final = Header("If-Head-Commit", "The commit that the branch has to be at.")


class Paging(msgspec.Struct, frozen=True):
    """Which of many things that have names."""

    after: After = ""
    limit: Limit = MAX_PAGE


class Call(msgspec.Struct, frozen=True):
    """A request that was authenticated. ``names`` are those in its path."""

    gateway: Gateway
    request: Request
    principal: Principal
    names: Mapping[str, str]

    @property
    def repo(self) -> RepoName:
        """The repository in the path."""
        return RepoName(self.names["repo"], self.names["project"])

    @property
    def ref(self) -> str:
        """The ref in the path."""
        return self.names["ref"]

    def at(self, ref: str) -> RefName:
        """The state of the repository in the path that a ref means."""
        return RefName(self.repo, ref)

    def noted(self, message: str = "", metadata: Mapping[str, str] = EMPTY) -> Principal:
        """Who is asking, with what they say of the commit that is made: this, and If-Head-Commit.

        Raises ``InvalidArgument`` for too much of it.
        """
        if len(message) > MAX_MESSAGE:
            raise errors.InvalidArgument(f"the message of a commit has at most {MAX_MESSAGE} characters")
        if sum(len(name) + len(value) for name, value in metadata.items()) > MAX_METADATA:
            raise errors.InvalidArgument(f"the metadata of a commit has at most {MAX_METADATA} characters")
        note = Note(message, metadata, self.request.headers.get(IF_HEAD, ""))
        return self.principal if note == NO_NOTE else msgspec.structs.replace(self.principal, note=note)


def no_such_file(repo: RepoName, ref: str, path: str) -> errors.NoSuchKey:
    """The error for a file that is not there."""
    return errors.NoSuchKey(f"file {path} not found in repo {repo.project}/{repo.name} at {ref}")


def parse_query(raw: bytes, kind: type[T]) -> T:
    """The query's parameters. Raises ``InvalidArgument`` for one that is unknown, repeated, or not of its type."""
    pairs = parse_pairs(raw, "the query")
    known = {field.encode_name for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]  # a struct's type
    for name in pairs:
        if name not in known:
            raise errors.InvalidArgument(f'there is no parameter "{name[:100]}" here')
    try:
        return msgspec.convert(pairs, kind, strict=False)
    except msgspec.ValidationError as error:
        raise errors.InvalidArgument(f"the query is not what it should be: {error}") from None


def parse_pairs(raw: bytes, what: str) -> dict[str, str]:
    """What is written as a query, each name once. Raises ``InvalidArgument``."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=bool(raw), errors="strict")
    except ValueError:
        raise errors.InvalidArgument(f"{what} is not name=value&name=value in percent-encoded UTF-8") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise errors.InvalidArgument(f"{what} has a name twice")
    return found


def has_body(request: Request) -> bool:
    """Whether anything comes after the headers."""
    return asgi.body_size(request.headers) != 0


async def read_body(request: Request, kind: type[T], limit: int) -> T:
    """The JSON in the body; no body is an empty object.

    Raises ``EntityTooLarge``, ``UnsupportedMediaType``, ``InvalidArgument``.
    """
    pieces, size = [], 0
    async for piece in asgi.body(request.receive, asgi.body_size(request.headers)):
        size += len(piece)
        if size > limit:
            raise errors.EntityTooLarge(f"the body has more than {limit} bytes")
        pieces.append(piece)
    data = b"".join(pieces)
    if data and request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise errors.UnsupportedMediaType(f"the body has to be JSON, and its Content-Type {JSON}")
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (ValueError, RecursionError) as error:
        raise errors.InvalidArgument(f"the body is not what it should be: {error}") from None


def as_json(value: object, status: int = 200) -> Response:
    """An answer with a document."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)
