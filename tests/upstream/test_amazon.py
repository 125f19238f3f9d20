"""Where Amazon's buckets are, who we are to them, and how requests are signed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from awscrt import auth, http
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream import faults
from tests.upstream.faults import proxy
from tests.upstream.remotes import IMPATIENT, Remote, pieces, read, run
from tidegate import errors
from tidegate.names import BucketName
from tidegate.properties.tree import Extra, ExtraAWS
from tidegate.upstream import amazon, open_upstream, s3, s3_parts
from tidegate.upstream.amazon import Account, account, place
from tidegate.upstream.s3_signing import SHA256, UNSIGNED, Secret, signed
from tidegate.upstream.wire import Origin, Request, encode


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with profiles."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    process = f"""{sys.executable} -c 'print("{{\\"Version\\": 1, \\"AccessKeyId\\": \\"OF_A_PROCESS\\", """
    process += """\\"SecretAccessKey\\": \\"s\\"}")'"""
    (folder / "config").write_text(
        "[default]\nregion = eu-north-1\n\n"
        "[profile there]\nregion = eu-west-3\nendpoint_url = http://there:9000\n\n"
        f"[profile asks]\ncredential_process = {process}\n\n"
        "[profile single]\nsso_session = me\nsso_account_id = 1\nsso_role_name = x\n\n"
        "[profile empty]\nregion = us-west-1\n"
    )
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = BY_DEFAULT\naws_secret_access_key = s\n\n"
        "[there]\naws_access_key_id = THERE\naws_secret_access_key = s\naws_session_token = t\n"
    )
    return tmp_path


def test_properties_come_before_the_environment_and_that_before_profiles(home: Path) -> None:
    """Region, endpoint and profile are looked for as the documentation says."""
    own = {"HOME": str(home)}
    assert account(ExtraAWS(), {"HOME": "/nowhere"}) == Account("us-east-1", "", "")
    assert account(ExtraAWS(), own) == Account("eu-north-1", "", "")
    assert account(ExtraAWS(), own | {"AWS_PROFILE": "there"}) == Account("eu-west-3", "http://there:9000", "there")
    assert account(ExtraAWS(profile="there"), own | {"AWS_PROFILE": "empty"}).profile == "there"
    told = own | {"AWS_DEFAULT_REGION": "a", "S3_ENDPOINT": "http://b"}
    assert account(ExtraAWS(profile="there"), told) == Account("a", "http://b", "there")
    told |= {"AWS_REGION": "c", "AWS_ENDPOINT_URL": "http://d"}
    assert account(ExtraAWS(), told) == Account("c", "http://d", "")
    told |= {"AWS_ENDPOINT_URL_S3": "http://e"}
    assert account(ExtraAWS(), told) == Account("c", "http://e", "")
    assert account(ExtraAWS("f", "http://g", "h"), told) == Account("f", "http://g", "h")


@pytest.mark.parametrize(
    ("endpoint", "region", "bucket", "expected"),
    [
        ("", "us-east-1", "bck", (Origin("https", "bck.s3.us-east-1.amazonaws.com", None), "")),
        ("", "cn-north-1", "bck", (Origin("https", "bck.s3.cn-north-1.amazonaws.com.cn", None), "")),
        ("", "eu-west-1", "b.c", (Origin("https", "s3.eu-west-1.amazonaws.com", None), "/b.c")),
        ("", "eu-west-1", "", (Origin("https", "s3.eu-west-1.amazonaws.com", None), "")),
        ("http://h:1", "x", "bck", (Origin("http", "h", 1), "/bck")),
        ("https://h/s3/", "x", "bck", (Origin("https", "h", None, "/s3"), "/bck")),
        ("http://[::1]:80", "x", "", (Origin("http", "::1", 80), "")),
    ],
)
def test_places(endpoint: str, region: str, bucket: str, expected: tuple[Origin, str]) -> None:
    """Amazon's own buckets are virtual hosts where its certificates allow it, all others paths."""
    assert place(Account(region, endpoint, ""), region, bucket) == expected


@pytest.mark.parametrize("endpoint", ["ftp://h", "h:80", "http://", "http://user:secret@h", "http://h?x=secret", "//h"])
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    """It is refused without being repeated, as it may have a password in it."""

    async def story() -> None:
        upstream = open_upstream(BucketName("bck", "aws"), Extra(aws=ExtraAWS(endpoint=endpoint)), {"HOME": "/nowhere"})
        with pytest.raises(errors.InvalidArgument) as caught:
            await upstream.check()
        assert "secret" not in str(caught.value)
        await upstream.close()

    run(story)


