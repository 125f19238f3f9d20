"""Tokens on the S3 API, with clients as they come: boto3, s3cmd, and s3cmd patched as in AIStore's guide."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients.programs import Result, environment, run
from tests.identity.conftest import PASSWORD, Place

UNKNOWN = {"aws_access_key_id": "whatever", "aws_secret_access_key": "whatever"}
MIB = 1024 * 1024
# boto3 would send again, after a while, what was refused for its sums.
ONCE: dict[str, Any] = {"retries": {"total_max_attempts": 1}}

Boto3 = Callable[..., Any]


@pytest.fixture
def boto3(place: Place) -> Iterator[Boto3]:
    """Makes boto3 clients that sign with keys of nobody here, unless told otherwise."""
    made = []

    def make(**options: Any) -> Any:
        client = place.server.boto3_client(**{**UNKNOWN, "config": Config(**ONCE), **options})
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def code(act: Callable[[], object]) -> tuple[int, str]:
    """The status and code with which boto3 is refused."""
    with pytest.raises(ClientError) as caught:
        act()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.mark.parametrize("checksum", ["CRC32", "CRC32C", "SHA256", "CRC64NVME", None])
def test_boto3_with_a_session_token(place: Place, boto3: Boto3, checksum: str | None) -> None:
    """An unmodified SDK sends a token as its session token: whatever it signs with, the token says who it is."""
    options = {} if checksum else {"config": Config(request_checksum_calculation="when_required")}
    s3 = boto3(aws_session_token=place.alice, **options)
    bucket = f"session-{checksum or 'none'}".lower()
    s3.create_bucket(Bucket=bucket)
    body = b"x" * (100 * 1024)
    s3.put_object(Bucket=bucket, Key="key", Body=body, **({"ChecksumAlgorithm": checksum} if checksum else {}))
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == body
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["key"]
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    bob = boto3(aws_session_token=place.bob)
    assert code(lambda: bob.get_object(Bucket=bucket, Key="key")) == (403, "AccessDenied")
    assert bucket not in [each["Name"] for each in bob.list_buckets()["Buckets"]]


def test_boto3_uploads_in_parts(place: Place, boto3: Boto3, tmp_path: Path) -> None:
    """A large file in parts, each in signed chunks of a signature that nobody can check: framing and sums still are."""
    s3 = boto3(aws_session_token=place.alice)
    s3.create_bucket(Bucket="in-parts")
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * (20 * MIB // 256))
    s3.upload_file(str(file), "in-parts", "key")
    s3.download_file("in-parts", "key", str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_a_body_is_held_against_its_sums(place: Place, boto3: Boto3) -> None:
    """Where the signature cannot be checked, all that it would have covered of the body is."""
    s3 = boto3(aws_session_token=place.alice)
    s3.create_bucket(Bucket="sums")
    for wrong in ({"ChecksumCRC32": "AAAAAA=="}, {"ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}):
        assert code(partial(s3.put_object, Bucket="sums", Key="key", Body=b"body", **wrong))[1] == "BadDigest"

    def other_body(request: Any, **_: object) -> None:
        request.body = b"evil"

    s3 = boto3(aws_session_token=place.alice, config=Config(request_checksum_calculation="when_required", **ONCE))
    s3.meta.events.register("before-send.s3.PutObject", other_body)
    assert code(lambda: s3.put_object(Bucket="sums", Key="key", Body=b"good")) == (400, "XAmzContentSHA256Mismatch")
    assert code(lambda: s3.get_object(Bucket="sums", Key="key"))[1] == "NoSuchKey"


def test_a_key_of_ones_own_beside_the_token(place: Place, boto3: Boto3) -> None:
    """A signature by a key that is known here is checked, and its user has to be the token's."""
    access, secret = place.key("alice")
    mine = {"aws_access_key_id": access, "aws_secret_access_key": secret}
    s3 = boto3(aws_session_token=place.alice, **mine)
    s3.create_bucket(Bucket="own-key")
    s3.put_object(Bucket="own-key", Key="key", Body=b"body")
    for version in ("s3v4", "s3"):
        signer = boto3(aws_session_token=place.alice, config=Config(signature_version=version), **mine)
        url = signer.generate_presigned_url("get_object", Params={"Bucket": "own-key", "Key": "key"})
        assert "oken=" in url
        assert requests.get(url).content == b"body"
    wrong = boto3(aws_session_token=place.alice, aws_access_key_id=access, aws_secret_access_key="wrong")
    assert code(wrong.list_buckets) == (403, "SignatureDoesNotMatch")
    others = boto3(aws_session_token=place.bob, **mine)
    assert code(others.list_buckets) == (403, "AccessDenied")


def test_no_url_is_signed_with_a_key_of_nobody(place: Place, boto3: Boto3) -> None:
    """A presigned URL whose signature nobody can check would let its holder write another: it is refused."""
    s3 = boto3(aws_session_token=place.alice)
    s3.create_bucket(Bucket="urls")
    s3.put_object(Bucket="urls", Key="key", Body=b"body")
    for version in ("s3v4", "s3"):
        signer = boto3(aws_session_token=place.alice, config=Config(signature_version=version, **ONCE))
        url = signer.generate_presigned_url("get_object", Params={"Bucket": "urls", "Key": "key"})
        reply = requests.get(url)
        assert reply.status_code == 403
        assert "<Code>InvalidAccessKeyId</Code>" in reply.text


