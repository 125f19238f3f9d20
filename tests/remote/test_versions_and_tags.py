"""Versions by their ids, tags, conditional deletes, renames and metadata of objects that an S3 remote keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.ais.conftest import connect, disconnect
from tests.remote.conftest import Pair, new_name

MIB = 1024 * 1024


@pytest.fixture
def history(pair: Pair) -> str:
    """A bucket that keeps versions at the remote, and is known here."""
    name = pair.create(new_name())
    pair.s3_there.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def refused(act: Callable[[], object]) -> tuple[int, str]:
    """Status and code of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        act()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], str(response["Error"]["Code"])


def body_of(answer: Any) -> bytes:
    """All of an object."""
    with answer["Body"] as body:
        return bytes(body.read())


def put_there(pair: Pair, bucket: str, key: str, *contents: bytes) -> list[str]:
    """Versions of an object at the remote, one after the other. Their ids."""
    return [pair.s3_there.put_object(Bucket=bucket, Key=key, Body=each)["VersionId"] for each in contents]


# --- versions --------------------------------------------------------------------------------------------------------


def test_answers_name_the_remotes_version(pair: Pair, history: str) -> None:
    """A PUT, a HEAD, a cold GET and a warm one tell the version id that the remote has given."""
    put = pair.s3.put_object(Bucket=history, Key="key", Body=b"content")["VersionId"]
    there = pair.s3_there.head_object(Bucket=history, Key="key")["VersionId"]
    assert put == there == pair.s3.head_object(Bucket=history, Key="key")["VersionId"]
    assert pair.s3.get_object(Bucket=history, Key="key")["VersionId"] == there
    [newer] = put_there(pair, history, "cold", b"content")
    assert pair.s3.head_object(Bucket=history, Key="cold")["VersionId"] == newer
    cold, warm = (pair.s3.get_object(Bucket=history, Key="cold") for _ in range(2))
    assert cold["VersionId"] == warm["VersionId"] == newer


def test_a_bucket_without_versions_names_none(pair: Pair, bucket: str) -> None:
    """Where the remote keeps no versions, answers have no version id."""
    assert "VersionId" not in pair.s3.put_object(Bucket=bucket, Key="key", Body=b"content")
    assert "VersionId" not in pair.s3.get_object(Bucket=bucket, Key="key")


@pytest.mark.parametrize("size", [100, 9 * MIB])
def test_an_older_version_is_read_and_not_kept(pair: Pair, history: str, size: int) -> None:
    """A version that is named is the remote's, whole and in ranges; the object that is cached stays the current one."""
    old, new = (bytes([number]) * size for number in (1, 2))
    first, second = put_there(pair, history, "key", old, new)
    read = pair.s3.get_object(Bucket=history, Key="key", VersionId=first)
    assert (body_of(read), read["VersionId"]) == (old, first)
    assert not pair.is_cached(history, "key")
    assert body_of(pair.s3.get_object(Bucket=history, Key="key")) == new
    pair.wait_until_cached(history, "key")
    part = pair.s3.get_object(Bucket=history, Key="key", VersionId=first, Range="bytes=10-19")
    assert (body_of(part), part["ContentRange"]) == (b"\1" * 10, f"bytes 10-19/{size}")
    head = pair.s3.head_object(Bucket=history, Key="key", VersionId=first)
    assert (head["ContentLength"], head["ETag"]) == (size, read["ETag"])
    assert body_of(pair.s3.get_object(Bucket=history, Key="key", VersionId=second)) == new
    assert body_of(pair.s3.get_object(Bucket=history, Key="key")) == new


def test_the_cached_version_is_read_from_the_cache(pair: Pair) -> None:
    """A version that is named and is the one that is cached costs no request."""
    with pair.between() as way:
        bucket = pair.create(new_name(), way.url)
        pair.s3_there.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        version_id = pair.s3.put_object(Bucket=bucket, Key="key", Body=b"content")["VersionId"]
        before = len(way.seen)
        assert body_of(pair.s3.get_object(Bucket=bucket, Key="key", VersionId=version_id)) == b"content"
        assert len(way.seen) == before


def test_versions_that_are_not_there(pair: Pair, history: str) -> None:
    """A version that there is none of is 404 NoSuchVersion, a delete marker that is named 405, as on Amazon."""
    [version_id] = put_there(pair, history, "key", b"content")
    marker = pair.s3_there.delete_object(Bucket=history, Key="key")["VersionId"]
    unknown = version_id[:-1] + ("A" if version_id[-1] != "A" else "B")
    s3 = pair.s3
    assert refused(lambda: s3.get_object(Bucket=history, Key="key", VersionId=unknown)) == (404, "NoSuchVersion")
    assert refused(lambda: s3.head_object(Bucket=history, Key="key", VersionId=unknown))[0] == 404
    assert refused(lambda: s3.get_object(Bucket=history, Key="key", VersionId=marker)) == (405, "MethodNotAllowed")
    assert refused(lambda: s3.get_object(Bucket=history, Key="key")) == (404, "NoSuchKey")
    assert body_of(s3.get_object(Bucket=history, Key="key", VersionId=version_id)) == b"content"


