"""boto3 with its defaults, against a server that checks every request."""

from __future__ import annotations

import base64
import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED, httpchecksum
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients.conftest import LARGE, MIB, Connect, MakeBucket
from tests.clients.sdk import Pipe, code, read
from tidegate.testing import ServerProcess

ALGORITHMS = [name.upper() for name in httpchecksum._SUPPORTED_CHECKSUM_ALGORITHMS]
DIGEST_SIZES = {
    "CRC32": 4,
    "CRC32C": 4,
    "CRC64NVME": 8,
    "MD5": 16,
    "SHA1": 20,
    "SHA256": 32,
    "SHA512": 64,
    "XXHASH64": 8,
    "XXHASH3": 8,
    "XXHASH128": 16,
}
PART = 5 * MIB

ODD_KEYS = {
    "empty segment": "a//b",
    "parent": "../up",
    "parents inside": "a/../../b",
    "dot": "./here",
    "leading slash": "/leading",
    "directory marker": "trailing/",
    "slashes only": "//",
    "plus and percent": "a b+c%20d%2Fe",
    "query": "?query=1&more#fragment",
    "Unicode": "grüße/日本語/😀",
    "composed and decomposed": "e\u0301 and \u00e9",
    "quotes and tags": "back\\slash \"quotes\" 'and' <tags> & more",
    "line break": "line\nbreak\ttab",
    "control characters": "\x01control\x7f",
    "spaces around": " spaces around ",
    "punctuation": "~!@$^*()_-=[]{}|;:,.",
    "longest": "x" * 1024,
    "longest in UTF-8": "é" * 512,
}


# --- transfers ---


def test_a_large_file_is_uploaded_in_parts_and_downloaded(
    s3: Any, bucket: str, large_bytes: bytes, tmp_path: Path
) -> None:
    """The transfer manager sends and fetches a file in parts; the object has the ETag and checksum of one in parts."""
    (tmp_path / "up").write_bytes(large_bytes)
    s3.upload_file(str(tmp_path / "up"), bucket, "large")
    s3.download_file(bucket, "large", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == large_bytes
    head = s3.head_object(Bucket=bucket, Key="large", ChecksumMode="ENABLED")
    assert head["ContentLength"] == LARGE
    parts = [hashlib.md5(large_bytes[start : start + 8 * MIB]).digest() for start in range(0, LARGE, 8 * MIB)]
    assert head["ETag"] == f'"{hashlib.md5(b"".join(parts)).hexdigest()}-{len(parts)}"'
    assert head["ChecksumType"] == "FULL_OBJECT" or head["ChecksumCRC32"].endswith(f"-{len(parts)}")


def test_a_stream_that_cannot_seek_is_uploaded(s3: Any, bucket: str, large_bytes: bytes) -> None:
    """upload_fileobj takes a pipe, and download_fileobj gives the same bytes."""
    s3.upload_fileobj(Pipe(large_bytes), bucket, "streamed")
    fetched = io.BytesIO()
    s3.download_fileobj(bucket, "streamed", fetched)
    assert fetched.getvalue() == large_bytes


def test_a_large_object_is_copied_in_parts(s3: Any, make_bucket: MakeBucket, large_bytes: bytes) -> None:
    """The managed copy uses UploadPartCopy for what is larger than a part, between buckets."""
    source, target = make_bucket(), make_bucket()
    s3.put_object(Bucket=source, Key="from/ü", Body=large_bytes)
    s3.copy({"Bucket": source, "Key": "from/ü"}, target, "to")
    assert s3.head_object(Bucket=target, Key="to")["ETag"].endswith('-4"')
    assert read(s3, target, "to") == large_bytes


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 3 * MIB])
def test_put_and_get(s3: Any, bucket: str, size: int, large_bytes: bytes) -> None:
    """Objects of any size come back as they went, with the MD5 of their bytes as ETag."""
    data = large_bytes[:size]
    put = s3.put_object(Bucket=bucket, Key="object", Body=data)
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert "ChecksumCRC32" in put
    assert read(s3, bucket, "object") == data


def test_ranges_and_parts(s3: Any, bucket: str, large_bytes: bytes) -> None:
    """Any range of an object can be read, and any part of one that was uploaded in parts."""
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    s3.upload_fileobj(io.BytesIO(large_bytes[: 2 * PART + 7]), bucket, "object", Config=config)
    assert read(s3, bucket, "object", Range="bytes=5-9") == large_bytes[5:10]
    assert read(s3, bucket, "object", Range="bytes=-7") == large_bytes[2 * PART : 2 * PART + 7]
    assert read(s3, bucket, "object", Range=f"bytes={PART - 1}-{PART}") == large_bytes[PART - 1 : PART + 1]
    third = s3.get_object(Bucket=bucket, Key="object", PartNumber=3)
    with third["Body"] as body:
        assert (third["PartsCount"], body.read()) == (3, large_bytes[2 * PART : 2 * PART + 7])
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="object", Range=f"bytes={3 * PART}-")
    assert code(error) == (416, "InvalidRange")


