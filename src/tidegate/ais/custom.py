"""Custom metadata: AIStore's name for what S3 calls user metadata. The same pairs, seen from both doors. Pure.

As everywhere in the store, a value is text that stands for the bytes of a header (ISO 8859-1); clients of either door
send UTF-8 in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tidegate import errors
from tidegate.model import Version

HEADER = "ais-custom-md"

# S3 shows names as names of headers, so they are made of the same characters (RFC 9110 section 5.6.2).
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def parse_headers(lines: Iterable[str]) -> dict[str, str]:
    """The pairs in ``Ais-Custom-Md: name=value``, one a line or several between commas.

    A comma that no name follows belongs to the value before it. Raises ``InvalidArgument``.
    """
    pairs: dict[str, str] = {}
    for line in lines:
        name = ""
        for piece in line.split(","):
            before, sign, value = piece.partition("=")
            if sign and _NAME.fullmatch(before.strip()):
                name = before.strip()
                pairs[name] = value.strip()
            elif name:
                pairs[name] += "," + piece.rstrip()
            else:
                raise errors.InvalidArgument(f'invalid custom metadata "{line[:200]}": not "name=value"')
    return checked(pairs)


def parse_values(values: Mapping[str, str]) -> dict[str, str]:
    """The pairs of a JSON document. Raises ``InvalidArgument``."""
    return checked({name: value.encode().decode("latin-1") for name, value in values.items()})


def checked(pairs: Mapping[str, str]) -> dict[str, str]:
    """The pairs, if they can be stored. Raises ``InvalidArgument``."""
    names: set[str] = set()
    for name, value in pairs.items():
        if not _NAME.fullmatch(name):
            raise errors.InvalidArgument(
                f"invalid custom metadata: the name {name[:200]!r} has characters that a header's name cannot have"
            )
        if _CONTROL.search(value):
            raise errors.InvalidArgument(f'invalid custom metadata: the value of "{name}" has control characters in it')
        if name.lower() in names:
            raise errors.InvalidArgument(f'invalid custom metadata: "{name}" is there twice, but for its case')
        names.add(name.lower())
    return dict(pairs)


def of_version(version: Version) -> Mapping[str, str]:
    """An object's custom metadata.

    AIStore has there too what another provider calls an object of its own: its ETag in quotes, the provider, and the
    version.
    """
    if version.attributes.source is None:
        return version.attributes.metadata
    source, version_id = version.attributes.source
    named = {"ETag": f'"{version.etag}"', "source": source, "version": version_id}
    return {**version.attributes.metadata, **{name: value for name, value in named.items() if value}}


def lines(metadata: Mapping[str, str]) -> list[str]:
    """The values of the headers that tell of the pairs."""
    return [f"{name}={value}" for name, value in sorted(metadata.items())]
