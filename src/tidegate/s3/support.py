"""Which of the headers in Amazon's model are acted on. One that asks for anything else is refused, never ignored.

So nobody's object is stored unencrypted, unlocked or private where the request asked otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tidegate import errors
from tidegate.s3.routing import Operation

_NOT_SUPPORTED = (
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
    "x-amz-object-lock",
    "x-amz-grant-",
    "x-amz-bypass-governance-retention",
    "x-amz-mfa",
    "x-amz-object-annotation",
    "x-amz-bucket-namespace",
)

# Headers of which only these values, in lower case, ask for nothing that is not done.
_HARMLESS_VALUES: Mapping[str, frozenset[str]] = {
    "x-amz-acl": frozenset({"private", "bucket-owner-full-control", "bucket-owner-read"}),
    "x-amz-object-ownership": frozenset({"bucketownerenforced"}),
    "x-amz-bypass-governance-retention": frozenset({"true", "false"}),
    "x-amz-object-annotation-directive": frozenset({"copy"}),
}


@cache
def _refused(operation: Operation) -> frozenset[str]:
    """The headers of an operation that are not acted on, unless their value is harmless."""
    prefixes = _NOT_SUPPORTED
    return frozenset(name for name in operation.headers if name.startswith(prefixes) or name in _HARMLESS_VALUES)


def check_headers(operation: Operation, headers: Mapping[str, str]) -> None:
    """Raises ``NotImplementedByServer`` where a header asks for what is not done."""
    refused = _refused(operation)
    if refused.isdisjoint(headers):
        return
    for name in refused.intersection(headers):
        if headers[name].strip().lower() not in _HARMLESS_VALUES.get(name, ()):
            raise errors.NotImplementedByServer(
                f"A header you provided implies functionality that is not implemented: {name}", Header=name
            )
