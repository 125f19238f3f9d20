"""Names of objects that say everything: ``provider/@uuid#namespace/bucket/object``. Pure."""

from __future__ import annotations

from tidegate import errors
from tidegate.gateway.selection import check_key
from tidegate.names import BucketName, parse_namespace, provider_of


def parse_uname(name: str) -> tuple[BucketName, str]:
    """The bucket and the object. Raises ``InvalidArgument``, ``KeyTooLongError``."""
    provider, first, rest = name.partition("/")
    namespace, second, rest = rest.partition("/")
    bucket, third, key = rest.partition("/")
    if not (first and second and third and bucket) or namespace[:1] not in {"@", "#"}:
        raise errors.InvalidArgument(f'invalid object name "{name[:200]}": not "provider/@#namespace/bucket/object"')
    check_key(key)
    return BucketName(bucket, provider_of(provider), parse_namespace(namespace)), key
