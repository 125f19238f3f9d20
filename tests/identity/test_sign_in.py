"""Signing in to S3 with a token for both keys, as Pachyderm's clients do: on both ports, with both signatures."""

from __future__ import annotations

import base64
import io
import itertools
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from minio import Minio

from tests.attacks import signing
from tests.attacks.signing import STREAMING, STREAMING_TRAILER, Chunks, Keys, Request
from tests.cli.command import tidegate
from tests.clients.programs import environment, run
from tests.identity.conftest import PASSWORD, Place
from tests.robots import robot_token
from tidegate.testing import serve

MIB = 1024 * 1024
ONCE: dict[str, Any] = {"retries": {"total_max_attempts": 1}}

Boto3 = Callable[..., Any]

_numbers = itertools.count(1)


@pytest.fixture(params=["main", "repos"])
def port(request: pytest.FixtureRequest) -> str:
    """The port that sees all buckets, and the one of repositories."""
    chosen: str = request.param
    return chosen


@pytest.fixture(params=["session", "robot"])
def token(request: pytest.FixtureRequest, place: Place) -> str:
    """A user's token, which is long, and a robot's."""
    return place.alice if request.param == "session" else place.robot


@pytest.fixture
def url(place: Place, port: str) -> str:
    """The endpoint at a port."""
    found = place.server.url if port == "main" else place.server.repos_url
    assert found is not None
    return found


@pytest.fixture
def boto3(place: Place, url: str) -> Iterator[Boto3]:
    """Makes boto3 clients with a token for both keys; another secret may be given."""
    made = []

    def make(token: str, secret: str | None = None, **options: Any) -> Any:
        client = place.server.boto3_client(
            endpoint_url=url,
            aws_access_key_id=token,
            aws_secret_access_key=token if secret is None else secret,
            config=Config(**ONCE, **options),
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def bucket(port: str) -> str:
    """The name of a bucket that nobody else uses, at the port of repositories one of a branch."""
    return f"{'master.' if port == 'repos' else ''}sign-in-{next(_numbers)}"


def code(act: Callable[[], object]) -> tuple[int, str]:
    """The status and code with which boto3 is refused."""
    with pytest.raises(ClientError) as caught:
        act()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_boto3(boto3: Boto3, token: str, bucket: str, tmp_path: Path) -> None:
    """The SDK with a token for both keys: objects whole and in parts, with what the token's user may do."""
    s3 = boto3(token)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", Metadata={"colour": "blue"})
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"
    (tmp_path / "large").write_bytes(b"0123456789" * MIB)
    s3.upload_file(str(tmp_path / "large"), bucket, "large")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "key"})
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(each["Key"], each["Size"]) for each in listed] == [("copy", 4), ("key", 4), ("large", 10 * MIB)]
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]


def test_the_rights_are_the_tokens(place: Place, boto3: Boto3, token: str, bucket: str) -> None:
    """Somebody else's token opens nothing of it, and lists nothing of it."""
    s3, other = boto3(token), boto3(place.bob)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    assert code(lambda: other.get_object(Bucket=bucket, Key="key")) == (403, "AccessDenied")
    assert code(lambda: other.put_object(Bucket=bucket, Key="key", Body=b"evil")) == (403, "AccessDenied")
    assert bucket not in [each["Name"] for each in other.list_buckets()["Buckets"]]


