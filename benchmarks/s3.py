"""The few S3 requests that a benchmark makes one at a time, presigned, over one connection."""

from __future__ import annotations

import http.client
import itertools
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import msgspec

from benchmarks.values import MIB

if TYPE_CHECKING:
    from benchmarks.servers import Server

TIMEOUT = 300.0  # seconds: a peer may copy a gibibyte before it answers
_NONE: Mapping[str, str] = MappingProxyType({})
_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_BUFFER = bytearray(MIB)  # every large body is read into this one, and let go


class AnswerError(RuntimeError):
    """A server refused a request that a benchmark depends on."""


class Answer(msgspec.Struct, frozen=True):
    """A successful answer. ``size`` is the length of a body that was read and dropped."""

    headers: Mapping[str, str]  # by lower-case name
    body: bytes
    size: int

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "").strip('"')


class Api:
    """A connection to a server, from ``with`` to the end of the block."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=TIMEOUT)
        self._signer = server.signer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def call(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] = _NONE,
        body: bytes | Iterable[bytes | memoryview] = b"",
        *,
        drop: bool = False,
    ) -> Answer:
        """One request for a presigned target. Raises AnswerError unless it is answered with 2xx.

        With ``drop`` the answer's body is read and let go, a mebibyte at a time.
        """
        self._connection.request(method, target, body=body or None, headers=dict(headers))
        response = self._connection.getresponse()
        size, content = 0, b""
        if drop and response.status < 300:
            while count := response.readinto(_BUFFER):
                size += count
        else:
            content = response.read()
        if not 200 <= response.status < 300:
            raise AnswerError(f"{method} {target}: {response.status} {content[:1000].decode(errors='replace')}")
        return Answer({name.lower(): value for name, value in response.getheaders()}, content, size)

    def create_bucket(self, bucket: str) -> None:
        self.call("PUT", self._signer.target("PUT", f"/{bucket}"))

    def enable_versioning(self, bucket: str) -> None:
        body = (
            b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            b"<Status>Enabled</Status></VersioningConfiguration>"
        )
        self.call("PUT", self._signer.target("PUT", f"/{bucket}", {"versioning": ""}), body=body)

    def put(self, path: str, block: bytes, blocks: int = 1, query: Mapping[str, str] = _NONE) -> Answer:
        """Puts an object (or, with a query, a part) that is the same block so many times over, in one stream."""
        length = {"Content-Length": str(len(block) * blocks)}
        return self.call(
            "PUT", self._signer.target("PUT", path, query), length, itertools.repeat(memoryview(block), blocks)
        )

    def get(self, path: str) -> Answer:
        """Reads an object through, in one stream, and drops its bytes."""
        return self.call("GET", self._signer.target("GET", path), drop=True)

    def copy(self, source: str, path: str) -> None:
        """CopyObject. A server may answer 200 and say in the body that it failed."""
        headers = {"x-amz-copy-source": source}
        answer = self.call("PUT", self._signer.target("PUT", path, headers=headers), headers)
        if b"<Error>" in answer.body:
            raise AnswerError(f"copy of {source}: {answer.body.decode(errors='replace')}")

    def create_upload(self, path: str) -> str:
        answer = self.call("POST", self._signer.target("POST", path, {"uploads": ""}))
        found = _UPLOAD_ID.search(answer.body)
        if not found:
            raise AnswerError(f"no upload id: {answer.body.decode(errors='replace')}")
        return found[1].decode()

    def complete_upload(self, path: str, upload: str, etags: Iterable[str]) -> None:
        parts = "".join(
            f'<Part><PartNumber>{number}</PartNumber><ETag>"{etag}"</ETag></Part>'
            for number, etag in enumerate(etags, start=1)
        )
        target = self._signer.target("POST", path, {"uploadId": upload})
        answer = self.call("POST", target, body=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())
        if b"<Error>" in answer.body:
            raise AnswerError(f"completion of {path}: {answer.body.decode(errors='replace')}")
