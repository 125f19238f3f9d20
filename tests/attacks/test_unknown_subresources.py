"""Group 16: what the server does not know it does not do; it never does something else instead."""

from __future__ import annotations

import itertools

import pytest

from tests.attacks.signing import Request
from tests.attacks.world import World
from tidegate.s3.operations import HANDLERS
from tidegate.s3.routing import OPERATIONS

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
UNKNOWN = (
    "foo",
    "foo=bar",
    "foo=",
    "Foo",
    "%66oo",
    "f%6Fo=1",
    "é".encode().decode("latin-1").encode("latin-1").hex(),
    "x-amx-foo",
    "..",
    "%00x",
)


@pytest.mark.parametrize("level", ["bucket", "object"])
@pytest.mark.parametrize("query", UNKNOWN)
def test_an_unknown_sub_resource_is_not_implemented(world: World, bucket: str, level: str, query: str) -> None:
    """``DELETE /b?foo`` deletes no bucket, ``PUT /b/k?foo`` stores nothing: 501, and all is as it was."""
    before = world.bucket_state(bucket)
    for method in METHODS:
        path = f"/{bucket}" if level == "bucket" else f"/{bucket}/key"
        reply = world.send(
            Request(method, path, query, body=b"body" if method in {"PUT", "POST"} else b""), world.alice
        )
        if query == "%00x":
            assert reply.status == 400
        else:
            assert reply.status == 501, (method, query)
            assert method == "HEAD" or reply.code == "NotImplemented"
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    "query", ["foo", "acl", "policy", "cors", "lifecycle", "versioning&foo", "tagging&foo", "location"]
)
def test_a_sub_resource_of_no_bucket_makes_none(world: World, query: str) -> None:
    """``PUT /b?acl`` creates no bucket."""
    for method in METHODS:
        world.send(Request(method, "/never-made", query, body=b"<a/>" if method == "PUT" else b""), world.alice)
    assert world.send(Request("HEAD", "/never-made"), world.alice).status == 404


# Its request is that of ListBuckets.
ALIASES = {"ListDirectoryBuckets"}


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - HANDLERS.keys() - ALIASES))
def test_what_is_planned_for_later_does_nothing_now(world: World, bucket: str, name: str) -> None:
    """An operation that is not implemented is 501 by its own request, and leaves bucket and object alone."""
    operation = OPERATIONS[name]
    before = world.bucket_state(bucket)
    path = {"service": "/", "bucket": f"/{bucket}", "object": f"/{bucket}/key"}[operation.level]
    values = dict(operation.values)
    query = "&".join(f"{field}={values[field]}" if field in values else field for field in operation.query)
    chosen_by = {header.replace("-", "_"): "x" for header in operation.chosen_by}
    body = b"<a/>" if operation.method in {"PUT", "POST"} else b""
    reply = world.send(Request(operation.method, path, query, body=body).with_headers(**chosen_by), world.alice)
    assert reply.status == 501
    assert operation.method == "HEAD" or reply.code == "NotImplemented"
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("PUT", "partNumber=1"),
        ("PUT", "uploadId=x"),
        ("PUT", "partNumber"),
        ("PUT", "partNumber=&uploadId="),
        ("POST", "uploadId"),
        ("POST", ""),
        ("POST", "partNumber=1&uploadId=x"),
        ("PUT", "uploads"),
        ("DELETE", "uploads"),
        ("DELETE", "partNumber=1"),
        ("PUT", "acl&tagging"),
        ("PUT", "tagging&uploadId=x&partNumber=1"),
        ("DELETE", "acl"),
        ("DELETE", "tagging&acl"),
        ("DELETE", "tagging&foo"),
        ("DELETE", "versions"),
        ("DELETE", "retention"),
        ("PUT", "versionId=null"),
        ("PUT", "delete"),
        ("PUT", "prefix=a"),
        ("DELETE", "prefix=a"),
        ("DELETE", "versionId"),
        ("DELETE", "versionId="),
        ("DELETE", "versionId=null&versionId=null"),
        ("DELETE", "VersionId=null"),
        ("DELETE", "versionid=null"),
        ("PUT", "TAGGING"),
        ("POST", "restore"),
        ("POST", "select&select-type=2"),
        ("PATCH", ""),
        ("PATCH", "foo"),
        ("MOVE", ""),
        ("COPY", ""),
        ("MKCOL", ""),
        ("PROPFIND", ""),
        ("TRACE", ""),
        ("LOCK", ""),
    ],
)
def test_half_a_request_is_no_other_request(world: World, bucket: str, method: str, query: str) -> None:
    """Fields that belong to no one operation together are refused, and neither object nor bucket is touched."""
    before = world.bucket_state(bucket)
    for path in (f"/{bucket}/key", f"/s3/{bucket}/key"):
        reply = world.send(
            Request(method, path, query, body=b"body" if method in {"PUT", "POST"} else b""), world.alice
        )
        assert reply.status in {400, 405, 501}, reply
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("DELETE", "location"),
        ("DELETE", "versioning"),
        ("DELETE", "versions"),
        ("DELETE", "list-type=2"),
        ("DELETE", "uploads"),
        ("DELETE", "delete"),
        ("DELETE", "acl"),
        ("DELETE", "prefix=a"),
        ("DELETE", "versionId=null"),
        ("PUT", "location"),
        ("PUT", "versions"),
        ("PUT", "uploads"),
        ("PUT", "list-type=2"),
        ("PUT", "delete"),
        ("POST", "tagging"),
        ("POST", "versioning"),
        ("POST", ""),
        ("POST", "delete&foo"),
        ("POST", "delete&tagging"),
    ],
)
def test_half_a_request_about_a_bucket_is_no_other(world: World, method: str, query: str) -> None:
    """An empty bucket, which a DELETE would remove, is there after any request that only resembles one."""
    bucket = world.make_bucket(world.alice)
    before = world.bucket_state(bucket)
    reply = world.send(Request(method, f"/{bucket}", query, body=b"<a/>" if method != "DELETE" else b""), world.alice)
    assert reply.status in {400, 405, 501}, reply
    assert world.bucket_state(bucket) == before


OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override", "x-original-method", "x-http-verb")


@pytest.mark.parametrize("header", OVERRIDES)
def test_no_header_makes_another_method(world: World, bucket: str, header: str) -> None:
    """A method is what the request line says; what is signed as a GET deletes nothing."""
    before = world.bucket_state(bucket)
    for method, override in itertools.product(("GET", "POST", "HEAD"), ("DELETE", "PUT", "delete")):
        request = Request(method, f"/{bucket}/key").with_headers(**{header.replace("-", "_"): override})
        assert world.send(request, world.alice).status == (501 if method == "POST" else 200) or method == "POST"
        field = Request(method, f"/{bucket}/key", f"_method={override}")
        assert world.send(field, world.alice).status == 501
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    "header", ["x-original-url", "x-rewrite-url", "x-forwarded-prefix", "x-forwarded-host", "forwarded"]
)
def test_no_header_makes_another_target(world: World, bucket: str, header: str) -> None:
    """What is asked for is what the request line and Host say, whatever a header of a proxy's claims."""
    other = world.make_bucket(world.alice)
    world.put(world.alice, other, "key", b"other")
    for value in (f"/{other}/key", f"{other}.localhost", f"host={other}.localhost"):
        request = Request("GET", f"/{bucket}/key").with_headers(**{header.replace("-", "_"): value})
        assert world.send(request, world.alice).body == b"alice's"


def test_preflights_promise_nothing(world: World, bucket: str) -> None:
    """Without a CORS configuration no origin is allowed anything, and none is reflected."""
    for path in ("/", f"/{bucket}", f"/{bucket}/key", "/no-such-bucket/key"):
        request = Request("OPTIONS", path).with_headers(
            origin="https://evil.example", access_control_request_method="PUT", access_control_request_headers="*"
        )
        for keys in (None, world.alice):
            reply = world.send(request, keys)
            assert reply.status == 403
            assert not [name for name in reply.headers if name.startswith("access-control-")]
    for keys in (None, world.alice):
        reply = world.send(Request("GET", f"/{bucket}/key").with_headers(origin="https://evil.example"), keys)
        assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x_amz_server_side_encryption", "AES256"),
        ("x_amz_server_side_encryption_customer_algorithm", "AES256"),
        ("x_amz_acl", "public-read"),
        ("x_amz_acl", "public-read-write"),
        ("x_amz_grant_read", "uri=http://acs.amazonaws.com/groups/global/AllUsers"),
        ("x_amz_grant_full_control", "id=anybody"),
        ("x_amz_object_lock_mode", "COMPLIANCE"),
        ("x_amz_object_lock_retain_until_date", "2099-01-01T00:00:00Z"),
        ("x_amz_object_lock_legal_hold", "ON"),
    ],
)
def test_a_promise_that_cannot_be_kept_is_not_made(world: World, bucket: str, header: str, value: str) -> None:
    """Nothing is stored unencrypted, unlocked or private for a client that asked for something else."""
    before = world.bucket_state(bucket)
    for method, query in (("PUT", ""), ("POST", "uploads")):
        request = Request(method, f"/{bucket}/key", query, body=b"body" if method == "PUT" else b"")
        reply = world.send(request.with_headers(**{header: value}), world.alice)
        assert (reply.status, reply.code) == (501, "NotImplemented")
    made = Request("PUT", "/never-made").with_headers(**{header: value})
    if "grant" in header or "acl" in header:
        assert world.send(made, world.alice).status == 501
    assert world.bucket_state(bucket) == before
