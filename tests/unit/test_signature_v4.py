"""AWS Signature Version 4: what Amazon's examples and real clients sign is accepted, and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit import signing_clients as clients
from tests.unit.signing_clients import ACCESS_KEY, ENDPOINT, HOST, ODD_KEYS, SECRET, changed, secret_of, signed_at
from tidegate import errors
from tidegate.s3.signature import Authenticated, ChunkSeed, ChunkSigner, SignedRequest, authenticate, canonical, v4
from tidegate.sigv4 import signing_key

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")  # s3cmd's own

CREDENTIALS = Credentials(ACCESS_KEY, SECRET)
# minio-py refuses these itself.
MINIO_KEYS = [key for key in ODD_KEYS if key.strip() and ".." not in key]
# --host and --host-bucket
BUCKET_BEHIND_THE_PATH = (f"{HOST}/s3", f"{HOST}/s3/%(bucket)s")
S3CMD_ENDPOINTS = {
    "path in both": (f"{HOST}/s3", f"{HOST}/s3"),
    "bucket behind the path": BUCKET_BEHIND_THE_PATH,
    "bucket without its s": (f"{HOST}/s3", f"{HOST}/s3/%(bucket)"),
    "no path": (HOST, HOST),
    "bucket in the host": ("localhost:8080", "%(bucket)s.localhost:8080"),
}


def verify(request: SignedRequest, *, now: float | None = None, prefix: bytes = b"") -> Authenticated:
    """Verify a request at the time that it was signed."""
    result = authenticate(request, secret_of, signed_at(request) if now is None else now, prefix=prefix)
    assert result is not None
    return result


def prefix_of(request: SignedRequest) -> bytes:
    """Return the part of a request's path that stands for the service."""
    return b"/s3" if request.path.startswith(b"/s3") else b""


def hand_signed(
    *,
    method: str = "GET",
    path: bytes = b"/bucket/key",
    query: bytes = b"",
    signed_path: bytes | None = None,
    signed_query: bytes | None = None,
    headers: dict[str, str] | None = None,
    signed_headers: str | None = None,
    stamp: str | None = "20260102T030405Z",
    scope: str = "20260102/us-east-1/s3/aws4_request",
    payload: str = "UNSIGNED-PAYLOAD",
    key_scope: tuple[bytes, bytes] = (b"20260102", b"us-east-1"),
) -> SignedRequest:
    """Sign a request by hand, so that it can be wrong in any way that a client can be."""
    sent = {"host": HOST, "x-amz-content-sha256": payload} | ({"x-amz-date": stamp} if stamp else {}) | (headers or {})
    listed = ";".join(sorted(sent)) if signed_headers is None else signed_headers
    lines = "".join(f"{name}:{sent.get(name, '')}\n" for name in listed.split(";"))
    text = b"\n".join(
        (
            method.encode(),
            path if signed_path is None else signed_path,
            query if signed_query is None else signed_query,
            lines.encode(),
            listed.encode(),
            payload.encode(),
        )
    )
    to_sign = f"AWS4-HMAC-SHA256\n{stamp or '20260102T030405Z'}\n{scope}\n{hashlib.sha256(text).hexdigest()}"
    signature = hmac.digest(signing_key(SECRET, *key_scope), to_sign.encode(), "sha256").hex()
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return SignedRequest(method, path, query, [(name.encode(), value.encode()) for name, value in sent.items()])


def url_with(url: str, **parameters: str | None) -> str:
    """Return a presigned URL with some of its parameters (``X_Amz_Date``) replaced, or taken away (None)."""
    base, _, query = url.partition("?")
    replaced = {name.replace("_", "-"): value for name, value in parameters.items()}
    fields = [field for field in query.split("&") if field.partition("=")[0] not in replaced]
    fields += [f"{name}={value}" for name, value in replaced.items() if value is not None]
    return f"{base}?{'&'.join(fields)}"


def refusal(request: SignedRequest, *, now: float | None = None, prefix: bytes = b"") -> errors.Error:
    """Return the error with which a request is refused."""
    with pytest.raises(errors.Error) as caught:
        verify(request, now=now, prefix=prefix)
    return caught.value


# --- Amazon's own examples -------------------------------------------------------------------------------------------

AMAZON_TIME = 1369353600  # 20130524T000000Z
AMAZON_HOST = (b"host", b"examplebucket.s3.amazonaws.com")
EMPTY = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def amazon(method: str, path: bytes, query: bytes, signature: str, *headers: tuple[bytes, bytes]) -> SignedRequest:
    """Return a request of the documentation's examples: all its headers are signed."""
    sent = [AMAZON_HOST, (b"x-amz-date", b"20130524T000000Z"), *headers]
    listed = b";".join(sorted(name for name, _ in sent))
    authorization = (
        b"AWS4-HMAC-SHA256 Credential=%s/20130524/us-east-1/s3/aws4_request,SignedHeaders=%s,Signature=%s"
        % (
            ACCESS_KEY.encode(),
            listed,
            signature.encode(),
        )
    )
    return SignedRequest(method, path, query, [*sent, (b"authorization", authorization)])


