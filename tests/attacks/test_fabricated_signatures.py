"""Group 1: nobody gets past authentication by saying that the body is unsigned, and no operation forgets to ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.attacks import signing
from tests.attacks.signing import STREAMING, STREAMING_TRAILER, UNSIGNED, UNSIGNED_TRAILER, Keys, Request, chunked
from tests.attacks.world import World
from tidegate.s3.operations import HANDLERS
from tidegate.s3.routing import OPERATIONS, Operation

Attack = Callable[[World, Request], Request]

BODY = chunked(b"stolen")
REFUSALS = {
    "AccessDenied",
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",
    "InvalidAccessKeyId",
    "InvalidArgument",
    "InvalidRequest",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}


def wrong(keys: Keys) -> Keys:
    """Somebody's access key without the secret."""
    return replace(keys, secret=keys.secret[::-1])


def nobody() -> Keys:
    """Keys that were never given out."""
    return Keys("NOBODY", "no-secret-at-all")


def fabricated_header(world: World, request: Request) -> Request:
    """A well-formed Authorization header with a signature that somebody made up."""
    signed = signing.v4(wrong(world.alice), request, payload=request.header("x-amz-content-sha256") or UNSIGNED)
    head = signed.header("authorization").rpartition("=")[0]
    return signed.with_headers(authorization=f"{head}={'0' * 64}")


def fabricated_query(world: World, request: Request) -> Request:
    """A presigned URL with such a signature."""
    signed = signing.v4_url(wrong(world.alice), request, signed=tuple(sorted(name for name, _ in request.headers)))
    return replace(signed, query=f"{signed.query.rpartition('=')[0]}={'0' * 64}")


def credential_in_the_query_alone(world: World, request: Request) -> Request:
    """CVE-2026-41145: a credential that is looked up and never verified."""
    day = f"{signing.now():%Y%m%d}"
    return request.with_query(f"X-Amz-Credential={world.alice.access}%2F{day}%2Fus-east-1%2Fs3%2Faws4_request")


def credential_in_small_letters(world: World, request: Request) -> Request:
    """The same, spelled so that it might be taken for a header that a presigner moved: it says nothing at all."""
    signed = credential_in_the_query_alone(world, request)
    return replace(signed, query=signed.query.replace("X-Amz-Credential", "x-amz-credential"))


def credential_without_signature(world: World, request: Request) -> Request:
    """An Authorization header that ends before its signature."""
    signed = fabricated_header(world, request)
    return signed.with_headers(authorization=signed.header("authorization").rpartition(",")[0])


ATTACKS: dict[str, Attack] = {
    "anonymous": lambda _, request: request,
    "fabricated header": fabricated_header,
    "fabricated query": fabricated_query,
    "credential in the query alone": credential_in_the_query_alone,
    "credential in small letters": credential_in_small_letters,
    "credential without signature": credential_without_signature,
    "wrong secret, version 4": lambda world, request: signing.v4(wrong(world.alice), request),
    "wrong secret, presigned": lambda world, request: signing.v4_url(
        wrong(world.alice), request, signed=_names(request)
    ),
    "wrong secret, version 2": lambda world, request: signing.v2(wrong(world.alice), request),
    "wrong secret, version 2 presigned": lambda world, request: signing.v2_url(wrong(world.alice), request),
    "unknown key": lambda _, request: signing.v4(nobody(), request),
    "unknown key, presigned": lambda _, request: signing.v4_url(nobody(), request, signed=_names(request)),
    "unknown key, version 2": lambda _, request: signing.v2(nobody(), request),
    "empty secret": lambda world, request: signing.v4(Keys(world.alice.access, ""), request),
    "empty key": lambda _, request: signing.v2(Keys("", ""), request),
    "basic": lambda _, request: request.with_headers(authorization="Basic YWxpY2U6c2VjcmV0"),
    "bearer": lambda _, request: request.with_headers(authorization="Bearer eyJhbGciOiJub25lIn0.e30."),
    "session token": lambda _, request: signing.v4(
        Keys("unknown", "any"), request.with_headers(x_amz_security_token="eyJhbGciOiJub25lIn0.e30.")
    ),
    "nothing after the scheme": lambda _, request: request.with_headers(authorization="AWS4-HMAC-SHA256"),
}


def _names(request: Request) -> tuple[str, ...]:
    return tuple(sorted({name for name, _ in request.headers if name == "host" or name.startswith("x-amz-")}))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("form", [UNSIGNED_TRAILER, STREAMING, STREAMING_TRAILER, UNSIGNED])
def test_cve_2025_31489_an_unsigned_body_needs_a_true_signature(
    world: World, bucket: str, attack: str, form: str
) -> None:
    """Whatever the payload is said to be, a body behind a signature that is none is stored nowhere."""
    before = world.bucket_state(bucket)
    upload = world.begin(world.alice, bucket, "upload")
    for path, query in ((f"/{bucket}/key", ""), (f"/{bucket}/upload", f"partNumber=1&uploadId={upload}")):
        request = Request("PUT", path, query, body=BODY).with_headers(
            content_encoding="aws-chunked", x_amz_content_sha256=form, x_amz_decoded_content_length="6"
        )
        reply = world.send(ATTACKS[attack](world, world.hosted(request)))
        assert reply.status in {400, 403}, reply
        assert reply.code in REFUSALS, reply
    world.send(Request("DELETE", f"/{bucket}/upload", f"uploadId={upload}"), world.alice)
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize("attack", ATTACKS)
def test_cve_2026_40344_an_archive_upload_needs_a_true_signature(world: World, bucket: str, attack: str) -> None:
    """Headers that ask other servers to unpack an archive open no other way in."""
    before = world.bucket_state(bucket)
    request = Request("PUT", f"/{bucket}/archive.tar", body=BODY).with_headers(
        x_amz_meta_snowball_auto_extract="true",
        x_amz_content_sha256=UNSIGNED_TRAILER,
        x_amz_decoded_content_length="6",
        content_encoding="aws-chunked",
    )
    assert world.send(ATTACKS[attack](world, world.hosted(request))).status in {400, 403}
    assert world.bucket_state(bucket) == before


