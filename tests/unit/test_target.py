"""A request's URL and Host name one bucket and one key, byte for byte, or are refused."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.names import MAX_KEY_BYTES
from tidegate.s3.target import (
    MAX_QUERY_FIELDS,
    SIGNING,
    Target,
    bucket_of_host,
    meaning,
    parse_query,
    parse_target,
    split_query,
    validate_bucket_name,
)

ADDRESS = "127.0.0.1:8080"
DOMAINS = ("example.com", "s3.Example.com.")

keys = (
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)
    | st.text("ab/.%+ \\~é😀\u0301", min_size=1, max_size=400)
).filter(lambda key: len(key.encode()) <= MAX_KEY_BYTES)


@pytest.mark.parametrize("path", [b"", b"/", b"/s3", b"/s3/"])
def test_the_root_and_the_prefix_are_the_service(path: bytes) -> None:
    """A path without a bucket is about the service, with or without /s3."""
    target = parse_target(path, ADDRESS)
    assert target == Target(None, None, "/s3" if b"s3" in path else "")
    assert target.level == "service"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"/bucket", Target("bucket", None)),
        (b"/bucket/", Target("bucket", None)),
        (b"/s3/bucket", Target("bucket", None, "/s3")),
        (b"/s3/bucket/", Target("bucket", None, "/s3")),
        (b"/bucket/key", Target("bucket", "key")),
        (b"/s3/bucket/a/key", Target("bucket", "a/key", "/s3")),
        (b"/s3/s3/key", Target("s3", "key", "/s3")),
        (b"/s3bucket/key", Target("s3bucket", "key")),
        (b"/S3/key", Target("S3", "key")),
        (b"/%733/key", Target("s3", "key")),
        (b"/bucket/s3/key", Target("bucket", "s3/key")),
        (b"/b%75cket/key", Target("bucket", "key")),
        (b"/master.my_repo/key", Target("master.my_repo", "key")),
        (b"/bucket/a/", Target("bucket", "a/")),
        (b"/bucket//", Target("bucket", "/")),
        (b"/bucket//a//b", Target("bucket", "/a//b")),
        (b"/bucket/a+b%2Bc%20d", Target("bucket", "a+b+c d")),
        (b"/bucket/a%2Fb%2fc", Target("bucket", "a/b/c")),
        (b"/bucket/a%253Fb", Target("bucket", "a%3Fb")),
        (b"/bucket/%F0%9F%98%80.jpg", Target("bucket", "😀.jpg")),
        ("/bucket/😀.jpg".encode(), Target("bucket", "😀.jpg")),
        (b"/bucket/e%CC%81", Target("bucket", "e\u0301")),
        (b"/bucket/%C3%A9", Target("bucket", "\u00e9")),
        (b"/bucket/%01%0A%7F", Target("bucket", "\x01\n\x7f")),
    ],
)
def test_a_path_names_a_bucket_and_a_key(path: bytes, target: Target) -> None:
    """The key is all that follows the bucket's slash, decoded once and not normalised."""
    assert parse_target(path, ADDRESS) == target
    assert target.level == ("object" if target.key else "bucket")


@given(bucket=st.sampled_from(["bucket", "a.b-c"]), key=keys, safe=st.sampled_from(["", "/", "/~!$&'()*+,;=:@."]))
def test_any_key_comes_back_from_its_url(bucket: str, key: str, safe: str) -> None:
    """Whatever a client escapes beyond what it must, the key is the one it meant, in every style of address."""
    quoted = quote(key, safe=safe).encode()
    assert parse_target(f"/{bucket}/".encode() + quoted, ADDRESS) == Target(bucket, key)
    assert parse_target(f"/s3/{bucket}/".encode() + quoted, ADDRESS) == Target(bucket, key, "/s3")
    assert parse_target(b"/" + quoted, f"{bucket}.localhost:8080") == Target(bucket, key, "", virtual_host=True)