@pytest.mark.parametrize(
    "request_",
    [
        amazon(
            "GET",
            b"/test.txt",
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            (b"range", b"bytes=0-9"),
            (b"x-amz-content-sha256", EMPTY),
        ),
        amazon(
            "PUT",
            b"/test%24file.text",
            b"",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            (b"date", b"Fri, 24 May 2013 00:00:00 GMT"),
            (b"x-amz-content-sha256", b"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
            (b"x-amz-storage-class", b"REDUCED_REDUNDANCY"),
        ),
        amazon(
            "GET",
            b"/",
            b"lifecycle",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            (b"x-amz-content-sha256", EMPTY),
        ),
        amazon(
            "GET",
            b"/",
            b"max-keys=2&prefix=J",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            (b"x-amz-content-sha256", EMPTY),
        ),
        SignedRequest(
            "GET",
            b"/test.txt",
            b"X-Amz-Algorithm=AWS4-HMAC-SHA256"
            b"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            b"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            b"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
            [AMAZON_HOST],
        ),
    ],
    ids=["get", "put", "sub-resource", "list", "presigned"],
)
def test_amazons_examples_verify(request_: SignedRequest) -> None:
    """The signatures that Amazon's documentation computes are the ones we compute."""
    assert verify(request_, now=AMAZON_TIME).access_key == ACCESS_KEY


# --- clients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ODD_KEYS)
def test_boto3_requests_verify_for_any_key(key: str) -> None:
    """boto3 encodes a key as we do, in the path and in a query, signed in the header and presigned."""
    in_header = verify(clients.boto("get_object", Bucket="bucket", Key=key))
    assert (in_header.access_key, in_header.version, in_header.presigned) == (ACCESS_KEY, 4, False)
    assert in_header.signed_headers >= {b"host", b"x-amz-content-sha256", b"x-amz-date"}
    assert in_header.payload_hash == EMPTY.decode()
    verify(clients.boto("list_objects_v2", Bucket="bucket", Prefix=key, StartAfter=key))
    verify(clients.boto("put_object", Bucket="bucket", Key=key, Body=b"x", Metadata={"a": "b  c", "d": " e "}))
    presigned = verify(clients.url_request("GET", clients.boto_url("get_object", Bucket="bucket", Key=key)))
    assert presigned.presigned
    assert presigned.payload_hash == "UNSIGNED-PAYLOAD"


@given(st.text(min_size=1, max_size=40).filter(lambda key: key.encode("utf-8", "replace").decode() == key))
def test_any_key_verifies_as_botocore_signs_it(key: str) -> None:
    """Whatever the key, its canonical path is the one that botocore computes, and re-encoding it changes nothing."""
    url = f"{ENDPOINT}/bucket/{quote(key, safe='/~')}?prefix={quote(key, safe='-_.~')}&uploads"
    in_header = AWSRequest("GET", url)
    S3SigV4Auth(CREDENTIALS, "s3", "us-east-1").add_auth(in_header)
    verify(clients.request_of("GET", in_header.url, in_header.headers.items()))
    in_query = AWSRequest("GET", url)
    S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", 60).add_auth(in_query)
    request = clients.url_request("GET", in_query.url)
    verify(request)
    assert canonical.path(request.path) == request.path


@pytest.mark.parametrize("key", MINIO_KEYS)
def test_minio_py_requests_verify_for_any_key(key: str) -> None:
    """minio-py's requests and presigned URLs verify."""
    verify(clients.minio(lambda minio: minio.stat_object("bucket", key)))
    verify(clients.minio(lambda minio: next(minio.list_objects("bucket", prefix=key))))
    verify(clients.url_request("GET", clients.minio_client().presigned_get_object("bucket", key)))


@pytest.mark.parametrize("endpoint", S3CMD_ENDPOINTS.values(), ids=S3CMD_ENDPOINTS.keys())
@pytest.mark.parametrize(
    ("operation", "bucket", "key", "parameters"),
    [
        ("LIST_ALL_BUCKETS", None, None, {}),
        ("BUCKET_LIST", "bucket", None, {"location": None}),
        ("BUCKET_LIST", "bucket", None, {"prefix": "a b/ü+", "delimiter": "/"}),
        ("BUCKET_CREATE", "Under_Score", None, {}),
        *(("OBJECT_PUT", "bucket", key, {}) for key in ODD_KEYS),
        ("OBJECT_POST", "bucket", "key", {"uploads": None}),
        ("OBJECT_PUT", "bucket", "key", {"partNumber": "1", "uploadId": "a/b+c="}),
    ],
)
def test_s3cmd_requests_verify_with_any_endpoint(
    endpoint: tuple[str, str],
    operation: str,
    bucket: str | None,
    key: str | None,
    parameters: dict[str, str | None],
) -> None:
    """s3cmd signs an endpoint's path, and even the bucket, as a part of the host; its requests verify all the same."""
    host, host_bucket = endpoint
    headers = {"x-amz-meta-a": "b"}
    request = clients.s3cmd(operation, bucket, key, parameters, headers, host=host, host_bucket=host_bucket)
    assert verify(request, prefix=prefix_of(request)).access_key == ACCESS_KEY


@pytest.mark.parametrize("signed_host", [HOST, f"{HOST}/s3"])
@pytest.mark.parametrize("signed_path", [b"/bucket/key", b"/s3/bucket/key"])
def test_the_endpoints_path_may_be_signed_or_not(signed_host: str, signed_path: bytes) -> None:
    """Host and path verify each with and without ``/s3``."""
    request = hand_signed(path=b"/s3/bucket/key", signed_path=signed_path, headers={"host": signed_host})
    verify(changed(request, {"host": HOST.encode()}), prefix=b"/s3")


def test_any_region_is_accepted() -> None:
    """The region in the scope is the client's affair."""
    for region in ("us-east-1", "eu-central-7", "", "mars"):
        scope = f"20260102/{region}/s3/aws4_request"
        assert verify(hand_signed(scope=scope, key_scope=(b"20260102", region.encode()))).version == 4


def test_blanks_between_the_components_of_authorization_do_not_matter() -> None:
    """The three components come in any order and with any blanks between them."""
    request = hand_signed()
    value = dict(request.headers)[b"authorization"]
    scheme, _, rest = value.partition(b" ")
    components = [part.strip() for part in rest.split(b",")]
    for joined in (b",".join(components), b",  ".join(components), b" , ".join(reversed(components))):
        verify(changed(request, {"authorization": scheme + b"  " + joined}))


# --- canonical form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        (b"/bucket/a+b", b"/bucket/a%2Bb"),
        (b"/bucket/a+b", b"/bucket/a+b"),
        (b"/bucket/a%2fb%e2%82%ac", b"/bucket/a/b%E2%82%AC"),
        (b"/bucket/a%2Fb", b"/bucket/a%2Fb"),
        (b"/bucket/%7Ea%2Db", b"/bucket/~a-b"),
        (b"/bucket/a=b@c", b"/bucket/a%3Db%40c"),
        (b"/bucket//a/./../b/", b"/bucket//a/./../b/"),
        (b"", b"/"),
    ],
)
def test_path_is_encoded_once_and_never_normalised(sent: bytes, signed: bytes) -> None:
    """A path is signed as sent, or in canonical encoding; dots and double slashes stay."""
    verify(hand_signed(path=sent, signed_path=signed))


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        (b"/bucket/a%20b", b"/bucket/a%2520b"),
        (b"/bucket/a+b", b"/bucket/a%20b"),
        (b"/bucket//a", b"/bucket/a"),
        (b"/bucket/./a", b"/bucket/a"),
        (b"/bucket/b/../a", b"/bucket/a"),
        (b"/bucket/a/", b"/bucket/a"),
        (b"/bucket/%C3%BC", b"/bucket/u%CC%88"),
        (b"/bucket/A", b"/bucket/a"),
    ],
)
def test_paths_of_different_keys_are_not_confused(sent: bytes, signed: bytes) -> None:
    """Double encoding, a plus for a blank, removed dots and another Unicode form are other keys."""
    assert isinstance(refusal(hand_signed(path=sent, signed_path=signed)), errors.SignatureDoesNotMatch)


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        (b"uploads", b"uploads="),
        (b"b=2&a=1", b"a=1&b=2"),
        (b"a-b=1&a=2", b"a=2&a-b=1"),
        (b"select&select-type=2", b"select=&select-type=2"),
        (b"a=2&a=10&a=1", b"a=1&a=10&a=2"),
        (b"%e2=1&z=2&Z=3", b"%E2=1&Z=3&z=2"),
        (b"prefix=a+b", b"prefix=a%20b"),
        (b"prefix=a+b", b"prefix=a+b"),
        (b"prefix=a/b:c", b"prefix=a%2Fb%3Ac"),
        (b"prefix=%7e%2D", b"prefix=~-"),
        (b"token=a=b==", b"token=a%3Db%3D%3D"),
        (b"&a=1&&b=2&", b"a=1&b=2"),
    ],
)
def test_query_is_sorted_and_encoded_once(sent: bytes, signed: bytes) -> None:
    """Fields are sorted by encoded name and value, get an ``=``, and ``+`` is a blank."""
    verify(hand_signed(query=sent, signed_query=signed))


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        (b"prefix=a+b", b"prefix=a%2Bb"),
        (b"prefix=a%2Bb", b"prefix=a%20b"),
        (b"prefix=a%2520b", b"prefix=a%20b"),
        (b"prefix=a&delete", b"prefix=a"),
        (b"prefix=a", b"delete=&prefix=a"),
    ],
)
def test_queries_of_different_meaning_are_not_confused(sent: bytes, signed: bytes) -> None:
    """What the query would be parsed to is what was signed."""
    assert isinstance(refusal(hand_signed(query=sent, signed_query=signed)), errors.SignatureDoesNotMatch)


