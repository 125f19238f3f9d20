"""Damage on the disk, clients that leave, and bodies that are not what was announced: a clear error, and nothing else
is touched.
"""

from __future__ import annotations

import http.client
import secrets
import socket
from typing import TYPE_CHECKING

import pytest

from tests.durability.client import Client, element
from tests.durability.folder import LARGE, MIB, SMALL, check, execute, file_of, files, fill, flip, query
from tests.durability.processes import descriptors, eventually, needs_proc, workers
from tests.server.wire import connect
from tidegate.testing import ServerError, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tidegate.testing import ServerProcess

BLOCK = 256 * 1024  # each is checked by itself
SIZES = [pytest.param(len(SMALL), id="inline"), pytest.param(len(LARGE), id="file")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with one worker."""
    with serve(tmp_path_factory.mktemp("served") / "data") as running:
        yield running


class Bucket:
    """An empty bucket of a test's own, and what was in the server's folder before."""

    def __init__(self, server: ServerProcess, client: Client, name: str) -> None:
        self.data = server.data
        self.port = server.port
        self.client = client
        self.name = name
        self.files = files(server.data)

    def has_new_files(self) -> bool:
        return files(self.data) != self.files

    def keys(self) -> list[str]:
        return [entry.key for entry in self.client.keys(self.name)]


@pytest.fixture
def bucket(server: ServerProcess) -> Iterator[Bucket]:
    """An empty bucket."""
    with Client(server.port) as client:
        name = f"b{secrets.token_hex(8)}"
        client.make_bucket(name)
        yield Bucket(server, client, name)


def test_damaged_inline_blob(tmp_path: Path) -> None:
    """An object whose bytes in the catalog are not what was written answers 500, and every other object is served."""
    fill(tmp_path)
    execute(
        tmp_path,
        """UPDATE small_blobs SET data = zeroblob(length(data)) WHERE id IN
           (SELECT h.blob FROM head h JOIN buckets b ON b.log = h.log
            WHERE b.name = 'plain' AND h.key = CAST('small' AS BLOB))""",
    )
    with serve(tmp_path) as server, Client(server.port) as client:
        for key in ("small", "small-copy"):
            answer = client.get(f"plain/{key}").expect(500)
            assert answer.code == "InternalError"
            assert b"damaged" in answer.body
        assert client.ask("GET", "plain/small", headers={"range": "bytes=0-0"}).status == 500
        assert client.get("kept/small").expect().body == SMALL
        assert client.copy("plain/small", "plain/other").status == 500
        client.put("plain/small", SMALL).expect()
        assert client.get("plain/small").expect().body == SMALL


def test_damaged_file(tmp_path: Path) -> None:
    """A file with a wrong byte at its beginning answers 500; further on what comes before it is served and then the
    connection breaks; a range that does not touch the damage is served.
    """
    body = LARGE * 12
    with serve(tmp_path) as server, Client(server.port) as client:
        client.make_bucket("bucket")
        for key in ("first", "late", "footer"):
            client.put(f"bucket/{key}", body).expect()
    flip(file_of(tmp_path, "bucket", "first"), 5)
    late = len(body) - 10
    flip(file_of(tmp_path, "bucket", "late"), late)
    flip(file_of(tmp_path, "bucket", "footer"), len(body) + 1)
    with serve(tmp_path) as server, Client(server.port) as client:
        assert client.get("bucket/first").expect(500).code == "InternalError"
        assert client.get("bucket/footer").expect(500).code == "InternalError"
        with pytest.raises(http.client.IncompleteRead) as caught:
            client.get("bucket/late")
        assert 0 < len(caught.value.partial) <= late
        assert body.startswith(caught.value.partial)
        whole = client.ask("GET", "bucket/first", headers={"range": f"bytes={BLOCK}-{2 * BLOCK}"}).expect(206)
        assert whole.body == body[BLOCK : 2 * BLOCK + 1]
        assert client.ask("GET", "bucket/late", headers={"range": f"bytes={late}-{late}"}).status == 500


def test_missing_file(tmp_path: Path) -> None:
    """An object whose file is gone answers 500, can be replaced, and can be deleted."""
    fill(tmp_path)
    file_of(tmp_path, "plain", "large").unlink()
    with serve(tmp_path) as server, Client(server.port) as client:
        assert client.get("plain/large").expect(500).code == "InternalError"
        client.put("plain/large", SMALL).expect()
        assert client.get("plain/large").expect().body == SMALL
        client.ask("DELETE", "plain/copy").expect(204)
        client.get("plain/copy").expect(404)
    assert check(tmp_path) == []


def test_missing_catalog(tmp_path: Path) -> None:
    """A folder whose catalog is gone is not begun anew, which would sweep up every blob: the server refuses, and all is
    well when the catalog is back.
    """
    fill(tmp_path)
    known = files(tmp_path)
    content = (tmp_path / "catalog.db").read_bytes()
    (tmp_path / "catalog.db").unlink()
    for _ in range(2):
        with pytest.raises(ServerError) as caught, serve(tmp_path):
            pass
        assert "their catalog is gone" in str(caught.value)
        assert files(tmp_path) == known
        (tmp_path / "catalog.db").touch()  # a second try with what a crash may leave of one
    (tmp_path / "catalog.db").write_bytes(content)
    with serve(tmp_path) as server, Client(server.port) as client:
        assert client.get("plain/large").expect().body == LARGE
    assert files(tmp_path) == known


def test_damage_gets_no_new_checksum(bucket: Bucket) -> None:
    """A copy that is to have a checksum that nobody has yet is refused where the bytes are damaged."""
    path = f"{bucket.name}/key"
    bucket.client.put(path, LARGE).expect()
    flip(file_of(bucket.data, bucket.name, "key"), 5)
    headers = {"x-amz-copy-source": f"/{path}", "x-amz-checksum-algorithm": "SHA256"}
    bucket.client.ask("PUT", f"{bucket.name}/new", headers=headers).expect(500)
    assert bucket.keys() == ["key"]


@needs_proc
@pytest.mark.parametrize("sent", [0, 100, 70_000, 3 * MIB], ids=["nothing", "a little", "beyond inline", "a lot"])
def test_client_leaves_within_a_body(server: ServerProcess, bucket: Bucket, sent: int) -> None:
    """The old object stays as it is, no file stays behind, and neither does a descriptor."""
    (worker,) = workers(server)
    path = f"{bucket.name}/key"
    bucket.client.put(path, LARGE).expect()
    known, before = files(server.data), descriptors(worker)
    for _ in range(5):
        with connect(server.port) as connection:
            connection.send(f"PUT /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {8 * MIB}\r\n\r\n", bytes(sent))
    eventually(lambda: files(server.data) == known, "the files are gone")
    eventually(lambda: descriptors(worker) <= before, "the descriptors are closed")
    assert bucket.client.get(path).expect().body == LARGE
    assert bucket.keys() == ["key"]


@needs_proc
def test_client_leaves_within_an_answer(server: ServerProcess, bucket: Bucket) -> None:
    """Its file is closed."""
    (worker,) = workers(server)
    path = f"{bucket.name}/key"
    bucket.client.put(path, bytes(64 * MIB)).expect()
    before = descriptors(worker)
    for _ in range(5):
        with connect(server.port) as connection:
            connection.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.sock.recv(100_000).startswith(b"HTTP/1.1 200")
    eventually(lambda: descriptors(worker) <= before, "the descriptors are closed")
    assert bucket.client.get(path).expect().body == bytes(64 * MIB)


def test_client_leaves_within_a_part(bucket: Bucket) -> None:
    """A part that was not sent to its end is not there, and leaves no file."""
    path = f"{bucket.name}/key"
    upload = element(bucket.client.ask("POST", path, uploads="").expect().body.decode(), "UploadId")
    with connect(bucket.port) as connection:
        connection.send(
            f"PUT /{path}?uploadId={upload}&partNumber=1 HTTP/1.1\r\nHost: x\r\nContent-Length: {8 * MIB}\r\n\r\n",
            bytes(3 * MIB),
        )
        eventually(bucket.has_new_files, "the file is begun")
    eventually(lambda: not bucket.has_new_files(), "the file is gone")
    assert b"<Part>" not in bucket.client.get(path, uploadId=upload).expect().body


@pytest.mark.parametrize("size", SIZES)
def test_body_shorter_than_declared(bucket: Bucket, size: int) -> None:
    """A body that ends early stores nothing."""
    path = f"{bucket.name}/key"
    bucket.client.put(path, b"old").expect()
    with connect(bucket.port) as connection:
        connection.send(f"PUT /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n", bytes(size - 1))
        connection.sock.shutdown(socket.SHUT_WR)
        assert b" 200 " not in connection.rest()
    assert bucket.client.get(path).expect().body == b"old"
    eventually(lambda: not bucket.has_new_files(), "the file is gone")


@pytest.mark.parametrize("size", SIZES)
def test_body_longer_than_declared(bucket: Bucket, size: int) -> None:
    """What was declared is the object; what comes after it is no request, and ends the connection."""
    path = f"{bucket.name}/key"
    with connect(bucket.port) as connection:
        head = f"PUT /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        connection.send(head, bytes(size), "and more\r\n\r\n")
        status, _ = connection.answer("PUT")
        assert status == 200
        assert b" 200 " not in connection.rest()
    assert bucket.client.get(path).expect().body == bytes(size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("by", [-1, 1], ids=["longer", "shorter"])
def test_framed_body_of_another_length(bucket: Bucket, size: int, by: int) -> None:
    """A body in aws-chunked framing that is longer or shorter than it says is refused, and leaves nothing."""
    path = f"{bucket.name}/key"
    body = f"{size:x}\r\n".encode() + bytes(size) + b"\r\n0\r\n\r\n"
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(size + by),
    }
    bucket.client.put(path, b"old").expect()
    bucket.client.ask("PUT", path, body, headers).expect(400)
    assert bucket.client.get(path).expect().body == b"old"
    eventually(lambda: not bucket.has_new_files(), "the file is gone")


@pytest.mark.parametrize("size", SIZES)
def test_wrong_checksum(bucket: Bucket, size: int) -> None:
    """A body that is not what its checksum says is refused, and leaves nothing."""
    path = f"{bucket.name}/key"
    bucket.client.put(path, b"old").expect()
    blobs = query(bucket.data, "SELECT count(*) FROM blobs")
    answer = bucket.client.put(path, bytes(size), **{"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}).expect(400)
    assert answer.code == "BadDigest"
    assert bucket.client.get(path).expect().body == b"old"
    assert not bucket.has_new_files()
    assert query(bucket.data, "SELECT count(*) FROM blobs") == blobs


def test_refused_by_the_catalog(bucket: Bucket) -> None:
    """A large body whose condition does not hold when it is complete leaves no file."""
    path = f"{bucket.name}/key"
    bucket.client.put(path, b"old").expect()
    bucket.client.put(path, LARGE, if_none_match="*").expect(412)
    assert bucket.client.get(path).expect().body == b"old"
    assert not bucket.has_new_files()
