"""URLs that boto3 presigns with its defaults, used by a client that knows nothing of S3."""

from __future__ import annotations

from typing import Any

import pytest
import urllib3
from botocore.config import Config

from tests.clients.conftest import MIB, Connect
from tests.clients.sdk import read
from tidegate.testing import ServerProcess

# None is what boto3 chooses by itself.
SIGNATURES = [None, "s3v4", "s3"]


@pytest.fixture(params=SIGNATURES, ids=str)
def signer(request: pytest.FixtureRequest, connect: Connect) -> Any:
    """A client that presigns with one of the signatures."""
    return connect(config=Config(signature_version=request.param))


def send(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
    """The answer to a request as a browser would make it."""
    with urllib3.PoolManager(retries=False) as pool:
        return pool.request(method, url, body=body, headers=headers or {})


def test_get_and_put(signer: Any, bucket: str) -> None:
    """Whoever has the URL can read or write the one object, of any name, and nothing else."""
    where = {"Bucket": bucket, "Key": "a b/ü+%&?.txt"}
    put = signer.generate_presigned_url("put_object", where)
    assert send("PUT", put, b"by URL").status == 200
    get = signer.generate_presigned_url("get_object", where)
    assert send("GET", get).data == b"by URL"
    assert send("GET", get, headers={"Range": "bytes=3-"}).data == b"URL"
    assert send("PUT", get, b"other").status == 403
    assert send("GET", get.replace("a%20b", "a%20c")).status == 403
    head = send("HEAD", signer.generate_presigned_url("head_object", where))
    assert (head.status, head.headers["content-length"]) == (200, "6")
    assert send("DELETE", signer.generate_presigned_url("delete_object", where)).status == 204
    assert send("GET", get).status == 404


def test_answers_can_be_shaped(signer: Any, s3: Any, bucket: str) -> None:
    """A presigned GET can say how the object is to be presented, and the URL covers it."""
    s3.put_object(Bucket=bucket, Key="object", Body=b"data", ContentType="text/plain")
    url = signer.generate_presigned_url(
        "get_object",
        {
            "Bucket": bucket,
            "Key": "object",
            "ResponseContentType": "application/x-special; charset=utf-8",
            "ResponseContentDisposition": 'attachment; filename="new name.txt"',
            "ResponseCacheControl": "no-store",
        },
    )
    answer = send("GET", url)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-special; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="new name.txt"'
    assert answer.headers["cache-control"] == "no-store"
    assert send("GET", url.replace("special", "other")).status == 403


def test_headers_that_were_signed_have_to_come(signer: Any, s3: Any, bucket: str) -> None:
    """A presigned PUT can prescribe the type of what is put."""
    params = {"Bucket": bucket, "Key": "object", "ContentType": "image/png"}
    url = signer.generate_presigned_url("put_object", params)
    assert send("PUT", url, b"png", {"Content-Type": "text/html"}).status == 403
    assert send("PUT", url, b"png", {"Content-Type": "image/png"}).status == 200
    assert s3.head_object(Bucket=bucket, Key="object")["ContentType"] == "image/png"


def test_parts_of_an_upload(signer: Any, s3: Any, bucket: str) -> None:
    """A browser can upload the parts of an upload that somebody else starts and completes."""
    upload = {"Bucket": bucket, "Key": "object"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number, data in (1, b"x" * 5 * MIB), (2, b"y"):
        url = signer.generate_presigned_url("upload_part", {**upload, "PartNumber": number})
        parts.append({"PartNumber": number, "ETag": send("PUT", url, data).headers["etag"]})
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    assert read(s3, bucket, "object") == b"x" * 5 * MIB + b"y"


def test_listing_a_bucket(signer: Any, s3: Any, bucket: str) -> None:
    """Operations on a bucket can be presigned as well."""
    s3.put_object(Bucket=bucket, Key="object", Body=b"")
    url = signer.generate_presigned_url("list_objects_v2", {"Bucket": bucket, "Prefix": "ob"})
    assert b"<Key>object</Key>" in send("GET", url).data


def test_an_old_version(signer: Any, s3: Any, bucket: str) -> None:
    """The URL of a version reads that version, whatever came after it."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="object", Body=b"old")["VersionId"]
    s3.put_object(Bucket=bucket, Key="object", Body=b"new")
    params = {"Bucket": bucket, "Key": "object", "VersionId": version}
    assert send("GET", signer.generate_presigned_url("get_object", params)).data == b"old"


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("place", ["http://127.0.0.1:{}/s3", "http://localhost:{}", "http://localhost:{}/s3"])
def test_at_every_endpoint(
    server: ServerProcess, connect: Connect, bucket: str, signature: str | None, place: str
) -> None:
    """URLs presigned for /s3 and for another name of this machine are as good."""
    config = Config(signature_version=signature, s3={"addressing_style": "path"})
    signer = connect(endpoint_url=place.format(server.port), config=config)
    where = {"Bucket": bucket, "Key": "ü"}
    assert send("PUT", signer.generate_presigned_url("put_object", where), b"data").status == 200
    assert send("GET", signer.generate_presigned_url("get_object", where)).data == b"data"


@pytest.mark.parametrize("signature", SIGNATURES)
def test_with_the_bucket_in_the_host_name(
    server: ServerProcess, connect: Connect, bucket: str, local_names: None, signature: str | None
) -> None:
    """URLs in virtual-host style are verified too."""
    config = Config(signature_version=signature, s3={"addressing_style": "virtual"})
    signer = connect(endpoint_url=f"http://example.test:{server.port}", config=config)
    where = {"Bucket": bucket, "Key": "ü/s3"}
    url = signer.generate_presigned_url("put_object", where)
    assert url.startswith(f"http://{bucket}.example.test:")
    assert send("PUT", url, b"data").status == 200
    assert send("GET", signer.generate_presigned_url("get_object", where)).data == b"data"


def test_without_authentication_a_url_of_anybody_works(open_server: ServerProcess, connect: Connect) -> None:
    """With authentication off, a URL may be signed with any key, or not at all."""
    signer = connect(open_server, aws_access_key_id="somebody", aws_secret_access_key="something")
    signer.create_bucket(Bucket="by-url")
    where = {"Bucket": "by-url", "Key": "object"}
    assert send("PUT", signer.generate_presigned_url("put_object", where), b"data").status == 200
    url = signer.generate_presigned_url("get_object", where)
    assert send("GET", url).data == b"data"
    assert send("GET", url.partition("?")[0]).data == b"data"
