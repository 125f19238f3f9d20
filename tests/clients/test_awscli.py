"""The AWS command line as it comes, at / and at /s3, against a server that checks every request."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore import xform_name

from tests.clients.conftest import MIB, MakeBucket
from tests.clients.programs import Result, environment, run
from tests.clients.sdk import read
from tidegate.s3.operations import HANDLERS
from tidegate.testing import ServerProcess

Aws = Callable[..., Result]
Api = Callable[..., Any]


@pytest.fixture(params=["", "/s3"], ids=["root", "prefix"])
def aws(request: pytest.FixtureRequest, server: ServerProcess, tmp_path: Path) -> Aws:
    """Runs ``aws``, in a folder of its own."""
    env = environment(server)
    endpoint = server.url + request.param

    def call(*arguments: str | Path, **options: Any) -> Result:
        return run("aws", "--endpoint-url", endpoint, *arguments, env=env, cwd=tmp_path, **options)

    return call


@pytest.fixture
def api(server: ServerProcess, bucket: str, tmp_path: Path) -> Api:
    """Runs ``aws s3api`` on a bucket, and gives the answer."""
    env = environment(server, AWS_ENDPOINT_URL_S3=server.url)

    def call(operation: str, *arguments: str, bucket: str | None = bucket, **options: Any) -> Any:
        where = () if bucket is None else ("--bucket", bucket)
        return run("aws", "s3api", operation, *where, *arguments, env=env, cwd=tmp_path, **options).json

    return call


# --- aws s3 ---


def test_buckets_are_made_listed_and_removed(aws: Aws, make_bucket: MakeBucket, s3: Any) -> None:
    """mb, ls and rb; a bucket that is not empty stays unless it is told to go with all that is in it."""
    bucket = make_bucket()
    s3.delete_bucket(Bucket=bucket)
    assert aws("s3", "mb", f"s3://{bucket}").output == f"make_bucket: {bucket}\n"
    assert bucket in {line.split()[-1] for line in aws("s3", "ls").lines}
    s3.put_object(Bucket=bucket, Key="object", Body=b"")
    assert "BucketNotEmpty" in aws("s3", "rb", f"s3://{bucket}", code=1).errors
    assert aws("s3", "rb", f"s3://{bucket}", "--force").lines[-1] == f"remove_bucket: {bucket}"
    assert bucket not in {line.split()[-1] for line in aws("s3", "ls").lines}


def test_files_are_copied_moved_and_removed(aws: Aws, bucket: str, tmp_path: Path, large_bytes: bytes) -> None:
    """cp, mv and rm between files, streams and objects, of any name and of many parts."""
    data = large_bytes[: 18 * MIB]
    (tmp_path / "file ü.txt").write_bytes(data)
    aws("s3", "cp", "file ü.txt", f"s3://{bucket}/a b/")
    aws("s3", "cp", f"s3://{bucket}/a b/file ü.txt", f"s3://{bucket}/copy")
    aws("s3", "mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    assert aws("s3", "ls", f"s3://{bucket}/").output.splitlines()[0].split() == ["PRE", "a", "b/"]
    assert [line.split()[2:] for line in aws("s3", "ls", f"s3://{bucket}/moved").lines] == [[str(len(data)), "moved"]]
    aws("s3", "mv", f"s3://{bucket}/moved", "fetched")
    assert (tmp_path / "fetched").read_bytes() == data
    aws("s3", "cp", "-", f"s3://{bucket}/stream", data=b"from a stream")
    assert aws("s3", "cp", f"s3://{bucket}/stream", "-").output == "from a stream"
    removed = aws("s3", "rm", f"s3://{bucket}", "--recursive").lines
    assert sorted(removed) == [f"delete: s3://{bucket}/a b/file ü.txt", f"delete: s3://{bucket}/stream"]
    assert aws("s3", "ls", f"s3://{bucket}").output == ""


def test_folders_are_synchronised(aws: Aws, bucket: str, make_bucket: MakeBucket, tmp_path: Path) -> None:
    """sync copies what is new or has changed, in both directions and between buckets, and deletes if it is told to."""
    here, there, other = tmp_path / "here", tmp_path / "there", make_bucket()
    for name in "a.txt", "b/c.txt", "b/d e.txt":
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    assert len(aws("s3", "sync", "here", f"s3://{bucket}/x").lines) == 3
    assert aws("s3", "sync", "here", f"s3://{bucket}/x").output == ""
    assert len(aws("s3", "sync", f"s3://{bucket}", f"s3://{other}").lines) == 3
    aws("s3", "sync", f"s3://{other}/x", "there")
    assert {str(path.relative_to(there)) for path in there.rglob("*.txt")} == {"a.txt", "b/c.txt", "b/d e.txt"}
    (here / "a.txt").unlink()
    (here / "b/c.txt").write_text("longer than before")
    assert len(aws("s3", "sync", "here", f"s3://{bucket}/x", "--delete").lines) == 2
    listed = aws("s3", "ls", f"s3://{bucket}", "--recursive", "--summarize").output
    assert "Total Objects: 2" in listed
    assert "a.txt" not in listed


def test_presigned(aws: Aws, bucket: str, s3: Any) -> None:
    """A URL that was presigned is good for anybody."""
    s3.put_object(Bucket=bucket, Key="a b.txt", Body=b"data")
    url = aws("s3", "presign", f"s3://{bucket}/a b.txt").output.strip()
    with urllib3.PoolManager(retries=False) as pool:
        assert pool.request("GET", url).data == b"data"
        assert pool.request("GET", url.replace("txt", "txx")).status == 403


# --- aws s3api ---


def test_no_operation_is_left_out() -> None:
    """Every operation that the server has is used in a test of this file."""
    used = set(re.findall(r'\bapi\(\s*"([a-z0-9-]+)"', Path(__file__).read_text(encoding="utf-8")))
    implemented = {xform_name(name, "-") for name in HANDLERS}
    assert implemented <= used


def test_operations_on_buckets(api: Api, bucket: str) -> None:
    """What s3api does with a bucket."""
    name = f"{bucket}-new"
    api("create-bucket", bucket=name)
    assert api("head-bucket", bucket=name)["BucketRegion"] == "us-east-1"
    assert api("get-bucket-location", bucket=name) == {"LocationConstraint": None}
    listed = api("list-buckets", "--prefix", bucket, bucket=None)
    assert [each["Name"] for each in listed["Buckets"]] == [bucket, name]
    tags = {"TagSet": [{"Key": "project", "Value": "blue"}]}
    api("put-bucket-tagging", "--tagging", json.dumps(tags), bucket=name)
    assert api("get-bucket-tagging", bucket=name) == tags
    api("delete-bucket-tagging", bucket=name)
    api("put-bucket-versioning", "--versioning-configuration", "Status=Enabled", bucket=name)
    assert api("get-bucket-versioning", bucket=name) == {"Status": "Enabled"}
    api("delete-bucket", bucket=name)
    assert len(api("list-buckets", "--prefix", bucket, bucket=None)["Buckets"]) == 1


def test_operations_on_objects(api: Api, bucket: str, s3: Any, tmp_path: Path) -> None:
    """What s3api does with an object."""
    (tmp_path / "file").write_bytes(b"0123456789")
    etag = f'"{hashlib.md5(b"0123456789").hexdigest()}"'
    put = api("put-object", "--key", "k/ü", "--body", "file", "--metadata", "a=1", "--content-type", "text/plain")
    assert put["ETag"] == etag
    head = api("head-object", "--key", "k/ü")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (10, "text/plain", {"a": "1"})
    got = api("get-object", "--key", "k/ü", "--range", "bytes=2-4", "out")
    assert got["ContentRange"] == "bytes 2-4/10"
    assert (tmp_path / "out").read_bytes() == b"234"
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    attributes = api("get-object-attributes", "--key", "k/ü", "--object-attributes", *wanted)
    assert (attributes["ObjectSize"], attributes["ETag"]) == (10, etag.strip('"'))
    tagging = {"TagSet": [{"Key": "t", "Value": "1"}]}
    api("put-object-tagging", "--key", "k/ü", "--tagging", json.dumps(tagging))
    assert api("get-object-tagging", "--key", "k/ü")["TagSet"] == tagging["TagSet"]
    copied = api("copy-object", "--key", "copy", "--copy-source", f"{bucket}/k/ü")
    assert copied["CopyObjectResult"]["ETag"] == etag
    assert api("get-object-tagging", "--key", "copy")["TagSet"] == tagging["TagSet"]
    api("delete-object-tagging", "--key", "copy")
    assert api("get-object-tagging", "--key", "copy")["TagSet"] == []
    api("rename-object", "--key", "renamed", "--rename-source", "copy")
    for operation in "list-objects", "list-objects-v2":
        listed = api(operation, "--page-size", "1")
        assert [each["Key"] for each in listed["Contents"]] == ["k/ü", "renamed"]
    assert [each["Key"] for each in api("list-objects", "--delimiter", "/")["Contents"]] == ["renamed"]
    assert [each["Prefix"] for each in api("list-objects-v2", "--delimiter", "/")["CommonPrefixes"]] == ["k/"]
    api("delete-object", "--key", "renamed")
    deleted = api("delete-objects", "--delete", json.dumps({"Objects": [{"Key": "k/ü"}, {"Key": "missing"}]}))
    assert {each["Key"] for each in deleted["Deleted"]} == {"k/ü", "missing"}
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_operations_on_versions(api: Api, s3: Any, bucket: str, tmp_path: Path) -> None:
    """What s3api does with the versions of an object."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    (tmp_path / "file").write_bytes(b"first")
    first = api("put-object", "--key", "k", "--body", "file")["VersionId"]
    marker = api("delete-object", "--key", "k")
    assert marker["DeleteMarker"] is True
    versions = api("list-object-versions")
    assert [each["VersionId"] for each in versions["Versions"]] == [first]
    assert [each["VersionId"] for each in versions["DeleteMarkers"]] == [marker["VersionId"]]
    api("get-object", "--key", "k", "--version-id", first, "out")
    assert (tmp_path / "out").read_bytes() == b"first"
    api("delete-object", "--key", "k", "--version-id", marker["VersionId"])
    assert read(s3, bucket, "k") == b"first"


