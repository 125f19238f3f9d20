"""Multipart uploads through the native API: the same uploads that S3 clients make."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import requests
from aistore.sdk import Bucket
from aistore.sdk.errors import AISError, ErrObjNotFound

from tests.ais.helpers import MIB, url_of
from tidegate.testing import ServerProcess


def test_parts_of_any_size_in_any_order_make_an_object(bucket: Bucket, s3: Any) -> None:
    """They are put together by number; nobody sees the object before, and S3 clients see a multipart ETag."""
    parts = {3: b"end", 1: b"a" * MIB, 2: b"b"}
    upload = bucket.object("key").multipart_upload().create()
    for number, content in parts.items():
        upload.add_part(number).put_content(content)
    with pytest.raises(ErrObjNotFound):
        bucket.object("key").get_reader().read_all()
    upload.complete()
    whole = b"".join(parts[number] for number in sorted(parts))
    assert bucket.object("key").get_reader().read_all() == whole
    digests = b"".join(hashlib.md5(parts[number]).digest() for number in sorted(parts))
    assert s3.head_object(Bucket=bucket.name, Key="key")["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    chunks = bucket.object("key").head("chunked").chunks
    assert chunks is not None
    assert (chunks.chunk_count, chunks.max_chunk_size) == (3, MIB)


def test_a_part_may_be_sent_again(bucket: Bucket) -> None:
    """The last one of a number counts, and the SDK names it twice."""
    upload = bucket.object("key").multipart_upload().create()
    for content in (b"first", b"second"):
        upload.add_part(1).put_content(content)
    upload.complete()
    assert bucket.object("key").get_reader().read_all() == b"second"


def test_a_completion_that_is_repeated_is_no_error(bucket: Bucket) -> None:
    """A client that did not hear the answer asks again."""
    upload = bucket.object("key").multipart_upload().create()
    upload.add_part(1).put_content(b"content")
    assert upload.complete().headers["ETag"] == upload.complete().headers["ETag"]
    assert bucket.object("key").props.obj_version == "1"


def test_an_aborted_upload_leaves_nothing(bucket: Bucket, s3: Any) -> None:
    """It is gone for both doors."""
    upload = bucket.object("key").multipart_upload().create()
    upload.add_part(1).put_content(b"content")
    assert [found["Key"] for found in s3.list_multipart_uploads(Bucket=bucket.name)["Uploads"]] == ["key"]
    upload.abort()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket.name)
    for act in (upload.complete, upload.abort):
        with pytest.raises(AISError) as caught:
            act()
        assert caught.value.status_code == 404


def test_an_upload_goes_on_at_the_other_door(bucket: Bucket, s3: Any) -> None:
    """Begun here, filled and completed by an S3 client."""
    upload = bucket.object("key").multipart_upload().create()
    name = {"Bucket": bucket.name, "Key": "key", "UploadId": upload.upload_id}
    etag = s3.upload_part(**name, PartNumber=1, Body=b"content")["ETag"]
    s3.complete_multipart_upload(**name, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert bucket.object("key").get_reader().read_all() == b"content"


def test_a_part_is_verified(server: ServerProcess, bucket: Bucket) -> None:
    """One that is not what its checksum says is no part."""
    upload = bucket.object("key").multipart_upload().create()
    query = {"uploadId": upload.upload_id, "partNumber": "1"}
    headers = {"Ais-Checksum-Type": "md5", "Ais-Checksum-Value": "0" * 32}
    refused = requests.put(url_of(server, bucket, "key"), b"content", params=query, headers=headers)
    assert refused.status_code == 400
    assert "BAD DATA CHECKSUM" in refused.text
    upload.parts.append(1)
    with pytest.raises(AISError) as caught:
        upload.complete()
    assert caught.value.status_code == 400


@pytest.mark.parametrize("number", ["0", "-1", "10001", "x", "", "١", "1" * 5000])
def test_a_number_that_no_part_has_is_refused(server: ServerProcess, bucket: Bucket, number: str) -> None:
    """Parts count from 1 to 10000."""
    upload = bucket.object("key").multipart_upload().create()
    query = {"uploadId": str(upload.upload_id), "partNumber": number}
    assert requests.put(url_of(server, bucket, "key"), b"x", params=query).status_code == 400


@pytest.mark.parametrize(
    "value",
    [None, [], [{"part-number": 0}], [{"part-number": 2}], [{"etag": "x"}], "1", [{"part-number": 1, "etag": "x"}]],
)
def test_a_completion_that_names_no_such_parts_is_refused(server: ServerProcess, bucket: Bucket, value: object) -> None:
    """The upload stays as it is, and can be completed."""
    upload = bucket.object("key").multipart_upload().create()
    upload.add_part(1).put_content(b"content")
    message = json.dumps({"action": "mpt-complete", "value": value})
    refused = requests.post(url_of(server, bucket, "key"), data=message, params={"uploadId": upload.upload_id})
    assert refused.status_code == 400
    upload.complete()
    assert bucket.object("key").get_reader().read_all() == b"content"


def test_an_upload_is_of_one_object(server: ServerProcess, bucket: Bucket) -> None:
    """Its id is worth nothing with another key, and an id is needed."""
    upload = bucket.object("key").multipart_upload().create()
    for query, status in (({"uploadId": upload.upload_id, "partNumber": "1"}, 404), ({"partNumber": "1"}, 400)):
        assert requests.put(url_of(server, bucket, "other"), b"x", params=query).status_code == status
