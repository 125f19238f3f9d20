"""Clients that sign for the remote and send to the server in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from tests.attacks.signing import Keys, Request
from tidegate.testing import Server

FEATURE = "S3-Presigned-Request"
VERSIONS = ("s3", "s3v4")


class Signer:
    """Somebody with a key of the remote's, which is reached at ``remote`` (a URL), and sends to ``ours`` instead."""

    def __init__(self, remote: str, keys: Keys, ours: Server) -> None:
        self.keys = keys
        self.ours = ours
        self.host = urlsplit(remote).netloc
        self._remote = remote
        self._path = urlsplit(remote).path

    def client(self, version: str = "s3v4", **options: Any) -> Any:
        """A boto3 client of the remote's."""
        config = Config(
            signature_version=version, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **options
        )
        return boto3.client(
            "s3",
            endpoint_url=self._remote,
            aws_access_key_id=self.keys.access,
            aws_secret_access_key=self.keys.secret,
            region_name="us-east-1",
            config=config,
        )

    def url(self, operation: str, bucket: str, key: str, version: str = "s3v4", expires: int = 600, **more: Any) -> str:
        """A presigned URL, with our address in place of the remote's."""
        client = self.client(version)
        try:
            url: str = client.generate_presigned_url(
                operation, {"Bucket": bucket, **({"Key": key} if key else {}), **more}, ExpiresIn=expires
            )
        finally:
            client.close()
        return self.swapped(url)

    def swapped(self, url: str) -> str:
        """A URL of the remote's with our host, and nothing else changed."""
        return url.replace(self._remote, self.ours.url + self._path)

    @contextmanager
    def swapping(self, version: str = "s3v4", **options: Any) -> Iterator[Any]:
        """A boto3 client that signs for the remote in headers and sends to us, as AIStore's guide does it in Go."""
        client = self.client(version, **options)

        def swap(request: Any, **_: object) -> None:
            request.url = self.swapped(request.url)

        client.meta.events.register("before-send.s3", swap)
        try:
            yield client
        finally:
            client.close()

    def request(self, method: str, bucket: str, key: str, body: bytes = b"") -> Request:
        """A request to the remote, to be signed by hand."""
        return Request(method, f"{self._path}/{bucket}/{key}", headers=(("host", self.host),), body=body)

    def send(self, http: Any, request: Request, change: Callable[[dict[str, str]], None] = lambda _: None) -> Any:
        """Sends a request that was signed by hand to us, with our Host, unless the headers are changed."""
        headers = {name: value for name, value in request.headers if name != "host"}
        change(headers)
        query = f"?{request.query}" if request.query else ""
        return http.request(
            request.method, f"{self.ours.url}{request.path}{query}", data=request.body, headers=headers,
            allow_redirects=False,
        )  # fmt: skip


def keys_of(server: Server) -> Keys:
    """The administrator's."""
    return Keys(server.access_key, server.secret_key)
