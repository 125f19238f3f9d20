"""Group 3: a presigned URL is good for its own time, method, object, headers and payload."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.attacks import signing
from tests.attacks.signing import Request
from tests.attacks.world import World

WEEK = 7 * 24 * 60 * 60
PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)


def get(world: World, bucket: str) -> Request:
    """A read of alice's object."""
    return world.hosted(Request("GET", f"/{bucket}/key"))


def test_a_good_url_works(world: World, bucket: str) -> None:
    """Both versions of URLs read, and the longest that S3 allows is a week."""
    for url in (
        signing.v4_url(world.alice, get(world, bucket)),
        signing.v4_url(world.alice, get(world, bucket), expires=str(WEEK)),
        signing.v2_url(world.alice, get(world, bucket)),
    ):
        assert world.send(url).body == b"alice's"


@pytest.mark.parametrize(
    "expires", ["0", "-1", str(WEEK + 1), "", "abc", "1e3", "0x10", "1.5", "9" * 400, "٣", "+60", " 60"]
)
def test_a_lifetime_that_is_none_is_refused(world: World, bucket: str, expires: str) -> None:
    """A lifetime has to be a number of seconds between one and a week."""
    reply = world.send(signing.v4_url(world.alice, get(world, bucket), expires=expires))
    assert (reply.status, reply.code) == (400, "AuthorizationQueryParametersError")


def test_an_expired_url_is_refused(world: World, bucket: str) -> None:
    """A URL whose time is over works no longer, and one whose time is yet to come not yet."""
    late = signing.now() - timedelta(seconds=70)
    for url in (
        signing.v4_url(world.alice, get(world, bucket), expires="60", when=late),
        signing.v4_url(world.alice, get(world, bucket), expires=str(WEEK), when=late - timedelta(days=8)),
        signing.v4_url(world.alice, get(world, bucket), when=signing.now() + timedelta(hours=1)),
        signing.v2_url(world.alice, get(world, bucket), signing.now() - timedelta(seconds=10)),
    ):
        reply = world.send(url)
        assert (reply.status, reply.code) == (403, "AccessDenied")


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_is_there_once(world: World, bucket: str, name: str) -> None:
    """A URL that lacks one of its parameters, has it twice or empty, is refused."""
    url = signing.v4_url(world.alice, get(world, bucket))
    fields = url.query.split("&")
    mine = next(field for field in fields if field.startswith(f"{name}="))
    others = [field for field in fields if field != mine]
    for query in (others, [*others, mine, mine], [*others, f"{name}="], [mine, *others, f"{name}=other"]):
        reply = world.send(replace(url, query="&".join(query)))
        assert reply.status in {400, 403}, query
        assert reply.code in {"AuthorizationQueryParametersError", "InvalidArgument"}, query


@pytest.mark.parametrize("name", PARAMETERS[:-1])
def test_a_parameter_that_is_changed_breaks_the_signature(world: World, bucket: str, name: str) -> None:
    """No parameter of a URL can be made another: not the lifetime, not the date, not the key."""
    url = signing.v4_url(world.alice, get(world, bucket), when=signing.now() - timedelta(seconds=5))
    changed = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA512",
        "X-Amz-Credential": url.query.partition("X-Amz-Credential=")[2].partition("&")[0].replace("us-east", "us-west"),
        "X-Amz-Date": signing.stamp(signing.now()),
        "X-Amz-Expires": "86400",
        "X-Amz-SignedHeaders": "host%3Brange",
    }
    fields = [f"{name}={changed[name]}" if field.startswith(f"{name}=") else field for field in url.query.split("&")]
    reply = world.send(replace(url, query="&".join(fields)).with_headers(range="bytes=0-1"))
    assert reply.status in {400, 403}
    assert reply.code in {"AuthorizationQueryParametersError", "SignatureDoesNotMatch"}


def test_a_url_goes_with_no_other_credentials(world: World, bucket: str) -> None:
    """Two ways to sign one request are one too many, whosever they are."""
    for url in (signing.v4_url(world.bob, get(world, bucket)), signing.v2_url(world.bob, get(world, bucket))):
        for sign in (signing.v4, signing.v2):
            reply = world.send(sign(world.alice, url))
            assert (reply.status, reply.code) == (400, "InvalidArgument")
        for foreign in ("Bearer token", "Basic YTpi", "AWS4-HMAC-SHA256"):
            assert world.send(url.with_headers(authorization=foreign)).status in {400, 403}
    both = signing.v2_url(world.alice, signing.v4_url(world.alice, get(world, bucket)))
    assert world.send(both).code == "InvalidArgument"


def test_a_url_is_for_one_method_and_object(world: World, bucket: str) -> None:
    """A URL to read neither writes nor deletes, and reads nothing else."""
    world.put(world.alice, bucket, "other", b"other")
    before = world.bucket_state(bucket)
    for url in (signing.v4_url(world.alice, get(world, bucket)), signing.v2_url(world.alice, get(world, bucket))):
        for changed in (
            replace(url, method="PUT", body=b"body"),
            replace(url, method="DELETE"),
            replace(url, method="POST"),
            replace(url, path=f"/{bucket}/other"),
            replace(url, path=f"/{bucket}/"),
            replace(url, path="/"),
            url.with_query("tagging"),
            url.with_query("versionId=null"),
            url.with_query("uploadId=x"),
        ):
            reply = world.send(changed)
            assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch"), changed
    assert world.bucket_state(bucket) == before


