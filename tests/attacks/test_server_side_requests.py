"""Group 24: nobody chooses where the server sends a request, and nothing that is somebody's own goes along.

The server speaks to other providers: with its own credentials, and by requests that clients have signed for them. Both
go to the address that an administrator has configured for the bucket, and nowhere else.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from tests.attacks import signing
from tests.attacks.signing import Keys, Request
from tests.attacks.tokens import bearer, native, token_of
from tests.attacks.world import World, path
from tidegate import errors
from tidegate.passage import Passage
from tidegate.properties.tree import ExtraAWS
from tidegate.upstream.s3 import S3Bucket
from tidegate.upstream.wire import Patience

STRANGER = Keys("STRANGERSTRANGER", "a secret of the remote's")
METHODS = ("GET", "HEAD", "PUT")

_numbers = itertools.count(1)


@dataclass
class Seen:
    """A request that came."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def text(self) -> str:
        return f"{self.method} {self.target} {self.headers}"


@dataclass
class Trap:
    """A server that takes down what comes, and answers it with what it is told to."""

    port: int
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"of the remote"
    seen: list[Seen] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@contextmanager
def listening() -> Iterator[Trap]:
    """A trap, on a port of its own."""
    traps: list[Trap] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            trap = traps[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.rfile.read(int(headers.get("content-length", "0")))
            trap.seen.append(Seen(self.command, self.path, headers))
            self.send_response(trap.status)
            for name, value in {"ETag": '"1"', "Content-Length": str(len(trap.body)), **trap.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                with suppress(OSError):
                    self.wfile.write(trap.body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "CONNECT"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    traps.append(Trap(server.server_port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield traps[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def remote() -> Iterator[Trap]:
    """What is configured."""
    with listening() as trap:
        yield trap


@pytest.fixture
def elsewhere() -> Iterator[Trap]:
    """Where nobody has to go."""
    with listening() as trap:
        yield trap


@pytest.fixture
def passing(world: World, remote: Trap) -> str:
    """A bucket at the remote, to which signed requests are passed on."""
    name = f"passing-{next(_numbers)}"
    properties = {"extra": {"aws": {"endpoint": remote.url}}, "features": "S3-Presigned-Request"}
    made = act(world, "admin", name, "create-bck", properties, provider="aws", dont_head_remote_bck="true")
    assert made.status_code == 200, made.text
    return name


def act(world: World, user: str, bucket: str, action: str, value: object, **query: str) -> requests.Response:
    """Sends an action message of AIStore's, as one of the users."""
    method = "PATCH" if action == "set-bprops" else "POST"
    message: Any = {"action": action, "value": value}
    return native(world, method, f"/buckets/{bucket}", token_of(world, user), params=query, json=message)


def presigned(trap: Trap, method: str, bucket: str, key: str = "key") -> Request:
    """A URL that somebody has signed for the remote."""
    body = b"content" if method == "PUT" else b""
    return signing.v4_url(STRANGER, Request(method, path(bucket, key), headers=(("host", trap.host),), body=body))


def in_headers(trap: Trap, method: str, bucket: str, **headers: str) -> Request:
    """The same with the signature, and more that is signed, in headers."""
    request = Request(method, path(bucket, "key"), headers=(("host", trap.host),)).with_headers(**headers)
    names = tuple(sorted({*(name for name, _ in request.headers), "x-amz-content-sha256", "x-amz-date"}))
    return signing.v4(STRANGER, request, signed=names)


def send(world: World, request: Request, **headers: str) -> requests.Response:
    """Sends to the server under test, by its own Host unless another is given."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in request.headers if name != "host"} | named
    target = request.path + (f"?{request.query}" if request.query else "")
    return requests.request(
        request.method, world.server.url + target, data=request.body, headers=sent, allow_redirects=False, timeout=30
    )


# --- where a request goes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name", ["host", "x-forwarded-host", "forwarded", "x-host", "x-original-url", "x-rewrite-url", "referer", "origin"]
)
def test_cve_2021_21287_no_header_chooses_where_it_goes(
    world: World, remote: Trap, elsewhere: Trap, passing: str, name: str, method: str
) -> None:
    """Whatever a header says, the request goes to the configured address, with that address as its Host."""
    value = {"forwarded": f"host={elsewhere.host}", "host": elsewhere.host}.get(name, elsewhere.url)
    answer = send(world, presigned(remote, method, passing), **{name: value})
    assert answer.status_code == 200
    assert {(seen.headers["host"], seen.path) for seen in remote.seen} == {(remote.host, f"/{passing}/key")}
    assert all(elsewhere.host not in seen.text for seen in remote.seen)
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    "region",
    ["eu-west-1", "evil.example", "x@127.0.0.1:1", "evil.example%2f", "us-west-2.evil.example", "us-west-2#", "../.."],
)
def test_no_region_of_a_signature_chooses_where_it_goes(elsewhere: Trap, region: str) -> None:
    """A signature for another region than the bucket's is refused, and what is none is not even asked about; no name is
    ever made of it.
    """
    with pytest.raises((errors.AccessDenied, errors.RemoteUnavailable)) as caught:
        ask_amazon(elsewhere, Passage("GET", "", {}, frozenset(), region=region))
    is_region = "." not in region and "#" not in region
    assert isinstance(caught.value, errors.RemoteUnavailable if is_region else errors.AccessDenied)
    assert {seen.target for seen in elsewhere.seen} <= {"bucket-name.s3.us-west-2.amazonaws.com:443"}


@pytest.mark.parametrize("host", ["evil.example", "bucket-name.s3.us-west-2.amazonaws.com.evil.example", "127.0.0.1:1"])
def test_no_host_of_a_request_chooses_where_it_goes(elsewhere: Trap, host: str) -> None:
    """A Host that is not the bucket's says nothing; one that is another of Amazon's is refused."""
    with pytest.raises(errors.RemoteUnavailable):
        ask_amazon(elsewhere, Passage("GET", "", {}, frozenset(), host=host, region="us-west-2"))
    assert {seen.target for seen in elsewhere.seen} == {"bucket-name.s3.us-west-2.amazonaws.com:443"}
    elsewhere.seen.clear()
    other = Passage("GET", "", {}, frozenset(), host="other.s3.us-west-2.amazonaws.com", region="us-west-2")
    with pytest.raises(errors.AccessDenied, match="another host"):
        ask_amazon(elsewhere, other)
    assert elsewhere.seen == []


def ask_amazon(proxy: Trap, passage: Passage) -> None:
    """Passes a request on to a bucket of Amazon's, by a proxy that lets nobody through and sees where it should go."""
    proxy.status = 403
    environment = {"https_proxy": proxy.url, "AWS_ACCESS_KEY_ID": "ours", "AWS_SECRET_ACCESS_KEY": "ours"}
    patience = Patience(attempts=1)

    async def ask() -> None:
        bucket = S3Bucket("s3://bucket-name", "bucket-name", ExtraAWS(cloud_region="us-west-2"), environment, patience)
        try:
            signed = await bucket.as_signed(passage, lambda: None)
            await signed.head("key")
        finally:
            await bucket.close()

    asyncio.run(ask())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", METHODS)
def test_ghsa_gx4c_8mxv_redirects_are_not_followed(
    world: World, remote: Trap, elsewhere: Trap, passing: str, method: str, status: int
) -> None:
    """A remote that sends us away is an error: neither the signature nor the body goes to another host."""
    remote.status, remote.headers = status, {"Location": f"{elsewhere.url}/{passing}/key"}
    for request in (presigned(remote, method, passing), in_headers(remote, method, passing)):
        answer = send(world, request)
        assert answer.status_code >= 400
        assert elsewhere.host not in str(answer.headers) + answer.text
    assert elsewhere.seen == []


def test_nobody_elses_bucket_passes_for_this_one(world: World, remote: Trap, passing: str) -> None:
    """A signature for the bucket as a host, at a server that finds buckets in paths, is not tried: the beginning of the
    key would be another bucket, and what is in that would be kept as this one's.
    """
    remote.status, remote.body = 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
    request = presigned(remote, "GET", passing, "others/key")
    for headers in ({}, {"host": f"{passing}.{remote.host}"}, {"ais-s3-signed-request-style": "virtual"}):
        assert send(world, request, **headers).status_code == 403
    assert {seen.path for seen in remote.seen} == {f"/{passing}/others/key"}


@pytest.mark.parametrize("key", ["../other/key", "..", "a//b", "a?b", "a#b", "%2e%2e/x", "@evil.example/", "é ?&="])
def test_no_key_leaves_its_bucket(world: World, remote: Trap, passing: str, key: str) -> None:
    """The path that is sent is the bucket's and the key's, with all encoded that could mean something else."""
    request = presigned(remote, "GET", passing, key)
    target = f"{request.path}?{request.query}"
    raw = f"GET {target} HTTP/1.1\r\nhost: {world.host}\r\nconnection: close\r\n\r\n".encode()
    assert world.send_bytes(raw, "GET").status == 200
    assert {seen.target for seen in remote.seen} == {target}


# --- for whom --------------------------------------------------------------------------------------------------------


def test_cve_2026_73080_nothing_is_fetched_for_who_does_not_sign(world: World, remote: Trap, passing: str) -> None:
    """Neither an anonymous request nor one of a user without rights makes the server ask anybody."""
    for method in METHODS:
        request = Request(method, path(passing, "key"))
        assert world.send(request).status == 403
        assert world.send(request, world.bob).status == 403
        old = signing.v4_url(STRANGER, request, when=signing.now() - timedelta(days=1))
        assert send(world, old).status_code == 403
        assert send(world, request, authorization="Bearer x").status_code in {400, 403}
    assert remote.seen == []


def test_users_point_no_bucket_at_an_address(world: World, elsewhere: Trap) -> None:
    """Where the server goes is for administrators to say: an account cannot bring in a bucket, nor change one's way."""
    name = f"pointed-{next(_numbers)}"
    ways: tuple[dict[str, object], ...] = (
        {"extra": {"aws": {"endpoint": elsewhere.url}}},
        {"extra": {"http": {"original_url": elsewhere.url}}},
    )
    for provider, properties in zip(("aws", "ht"), ways, strict=True):
        for query in ({}, {"dont_head_remote_bck": "true"}):
            answer = act(world, "alice", name, "create-bck", properties, provider=provider, **query)
            assert answer.status_code == 403, answer.text
    own = world.make_bucket(world.alice)
    for changes in (*ways, {"backend_bck": {"name": name, "provider": "aws"}}):
        act(world, "alice", own, "set-bprops", changes)
    world.put(world.alice, own, "key", b"alice's")
    assert world.get(world.alice, own, "key").body == b"alice's"
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "acl"),
        ("GET", "tagging"),
        ("GET", "versionId=1"),
        ("GET", "partNumber=1"),
        ("PUT", "acl"),
        ("PUT", "partNumber=1&uploadId=x"),
        ("PUT", "unknown"),
        ("POST", "uploads"),
        ("DELETE", ""),
    ],
)
def test_a_signature_is_good_for_one_object_only(
    world: World, remote: Trap, passing: str, method: str, query: str
) -> None:
    """Whatever else is signed is refused here: it would not be judged, and its answer not understood."""
    request = Request(method, path(passing, "key"), query, headers=(("host", remote.host),))
    answer = send(world, signing.v4_url(STRANGER, request))
    assert answer.status_code in {400, 403, 501}
    assert remote.seen == []


# --- with what -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_only_what_is_signed_goes_along(world: World, remote: Trap, passing: str, method: str) -> None:
    """Cookies, addresses and credentials for somebody else stay here."""
    private = {
        "cookie": "session=PRIVATE",
        "proxy-authorization": "Basic PRIVATE",
        "x-forwarded-for": "PRIVATE",
        "x-api-key": "PRIVATE",
        "user-agent": "PRIVATE",
        "ais-atime": "PRIVATE",
    }
    for request in (presigned(remote, method, passing), in_headers(remote, method, passing)):
        assert send(world, request, **private).status_code == 200
    assert remote.seen
    assert all("PRIVATE" not in seen.text for seen in remote.seen)


@pytest.mark.parametrize(
    "name",
    ["x-http-method-override", "x-original-url", "x-minio-extract", "x-forwarded-host", "cookie", "te", "connection"],
)
def test_no_signed_header_makes_it_another_request(world: World, remote: Trap, passing: str, name: str) -> None:
    """A header by which a server or a proxy there might do something else is not passed on, signed or not."""
    request = in_headers(remote, "GET", passing, **{name.replace("-", "_"): "x"})
    answer = send(world, request)
    assert (answer.status_code, "not passed on" in answer.text) == (400, True)
    assert remote.seen == []


def test_our_own_tokens_and_keys_stay_here(world: World, remote: Trap, passing: str) -> None:
    """What proves to us who somebody is goes to nobody else, where they may do something and where they may not."""
    for user, keys in (("admin", world.admin), ("bob", world.bob)):
        token = token_of(world, user)
        request = Request("GET", path(passing, "key"), headers=(("host", world.host),))
        send(world, bearer(request, token))
        send(world, signing.v4(STRANGER, request.with_headers(x_amz_security_token=token)))
        send(world, signing.v4_url(STRANGER, request.with_query(f"X-Amz-Security-Token={token}")))
        send(world, signing.v4(keys, request))
        send(world, signing.v4_url(keys, request))
        for own in (Keys(token, token), Keys(token, "guessed")):
            for sign in (signing.v4, signing.v4_url, signing.v2, signing.v2_url):
                send(world, sign(own, request))
        for seen in remote.seen:
            assert token not in seen.text
            assert keys.access not in seen.text