# --- every operation -------------------------------------------------------------------------------------------------

_VALUES = {"partNumber": "1", "uploadId": "upload", "versionId": "null"}


def request_of(operation: Operation, bucket: str) -> Request:
    """A request that means the operation, on alice's bucket and key."""
    path = {"service": "/", "bucket": f"/{bucket}", "object": f"/{bucket}/key"}[operation.level]
    values = {**_VALUES, **dict(operation.values)}
    query = "&".join(f"{name}={values[name]}" if name in values else name for name in operation.query)
    headers = {name.replace("-", "_"): f"{bucket}/key" for name in operation.chosen_by}
    return Request(operation.method, path, query).with_headers(**headers)


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_operation_asks_who_is_asking(world: World, bucket: str, attack: str) -> None:
    """No operation of S3's model does anything for credentials that are wrong or missing, and nothing has changed."""
    before = world.buckets(), world.bucket_state(bucket)
    for operation in OPERATIONS.values():
        reply = world.send(ATTACKS[attack](world, world.hosted(request_of(operation, bucket))))
        expected = {400, 403}
        if attack in {"anonymous", "credential in small letters"} and operation.name not in HANDLERS:
            expected.add(501)
        assert reply.status in expected, (operation.name, reply)
    assert (world.buckets(), world.bucket_state(bucket)) == before


def test_every_operation_asks_whose_bucket_it_is(world: World, bucket: str) -> None:
    """A user with good credentials gets AccessDenied from every operation on somebody else's bucket."""
    before = world.buckets(), world.bucket_state(bucket)
    for operation in OPERATIONS.values():
        if operation.level == "service":
            continue
        reply = world.send(request_of(operation, bucket), world.bob)
        expected = (403, "AccessDenied") if operation.name in HANDLERS else (501, "NotImplemented")
        if operation.name == "CreateBucket":
            expected = (409, "BucketAlreadyExists")
        elif operation.name in {"RenameObject", "GetObjectAttributes"}:
            # They look at their headers first; what is missing there says nothing of the bucket.
            assert reply.status == 400, (operation.name, reply)
            continue
        assert reply.status == expected[0], (operation.name, reply)
        assert operation.method == "HEAD" or reply.code == expected[1], (operation.name, reply)
    assert (world.buckets(), world.bucket_state(bucket)) == before


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
        ("tagging", b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"),
        ("delete", b"<Delete><Object><Key>key</Key></Object></Delete>"),
    ],
)
def test_a_good_document_opens_nobodys_bucket(world: World, bucket: str, query: str, document: bytes) -> None:
    """With a document that is right, operations on somebody else's bucket and object are refused all the same."""
    before = world.bucket_state(bucket)
    method = "POST" if query == "delete" else "PUT"
    for target in (f"/{bucket}", f"/{bucket}/key") if query == "tagging" else (f"/{bucket}",):
        for keys in (world.bob, None):
            reply = world.send(Request(method, target, query, body=document), keys)
            assert (reply.status, reply.code) == (403, "AccessDenied")
    upload = world.begin(world.alice, bucket, "upload")
    etag = world.part(world.alice, bucket, "upload", upload, 1, b"part")
    complete = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    reply = world.send(Request("POST", f"/{bucket}/upload", f"uploadId={upload}", body=complete.encode()), world.bob)
    assert (reply.status, reply.code) == (403, "AccessDenied")
    assert world.send(Request("DELETE", f"/{bucket}/upload", f"uploadId={upload}"), world.alice).status == 204
    assert world.bucket_state(bucket) == before


def test_each_user_sees_their_own_buckets(world: World, bucket: str) -> None:
    """ListBuckets shows the caller's buckets and nobody else's, and to an anonymous caller nothing."""
    own = world.make_bucket(world.bob)
    listed = world.send(Request("GET", "/"), world.bob).texts("Name")
    assert own in listed
    assert bucket not in listed
    assert world.send(Request("GET", "/")).code == "AccessDenied"
    assert {own, bucket} <= set(world.send(Request("GET", "/"), world.admin).texts("Name"))


def test_authentication_comes_before_routing(world: World, bucket: str) -> None:
    """What is not implemented, or does not exist, is no way to find out anything without credentials that are right."""
    for method, path, query in (
        ("GET", f"/{bucket}", "policy"),
        ("GET", f"/{bucket}", "nonsense"),
        ("PUT", f"/{bucket}", "acl"),
        ("GET", "/no-such-bucket/key", ""),
        ("PATCH", f"/{bucket}/key", ""),
    ):
        request = world.hosted(Request(method, path, query))
        assert world.send(signing.v4(wrong(world.alice), request)).code == "SignatureDoesNotMatch"