@given(path=st.binary(max_size=60), host=st.text(max_size=30) | st.text("ab.:[]-_", max_size=30))
def test_attack_18_any_bytes_are_parsed_or_refused(path: bytes, host: str) -> None:
    """No path or Host crashes the parser, and what it returns can be stored and listed."""
    try:
        target = parse_target(b"/" + path, host, DOMAINS)
    except (errors.InvalidURI, errors.KeyTooLongError):
        return
    assert target.bucket != ""
    assert target.key != ""
    assert target.bucket is not None or target.key is None
    assert "\0" not in f"{target.bucket}{target.key}"
    assert len((target.key or "").encode()) <= MAX_KEY_BYTES


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        (b"/bucketA/../bucketB/key", "bucketA", "../bucketB/key"),
        (b"/bucketA/%2e%2e/bucketB/key", "bucketA", "../bucketB/key"),
        (b"/bucketA/%2e%2e%2FbucketB%2Fkey", "bucketA", "../bucketB/key"),
        (b"/bucketA/..%5C..%5Ckey", "bucketA", "..\\..\\key"),
        (b"/bucketA/..\\key", "bucketA", "..\\key"),
        (b"/bucketA/./key/.", "bucketA", "./key/."),
        (b"/bucketA/..", "bucketA", ".."),
        (b"/../bucketB/key", "..", "bucketB/key"),
        (b"/s3/../bucketB/key", "..", "bucketB/key"),
        (b"/bucketA%2F..%2FbucketB/key", "bucketA/../bucketB", "key"),
        (b"/bucketA/CON", "bucketA", "CON"),
        (b"/bucketA/key.", "bucketA", "key."),
        (b"/bucketA/KEY", "bucketA", "KEY"),
    ],
)
def test_attack_18_dot_segments_stay_in_the_key(path: bytes, bucket: str, key: str) -> None:
    """Nothing in a key leads to another bucket: ``..`` and backslashes are bytes like any others."""
    target = parse_target(path, ADDRESS)
    assert (target.bucket, target.key) == (bucket, key)


@pytest.mark.parametrize("key", ["../bucketB/key", "..", "/etc/passwd", "s3/bucketB/key", "bucketB/key"])
def test_attack_18_a_bucket_in_the_host_is_not_changed_by_the_path(key: str) -> None:
    """Where the Host names the bucket, the whole path is the key: no prefix applies and no other bucket is reached."""
    target = parse_target(f"/{key}".encode(), "bucketa.localhost:8080")
    assert target == Target("bucketa", key, virtual_host=True)


@pytest.mark.parametrize("escape", [b"%", b"%4", b"%zz", b"%4g", b"%u0041", b"%%41", b"%-1", b"% 1", b"a%"])
def test_attack_18_a_malformed_escape_is_refused(escape: bytes) -> None:
    """A percent sign without two hexadecimal digits is no URI, in bucket, key and query alike."""
    for path in (b"/bucket/" + escape, b"/" + escape + b"/key"):
        with pytest.raises(errors.InvalidURI):
            parse_target(path, ADDRESS)
    for query in (b"prefix=" + escape, escape + b"=1", b"a&" + escape + b"&b"):
        with pytest.raises(errors.InvalidURI):
            parse_query(query)


@pytest.mark.parametrize(
    "escape", [b"%FF", b"%C3", b"%C0%AF", b"%E0%80%AF", b"%ED%A0%80", b"%F5%80%80%80", b"\xff", b"%00", b"\0"]
)
def test_attack_18_what_is_not_utf8_or_is_nul_is_refused(escape: bytes) -> None:
    """Overlong forms, surrogates, stray bytes and U+0000 are refused, in bucket, key and query alike."""
    for path in (b"/bucket/a" + escape, b"/a" + escape + b"/key", b"/s3/bucket/" + escape):
        with pytest.raises(errors.InvalidURI):
            parse_target(path, ADDRESS)
    for query in (b"prefix=a" + escape, escape, b"a+b&x=%20" + escape):
        with pytest.raises(errors.InvalidURI):
            parse_query(query)


@pytest.mark.parametrize("path", [b"//", b"//key", b"/s3//", b"/s3//bucket/key", b"*", b"bucket/key", b"%2Fbucket"])
def test_attack_18_a_path_without_a_bucket_before_its_key_is_refused(path: bytes) -> None:
    """An empty bucket name is not taken for the service, and a path begins with a slash."""
    with pytest.raises(errors.InvalidURI):
        parse_target(path, ADDRESS)


