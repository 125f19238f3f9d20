"""AWS Signature Version 2: what Amazon's examples and real clients sign is accepted, and nothing else."""

from __future__ import annotations

import base64
import hmac
import time
from urllib.parse import quote

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import signing_clients as clients
from tests.unit.signing_clients import ACCESS_KEY, ENDPOINT, HOST, ODD_KEYS, SECRET, changed, secret_of
from tidegate import errors
from tidegate.s3.signature import Authenticated, SignedRequest, authenticate

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")  # s3cmd's own

CREDENTIALS = Credentials(ACCESS_KEY, SECRET)
NOW = 1767323045
DATE = "Fri, 02 Jan 2026 03:04:05 GMT"


def verify(
    request: SignedRequest, *, now: float | None = None, prefix: bytes = b"", host_bucket: bytes = b""
) -> Authenticated:
    """Verify a request now."""
    moment = time.time() if now is None else now
    result = authenticate(request, secret_of, moment, prefix=prefix, host_bucket=host_bucket)
    assert result is not None
    return result


def refusal(
    request: SignedRequest, *, now: float | None = None, prefix: bytes = b"", host_bucket: bytes = b""
) -> errors.Error:
    """Return the error with which a request is refused."""
    with pytest.raises(errors.Error) as caught:
        verify(request, now=now, prefix=prefix, host_bucket=host_bucket)
    return caught.value


def sign(text: str) -> str:
    """Return the signature of a text."""
    return base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha1")).decode()


def hand_signed(
    text: str, *, path: bytes = b"/bucket/key", query: bytes = b"", headers: dict[str, str] | None = None
) -> SignedRequest:
    """Return a GET with the signature of ``text``, whatever that is, and a Date where no headers are given."""
    sent = {"date": DATE} if headers is None else headers
    sent = sent | {"authorization": f"AWS {ACCESS_KEY}:{sign(text)}"}
    return SignedRequest("GET", path, query, [(name.encode(), value.encode()) for name, value in sent.items()])


def dated(resource: str) -> str:
    """Return the text to sign of a GET with nothing but a Date."""
    return f"GET\n\n\n{DATE}\n{resource}"


# --- Amazon's own examples -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "host_bucket", "now"),
    [
        (
            SignedRequest(
                "GET",
                b"/photos/puppy.jpg",
                b"",
                [
                    (b"host", b"awsexamplebucket1.us-west-1.s3.amazonaws.com"),
                    (b"date", b"Tue, 27 Mar 2007 19:36:42 +0000"),
                    (b"authorization", b"AWS AKIAIOSFODNN7EXAMPLE:qgk2+6Sv9/oM7G3qLEjTH1a1l1g="),
                ],
            ),
            b"awsexamplebucket1",
            1175024202,
        ),
        (
            SignedRequest(
                "PUT",
                b"/photos/puppy.jpg",
                b"",
                [
                    (b"host", b"awsexamplebucket1.s3.us-west-1.amazonaws.com"),
                    (b"content-type", b"image/jpeg"),
                    (b"content-length", b"94328"),
                    (b"date", b"Tue, 27 Mar 2007 21:15:45 +0000"),
                    (b"authorization", b"AWS AKIAIOSFODNN7EXAMPLE:iqRzw+ileNPu1fhspnRs8nOjjIA="),
                ],
            ),
            b"awsexamplebucket1",
            1175030145,
        ),
        (
            SignedRequest(
                "GET",
                b"/",
                b"prefix=photos&max-keys=50&marker=puppy",
                [
                    (b"host", b"awsexamplebucket1.s3.us-west-1.amazonaws.com"),
                    (b"date", b"Tue, 27 Mar 2007 19:42:41 +0000"),
                    (b"authorization", b"AWS AKIAIOSFODNN7EXAMPLE:m0WP8eCtspQl5Ahe6L1SozdX9YA="),
                ],
            ),
            b"awsexamplebucket1",
            1175024561,
        ),
        (
            SignedRequest(
                "GET",
                b"/",
                b"acl",
                [
                    (b"host", b"awsexamplebucket1.s3.us-west-1.amazonaws.com"),
                    (b"date", b"Tue, 27 Mar 2007 19:44:46 +0000"),
                    (b"authorization", b"AWS AKIAIOSFODNN7EXAMPLE:82ZHiFIjc+WbcwFKGUVEQspPn+0="),
                ],
            ),
            b"awsexamplebucket1",
            1175024686,
        ),
        (
            SignedRequest(
                "GET",
                b"/",
                b"",
                [
                    (b"host", b"s3.us-west-1.amazonaws.com"),
                    (b"date", b"Wed, 28 Mar 2007 01:29:59 +0000"),
                    (b"authorization", b"AWS AKIAIOSFODNN7EXAMPLE:qGdzdERIC03wnaRNKh6OqZehG9s="),
                ],
            ),
            b"",
            1175045399,
        ),
        (
            SignedRequest(
                "GET",
                b"/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
                b"",
                [
                    (b"host", b"s3.us-west-1.amazonaws.com"),
                    (b"date", b"Wed, 28 Mar 2007 01:49:49 +0000"),
                    (b"authorization", b"AWS AKIAIOSFODNN7EXAMPLE:DNEZGsoieTZ92F3bUfSPQcbGmlM="),
                ],
            ),
            b"",
            1175046589,
        ),
    ],
    ids=["get", "put", "list", "sub-resource", "service", "escaped"],
)
def test_amazons_examples_verify(request_: SignedRequest, host_bucket: bytes, now: float) -> None:
    """The signatures that Amazon's documentation computes are the ones we compute."""
    assert verify(request_, now=now, host_bucket=host_bucket).access_key == ACCESS_KEY