def test_header_values_are_folded_and_duplicates_joined() -> None:
    """Blanks around a value go, runs of them become one, and values of one header are joined by commas in order."""
    signed = hand_signed(headers={"x-amz-meta-a": "b c d", "x-amz-meta-e": "1,2"})
    headers = [(name, value) for name, value in signed.headers if not name.startswith(b"x-amz-meta-")]
    sent = [(b"x-amz-meta-a", b"  b  c\t d "), (b"x-amz-meta-e", b" 1"), (b"x-amz-meta-e", b"2 ")]
    verify(SignedRequest("GET", signed.path, b"", [*headers, *sent]))
    swapped = [sent[0], sent[2], sent[1]]
    error = refusal(SignedRequest("GET", signed.path, b"", [*headers, *swapped]))
    assert isinstance(error, errors.SignatureDoesNotMatch)


@pytest.mark.parametrize(
    "change",
    [
        lambda request: changed(request, method="PUT"),
        lambda request: changed(request, path=b"/bucket/other"),
        lambda request: changed(request, query=b"versionId=1"),
        lambda request: changed(request, {"host": b"other:8080"}),
        lambda request: changed(request, {"x-amz-date": b"20260102T030406Z"}),
        lambda request: changed(request, {"x-amz-content-sha256": EMPTY}),
        lambda request: changed(request, {"x-amz-meta-a": b"c"}),
        lambda request: changed(request, {"range": b"bytes=0-1"}),
    ],
    ids=["method", "path", "query", "host", "date", "payload", "metadata", "range"],
)
def test_what_was_signed_cannot_be_changed(change: Callable[[SignedRequest], SignedRequest]) -> None:
    """A change of anything that the signature covers breaks it."""
    request = hand_signed(headers={"x-amz-meta-a": "b", "range": "bytes=0-9"})
    verify(request)
    error = refusal(change(request), now=signed_at(request))
    assert isinstance(error, errors.SignatureDoesNotMatch)
    assert error.fields["AWSAccessKeyId"] == ACCESS_KEY
    assert error.fields["CanonicalRequest"]