@pytest.mark.parametrize("letter", ["k", "%6B", "é", "%F0%9F%98%80"])
def test_attack_26_a_key_may_have_1024_bytes_and_no_more(letter: str) -> None:
    """The limit counts the decoded UTF-8 bytes, whatever their escaped form."""
    width = len(parse_target(f"/bucket/{letter}".encode(), ADDRESS).key.encode())  # type: ignore[union-attr]
    key = letter * (MAX_KEY_BYTES // width)
    for path, host in ((f"/bucket/{key}", ADDRESS), (f"/{key}", "bucket.localhost")):
        target = parse_target(path.encode(), host)
        assert target.key is not None
        assert len(target.key.encode()) == MAX_KEY_BYTES
        with pytest.raises(errors.KeyTooLongError) as refused:
            parse_target(f"{path}a".encode(), host)
        assert refused.value.fields == {"Size": "1025", "MaxSizeAllowed": "1024"}


def test_attack_26_a_query_has_a_bounded_number_of_fields() -> None:
    """A query of thousands of fields is refused before it is taken apart."""
    fields = [f"a{number}=%20" for number in range(MAX_QUERY_FIELDS)]
    assert len(parse_query("&".join(fields).encode())) == MAX_QUERY_FIELDS
    for query in ("&".join([*fields, "b"]), "&" * 100_000):
        with pytest.raises(errors.InvalidURI):
            parse_query(query.encode())


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("bucket.localhost", "bucket"),
        ("bucket.localhost:8080", "bucket"),
        ("bucket.localhost.:8080", "bucket"),
        ("BUCKET.LocalHost.", "bucket"),
        ("bucket.localhost:", "bucket"),
        ("a.b.c.localhost", "a.b.c"),
        ("master.my_repo.localhost", "master.my_repo"),
        ("bucket.example.com", "bucket"),
        ("bucket.s3.example.com", "bucket"),
        ("a.bucket.S3.EXAMPLE.COM.:443", "a.bucket"),
        ("localhost.example.com", "localhost"),
        ("127.0.0.1.localhost", "127.0.0.1"),
    ],
)
def test_a_host_under_a_domain_names_the_bucket(host: str, bucket: str) -> None:
    """What stands before the longest of the domains is the bucket, in lower case, without port or final dot."""
    assert bucket_of_host(host, DOMAINS) == bucket


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "LOCALHOST:8080",
        "localhost.",
        "example.com",
        "s3.example.com:8080",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:8080",
        "elsewhere.org",
        "bucket.elsewhere.org",
        "bucketexample.com",
        "bucket.example.com.evil.org",
        "bucket.localhost:port",
        "bucket.localhost..",
        "bucket.localhost:80:80",
        ".localhost",
        ".bucket.localhost",
        "buc ket.localhost",
        "bücket.localhost",
        "buc\u212aet.localhost",
        "bucket/x.localhost",
        "user@bucket.localhost",
        "bucket.localhost/s3",
        "127.0.0.1:8080/s3",
        "bucket.localhost\n",
        "a" * 300 + ".localhost",
    ],
)
def test_any_other_host_is_path_style(host: str) -> None:
    """A domain itself, an address, an unknown name and a malformed or overlong one leave it to the path."""
    assert bucket_of_host(host, DOMAINS) is None
    assert parse_target(b"/s3/bucket/key", host, DOMAINS) == Target("bucket", "key", "/s3")


def test_domains_are_only_those_configured() -> None:
    """Without --domain only localhost carries buckets in front."""
    assert bucket_of_host("bucket.example.com") is None
    assert bucket_of_host("bucket.localhost") == "bucket"


@pytest.mark.parametrize("path", [b"", b"/"])
def test_the_root_of_a_virtual_host_is_the_bucket(path: bytes) -> None:
    """GET / on bucket.localhost is about the bucket."""
    target = parse_target(path, "bucket.localhost")
    assert target == Target("bucket", None, virtual_host=True)
    assert target.level == "bucket"


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"", []),
        (b"acl", [("acl", "")]),
        (b"acl=", [("acl", "")]),
        (b"&acl&&b=1&", [("acl", ""), ("b", "1")]),
        (b"prefix=a%2Fb+c%2Bd&list-type=2", [("prefix", "a/b c+d"), ("list-type", "2")]),
        (b"a=b=c&=d&=", [("a", "b=c"), ("", "d"), ("", "")]),
        (b"a=1&a=2", [("a", "1"), ("a", "2")]),
        (b"a;b=1", [("a;b", "1")]),
        (b"prefix=%F0%9F%98%80", [("prefix", "😀")]),
        (b"%61cl=%26", [("acl", "&")]),
    ],
)
def test_a_query_is_decoded_in_order(raw: bytes, fields: list[tuple[str, str]]) -> None:
    """Names and values come back decoded, repetitions and order kept."""
    assert parse_query(raw) == fields


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(fields=st.lists(st.tuples(texts.filter(bool), texts), max_size=6), plus=st.booleans())
def test_any_query_comes_back(fields: list[tuple[str, str]], *, plus: bool) -> None:
    """A query is read as it was meant whether blanks are sent as ``+`` or ``%20``."""
    encode = quote_plus if plus else quote
    raw = "&".join(f"{encode(name, safe='')}={encode(value, safe='')}" for name, value in fields)
    assert parse_query(raw.encode()) == fields


