"""Group 6: version 2 of signatures covers little, and is not made to cover less; errors tell a stranger nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.attacks import signing
from tests.attacks.signing import Keys, Request
from tests.attacks.world import World, wire_head
from tests.server.wire import exchange


@pytest.mark.parametrize(
    "changed",
    [
        "versionId=null",
        "tagging",
        "acl",
        "uploads",
        "uploadId=x",
        "versions",
        "delete",
        "partNumber=1",
        "response-expires=x",
    ],
)
def test_a_sub_resource_is_signed(world: World, bucket: str, changed: str) -> None:
    """What chooses another operation is covered by the signature, and cannot be added."""
    before = world.bucket_state(bucket)
    for method in ("GET", "PUT", "DELETE"):
        request = world.hosted(Request(method, f"/{bucket}/key"))
        for signed in (signing.v2(world.alice, request), signing.v2_url(world.alice, request)):
            reply = world.send(replace(signed, query=f"{signed.query}&{changed}" if signed.query else changed))
            assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch"), (method, changed)
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    "query",
    [
        "renameObject",
        "append",
        "attributes",
        "object-lambda",
        "torrent",
        "annotation",
        "encryption",
        "renameObject=&x=1",
    ],
)
def test_a_sub_resource_that_old_signatures_do_not_know_changes_nothing(world: World, bucket: str, query: str) -> None:
    """Version 2 was there before some sub-resources and does not sign them: added to a request, they do no harm."""
    world.put(world.alice, bucket, "other", b"other")
    before = world.bucket_state(bucket)
    request = world.hosted(Request("PUT", f"/{bucket}/key", body=b"new"))
    for signed in (signing.v2(world.alice, request), signing.v2_url(world.alice, request)):
        added = replace(signed, query=f"{signed.query}&{query}" if signed.query else query)
        assert world.send(added).status in {400, 403, 501}
        assert world.send(added.with_headers(x_amz_rename_source=f"{bucket}/other")).status in {400, 403, 501}
    assert world.bucket_state(bucket) == before


def test_what_version_2_signs_cannot_be_changed(world: World, bucket: str) -> None:
    """Method, path, type, MD5 and Amazon's headers are signed."""
    request = world.hosted(Request("PUT", f"/{bucket}/key", body=b"new")).with_headers(
        content_type="text/plain", content_md5="Ivcwt1ywKLPb3vLQ6nqZKA==", x_amz_meta_a="1"
    )
    signed = signing.v2(world.alice, request)
    for changed in (
        replace(signed, method="POST"),
        replace(signed, path=f"/{bucket}/other"),
        signed.with_headers(content_type="text/html"),
        signed.with_headers(content_md5="AAAAAAAAAAAAAAAAAAAAAA=="),
        signed.with_headers(x_amz_meta_a="2"),
        signed.with_headers(x_amz_meta_b="1"),
        signed.with_headers(x_amz_copy_source=f"{bucket}/key"),
        signed.with_headers(x_amz_acl="public-read"),
        signed.with_headers(x_amz_content_sha256="UNSIGNED-PAYLOAD"),
        signed.with_headers(date="Thu, 01 Jan 2026 00:00:00 GMT"),
    ):
        assert world.send(changed).status == 403
    assert world.get(world.alice, bucket, "key").body == b"alice's"


@pytest.mark.parametrize("form", [signing.STREAMING, signing.STREAMING_TRAILER])
def test_signed_chunks_need_a_chain(world: World, bucket: str, form: str) -> None:
    """Version 2 has no chain of chunk signatures, so a body that claims to have one is refused."""
    before = world.bucket_state(bucket)
    body = b"5;chunk-signature=" + b"0" * 64 + b"\r\nwrong\r\n0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n"
    request = world.hosted(Request("PUT", f"/{bucket}/key", body=body)).with_headers(
        content_encoding="aws-chunked", x_amz_content_sha256=form, x_amz_decoded_content_length="5"
    )
    for signed in (signing.v2(world.alice, request), signing.v2_url(world.alice, request)):
        assert world.send(signed).status in {400, 403}
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    "value",
    [
        "AWS",
        "AWS ",
        "AWS :",
        "AWS {access}",
        "AWS {access}:",
        "AWS :signature",
        "AWS {access}:=",
        "AWS {access}:é",
        "aws {access}:x",
    ],
)
def test_a_malformed_header_is_refused(world: World, bucket: str, value: str) -> None:
    """Half a header of version 2 makes nobody anonymous and nobody somebody."""
    request = world.hosted(Request("GET", f"/{bucket}/key")).with_headers(
        date=signing.v2(world.alice, Request("GET", "/")).header("date"),
        authorization=value.format(access=world.alice.access).encode().decode("latin-1"),
    )
    reply = world.send(request)
    assert reply.status in {400, 403}
    assert b"alice" not in reply.body.replace(world.alice.access.encode(), b"")