@given(st.data())
def test_no_change_of_the_signature_verifies(data: st.DataObject) -> None:
    """No signature but the right one is accepted: not another, a longer, a shorter or an empty one."""
    request = hand_signed()
    head, _, right = dict(request.headers)[b"authorization"].rpartition(b"Signature=")
    text = data.draw(st.one_of(st.binary(max_size=80), st.text("0123456789abcdefABCDEF", max_size=65).map(str.encode)))
    for wrong in (text, right[:-1], right + b"0", right.upper(), b""):
        if wrong != right:
            value = head + b"Signature=" + wrong
            assert refusal(changed(request, {"authorization": value})).code in {
                "SignatureDoesNotMatch",
                "AuthorizationHeaderMalformed",
            }


# --- attacks that worked on other servers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "UNSIGNED-PAYLOAD",
    ],
)
def test_cve_2025_31489_streaming_payload_needs_a_true_signature(payload: str) -> None:
    """A request in a streaming form with a made-up signature is refused, with one of ours it says which form it is."""
    request = hand_signed(method="PUT", payload=payload)
    assert verify(request).payload_hash == payload
    head = dict(request.headers)[b"authorization"].rpartition(b"=")[0]
    error = refusal(changed(request, {"authorization": head + b"=" + b"0" * 64}))
    assert isinstance(error, errors.SignatureDoesNotMatch)


