"""s3fs with its defaults: buckets as a file system, against a server that checks every request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest
import s3fs
import urllib3

from tests.clients.conftest import MIB, MakeBucket
from tidegate.testing import ServerProcess


def connect(server: ServerProcess, **options: Any) -> s3fs.S3FileSystem:
    """A file system that is not shared with other tests."""
    return s3fs.S3FileSystem(endpoint_url=server.url, skip_instance_cache=True, **options)


@pytest.fixture
def fs(server: ServerProcess) -> s3fs.S3FileSystem:
    """The file system of the administrator."""
    return connect(server, key=server.access_key, secret=server.secret_key)


def test_files(fs: s3fs.S3FileSystem, bucket: str) -> None:
    """Files are written, read, sought in, appended to and described."""
    path = f"{bucket}/dir/a b+ü.txt"
    with fs.open(path, "wb") as file:
        file.write(b"0123456789")
    with fs.open(path, "rb") as file:
        assert file.seek(3) == 3
        assert file.read(2) == b"34"
        assert file.read() == b"56789"
    with fs.open(path, "ab") as file:
        file.write(b" and more")
    assert fs.cat(path) == b"0123456789 and more"
    assert fs.cat_file(path, start=-4) == b"more"
    with fs.open(path, "w", encoding="utf-8") as file:
        file.write("grün")
    assert fs.read_text(path) == "grün"
    info = fs.info(path)
    assert (info["size"], info["type"], info["name"]) == (5, "file", path)
    assert fs.info(f"{bucket}/dir")["type"] == "directory"
    assert fs.exists(path)
    assert fs.isfile(path)
    assert fs.isdir(f"{bucket}/dir")
    assert not fs.exists(f"{bucket}/missing")
    with pytest.raises(FileNotFoundError):
        fs.open(f"{bucket}/missing", "rb")
    assert fs.checksum(path) == fs.checksum(path)
    assert fs.modified(path).replace(microsecond=0) == info["LastModified"].replace(microsecond=0)


def test_large_files(fs: s3fs.S3FileSystem, bucket: str, large_bytes: bytes, tmp_path: Path) -> None:
    """A file that is written in blocks becomes an object of parts, to which more can be appended."""
    path = f"{bucket}/large"
    with fs.open(path, "wb", block_size=5 * MIB) as file:
        for start in range(0, 12 * MIB, MIB):
            file.write(large_bytes[start : start + MIB])
    assert fs.info(path)["ETag"].endswith('-3"')
    with fs.open(path, "ab", block_size=5 * MIB) as file:
        file.write(b"the end")
    assert fs.cat(path) == large_bytes[: 12 * MIB] + b"the end"
    fs.get(path, str(tmp_path / "fetched"))
    assert (tmp_path / "fetched").stat().st_size == 12 * MIB + 7
    fs.put(str(tmp_path / "fetched"), f"{bucket}/put")
    assert fs.cat(f"{bucket}/put") == large_bytes[: 12 * MIB] + b"the end"
    fs.copy(path, f"{bucket}/copy")
    assert fs.du(f"{bucket}/copy") == 12 * MIB + 7


def test_folders(fs: s3fs.S3FileSystem, bucket: str) -> None:
    """ls, walk, find, glob and du see what was written; copy, mv and rm change it."""
    for name in "a.txt", "b/c.txt", "b/d/e.csv", "b/d/[f].txt":
        fs.pipe(f"{bucket}/{name}", name.encode())
    assert sorted(fs.ls(bucket)) == [f"{bucket}/a.txt", f"{bucket}/b"]
    assert sorted(fs.ls(f"{bucket}/b", detail=False)) == [f"{bucket}/b/c.txt", f"{bucket}/b/d"]
    assert [(path, sorted(folders), sorted(files)) for path, folders, files in fs.walk(bucket)] == [
        (bucket, ["b"], ["a.txt"]),
        (f"{bucket}/b", ["d"], ["c.txt"]),
        (f"{bucket}/b/d", [], ["[f].txt", "e.csv"]),
    ]
    assert fs.glob(f"{bucket}/**/*.txt") == [f"{bucket}/a.txt", f"{bucket}/b/c.txt", f"{bucket}/b/d/[f].txt"]
    assert fs.glob(f"{bucket}/b/*/?.csv") == [f"{bucket}/b/d/e.csv"]
    assert len(fs.find(bucket)) == 4
    assert fs.du(bucket) == 5 + 7 + 9 + 11
    fs.copy(f"{bucket}/b/d", f"{bucket}/moved", recursive=True)
    fs.rm(f"{bucket}/b/d", recursive=True)
    fs.mv(f"{bucket}/a.txt", f"{bucket}/z.txt")
    assert sorted(fs.find(bucket)) == [
        f"{bucket}/b/c.txt",
        f"{bucket}/moved/[f].txt",
        f"{bucket}/moved/e.csv",
        f"{bucket}/z.txt",
    ]
    fs.rm(f"{bucket}/moved", recursive=True)
    assert sorted(fs.find(bucket)) == [f"{bucket}/b/c.txt", f"{bucket}/z.txt"]
    fs.rm(bucket, recursive=True)
    assert not fs.exists(bucket)


def test_buckets(fs: s3fs.S3FileSystem, bucket: str) -> None:
    """Buckets are the top of the file system."""
    name = f"{bucket}-s3fs"
    fs.mkdir(name)
    assert {name, bucket} <= set(fs.ls("", detail=False))
    with pytest.raises(FileExistsError):
        fs.mkdir(name)
    fs.rmdir(name)
    assert not fs.exists(name)


def test_metadata_tags_and_urls(fs: s3fs.S3FileSystem, bucket: str) -> None:
    """Metadata, tags and presigned URLs."""
    path = f"{bucket}/object"
    with fs.open(path, "wb", Metadata={"a": "1"}, ContentType="text/plain") as file:
        file.write(b"data")
    assert fs.info(path, refresh=True)["ContentType"] == "text/plain"
    fs.setxattr(path, b="2")
    assert fs.metadata(path, refresh=True) == {"a": "1", "b": "2"}
    fs.put_tags(path, {"t": "1"})
    assert fs.get_tags(path) == {"t": "1"}
    with urllib3.PoolManager(retries=False) as pool:
        assert pool.request("GET", fs.url(path, expires=60)).data == b"data"


def test_writes_that_must_not_replace(fs: s3fs.S3FileSystem, bucket: str, large_bytes: bytes) -> None:
    """Mode x is a conditional write: it never replaces what somebody else wrote, small or large."""
    for path, data in (f"{bucket}/small", b"data"), (f"{bucket}/large", large_bytes[: 6 * MIB]):
        with fs.open(path, "xb", block_size=5 * MIB) as file:
            file.write(data)
        with pytest.raises(FileExistsError), fs.open(path, "xb", block_size=5 * MIB) as file:
            file.write(b"other" + data)
        assert fs.cat(path) == data


def test_versions(server: ServerProcess, s3: Any, bucket: str) -> None:
    """A file system that knows versions opens the old ones."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    fs = connect(server, key=server.access_key, secret=server.secret_key, version_aware=True)
    for data in b"one", b"two":
        fs.pipe(f"{bucket}/object", data)
    versions = fs.object_version_info(f"{bucket}/object")
    assert [fs.cat_file(f"{bucket}/object", version_id=each["VersionId"]) for each in versions] == [b"two", b"one"]


def test_without_keys(open_server: ServerProcess, make_bucket: MakeBucket, server: ServerProcess) -> None:
    """An anonymous file system works where authentication is off, and is refused where it is on."""
    fs = connect(open_server, anon=True)
    fs.mkdir("s3fs-anonymous")
    fs.pipe("s3fs-anonymous/object", b"data")
    assert fs.cat("s3fs-anonymous/object") == b"data"
    with pytest.raises(PermissionError):
        connect(server, anon=True).ls(make_bucket())


def test_by_url(server: ServerProcess, bucket: str) -> None:
    """fsspec opens s3:// URLs, as other libraries do through it, compressed on the way if asked."""
    options = {"endpoint_url": f"{server.url}/s3", "key": server.access_key, "secret": server.secret_key}
    with fsspec.open(f"s3://{bucket}/a.gz", "wt", compression="infer", encoding="utf-8", **options) as file:
        file.write("text")
    with fsspec.open(f"s3://{bucket}/a.gz", "rt", compression="infer", encoding="utf-8", **options) as file:
        assert file.read() == "text"
