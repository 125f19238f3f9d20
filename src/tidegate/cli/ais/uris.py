"""What a command's arguments name: buckets and objects.

Source: AIStore's ``[PROVIDER://][#NAMESPACE/]BUCKET[/OBJECT]``.
"""

from __future__ import annotations

from tidegate import errors
from tidegate.names import BucketName, parse_bucket_uri, split_uri


def bucket_of(uri: str) -> BucketName:
    """The bucket that a URI names, and nothing in it. Raises ``InvalidArgument``."""
    return parse_bucket_uri(uri)


def split(uri: str) -> tuple[BucketName, str]:
    """The bucket, and the object or prefix in it, if any. Raises ``InvalidArgument``."""
    provider, namespace, name, key = split_uri(uri)
    if not name:
        raise errors.InvalidArgument(f'"{uri}" does not name a bucket')
    return BucketName(name, provider, namespace), key


def object_of(uri: str) -> tuple[BucketName, str]:
    """The bucket and the object that a URI names. Raises ``InvalidArgument``."""
    bucket, key = split(uri)
    if not key:
        raise errors.InvalidArgument(f'"{uri}" does not name an object: expected {bucket.uri}/OBJECT')
    return bucket, key


def is_bucket(uri: str) -> bool:
    """Whether a text names a bucket or what is in it, and not a file."""
    try:
        split(uri)
    except errors.Error:
        return False
    return True
