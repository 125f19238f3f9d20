"""Headers say of an object what its client meant; what they cannot mean is refused with S3's code."""

from __future__ import annotations

import time
from typing import cast
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.asgi import Message
from tidegate.clock import SECOND
from tidegate.gateway import Gateway
from tidegate.gateway.copying import Source
from tidegate.model import ANONYMOUS, STANDARD
from tidegate.names import MAX_KEY_BYTES
from tidegate.preconditions import NONE, Preconditions
from tidegate.s3 import fields
from tidegate.s3.call import Call
from tidegate.s3.routing import OPERATIONS
from tidegate.s3.target import Target

keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=80).filter(
    lambda key: len(key.encode()) <= MAX_KEY_BYTES
)
buckets = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", fullmatch=True)


def call(bucket: str = "bucket", **headers: str) -> Call:
    """A call with these headers, underscores for hyphens; nothing else of it is looked at."""

    async def receive() -> Message:
        raise AssertionError("the body is not looked at")

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    target, operation = Target(bucket, "key"), OPERATIONS["CopyObject"]
    nobody = cast("Gateway", None)
    return Call(nobody, "PUT", "http", target, operation, named, {}, ANONYMOUS, None, receive)


# --- times and conditions --------------------------------------------------------------------------------------------


@given(st.integers(0, 4_102_444_800))
def test_dates_come_back(seconds: int) -> None:
    """HTTP's form of a date, and the ISO form that SDKs write into Amazon's own headers, mean the same second."""
    assert fields.parse_http_date(fields.http_date(seconds).decode()) == seconds * SECOND
    moment = time.gmtime(seconds)
    assert fields.parse_http_date(time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)) == seconds * SECOND
    assert fields.parse_http_date(time.strftime("%Y-%m-%dT%H:%M:%S.999Z", moment)) == seconds * SECOND
    assert fields.parse_http_date(time.strftime("%A, %d-%b-%y %H:%M:%S GMT", moment)) is not None


@given(st.text(max_size=60) | st.text("0123456789 :,-+TZGMJanu", max_size=40))
def test_any_text_is_a_date_or_none(value: str) -> None:
    """What is no date is None, which conditions ignore; it never raises."""
    assert isinstance(fields.parse_http_date(value), int | None)


def test_conditions_are_read_from_their_headers() -> None:
    """All four headers, or those of a copy's source, become conditions; without any there is nothing to check."""
    assert fields.preconditions({"range": "bytes=0-1"}) is NONE
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    since = 784_111_777 * SECOND
    names = {"if-match": '"a"', "if-none-match": "*", "if-modified-since": date, "if-unmodified-since": date}
    expected = Preconditions(("a",), ("*",), since, since)
    assert fields.preconditions(names) == expected
    prefixed = {f"x-amz-copy-source-{name}": value for name, value in names.items()}
    assert fields.preconditions(prefixed, "x-amz-copy-source-") == expected
    assert fields.preconditions(prefixed) is NONE
    assert fields.preconditions({"if-modified-since": "yesterday"}) == NONE


# --- what is stored with an object -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "stored"),
    [
        ("gzip", "gzip"),
        ("aws-chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("aws-chunked, gzip", "gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("gzip,aws-chunked,br", "gzip,br"),
        ("", ""),
    ],
)
def test_framing_is_no_property_of_the_object(encoding: str, stored: str | None) -> None:
    """``aws-chunked`` was the framing of the request; every other coding is kept as the client wrote it."""
    assert fields.new_object({"content-encoding": encoding}).headers.get("content-encoding") == stored


def test_only_stored_headers_are_stored() -> None:
    """Of all headers, S3's six, metadata, tags, class and redirect are kept; the rest belongs to the request."""
    new = fields.new_object(
        {
            "host": "h",
            "authorization": "secret",
            "content-length": "5",
            "content-type": "text/plain",
            "cache-control": "no-cache",
            "expires": "never",
            "x-amz-meta-colour": "blue",
            "x-amz-tagging": "a=1&b=",
            "x-amz-website-redirect-location": "/elsewhere",
        }
    )
    assert new.headers == {"content-type": "text/plain", "cache-control": "no-cache", "expires": "never"}
    assert new.metadata == {"colour": "blue"}
    assert new.tags == {"a": "1", "b": ""}
    assert new.storage_class == STANDARD
    assert new.website_redirect == "/elsewhere"


def test_metadata_has_two_kilobytes() -> None:
    """Names and values together may have 2,048 bytes and no more."""
    name = "x-amz-meta-n"
    assert fields.metadata({name: "v" * 2047}) == {"n": "v" * 2047}
    with pytest.raises(errors.MetadataTooLarge):
        fields.metadata({name: "v" * 2048})
    with pytest.raises(errors.MetadataTooLarge):
        fields.metadata({f"{name}{number}": "v" * 1000 for number in range(3)})


def test_only_known_storage_classes_are_taken() -> None:
    """A class that S3 does not have is refused, not stored."""
    assert fields.storage_class({}) is None
    assert fields.storage_class({"x-amz-storage-class": "GLACIER"}) == "GLACIER"
    for name in ("", "standard", "COLD", "STANDARD "):
        with pytest.raises(errors.InvalidStorageClass):
            fields.storage_class({"x-amz-storage-class": name})