def test_no_url_is_presigned_with_a_token(boto3: Boto3, token: str, url: str, bucket: str) -> None:
    """A URL would show the token: it is refused, in words that say what to do, and do not repeat it."""
    boto3(token).create_bucket(Bucket=bucket)
    for version in ("s3v4", "s3"):
        signer = boto3(token, signature_version=version)
        for operation in ("get_object", "put_object"):
            presigned = signer.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": "key"})
            assert token in presigned
            reply = requests.request("GET" if operation == "get_object" else "PUT", presigned)
            assert (reply.status_code, "<Code>AccessDenied</Code>" in reply.text) == (403, True)
            assert "sign URLs with an access key" in reply.text
            assert token not in reply.text
    assert requests.get(f"{url}/{bucket}", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_another_secret_is_no_proof(place: Place, boto3: Boto3, token: str) -> None:
    """Who knows a token's text without the right secret has not shown that: the answer does not repeat the token."""
    for secret in ("", f"{token}x", place.bob, "wrong"):
        if secret:
            assert code(boto3(token, secret).list_buckets) == (403, "SignatureDoesNotMatch")
    for version, sign in (("s3v4", signing.v4), ("s3", signing.v2)):
        assert code(boto3(token, "wrong", signature_version=version).list_buckets) == (403, "SignatureDoesNotMatch")
        host = urlsplit(place.server.url).netloc
        signed = sign(Keys(token, "wrong"), Request("GET", "/", headers=(("host", host),)))
        reply = requests.get(place.server.url, headers=dict(signed.headers))
        assert (reply.status_code, "SignatureDoesNotMatch" in reply.text) == (403, True)
        assert token not in reply.text


def test_tokens_that_are_none(place: Place, boto3: Boto3) -> None:
    """What is like a token and is none, was revoked or has expired is an access key that nobody has."""
    revoked = place.token("carol")
    boto3(revoked).list_buckets()
    place.revoke(revoked)
    short = robot_token(place.server.data, "short", 1)
    listing = boto3(short).list_buckets
    while True:
        try:
            listing()
        except ClientError:
            break
    for bad in (
        revoked,
        short,
        f"tgr_{'A' * 40}",
        "tgr_",
        f"{place.alice}x",
        place.alice[:-9],
        "eyJhbGciOiJub25lIn0.e30.",
    ):
        for version in ("s3v4", "s3"):
            assert code(boto3(bad, signature_version=version).list_buckets) == (403, "InvalidAccessKeyId")


def test_a_long_token(place: Place, boto3: Boto3) -> None:
    """A token of somebody with very many rules still fits beside its signature."""
    tidegate("user", "add", "boss", "--admin", "--password", "--data", place.server.data, typed=f"{PASSWORD}\n")
    boss = requests.post(f"{place.server.url}/v1/users/boss", json={"password": PASSWORD}).json()["token"]
    rules: Any = [
        {"bck": {"name": f"a-bucket-of-many-{number}", "provider": "ais"}, "perm": "3"} for number in range(48)
    ]
    headers = {"Authorization": f"Bearer {boss}"}
    requests.post(f"{place.server.url}/v1/roles", json={"name": "many", "buckets": rules}, headers=headers)
    user: Any = {"id": "dora", "pass": PASSWORD, "roles": [{"name": "many"}]}
    requests.post(f"{place.server.url}/v1/users", json=user, headers=headers)
    token = requests.post(f"{place.server.url}/v1/users/dora", json={"password": PASSWORD}).json()["token"]
    assert 5000 < len(token) <= 8192
    for version in ("s3v4", "s3"):
        head = partial(boto3(token, signature_version=version).get_bucket_location, Bucket="none")
        assert code(head) == (404, "NoSuchBucket")
        assert code(boto3(token, "wrong", signature_version=version).list_buckets)[1] == "SignatureDoesNotMatch"


@pytest.mark.parametrize("form", [STREAMING, STREAMING_TRAILER])
def test_signed_chunks(url: str, boto3: Boto3, token: str, bucket: str, form: str) -> None:
    """A body in signed chunks is held against the token too: one byte that is another, and nothing is written."""
    boto3(token).create_bucket(Bucket=bucket)
    keys, body = Keys(token, token), b"x" * 70_000
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    framing = {"content_encoding": "aws-chunked", "x_amz_decoded_content_length": str(len(body))}
    if form == STREAMING_TRAILER:
        framing["x_amz_trailer"] = "x-amz-checksum-crc32"
    for key, changed in (("bad", True), ("good", False)):
        request = Request("PUT", f"/{bucket}/{key}", headers=(("host", urlsplit(url).netloc),)).with_headers(**framing)
        request = signing.v4(keys, request, payload=form)
        chunks = Chunks(keys, request)
        framed = chunks.chunk(body) + chunks.chunk(b"")
        framed += chunks.trailer(x_amz_checksum_crc32=crc32) if form == STREAMING_TRAILER else b""
        framed += b"\r\n"
        if changed:
            framed = framed.replace(b"xx\r\n", b"xy\r\n")
        reply = requests.put(f"{url}/{bucket}/{key}", data=framed, headers=dict(request.headers))
        assert (reply.status_code == 200) is not changed, reply.text
        assert token not in reply.text
    assert [each["Key"] for each in boto3(token).list_objects_v2(Bucket=bucket)["Contents"]] == ["good"]


def test_minio(url: str, token: str, bucket: str) -> None:
    """minio-py with a token for both keys."""
    minio = Minio(endpoint=urlsplit(url).netloc, access_key=token, secret_key=token, secure=False)
    minio.make_bucket(bucket_name=bucket)
    minio.put_object(bucket_name=bucket, object_name="key", data=io.BytesIO(b"body"), length=4)
    assert [each.object_name for each in minio.list_objects(bucket_name=bucket)] == ["key"]
    with minio.get_object(bucket_name=bucket, object_name="key") as reply:
        assert reply.read() == b"body"
    minio._http.clear()


@pytest.mark.parametrize("signature", ["", "--signature-v2"])
def test_s3cmd(place: Place, url: str, token: str, bucket: str, signature: str, tmp_path: Path) -> None:
    """s3cmd with a token for both keys, and both signatures: files whole and in parts."""
    env = {**environment(place.server), "AWS_ACCESS_KEY_ID": token, "AWS_SECRET_ACCESS_KEY": token}
    host = urlsplit(url).netloc
    options = ["--no-ssl", f"--host={host}", f"--host-bucket={host}", *([signature] if signature else [])]
    uri = f"s3://{bucket}{'2' if signature else '4'}"
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "large").write_bytes(b"x" * (6 * MIB))
    run("s3cmd", *options, "mb", uri, env=env, cwd=tmp_path)
    run("s3cmd", *options, "put", "small", uri, env=env, cwd=tmp_path)
    run("s3cmd", *options, "put", "large", uri, "--multipart-chunk-size-mb=5", env=env, cwd=tmp_path)
    assert f"{uri}/large" in run("s3cmd", *options, "ls", uri, env=env).output
    run("s3cmd", *options, "get", f"{uri}/small", "copy", env=env, cwd=tmp_path)
    assert (tmp_path / "copy").read_bytes() == b"small"
    run("s3cmd", *options, "rm", f"{uri}/small", f"{uri}/large", env=env)
    run("s3cmd", *options, "rb", uri, env=env)


