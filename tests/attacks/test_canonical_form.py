"""Group 4: a signature covers everything that a request means, in one spelling."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from urllib.parse import quote

import pytest

from tests.attacks import signing
from tests.attacks.signing import Request
from tests.attacks.world import World, path


def test_the_host_is_signed(world: World, bucket: str) -> None:
    """A signature that leaves the host out is none: it would work on any bucket that a Host can name."""
    request = world.hosted(Request("GET", f"/{bucket}/key"))
    reply = world.send(signing.v4(world.alice, request, signed=("x-amz-content-sha256", "x-amz-date")))
    assert (reply.status, reply.code) == (403, "AccessDenied")
    reply = world.send(signing.v4_url(world.alice, request.with_headers(x_amz_date="x"), signed=("x-amz-date",)))
    assert reply.status in {400, 403}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x_amz_copy_source", "bucket/key"),
        ("x_amz_meta_a", "b"),
        ("x_amz_acl", "public-read"),
        ("x_amz_tagging", "a=b"),
        ("x_amz_decoded_content_length", "5"),
        ("x_amz_trailer", "x-amz-checksum-crc32"),
        ("x_amz_checksum_crc32", "AAAAAA=="),
    ],
)
def test_no_amz_header_goes_unsigned(world: World, bucket: str, name: str, value: str) -> None:
    """A header of Amazon's that is added on the way refuses the request, whatever it says."""
    before = world.bucket_state(bucket)
    signed = signing.v4(world.alice, world.hosted(Request("PUT", f"/{bucket}/key", body=b"body")))
    reply = world.send(signed.with_headers(**{name: value}))
    assert (reply.status, reply.code) == (403, "AccessDenied")
    assert world.bucket_state(bucket) == before


def test_a_signed_header_is_there_and_unchanged(world: World, bucket: str) -> None:
    """What was signed cannot be taken away, changed, or given twice."""
    request = world.hosted(Request("PUT", f"/{bucket}/key", body=b"body").with_headers(x_amz_meta_a="1"))
    signed = signing.v4(world.alice, request)
    without = replace(signed, headers=tuple(pair for pair in signed.headers if pair[0] != "x-amz-meta-a"))
    for changed in (
        without,
        signed.with_headers(x_amz_meta_a="2"),
        replace(signed, headers=(*signed.headers, ("x-amz-meta-a", "2"))),
    ):
        reply = world.send(changed)
        assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch")
    assert world.get(world.alice, bucket, "key").body == b"alice's"


def test_headers_given_twice_are_signed_together(world: World, bucket: str) -> None:
    """A client that sends a header twice signs both values, in order; blanks within a value are folded."""
    request = world.hosted(Request("PUT", f"/{bucket}/key", body=b"body"))
    twice = replace(request, headers=(*request.headers, ("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")))
    assert world.send(signing.v4(world.alice, twice)).status == 200
    assert world.get(world.alice, bucket, "key").headers["x-amz-meta-a"] == "1,2"
    swapped = signing.v4(world.alice, twice)
    first, second = (pair for pair in swapped.headers if pair[0] == "x-amz-meta-a")
    others = tuple(pair for pair in swapped.headers if pair[0] != "x-amz-meta-a")
    assert world.send(replace(swapped, headers=(*others, second, first))).code == "SignatureDoesNotMatch"
    assert world.send(signing.v4(world.alice, request.with_headers(x_amz_meta_a="  a   b\t c  "))).status == 200


ODD_KEYS = [
    "a b",
    "a+b",
    "a%20b",
    "a%2Fb",
    "a//b",
    "/a",
    "a/",
    "a/./b",
    "a/../b",
    "./a",
    "a\\b",
    "a=b&c?d#e",
    "é",
    unicodedata.normalize("NFD", "é"),
    "😀",
    "~!@$^*()_-'\":;<>,.|{}[]`",
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_is_signed_as_it_is_sent(world: World, bucket: str, key: str) -> None:
    """Keys that look alike are different objects, and a signature for one of them opens no other."""
    for other in ODD_KEYS:
        world.put(world.alice, bucket, other, other.encode())
    signed = signing.v4(world.alice, world.hosted(Request("GET", path(bucket, key))))
    presigned = signing.v4_url(world.alice, world.hosted(Request("GET", path(bucket, key))))
    old = signing.v2(world.alice, world.hosted(Request("GET", path(bucket, key))))
    for good in (signed, presigned, old):
        assert world.send(good).body == key.encode()
        for other in ODD_KEYS:
            if other != key:
                assert world.send(replace(good, path=path(bucket, other))).code == "SignatureDoesNotMatch"


def test_a_path_encoded_twice_is_another_key(world: World, bucket: str) -> None:
    """What is signed once more encoded is not what is read: decoding happens once, in one place."""
    world.put(world.alice, bucket, "a b", b"blank")
    world.put(world.alice, bucket, "a%20b", b"percent")
    once, twice = f"/{bucket}/a%20b", f"/{bucket}/a%2520b"
    for sent, signed_path, expected in (
        (once, once, b"blank"),
        (twice, twice, b"percent"),
        (once, twice, None),
        (twice, once, None),
    ):
        signed = signing.v4(world.alice, world.hosted(Request("GET", signed_path)))
        reply = world.send(replace(signed, path=sent))
        assert reply.code == "SignatureDoesNotMatch" if expected is None else reply.body == expected


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("prefix=a&marker=b", "marker=b&prefix=a"),
        ("prefix", "prefix="),
        ("prefix=%61", "prefix=a"),
        ("prefix=a+b", "prefix=a%20b"),
        ("prefix=%2fa", "prefix=%2Fa"),
        ("prefix=a&&marker=b", "prefix=a&marker=b"),
    ],
)
def test_spellings_of_a_query_that_mean_the_same_are_the_same(
    world: World, bucket: str, sent: str, signed: str
) -> None:
    """Order, an empty value and superfluous encoding do not change what a query means, nor whether it is signed."""
    request = signing.v4(world.alice, world.hosted(Request("GET", f"/{bucket}", signed)))
    assert world.send(replace(request, query=sent)).status in {200, 403}
    assert world.send(request).status == 200


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("prefix=b", "prefix=a"),
        ("prefix=a", "prefix=a%2520"),
        ("prefix=a&prefix=b", "prefix=a"),
        ("prefix=a&x-id=ListObjects", "prefix=a"),
        ("prefix=a%26marker=b", "prefix=a&marker=b"),
        ("prefix=a;marker=b", "prefix=a&marker=b"),
        ("prefix=A", "prefix=a"),
        ("Prefix=a", "prefix=a"),
        ("prefix=é".encode().decode("latin-1"), f"prefix={quote(unicodedata.normalize('NFD', 'é'))}"),
        ("versions&prefix=a", "prefix=a"),
        ("prefix=a#marker", "prefix=a"),
    ],
)
def test_queries_that_mean_something_else_are_not_signed(world: World, bucket: str, sent: str, signed: str) -> None:
    """What differs in meaning differs in signature."""
    request = signing.v4(world.alice, world.hosted(Request("GET", f"/{bucket}", signed)))
    assert world.send(replace(request, query=sent)).status in {400, 403}


