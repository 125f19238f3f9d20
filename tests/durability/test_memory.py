"""Nothing is held whole: a body far larger than what a worker may use passes through it, in and out."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.durability.client import Client
from tests.durability.folder import MIB
from tests.durability.processes import needs_proc, peak_memory, workers
from tests.server.wire import connect
from tidegate.testing import serve

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 512 * MIB
# An idle worker has 60 MB; buffers of 20 connections, and of the pieces on their way, are most of the rest.
ALLOWED = 180 * MIB
PIECE = bytes(range(256)) * 4096


@needs_proc
@pytest.mark.parametrize("framing", ["plain", "chunked"])
def test_large_body(tmp_path: Path, framing: str) -> None:
    """A body of half a gigabyte, up and down, leaves a worker's peak of memory below 180 MB."""
    with serve(tmp_path / "data") as server, Client(server.port) as client:
        client.make_bucket("bucket")
        (worker,) = workers(server)
        with connect(server.port) as connection:
            if framing == "plain":
                connection.send(f"PUT /bucket/key HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n")
                for _ in range(SIZE // MIB):
                    connection.send(PIECE)
            else:
                connection.send(
                    "PUT /bucket/key HTTP/1.1\r\nHost: x\r\nContent-Encoding: aws-chunked\r\n",
                    "Transfer-Encoding: chunked\r\nX-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n",
                    f"X-Amz-Decoded-Content-Length: {SIZE}\r\n\r\n",
                )
                for _ in range(SIZE // MIB):
                    connection.send(f"{MIB + 10:x}\r\n", f"{MIB:x}\r\n", PIECE, "\r\n", "\r\n")
                connection.send("5\r\n0\r\n\r\n\r\n0\r\n\r\n")
            assert connection.answer("PUT") == (200, b"")
        with connect(server.port) as connection:
            connection.send("GET /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n")
            response = connection.response()
            assert response.status == 200
            received = hashlib.md5()
            while piece := response.read(MIB):
                received.update(piece)
        assert f'"{received.hexdigest()}"' == response.headers["etag"]
        assert int(response.headers["content-length"]) == SIZE
        assert peak_memory(worker) < ALLOWED


@needs_proc
def test_reader_that_does_not_read(tmp_path: Path) -> None:
    """Clients that ask for much and take nothing cost little memory: what they do not take is not read."""
    with serve(tmp_path / "data") as server, Client(server.port) as client:
        client.make_bucket("bucket")
        client.put("bucket/key", PIECE * 64).expect()
        (worker,) = workers(server)
        with ExitStack() as lazy:
            for _ in range(20):
                connection = lazy.enter_context(connect(server.port))
                connection.send("GET /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.sock.recv(12) == b"HTTP/1.1 200"
            for _ in range(5):
                client.get("bucket/key").expect()
            assert peak_memory(worker) < ALLOWED
