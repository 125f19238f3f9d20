"""Group 5: a body in chunks is stored whole, as it was signed and declared, or not at all."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.attacks import signing
from tests.attacks.signing import STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER, Chunks, Keys, Request, chunked
from tests.attacks.world import Reply, World

DATA = b"0123456789" * 10
HALVES = (DATA[:64], DATA[64:])


def crc32(data: bytes) -> str:
    """The checksum that boto3 sends."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


GOOD_TRAILER = {"x_amz_checksum_crc32": crc32(DATA)}


def streaming(
    world: World, bucket: str, form: str, length: int = len(DATA), trailer: str = "", keys: Keys | None = None
) -> Request:
    """The head of an upload in chunks, signed."""
    request = world.hosted(Request("PUT", f"/{bucket}/key")).with_headers(
        content_encoding="aws-chunked", x_amz_decoded_content_length=str(length)
    )
    if trailer:
        request = request.with_headers(x_amz_trailer=trailer)
    return signing.v4(keys or world.alice, request, payload=form)


def upload(world: World, head: Request, body: bytes) -> Reply:
    """Sends the upload with this body."""
    return world.send(replace(head, body=body).with_headers(content_length=str(len(body))))


def refused(world: World, bucket: str, head: Request, body: bytes, *codes: str) -> None:
    """Sends an upload that is to be refused with one of the codes, and to change nothing."""
    before = world.bucket_state(bucket)
    reply = upload(world, head, body)
    assert reply.status in {400, 403, 411}, reply
    assert reply.code in codes, reply
    assert world.bucket_state(bucket) == before


# --- what is right ---------------------------------------------------------------------------------------------------


def test_good_bodies_are_stored(world: World, bucket: str) -> None:
    """Signed chunks, with and without a signed trailer, and chunks with an unsigned trailer give the object's bytes."""
    head = streaming(world, bucket, STREAMING)
    chunks = Chunks(world.alice, head)
    assert upload(world, head, b"".join(map(chunks.chunk, (*HALVES, b""))) + b"\r\n").status == 200
    assert world.get(world.alice, bucket, "key").body == DATA

    head = streaming(world, bucket, STREAMING_TRAILER, trailer="x-amz-checksum-crc32")
    chunks = Chunks(world.alice, head)
    body = b"".join(map(chunks.chunk, (*HALVES, b""))) + chunks.trailer(**GOOD_TRAILER) + b"\r\n"
    assert upload(world, head, body).headers["x-amz-checksum-crc32"] == crc32(DATA)

    head = streaming(world, bucket, UNSIGNED_TRAILER, trailer="x-amz-checksum-crc32")
    body = chunked(*HALVES, trailers=(("x-amz-checksum-crc32", crc32(DATA)),))
    assert upload(world, head, body).headers["x-amz-checksum-crc32"] == crc32(DATA)

    head = streaming(world, bucket, STREAMING, 0)
    assert upload(world, head, Chunks(world.alice, head).chunk(b"") + b"\r\n").status == 200
    assert world.get(world.alice, bucket, "key").body == b""


# --- a chain of signatures -------------------------------------------------------------------------------------------


def signed_chunks(world: World, head: Request) -> list[bytes]:
    """Both halves and the last chunk, signed."""
    return list(map(Chunks(world.alice, head).chunk, (*HALVES, b"")))


BREAKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a byte changed": lambda chunks: [chunks[0][:-3] + b"X\r\n", *chunks[1:]],
    "a byte of the last chunk changed": lambda chunks: [chunks[0], chunks[1][:-3] + b"X\r\n", chunks[2]],
    "a signature changed": lambda chunks: [
        chunks[0].replace(b"signature=", b"signature=0", 1)[:85] + chunks[0][86:],
        *chunks[1:],
    ],
    "chunks swapped": lambda chunks: [chunks[1], chunks[0], chunks[2]],
    "a chunk left out": lambda chunks: [chunks[1], chunks[2]],
    "a chunk repeated": lambda chunks: [chunks[0], chunks[0], chunks[2]],
    "the last signature is another's": lambda chunks: [
        *chunks[:2],
        b"0;chunk-signature=" + chunks[1].partition(b"=")[2][:64] + b"\r\n",
    ],
    "no signature": lambda _: [b"64\r\n" + DATA + b"\r\n", b"0\r\n"],
    "no signature at the end": lambda chunks: [*chunks[:2], b"0\r\n"],
    "an empty signature": lambda chunks: [b"64;chunk-signature=\r\n" + DATA + b"\r\n", chunks[2]],
    "another extension": lambda chunks: [chunks[0].replace(b"chunk-signature", b"chunk-signatura"), *chunks[1:]],
    "a signature in capitals": lambda chunks: [chunks[0][:19] + chunks[0][19:83].upper() + chunks[0][83:], *chunks[1:]],
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_chain_is_refused(world: World, bucket: str, how: str) -> None:
    """Each chunk's signature continues the one before: none can be changed, moved, repeated or left out."""
    head = streaming(world, bucket, STREAMING)
    body = b"".join(BREAKS[how](signed_chunks(world, head))) + b"\r\n"
    refused(world, bucket, head, body, "SignatureDoesNotMatch", "InvalidChunkSizeError", "IncompleteBody")


def test_a_chain_begins_at_its_request(world: World, bucket: str) -> None:
    """Chunks that were signed for one request belong to no other: not of another object, time or user."""
    head = streaming(world, bucket, STREAMING)
    chunks = b"".join(signed_chunks(world, head)) + b"\r\n"
    other = signing.v4(world.alice, replace(head, path=f"/{bucket}/other"), payload=STREAMING)
    refused(world, bucket, other, chunks, "SignatureDoesNotMatch")
    foreign = streaming(world, bucket, STREAMING, keys=world.admin)
    refused(world, bucket, foreign, chunks, "SignatureDoesNotMatch")


def test_a_signed_trailer_is_the_one_that_was_signed(world: World, bucket: str) -> None:
    """A trailer that was changed, or whose signature is missing or wrong, refuses the body."""
    other = {"x_amz_checksum_crc32": crc32(b"other")}
    for make in (
        lambda chunks: chunks.trailer(**GOOD_TRAILER).replace(crc32(DATA).encode(), crc32(b"x").encode()),
        lambda chunks: chunks.trailer(**GOOD_TRAILER).partition(b"x-amz-trailer-signature")[0],
        lambda chunks: chunks.trailer(**GOOD_TRAILER)[:-10] + b"00000000\r\n",
        lambda chunks: chunks.trailer(**GOOD_TRAILER) + b"x-amz-checksum-sha1:x\r\n",
        lambda chunks: chunks.trailer(**other),
        lambda _: b"",
    ):
        head = streaming(world, bucket, STREAMING_TRAILER, trailer="x-amz-checksum-crc32")
        chunks = Chunks(world.alice, head)
        body = b"".join(map(chunks.chunk, (*HALVES, b""))) + make(chunks) + b"\r\n"
        refused(world, bucket, head, body, "SignatureDoesNotMatch", "MalformedTrailerError", "BadDigest")


def test_the_form_of_a_body_is_signed(world: World, bucket: str) -> None:
    """Whoever stands between cannot turn a signed body into an unsigned one, nor the other way round."""
    head = streaming(world, bucket, STREAMING)
    refused(
        world, bucket, head.with_headers(x_amz_content_sha256=UNSIGNED_TRAILER), chunked(DATA), "SignatureDoesNotMatch"
    )
    plain = signing.v4(world.alice, world.hosted(Request("PUT", f"/{bucket}/key", body=chunked(DATA))))
    framed = plain.with_headers(content_encoding="aws-chunked")
    assert world.send(framed).status == 200
    assert world.get(world.alice, bucket, "key").body == chunked(DATA)
    refused(world, bucket, framed.with_headers(x_amz_decoded_content_length="100"), chunked(DATA), "AccessDenied")


