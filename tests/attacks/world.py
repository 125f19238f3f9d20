"""A server with users on it, and what must be true of every answer that it gives to anybody."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote
from xml.etree import ElementTree as ET

from tests.attacks.signing import Keys, Request, v4
from tests.server.wire import connect
from tidegate.catalog.abc import Reader
from tidegate.catalog.check import CHECKS, Problem
from tidegate.catalog.sqlite import SQLite
from tidegate.identity import Identity
from tidegate.identity.vault import Vault
from tidegate.testing import Server

T = TypeVar("T")

SERVER_FAULT = 500
NOT_IMPLEMENTED = 501

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Reply:
    """An answer, complete and well-formed."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of S3's error document; empty where the answer is none."""
        return self.text("Code") if self.status >= 400 and self.body else ""

    def text(self, name: str) -> str:
        """The text of the first element of that name."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> list[str]:
        """The texts of all elements of that name, in the order of the document."""
        return [node.text or "" for node in parse(self.body).iter() if node.tag.rpartition("}")[2] == name]


def parse(document: bytes) -> ET.Element:
    """A document that the server wrote."""
    return ET.fromstring(document)  # noqa: S314 - the server under test is no stranger


@dataclass
class World:
    """A server with authentication on, an administrator and two users who own nothing of each other's."""

    server: Server
    admin: Keys
    alice: Keys
    bob: Keys
    host: str = field(init=False)

    def __post_init__(self) -> None:
        self.host = f"127.0.0.1:{self.server.port}"

    # --- requests ---

    def send(self, request: Request, keys: Keys | None = None) -> Reply:
        """Sends a request, signed if keys are given, and checks the answer."""
        request = self.hosted(request)
        return self.send_as_it_is(v4(keys, request) if keys is not None else request)

    def hosted(self, request: Request) -> Request:
        """With a Host and a Content-Length, unless it has them."""
        if not request.header("host"):
            request = replace(request, headers=(("host", self.host), *request.headers))
        names = {name for name, _ in request.headers}
        if (request.body or request.method in {"PUT", "POST"}) and not names & {"content-length", "transfer-encoding"}:
            request = request.with_headers(content_length=str(len(request.body)))
        return request

    def send_as_it_is(self, request: Request) -> Reply:
        """Sends exactly this, and checks the answer."""
        return self.send_bytes(wire_head(request.with_headers(connection="close")) + request.body, request.method)

    def send_bytes(self, raw: bytes, method: str) -> Reply:
        """Sends bytes, and checks what comes back until the connection is closed."""
        with connect(self.server.port) as connection:
            connection.send(raw)
            received = connection.rest()
        reply = _read(received, method)
        check_reply(reply, method)
        for secret in (self.admin.secret, self.alice.secret, self.bob.secret):
            assert secret.encode() not in received
        return reply

    # --- what there is ---

    def make_bucket(self, keys: Keys, *, versioned: bool = False) -> str:
        """A new bucket of a user's."""
        name = f"bucket-{next(_numbers)}"
        assert self.send(Request("PUT", f"/{name}"), keys).status == 200
        if versioned:
            document = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            assert self.send(Request("PUT", f"/{name}", "versioning", body=document), keys).status == 200
        return name

    def put(self, keys: Keys, bucket: str, key: str, body: bytes, **headers: str) -> Reply:
        request = Request("PUT", path(bucket, key), body=body).with_headers(**headers)
        reply = self.send(request, keys)
        assert reply.status == 200, reply
        return reply

    def get(self, keys: Keys, bucket: str, key: str, query: str = "") -> Reply:
        return self.send(Request("GET", path(bucket, key), query), keys)

    def begin(self, keys: Keys, bucket: str, key: str) -> str:
        """Starts a multipart upload."""
        reply = self.send(Request("POST", path(bucket, key), "uploads"), keys)
        assert reply.status == 200, reply
        return reply.text("UploadId")

    def part(self, keys: Keys, bucket: str, key: str, upload: str, number: int, body: bytes) -> str:
        """Uploads a part and returns its ETag."""
        request = Request("PUT", path(bucket, key), f"partNumber={number}&uploadId={upload}", body=body)
        reply = self.send(request, keys)
        assert reply.status == 200, reply
        return reply.headers["etag"]

    def buckets(self) -> list[str]:
        """The names of all buckets."""
        return self.send(Request("GET", "/"), self.admin).texts("Name")

    def files(self) -> set[Path]:
        """All files in the data folder."""
        return {file for file in self.server.data.rglob("*") if file.is_file()}

    def bucket_state(self, bucket: str) -> list[object]:
        """Everything that is in a bucket: how it is kept, its versions with their bytes, its uploads."""
        found: list[object] = []
        for query in ("versioning", "tagging", "uploads"):
            reply = self.send(Request("GET", f"/{bucket}", query), self.admin)
            found.append(reply.code or reply.body)
        listed = self.send(Request("GET", f"/{bucket}", "versions"), self.admin)
        found.append(listed.body)
        for version in parse(listed.body):
            if version.tag.endswith("}Version"):
                key, version_id = (version.findtext(f"{{*}}{name}") or "" for name in ("Key", "VersionId"))
                reply = self.get(self.admin, bucket, key, f"versionId={version_id}")
                headers = {name: value for name, value in reply.headers.items() if name not in _CHANGING}
                found.append((reply.status, headers, reply.body))
                found.append(self.get(self.admin, bucket, key, f"tagging&versionId={version_id}").body)
        for upload in parse(self.send(Request("GET", f"/{bucket}", "uploads"), self.admin).body):
            if upload.tag.endswith("}Upload"):
                key, upload_id = (upload.findtext(f"{{*}}{name}") or "" for name in ("Key", "UploadId"))
                found.append(self.get(self.admin, bucket, key, f"uploadId={upload_id}").body)
        return found