def sign(environment: Mapping[str, str], profile: str = "") -> Request:
    """A signed request of a bucket with these variables."""

    async def story() -> Request:
        own = account(ExtraAWS(profile=profile), environment)
        request = Request("GET", Origin("http", "h", 1), "/bck/a/../b//c", (("prefix", "a/b"),))
        return await amazon.Signer("s3://bck", own, environment).sign(request, "us-east-1")

    return run(story)


def _who(request: Request) -> str:
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def test_credentials_are_looked_for_where_they_are(home: Path) -> None:
    """Keys of the environment, of profiles and of programs; a bucket's profile comes before the environment's keys."""
    own = {"HOME": str(home)}
    keys = own | {"AWS_ACCESS_KEY_ID": "OF_THE_ENVIRONMENT", "AWS_SECRET_ACCESS_KEY": "s"}
    assert _who(sign(own)) == "BY_DEFAULT"
    assert _who(sign(own | {"AWS_PROFILE": "there"})) == "THERE"
    assert _who(sign(keys)) == "OF_THE_ENVIRONMENT"
    assert _who(sign(keys, "there")) == "THERE"
    assert sign(keys, "there").headers["x-amz-security-token"] == "t"
    assert _who(sign(own, "asks")) == "OF_A_PROCESS"
    elsewhere = {"HOME": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": str(home / ".aws" / "credentials")}
    assert _who(sign(elsewhere)) == "BY_DEFAULT"


def test_without_credentials_requests_are_anonymous() -> None:
    """Public buckets want no signature, and get none."""
    assert "authorization" not in sign({"HOME": "/nowhere"}).headers


def test_a_profile_without_credentials_is_an_error(home: Path) -> None:
    """A profile that is named must be good: its absence, and single sign-on, have sentences of their own."""
    for profile, words in (("absent", "no profile"), ("empty", "no credentials"), ("single", "credential_process")):
        with pytest.raises(errors.RemoteDenied, match=words):
            sign({"HOME": str(home), "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}, profile)


def test_a_request_does_not_show_its_signature() -> None:
    """Nothing that is secret is in what a log would show of a request."""
    told = repr(sign({"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "token"}))
    assert "token" not in told
    assert "Signature" not in told


def _signed_by_awscrt(request: Request, region: str, secret: Secret, moment: datetime) -> str:
    """The Authorization header that Amazon's own library makes."""
    body_hash = request.headers.get(SHA256) or (UNSIGNED if request.body else auth.AwsSignedBodyValue.EMPTY_SHA256)
    configuration = auth.AwsSigningConfig(
        credentials_provider=auth.AwsCredentialsProvider.new_static(
            secret.access_key, secret.secret_key, secret.token or None
        ),
        region=region,
        service="s3",
        date=moment,
        use_double_uri_encode=False,
        should_normalize_uri_path=False,
        signed_body_value=body_hash,
        signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
    )
    own = [(name, value.encode("latin-1").decode()) for name, value in request.headers.items() if name != SHA256]
    headers = http.HttpHeaders([("host", request.origin.authority), *own])
    signing = auth.aws_sign_request(http.HttpRequest(request.method, request.target, headers), configuration)
    return str(signing.result(10).headers.get("authorization"))


_TEXT = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=20)


@given(
    key=_TEXT.map(lambda text: f"/bck/{encode(text, '/')}"),
    query=st.lists(st.tuples(_TEXT.filter(bool), _TEXT), max_size=4, unique_by=lambda pair: pair[0]),
    metadata=st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), _TEXT, max_size=4),
    body=st.binary(max_size=3),
    port=st.none() | st.integers(1, 65535),
    root=st.sampled_from(["", "/s3"]),
    token=st.sampled_from(["", "a/token=="]),
    seconds=st.integers(0, 2**32),
)
def test_requests_are_signed_as_amazon_s_own_library_signs_them(
    key: str, query: list[tuple[str, str]], metadata: dict[str, str], body: bytes, port: int | None, root: str,
    token: str, seconds: int,
) -> None:  # fmt: skip
    """Whatever there is in keys, queries, headers and credentials."""
    headers = {f"x-amz-meta-{name}": value.encode().decode("latin-1") for name, value in metadata.items()}
    place = Origin("http", "h.example", port, root)
    request = Request("PUT", place, key, tuple(query), headers, body)
    secret = Secret("AKIDEXAMPLE", "se/cr+et", token)
    ours = signed(request, "eu-north-1", secret, seconds).headers["authorization"]
    assert ours == _signed_by_awscrt(request, "eu-north-1", secret, datetime.fromtimestamp(seconds, UTC))


def test_a_header_that_is_not_text_is_not_signed() -> None:
    """Metadata is UTF-8: what is not would be signed as something else than is sent."""
    request = Request("PUT", Origin("http", "h", 1), "/bck/key", headers={"x-amz-meta-a": "\xff"})
    with pytest.raises(errors.InvalidArgument):
        signed(request, "us-east-1", Secret("a", "b"))
    assert "b" not in repr(Secret("a", "b")).removeprefix("Secret")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_bucket_s_region_is_learnt(s3_remote: Remote, method: str) -> None:
    """A remote that names another region is asked again with a signature for that, once and for all."""
    name = s3_remote.new_bucket()
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-9</Region></Error>"

    async def story() -> None:
        async with proxy(s3_remote.url) as between:
            upstream = s3_remote.open(name, between.url)
            await upstream.put("key", pieces(b"x"))
            between.seen.clear()
            with_header = faults.status(301, x_amz_bucket_region="eu-west-9")
            between.plan = [with_header] if method == "GET" else [faults.status(400), faults.status(400, body)]
            if method == "GET":
                assert await read(upstream, "key") == b"x"
            assert (await upstream.head("key")).size == 1
            regions = [seen.headers["authorization"].split("/")[2] for seen in between.seen]
            assert regions[0] == "us-east-1"
            assert regions[-1] == "eu-west-9"
            assert regions == sorted(regions, reverse=True)
            await upstream.close()

    run(story)


def test_a_region_that_is_none_is_not_believed(s3_remote: Remote) -> None:
    """A remote cannot send our requests to another host by way of a region's name."""
    name = s3_remote.new_bucket()

    async def story() -> None:
        async with proxy(s3_remote.url) as between:
            upstream = s3_remote.open(name, between.url)
            between.plan = [faults.status(301, x_amz_bucket_region="evil.example/#")]
            with pytest.raises(errors.RemoteUnavailable):
                await upstream.check()
            assert len(between.seen) == 1
            await upstream.close()

    run(story)


def test_what_is_too_large_to_copy_is_copied_in_parts(s3_remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the limit of one request, a copy is as whole, and as well described."""
    monkeypatch.setattr(s3, "MAX_COPY", 6 * 1024**2)
    monkeypatch.setattr(s3_parts, "COPY_PART", 5 * 1024**2)

    async def story() -> None:
        upstream = s3_remote.open(s3_remote.new_bucket())
        data = bytes(range(256)) * 4 * 1024 * 7
        await upstream.put("key", pieces(data), headers={"content-type": "a/b"}, metadata={"c": "d"})
        copied = await upstream.copy("key", "copy")
        assert copied.etag.endswith("-2")
        found = await upstream.head("copy")
        assert (found.etag, found.size, found.headers["content-type"], dict(found.metadata)) == (
            copied.etag,
            len(data),
            "a/b",
            {"c": "d"},
        )
        assert await read(upstream, "copy") == data
        await upstream.close()

    run(story)


def test_the_size_of_parts_and_pages_is_the_bucket_s(s3_remote: Remote) -> None:
    """``multipart_size`` and ``max_pagesize`` are minded; parts that memory cannot hold are refused."""
    name = s3_remote.new_bucket()

    async def story() -> None:
        extra = Extra(aws=ExtraAWS(endpoint=s3_remote.url, multipart_size=5 * 1024**2, max_pagesize=1))
        upstream = open_upstream(name, extra, s3_remote.environment, IMPATIENT)
        written = await upstream.put("a", pieces(bytes(5 * 1024**2 + 1)))
        await upstream.put("b", pieces(b""))
        assert written.etag.endswith("-2")
        page = await upstream.list()
        assert [entry.key for entry in page.entries] == ["a"]
        assert page.last == "a"
        await upstream.close()
        for size in (-1, 65 * 1024**2):
            with pytest.raises(errors.NotImplementedByServer):
                open_upstream(name, Extra(aws=ExtraAWS(multipart_size=size)), {})

    run(story)


def test_metadata_that_is_not_ascii(s3_remote: Remote) -> None:
    """UTF-8 in metadata comes back, and what Amazon makes of it is read as it was given."""

    async def story() -> None:
        upstream = s3_remote.open(s3_remote.new_bucket())
        text = "grün".encode().decode("latin-1")  # as headers have it
        await upstream.put("key", pieces(b"x"), metadata={"a": text, "b": "=?UTF-8?B?Z3LDvG4=?=", "c": "=?x"})
        found = await upstream.head("key")
        assert dict(found.metadata) == {"a": text, "b": text, "c": "=?x"}
        with pytest.raises(errors.InvalidArgument):
            await upstream.put("key", pieces(b"x"), metadata={"a": "\xff"})
        await upstream.close()

    run(story)
