"""pyarrow's S3 file system (the AWS SDK for C++) with its defaults, against a server that checks every request."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow import fs as pafs

from tests.clients.conftest import MIB
from tests.clients.programs import REGION
from tidegate.testing import ServerProcess


def connect(server: ServerProcess, **options: Any) -> pafs.S3FileSystem:
    """The file system of a server's buckets, by plain HTTP."""
    return pafs.S3FileSystem(endpoint_override=f"127.0.0.1:{server.port}", scheme="http", region=REGION, **options)


@pytest.fixture(scope="module")
def fs(server: ServerProcess) -> pafs.S3FileSystem:
    """The file system of the administrator."""
    return connect(server, access_key=server.access_key, secret_key=server.secret_key)


def test_streams(fs: pafs.S3FileSystem, s3: Any, bucket: str, large_bytes: bytes) -> None:
    """An output stream uploads parts, whatever is written at a time; input streams and files read them."""
    for path, size in (f"{bucket}/dir/a b+ü", 10), (f"{bucket}/large", 12 * MIB), (f"{bucket}/empty", 0):
        with fs.open_output_stream(path, metadata={"Content-Type": "text/plain"}) as out:
            for start in range(0, size, 3 * MIB):
                out.write(large_bytes[start : min(start + 3 * MIB, size)])
        with fs.open_input_stream(path) as stream:
            assert stream.read() == large_bytes[:size]
            assert stream.metadata()["Content-Type"] == b"text/plain"
        with fs.open_input_file(path) as file:
            assert file.size() == size
            assert file.read_at(min(size, 5), min(size, 3)) == large_bytes[min(size, 3) : min(size, 8)]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    with pytest.raises(FileNotFoundError):
        fs.open_input_stream(f"{bucket}/missing")


def test_folders(fs: pafs.S3FileSystem, bucket: str) -> None:
    """Folders are made, listed by selectors, moved in and deleted."""
    fs.create_dir(f"{bucket}/a/b", recursive=True)
    for name in "one.txt", "a/two.txt", "a/b/three.txt":
        with fs.open_output_stream(f"{bucket}/{name}") as out:
            out.write(name.encode())
    top = {info.path: info.type for info in fs.get_file_info(pafs.FileSelector(bucket))}
    assert top == {f"{bucket}/one.txt": pafs.FileType.File, f"{bucket}/a": pafs.FileType.Directory}
    everything = {info.path: info.size for info in fs.get_file_info(pafs.FileSelector(bucket, recursive=True))}
    assert everything == {
        f"{bucket}/one.txt": 7,
        f"{bucket}/a": None,
        f"{bucket}/a/two.txt": 9,
        f"{bucket}/a/b": None,
        f"{bucket}/a/b/three.txt": 13,
    }
    fs.copy_file(f"{bucket}/one.txt", f"{bucket}/a/copy ü.txt")
    fs.move(f"{bucket}/one.txt", f"{bucket}/a/moved.txt")
    fs.delete_file(f"{bucket}/a/copy ü.txt")
    with fs.open_input_stream(f"{bucket}/a/moved.txt") as stream:
        assert stream.read() == b"one.txt"
    fs.delete_dir(f"{bucket}/a/b")
    found = [info.path for info in fs.get_file_info(pafs.FileSelector(f"{bucket}/a", recursive=True))]
    assert sorted(found) == [f"{bucket}/a/moved.txt", f"{bucket}/a/two.txt"]
    fs.delete_dir_contents(f"{bucket}/a")
    fs.delete_dir(f"{bucket}/a")
    assert fs.get_file_info(f"{bucket}/a").type == pafs.FileType.NotFound


def test_parquet(fs: pafs.S3FileSystem, bucket: str) -> None:
    """Tables are written and read as Parquet, whole, by column, and as a partitioned data set with a filter."""
    numbers = range(1000)
    table = pa.table(
        {"year": [2024 + n // 500 for n in numbers], "number": numbers, "name": [f"n{n}" for n in numbers]}
    )
    pq.write_table(table, f"{bucket}/table.parquet", filesystem=fs)
    assert pq.read_table(f"{bucket}/table.parquet", filesystem=fs) == table
    assert pq.read_table(f"{bucket}/table.parquet", filesystem=fs, columns=["name"]) == table.select(["name"])
    ds.write_dataset(table, f"{bucket}/set", filesystem=fs, format="parquet", partitioning=["year"])
    found = ds.dataset(f"{bucket}/set", filesystem=fs, format="parquet", partitioning=["year"])
    assert min(found.files).startswith(f"{bucket}/set/2024/")
    later = found.to_table(filter=ds.field("year") == 2025, columns=["number"])
    assert sorted(later["number"].to_pylist()) == list(range(500, 1000))


def test_buckets(server: ServerProcess, bucket: str) -> None:
    """A file system that is allowed to makes and deletes buckets."""
    keys = {"access_key": server.access_key, "secret_key": server.secret_key}
    fs = connect(server, **keys, allow_bucket_creation=True, allow_bucket_deletion=True)
    name = f"{bucket}-arrow"
    fs.create_dir(name)
    assert fs.get_file_info(name).type == pafs.FileType.Directory
    fs.delete_dir(name)
    assert fs.get_file_info(name).type == pafs.FileType.NotFound


def test_without_keys(open_server: ServerProcess, server: ServerProcess, bucket: str) -> None:
    """An anonymous file system works where authentication is off, and is refused where it is on."""
    fs = connect(open_server, anonymous=True, allow_bucket_creation=True)
    fs.create_dir("arrow-anonymous")
    with fs.open_output_stream("arrow-anonymous/object") as out:
        out.write(b"data")
    with fs.open_input_stream("arrow-anonymous/object") as stream:
        assert stream.read() == b"data"
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        connect(server, anonymous=True).get_file_info(pafs.FileSelector(bucket))