# --- names, headers and metadata ---


@pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS)
def test_any_key_is_stored_under_its_very_name(s3: Any, bucket: str, key: str) -> None:
    """Put, head, get, list, copy and delete agree on a key, whatever its characters."""
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(key.encode())
    assert read(s3, bucket, key) == key.encode()
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert [each["Key"] for each in s3.list_objects(Bucket=bucket)["Contents"]] == [key]
    assert [each["Key"] for each in s3.list_object_versions(Bucket=bucket)["Versions"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert read(s3, bucket, "copy") == key.encode()
    if "\x01" not in key:  # XML 1.0 has no way to say it, in a request as little as in an answer
        deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
        assert [each["Key"] for each in deleted["Deleted"]] == [key]
    else:
        s3.delete_object(Bucket=bucket, Key=key)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["copy"]


def test_headers_and_metadata_come_back(s3: Any, bucket: str) -> None:
    """What is stored with an object is there again on every read, and can be overridden for one answer."""
    stored = {
        "CacheControl": "max-age=60",
        "ContentDisposition": "attachment; filename=\"a.txt\"; filename*=UTF-8''%C3%BC.txt",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de, en",
        "ContentType": "text/plain; charset=utf-8",
        "Metadata": {"plain": "value", "encoded": "=?UTF-8?B?w7xiZXI=?=", "with-dashes": "a, b,  c"},
        "StorageClass": "STANDARD_IA",
        "WebsiteRedirectLocation": "/elsewhere",
    }
    expires = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    s3.put_object(Bucket=bucket, Key="object", Body=b"data", Expires=expires, **stored)
    for answer in s3.head_object(Bucket=bucket, Key="object"), s3.get_object(Bucket=bucket, Key="object"):
        assert {name: answer.get(name) for name in stored} == stored
        assert answer["ExpiresString"] == "Mon, 03 Feb 2031 04:05:06 GMT"
        if "Body" in answer:
            answer["Body"].close()
    overridden = s3.get_object(
        Bucket=bucket,
        Key="object",
        ResponseCacheControl="no-cache",
        ResponseContentDisposition="inline",
        ResponseContentEncoding="identity",
        ResponseContentLanguage="fr",
        ResponseContentType="application/json",
        ResponseExpires=datetime(2032, 1, 1, tzinfo=UTC),
    )
    overridden["Body"].close()
    assert overridden["ContentType"] == "application/json"
    assert overridden["ContentDisposition"] == "inline"
    assert overridden["ContentEncoding"] == "identity"
    assert overridden["ContentLanguage"] == "fr"
    assert overridden["CacheControl"] == "no-cache"
    assert overridden["ExpiresString"] == "Thu, 01 Jan 2032 00:00:00 GMT"


# --- checksums ---


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_checksum_is_verified_kept_and_shown(s3: Any, bucket: str, algorithm: str) -> None:
    """A checksum of any algorithm that botocore computes is verified, kept, and verified by the client on reading."""
    name = f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="object", Body=b"some bytes", ChecksumAlgorithm=algorithm)
    head = s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert put[name] == head[name]
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert read(s3, bucket, "object") == b"some bytes"


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "MD5"])
def test_a_wrong_checksum_is_refused(connect: Connect, bucket: str, algorithm: str) -> None:
    """Bytes that are not what their checksum says are not stored."""
    # By itself boto3 tries again, four times: it takes it for a bad line.
    client = connect(config=Config(retries={"total_max_attempts": 1}))
    client.put_object(Bucket=bucket, Key="object", Body=b"some bytes", ChecksumAlgorithm="CRC32")
    wrong = base64.b64encode(bytes(DIGEST_SIZES[algorithm])).decode()
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=bucket, Key="object", Body=b"other bytes", **{f"Checksum{algorithm}": wrong})
    assert code(error) == (400, "BadDigest")
    assert read(client, bucket, "object") == b"some bytes"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_checksum_goes_with_the_parts_of_an_upload(
    s3: Any, bucket: str, algorithm: str, large_bytes: bytes
) -> None:
    """The transfer manager uploads parts with any algorithm; attributes show the checksum of the whole."""
    data = large_bytes[: PART + 11]
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    extra = {"ChecksumAlgorithm": algorithm}
    s3.upload_fileobj(io.BytesIO(data), bucket, "object", Config=config, ExtraArgs=extra)
    assert read(s3, bucket, "object") == data
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    found = s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=wanted)
    assert found["ObjectSize"] == len(data)
    assert found["ETag"].endswith("-2")
    assert found["StorageClass"] == "STANDARD"
    assert found["ObjectParts"]["TotalPartsCount"] == 2
    assert f"Checksum{algorithm}" in found["Checksum"]
    assert found["Checksum"]["ChecksumType"] in {"COMPOSITE", "FULL_OBJECT"}