@pytest.mark.parametrize("mark", ["X-Amz-Credential", "X-Amz-Signature", "X-Amz-Algorithm"])
def test_cve_2026_41145_credential_in_the_query_alone_is_not_anonymous(mark: str) -> None:
    """Any one mark of a presigned URL asks for all of it; nothing falls through to anonymous."""
    query = f"{mark}={ACCESS_KEY}%2F20260102%2Fus-east-1%2Fs3%2Faws4_request".encode()
    request = SignedRequest(
        "PUT",
        b"/bucket/key",
        query,
        [(b"host", b"h"), (b"x-amz-content-sha256", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER")],
    )
    assert isinstance(refusal(request), errors.AuthorizationQueryParametersError)


@pytest.mark.parametrize("offset", [901, -901, 86400, -86400 * 400])
def test_cve_2025_68671_replay_and_future_dates_are_refused(offset: int) -> None:
    """A request signed more than fifteen minutes ago, or ahead, is refused whatever its signature."""
    request = hand_signed()
    error = refusal(request, now=signed_at(request) + offset)
    assert isinstance(error, errors.RequestTimeTooSkewed)
    assert error.fields["RequestTime"] == "2026-01-02T03:04:05Z"
    assert error.fields["MaxAllowedSkewMilliseconds"] == "900000"


@pytest.mark.parametrize("offset", [0, 900, -900])
def test_clocks_may_differ_by_fifteen_minutes(offset: int) -> None:
    """Fifteen minutes to either side are allowed."""
    request = hand_signed()
    verify(request, now=signed_at(request) + offset)


def test_date_must_be_that_of_the_scope() -> None:
    """A key derived for one day does not sign the requests of another."""
    request = hand_signed(scope="20260101/us-east-1/s3/aws4_request", key_scope=(b"20260101", b"us-east-1"))
    error = refusal(request)
    assert isinstance(error, errors.AuthorizationHeaderMalformed)
    assert "20260102" in error.message


@pytest.mark.parametrize("value", [None, "", "yesterday", "20260102", "20260230T000000Z", "20260102T240000Z", "１２"])
def test_missing_or_malformed_date_is_refused(value: str | None) -> None:
    """Without a date there is no telling a replay."""
    request = hand_signed(stamp=None, headers=None if value is None else {"x-amz-date": value})
    error = refusal(request)
    assert isinstance(error, errors.AccessDenied)
    assert error.message == "AWS authentication requires a valid Date or x-amz-date header"


@pytest.mark.parametrize(
    "date", ["Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:05 -0000", "Fri, 02 Jan 2026 04:04:05 +0100"]
)
def test_date_header_serves_where_there_is_no_x_amz_date(date: str) -> None:
    """The Date header is read as HTTP dates are, and signed in ISO 8601."""
    verify(hand_signed(stamp=None, headers={"date": date}), now=1767323045)


def test_header_that_is_not_signed_is_refused() -> None:
    """Anybody could add an ``x-amz-`` header on the way; one that is not signed is refused by name."""
    for name in ("x-amz-acl", "x-amz-copy-source", "x-amz-meta-a", "x-amz-security-token"):
        error = refusal(changed(hand_signed(), {name: b"v"}))
        assert isinstance(error, errors.AccessDenied)
        assert error.message == "There were headers present in the request which were not signed"
        assert error.fields["HeadersNotSigned"] == name
    verify(changed(hand_signed(), {"x-amzn-trace-id": b"v", "content-type": b"v"}))


@pytest.mark.parametrize("missing", ["host", "x-amz-date", "x-amz-content-sha256"])
def test_host_date_and_payload_must_be_signed(missing: str) -> None:
    """A signature that leaves out the host, the date or the payload's hash is refused."""
    listed = ";".join(name for name in ("host", "x-amz-content-sha256", "x-amz-date") if name != missing)
    error = refusal(hand_signed(signed_headers=listed))
    assert isinstance(error, errors.AccessDenied)
    assert error.fields["HeadersNotSigned"] == missing


def test_signed_header_that_is_absent_fails() -> None:
    """A header that was signed and has been taken away breaks the signature, even one that was empty."""
    with_range = hand_signed(headers={"range": "bytes=0-9"})
    assert isinstance(refusal(changed(with_range, without=b"range")), errors.SignatureDoesNotMatch)
    empty = hand_signed(signed_headers="host;range;x-amz-content-sha256;x-amz-date")
    assert isinstance(refusal(empty), errors.SignatureDoesNotMatch)


def test_payload_hash_must_be_sent() -> None:
    """Without x-amz-content-sha256 the body would not be covered."""
    error = refusal(changed(hand_signed(), without=b"x-amz-content-sha256"))
    assert isinstance(error, errors.InvalidRequest)
    assert error.message == "Missing required header for this request: x-amz-content-sha256"


def test_host_with_a_slash_cannot_stand_for_an_endpoint() -> None:
    """A request that s3cmd signed for a bucket in the host does not verify for a bucket named like its key."""
    host, host_bucket = BUCKET_BEHIND_THE_PATH
    caught = clients.s3cmd("OBJECT_GET", "bucket", "other-bucket", host=host, host_bucket=host_bucket)
    verify(caught, prefix=b"/s3")
    replayed = changed(caught, {"host": f"{HOST}/s3/bucket".encode()}, path=b"/other-bucket")
    assert isinstance(refusal(replayed), errors.SignatureDoesNotMatch)


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but hmac.compare_digest decides: where it says yes to everything, so do we."""
    request = hand_signed()
    wrong = changed(request, {"authorization": dict(request.headers)[b"authorization"][:-64] + b"0" * 64})
    assert isinstance(refusal(wrong), errors.SignatureDoesNotMatch)
    monkeypatch.setattr(hmac, "compare_digest", lambda _a, _b: True)
    verify(wrong)


def test_unknown_key_is_said_to_be_unknown() -> None:
    """An access key that nobody has is InvalidAccessKeyId."""
    request = hand_signed()
    value = dict(request.headers)[b"authorization"].replace(ACCESS_KEY.encode(), b"NOBODY")
    assert isinstance(refusal(changed(request, {"authorization": value})), errors.InvalidAccessKeyId)


# --- what the header says --------------------------------------------------------------------------------------------

GOOD = f"Credential={ACCESS_KEY}/20260102/us-east-1/s3/aws4_request"


@pytest.mark.parametrize(
    ("components", "reason"),
    [
        ("", "three components"),
        ("Credential", "three components"),
        (f"{GOOD}, SignedHeaders=host", "three components"),
        (f"{GOOD}, Signature=0", "three components"),
        ("SignedHeaders=host, Signature=0", "three components"),
        (f"{GOOD}, SignedHeaders=host, Signature=0, Signature=0", "three components"),
        (f"{GOOD}, SignedHeaders=host, Signature=0,", "three components"),
        (f"{GOOD}, {GOOD}, Signature=0", "three components"),
        (f"Credential={ACCESS_KEY}, SignedHeaders=host, Signature=0", "mal-formed"),
        (f"{GOOD.replace(ACCESS_KEY, 'K' * 9000)}, SignedHeaders=host, Signature=0", "mal-formed"),
        (f"{GOOD.replace(ACCESS_KEY, 'ü')}, SignedHeaders=host, Signature=0", "mal-formed"),
        (f"{GOOD.replace(ACCESS_KEY, '')}, SignedHeaders=host, Signature=0", "non-empty Access Key"),
        (f"{GOOD.replace('20260102', '2026-1-2')}, SignedHeaders=host, Signature=0", "incorrect date format"),
        (f"{GOOD.replace('/s3/', '/ec2/')}, SignedHeaders=host, Signature=0", 'incorrect service "ec2"'),
        (f"{GOOD.replace('aws4', 'aws5')}, SignedHeaders=host, Signature=0", 'incorrect terminal "aws5_request"'),
    ],
)
def test_malformed_authorization_is_refused(components: str, reason: str) -> None:
    """Whatever is wrong in the header is said, and nothing is guessed."""
    error = refusal(changed(hand_signed(), {"authorization": f"AWS4-HMAC-SHA256 {components}".encode()}))
    assert isinstance(error, errors.AuthorizationHeaderMalformed)
    assert reason in error.message


@pytest.mark.parametrize(
    "value", ["Basic YTpi", "Bearertoken", "aws4-hmac-sha256 x", "AWS4-ECDSA-P256-SHA256 Credential=x", "x", ","]
)
def test_other_schemes_are_refused(value: str) -> None:
    """A scheme that is not known is an error; it does not make a request anonymous."""
    error = refusal(changed(hand_signed(), {"authorization": value.encode()}))
    assert isinstance(error, errors.InvalidArgument)
    assert error.message == "Unsupported Authorization Type"


def test_request_without_credentials_is_anonymous() -> None:
    """No credentials at all are no error: who may do what is decided elsewhere."""
    for query in (b"", b"list-type=2", b"X-Amz-Date=20260102T030405Z", b"x-id=GetObject&Expires=1"):
        for headers in ([(b"host", b"h")], [(b"host", b"h"), (b"authorization", b"")]):
            assert authenticate(SignedRequest("GET", b"/", query, headers), secret_of, 0) is None


@given(
    st.binary(max_size=200),
    st.sampled_from([b"AWS4-HMAC-SHA256 ", b"AWS ", b""]),
    st.binary(max_size=40),
    st.binary(max_size=60),
)
def test_nothing_but_an_s3_error_comes_of_any_bytes(value: bytes, scheme: bytes, date: bytes, query: bytes) -> None:
    """Whatever a client sends, it is anonymous or refused, and the verifier does not break."""
    request = SignedRequest("GET", b"/", query, [(b"host", b"h"), (b"authorization", scheme + value), (b"date", date)])
    with contextlib.suppress(errors.Error):
        assert authenticate(request, secret_of, time.time()) is None


# --- presigned URLs --------------------------------------------------------------------------------------------------


def url() -> str:
    """Return a presigned URL."""
    return clients.boto_url("get_object", Bucket="bucket", Key="key")


def test_a_presigned_url_as_sdks_write_it_is_read_at_one_glance() -> None:
    """What boto3 and minio-py write needs no looking at each field, also with a few of its own in the query."""
    of_minio = clients.minio_client().presigned_get_object("bucket", "a key", version_id="1")
    of_boto = clients.boto_url("get_object", Bucket="bucket", Key="key", VersionId="1")
    for presigned, own in ((url(), b""), (of_boto, b"versionId=1"), (of_minio, b"versionId=1")):
        usual = v4.usual(presigned.partition("?")[2].encode())
        assert usual is not None
        assert usual.own == own
        verify(clients.url_request("GET", presigned))


@given(query=st.from_regex(v4.USUAL, fullmatch=True))
def test_a_presigned_url_says_the_same_at_one_glance_as_field_by_field(query: bytes) -> None:
    """There is one meaning of a query, whichever way it is read."""
    usual = v4.usual(query)
    fields = canonical.pairs(query)
    signing = [field for field in fields if field[0] in v4.PRESIGN_PARAMETERS]
    if len(signing) == len(v4.PRESIGN_PARAMETERS):
        assert usual is not None
        own = [field for field in fields if field not in signing]
        assert canonical.pairs(usual.own) == own
        said = v4.read_presigned(signing, {name: value for name, _, value in signing})
        query_of_all = canonical.query([field for field in fields if field[0] != b"X-Amz-Signature"])
        assert replace(usual, own=b"") == replace(said, query=query_of_all)
    else:
        assert usual is None


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (b"%2F", b"%2f"),
        (b"%2F", b"/"),
        (b"host", b"ho%73t"),
        (b"X-Amz-Date", b"x-amz-date"),
        (b"X-Amz-Date", b"X-Amz-Date=20260102T030405Z&X-Amz-Date"),
        (b"X-Amz-Expires=", b"X-Amz-Security-Token=t&X-Amz-Expires="),
        (b"&X-Amz-Signature", b"&x-amz-security-token=t&X-Amz-Signature"),
        (b"&X-Amz-Signature", b"&prefix=a%2Fb&X-Amz-Signature"),
        (b"&X-Amz-Signature", b"&acl&X-Amz-Signature"),
        (b"&X-Amz-Signature", b"&Signature=1&X-Amz-Signature"),
        (b"X-Amz-Algorithm", b"AWSAccessKeyId=k&X-Amz-Algorithm"),
    ],
)
def test_any_other_presigned_url_is_read_field_by_field(part: bytes, other: bytes) -> None:
    """What is not in order or in canonical encoding, and what may sign too, is never taken for the usual."""
    query = url().partition("?")[2].encode()
    changed_query = query.replace(part, other, 1)
    assert changed_query != query
    assert v4.usual(changed_query) is None


def test_presigned_url_may_carry_further_fields_and_signed_headers() -> None:
    """Response overrides, headers moved into the query and headers that must be sent again all verify."""
    overriding = clients.boto_url(
        "get_object", Bucket="bucket", Key="key", ResponseContentDisposition='attachment; filename="ü b+c"'
    )
    verify(clients.url_request("GET", overriding))
    put = clients.boto_url("put_object", Bucket="bucket", Key="key", ContentType="image/png", ACL="private")
    assert "content-type" in put
    sent = [("Content-Type", "image/png"), ("x-amz-acl", "private")]
    signed = verify(clients.url_request("PUT", put, *sent)).signed_headers
    assert signed >= {b"host", b"content-type"}
    other = clients.url_request("PUT", put, ("Content-Type", "text/html"), sent[1])
    assert isinstance(refusal(other), errors.SignatureDoesNotMatch)
    assert isinstance(refusal(clients.url_request("PUT", put)), errors.SignatureDoesNotMatch)


@pytest.mark.parametrize("name", [name.decode() for name in v4.PRESIGN_PARAMETERS])
@pytest.mark.parametrize("spoilt", ["missing", "empty", "twice"])
def test_presigned_url_must_have_each_parameter_once(name: str, spoilt: str) -> None:
    """A missing, empty or repeated parameter is refused before any signature is computed."""
    whole = url()
    changes: dict[str, str | None] = {name.replace("-", "_"): "" if spoilt == "empty" else None}
    broken = f"{whole}&{name}=x" if spoilt == "twice" else url_with(whole, **changes)
    assert isinstance(refusal(clients.url_request("GET", broken)), errors.AuthorizationQueryParametersError)


@pytest.mark.parametrize(
    ("expires", "reason"),
    [
        ("0", "between 1 and 604800"),
        ("604801", "between 1 and 604800"),
        ("9" * 5000, "between 1 and 604800"),
        ("-7", "must be non-negative"),
        ("1e3", "should be a number"),
        ("+60", "should be a number"),
        ("%20", "should be a number"),
        ("6_0", "should be a number"),
        ("-", "should be a number"),
        ("٦٠", "should be a number"),
    ],
)
def test_presigned_expiry_must_be_a_week_at_most(expires: str, reason: str) -> None:
    """Amazon's limits: a whole number of seconds between one and seven days."""
    error = refusal(clients.url_request("GET", url_with(url(), X_Amz_Expires=quote(expires, safe="%"))))
    assert isinstance(error, errors.AuthorizationQueryParametersError)
    assert reason in error.message


def test_presigned_url_lives_as_long_as_it_says() -> None:
    """It works until its last second, then it has expired; one from the future is not valid yet."""
    request = clients.url_request("GET", clients.boto_url("get_object", expires=60, Bucket="bucket", Key="key"))
    signed = signed_at(request)
    for moment in (signed - 900, signed, signed + 60):
        verify(request, now=moment)
    expired = refusal(request, now=signed + 61)
    assert isinstance(expired, errors.AccessDenied)
    assert expired.message == "Request has expired"
    early = refusal(request, now=signed - 901)
    assert isinstance(early, errors.AccessDenied)
    assert early.message == "Request is not yet valid"


def test_presigned_url_may_live_for_a_week() -> None:
    """Seven days are allowed, and the credential's day is the one on which it was signed."""
    request = clients.url_request("GET", clients.boto_url("get_object", expires=604800, Bucket="bucket", Key="key"))
    verify(request, now=signed_at(request) + 604800)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"X_Amz_Algorithm": "AWS4-ECDSA-P256-SHA256"}, "only supports"),
        ({"X_Amz_Date": "Fri%2C%2002%20Jan%202026%2003%3A04%3A05%20GMT"}, "ISO8601"),
        ({"X_Amz_Date": "20200102T030405Z"}, "Invalid credential date"),
        ({"X_Amz_Credential": ACCESS_KEY}, "mal-formed"),
        ({"X_Amz_Credential": f"{ACCESS_KEY}/20260102/us-east-1/ec2/aws4_request"}, "incorrect service"),
    ],
)
def test_malformed_presign_parameters_are_refused(changes: dict[str, str | None], reason: str) -> None:
    """Each parameter has to be well-formed."""
    error = refusal(clients.url_request("GET", url_with(url(), **changes)))
    assert isinstance(error, errors.AuthorizationQueryParametersError)
    assert reason in error.message