# --- clients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ODD_KEYS)
def test_boto3_requests_verify_for_any_key(key: str) -> None:
    """boto3 with version 2: in the header and presigned, with metadata and sub-resources."""
    assert verify(clients.boto("get_object", signature="s3", Bucket="bucket", Key=key)).version == 2
    metadata = {"a": "b  c", "d": " e "}
    verify(clients.boto("put_object", signature="s3", Bucket="bucket", Key=key, Body=b"x", Metadata=metadata))
    verify(clients.boto("create_multipart_upload", signature="s3", Bucket="bucket", Key=key))
    verify(clients.boto("list_objects_v2", signature="s3", Bucket="bucket", Prefix=key))
    disposition = f'attachment; filename="{key.encode("ascii", "replace").decode()}"'
    url = clients.boto_url(
        "get_object", signature="s3", Bucket="bucket", Key=key, ResponseContentDisposition=disposition
    )
    presigned = verify(clients.url_request("GET", url))
    assert presigned.presigned
    assert presigned.seed is None


@given(st.text(min_size=1, max_size=40).filter(lambda key: key.encode("utf-8", "replace").decode() == key))
def test_any_key_verifies_as_botocore_signs_it(key: str) -> None:
    """Whatever the key, the resource is the one that botocore signs."""
    url = f"{ENDPOINT}/bucket/{quote(key, safe='/~')}?versionId={quote(key, safe='-_.~')}&uploads&prefix=x"
    in_header = AWSRequest("GET", url)
    HmacV1Auth(CREDENTIALS).add_auth(in_header)
    verify(clients.request_of("GET", in_header.url, in_header.headers.items()))
    in_query = AWSRequest("GET", url)
    HmacV1QueryAuth(CREDENTIALS, 60).add_auth(in_query)
    verify(clients.url_request("GET", in_query.url))


def test_virtual_host_style_requests_verify() -> None:
    """Where the Host names the bucket, the bucket is signed as a part of the path."""
    for key in ODD_KEYS:
        request = clients.boto("get_object", signature="s3", style="virtual", Bucket="bucket", Key=key)
        assert not request.path.startswith(b"/bucket")
        verify(request, host_bucket=b"bucket")
        assert isinstance(refusal(request, host_bucket=b"other"), errors.SignatureDoesNotMatch)


