"""Group 26: a number at the edge of what there is, or beyond it, is a number or a mistake, and never a fault."""

from __future__ import annotations

import pytest

from tests.attacks import signing
from tests.attacks.signing import Request
from tests.attacks.world import World

HUGE = "9" * 400


@pytest.mark.parametrize("name", ["max-keys", "max-uploads", "max-parts", "max-buckets", "part-number-marker"])
@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("1", 200),
        ("1000", 200),
        ("1001", 200),
        ("2147483647", 200),
        ("", 200),
        ("-1", 400),
        ("-0", 400),
        ("%2B1", 400),
        ("1.0", 400),
        ("1e3", 400),
        ("0x10", 400),
        ("1_000", 400),
        ("%20", 400),
        ("%D9%A1", 400),
        ("abc", 400),
        ("NaN", 400),
        ("99999999999", 400),
        (HUGE, 400),
    ],
)
def test_a_limit_is_a_number(world: World, bucket: str, name: str, value: str, status: int) -> None:
    """A limit of a page is a whole number that is not negative; a large one is as large as a page can be."""
    upload = world.begin(world.alice, bucket, "key")
    targets = {
        "max-keys": [(f"/{bucket}", ""), (f"/{bucket}", "list-type=2"), (f"/{bucket}", "versions")],
        "max-uploads": [(f"/{bucket}", "uploads")],
        "max-parts": [(f"/{bucket}/key", f"uploadId={upload}")],
        "part-number-marker": [(f"/{bucket}/key", f"uploadId={upload}")],
        "max-buckets": [("/", "")],
    }
    for target, query in targets[name]:
        reply = world.send(Request("GET", target).with_query(query, f"{name}={value}"), world.alice)
        assert reply.status == status, reply
        assert status == 200 or reply.code == "InvalidArgument"


def test_a_page_of_nothing_is_the_last(world: World, bucket: str) -> None:
    """A limit of 0 is an empty page with nothing after it: a client that goes on until the end comes to one."""
    upload = world.begin(world.alice, bucket, "key")
    world.part(world.alice, bucket, "key", upload, 1, b"part")
    for target, query, name in (
        (f"/{bucket}", "max-keys=0", "Key"),
        (f"/{bucket}", "list-type=2&max-keys=0", "Key"),
        (f"/{bucket}", "versions&max-keys=0", "Key"),
        (f"/{bucket}", "uploads&max-uploads=0", "Upload"),
        (f"/{bucket}/key", f"uploadId={upload}&max-parts=0", "Part"),
    ):
        reply = world.send(Request("GET", target, query), world.alice)
        assert reply.text("IsTruncated") == "false", query
        assert reply.texts(name) == [], query
    etag = world.part(world.alice, bucket, "key", upload, 1, b"part")
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    assert world.send(Request("POST", f"/{bucket}/key", f"uploadId={upload}", body=document), world.alice).status == 200
    request = Request("GET", f"/{bucket}/key", "attributes").with_headers(x_amz_object_attributes="ObjectParts")
    none = world.send(request.with_headers(x_amz_max_parts="0"), world.alice)
    assert (none.text("PartsCount"), none.texts("Part"), none.text("IsTruncated")) == ("1", [], "false")


RANGES = [
    # Range, status and bytes of "0123456789", status of an empty object
    ("bytes=0-0", 206, b"0", 416),
    ("bytes=0-", 206, b"0123456789", 416),
    ("bytes=9-", 206, b"9", 416),
    ("bytes=-1", 206, b"9", 416),
    ("bytes=-10", 206, b"0123456789", 416),
    ("bytes=-11", 206, b"0123456789", 416),
    (f"bytes=-{2**63}", 206, b"0123456789", 416),
    (f"bytes=5-{2**63 - 1}", 206, b"56789", 416),
    (f"bytes=5-{2**64}", 206, b"56789", 416),
    ("bytes=10-", 416, b"", 416),
    ("bytes=10-10", 416, b"", 416),
    (f"bytes={2**63}-", 416, b"", 416),
    (f"bytes={2**63}-{2**64}", 416, b"", 416),
    ("bytes=-0", 416, b"", 416),
    ("bytes=5-4", 200, b"0123456789", 200),
    ("bytes=", 200, b"0123456789", 200),
    ("bytes=-", 200, b"0123456789", 200),
    ("bytes=--1", 200, b"0123456789", 200),
    ("bytes=0-0,2-2", 200, b"0123456789", 200),
    ("bytes=" + ",".join(["0-0"] * 1000), 200, b"0123456789", 200),
    ("bytes=0-" + HUGE, 200, b"0123456789", 200),
    ("bytes=" + HUGE + "-", 200, b"0123456789", 200),
    ("lines=0-1", 200, b"0123456789", 200),
]