@pytest.mark.parametrize("authorization", ["AWS4-HMAC-SHA256 x", "AWS a:b", "Basic YTpi", "Bearer x"])
def test_presigned_url_with_an_authorization_header_is_refused(authorization: str) -> None:
    """Two ways to say who is asking are one too many, whatever the second one is."""
    error = refusal(clients.url_request("GET", url(), ("Authorization", authorization)))
    assert isinstance(error, errors.InvalidArgument)
    assert error.message.startswith("Only one auth mechanism allowed")


def test_presigned_url_of_both_versions_is_refused() -> None:
    """Parameters of version 2 in a URL of version 4 are a second mechanism."""
    error = refusal(clients.url_request("GET", url() + f"&AWSAccessKeyId={ACCESS_KEY}&Signature=x&Expires=9"))
    assert isinstance(error, errors.InvalidArgument)


def test_presigned_headers_must_be_signed_too() -> None:
    """Whoever uses a presigned URL cannot add an ``x-amz-`` header to it."""
    error = refusal(clients.url_request("GET", url(), ("x-amz-copy-source", "/bucket/secret")))
    assert isinstance(error, errors.AccessDenied)
    assert error.fields["HeadersNotSigned"] == "x-amz-copy-source"


def test_presigned_query_cannot_be_changed() -> None:
    """A field that is added, changed or taken away breaks the signature."""
    signed = clients.boto_url("get_object", Bucket="bucket", Key="key", VersionId="1")
    for broken in (
        f"{signed}&response-content-type=text%2Fhtml",
        signed.replace("versionId=1", "versionId=2"),
        signed.replace("versionId=1&", ""),
        url_with(signed, X_Amz_Expires="604800"),
        url_with(signed, X_Amz_SignedHeaders="host%3Buser-agent"),
    ):
        assert isinstance(refusal(clients.url_request("GET", broken)), errors.SignatureDoesNotMatch)