def test_aws(place: Place, url: str, token: str, bucket: str, tmp_path: Path) -> None:
    """The aws command with a token for both keys; it presigns without asking, and that is refused."""
    env = {**environment(place.server), "AWS_ACCESS_KEY_ID": token, "AWS_SECRET_ACCESS_KEY": token}
    (tmp_path / "file").write_bytes(b"body")
    aws = ("aws", "--endpoint-url", url, "s3")
    run(*aws, "mb", f"s3://{bucket}", env=env)
    run(*aws, "cp", "file", f"s3://{bucket}", env=env, cwd=tmp_path)
    assert "4 file" in run(*aws, "ls", f"s3://{bucket}", env=env).output
    presigned = run(*aws, "presign", f"s3://{bucket}/file", env=env).output.strip()
    assert requests.get(presigned).status_code == 403


def test_a_robots_token_is_a_token_everywhere(place: Place) -> None:
    """Robots' tokens are taken wherever tokens are: as Bearer by all doors, as session token, and to end themselves."""
    url, token = place.server.url, robot_token(place.server.data, "everywhere")
    bearer = {"Authorization": f"Bearer {token}"}
    assert requests.put(f"{url}/s3/robots-own", headers=bearer).status_code == 200
    session = {"X-Amz-Security-Token": token}
    assert requests.put(f"{url}/s3/robots-own/key", data=b"body", headers=session).status_code == 200
    assert requests.get(f"{url}/v1/objects/robots-own/key", headers=bearer).content == b"body"
    who = requests.get(f"{url}/v2/auth/whoami", headers=bearer).json()
    assert (who["user"], who["is_admin"], who["expires"]) == ("robot:everywhere", False, None)
    place.revoke(token)
    assert requests.get(f"{url}/v1/objects/robots-own/key", headers=bearer).status_code == 401
    assert requests.get(f"{url}/s3/robots-own/key", headers=bearer).status_code == 400
    assert "access_key=robot:everywhere " in place.server.log  # which has the name in the token's place


def test_a_token_for_both_keys_and_as_session_token(place: Place, port: str, url: str) -> None:
    """The same token in all places is accepted; somebody else's beside it is not."""
    del port
    for session, expected in ((place.alice, 200), (place.bob, 403)):
        client = place.server.boto3_client(
            endpoint_url=url,
            aws_access_key_id=place.alice,
            aws_secret_access_key=place.alice,
            aws_session_token=session,
            config=Config(**ONCE),
        )
        if expected == 200:
            client.list_buckets()
        else:
            assert code(client.list_buckets) == (403, "AccessDenied")
        client.close()


def test_without_authentication_any_keys_will_do() -> None:
    """With authentication off a token, any other keys, none, and presigned URLs are all the same."""
    with serve() as server:
        assert server.repos_url is not None
        for url, bucket in ((server.url, "bucket"), (server.repos_url, "master.repo")):
            for key, secret in ((f"tgr_{'A' * 40}",) * 2, ("x" * 4, "y" * 4)):
                s3 = server.boto3_client(endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret)
                if bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
                    s3.create_bucket(Bucket=bucket)
                s3.put_object(Bucket=bucket, Key="key", Body=b"body")
                presigned = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
                assert requests.get(presigned).content == b"body"
                s3.close()
            assert requests.get(f"{url}/{bucket}/key").content == b"body"