tag_keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda key: not key.startswith("aws:")
)


@given(
    st.dictionaries(tag_keys, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=10)
)
def test_tags_in_a_header_are_a_query(tags: dict[str, str]) -> None:
    """Tags of any characters come through ``x-amz-tagging`` as the SDKs encode them."""
    assert fields.header_tags({"x-amz-tagging": urlencode(tags)}) == tags
    assert fields.header_tags({"x-amz-tagging": urlencode(tags, quote_via=quote)}) == tags


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("a=1&a=2", errors.InvalidTag),
        ("=1", errors.InvalidTag),
        ("aws:a=1", errors.InvalidTag),
        (f"{'k' * 129}=1", errors.InvalidTag),
        (f"k={'v' * 257}", errors.InvalidTag),
        ("&".join(f"k{number}=v" for number in range(11)), errors.BadRequest),
        ("a=%FF", errors.InvalidArgument),
        ("a=%", errors.InvalidArgument),
        ("a=%00", errors.InvalidArgument),
        ("&".join(f"k{number}=v" for number in range(1000)), errors.InvalidArgument),
    ],
)
def test_tags_that_s3_does_not_take_are_refused(value: str, error: type[errors.Error]) -> None:
    """Tags have unique, non-empty keys of at most 128 characters, values of at most 256, and are ten at most."""
    with pytest.raises(error):
        fields.header_tags({"x-amz-tagging": value})


def test_the_longest_tags_are_taken() -> None:
    """The limits count characters, not bytes."""
    tags = {f"{number}{'é' * 127}": "é" * 256 for number in range(10)}
    assert fields.check_tags(list(tags.items()), 10) == tags


# --- sources of copies -----------------------------------------------------------------------------------------------


@given(bucket=buckets, key=keys, slash=st.sampled_from(["", "/"]), safe=st.sampled_from(["", "/", "/~!$&'()*+,;=:@"]))
def test_any_key_is_a_copy_source(bucket: str, key: str, slash: str, safe: str) -> None:
    """However a client escapes bucket and key, with a leading slash or not, the copy is of the key that it meant."""
    value = slash + quote(f"{bucket}/{key}", safe=safe)
    assert fields.copy_source(call(x_amz_copy_source=value)) == Source(bucket, key)
    assert fields.copy_source(call(x_amz_copy_source=f"{value}?versionId=v%31")) == Source(bucket, key, "v1")


def test_a_copy_source_may_be_plain_utf_8() -> None:
    """A key that the client did not escape at all is its bytes."""
    value = "bucket/ké+y".encode().decode("latin-1")
    assert fields.copy_source(call(x_amz_copy_source=value)) == Source("bucket", "ké+y")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "/",
        "bucket",
        "bucket/",
        "/bucket",
        "//bucket/key",
        "%2Fbucket/key",
        "%2F%2Fbucket/key",
        "?versionId=1",
        "bucket/key?",
        "bucket/key?versionId",
        "bucket/key?versionId=",
        "bucket/key?versionid=1",
        "bucket/key?versionId=1&versionId=2",
        "bucket/key?versionId=1&a=2",
        "bucket/key?a=2&versionId=1",
        "bucket/key?acl",
        "bucket/key%00",
        "bucket/key%FF",
        f"bucket/{'k' * 1025}",
        "bucket/key?versionId=%FF",
        "bucket/key?versionId=%",
    ],
)
def test_what_names_no_single_source_is_refused(value: str) -> None:
    """A source that could be read in two ways, or names no key, is refused before anything is authorised or copied."""
    with pytest.raises((errors.InvalidArgument, errors.InvalidURI)):
        fields.copy_source(call(x_amz_copy_source=value))


@pytest.mark.parametrize("value", ["arn:aws:s3:us-east-1:1:accesspoint/ap/object/key", "arn:aws:s3:::bucket/key"])
def test_access_points_are_not_implemented(value: str) -> None:
    """A source given as an ARN is never taken for a bucket of that name."""
    with pytest.raises(errors.NotImplementedByServer):
        fields.copy_source(call(x_amz_copy_source=value))


@given(text=st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_header_is_a_source_or_refused(text: str) -> None:
    """Nothing but S3's errors comes of any copy source; one that is taken has a bucket without a slash, and a key."""
    try:
        source = fields.copy_source(call(x_amz_copy_source=text))
    except (errors.InvalidArgument, errors.InvalidURI, errors.NotImplementedByServer):
        return
    assert isinstance(source.bucket, str)
    assert source.bucket
    assert "/" not in source.bucket
    assert source.key


def test_a_rename_stays_in_its_bucket() -> None:
    """A rename's source is a key of the bucket, however it is written; another bucket's name is a part of the key."""
    for value in ("key", "/key", "bucket/key", "/bucket/key", "%6Bey"):
        assert fields.rename_source(call(x_amz_rename_source=value)) == Source("bucket", "key")
    assert fields.rename_source(call(x_amz_rename_source="other/key")) == Source("bucket", "other/key")
    for value in ("", "/", "bucket/", "%FF", "a%00b", "k" * 1025):
        with pytest.raises(errors.InvalidArgument):
            fields.rename_source(call(x_amz_rename_source=value))
    with pytest.raises(errors.MissingSecurityHeader):
        fields.rename_source(call())
