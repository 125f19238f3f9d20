"""Two servers: a Tidegate under test, and another one, with authentication, that is the S3 remote behind it.

``Pair`` has both sides. A bucket is made at the remote and becomes known here with ``extra.aws.endpoint``; ``between``
puts a proxy in the way that does to answers what networks and servers do to them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.ais.conftest import connect, disconnect
from tests.upstream.faults import Proxy, proxy
from tidegate.testing import Server, serve

_numbers = itertools.count(1)

# As clients come, but for their retries: an error is seen at once.
ONCE = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})


def new_name() -> str:
    """A name for a bucket that no other test uses."""
    return f"remote-{os.getpid()}-{next(_numbers)}"


class Pair:
    """``ours`` is the server under test, with its S3 client ``s3`` and AIStore's own ``sdk``; ``theirs`` the remote,
    with ``s3_there``.
    """

    def __init__(self, ours: Server, theirs: Server, stack: ExitStack) -> None:
        self.ours = ours
        self.theirs = theirs
        self.s3 = ours.boto3_client(config=ONCE)
        self.s3_there = theirs.boto3_client(config=ONCE)
        self.http = stack.enter_context(requests.Session())
        self.sdk = connect(ours.url)
        stack.callback(disconnect, self.sdk)
        for client in (self.s3, self.s3_there):
            stack.callback(client.close)

    @property
    def endpoint(self) -> str:
        """Where the remote is, by the address that AIStore's users give."""
        return f"{self.theirs.url}/s3"

    def act(
        self, method: str, bucket: str, action: str, value: object = None, provider: str = "aws", **query: str
    ) -> requests.Response:
        """Sends an action message of AIStore's to the server under test."""
        message: Any = {"action": action, "name": "", "value": value}
        params = {"provider": provider, **query}
        return self.http.request(method, f"{self.ours.url}/v1/buckets/{bucket}", params=params, json=message)

    def create(self, name: str, endpoint: str = "", **more: object) -> str:
        """A bucket of the remote's, known here as ``s3://name``; ``endpoint`` leads there another way."""
        with suppress(ClientError):  # it is there already
            self.s3_there.create_bucket(Bucket=name)
        properties = {"extra": {"aws": {"endpoint": endpoint or self.endpoint}}, **more}
        answer = self.act("POST", name, "create-bck", properties, dont_head_remote_bck="true")
        assert answer.status_code == 200, answer.text
        return name

    def there(self, bucket: str, key: str) -> bytes | None:
        """What the remote has under a key."""
        try:
            return bytes(self.s3_there.get_object(Bucket=bucket, Key=key)["Body"].read())
        except self.s3_there.exceptions.NoSuchKey:
            return None

    def listed(self, bucket: str, provider: str = "aws", **message: object) -> Mapping[str, Mapping[str, Any]]:
        """The entries of a native listing, by name."""
        answer = self.act("GET", bucket, "list", message, provider)
        assert answer.status_code == 200, answer.text
        return {entry["name"]: entry for entry in answer.json()["entries"] or ()}

    def is_cached(self, bucket: str, key: str, provider: str = "aws") -> bool:
        """Whether an object is kept here, as a native listing says."""
        flags: int = self.listed(bucket, provider, prefix=key)[key].get("flags", 0)
        return bool(flags & 1 << 6)

    def wait_until_cached(self, bucket: str, key: str) -> None:
        """Returns when an object that was read is kept here, which a reader does not wait for."""
        while not self.is_cached(bucket, key):
            time.sleep(0.01)

    @contextmanager
    def between(self) -> Iterator[Proxy]:
        """A proxy in front of the remote, for ``create(name, endpoint=proxy.url)``."""
        with proxy_in_thread(self.endpoint) as way:
            yield way


@contextmanager
def proxy_in_thread(target: str) -> Iterator[Proxy]:
    """A proxy with an event loop of its own. ``plan`` and ``always`` may be set from here at any time."""
    ready: list[Proxy] = []
    is_ready = threading.Event()
    ending: list[Callable[[], object]] = []

    async def run() -> None:
        end = asyncio.Event()
        loop = asyncio.get_running_loop()
        ending.append(lambda: loop.call_soon_threadsafe(end.set))
        async with proxy(target) as way:
            ready.append(way)
            is_ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert is_ready.wait(10)
    try:
        yield ready[0]
    finally:
        ending[0]()
        thread.join(10)


@contextmanager
def credentials(server: Server) -> Iterator[None]:
    """Servers that are started meanwhile find the keys of another one in their environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        yield


@pytest.fixture(scope="session")
def theirs() -> Iterator[Server]:
    """The remote: a store that checks credentials."""
    with serve(auth=True, repos_port=None) as server:
        yield server


@pytest.fixture(scope="session")
def pair(theirs: Server) -> Iterator[Pair]:
    """The server under test, with two workers, and its remote."""
    with ExitStack() as stack:
        with credentials(theirs):
            ours = stack.enter_context(serve(repos_port=None, workers=2))
        yield Pair(ours, theirs, stack)


@pytest.fixture
def bucket(pair: Pair) -> str:
    """A bucket of the remote's that is known here."""
    return pair.create(new_name())
