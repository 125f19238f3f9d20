"""Writers of one key in different worker processes: one order of all writes, and conditions that hold when the write
does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.durability.client import Answer, Client
from tests.durability.folder import LARGE
from tests.durability.processes import needs_proc, workers
from tidegate.testing import ServerProcess, serve

ROUNDS = 50
WRITERS = 4
INCREMENTS = 40


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server with two workers and a bucket."""
    with serve(workers=2) as running, Client(running.port) as client:
        client.make_bucket("bucket")
        client.make_bucket("kept", "Enabled")
        yield running


@pytest.fixture
def clients(server: ServerProcess) -> Iterator[list[Client]]:
    """Connections that are spread over the workers by the kernel."""
    with ExitStack() as stack:
        yield [stack.enter_context(Client(server.port)) for _ in range(WRITERS)]


def at_once(clients: list[Client], ask: Callable[[int, Client], Answer]) -> list[Answer]:
    """What each client is answered when all ask at the same moment."""
    start = threading.Barrier(len(clients))

    def run(number: int, client: Client) -> Answer:
        start.wait()
        return ask(number, client)

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(run, range(len(clients)), clients))


@pytest.mark.parametrize("size", [pytest.param(10, id="inline"), pytest.param(len(LARGE), id="file")])
def test_one_creates(clients: list[Client], size: int) -> None:
    """Of those who write a key with If-None-Match: * at once, one is told that it did, and its bytes are there."""
    for number in range(ROUNDS if size < 1000 else ROUNDS // 5):
        path = f"bucket/created {size} {number}"
        answers = at_once(clients, lambda writer, client: client.put(path, bytes([writer]) * size, if_none_match="*"))  # noqa: B023
        assert sorted(answer.status for answer in answers) == [200] + [412] * (WRITERS - 1)
        (winner,) = (writer for writer, answer in enumerate(answers) if answer.status == 200)
        assert clients[0].get(path).expect().body == bytes([winner]) * size


def test_one_completes(clients: list[Client]) -> None:
    """The same holds for uploads that are completed with If-None-Match: *, against each other and against a plain
    write.
    """
    for number in range(5):
        path = f"bucket/completed {number}"
        uploads = []
        for writer, client in enumerate(clients):
            upload, etag = client.begin(path, bytes([writer]) * 1000)
            uploads.append((upload, etag))

        def ask(writer: int, client: Client) -> Answer:
            if writer == 0:
                return client.put(path, bytes([0]) * 1000, if_none_match="*")  # noqa: B023
            upload, etag = uploads[writer]  # noqa: B023
            return client.complete(path, upload, [etag], if_none_match="*")  # noqa: B023

        answers = at_once(clients, ask)
        assert sorted(answer.status for answer in answers) == [200] + [412] * (WRITERS - 1)
        (winner,) = (writer for writer, answer in enumerate(answers) if answer.status == 200)
        assert clients[0].get(path).expect().body == bytes([winner]) * 1000


def test_no_update_is_lost(clients: list[Client]) -> None:
    """A counter that is read and written with If-Match by many counts every success."""
    clients[0].put("bucket/counter", b"0").expect()

    def count(client: Client) -> int:
        done = refused = 0
        while done < INCREMENTS:
            read = client.get("bucket/counter").expect()
            value = str(int(read.body) + 1).encode()
            answer = client.put("bucket/counter", value, if_match=read.etag)
            assert answer.status in {200, 412}, answer.body
            done += answer.status == 200
            refused += answer.status == 412
        return refused

    with ThreadPoolExecutor(WRITERS) as pool:
        refused = sum(pool.map(count, clients))
    assert clients[0].get("bucket/counter").expect().body == str(WRITERS * INCREMENTS).encode()
    assert refused, "they never met"


def test_no_append_is_lost(clients: list[Client]) -> None:
    """Those who append at an offset that is no longer the end are refused: every piece is there once, whole."""
    clients[0].put("bucket/grown", b"").expect()

    def grow(writer: int) -> None:
        client = clients[writer]
        done = 0
        while done < 20:
            offset = client.ask("HEAD", "bucket/grown").expect().headers["content-length"]
            answer = client.put("bucket/grown", bytes([writer]) * 100, **{"x-amz-write-offset-bytes": offset})
            assert answer.status in {200, 400}, answer.body
            done += answer.status == 200

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(grow, range(WRITERS)))
    body = clients[0].get("bucket/grown").expect().body
    pieces = [body[start : start + 100] for start in range(0, len(body), 100)]
    assert all(piece == piece[:1] * 100 for piece in pieces)
    assert sorted(piece[0] for piece in pieces) == sorted(list(range(WRITERS)) * 20)


def test_versions_have_one_order(clients: list[Client]) -> None:
    """Every acknowledged write to a versioned key is a version, and the newest is the one that is read."""

    def write(writer: int) -> list[str]:
        return [
            clients[writer].put("kept/key", f"{writer} {number}".encode()).expect().headers["x-amz-version-id"]
            for number in range(25)
        ]

    with ThreadPoolExecutor(WRITERS) as pool:
        written = list(pool.map(write, range(WRITERS)))
    listed = [entry.version_id for entry in clients[0].versions("kept")]
    assert sorted(listed) == sorted(version for versions in written for version in versions)
    for versions in written:
        assert [version for version in reversed(listed) if version in versions] == versions
    for client in clients:
        assert client.ask("HEAD", "kept/key").expect().headers["x-amz-version-id"] == listed[0]


@needs_proc
def test_what_one_acknowledged_all_serve(server: ServerProcess) -> None:
    """A read on any connection, of whichever worker, sees the write that was acknowledged just before on another."""
    assert len(workers(server)) == 2
    with ExitStack() as stack:
        many = [stack.enter_context(Client(server.port)) for _ in range(12)]
        for number in range(100):
            writer = many[number % len(many)]
            writer.put("bucket/seen", str(number).encode()).expect()
            for reader in many:
                assert reader.get("bucket/seen").expect().body == str(number).encode()
            writer.ask("DELETE", "bucket/seen").expect(204)
            assert {reader.get("bucket/seen").status for reader in many} == {404}