def test_md5_is_a_checksum_too(s3: Any, bucket: str) -> None:
    """botocore has a field for MD5 as a checksum, though it does not compute it."""
    digest = base64.b64encode(hashlib.md5(b"data").digest()).decode()
    s3.put_object(Bucket=bucket, Key="object", Body=b"data", ChecksumMD5=digest)
    assert s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")["ChecksumMD5"] == digest


# --- conditions, versions, copies, tags ---


def test_conditional_reads(s3: Any, bucket: str) -> None:
    """An unchanged object is not sent again, and one that changed is not mistaken for the old one."""
    etag = s3.put_object(Bucket=bucket, Key="object", Body=b"data")["ETag"]
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="object", IfNoneMatch=etag)
    assert code(error) == (304, "304")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="object", IfModifiedSince=datetime.now(UTC))
    assert code(error) == (304, "304")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="object", IfMatch='"0123456789abcdef0123456789abcdef"')
    assert code(error) == (412, "PreconditionFailed")
    assert read(s3, bucket, "object", IfMatch=etag) == b"data"


def test_conditional_writes(s3: Any, bucket: str) -> None:
    """Put, complete, copy and delete happen only if the object is what the client takes it for."""
    s3.put_object(Bucket=bucket, Key="source", Body=b"0")
    etag = s3.put_object(Bucket=bucket, Key="object", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="object", Body=b"2", IfNoneMatch="*")
    assert code(error) == (412, "PreconditionFailed")
    s3.put_object(Bucket=bucket, Key="object", Body=b"3", IfMatch=etag)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="object", Body=b"4", IfMatch=etag)
    assert code(error) == (412, "PreconditionFailed")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="missing", Body=b"5", IfMatch=etag)
    assert code(error) == (404, "NoSuchKey")
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=bucket, Key="object", CopySource=f"{bucket}/source", IfNoneMatch="*")
    assert code(error) == (412, "PreconditionFailed")
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket=bucket, Key="object", IfMatch=etag)
    assert code(error) == (412, "PreconditionFailed")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    part = {"Bucket": bucket, "Key": "object", "UploadId": upload}
    parts = [{"PartNumber": 1, "ETag": s3.upload_part(PartNumber=1, Body=b"part", **part)["ETag"]}]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, IfNoneMatch="*", **part)
    assert code(error) == (412, "PreconditionFailed")
    s3.abort_multipart_upload(**part)
    s3.delete_object(Bucket=bucket, Key="object", IfMatch=s3.head_object(Bucket=bucket, Key="object")["ETag"])
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="object")


def test_versions(s3: Any, bucket: str) -> None:
    """A versioned bucket keeps what was overwritten and what was deleted, until a version is deleted by its id."""
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="object", Body=b"null")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    first = s3.put_object(Bucket=bucket, Key="object", Body=b"first")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="object", Body=b"second")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="object")
    assert marker["DeleteMarker"] is True
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="object")
    assert read(s3, bucket, "object", VersionId="null") == b"null"
    assert read(s3, bucket, "object", VersionId=first) == b"first"
    listed = s3.list_object_versions(Bucket=bucket)
    assert [each["VersionId"] for each in listed["Versions"]] == [second, first, "null"]
    assert [(each["VersionId"], each["IsLatest"]) for each in listed["DeleteMarkers"]] == [(marker["VersionId"], True)]
    s3.delete_object(Bucket=bucket, Key="object", VersionId=marker["VersionId"])
    assert read(s3, bucket, "object") == b"second"
    source = {"Bucket": bucket, "Key": "object", "VersionId": first}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert read(s3, bucket, "copy") == b"first"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=bucket, Key="object", Body=b"null again")
    versions = s3.list_object_versions(Bucket=bucket, Prefix="object")["Versions"]
    assert [each["VersionId"] for each in versions] == ["null", second, first]