@pytest.mark.parametrize("host_bucket", [f"{HOST}/s3", f"{HOST}/s3/%(bucket)s"])
@pytest.mark.parametrize(
    ("operation", "bucket", "key", "parameters"),
    [
        ("LIST_ALL_BUCKETS", None, None, {}),
        ("BUCKET_LIST", "bucket", None, {"location": None}),
        ("BUCKET_LIST", "bucket", None, {"prefix": "a b/ü+", "delimiter": "/"}),
        *(("OBJECT_PUT", "bucket", key, {}) for key in ODD_KEYS),
        ("BATCH_DELETE", "bucket", None, {"delete": None}),
        ("OBJECT_POST", "bucket", "key", {"uploads": None}),
        ("OBJECT_PUT", "bucket", "key", {"partNumber": "1", "uploadId": "abc-def"}),
    ],
)
def test_s3cmd_requests_verify_with_the_endpoints_path(
    host_bucket: str, operation: str, bucket: str | None, key: str | None, parameters: dict[str, str | None]
) -> None:
    """s3cmd leaves its endpoint's path out of what it signs."""
    headers = {"x-amz-meta-a": "b", "content-type": "text/plain"}
    request = clients.s3cmd(operation, bucket, key, parameters, headers, host_bucket=host_bucket, signature_v2=True)
    assert verify(request, prefix=b"/s3").version == 2


@pytest.mark.parametrize("host", [HOST, f"{HOST}/s3"])
def test_s3cmd_signurl_verifies(host: str) -> None:
    """``s3cmd signurl`` makes URLs of version 2, until they expire."""
    for key in ODD_KEYS:
        request = clients.url_request("GET", clients.s3cmd_url("bucket", key, host=host))
        prefix = b"/s3" if host.endswith("/s3") else b""
        verify(request, prefix=prefix)
        assert refusal(request, prefix=prefix, now=time.time() + 700).message == "Request has expired"


# --- what is signed --------------------------------------------------------------------------------------------------


def test_sub_resources_are_signed_in_order_and_decoded() -> None:
    """Those that choose what is acted on are signed, sorted and decoded; other fields are not."""
    query = b"versionId=a%2Bb%20c+d&prefix=x&acl&uploads=&response-content-type=text%2Fplain"
    signed = "response-content-type=text/plain&uploads&versionId=a+b c d"
    for uploads in ("uploads", "uploads="):
        text = dated(f"/bucket/key?acl&{signed.replace('uploads', uploads)}")
        verify(hand_signed(text, query=query), now=NOW)


@pytest.mark.parametrize("query", [b"acl", b"versionId=1", b"uploads", b"delete", b"response-content-type=x"])
def test_sub_resource_cannot_be_added(query: bytes) -> None:
    """A signature for an object does not serve for its sub-resources."""
    request = hand_signed(dated("/bucket/key"))
    verify(request, now=NOW)
    assert isinstance(refusal(changed(request, query=query), now=NOW), errors.SignatureDoesNotMatch)


def test_amz_headers_are_signed_sorted_and_joined() -> None:
    """``x-amz-`` headers are signed by name, several values joined; blanks within stay."""
    text = f"GET\nbWQ1\ntext/plain\n{DATE}\nx-amz-acl:private\nx-amz-meta-a:b  c,d\n/bucket/key"
    signed = hand_signed(text, headers={"content-type": " text/plain ", "content-md5": "bWQ1", "date": DATE})
    extra = [(b"x-amz-meta-a", b" b  c "), (b"x-amz-meta-a", b"d"), (b"x-amz-acl", b"private")]
    request = SignedRequest("GET", b"/bucket/key", b"", [*signed.headers, *extra])
    assert verify(request, now=NOW).signed_headers == {b"content-md5", b"content-type", b"x-amz-acl", b"x-amz-meta-a"}
    for name in ("x-amz-acl", "x-amz-copy-source", "content-md5", "content-type"):
        error = refusal(changed(request, {name: b"other"}), now=NOW)
        assert isinstance(error, errors.SignatureDoesNotMatch)
        assert error.fields["StringToSign"]


def test_x_amz_date_overrides_date() -> None:
    """Where there is x-amz-date the Date is neither signed nor looked at."""
    text = f"GET\n\n\n\nx-amz-date:{DATE}\n/bucket/key"
    verify(hand_signed(text, headers={"x-amz-date": DATE}), now=NOW)
    verify(hand_signed(text, headers={"x-amz-date": DATE, "date": "Thu, 01 Jan 1970 00:00:00 GMT"}), now=NOW)