@pytest.mark.parametrize("name", ["AWSAccessKeyId", "Signature", "Expires"])
def test_a_url_of_version_2_is_whole(world: World, bucket: str, name: str) -> None:
    """A URL that lacks a parameter, or has it twice, is refused; its end cannot be put off."""
    url = signing.v2_url(world.alice, world.hosted(Request("GET", f"/{bucket}/key")))
    fields = url.query.split("&")
    mine = next(field for field in fields if field.startswith(f"{name}="))
    others = [field for field in fields if field != mine]
    for query in (
        others,
        [*fields, mine],
        [*others, f"{name}="],
        [*others, f"{name}=99999999999"],
        [*others, f"{name}=-1"],
    ):
        reply = world.send(replace(url, query="&".join(query)))
        assert reply.status in {400, 403}, query
        assert b"alice's" not in reply.body


def test_a_refusal_tells_what_was_signed_and_not_what_would_be_right(world: World, bucket: str) -> None:
    """The error shows the client its own text to sign, as Amazon does, and never the signature that was expected."""
    request = world.hosted(Request("GET", f"/{bucket}/key"))
    for sign in (signing.v4, signing.v2, signing.v4_url, signing.v2_url):
        good = sign(world.alice, request)
        wrong = sign(Keys(world.alice.access, "wrong"), request)
        reply = world.send(wrong)
        assert reply.code == "SignatureDoesNotMatch"
        value = good.header("authorization") or good.query
        expected = value.rpartition("Signature=")[2] or value.rpartition(":")[2]
        assert expected.encode() not in reply.body


def test_strangers_learn_no_more_than_that_they_are_strangers(world: World, bucket: str) -> None:
    """Without credentials that are right, an object that is there and one that is not are the same answer."""
    wrong = Keys(world.alice.access, "wrong")
    for keys in (wrong, Keys("NOBODY", "nothing")):
        answers = set()
        for target in (f"/{bucket}/key", f"/{bucket}/no-such-key", "/no-such-bucket/key"):
            for method in ("GET", "HEAD"):
                request = world.hosted(Request(method, target)).with_headers(if_none_match="*", if_match='"x"')
                answers.add((method, world.send(signing.v4(keys, request)).status))
        assert answers == {("GET", 403), ("HEAD", 403)}
    for method in ("GET", "HEAD"):
        for target in (f"/{bucket}/key", f"/{bucket}/no-such-key"):
            assert world.send(Request(method, target)).status == 403
            assert world.send(Request(method, target), world.bob).status == 403


def test_no_address_tells_secrets(world: World) -> None:
    """CVE-2023-28432 and its kin: no path gives settings, environment, metrics of others' keys or profiles away."""
    for target in (
        "/minio/bootstrap/v1/verify",
        "/minio/health/live",
        "/minio/v2/metrics/cluster",
        "/debug/pprof/",
        "/rustfs/rpc/",
        "/.env",
        "/s3/.env",
    ):
        for method in ("GET", "POST"):
            reply = world.send(Request(method, target))
            assert reply.status in {400, 403, 404, 405, 501}, target
    for name in ("healthy", "ready", "metrics", "env", "config", "users", "..%2f..%2fsecret.key", "../secret.key"):
        request = Request("GET", f"/-/{name}", headers=(("host", world.host), ("connection", "close")))
        answer = exchange(world.server.port, wire_head(request))
        for private in (world.admin, world.alice, world.bob):
            assert private.access.encode() not in answer
            assert private.secret.encode() not in answer
        assert b"bucket-" not in answer
        assert b"alice" not in answer
