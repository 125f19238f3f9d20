"""boto3 as AIStore's users have it: with ``aistore.botocore_patch``, which makes it follow redirects, and without.

The patch changes botocore for a whole process, so each of these runs in one of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients.programs import environment, run
from tidegate.testing import ServerProcess

PATCH = "from aistore.botocore_patch import botocore"

STORY = """
import boto3
{patch}

s3 = boto3.client("s3", endpoint_url="{url}/s3")
s3.create_bucket(Bucket="{bucket}")
s3.put_object(Bucket="{bucket}", Key="a/one", Body=b"1" * 100_000)
s3.upload_file(__file__, "{bucket}", "two")
assert s3.get_object(Bucket="{bucket}", Key="a/one")["Body"].read() == b"1" * 100_000
assert s3.head_object(Bucket="{bucket}", Key="a/one")["ContentLength"] == 100_000
assert [each["Key"] for each in s3.list_objects_v2(Bucket="{bucket}")["Contents"]] == ["a/one", "two"]
s3.copy_object(Bucket="{bucket}", Key="three", CopySource="{bucket}/two")
upload = s3.create_multipart_upload(Bucket="{bucket}", Key="four")["UploadId"]
part = s3.upload_part(Bucket="{bucket}", Key="four", UploadId=upload, PartNumber=1, Body=b"part")
parts = [{{"PartNumber": 1, "ETag": part["ETag"]}}]
s3.complete_multipart_upload(Bucket="{bucket}", Key="four", UploadId=upload, MultipartUpload={{"Parts": parts}})
assert s3.get_object(Bucket="{bucket}", Key="four", Range="bytes=1-2")["Body"].read() == b"ar"
names = [each["Key"] for each in s3.list_objects_v2(Bucket="{bucket}")["Contents"]]
s3.delete_objects(Bucket="{bucket}", Delete={{"Objects": [{{"Key": name}} for name in names]}})
s3.delete_bucket(Bucket="{bucket}")
print("done")
"""


@pytest.mark.parametrize(("patch", "bucket"), [(PATCH, "patched"), ("", "as-it-comes")], ids=["patched", "as it comes"])
def test_boto3_works_with_the_patch_and_without(
    open_server: ServerProcess, tmp_path: Path, patch: str, bucket: str
) -> None:
    """Nothing is redirected: what needs the patch elsewhere needs none here, and the patch does no harm."""
    script = tmp_path / "story.py"
    script.write_text(STORY.format(patch=patch, url=open_server.url, bucket=bucket), encoding="utf-8")
    assert run(sys.executable, script, env=environment(open_server)).output.strip() == "done"