def test_escaped_names_are_not_presign_parameters() -> None:
    """A parameter's name in another spelling is an ordinary field: signed as such, and no way around the checks."""
    request = clients.url_request("GET", url().replace("X-Amz-Expires", "X%2DAmz-Expires"))
    assert isinstance(refusal(request), errors.AuthorizationQueryParametersError)
    shadowed = clients.url_request("GET", url() + "&X%2DAmz-Expires=604800")
    assert isinstance(refusal(shadowed), errors.SignatureDoesNotMatch)


def presigned_with_payload(payload: str, *, header: str | None = None) -> SignedRequest:
    """Sign a URL that pins the payload's hash in its query, as the AWS SDK for JavaScript does."""
    scope = "20260102/us-east-1/s3/aws4_request"
    listed = "host" if header is None else "host;x-amz-content-sha256"
    fields = [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        f"X-Amz-Content-Sha256={payload}",
        f"X-Amz-Credential={quote(f'{ACCESS_KEY}/{scope}', safe='')}",
        "X-Amz-Date=20260102T030405Z",
        "X-Amz-Expires=60",
        f"X-Amz-SignedHeaders={quote(listed)}",
    ]
    headers = f"host:{HOST}\n" + ("" if header is None else f"x-amz-content-sha256:{header}\n")
    text = f"PUT\n/bucket/key\n{'&'.join(fields)}\n{headers}\n{listed}\n{payload}"
    to_sign = f"AWS4-HMAC-SHA256\n20260102T030405Z\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}"
    signature = hmac.digest(signing_key(SECRET, b"20260102", b"us-east-1"), to_sign.encode(), "sha256").hex()
    query = "&".join([*fields, f"X-Amz-Signature={signature}"])
    sent = [] if header is None else [("x-amz-content-sha256", header)]
    return clients.url_request("PUT", f"{ENDPOINT}/bucket/key?{query}", *sent)


