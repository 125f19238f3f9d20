"""One server for all tests of the native API, with authentication off, and the clients that speak to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.retry_config import RetryConfig
from aistore.sdk.wait_result import WaitResult
from tenacity import Retrying, stop_after_attempt
from urllib3 import Retry

from tests.ais.helpers import finish, url_of
from tidegate.testing import ServerProcess, serve

_numbers = itertools.count(1)

MakeBucket = Callable[[], Bucket]
Url = Callable[..., str]
Wait = Callable[[str], WaitResult]


def new_name() -> str:
    """A name for a bucket that no other test of this process uses."""
    return f"bucket-{next(_numbers)}"


def connect(url: str, token: str | None = None) -> Client:
    """The SDK's client as it comes, but for its retries: an error is seen at once, not after a minute and a half."""
    once = RetryConfig(http_retry=Retry(total=0), network_retry=Retrying(stop=stop_after_attempt(1), reraise=True))
    return Client(url, retry_config=once, token=token)


def disconnect(client: Client) -> None:
    """Closes the client's connections, for which the SDK has no way of its own."""
    client._request_client.session_manager.session.close()


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server with authentication off."""
    with serve(repos_port=None) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[Client]:
    """The SDK's client of the server. See ``connect``."""
    client = connect(server.url)
    yield client
    disconnect(client)


@pytest.fixture(scope="session")
def s3(server: ServerProcess) -> Iterator[Any]:
    """A boto3 client of the same server."""
    client = server.boto3_client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def http() -> Iterator[requests.Session]:
    """Plain requests, for what the SDK does not send."""
    with requests.Session() as session:
        yield session


@pytest.fixture
def make_bucket(client: Client) -> MakeBucket:
    """Makes buckets that nobody else uses."""
    return lambda: client.bucket(new_name()).create()


@pytest.fixture
def bucket(make_bucket: MakeBucket) -> Bucket:
    """An empty bucket of our own."""
    return make_bucket()


@pytest.fixture
def url(server: ServerProcess, bucket: Bucket) -> Url:
    """Makes the URL of an object in the bucket."""
    return partial(url_of, server, bucket)


@pytest.fixture
def wait(client: Client) -> Wait:
    """Waits for a job by its id."""

    def wait(job_id: str) -> WaitResult:
        assert job_id
        return finish(client.job(job_id))

    return wait