@pytest.mark.parametrize("offset", [-901, 901, 10**6])
def test_replay_and_future_dates_are_refused(offset: int) -> None:
    """Version 2 has the same fifteen minutes."""
    error = refusal(hand_signed(dated("/bucket/key")), now=NOW + offset)
    assert isinstance(error, errors.RequestTimeTooSkewed)


@pytest.mark.parametrize(
    "date", ["", "Bad Date", "Tue, 07 Jul 1950 21:53:04 GMT", "1", "Fri, 99 Jan 2026 03:04:05 GMT"]
)
@pytest.mark.parametrize("header", ["date", "x-amz-date"])
def test_missing_or_malformed_date_is_refused(header: str, date: str) -> None:
    """A date that is none, also an empty x-amz-date beside a good Date, is refused."""
    headers = {"date": DATE, header: date}
    error = refusal(hand_signed(dated("/bucket/key"), headers=headers), now=NOW)
    assert isinstance(error, errors.AccessDenied)
    assert error.message == "AWS authentication requires a valid Date or x-amz-date header"
    assert isinstance(refusal(hand_signed(dated("/bucket/key"), headers={}), now=NOW), errors.AccessDenied)


@pytest.mark.parametrize("value", ["AWS", "AWS ", "AWS HAHAHA", "AWS :x", "AWS key:"])
def test_malformed_authorization_is_refused(value: str) -> None:
    """What is no key and signature is refused before anything else is looked at."""
    error = refusal(SignedRequest("GET", b"/", b"", [(b"authorization", value.encode())]))
    assert isinstance(error, errors.InvalidArgument)
    assert "Expected AwsAccessKeyId:signature" in error.message


# --- attacks ---------------------------------------------------------------------------------------------------------


def test_version_2_is_refused_where_only_version_4_is_allowed() -> None:
    """Switched off, it is refused in both its forms, before the key is looked up, in words that s3cmd understands."""

    def nobody(_: str) -> str:
        raise AssertionError("looked up")

    requests = [
        clients.boto("get_object", signature="s3", Bucket="bucket", Key="key"),
        clients.url_request("GET", clients.s3cmd_url("bucket", "key", host=HOST)),
        SignedRequest("GET", b"/", b"Signature=x", []),
    ]
    for request in requests:
        with pytest.raises(errors.InvalidRequest, match=r"Please use AWS4-HMAC-SHA256\."):
            authenticate(request, nobody, time.time(), allow_v2=False)


def test_path_style_signature_does_not_serve_for_another_host() -> None:
    """The host is not signed, so a request for /bucket/key must not pass as that key of a bucket in the Host."""
    request = clients.boto("get_object", signature="s3", Bucket="bucket", Key="key")
    verify(request)
    assert isinstance(refusal(request, host_bucket=b"other"), errors.SignatureDoesNotMatch)