def test_operations_on_uploads(api: Api, s3: Any, bucket: str, tmp_path: Path, large_bytes: bytes) -> None:
    """What s3api does with uploads and their parts."""
    data = large_bytes[: 5 * MIB]
    (tmp_path / "part").write_bytes(data)
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload = ("--key", "k", "--upload-id", api("create-multipart-upload", "--key", "k")["UploadId"])
    parts = [{"PartNumber": 1, "ETag": api("upload-part", *upload, "--part-number", "1", "--body", "part")["ETag"]}]
    source = ("--copy-source", f"{bucket}/source", "--copy-source-range", "bytes=0-2")
    copied = api("upload-part-copy", *upload, "--part-number", "2", *source)
    parts.append({"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]})
    listed = api("list-parts", *upload)
    assert [(each["PartNumber"], each["ETag"], each["Size"]) for each in listed["Parts"]] == [
        (1, parts[0]["ETag"], 5 * MIB),
        (2, parts[1]["ETag"], 3),
    ]
    other = api("create-multipart-upload", "--key", "other")["UploadId"]
    assert [each["Key"] for each in api("list-multipart-uploads")["Uploads"]] == ["k", "other"]
    api("abort-multipart-upload", "--key", "other", "--upload-id", other)
    done = api("complete-multipart-upload", *upload, "--multipart-upload", json.dumps({"Parts": parts}))
    assert done["ETag"].endswith('-2"')
    assert done["Location"].endswith(f"/{bucket}/k")
    assert read(s3, bucket, "k") == data + b"012"
    assert api("list-multipart-uploads").get("Uploads", []) == []


def test_what_is_not_implemented_says_so(server: ServerProcess, bucket: str) -> None:
    """An operation that the server does not have ends with S3's own error, after one attempt."""
    result = run(
        "aws", "--endpoint-url", server.url, "s3api", "get-bucket-policy", "--bucket", bucket,
        env=environment(server), code=None,
    )  # fmt: skip
    assert result.code != 0
    assert "NotImplemented" in result.errors
