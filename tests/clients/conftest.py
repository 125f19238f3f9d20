"""Servers and buckets for the clients: one server that checks credentials and one that does not, for all tests."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import write_certificate
from tidegate.testing import Server, ServerProcess, serve

MIB = 1024 * 1024
# More than the multipart threshold of every client here (boto3: 8 MiB), in a few parts.
LARGE = 30 * MIB

_numbers = itertools.count(1)

MakeBucket = Callable[[], str]
Connect = Callable[..., Any]


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server with two workers that checks every request's credentials."""
    with serve(auth=True, workers=2, repos_port=None, domains=["example.test"]) as running:
        yield running


@pytest.fixture(scope="session")
def open_server() -> Iterator[ServerProcess]:
    """A server with authentication off."""
    with serve(repos_port=None) as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine that nobody knows, and its key, as PEM files."""
    return write_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def tls_server(certificate: tuple[Path, Path]) -> Iterator[ServerProcess]:
    """A server that checks credentials and speaks HTTPS only."""
    with serve(auth=True, repos_port=None, tls_cert=certificate[0], tls_key=certificate[1]) as running:
        yield running


@pytest.fixture(scope="session")
def s3(server: ServerProcess) -> Iterator[Any]:
    """A boto3 client as it comes, with the administrator's keys."""
    client = server.boto3_client()
    yield client
    client.close()


@pytest.fixture
def connect(server: ServerProcess) -> Iterator[Connect]:
    """Makes boto3 clients with options of their own: ``connect(config=Config(...))``, ``connect(open_server)``."""
    with ExitStack() as stack:

        def make(to: Server = server, **options: Any) -> Any:
            client = to.boto3_client(**options)
            stack.callback(client.close)
            return client

        yield make


def new_name() -> str:
    """A name for a bucket that no other test of this process uses."""
    return f"bucket-{next(_numbers)}"


@pytest.fixture
def make_bucket(s3: Any) -> MakeBucket:
    """Makes buckets that nobody else uses."""

    def make() -> str:
        name = new_name()
        s3.create_bucket(Bucket=name)
        return name

    return make


@pytest.fixture
def bucket(make_bucket: MakeBucket) -> str:
    """An empty bucket of the server that checks credentials."""
    return make_bucket()


@pytest.fixture(scope="session")
def large_bytes() -> bytes:
    """Bytes that no client sends in one piece."""
    return random.Random(1).randbytes(LARGE)


@pytest.fixture
def local_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names under localhost (RFC 6761) and example.test lead to this machine, whatever its resolver knows."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        is_local = name is not None and f".{name}".endswith((".localhost", ".example.test"))
        return resolve("127.0.0.1" if is_local else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