def wire_head(request: Request) -> bytes:
    """A request up to its body, as it goes over the wire."""
    target = request.path + (f"?{request.query}" if request.query else "")
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


_CHANGING = {"date", "x-amz-request-id"}


def path(bucket: str, key: str) -> str:
    """The path of an object, encoded as SDKs do."""
    return f"/{bucket}/{quote(key, safe='/-_.~')}"


def _read(received: bytes, method: str) -> Reply:
    """The one answer that came, taken apart strictly."""
    head, blank, rest = received.partition(b"\r\n\r\n")
    assert blank, f"no answer to {method}: {received!r}"
    first, *lines = head.decode("latin-1").split("\r\n")
    matched = re.fullmatch(r"HTTP/1\.1 (\d{3}) [\x20-\x7e]+", first)
    assert matched is not None, first
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        assert colon, line
        assert name.lower() not in headers, f"{name} twice"
        headers[name.lower()] = value
    status = int(matched[1])
    if method == "HEAD" or status in {204, 304}:
        assert rest == b"", f"a body after {method} {status}: {rest!r}"
    else:
        assert len(rest) == int(headers["content-length"])
    return Reply(status, headers, rest)


def check_reply(reply: Reply, method: str) -> None:
    """What holds of every answer.

    It has a request id. No mistake of a client's is a fault of the server's; 501 alone says that something is not there
    to be had. An error is S3's document, about this very request, or to HEAD nothing at all.
    """
    request_id = reply.headers.get("x-amz-request-id", "")
    assert re.fullmatch(r"[0-9A-F]{16}", request_id), reply
    assert reply.status < SERVER_FAULT or (reply.status, reply.code or "NotImplemented") == (501, "NotImplemented"), (
        reply
    )
    if reply.status >= 400 and method != "HEAD":
        assert reply.headers["content-type"] == "application/xml", reply
        root = parse(reply.body)
        assert root.tag == "Error", reply
        assert root.findtext("RequestId") == request_id, reply
        assert root.findtext("Code"), reply
        assert root.findtext("Message"), reply
        assert b"Traceback" not in reply.body


def add_user(data: Path, name: str) -> Keys:
    """Makes a user with a key, as the command line does, beside the running server."""

    async def make(identity: Identity) -> Keys:
        await identity.add_user(name)
        key = await identity.add_key(name)
        return Keys(key.access_key, key.secret_key)

    return administer(data, make)


def remove_user(data: Path, name: str) -> None:
    """Removes a user and their keys."""
    administer(data, lambda identity: identity.remove_user(name))


def problems(data: Path) -> list[Problem]:
    """What is wrong in the catalog."""

    def every(tx: Reader) -> list[Problem]:
        return [problem for check in CHECKS for problem in check(tx)]

    return opened(data, lambda catalog: catalog.read(every))


def administer(data: Path, act: Callable[[Identity], Coroutine[Any, Any, T]]) -> T:
    """Does something to the users, beside the running server."""
    return opened(data, lambda catalog: act(Identity(catalog, Vault(data))))


def opened(data: Path, act: Callable[[SQLite], Coroutine[Any, Any, T]]) -> T:
    """Does something with the catalog, beside the running server."""

    async def main() -> T:
        catalog = SQLite(data)
        try:
            return await act(catalog)
        finally:
            await catalog.close()

    return asyncio.run(main())
