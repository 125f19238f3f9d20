"""Whatever is sent, the answer is S3's and no fault of the server's: random requests, made of what clients send."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attacks.signing import Request
from tests.attacks.world import World, wire_head
from tests.server.wire import exchange
from tidegate.s3.routing import MODEL_HEADERS, OPERATIONS

BUCKET = "any-request"

odd = st.sampled_from(
    [
        "",
        "0",
        "1",
        "-1",
        "10001",
        "9" * 25,
        "null",
        "true",
        "*",
        '"x"',
        "url",
        "CRC32",
        "FULL_OBJECT",
        "REPLACE",
        "bytes=0-1",
        "aws-chunked",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-checksum-crc32",
        "AAAAAA==",
        f"{BUCKET}/key",
        f"{BUCKET}/key?versionId=null",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "2026-01-01T00:00:00Z",
        "a=b&c=d",
        "é",
        "ETag,ObjectParts",
        "0" * 32,
    ]
) | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12)

names = sorted({name for operation in OPERATIONS.values() for name in (*operation.query, *operation.optional)})
fields = st.tuples(st.sampled_from([*names, "foo", "response-content-type", "x-amz-meta-a"]), st.none() | odd)
headers = st.tuples(
    st.sampled_from(
        [
            *sorted(MODEL_HEADERS - {"content-length"}),
            "x-amz-meta-a",
            "x-amz-decoded-content-length",
            "x-amz-trailer",
            "if-range",
        ]
    ),
    odd,
)
documents = st.sampled_from(
    [
        b"",
        b"body",
        b"4\r\nbody\r\n0\r\n\r\n",
        b"<Delete><Object><Key>key</Key></Object></Delete>",
        b"<Tagging><TagSet/></Tagging>",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
        b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    ]
) | st.binary(max_size=20)

requests = st.builds(
    lambda method, path, query, given, body: Request(
        method,
        path,
        "&".join(name if value is None else f"{name}={quote(value, safe='')}" for name, value in query),
        tuple({name: value.strip().encode().decode("latin-1") for name, value in given}.items()),
        body,
    ),
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]),
    st.sampled_from(
        ["/", f"/{BUCKET}", f"/{BUCKET}/key", f"/{BUCKET}/copy", "/s3", f"/s3/{BUCKET}/key", "/no-such-bucket/key"]
    ),
    st.lists(fields, max_size=3),
    st.lists(headers, max_size=4),
    documents,
)


@given(request=requests)
@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_has_a_well_formed_answer(open_world: World, request: Request) -> None:
    """With authentication off, so that all of it is acted on, an answer is what ``check_reply`` says of any."""
    open_world.send(Request("PUT", f"/{BUCKET}"))
    open_world.send(Request("PUT", f"/{BUCKET}/key", body=b"0123456789").with_headers(x_amz_meta_a="b"))
    open_world.send(request)


@given(request=requests)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_without_credentials_is_obeyed(world: World, request: Request) -> None:
    """With authentication on, nothing that is not signed is done, and the answer is as well-formed."""
    if BUCKET not in world.buckets():
        world.send(Request("PUT", f"/{BUCKET}"), world.alice)
        world.put(world.alice, BUCKET, "key", b"alice's")
    reply = world.send(request)
    assert reply.status >= 400
    assert b"alice's" not in reply.body


@given(st.binary(max_size=200) | st.text("GET PUT/:\r\n HTTP1.0host-bucket%", max_size=60).map(str.encode))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_leave_the_server_well(open_world: World, data: bytes) -> None:
    """After any bytes on a connection, whatever became of it, the next request is answered."""
    answer = exchange(open_world.server.port, data + b"\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    good = open_world.hosted(Request("GET", "/")).with_headers(connection="close")
    assert exchange(open_world.server.port, wire_head(good)).startswith(b"HTTP/1.1 200 ")