@pytest.mark.parametrize("token", ["x", "AQoDYXdzEJr", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_a_token_that_is_none(place: Place, boto3: Boto3, token: str) -> None:
    """A session token that is not ours is an error, with a good key beside it too."""
    access, secret = place.key("alice")
    assert code(boto3(aws_session_token=token).list_buckets) == (400, "InvalidToken")
    keys = {"aws_access_key_id": access, "aws_secret_access_key": secret}
    assert code(boto3(aws_session_token=token, **keys).list_buckets) == (400, "InvalidToken")


def test_revoked_and_expired(place: Place, boto3: Boto3) -> None:
    """A token that was ended is invalid, one that has come to its end has expired: Amazon's codes for both."""
    token = place.token("carol")
    s3 = boto3(aws_session_token=token)
    s3.list_buckets()
    place.revoke(token)
    assert code(s3.list_buckets) == (400, "InvalidToken")
    message: Any = {"password": PASSWORD, "expires_in": 10**9}
    short = requests.post(f"{place.server.url}/v1/users/carol", json=message).json()["token"]
    url, headers = f"{place.server.url}/s3", {"Authorization": f"Bearer {short}"}
    reply = requests.get(url, headers=headers)
    while reply.status_code == 200:
        reply = requests.get(url, headers=headers)
    assert reply.status_code == 400
    assert "<Code>ExpiredToken</Code>" in reply.text


def test_plain_requests(place: Place) -> None:
    """Bearer alone, and the header of session tokens alone, are enough for what can send headers only."""
    url = f"{place.server.url}/s3/plain-requests"
    bearer, session = {"Authorization": f"Bearer {place.alice}"}, {"X-Amz-Security-Token": place.alice}
    assert requests.put(url, headers=bearer).status_code == 200
    assert requests.put(f"{url}/key", data=b"body", headers=session).status_code == 200
    for headers in (bearer, session, {**bearer, **session}):
        assert requests.get(f"{url}/key", headers=headers).content == b"body"
    assert requests.get(f"{url}/key", headers={"Authorization": f"Bearer {place.bob}"}).status_code == 403
    assert requests.get(f"{url}/key").status_code == 403


# --- s3cmd -----------------------------------------------------------------------------------------------------------

# Where seed editions of AIStore's guide put the line: at the end of the one, at the end of the other.
AFTER_SIGNING = (
    "                                          bucket_region, self.headers, self.body)\n",
    '        self.headers["Authorization"] = "Bearer {token}"\n',
)
BEFORE_SENDING = (
    "        resource['uri'] += format_param_str(self.params)\n",
    '        self.headers["Authorization"] = "Bearer {token}"\n',
)


def patched(folder: Path, token: str, after: str, line: str) -> Path:
    """A copy of s3cmd's package with a line more."""
    copy = folder / "patched"
    shutil.copytree(Path(sysconfig.get_path("purelib")) / "S3", copy / "S3")
    source = copy / "S3" / "S3.py"
    text = source.read_text()
    assert text.count(after) == 1
    source.write_text(text.replace(after, after + line.format(token=token)))
    return copy


@pytest.mark.parametrize(
    ("how", "signature"),
    [
        ("get_triplet", ()),
        ("get_triplet", ("--signature-v2",)),
        ("sign", ()),
        ("--access-token", ()),
        ("--access-token", ("--signature-v2",)),
    ],
    ids=str,
)
def test_s3cmd(place: Place, tmp_path: Path, how: str, signature: tuple[str, ...]) -> None:
    """s3cmd with the guide's patch applied to a copy of it, in both places, and without any patch by its own option."""
    env = {**environment(place.server), "AWS_ACCESS_KEY_ID": "EFGH", "AWS_SECRET_ACCESS_KEY": "efgh"}
    options = ["--no-ssl", f"--host=127.0.0.1:{place.server.port}/s3", *signature]
    options.append(f"--host-bucket=127.0.0.1:{place.server.port}/s3")
    if how == "--access-token":
        options.append(f"--access_token={place.alice}")
    else:
        after, line = BEFORE_SENDING if how == "get_triplet" else AFTER_SIGNING
        env["PYTHONPATH"] = str(patched(tmp_path, place.alice, after, line))

    def s3cmd(*arguments: str | Path, code: int = 0) -> Result:
        return run("s3cmd", *options, *arguments, env=env, cwd=tmp_path, code=code)

    bucket = f"s3://s3cmd-{how.strip('-').replace('_', '-')}{'-v2' if signature else ''}"
    (tmp_path / "README.md").write_bytes(b"read me " * 1000)
    (tmp_path / "large").write_bytes(b"x" * (6 * MIB))
    s3cmd("mb", bucket)
    s3cmd("put", "README.md", bucket)
    s3cmd("put", "large", bucket, "--multipart-chunk-size-mb=5")
    assert f"{bucket}/README.md" in s3cmd("ls", bucket).output
    s3cmd("get", f"{bucket}/README.md", "copy.md")
    assert (tmp_path / "copy.md").read_bytes() == (tmp_path / "README.md").read_bytes()
    s3cmd("rm", f"{bucket}/README.md", f"{bucket}/large")
    s3cmd("rb", bucket)
