"""Somebody else's bucket, on S3, Google Cloud Storage, Azure or the web, behind one interface: ``Upstream``.

The gateway's way to a remote, and nothing else's: no cache, no catalog, no idea who our own caller is. Keys and
prefixes are exact, bodies are never short, nothing is whole in memory, and no credential appears in an error or a log.

``wire`` speaks HTTP; ``s3``, ``google``, ``azure`` and ``web`` know a provider's API each, with ``amazon``,
``google_tokens`` and ``azure_keys`` for who we are there; ``download``, ``upload`` and ``listing`` are what they share.

Why not obstore, or an SDK a provider: obstore (0.12) normalises keys. It reads and writes ``dir/`` as ``dir``, refuses
``a//b``, fails to list a bucket that has such a key, lists prefixes by whole segments and ``/`` as the only delimiter,
and says neither an object's checksums nor, without a GET, its metadata. What it does not do would have needed signed
requests of our own for each provider, and then there is nothing left for it to do. An SDK a provider would be three
libraries with three ways to wait, to try again and to fail.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate import errors
from tidegate.names import SCHEMES, BucketName
from tidegate.properties.tree import Extra
from tidegate.upstream.abc import Entry, Page, Piece, Readable, RemoteObject, Removed, Upstream, Versioned
from tidegate.upstream.azure import AzureContainer
from tidegate.upstream.ending import hurry
from tidegate.upstream.google import GoogleBucket
from tidegate.upstream.s3 import S3Bucket
from tidegate.upstream.web import WebOrigin
from tidegate.upstream.wire import PATIENCE, Patience

__all__ = [
    "PATIENCE",
    "Entry",
    "Page",
    "Patience",
    "Piece",
    "Readable",
    "RemoteObject",
    "Removed",
    "Upstream",
    "Versioned",
    "hurry",
    "list_buckets",
    "open_upstream",
]


def open_upstream(
    name: BucketName, extra: Extra, environment: Mapping[str, str], patience: Patience = PATIENCE
) -> Upstream:
    """The remote bucket of that name and provider, as its properties say how to reach it.

    Nothing is asked of the remote yet: ``check`` does. Belongs to the running event loop, and is to be closed. When
    the properties change, open another one.

    ``environment`` is the server's (``os.environ``), where credentials are looked for as each SDK does, and proxies.
    Raises ``InvalidArgument`` for properties that make no sense, ``RemoteDenied`` where there is no account to use,
    ``NotImplementedByServer`` for ``ais``.
    """
    match name.provider:
        case "aws":
            return S3Bucket(name.uri, name.name, extra.aws, environment, patience)
        case "gcp":
            return GoogleBucket(name.uri, name.name, extra.gcp, environment, patience)
        case "azure":
            return AzureContainer(name.uri, name.name, environment, patience)
        case "ht":
            if not extra.http.original_url:
                raise errors.InvalidArgument(f"{name.uri}: extra.http.original_url says where an HTTP bucket is")
            return WebOrigin(name.uri, extra.http.original_url, environment, patience)
    raise errors.NotImplementedByServer(f"{name.uri} is not a bucket of somebody else's")


async def list_buckets(
    provider: str, extra: Extra, environment: Mapping[str, str], patience: Patience = PATIENCE
) -> tuple[str, ...]:
    """The names of all buckets of a provider that the server's credentials may see, in order. The web has none.

    Raises as ``open_upstream`` and ``Upstream``.
    """
    uri = f"{SCHEMES.get(provider, provider)}:"
    bucket: S3Bucket | GoogleBucket | AzureContainer
    match provider:
        case "aws":
            bucket = S3Bucket(uri, "", extra.aws, environment, patience)
        case "gcp":
            bucket = GoogleBucket(uri, "", extra.gcp, environment, patience)
        case "azure":
            bucket = AzureContainer(uri, "", environment, patience)
        case "ht":
            return ()
        case _:
            raise errors.NotImplementedByServer(f"{uri} is nobody else's")
    try:
        return await bucket.buckets()
    finally:
        await bucket.close()
