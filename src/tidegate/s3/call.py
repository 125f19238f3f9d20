"""One request on its way through the door: what was parsed of it, and what answers it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from urllib.parse import quote

import msgspec

from tidegate import errors
from tidegate.asgi import Headers, Receive
from tidegate.gateway import Gateway
from tidegate.model import Principal
from tidegate.passage import Passage
from tidegate.refs import RefName, parse_bucket
from tidegate.s3.routing import Operation
from tidegate.s3.signature import Authenticated
from tidegate.s3.target import Target

MAX_DIGITS = 10  # of a number that clients give; more is none that any operation has
SIZE_DIGITS = 19  # of a number of bytes: as many as 2^63 has


class Response(msgspec.Struct, frozen=True):
    """An answer. One whose body is not here, a stream or an answer to HEAD, comes with a ``content-length`` header."""

    status: int = 200
    headers: Headers = []
    body: bytes | AsyncGenerator[bytes, None] = b""


def xml_response(document: bytes, headers: Headers | None = None) -> Response:
    """An answer that is a document."""
    return Response(200, [(b"content-type", b"application/xml"), *(headers or [])], document)


class Call(msgspec.Struct):
    """A request that was routed and authenticated.

    ``headers`` have lower-case names; their values are the bytes on the wire, read as ISO 8859-1. ``query`` is decoded.
    ``is_repos`` says that it came in where buckets are branches of repositories, and nothing else.
    ``passage`` is there where the request is signed for the remote that keeps the bucket, and goes to it.
    """

    gateway: Gateway
    method: str
    scheme: str
    target: Target
    operation: Operation
    headers: Mapping[str, str]
    query: Mapping[str, str]
    principal: Principal
    authenticated: Authenticated | None
    receive: Receive
    request_id: str = ""
    passage: Passage | None = None

    is_repos: bool = False

    @property
    def bucket(self) -> str:
        """The bucket that the request names, as it names it."""
        if self.target.bucket is None:
            raise errors.InvalidBucketName
        return self.target.bucket

    @property
    def name(self) -> str | RefName:
        """What the gateway is to take the bucket's name for."""
        return parse_bucket(self.bucket) if self.is_repos else self.bucket

    def name_of(self, bucket: str) -> str | RefName:
        """The same for another bucket that the request names."""
        return parse_bucket(bucket) if self.is_repos else bucket

    @property
    def key(self) -> str:
        """The key that the request names."""
        if self.target.key is None:
            raise errors.InvalidURI
        return self.target.key

    @property
    def version_id(self) -> str:
        """The version that the request names, or an empty string."""
        version_id = self.query.get("versionId")
        if version_id == "":
            raise errors.InvalidArgument(
                "Version id cannot be the empty string", ArgumentName="versionId", ArgumentValue=""
            )
        return version_id or ""

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number in the query.

        Raises ``InvalidArgument`` unless it is ``least`` or more; what is too large counts as ``most``.
        """
        value = self.query.get(name)
        if not value:
            return default
        number = whole_number(value)
        if number is None or number < least:
            raise errors.InvalidArgument(
                f"Provided {name} not an integer or within integer range", ArgumentName=name, ArgumentValue=value
            )
        return min(number, most)

    @property
    def location(self) -> str:
        """The URL of the object, as this client sees it."""
        host = self.headers.get("host", "")
        place = "" if self.target.virtual_host else f"{self.target.path_prefix}/{self.bucket}"
        return f"{self.scheme}://{host}{place}/{quote_key(self.key)}"


def whole_number(text: str, digits: int = MAX_DIGITS) -> int | None:
    """The number that a client wrote in plain digits, at most so many; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def quote_key(key: str) -> str:
    """A key percent-encoded, but for slashes."""
    return quote(key, safe="/-_.~")
