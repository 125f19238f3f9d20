"""What several test modules of the native API do to buckets and objects."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import requests
from aistore.sdk import ArchiveConfig, Bucket
from aistore.sdk.job import Job
from aistore.sdk.wait_result import WaitResult

from tidegate.testing import Server

MIB = 1024 * 1024
DIGITS = b"0123456789\n"
LARGE = random.Random(1).randbytes(3 * MIB + 17)
# For what comes soon or never.
PATIENCE_SECONDS = 30.0
# The SDK looks at a job every eighth of this, and gives up after it: not for a job that may be slow.
WAIT_SECONDS = 1


def put(bucket: Bucket, key: str, content: bytes) -> None:
    """Writes an object."""
    bucket.object(key).get_writer().put_content(content)


def read(bucket: Bucket, key: str, member: str = "") -> bytes:
    """Reads an object, or a file of one that is an archive."""
    return bucket.object(key).get_reader(ArchiveConfig(archpath=member) if member else None).read_all()


def fill(bucket: Bucket, *names: str) -> dict[str, bytes]:
    """Objects whose bytes tell their names."""
    contents = {name: f"content of {name}".encode() * 3 for name in names}
    for name, content in contents.items():
        put(bucket, name, content)
    return contents


def contents(bucket: Bucket) -> dict[str, bytes]:
    """All objects with their bytes."""
    return {entry.name: read(bucket, entry.name) for entry in bucket.list_all_objects(props="name")}


def url_of(server: Server, bucket: Bucket, key: str, **query: str) -> str:
    """The URL of an object."""
    fields = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return f"{server.url}/v1/objects/{bucket.name}/{quote(key, safe='/')}?{fields}"


def act(
    server: Server, method: str, bucket: str, action: str = "", value: object = None, **query: str
) -> requests.Response:
    """Sends an action message: ``act(server, "PATCH", "abc", "set-bprops", {"access": "ro"}, provider="ais")``."""
    message: Any = {"action": action, "name": "", "value": value}
    return requests.request(method, f"{server.url}/v1/buckets/{bucket}", params=query, json=message)


def set_properties(server: Server, bucket: Bucket, properties: Mapping[str, object]) -> None:
    """Sets properties of a bucket."""
    assert act(server, "PATCH", bucket.name, "set-bprops", properties).status_code == 200


def finish(job: Job) -> WaitResult:
    """Waits for a job as the SDK does, once it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while job.status().end_time == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job.wait(timeout=WAIT_SECONDS, verbose=False)