def test_the_null_version_is_never_taken_from_the_cache(pair: Pair, bucket: str) -> None:
    """What ``null`` names may be replaced, so the remote is asked for it each time."""
    pair.s3.put_object(Bucket=bucket, Key="key", Body=b"mine")
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=b"theirs")
    assert body_of(pair.s3.get_object(Bucket=bucket, Key="key", VersionId="null")) == b"theirs"


@pytest.mark.parametrize("is_cached", [False, True])
def test_a_version_is_copied(pair: Pair, history: str, *, is_cached: bool) -> None:
    """A copy takes the version that it names: within the remote, where it restores it, to a bucket of ours, and as a
    part.
    """
    first, _ = put_there(pair, history, "key", b"old", b"new")
    if is_cached:
        pair.s3_there.delete_object(Bucket=history, Key="key")
        pair.s3_there.copy_object(Bucket=history, Key="key", CopySource=f"{history}/key?versionId={first}")
        first = pair.s3_there.head_object(Bucket=history, Key="key")["VersionId"]
        body_of(pair.s3.get_object(Bucket=history, Key="key"))
        pair.wait_until_cached(history, "key")
    source = {"Bucket": history, "Key": "key", "VersionId": first}
    copied = pair.s3.copy_object(Bucket=history, Key="key", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert pair.there(history, "key") == b"old"
    assert body_of(pair.s3.get_object(Bucket=history, Key="key")) == b"old"
    mine = new_name()
    pair.s3.create_bucket(Bucket=mine)
    assert pair.s3.copy_object(Bucket=mine, Key="copy", CopySource=source)["CopySourceVersionId"] == first
    assert body_of(pair.s3.get_object(Bucket=mine, Key="copy")) == b"old"
    upload_id = pair.s3.create_multipart_upload(Bucket=mine, Key="parts")["UploadId"]
    part = pair.s3.upload_part_copy(Bucket=mine, Key="parts", UploadId=upload_id, PartNumber=1, CopySource=source)
    assert part["CopySourceVersionId"] == first


def test_versions_are_deleted(pair: Pair, history: str) -> None:
    """A delete names the marker that it made; a version that is named goes for good, and what was cached of it."""
    first, second = put_there(pair, history, "key", b"old", b"new")
    assert body_of(pair.s3.get_object(Bucket=history, Key="key")) == b"new"
    pair.s3.delete_object(Bucket=history, Key="key", VersionId=second)
    assert body_of(pair.s3.get_object(Bucket=history, Key="key")) == b"old"
    deleted = pair.s3.delete_object(Bucket=history, Key="key")
    assert deleted["DeleteMarker"]
    pair.s3.delete_objects(
        Bucket=history, Delete={"Objects": [{"Key": "key", "VersionId": deleted["VersionId"]}, {"Key": "none"}]}
    )
    assert pair.there(history, "key") == b"old"
    assert pair.s3.delete_object(Bucket=history, Key="key", VersionId=second)["VersionId"] == second
    assert pair.s3.delete_object(Bucket=history, Key="key", VersionId=first)["VersionId"] == first


# --- tags ------------------------------------------------------------------------------------------------------------


def test_tags_are_the_remotes(pair: Pair, history: str) -> None:
    """Tags are set, read and removed at the remote, of the object or of a version that is named."""
    first, second = put_there(pair, history, "key é", b"old", b"new")
    tags = [{"Key": "a&b", "Value": "<é>"}, {"Key": "c", "Value": ""}]
    s3, there, name = pair.s3, pair.s3_there, {"Bucket": history, "Key": "key é"}
    assert s3.put_object_tagging(**name, Tagging={"TagSet": tags})["VersionId"] == second
    assert there.get_object_tagging(**name)["TagSet"] == tags
    assert s3.get_object_tagging(**name)["TagSet"] == tags
    s3.put_object_tagging(**name, VersionId=first, Tagging={"TagSet": tags[:1]})
    assert there.get_object_tagging(**name, VersionId=first)["TagSet"] == tags[:1]
    assert s3.get_object_tagging(**name, VersionId=first)["TagSet"] == tags[:1]
    s3.delete_object_tagging(**name)
    assert there.get_object_tagging(**name)["TagSet"] == []
    missing = {"Bucket": history, "Key": "missing"}
    assert refused(lambda: s3.get_object_tagging(**missing)) == (404, "NoSuchKey")
    assert refused(lambda: s3.put_object_tagging(**missing, Tagging={"TagSet": tags})) == (404, "NoSuchKey")


def test_tags_are_written_with_objects(pair: Pair, bucket: str) -> None:
    """A PUT, a multipart upload and a copy give the remote the tags that they name, and a copy those of its source."""
    s3, tags = pair.s3, [{"Key": "a b", "Value": "c&é"}]
    s3.put_object(Bucket=bucket, Key="put", Body=b"content", Tagging="a%20b=c%26%C3%A9")
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="parts", Tagging="a%20b=c%26%C3%A9")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload_id, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload_id, MultipartUpload=parts)
    mine = new_name()
    s3.create_bucket(Bucket=mine)
    s3.put_object(Bucket=mine, Key="key", Body=b"mine", Tagging="a%20b=c%26%C3%A9")
    s3.copy_object(Bucket=bucket, Key="copied", CopySource={"Bucket": mine, "Key": "key"})
    within = {"Bucket": bucket, "Key": "put"}
    s3.copy_object(Bucket=bucket, Key="within", CopySource=within)
    for key in ("put", "parts", "copied", "within"):
        assert pair.s3_there.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == tags, key
    s3.copy_object(Bucket=bucket, Key="other", CopySource=within, Tagging="d=e", TaggingDirective="REPLACE")
    assert pair.s3_there.get_object_tagging(Bucket=bucket, Key="other")["TagSet"] == [{"Key": "d", "Value": "e"}]


