"""minio-py with its defaults, against a server that checks every request."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from minio import Minio, S3Error
from minio.commonconfig import ENABLED, REPLACE, ComposeSource, CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.versioningconfig import VersioningConfig

from tests.clients.conftest import MIB
from tests.clients.sdk import Pipe
from tidegate.testing import ServerProcess


@pytest.fixture
def minio(server: ServerProcess) -> Iterator[Minio]:
    """A client of the server that checks credentials."""
    client = connect(server)
    yield client
    client._http.clear()


def connect(server: ServerProcess, **options: Any) -> Minio:
    """A client with the administrator's keys, unless told otherwise."""
    keys = {"access_key": server.access_key, "secret_key": server.secret_key}
    return Minio(endpoint=f"127.0.0.1:{server.port}", secure=False, **(keys | options))


def read(minio: Minio, bucket: str, key: str, **options: Any) -> bytes:
    """The bytes of an object."""
    response = minio.get_object(bucket_name=bucket, object_name=key, **options)
    try:
        return response.read()
    finally:
        response.close()
        response.release_conn()


def put(minio: Minio, bucket: str, key: str, data: bytes, **options: Any) -> Any:
    """Puts bytes."""
    return minio.put_object(bucket_name=bucket, object_name=key, data=io.BytesIO(data), length=len(data), **options)


def names(minio: Minio, bucket: str, **options: Any) -> list[str | None]:
    """What a listing names."""
    return [each.object_name for each in minio.list_objects(bucket_name=bucket, **options)]


def test_buckets(minio: Minio, bucket: str) -> None:
    """Buckets are made, found, listed and removed."""
    name = f"{bucket}-minio"
    minio.make_bucket(bucket_name=name)
    assert minio.bucket_exists(bucket_name=name)
    assert name in {each.name for each in minio.list_buckets()}
    minio.remove_bucket(bucket_name=name)
    assert not minio.bucket_exists(bucket_name=name)


def test_objects(minio: Minio, bucket: str) -> None:
    """Objects are put, described, read in whole and in part, listed and removed."""
    result = put(minio, bucket, "dir/a b+ü", b"0123456789", content_type="text/plain", metadata={"Colour": "blue"})
    assert result.etag == hashlib.md5(b"0123456789").hexdigest()
    stat = minio.stat_object(bucket_name=bucket, object_name="dir/a b+ü")
    assert (stat.size, stat.content_type, stat.etag) == (10, "text/plain", result.etag)
    assert stat.metadata is not None
    assert stat.metadata["x-amz-meta-Colour"] == "blue"
    assert read(minio, bucket, "dir/a b+ü") == b"0123456789"
    assert read(minio, bucket, "dir/a b+ü", offset=2, length=3) == b"234"
    put(minio, bucket, "top", b"")
    assert names(minio, bucket) == ["top", "dir/"]  # minio-py tells prefixes last
    assert names(minio, bucket, recursive=True) == ["dir/a b+ü", "top"]
    assert names(minio, bucket, prefix="dir/") == ["dir/a b+ü"]
    assert names(minio, bucket, recursive=True, start_after="dir/a b+ü") == ["top"]
    minio.remove_object(bucket_name=bucket, object_name="top")
    with pytest.raises(S3Error) as error:
        read(minio, bucket, "top")
    assert error.value.code == "NoSuchKey"


def test_large_files_and_streams(minio: Minio, bucket: str, large_bytes: bytes, tmp_path: Path) -> None:
    """Files, and streams of unknown length, go in parts."""
    (tmp_path / "large").write_bytes(large_bytes)
    minio.fput_object(bucket_name=bucket, object_name="file", file_path=str(tmp_path / "large"), part_size=8 * MIB)
    stream = io.BufferedReader(Pipe(large_bytes))
    minio.put_object(bucket_name=bucket, object_name="stream", data=stream, length=-1, part_size=10 * MIB)
    assert [each.size for each in minio.list_objects(bucket_name=bucket)] == [len(large_bytes)] * 2
    minio.fget_object(bucket_name=bucket, object_name="file", file_path=str(tmp_path / "fetched"))
    assert (tmp_path / "fetched").read_bytes() == large_bytes
    assert read(minio, bucket, "stream") == large_bytes


