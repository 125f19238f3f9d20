"""Which bucket: providers, namespaces and the URIs that name a bucket of one of them.

Pure functions. A bucket's identity is ``(provider, namespace, name)``; S3 clients know the last of the three only.

Source: AIStore's ``[PROVIDER://][@UUID#NAMESPACE/]BUCKET[/OBJECT]``, seeds 000-003.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from tidegate import errors

AIS: Final = "ais"
# A provider's name inside, and the scheme of its URIs. The name is a scheme too: aws:// is s3://.
SCHEMES: Final[Mapping[str, str]] = MappingProxyType({AIS: "ais", "aws": "s3", "gcp": "gs", "azure": "az", "ht": "ht"})
PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {name: name for name in SCHEMES} | {scheme: name for name, scheme in SCHEMES.items()}
)

# Amazon's limit for a key, in UTF-8.
MAX_KEY_BYTES: Final = 1024

_URI = re.compile(r"(?:(?P<scheme>[^:/]*):(?://)?)?(?P<rest>.*)", re.DOTALL)
_NAMESPACE = re.compile(r"(?:@(?P<uuid>[^#/]*))?(?:#(?P<name>[^/]*))?")
# AIStore's rule for the name of a bucket, but for names of one or two characters: /s3 and /v1 are paths of ours. S3 is
# stricter with those that are made there.
_BUCKET = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9._-]{3,64}")
# AIStore's rule for both halves of a namespace.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{0,64}")


class BucketName(msgspec.Struct, frozen=True, order=True):
    """A bucket's identity. ``provider`` is one of ``SCHEMES``, ``namespace`` is empty for the global one."""

    name: str
    provider: str = AIS
    namespace: str = ""

    @property
    def uri(self) -> str:
        """As ``ais://name``, ``s3://name``, ``ais://#namespace/name``."""
        space = f"#{self.namespace}/" if self.namespace else ""
        return f"{SCHEMES[self.provider]}://{space}{self.name}"

    @property
    def is_remote(self) -> bool:
        """Whether somebody else keeps it."""
        return self.provider != AIS


def provider_of(scheme: str) -> str:
    """The provider that a scheme, or a provider's name, means. Raises ``InvalidArgument``."""
    try:
        return PROVIDERS[scheme]
    except KeyError:
        raise errors.InvalidArgument(f'invalid backend provider "{scheme}"') from None


def check_bucket_name(name: str) -> None:
    """Raises ``InvalidBucketName`` for a name that no bucket of AIStore may have."""
    if not _BUCKET.fullmatch(name):
        raise errors.InvalidBucketName(
            f'invalid bucket name "{name}": 3 to 64 letters, digits, "-", "_" and "." may be in it, ".." may not, '
            'nor a "." in front',
            BucketName=name,
        )


def parse_namespace(text: str) -> str:
    """The namespace in ``@uuid#name``. Raises ``InvalidArgument``; ``NotImplementedByServer`` for another cluster's."""
    matched = _NAMESPACE.fullmatch(text)
    if matched is None:
        raise errors.InvalidArgument(f'invalid namespace "{text}"')
    uuid, name = matched["uuid"] or "", matched["name"] or ""
    if not (_PLAIN.fullmatch(uuid) and _PLAIN.fullmatch(name)):
        raise errors.InvalidArgument(f'invalid namespace "{text}"')
    if uuid:
        raise errors.NotImplementedByServer(f'Buckets of other clusters ("@{uuid}") are not implemented.')
    return name


def split_uri(uri: str, default: str | None = None) -> tuple[str, str, str, str]:
    """Provider, namespace, bucket name and object name of a URI. What is not there is empty.

    ``default`` is the provider where the URI names none; without it that is an error. Raises ``InvalidArgument``.
    """
    matched = _URI.fullmatch(uri)
    scheme, rest = (matched["scheme"], matched["rest"]) if matched is not None else (None, uri)
    if scheme is None:
        if default is None:
            raise errors.InvalidArgument(f'backend provider cannot be empty (did you mean "ais://{uri}"?)')
        provider = default
    else:
        provider = provider_of(scheme)
    namespace = ""
    if rest[:1] in {"@", "#"}:
        space, _, rest = rest.partition("/")
        namespace = parse_namespace(space)
    bucket, _, key = rest.partition("/")
    return provider, namespace, bucket, key


def parse_bucket_uri(uri: str, default: str | None = None) -> BucketName:
    """The bucket that a URI names; a slash behind it is nothing. Raises as ``split_uri``."""
    provider, namespace, name, key = split_uri(uri, default)
    if not name or key:
        raise errors.InvalidArgument(f'"{uri}" does not name a bucket')
    return BucketName(name, provider, namespace)
