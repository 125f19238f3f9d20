"""The URIs that name buckets, and the identity that they give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.names import PROVIDERS, SCHEMES, BucketName, parse_bucket_uri, split_uri

plain = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("ais://abc", BucketName("abc")),
        ("ais://abc/", BucketName("abc")),
        ("ais:abc", BucketName("abc")),
        ("s3://abc", BucketName("abc", "aws")),
        ("aws://abc", BucketName("abc", "aws")),
        ("gs://abc", BucketName("abc", "gcp")),
        ("gcp://abc", BucketName("abc", "gcp")),
        ("az://abc", BucketName("abc", "azure")),
        ("azure://abc", BucketName("abc", "azure")),
        ("ht://abc", BucketName("abc", "ht")),
        ("ais://#ml/abc", BucketName("abc", "ais", "ml")),
        ("ais://@#ml/abc", BucketName("abc", "ais", "ml")),
    ],
    ids=str,
)
def test_a_uri_names_a_bucket(uri: str, expected: BucketName) -> None:
    """Each provider has two schemes that mean the same, and a namespace stands before the name."""
    assert parse_bucket_uri(uri) == expected


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("cloud://abc", 'invalid backend provider "cloud"'),
        ("abc", 'backend provider cannot be empty (did you mean "ais://abc"?)'),
        ("ais://", "does not name a bucket"),
        ("ais://abc/key", "does not name a bucket"),
        ("ais://#m l/abc", "invalid namespace"),
        ("ais://#a#b/abc", "invalid namespace"),
    ],
    ids=str,
)
def test_what_names_no_bucket_is_refused(uri: str, message: str) -> None:
    """A URI that cannot be read says what is wrong with it."""
    with pytest.raises(errors.InvalidArgument) as refusal:
        parse_bucket_uri(uri)
    assert message in refusal.value.message


def test_another_cluster_is_not_ours() -> None:
    """A bucket of another cluster is named correctly, and is not implemented."""
    with pytest.raises(errors.NotImplementedByServer):
        parse_bucket_uri("ais://@uuid/abc")


@given(st.sampled_from(sorted(SCHEMES)), st.one_of(st.just(""), plain), plain)
def test_a_name_survives_its_uri(provider: str, namespace: str, name: str) -> None:
    """Reading a bucket's URI gives the bucket again."""
    bucket = BucketName(name, provider, namespace)
    assert parse_bucket_uri(bucket.uri) == bucket


@given(st.text(max_size=40))
def test_any_text_is_parts_or_refused(text: str) -> None:
    """Nothing but our errors comes of any text; a provider is always one that exists."""
    try:
        provider, namespace, bucket, _ = split_uri(text, "ais")
    except (errors.InvalidArgument, errors.NotImplementedByServer):
        return
    assert provider in set(PROVIDERS.values())
    assert "/" not in namespace
    assert "/" not in bucket