def test_copies_keep_or_replace_metadata_and_tags(s3: Any, make_bucket: MakeBucket) -> None:
    """A copy has the source's metadata and tags unless it is told to have its own; to copy onto itself it has to be."""
    source, target = make_bucket(), make_bucket()
    s3.put_object(
        Bucket=source, Key="object", Body=b"data", Metadata={"a": "1"}, ContentType="text/plain", Tagging="t=1"
    )
    s3.copy_object(Bucket=target, Key="same", CopySource=f"{source}/object")
    s3.copy_object(
        Bucket=target,
        Key="other",
        CopySource=f"{source}/object",
        Metadata={"b": "2"},
        MetadataDirective="REPLACE",
        Tagging="t=2",
        TaggingDirective="REPLACE",
    )
    same, other = (s3.head_object(Bucket=target, Key=key) for key in ("same", "other"))
    assert (same["Metadata"], same["ContentType"]) == ({"a": "1"}, "text/plain")
    assert (other["Metadata"], other["ContentType"]) == ({"b": "2"}, "binary/octet-stream")
    tags = [s3.get_object_tagging(Bucket=target, Key=key)["TagSet"] for key in ("same", "other")]
    assert tags == [[{"Key": "t", "Value": "1"}], [{"Key": "t", "Value": "2"}]]
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=source, Key="object", CopySource=f"{source}/object")
    assert code(error) == (400, "InvalidRequest")
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=target, Key="x", CopySource=f"{source}/object", CopySourceIfNoneMatch=same["ETag"])
    assert code(error) == (412, "PreconditionFailed")


def test_tags(s3: Any, bucket: str) -> None:
    """Objects and buckets have tags that can be set, read and removed."""
    tags = [{"Key": "project", "Value": "grün"}, {"Key": "empty", "Value": ""}]
    s3.put_object(Bucket=bucket, Key="object", Body=b"", Tagging="one=1&two=2%20%2B")
    assert s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"] == [
        {"Key": "one", "Value": "1"},
        {"Key": "two", "Value": "2 +"},
    ]
    assert s3.head_object(Bucket=bucket, Key="object")["TagCount"] == 2
    s3.put_object_tagging(Bucket=bucket, Key="object", Tagging={"TagSet": tags})
    found = s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"]
    assert sorted(found, key=str) == sorted(tags, key=str)
    s3.delete_object_tagging(Bucket=bucket, Key="object")
    assert s3.get_object_tagging(Bucket=bucket, Key="object")["TagSet"] == []
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    found = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert sorted(found, key=str) == sorted(tags, key=str)
    s3.delete_bucket_tagging(Bucket=bucket)
    with pytest.raises(ClientError) as error:
        s3.get_bucket_tagging(Bucket=bucket)
    assert code(error) == (404, "NoSuchTagSet")


def test_append_and_rename(s3: Any, bucket: str) -> None:
    """Objects grow at their end and get other names, as in a directory bucket."""
    s3.put_object(Bucket=bucket, Key="log", Body=b"one ")
    s3.put_object(Bucket=bucket, Key="log", Body=b"two", WriteOffsetBytes=4)
    s3.rename_object(Bucket=bucket, Key="new name/é", RenameSource="log")
    assert read(s3, bucket, "new name/é") == b"one two"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["new name/é"]


def test_deleting_many(s3: Any, bucket: str) -> None:
    """One request deletes many objects, those that are not there too."""
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"{number} & <more>", Body=b"")
    wanted = [{"Key": f"{number} & <more>"} for number in range(6)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert sorted(each["Key"] for each in answer["Deleted"]) == [each["Key"] for each in wanted]
    assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_errors_are_those_of_the_client(s3: Any, bucket: str) -> None:
    """boto3 knows our errors by their names, and HEAD, which has no body, by its status."""
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="no-such-bucket")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="missing")
    with pytest.raises(s3.exceptions.NoSuchUpload):
        s3.list_parts(Bucket=bucket, Key="missing", UploadId="missing")
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="missing")
    assert code(error) == (404, "404")
    with pytest.raises(ClientError) as error:
        s3.head_bucket(Bucket="no-such-bucket")
    assert code(error) == (404, "404")
    s3.put_object(Bucket=bucket, Key="object", Body=b"")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=bucket)
    assert code(error) == (409, "BucketNotEmpty")
    with pytest.raises(ClientError) as error:
        s3.get_bucket_policy(Bucket=bucket)
    assert code(error) == (501, "NotImplemented")


# --- other ways to speak to the server ---