def test_the_prefix_of_the_service_means_nothing(world: World, bucket: str) -> None:
    """A signature for /bucket/key also opens /s3/bucket/key, which is the same object, and no object under "s3/"."""
    world.put(world.alice, bucket, "s3/key", b"another")
    signed = signing.v4(world.alice, world.hosted(Request("GET", f"/{bucket}/key")))
    reply = world.send(replace(signed, path=f"/s3/{bucket}/key"))
    assert reply.body == b"alice's" or reply.code == "SignatureDoesNotMatch"
    assert world.send(replace(signed, path=f"/{bucket}/s3/key")).code == "SignatureDoesNotMatch"
    assert world.send(replace(signed, path=f"/s3/s3/{bucket}/key")).status in {403, 404}


def test_a_host_cannot_make_a_key_a_bucket(world: World, bucket: str) -> None:
    """A signature for key "b/k" of a bucket does not open key "k" of bucket "b", nor the other way round.

    Version 2 does not sign the Host, so the bucket in it has to be a part of what is signed.
    """
    other = world.make_bucket(world.alice)
    world.put(world.alice, other, "key", b"other")
    world.put(world.alice, bucket, f"{other}/key", b"nested")
    for sign in (signing.v2, signing.v4):
        nested = sign(world.alice, world.hosted(Request("GET", f"/{bucket}/{other}/key")))
        assert world.send(nested).body == b"nested"
        for host, target in (
            (f"{bucket}.localhost:{world.server.port}", f"/{bucket}/{other}/key"),
            (f"{other}.localhost:{world.server.port}", "/key"),
            (f"{other}.localhost:{world.server.port}", f"/{bucket}/{other}/key"),
        ):
            reply = world.send(replace(nested, path=target).with_headers(host=host))
            assert reply.code == "SignatureDoesNotMatch"
    in_host = signing.v4(
        world.alice, Request("GET", "/key", headers=(("host", f"{other}.localhost:{world.server.port}"),))
    )
    assert world.send(in_host).body == b"other"
    assert (
        world.send(in_host.with_headers(host=f"{bucket}.localhost:{world.server.port}")).code == "SignatureDoesNotMatch"
    )


def test_other_names_of_a_host_are_other_hosts(world: World, bucket: str) -> None:
    """The Host is compared as it was sent, with its port."""
    request = world.hosted(Request("GET", f"/{bucket}/key"))
    signed = signing.v4(world.alice, request)
    for host in ("127.0.0.1", f"127.0.0.1:{world.server.port + 1}", f"localhost:{world.server.port}"):
        assert world.send(signed.with_headers(host=host)).code == "SignatureDoesNotMatch"
    for host in (f"LOCALHOST:{world.server.port}", f"[::1]:{world.server.port}", "example.com"):
        assert world.send(signing.v4(world.alice, request.with_headers(host=host))).body == b"alice's"


@pytest.mark.parametrize(
    "credential",
    [
        "{access}",
        "{access}/20260101/us-east-1/s3",
        "{access}/{day}/us-east-1/ec2/aws4_request",
        "{access}/{day}/us-east-1/s3/aws5_request",
        "/{day}/us-east-1/s3/aws4_request",
        "{access}/{day}/us-east-1/s3/aws4_request/",
        "{access}//us-east-1/s3/aws4_request",
        "x" * 9000 + "/{day}/us-east-1/s3/aws4_request",
    ],
)
def test_a_malformed_credential_is_refused(world: World, bucket: str, credential: str) -> None:
    """A credential names a key, a day, a region, this service and this form of signature."""
    signed = signing.v4(world.alice, world.hosted(Request("GET", f"/{bucket}/key")))
    given = credential.format(access=world.alice.access, day=f"{signing.now():%Y%m%d}")
    value = signed.header("authorization")
    head, _, tail = value.partition("Credential=")
    reply = world.send(signed.with_headers(authorization=f"{head}Credential={given},{tail.partition(',')[2]}"))
    assert reply.status == 400
    assert reply.code == "AuthorizationHeaderMalformed"