@given(raw=st.binary(max_size=60) | st.text("a%+&=0", max_size=30).map(str.encode))
def test_attack_18_any_query_is_parsed_or_refused(raw: bytes) -> None:
    """No query crashes the parser."""
    try:
        fields = parse_query(raw)
    except errors.InvalidURI:
        return
    assert all("\0" not in name + value for name, value in fields)


SIGNED = "X-Amz-Algorithm=A&X-Amz-Credential=k%2F20260101&X-Amz-Date=d&X-Amz-Signature=s"


def meant(query: str) -> list[tuple[str, str]]:
    """Return what a query means beside its signature."""
    return meaning(query.encode(), split_query(query.encode()))


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (SIGNED, []),
        (f"{SIGNED}&prefix=a%2Fb&acl", [("prefix", "a/b"), ("acl", "")]),
        (f"versionId=1&{SIGNED}&x-amz-acl=private", [("versionId", "1"), ("x-amz-acl", "private")]),
        ("prefix=a+b&AWSAccessKeyId=k", [("prefix", "a b"), ("AWSAccessKeyId", "k")]),
        ("", []),
        ("&&", []),
    ],
)
def test_what_only_signs_a_query_is_left_out(query: str, fields: list[tuple[str, str]]) -> None:
    """The fields of a presigned URL's signature mean nothing to an operation; all others are there, in order."""
    assert meant(query) == fields


@pytest.mark.parametrize(
    "other", ["X-Amz-Date=d", "x-amz-date=d", "X-Amz%2DDate=d", "X%2damz%2dDATE=d", "prefix=a&prefix=b", "a&A"]
)
def test_attack_a_name_that_comes_twice_is_not_left_out(other: str) -> None:
    """In whatever spelling: routing refuses what is given twice, so it has to see it."""
    query = f"{SIGNED}&{other}"
    assert meant(query) == parse_query(query.encode())


@pytest.mark.parametrize("value", ["%", "%4", "%zz", "%FF", "%C3", "%ED%A0%80", "%00", "a%0", "%E0%80%AF"])
@pytest.mark.parametrize("name", ["X-Amz-Expires", "X-Amz-Security-Token", "prefix"])
def test_attack_18_what_signs_has_to_be_well_formed_too(name: str, value: str) -> None:
    """A malformed escape, U+0000 and what is not UTF-8 are refused in fields that are left out as in any other."""
    with pytest.raises(errors.InvalidURI):
        meant(f"{SIGNED}&{name}={value}")


@given(
    query=st.lists(
        st.sampled_from(
            [*SIGNED.split("&"), "x-amz-date=1", "X-Amz%2DDate", "acl", "a=%FF", "b=%C3%A9", "", "c=+%", "é"]
        ),
        max_size=6,
    ).map("&".join)
)
def test_a_query_means_what_it_says_but_for_its_signature(query: str) -> None:
    """It is refused exactly where the whole of it would be, and else has the same fields without those that sign it."""
    try:
        fields = parse_query(query.encode())
    except errors.InvalidURI:
        with pytest.raises(errors.InvalidURI):
            meant(query)
        return
    signing = {name.decode() for name in SIGNING}
    assert [field for field in meant(query) if field[0] not in signing] == [
        field for field in fields if field[0] not in signing
    ]
    if len({name.lower() for name, _ in fields}) < len(fields):
        assert meant(query) == fields


@pytest.mark.parametrize(
    "name",
    ["abc", "a" * 63, "my-bucket", "my.bucket.2026", "0ab", "1.2.3.4.5", "a.b", "a--b", "data-an", "192.168.5.x"],
)
def test_a_well_formed_name_may_be_created(name: str) -> None:
    """Lower-case letters, digits, hyphens and dots between labels are fine."""
    validate_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 64,
        "Bucket",
        "buck_et",
        "-abc",
        "abc-",
        ".abc",
        "abc.",
        "a..b",
        "foo.-bar",
        "foo-.bar",
        "192.168.5.4",
        "999.1.1.1",
        "xn--abc",
        "sthree-abc",
        "sthree-configurator",
        "amzn-s3-demo-bucket",
        "abc-s3alias",
        "abc--ol-s3",
        "abc.mrap",
        "abc--usw2-az1--x-s3",
        "abc--table-s3",
        "bücket",
        "abc\n",
        "a b",
        "a/b",
        "abc\0",
        "١٢٣",
    ],
)
def test_an_ill_formed_or_reserved_name_may_not_be_created(name: str) -> None:
    """Amazon's naming rules hold for new buckets, and the error names the bucket."""
    with pytest.raises(errors.InvalidBucketName) as refused:
        validate_bucket_name(name)
    assert refused.value.fields == {"BucketName": name}
    assert refused.value.status == 400