def test_nobody_adds_a_header_to_a_url(world: World, bucket: str) -> None:
    """A header that has to be signed and was not is refused: it could make an upload a copy, or change its metadata."""
    secret = world.make_bucket(world.alice)
    world.put(world.alice, secret, "key", b"secret")
    before = world.bucket_state(bucket)
    url = signing.v4_url(world.alice, replace(get(world, bucket), method="PUT"))
    for name, value in (
        ("x_amz_copy_source", f"{secret}/key"),
        ("x_amz_meta_owner", "mallory"),
        ("x_amz_tagging", "a=b"),
        ("x_amz_storage_class", "GLACIER"),
        ("x_amz_write_offset_bytes", "7"),
    ):
        reply = world.send(url.with_headers(**{name: value}))
        assert (reply.status, reply.code) == (403, "AccessDenied")
        in_query = url.with_query(f"{name.replace('_', '-')}={value.replace('/', '%2F')}")
        assert world.send(in_query).code == "SignatureDoesNotMatch"
    assert world.bucket_state(bucket) == before


def test_a_pinned_payload_is_the_one_that_is_stored(world: World, bucket: str) -> None:
    """Where a URL says what is to be uploaded, in its query or a signed header, nothing else can be."""
    good, bad = b"good", b"evil"
    digest = hashlib.sha256(good).hexdigest()
    put = replace(get(world, bucket), method="PUT")
    in_query = signing.v4_url(world.alice, put, payload=digest)
    assert world.send(replace(in_query, body=bad)).code == "XAmzContentSHA256Mismatch"
    assert world.send(replace(in_query, body=bad).with_headers(x_amz_content_sha256="UNSIGNED-PAYLOAD")).status in {
        400,
        403,
    }
    assert world.send(
        replace(in_query, body=bad).with_headers(x_amz_content_sha256=hashlib.sha256(bad).hexdigest())
    ).status in {400, 403}
    in_header = signing.v4_url(
        world.alice, put.with_headers(x_amz_content_sha256=digest), signed=("host", "x-amz-content-sha256")
    )
    assert world.send(replace(in_header, body=bad)).status in {400, 403}
    assert world.get(world.alice, bucket, "key").body == b"alice's"
    assert world.send(replace(in_query, body=good)).status == 200
    assert world.get(world.alice, bucket, "key").body == good


def test_answers_are_dressed_up_for_who_signed_them(world: World, bucket: str) -> None:
    """``response-`` fields have to be signed with the URL, and do nothing for an anonymous caller."""
    override = "response-content-type=text%2Fhtml"
    signed = signing.v4_url(world.alice, get(world, bucket).with_query(override))
    assert world.send(signed).headers["content-type"] == "text/html"
    signed = signing.v2_url(world.alice, get(world, bucket).with_query("response-content-type=text/html"))
    assert world.send(signed).code in {"", "SignatureDoesNotMatch"}
    added = signing.v4_url(world.alice, get(world, bucket)).with_query(override)
    assert world.send(added).code == "SignatureDoesNotMatch"
    anonymous = world.send(get(world, bucket).with_query(override))
    assert anonymous.status in {400, 403}
    assert b"alice" not in anonymous.body


@pytest.mark.parametrize("value", ["a%0d%0aset-cookie:%20a=b", "a%0aX: y", "a%00b", "a%01b", "a%7fb", "%1b%5b0m"])
@pytest.mark.parametrize("name", ["response-content-type", "response-content-disposition", "response-expires"])
def test_an_override_is_one_header(world: World, bucket: str, name: str, value: str) -> None:
    """A line break or control character in an override is refused: it would be another header, or no answer at all."""
    reply = world.send(Request("GET", f"/{bucket}/key", f"{name}={value.replace(' ', '%20')}"), world.alice)
    assert reply.status == 400
    assert reply.code == ("InvalidURI" if "%00" in value else "InvalidArgument")
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-meta-colour", "a%0d%0aset-cookie:%20a=b"),
        ("x-amz-meta-colour", "a%01b"),
        ("x-amz-website-redirect-location", "%0d%0alocation:%20http://evil"),
        ("x-amz-tagging", "a%0d%0a=b"),
        ("x-amz-storage-class", "%00"),
    ],
)
def test_a_header_in_the_query_is_one_header(world: World, bucket: str, name: str, value: str) -> None:
    """A header that was moved into the query has no line breaks and no control characters either."""
    before = world.bucket_state(bucket)
    url = signing.v4_url(
        world.alice, replace(get(world, bucket), method="PUT").with_query(f"{name}={value.replace(' ', '%20')}")
    )
    assert world.send(replace(url, body=b"body")).status == 400
    assert world.bucket_state(bucket) == before


def test_a_header_in_the_query_is_stored_as_one_in_the_head_is(world: World, bucket: str) -> None:
    """Metadata and tags that a presigner moved into the query are the same bytes that a header would have carried."""
    query = "x-amz-meta-colour=bl%C3%A9u&x-amz-tagging=k%25C3%25A9y%3Dv%25E2%2582%25AC"
    url = signing.v4_url(world.alice, replace(get(world, bucket), method="PUT").with_query(query))
    assert world.send(replace(url, body=b"body")).status == 200
    assert world.get(world.alice, bucket, "key").headers["x-amz-meta-colour"].encode("latin-1").decode() == "bléu"
    tagging = world.get(world.alice, bucket, "key", "tagging")
    assert (tagging.text("Key"), tagging.text("Value")) == ("kéy", "v€")
    source = signing.v4_url(
        world.alice,
        replace(get(world, bucket), method="PUT").with_query(f"x-amz-copy-source={bucket}%2Fk%C3%A9y%E2%82%AC"),
    )
    assert world.send(source).code == "NoSuchKey"
