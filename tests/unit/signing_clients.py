"""Requests as real clients sign them: put together by their own code, and caught just before they would be sent."""

from __future__ import annotations

import http.client
import time
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import boto3
import urllib3
from botocore.client import Config as BotoConfig
from minio import Minio

from tidegate import errors
from tidegate.s3.signature import SignedRequest, canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "127.0.0.1:8080"
ENDPOINT = f"http://{HOST}"

# Keys that clients and servers have disagreed on.
ODD_KEYS = (
    "a b",
    "a+b",
    "a//b",
    "a/./b/../c",
    "..",
    "%",
    "%2F",
    "a%20b",
    "ü",
    "u\u0308",
    "🦀",
    "~",
    "a=b&c?d#e",
    ":@!$'()*,;",
    '"<>\\^`{|}',
    "trailing/",
    " ",
)


def secret_of(access_key: str) -> str:
    """Know one user."""
    if access_key != ACCESS_KEY:
        raise errors.InvalidAccessKeyId
    return SECRET


def request_of(method: str, url: str, headers: Iterable[tuple[str, str | bytes]]) -> SignedRequest:
    """Return what a server sees of a request that an HTTP client is told to send to ``url``."""
    parts = urlsplit(url)
    received = [(b"host", parts.netloc.removesuffix(":80").encode())]
    received += [
        (name.lower().encode(), value if isinstance(value, bytes) else value.encode("utf-8"))
        for name, value in headers
        if name.lower() != "host"
    ]
    return SignedRequest(method, parts.path.encode(), parts.query.encode(), received)


def url_request(method: str, url: str, *headers: tuple[str, str]) -> SignedRequest:
    """Return what a server sees of a presigned URL that is given to an HTTP client."""
    return request_of(method, url, [("User-Agent", "curl/8"), *headers])


class _Caught(Exception):  # noqa: N818 - it is none
    def __init__(self, request: SignedRequest) -> None:
        super().__init__()
        self.request = request


def _catch(send: Callable[[], object]) -> SignedRequest:
    try:
        send()
    except _Caught as caught:
        return caught.request
    raise AssertionError("the client sent nothing")


# --- boto3 -----------------------------------------------------------------------------------------------------------


@lru_cache
def boto_client(*, signature: str = "s3v4", endpoint: str = ENDPOINT, style: str = "path") -> Any:
    """Return a boto3 client with its defaults, save for the version of its signatures ("s3v4", "s3")."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name="eu-west-3",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET,
        config=BotoConfig(signature_version=signature, s3={"addressing_style": style}, retries={"max_attempts": 0}),
    )

    def catch(request: Any, **_: object) -> NoReturn:
        raise _Caught(request_of(request.method, request.url, request.headers.items()))

    client.meta.events.register("before-send.s3", catch)
    return client


def boto(operation: str, *, signature: str = "s3v4", style: str = "path", **parameters: Any) -> SignedRequest:
    """Return the request that boto3 makes for an operation, given by the client's method name."""
    endpoint = "http://localhost:8080" if style == "virtual" else ENDPOINT
    client = boto_client(signature=signature, endpoint=endpoint, style=style)
    return _catch(lambda: getattr(client, operation)(**parameters))


def boto_url(operation: str, *, expires: int = 3600, signature: str = "s3v4", **parameters: Any) -> str:
    """Return boto3's presigned URL for an operation."""
    url = boto_client(signature=signature).generate_presigned_url(operation, parameters, expires)
    assert isinstance(url, str)
    return url


# --- minio-py --------------------------------------------------------------------------------------------------------


class _CatchingPool(urllib3.PoolManager):
    def urlopen(self, method: str, url: str, *_: Any, **options: Any) -> NoReturn:
        raise _Caught(request_of(method, url, options["headers"].items()))


def minio_client() -> Minio:
    """Return a minio-py client that sends nothing."""
    return Minio(
        HOST,
        access_key=ACCESS_KEY,
        secret_key=SECRET,
        secure=False,
        region="us-east-1",
        http_client=_CatchingPool(),
    )