@pytest.mark.parametrize(("header", "status", "expected", "of_nothing"), RANGES)
def test_cve_2025_62727_a_range_is_one_range(
    world: World, bucket: str, header: str, status: int, expected: bytes, of_nothing: int
) -> None:
    """A range is what RFC 9110 says, of an empty object too; several, malformed and absurd ones cost nothing."""
    world.put(world.alice, bucket, "ten", b"0123456789")
    world.put(world.alice, bucket, "none", b"")
    world.put(world.alice, bucket, "large", bytes(70_000))
    for method in ("GET", "HEAD"):
        reply = world.send(Request(method, f"/{bucket}/ten").with_headers(range=header), world.alice)
        assert reply.status == status
        if status == 416:
            assert reply.headers["content-range"] == "bytes */10"
            assert method == "HEAD" or reply.code == "InvalidRange"
        else:
            assert reply.headers["content-length"] == str(len(expected))
            assert method == "HEAD" or reply.body == expected
            assert ("content-range" in reply.headers) is (status == 206)
        empty = world.send(Request(method, f"/{bucket}/none").with_headers(range=header), world.alice)
        assert empty.status == of_nothing
        assert world.send(Request(method, f"/{bucket}/large").with_headers(range=header), world.alice).status < 500


@pytest.mark.parametrize("number", ["0", "-1", "10001", str(2**31), "9999999999", HUGE, "abc", "1.5", "%2B1", "%D9%A1"])
def test_a_part_that_cannot_be_is_not_read(world: World, bucket: str, number: str) -> None:
    """``partNumber`` of a read is between 1 and 10,000."""
    for method in ("GET", "HEAD"):
        reply = world.send(Request(method, f"/{bucket}/key", f"partNumber={number}"), world.alice)
        assert reply.status == 400
        assert method == "HEAD" or reply.code == "InvalidArgument"


def test_parts_of_objects_that_have_none(world: World, bucket: str) -> None:
    """The first part of a plain object is the object, of an empty one nothing; there is no second."""
    world.put(world.alice, bucket, "none", b"")
    whole = world.get(world.alice, bucket, "key", "partNumber=1")
    assert (whole.status, whole.body, whole.headers["content-range"]) == (206, b"alice's", "bytes 0-6/7")
    empty = world.get(world.alice, bucket, "none", "partNumber=1")
    assert (empty.status, empty.body) in {(200, b""), (206, b"")}
    assert "-1" not in empty.headers.get("content-range", "")
    for key in ("key", "none"):
        assert world.get(world.alice, bucket, key, "partNumber=2").status == 416


@pytest.mark.parametrize(
    "length", [str(2**63), str(2**64), str(2**64 + 5), HUGE, "-1", "+5", "5,5", "5 5", "0x5", "5.0", "", "abc", "1e1"]
)
def test_a_content_length_is_a_length(world: World, bucket: str, length: str) -> None:
    """A Content-Length that is none, or larger than any, is refused at once, and nothing is stored."""
    before = world.bucket_state(bucket)
    signed = signing.v4(
        world.alice, world.hosted(Request("PUT", f"/{bucket}/key", body=b"12345")), payload="UNSIGNED-PAYLOAD"
    )
    reply = world.send_as_it_is(signed.with_headers(content_length=length))
    assert reply.status == 400
    assert world.bucket_state(bucket) == before