# --- conditional deletes ---------------------------------------------------------------------------------------------


def test_a_delete_is_conditional(pair: Pair, bucket: str) -> None:
    """If-Match is the remote's to evaluate: what was changed there is not deleted, and stays cached as it is there."""
    stale = pair.s3.put_object(Bucket=bucket, Key="key", Body=b"mine")["ETag"]
    current = pair.s3_there.put_object(Bucket=bucket, Key="key", Body=b"theirs")["ETag"]
    s3 = pair.s3
    assert refused(lambda: s3.delete_object(Bucket=bucket, Key="key", IfMatch=stale)) == (412, "PreconditionFailed")
    assert pair.there(bucket, "key") == b"theirs"
    outcome = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "key", "ETag": stale}]})
    assert [each["Code"] for each in outcome["Errors"]] == ["PreconditionFailed"]
    s3.delete_object(Bucket=bucket, Key="key", IfMatch=current)
    assert pair.there(bucket, "key") is None
    assert refused(lambda: s3.delete_object(Bucket=bucket, Key="key", IfMatch=current)) == (404, "NoSuchKey")


# --- renames and metadata --------------------------------------------------------------------------------------------


@pytest.fixture
def sdk_bucket(pair: Pair, bucket: str) -> Iterator[Any]:
    """The bucket, for AIStore's own client."""
    client = connect(pair.ours.url)
    yield client.bucket(bucket, provider="aws")
    disconnect(client)


def test_an_object_is_renamed(pair: Pair, bucket: str) -> None:
    """A rename, by S3 and by AIStore's API, moves the object at the remote; what was cached of both names goes."""
    for key in ("one", "two"):
        pair.s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"a": "b"}, ContentType="text/plain")
    pair.s3.rename_object(Bucket=bucket, Key="two", RenameSource=f"{bucket}/one")
    assert (pair.there(bucket, "one"), pair.there(bucket, "two")) == (None, b"one")
    read = pair.s3.get_object(Bucket=bucket, Key="two")
    assert (body_of(read), read["Metadata"], read["ContentType"]) == (b"one", {"a": "b"}, "text/plain")
    assert refused(lambda: pair.s3.head_object(Bucket=bucket, Key="one"))[0] == 404
    message = {"action": "rename-obj", "name": "three"}
    url = f"{pair.ours.url}/v1/objects/{bucket}/two"
    assert pair.http.post(url, params={"provider": "aws"}, json=message).status_code == 200
    assert (pair.there(bucket, "two"), pair.there(bucket, "three")) == (None, b"one")
    s3 = pair.s3
    missing = refused(lambda: s3.rename_object(Bucket=bucket, Key="four", RenameSource=f"{bucket}/missing"))
    assert missing == (404, "NoSuchKey")
    onto = refused(
        lambda: s3.rename_object(Bucket=bucket, Key="x", RenameSource=f"{bucket}/three", DestinationIfNoneMatch="*")
    )
    assert onto == (501, "NotImplemented")


def test_metadata_is_set_at_the_remote(pair: Pair, bucket: str, sdk_bucket: Any) -> None:
    """AIStore's client changes an object's metadata where the object is; the bytes, type and checksum stay."""
    pair.s3.put_object(Bucket=bucket, Key="key", Body=b"content", Metadata={"a": "1"}, ContentType="text/plain")
    sdk_bucket.object("key").get_writer().set_custom_props({"B": "2"})
    there = pair.s3_there.head_object(Bucket=bucket, Key="key")
    metadata = {name: value for name, value in there["Metadata"].items() if "cksum" not in name}
    assert (metadata, there["ContentType"]) == ({"a": "1", "b": "2"}, "text/plain")
    here = pair.s3.get_object(Bucket=bucket, Key="key")
    assert (body_of(here), here["Metadata"]) == (b"content", {"a": "1", "b": "2"})
    sdk_bucket.object("key").get_writer().set_custom_props({"c": "3"}, replace_existing=True)
    assert pair.s3.head_object(Bucket=bucket, Key="key")["Metadata"] == {"c": "3"}