def minio(send: Callable[[Minio], object]) -> SignedRequest:
    """Return the request that minio-py makes when ``send`` uses its client."""
    return _catch(lambda: send(minio_client()))


# --- s3cmd -----------------------------------------------------------------------------------------------------------


def s3cmd(
    operation: str,
    bucket: str | None = None,
    key: str | None = None,
    parameters: dict[str, str | None] | None = None,
    headers: dict[str, str] | None = None,
    *,
    host: str = f"{HOST}/s3",
    host_bucket: str = f"{HOST}/s3",
    signature_v2: bool = False,
) -> SignedRequest:
    """Return the request that s3cmd makes for one of its operations, such as ``OBJECT_GET``, with these options."""
    s3 = _s3cmd_client(host, host_bucket)
    s3.config.signature_v2 = signature_v2
    request = s3.create_request(
        operation, bucket=bucket, object=key, headers=headers or None, uri_params=parameters or None
    )
    method, resource, signed = request.get_triplet()
    connection = _s3cmd_connection(s3, s3.get_hostname(bucket))
    target = s3.format_uri(resource, connection.path)
    authority = connection.hostname + (f":{connection.port}" if connection.port else "")
    return request_of(method, f"http://{authority}{target}", signed.items())


def s3cmd_url(bucket: str, key: str, *, host: str = f"{HOST}/s3", expires_in: int = 600) -> str:
    """Return the URL that ``s3cmd signurl`` makes: of version 2, always."""
    from S3.Crypto import sign_url_base_v2  # type: ignore[import-untyped]

    _s3cmd_client(host, host)
    url = sign_url_base_v2(bucket=bucket, object=key, expiry=f"+{expires_in}")
    assert isinstance(url, str)
    return url


def _s3cmd_client(host: str, host_bucket: str) -> Any:
    from S3.Config import Config  # type: ignore[import-untyped]
    from S3.S3 import S3, S3Request  # type: ignore[import-untyped]

    config = Config()  # there is only one; all that these requests depend on is set anew
    config.access_key, config.secret_key, config.access_token = ACCESS_KEY, SECRET, ""
    config.host_base, config.host_bucket = host, host_bucket
    config.use_https = config.signurl_use_https = False
    config.signature_v2 = False
    config.content_disposition = config.content_type = ""
    S3Request.redir_map.clear()
    S3Request.region_map.clear()
    return S3(config)


def _s3cmd_connection(s3: Any, hostname: str) -> Any:
    from S3.ConnMan import http_connection  # type: ignore[import-untyped]

    connection = http_connection("id", hostname, ssl=False, cfg=s3.config)
    assert isinstance(connection.c, http.client.HTTPConnection)
    return connection


# --- what tests do with a request ------------------------------------------------------------------------------------


def signed_at(request: SignedRequest) -> float:
    """Return the time that a request says it was signed at, or now where it says none."""
    fields = {name: value for name, _, value in canonical.pairs(request.query)}
    stamp = fields.get(b"X-Amz-Date") or dict(request.headers).get(b"x-amz-date", b"")
    seconds = canonical.parse_date(stamp)
    return time.time() if seconds is None else seconds


def changed(
    request: SignedRequest,
    headers: Mapping[str, bytes] = MappingProxyType({}),
    *,
    method: str | None = None,
    path: bytes | None = None,
    query: bytes | None = None,
    without: bytes | None = None,
) -> SignedRequest:
    """Return a request with parts of it, and of its headers, replaced. ``without`` takes a header away."""
    replaced = {name.encode(): value for name, value in headers.items()}
    return SignedRequest(
        method or request.method,
        request.path if path is None else path,
        request.query if query is None else query,
        [
            *((name, value) for name, value in request.headers if name not in replaced and name != without),
            *replaced.items(),
        ],
    )