def test_more_than_a_put_can_have_is_refused_at_once(world: World, bucket: str) -> None:
    """More than 5 GiB is refused before any of it is sent, by header alone."""
    before = world.bucket_state(bucket)
    for length in (5 * 1024**3 + 1, 2**62, 2**63 - 1):
        request = world.hosted(Request("PUT", f"/{bucket}/key"))
        signed = signing.v4(world.alice, request, payload="UNSIGNED-PAYLOAD")
        waiting = signed.with_headers(content_length=str(length), expect="100-continue")
        reply = world.send_as_it_is(waiting)
        assert (reply.status, reply.code) == (400, "EntityTooLarge")
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize("offset", ["-1", "1", "8", "abc", "", "7.0", "%2B7", str(2**63), str(2**64), HUGE])
def test_an_append_begins_where_the_object_ends(world: World, bucket: str, offset: str) -> None:
    """An offset that is not the object's size, or no number, appends nothing."""
    before = world.bucket_state(bucket)
    request = Request("PUT", f"/{bucket}/key", body=b"more").with_headers(x_amz_write_offset_bytes=offset)
    reply = world.send(request, world.alice)
    assert reply.status == 400
    assert reply.code in {"InvalidArgument", "InvalidWriteOffset"}
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    "version_id",
    [
        "0" * 32,
        "f" * 32,
        "7fffffffffffffff" + "0" * 16,
        "8000000000000000" + "0" * 16,
        "x",
        "null",
        "NULL",
        HUGE,
        "%20" * 32,
        "-1",
        "%F0%9F%98%80",
    ],
)
def test_a_version_id_is_any_string(world: World, version_id: str) -> None:
    """A version that is not there is not found, whatever number one might read in its id."""
    bucket = world.make_bucket(world.alice, versioned=True)
    world.put(world.alice, bucket, "key", b"version")
    before = world.bucket_state(bucket)
    for method, query in (("GET", ""), ("HEAD", ""), ("GET", "tagging"), ("GET", "attributes")):
        request = Request(method, f"/{bucket}/key").with_query(query, f"versionId={version_id}")
        reply = world.send(request.with_headers(x_amz_object_attributes="ETag"), world.alice)
        assert reply.status == 404
        assert method == "HEAD" or reply.code == "NoSuchVersion"
    assert world.send(Request("DELETE", f"/{bucket}/key", f"versionId={version_id}"), world.alice).status == 204
    copy = Request("PUT", f"/{bucket}/copy").with_headers(x_amz_copy_source=f"{bucket}/key?versionId={version_id}")
    assert world.send(copy, world.alice).code == "NoSuchVersion"
    listed = world.send(
        Request("GET", f"/{bucket}", f"versions&key-marker=key&version-id-marker={version_id}"), world.alice
    )
    assert listed.status in {200, 400}
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize("value", ["-1", "abc", "1.5", HUGE, "", "%2B1"])
@pytest.mark.parametrize(
    "name", ["x_amz_max_parts", "x_amz_part_number_marker", "x_amz_if_match_size", "x_amz_mp_object_size"]
)
def test_a_number_in_a_header_is_one(world: World, bucket: str, name: str, value: str) -> None:
    """Headers that hold numbers are held to it."""
    before = world.bucket_state(bucket)
    method, query = ("DELETE", "") if name == "x_amz_if_match_size" else ("GET", "attributes")
    body = b""
    if name == "x_amz_mp_object_size":
        upload = world.begin(world.alice, bucket, "key")
        etag = world.part(world.alice, bucket, "key", upload, 1, b"part")
        method, query = "POST", f"uploadId={upload}"
        part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
        body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
        before = world.bucket_state(bucket)
    request = Request(method, f"/{bucket}/key", query, body=body).with_headers(
        x_amz_object_attributes="ETag,ObjectParts"
    )
    reply = world.send(request.with_headers(**{name: value}), world.alice)
    assert reply.status in {200, 400}
    if method != "GET":
        assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    "date",
    [
        "",
        "never",
        "Thu, 01 Jan 0001 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Fri, 32 Dec 2026 00:00:00 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "1e99",
        HUGE,
        "2026-13-45T99:99:99Z",
        "9999-12-31T23:59:59.999999999Z",
        "-0001-01-01T00:00:00Z",
    ],
)
def test_a_date_is_one_or_is_ignored(world: World, bucket: str, date: str) -> None:
    """A date that cannot be is ignored where it only saves work, and refused where it guards a delete."""
    for name in ("if_modified_since", "if_unmodified_since"):
        for method in ("GET", "HEAD"):
            reply = world.send(Request(method, f"/{bucket}/key").with_headers(**{name: date}), world.alice)
            assert reply.status in {200, 304, 412}
        copy = Request("PUT", f"/{bucket}/copy").with_headers(
            x_amz_copy_source=f"{bucket}/key", **{f"x_amz_copy_source_{name}": date}
        )
        assert world.send(copy, world.alice).status in {200, 412}
    guarded = Request("DELETE", f"/{bucket}/key").with_headers(x_amz_if_match_last_modified_time=date)
    assert world.send(guarded, world.alice).status in {400, 412}
    document = f"<Delete><Object><Key>key</Key><LastModifiedTime>{date}</LastModifiedTime></Object></Delete>".encode()
    world.send(Request("POST", f"/{bucket}", "delete", body=document), world.alice)
    assert world.get(world.alice, bucket, "key").body == b"alice's"


@pytest.mark.parametrize(
    "byte_range",
    ["bytes=0-", "bytes=-1", "bytes=7-7", "bytes=0-7", "bytes=5-4", f"bytes=0-{HUGE}", f"bytes=0-{2**63}", "0-1", ""],
)
def test_a_copied_range_is_in_its_source(world: World, bucket: str, byte_range: str) -> None:
    """A part is copied from bytes that are there, all of them, or not at all."""
    upload = world.begin(world.alice, bucket, "copy")
    before = world.bucket_state(bucket)
    request = Request("PUT", f"/{bucket}/copy", f"partNumber=1&uploadId={upload}").with_headers(
        x_amz_copy_source=f"{bucket}/key", x_amz_copy_source_range=byte_range
    )
    reply = world.send(request, world.alice)
    assert (reply.status, reply.code) in {(400, "InvalidArgument"), (416, "InvalidRange")}
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize("token", ["", "!", "AAA", "%FF", "é".encode().hex(), "__8=", "AA==", HUGE, "gICA"])
def test_a_token_is_one_that_was_given_out(world: World, bucket: str, token: str) -> None:
    """A continuation token that nobody made is refused, or begins somewhere; it breaks nothing."""
    for target, query in ((f"/{bucket}", "list-type=2"), ("/", "")):
        reply = world.send(Request("GET", target).with_query(query, f"continuation-token={token}"), world.alice)
        assert reply.status in {200, 400}
