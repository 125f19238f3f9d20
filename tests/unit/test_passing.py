"""What of a request that is signed for a remote is passed on, and by which names a remote is called."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tidegate import errors
from tidegate.passage import Passage, Style
from tidegate.properties.tree import ExtraAWS
from tidegate.s3.passing import may_keep, passage_of
from tidegate.s3.signature import Unverified
from tidegate.upstream import amazon
from tidegate.upstream.s3_signed import Names


def unverified(listed: str, region: str = "us-east-1") -> Unverified:
    """A signature of version 4, or without names one of version 2."""

    def verify(_: str) -> None:
        raise AssertionError

    return Unverified("KEY", verify, region=region.encode(), listed=listed.encode())  # type: ignore[arg-type]


def passed(method: str, headers: Mapping[str, str], listed: str, query: str = "a=b") -> Passage:
    """What is made of a request."""
    return passage_of(method, query.encode(), [], {"host": "ours", **headers}, unverified(listed), must_ask=True)


def test_what_is_signed_is_passed_on_and_fixed() -> None:
    """Signed headers go along and cannot be changed; others stay here, and may be asked for."""
    headers = {
        "x-amz-date": "1",
        "x-amz-meta-a": "b",
        "cookie": "c",
        "range": "bytes=0-1",
        "content-type": "text/plain",
    }
    found = passed("GET", headers, "host;x-amz-date;x-amz-meta-a")
    assert found.headers == {"x-amz-date": "1", "x-amz-meta-a": "b"}
    assert (found.query, found.host, found.region, found.is_exact) == ("a=b", "ours", "us-east-1", False)
    assert found.may_add("range", "bytes=5-6")
    assert found.may_add("x-amz-date", "1")
    assert not found.may_add("x-amz-date", "2")


def test_a_write_says_what_describes_the_object() -> None:
    """Though it is not signed, as in most presigned URLs."""
    headers = {"content-type": "text/plain", "content-md5": "x", "if-none-match": "*", "cookie": "c", "accept": "d"}
    found = passed("PUT", headers, "host")
    assert found.headers == {"content-type": "text/plain", "content-md5": "x", "if-none-match": "*"}


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"range": "bytes=0-1"}, ""),
        ({"if-none-match": '"1"'}, ""),
        ({"accept-encoding": "gzip"}, ""),
        ({}, "response-content-type=a"),
    ],
)
def test_what_chooses_is_asked_for_as_it_is(headers: Mapping[str, str], query: str) -> None:
    """A range or a condition that is signed, and what changes the answer, cannot be asked for in another way."""
    listed = ";".join(["host", *headers])
    fields = [("response-content-type", "a")] if query else []
    found = passage_of("GET", query.encode(), fields, {"host": "x", **headers}, unverified(listed), must_ask=False)
    assert found.is_exact
    assert not passed("GET", {"accept-encoding": "identity"}, "accept-encoding;host").is_exact


def test_version_2_fixes_what_is_not_there() -> None:
    """It signs that there is no Content-MD5: none can be added."""
    found = passed("PUT", {"x-amz-meta-a": "b", "date": "d", "authorization": "AWS KEY:x"}, "")
    assert found.headers == {"x-amz-meta-a": "b", "date": "d", "authorization": "AWS KEY:x"}
    assert not found.may_add("content-md5", "x")


@pytest.mark.parametrize(
    ("headers", "listed", "error"),
    [
        ({"x-amz-acl": "private"}, "host", errors.AccessDenied),
        ({}, "x-amz-date", errors.AccessDenied),
        ({"x-other": "1"}, "host;x-other", errors.InvalidRequest),
        ({"content-length": "5"}, "content-length;host", errors.InvalidRequest),
        ({"ais-s3-signed-request-style": "both"}, "host", errors.InvalidArgument),
    ],
)
def test_what_cannot_be_passed_on_is_refused(
    headers: Mapping[str, str], listed: str, error: type[errors.Error]
) -> None:
    """Headers of Amazon's that should be signed, signed ones that might mean anything, and bodies of reads."""
    with pytest.raises(error):
        passed("GET", headers, listed)


@pytest.mark.parametrize("query", ["a#b", "a b", "a\x7f", "a\xe9"])
def test_a_query_that_is_none_is_refused(query: str) -> None:
    """It is sent as it is, so nothing may be in it that ends it."""
    with pytest.raises(errors.InvalidURI):
        passage_of("GET", query.encode("latin-1"), [], {"host": "x"}, unverified("host"), must_ask=True)


def test_a_passage_does_not_show_what_it_holds() -> None:
    """Signatures do not get into logs by way of tracebacks."""
    assert repr(passed("GET", {"x-amz-date": "SECRET"}, "host;x-amz-date", "Signature=SECRET")) == "Passage('GET')"


def test_metadata_in_the_query_is_not_taken_for_the_objects() -> None:
    """In any case of letters."""
    assert may_keep(["X-Amz-Signature", "x-id"])
    assert not may_keep(["X-Amz-Meta-a"])
    assert not may_keep(["content-type"])


# --- names of places -------------------------------------------------------------------------------------------------


def hosts(extra: ExtraAWS, bucket: str = "bucket") -> list[str]:
    """By which names a bucket is called."""
    account = amazon.account(extra, {})
    return [form.host + form.root for form in amazon.forms(account, account.region, bucket)]


def test_amazon_is_called_by_host_or_path() -> None:
    """The region's name counts, and in the oldest region the one without it too."""
    assert hosts(ExtraAWS(cloud_region="us-west-2")) == [
        "bucket.s3.us-west-2.amazonaws.com",
        "s3.us-west-2.amazonaws.com/bucket",
    ]
    assert hosts(ExtraAWS()) == [
        "bucket.s3.us-east-1.amazonaws.com",
        "bucket.s3.amazonaws.com",
        "s3.us-east-1.amazonaws.com/bucket",
        "s3.amazonaws.com/bucket",
    ]
    assert "my.bucket.s3.us-west-2.amazonaws.com" in hosts(ExtraAWS(cloud_region="us-west-2"), "my.bucket")


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("http://minio:9000", "minio:9000/bucket"),
        ("http://minio:80/s3", "minio/bucket"),
        ("https://minio:443", "minio/bucket"),
        ("https://[::1]:9000", "[::1]:9000/bucket"),
    ],
)
def test_another_s3_is_called_by_path(endpoint: str, host: str) -> None:
    """With the port as clients say it."""
    assert hosts(ExtraAWS(endpoint=endpoint)) == [host]


def test_the_host_of_a_client_chooses_among_the_names() -> None:
    """One that is known is the one that was signed; else all are tried, the one that was good before first."""
    account = amazon.account(ExtraAWS(), {})
    forms = amazon.forms(account, account.region, "bucket")
    names = Names()

    def found(host: str = "ours", style: Style | None = None) -> list[str]:
        passage = Passage("GET", "", {}, frozenset(), host=host, style=style)
        return [form.host for form in names.of("s3://bucket", passage, forms)]

    assert found("S3.Amazonaws.com") == ["s3.amazonaws.com"]
    assert found() == [form.host for form in forms]
    names.keep(forms[2])
    assert found()[0] == forms[2].host
    assert found(style="virtual") == [forms[0].host, forms[1].host]
    for host in ("bucket.s3.eu-west-1.amazonaws.com", "other.s3.amazonaws.com:443"):
        with pytest.raises(errors.AccessDenied):
            found(host)