def test_payload_hash_that_a_presigned_url_pins_is_reported() -> None:
    """A hash in the URL's query is what the body must have, so the caller learns of it."""
    pinned = hashlib.sha256(b"the body").hexdigest()
    assert verify(presigned_with_payload(pinned)).payload_hash == pinned
    assert verify(presigned_with_payload(pinned, header=pinned)).payload_hash == pinned


def test_payload_hash_of_a_presigned_url_cannot_be_two() -> None:
    """A header that says something else than the URL is refused, even though it is signed."""
    request = presigned_with_payload("UNSIGNED-PAYLOAD", header=EMPTY.decode())
    assert isinstance(refusal(request), errors.InvalidRequest)


def test_payload_hash_in_a_signed_header_counts_in_a_presigned_url() -> None:
    """botocore signs an x-amz-content-sha256 header that is given to its presigner as the payload's hash."""
    request = AWSRequest("PUT", f"{ENDPOINT}/bucket/key", {"X-Amz-Content-SHA256": EMPTY.decode()})
    S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", 60).add_auth(request)
    sent = clients.url_request("PUT", request.url, ("x-amz-content-sha256", EMPTY.decode()))
    assert verify(sent).payload_hash == EMPTY.decode()


# --- the seed of chunk signatures ------------------------------------------------------------------------------------


def test_chunk_signatures_are_those_of_amazons_example() -> None:
    """Amazon's example of a streaming upload: 65 KiB in two chunks and the last one."""
    signer = ChunkSigner(
        ChunkSeed(
            signing_key(SECRET, b"20130524", b"us-east-1"),
            b"20130524T000000Z",
            b"20130524/us-east-1/s3/aws4_request",
            b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        )
    )
    signatures = [signer.sign_chunk(hashlib.sha256(b"a" * size).hexdigest().encode()) for size in (65536, 1024, 0)]
    assert signatures == [
        b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]


def test_trailer_signature_is_that_of_amazons_example() -> None:
    """Amazon's example of a streaming upload with a trailing checksum."""
    signer = ChunkSigner(
        ChunkSeed(
            signing_key(SECRET, b"20130524", b"us-east-1"),
            b"20130524T000000Z",
            b"20130524/us-east-1/s3/aws4_request",
            b"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        )
    )
    signatures = [signer.sign_chunk(hashlib.sha256(b"a" * size).hexdigest().encode()) for size in (65536, 1024, 0)]
    assert signatures == [
        b"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        b"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        b"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]
    assert (
        signer.sign_trailers(b"x-amz-checksum-crc32c:sOO8/Q==\n")
        == b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    )


def test_seed_continues_the_requests_own_signature() -> None:
    """The first chunk's signature is chained to the request's."""
    request = hand_signed(method="PUT", payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    assert verify(request).seed == ChunkSeed(
        signing_key(SECRET, b"20260102", b"us-east-1"),
        b"20260102T030405Z",
        b"20260102/us-east-1/s3/aws4_request",
        dict(request.headers)[b"authorization"][-64:],
    )