@pytest.mark.parametrize(
    "form", ["STREAMING-", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD"]
)
def test_a_form_that_is_not_known_is_not_guessed(world: World, bucket: str, form: str) -> None:
    """A body in a form that this server cannot read is refused, not stored as it came."""
    head = streaming(world, bucket, form)
    before = world.bucket_state(bucket)
    assert upload(world, head, chunked(DATA)).status in {400, 501}
    assert world.bucket_state(bucket) == before


# --- framing, which is checked whoever is asking ---------------------------------------------------------------------

FRAMES: dict[str, tuple[bytes, int]] = {
    "not closed": (b"64\r\n" + DATA + b"\r\n", 100),
    "ends in a chunk": (b"64\r\n" + DATA[:50], 100),
    "ends in a size": (b"64\r\n" + DATA + b"\r\n0", 100),
    "ends before the blank line": (b"64\r\n" + DATA + b"\r\n0\r\n", 100),
    "empty": (b"", 100),
    "nothing but its end": (b"0\r\n\r\n", 100),
    "longer than declared": (chunked(DATA), 99),
    "shorter than declared": (chunked(DATA), 101),
    "declared empty": (chunked(DATA), 0),
    "goes on behind its end": (chunked(DATA) + b"more", 100),
    "a second body behind the first": (chunked(DATA) + chunked(DATA), 100),
    "size with 0x": (b"0x64\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "size with a sign": (b"+64\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "negative size": (b"-64\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "size with blanks": (b" 64 \r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "size in no digits": (b"zz\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "no size": (b"\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "size with an underscore": (b"6_4\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "size beyond 64 bits": (b"ffffffffffffffff\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "size beyond all bits": (b"f" * 100_000 + b"\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "size larger than its chunk": (b"65\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "size smaller than its chunk": (b"63\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "an extension": (b"64;name=value\r\n" + DATA + b"\r\n0\r\n\r\n", 100),
    "lines ended by LF": (b"64\n" + DATA + b"\n0\n\n", 100),
    "lines ended by CR": (b"64\r" + DATA + b"\r0\r\r", 100),
    "no line end behind a chunk": (b"64\r\n" + DATA + b"0\r\n\r\n", 100),
    "a line that does not end": (b"0" * 100_000, 100),
    "an undeclared trailer": (chunked(DATA, trailers=(("x-amz-checksum-crc32", crc32(DATA)),)), 100),
    "an undeclared header as trailer": (chunked(DATA, trailers=(("x-amz-meta-a", "b"),)), 100),
    "not framed at all": (DATA, 100),
}
_FRAMING_CODES = ("IncompleteBody", "InvalidChunkSizeError", "MalformedTrailerError")


@pytest.mark.parametrize("how", FRAMES)
def test_ghsa_v2ch_c8v8_fgr7_malformed_chunks_store_nothing(
    world: World, open_world: World, bucket: str, how: str
) -> None:
    """A body that is framed wrongly, or has not the length that it promises, is refused, whoever may write."""
    body, length = FRAMES[how]
    refused(world, bucket, streaming(world, bucket, UNSIGNED_TRAILER, length), body, *_FRAMING_CODES)
    free = open_world.make_bucket(open_world.alice)
    for form in (UNSIGNED_TRAILER, STREAMING, STREAMING_TRAILER):
        head = open_world.hosted(Request("PUT", f"/{free}/key")).with_headers(
            content_encoding="aws-chunked", x_amz_decoded_content_length=str(length), x_amz_content_sha256=form
        )
        refused(open_world, free, head, body, *_FRAMING_CODES)


TRAILERS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "wrong": ("x-amz-checksum-crc32", (("x-amz-checksum-crc32", crc32(b"other")),)),
    "absent": ("x-amz-checksum-crc32", ()),
    "another": ("x-amz-checksum-crc32", (("x-amz-checksum-crc32c", crc32(DATA)),)),
    "one more": ("x-amz-checksum-crc32", (("x-amz-checksum-crc32", crc32(DATA)), ("x-amz-checksum-sha1", "x"))),
    "twice": ("x-amz-checksum-crc32", (("x-amz-checksum-crc32", crc32(DATA)), ("x-amz-checksum-crc32", crc32(DATA)))),
    "empty": ("x-amz-checksum-crc32", (("x-amz-checksum-crc32", ""),)),
    "no base64": ("x-amz-checksum-crc32", (("x-amz-checksum-crc32", "!!!!"),)),
    "too short": ("x-amz-checksum-crc32", (("x-amz-checksum-crc32", "AAAA"),)),
    "of no algorithm": ("x-amz-checksum-adler", (("x-amz-checksum-adler", "AAAA"),)),
    "no checksum": ("x-amz-meta-a", (("x-amz-meta-a", "b"),)),
    "two algorithms": (
        "x-amz-checksum-crc32, x-amz-checksum-sha1",
        (("x-amz-checksum-crc32", crc32(DATA)), ("x-amz-checksum-sha1", "x")),
    ),
    "hundreds": (",".join(f"x-amz-checksum-{number}" for number in range(300)), ()),
    "very long": ("x-amz-checksum-crc32", (("x-amz-checksum-crc32", "A" * 100_000),)),
    "with a NUL": ("x-amz-checksum-crc32", (("x-amz-checksum-crc32", f"{crc32(DATA)}\0"),)),
}


@pytest.mark.parametrize("how", TRAILERS)
def test_a_trailer_keeps_its_promise(world: World, bucket: str, how: str) -> None:
    """Exactly the trailers that the head declares must come, and be right; they are checksums, and one of them."""
    declared, trailers = TRAILERS[how]
    head = streaming(world, bucket, UNSIGNED_TRAILER, trailer=declared)
    refused(
        world, bucket, head, chunked(DATA, trailers=trailers), "BadDigest", "InvalidRequest", "MalformedTrailerError"
    )


@pytest.mark.parametrize("length", ["", "-1", "1.5", "abc", "0x64", "1e2", "9" * 30, str(2**63), "٣", "100 100"])
def test_a_decoded_length_that_is_none_is_refused(world: World, bucket: str, length: str) -> None:
    """A framed body needs a length that is one."""
    wire = length.encode().decode("latin-1")
    request = world.hosted(Request("PUT", f"/{bucket}/key")).with_headers(
        content_encoding="aws-chunked", x_amz_decoded_content_length=wire
    )
    head = signing.v4(world.alice, request, payload=UNSIGNED_TRAILER)
    refused(world, bucket, head, chunked(DATA), "InvalidArgument", "MissingContentLength", "EntityTooLarge")
    without = signing.v4(
        world.alice,
        world.hosted(Request("PUT", f"/{bucket}/key")).with_headers(content_encoding="aws-chunked"),
        payload=UNSIGNED_TRAILER,
    )
    refused(world, bucket, without, chunked(DATA), "MissingContentLength")


def test_more_than_an_object_can_have_is_refused_at_once(world: World, bucket: str) -> None:
    """A declared length beyond S3's limit is refused before any of it is read."""
    head = streaming(world, bucket, UNSIGNED_TRAILER, 5 * 1024**3 + 1)
    refused(world, bucket, head, b"", "EntityTooLarge", "IncompleteBody")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"),
        ({"content_md5": "AAAA"}, "InvalidDigest"),
        ({"content_md5": "no base64"}, "InvalidDigest"),
        ({"content_md5": ""}, "InvalidDigest"),
        ({"x_amz_checksum_crc32": "AAAAAA=="}, "BadDigest"),
        ({"x_amz_checksum_crc32": "AAAA"}, "InvalidRequest"),
        ({"x_amz_checksum_sha256": crc32(DATA)}, "InvalidRequest"),
        ({"x_amz_checksum_crc32": crc32(DATA), "x_amz_checksum_crc32c": "AAAAAA=="}, "InvalidRequest"),
        ({"x_amz_sdk_checksum_algorithm": "CRC32"}, "InvalidRequest"),
        ({"x_amz_sdk_checksum_algorithm": "ADLER"}, "InvalidRequest"),
        ({"x_amz_content_sha256": "0" * 64}, "XAmzContentSHA256Mismatch"),
        ({"x_amz_content_sha256": "0" * 63}, "InvalidArgument"),
        ({"x_amz_content_sha256": "nonsense"}, "InvalidArgument"),
    ],
)
def test_a_promise_about_a_plain_body_is_kept(
    world: World, open_world: World, headers: dict[str, str], code: str
) -> None:
    """A declared hash or checksum that does not match, or is none, refuses the body, with authentication or without."""
    for where in (world, open_world):
        bucket = where.make_bucket(where.alice)
        request = where.hosted(Request("PUT", f"/{bucket}/key", body=DATA)).with_headers(**headers)
        signed = signing.v4(where.alice, request, payload=headers.get("x_amz_content_sha256"))
        refused(where, bucket, signed, DATA, code)
    bucket = open_world.make_bucket(open_world.alice)
    unsigned = open_world.hosted(Request("PUT", f"/{bucket}/key", body=DATA)).with_headers(**headers)
    refused(open_world, bucket, unsigned, DATA, code)


@pytest.mark.parametrize("query", ["", "partNumber=1&uploadId={upload}"])
def test_a_body_of_unknown_length_is_refused(world: World, bucket: str, query: str) -> None:
    """A body in HTTP's own chunks says nothing of its length: without one an object is not begun."""
    upload_id = world.begin(world.alice, bucket, "key")
    before = world.bucket_state(bucket)
    request = world.hosted(
        Request("PUT", f"/{bucket}/key", query.format(upload=upload_id)).with_headers(transfer_encoding="chunked")
    )
    for payload in ("UNSIGNED-PAYLOAD", UNSIGNED_TRAILER, STREAMING):
        signed = signing.v4(world.alice, replace(request, body=chunked(DATA)), payload=payload)
        reply = world.send(signed)
        assert (reply.status, reply.code) == (411, "MissingContentLength")
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize("query", ["", "partNumber=1&uploadId={upload}"])
def test_a_body_that_nobody_announced_is_refused(world: World, bucket: str, query: str) -> None:
    """Without a length and without chunks there is no body for HTTP: as at Amazon, that stores no empty object."""
    upload_id = world.begin(world.alice, bucket, "key")
    before = world.bucket_state(bucket)
    request = Request("PUT", f"/{bucket}/key", query.format(upload=upload_id)).with_headers(host=world.host)
    reply = world.send_as_it_is(signing.v4(world.alice, request))
    assert (reply.status, reply.code) == (411, "MissingContentLength")
    assert world.bucket_state(bucket) == before


def test_a_framed_body_may_come_in_chunks(world: World, bucket: str) -> None:
    """A body that is framed twice, by HTTP and by Amazon, is taken out of both, and its length is what it declares."""
    framed = chunked(*HALVES)
    head = world.hosted(Request("PUT", f"/{bucket}/key").with_headers(transfer_encoding="chunked")).with_headers(
        content_encoding="aws-chunked", x_amz_decoded_content_length=str(len(DATA))
    )
    signed = signing.v4(world.alice, head, payload=UNSIGNED_TRAILER)
    assert world.send(replace(signed, body=chunked(framed[:50], framed[50:]))).status == 200
    assert world.get(world.alice, bucket, "key").body == DATA
    before = world.bucket_state(bucket)
    assert world.send(replace(signed, body=chunked(framed[:-2]))).code == "IncompleteBody"
    assert world.bucket_state(bucket) == before


def test_a_large_body_that_is_refused_leaves_no_file(world: World, bucket: str) -> None:
    """What was too large for memory and turned out wrong at its end is removed from the disk again."""
    data = bytes(1_000_000)
    before = world.files()
    head = streaming(world, bucket, UNSIGNED_TRAILER, len(data), "x-amz-checksum-crc32")
    wrong = (("x-amz-checksum-crc32", "AAAAAA=="),)
    refused(world, bucket, head, chunked(data, trailers=wrong), "BadDigest")
    refused(world, bucket, head, chunked(data)[:-5], "IncompleteBody")
    head = streaming(world, bucket, STREAMING, len(data))
    body = Chunks(world.alice, head).chunk(data)[:-3] + b"X\r\n"
    refused(world, bucket, head, body, "SignatureDoesNotMatch")
    plain = signing.v4(world.alice, world.hosted(Request("PUT", f"/{bucket}/key", body=data)), payload="0" * 64)
    refused(world, bucket, plain, data, "XAmzContentSHA256Mismatch")
    assert world.files() == before