@pytest.mark.parametrize("path", ["", "/s3"])
@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_both_signatures_at_both_endpoints(
    server: ServerProcess, connect: Connect, bucket: str, signature: str, path: str
) -> None:
    """Versions 4 and 2 of the signature are verified at / and at /s3, for sub-resources and odd keys too."""
    client = connect(endpoint_url=server.url + path, config=Config(signature_version=signature))
    client.put_object(Bucket=bucket, Key="a b/ü+%", Body=b"data", Metadata={"x": "y"})
    assert read(client, bucket, "a b/ü+%", ResponseContentType="text/plain") == b"data"
    assert client.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket, Prefix="a b/")["Contents"]] == ["a b/ü+%"]
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a b/ü+%"}]})
    wrong = connect(
        endpoint_url=server.url + path, aws_secret_access_key="wrong", config=Config(signature_version=signature)
    )
    with pytest.raises(ClientError) as error:
        wrong.list_objects_v2(Bucket=bucket)
    assert code(error) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
@pytest.mark.parametrize("domain", ["localhost", "example.test"])
def test_a_bucket_in_the_host_name(
    server: ServerProcess, connect: Connect, bucket: str, local_names: None, domain: str, signature: str
) -> None:
    """Virtual-host-style addressing works under localhost and under --domain, with keys that look like paths."""
    config = Config(s3={"addressing_style": "virtual"}, signature_version=signature)
    client = connect(endpoint_url=f"http://{domain}:{server.port}", config=config)
    client.put_object(Bucket=bucket, Key="s3/object ü", Body=b"data")
    assert read(client, bucket, "s3/object ü") == b"data"
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["s3/object ü"]
    assert bucket in {each["Name"] for each in client.list_buckets()["Buckets"]}
    client.delete_object(Bucket=bucket, Key="s3/object ü")
    client.delete_bucket(Bucket=bucket)


def test_without_authentication_anybody_is_served(open_server: ServerProcess, connect: Connect) -> None:
    """With authentication off, unsigned requests and any keys do everything."""
    unsigned = connect(open_server, config=Config(signature_version=UNSIGNED))
    anybody = connect(open_server, aws_access_key_id="somebody", aws_secret_access_key="something")
    unsigned.create_bucket(Bucket="open-to-all")
    unsigned.put_object(Bucket="open-to-all", Key="object", Body=b"data")
    assert read(anybody, "open-to-all", "object") == b"data"
    anybody.upload_fileobj(Pipe(b"more"), "open-to-all", "more")
    assert read(unsigned, "open-to-all", "more") == b"more"


def test_with_authentication_nobody_is_served_unsigned(connect: Connect, bucket: str) -> None:
    """Where credentials are checked, a request without any is refused."""
    unsigned = connect(config=Config(signature_version=UNSIGNED))
    with pytest.raises(ClientError) as error:
        unsigned.list_objects_v2(Bucket=bucket)
    assert code(error) == (403, "AccessDenied")


@pytest.mark.parametrize("region", ["eu-central-1", "us-west-2", "local-1"])
def test_any_region(connect: Connect, region: str) -> None:
    """A client may be configured for any region; a bucket says where it was made."""
    client = connect(region_name=region)
    name = f"bucket-in-{region}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    assert client.get_bucket_location(Bucket=name)["LocationConstraint"] == region
    assert client.head_bucket(Bucket=name)["BucketRegion"] == region
    client.delete_bucket(Bucket=name)


def test_the_resource_api(server: ServerProcess, bucket: str) -> None:
    """boto3's resources list, read, copy and delete all that is in a bucket; waiters see what happened."""
    resource = boto3.resource(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )
    mine = resource.Bucket(bucket)
    mine.wait_until_exists()
    mine.Versioning().enable()
    for number in range(3):
        mine.put_object(Key=f"dir/{number}", Body=str(number).encode())
    mine.Object("dir/0").put(Body=b"new")
    mine.Object("dir/0").wait_until_exists()
    mine.Object("copy").copy_from(CopySource={"Bucket": bucket, "Key": "dir/1"})
    assert [each.key for each in mine.objects.all()] == ["copy", "dir/0", "dir/1", "dir/2"]
    assert [each.key for each in mine.objects.filter(Prefix="dir/").limit(2)] == ["dir/0", "dir/1"]
    assert mine.Object("copy").content_length == 1
    with mine.Object("dir/0").get()["Body"] as body:
        assert body.read() == b"new"
    assert len(list(mine.object_versions.filter(Prefix="dir/0"))) == 2
    mine.objects.filter(Prefix="dir/").delete()
    mine.Object("dir/0").wait_until_not_exists()
    mine.object_versions.delete()
    mine.delete()
    mine.wait_until_not_exists()
    resource.meta.client.close()