def test_copies_and_compositions(minio: Minio, bucket: str, large_bytes: bytes) -> None:
    """Objects are copied, with their metadata or other, and composed of others and of ranges of them."""
    data = large_bytes[: 5 * MIB]
    put(minio, bucket, "one", data, metadata={"a": "1"})
    put(minio, bucket, "two", b"0123456789")
    minio.copy_object(bucket_name=bucket, object_name="same", source=CopySource(bucket_name=bucket, object_name="one"))
    minio.copy_object(
        bucket_name=bucket,
        object_name="other",
        source=CopySource(bucket_name=bucket, object_name="one"),
        metadata={"b": "2"},
        metadata_directive=REPLACE,
    )
    same = minio.stat_object(bucket_name=bucket, object_name="same").metadata
    other = minio.stat_object(bucket_name=bucket, object_name="other").metadata
    assert same is not None
    assert other is not None
    assert same["x-amz-meta-a"] == "1"
    assert other["x-amz-meta-b"] == "2"
    assert "x-amz-meta-a" not in other
    minio.compose_object(
        bucket_name=bucket,
        object_name="whole",
        sources=[
            ComposeSource(bucket_name=bucket, object_name="one"),
            ComposeSource(bucket_name=bucket, object_name="two", offset=2, length=3),
        ],
    )
    assert read(minio, bucket, "whole") == data + b"234"


def test_many_objects_are_removed_at_once(minio: Minio, bucket: str) -> None:
    """remove_objects deletes a list, and has no errors to tell."""
    for number in range(3):
        put(minio, bucket, f"{number}", b"")
    wanted = [DeleteObject(name=f"{number}") for number in range(4)]
    assert list(minio.remove_objects(bucket_name=bucket, delete_object_list=wanted)) == []
    assert names(minio, bucket) == []


def test_presigned(minio: Minio, bucket: str) -> None:
    """URLs for GET and PUT are good for anybody, for as long as they say."""
    where: dict[str, Any] = {"bucket_name": bucket, "object_name": "a b+ü"}
    with urllib3.PoolManager(retries=False) as pool:
        assert pool.request("PUT", minio.presigned_put_object(**where), body=b"by URL").status == 200
        url = minio.presigned_get_object(
            **where,
            expires=dt.timedelta(minutes=5),
            extra_query_params={"response-content-type": "text/css"},
        )
        answer = pool.request("GET", url)
        assert (answer.data, answer.headers["content-type"]) == (b"by URL", "text/css")


def test_tags(minio: Minio, bucket: str) -> None:
    """Objects and buckets are tagged, and lose their tags again."""
    tags, where = Tags.new_object_tags(), {"bucket_name": bucket, "object_name": "object"}
    tags["project"] = "blue"
    put(minio, bucket, "object", b"", tags=tags)
    assert minio.get_object_tags(**where) == {"project": "blue"}
    tags["more"] = "1 + 1"
    minio.set_object_tags(**where, tags=tags)
    assert minio.get_object_tags(**where) == {"project": "blue", "more": "1 + 1"}
    minio.delete_object_tags(**where)
    assert not minio.get_object_tags(**where)
    bucket_tags = Tags.new_bucket_tags()
    bucket_tags["owner"] = "me"
    minio.set_bucket_tags(bucket_name=bucket, tags=bucket_tags)
    assert minio.get_bucket_tags(bucket_name=bucket) == {"owner": "me"}
    minio.delete_bucket_tags(bucket_name=bucket)
    assert minio.get_bucket_tags(bucket_name=bucket) is None


def test_versions(minio: Minio, bucket: str) -> None:
    """A bucket with versions keeps them; each is read and removed by its id."""
    minio.set_bucket_versioning(bucket_name=bucket, config=VersioningConfig(status=ENABLED))
    assert minio.get_bucket_versioning(bucket_name=bucket).status == ENABLED
    first = put(minio, bucket, "object", b"first").version_id
    second = put(minio, bucket, "object", b"second").version_id
    minio.remove_object(bucket_name=bucket, object_name="object")
    listed = list(minio.list_objects(bucket_name=bucket, include_version=True))
    assert [each.version_id for each in listed if not each.is_delete_marker] == [second, first]
    assert read(minio, bucket, "object", version_id=first) == b"first"
    for each in listed:
        minio.remove_object(bucket_name=bucket, object_name="object", version_id=each.version_id)
    assert list(minio.list_objects(bucket_name=bucket, include_version=True)) == []


def test_without_keys(open_server: ServerProcess, server: ServerProcess, bucket: str) -> None:
    """A client without keys is served where authentication is off, and refused where it is on."""
    anonymous = connect(open_server, access_key=None, secret_key=None)
    anonymous.make_bucket(bucket_name="minio-anonymous")
    put(anonymous, "minio-anonymous", "object", b"data")
    assert read(anonymous, "minio-anonymous", "object") == b"data"
    anonymous._http.clear()
    refused = connect(server, access_key=None, secret_key=None)
    with pytest.raises(S3Error) as error:
        names(refused, bucket)
    assert error.value.code == "AccessDenied"
    refused._http.clear()
