"""boto3's paginators: every listing in pages, each entry once, in the order of its bytes."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from tests.clients.conftest import MakeBucket

FOLDERS = ["a/", "a/1", "a/2", "a//3", "sub/日/1", "sub/日/2"]
FILES = ["a", "b+c d", "b%20", "e\u0301", "\u00e9", "\uffee", "😀", "z\n", "\x01"]
KEYS = sorted(FOLDERS + FILES, key=str.encode)


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    """A bucket with objects of all kinds of names."""
    for key in reversed(KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def pages(client: Any, operation: str, size: int, **options: Any) -> list[dict[str, Any]]:
    """All pages of a listing, each of at most so many entries."""
    return list(client.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **options))


def collect(found: list[dict[str, Any]], field: str, name: str) -> list[Any]:
    """One property of all entries on all pages."""
    return [each[name] for page in found for each in page.get(field, [])]


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_objects(s3: Any, filled: str, operation: str, size: int) -> None:
    """All pages together have each key once, in UTF-8 order, with its size; no page has more than was asked for."""
    found = pages(s3, operation, size, Bucket=filled)
    assert collect(found, "Contents", "Key") == KEYS
    assert collect(found, "Contents", "Size") == [len(key.encode()) for key in KEYS]
    assert all(len(page.get("Contents", [])) <= size for page in found)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_folders(s3: Any, filled: str, operation: str, size: int) -> None:
    """With a delimiter, keys and common prefixes share the pages, and each appears once."""
    found = pages(s3, operation, size, Bucket=filled, Delimiter="/")
    assert collect(found, "CommonPrefixes", "Prefix") == ["a/", "sub/"]
    assert collect(found, "Contents", "Key") == sorted(FILES, key=str.encode)
    below = pages(s3, operation, size, Bucket=filled, Prefix="a/", Delimiter="/")
    assert collect(below, "Contents", "Key") == ["a/", "a/1", "a/2"]
    assert collect(below, "CommonPrefixes", "Prefix") == ["a//"]
    deeper = pages(s3, operation, size, Bucket=filled, Prefix="sub/日")
    assert collect(deeper, "Contents", "Key") == ["sub/日/1", "sub/日/2"]


def test_start_after_and_owner(s3: Any, filled: str) -> None:
    """A listing can begin after a key, and says whose the objects are if asked."""
    found = pages(s3, "list_objects_v2", 2, Bucket=filled, StartAfter="b%20", FetchOwner=True)
    assert collect(found, "Contents", "Key") == KEYS[KEYS.index("b%20") + 1 :]
    assert len({owner["ID"] for owner in collect(found, "Contents", "Owner")}) == 1


def test_versions(s3: Any, bucket: str) -> None:
    """Versions and delete markers are listed by key, the newest first, over any number of pages."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    expected = []
    for key in KEYS[:6]:
        ids = [s3.put_object(Bucket=bucket, Key=key, Body=b"")["VersionId"] for _ in range(2)]
        ids.append(s3.delete_object(Bucket=bucket, Key=key)["VersionId"])
        expected += [(key, version_id) for version_id in reversed(ids)]
    for size in 1, 4, 1000:
        found = pages(s3, "list_object_versions", size, Bucket=bucket)
        name = operator.itemgetter("Key", "VersionId")
        versions = [name(each) for page in found for each in page.get("Versions", [])]
        markers = [name(each) for page in found for each in page.get("DeleteMarkers", [])]
        assert markers == expected[::3]
        assert versions == [each for index, each in enumerate(expected) if index % 3]
    folders = pages(s3, "list_object_versions", 1, Bucket=bucket, Delimiter="/")
    assert collect(folders, "CommonPrefixes", "Prefix") == ["a/"]


def test_uploads_and_parts(s3: Any, bucket: str) -> None:
    """Uploads are listed by key and age, their parts by number."""
    started = [
        (key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"])
        for key in ("dir/a", "dir/a", "dir/b", "ü")
    ]
    key, upload = started[0]
    for number in 9, 1, 10_000, 5:
        s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=str(number).encode())
    for size in 1, 2, 1000:
        found = pages(s3, "list_multipart_uploads", size, Bucket=bucket)
        assert [(each["Key"], each["UploadId"]) for page in found for each in page["Uploads"]] == started
        parts = pages(s3, "list_parts", size, Bucket=bucket, Key=key, UploadId=upload)
        assert collect(parts, "Parts", "PartNumber") == [1, 5, 9, 10_000]
        assert collect(parts, "Parts", "Size") == [1, 1, 1, 5]
    folders = pages(s3, "list_multipart_uploads", 1, Bucket=bucket, Delimiter="/")
    assert collect(folders, "CommonPrefixes", "Prefix") == ["dir/"]
    assert collect(folders, "Uploads", "Key") == ["ü"]


def test_buckets(s3: Any, make_bucket: MakeBucket) -> None:
    """The owner's buckets are listed in pages, by name."""
    mine = [make_bucket() for _ in range(3)]
    found = collect(pages(s3, "list_buckets", 2, Prefix="bucket-"), "Buckets", "Name")
    assert found == sorted(found)
    assert set(mine) <= set(found)