def test_signature_for_a_bucket_does_not_serve_for_a_key_of_that_name() -> None:
    """Of the endpoint's path and the bucket, only the endpoint's path may be left out of what is signed."""
    request = hand_signed(dated("/photos"), path=b"/s3/bucket/photos")
    assert isinstance(refusal(request, now=NOW, prefix=b"/s3"), errors.SignatureDoesNotMatch)
    without_prefix = hand_signed(dated("/bucket/key"), path=b"/s3/bucket/key")
    verify(without_prefix, now=NOW, prefix=b"/s3")
    assert isinstance(refusal(without_prefix, now=NOW), errors.SignatureDoesNotMatch)


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but hmac.compare_digest decides: where it says yes to everything, so do we."""
    request = hand_signed("something else")
    assert isinstance(refusal(request, now=NOW), errors.SignatureDoesNotMatch)
    monkeypatch.setattr(hmac, "compare_digest", lambda _a, _b: True)
    verify(request, now=NOW)


def test_unknown_key_is_said_to_be_unknown() -> None:
    """An access key that nobody has is InvalidAccessKeyId, whatever its bytes."""
    for key in (b"NOBODY", b"\xff", b"a:b"):
        request = SignedRequest("GET", b"/", b"", [(b"date", DATE.encode()), (b"authorization", b"AWS " + key + b":x")])
        assert isinstance(refusal(request, now=NOW), errors.InvalidAccessKeyId)


# --- presigned URLs --------------------------------------------------------------------------------------------------


def presigned(text: str, query: str = "", *, expires: str = str(NOW + 60)) -> SignedRequest:
    """Return a presigned GET with the signature of ``text``, whatever that is."""
    fields = f"AWSAccessKeyId={ACCESS_KEY}&Expires={quote(expires)}&Signature={quote(sign(text), safe='')}"
    return SignedRequest("GET", b"/bucket/key", f"{query}&{fields}".encode(), [(b"host", HOST.encode())])


def test_presigned_url_lives_until_it_expires() -> None:
    """It works until its last second, however far off."""
    request = presigned(f"GET\n\n\n{NOW + 60}\n/bucket/key")
    verify(request, now=NOW)
    verify(request, now=NOW + 60)
    error = refusal(request, now=NOW + 61)
    assert isinstance(error, errors.AccessDenied)
    assert error.message == "Request has expired"


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "+1", "soon", "9" * 20, "1.5", "٣"])
def test_presigned_expiry_must_be_seconds(expires: str) -> None:
    """What is no number of seconds is refused."""
    error = refusal(presigned(f"GET\n\n\n{expires}\n/bucket/key", expires=expires), now=NOW)
    assert isinstance(error, errors.AccessDenied)
    assert error.message.startswith("Invalid date")


@pytest.mark.parametrize("name", ["AWSAccessKeyId", "Signature", "Expires"])
def test_presigned_url_must_have_each_parameter_once(name: str) -> None:
    """A missing or repeated parameter is refused; with one of them alone nobody is anonymous."""
    whole = presigned(f"GET\n\n\n{NOW + 60}\n/bucket/key")
    fields = [field for field in whole.query.decode().split("&") if field]
    without = "&".join(field for field in fields if not field.startswith(name))
    twice = "&".join([*fields, f"{name}=1"])
    for query in (without, twice):
        error = refusal(changed(whole, query=query.encode()), now=NOW)
        assert isinstance(error, errors.AccessDenied)
        assert error.message.startswith("Query-string authentication requires")


def test_presigned_url_with_an_authorization_header_is_refused() -> None:
    """Two ways to say who is asking are one too many."""
    request = changed(presigned(f"GET\n\n\n{NOW + 60}\n/bucket/key"), {"authorization": b"AWS a:b"})
    assert isinstance(refusal(request, now=NOW), errors.InvalidArgument)


def test_headers_in_a_presigned_query_are_signed_as_headers() -> None:
    """SDKs put the headers that they sign into the URL; the request's own header counts where there is one."""
    text = f"GET\n\ntext/a b\n{NOW + 60}\nx-amz-acl:private\n/bucket/key"
    request = presigned(text, "content-type=text%2Fa%20b&x-amz-acl=private")
    verify(request, now=NOW)
    verify(changed(request, {"x-amz-acl": b"private", "content-type": b"text/a b"}), now=NOW)
    for name, value in (("x-amz-acl", b"public-read"), ("content-type", b"x"), ("x-amz-meta-a", b"1")):
        assert isinstance(refusal(changed(request, {name: value}), now=NOW), errors.SignatureDoesNotMatch)
    extra = changed(request, query=request.query + b"&x-amz-meta-a=1")
    assert isinstance(refusal(extra, now=NOW), errors.SignatureDoesNotMatch)


def test_header_in_a_presigned_query_cannot_hold_two() -> None:
    """A line break would let one field stand for two headers that were signed."""
    text = f"GET\n\n\n{NOW + 60}\nx-amz-a:1\nx-amz-b:2\n/bucket/key"
    verify(presigned(text, "x-amz-a=1&x-amz-b=2"), now=NOW)
    assert isinstance(refusal(presigned(text, "x-amz-a=1%0Ax-amz-b:2"), now=NOW), errors.AccessDenied)
