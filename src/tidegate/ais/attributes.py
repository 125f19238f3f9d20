"""What the headers of an answer say of an object."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from email.utils import formatdate

from starlette.responses import Response

from tidegate import errors
from tidegate.ais import custom, nodes
from tidegate.ais.call import Call
from tidegate.ais.listing import shown_version
from tidegate.clock import SECOND
from tidegate.gateway.native import Described
from tidegate.model import Version
from tidegate.names import BucketName

CONTENT_TYPE = "application/octet-stream"
NANOSECONDS = 1000  # in a microsecond
ALL = "all"
# The properties that a HEAD may ask for, as AIStore names them; those without a header of their own are told anyway, or
# mean nothing here.
PROPS = frozenset(
    {
        "name", "size", "version", "checksum", "atime", "cached", "target_url", "status", "copies", "ec", "custom",
        "location", "node", "chunked", "last-modified", "etag",
    }
)  # fmt: skip

Headers = list[tuple[str, str]]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def respond(headers: Headers, status: int = 200, body: bytes = b"") -> Response:
    """An answer with headers, some of which may be there several times."""
    response = Response(body, status, {name: value for name, value in headers if name == "content-length"})
    add(response, headers)
    return response


def add(response: Response, headers: Headers) -> None:
    """Adds headers to an answer, but for the length."""
    response.raw_headers += [
        (name.encode(), value.encode("latin-1", "replace")) for name, value in headers if name != "content-length"
    ]


def of_version(version: Version, props: Collection[str] = PROPS) -> Headers:
    """The headers that say what a version knows of itself, those that are asked for."""
    headers: Headers = []
    digest = version.attributes.digest
    if "checksum" in props and digest is not None:
        headers += [("ais-checksum-type", digest[0]), ("ais-checksum-value", digest[1])]
    if "atime" in props:
        headers.append(("ais-atime", str(version.accessed * NANOSECONDS)))
    if "version" in props and (shown := shown_version(version)):
        headers.append(("ais-version", shown))
    if "custom" in props:
        headers += [(custom.HEADER, line) for line in custom.lines(custom.of_version(version))]
    if "etag" in props:
        headers.append(("etag", f'"{version.etag}"'))
    if "last-modified" in props:
        headers.append(("last-modified", formatdate(version.modified // SECOND, usegmt=True)))
    return headers


async def of_description(call: Call, described: Described, props: Collection[str]) -> Headers:
    """The headers of a HEAD: the length, that it is there, and what is asked for."""
    version = described.version
    headers: Headers = [
        ("content-length", str(version.size)),
        ("content-type", CONTENT_TYPE),
        ("accept-ranges", "bytes"),
        ("ais-present", "true" if described.is_present else "false"),
        *of_version(version, props),
    ]
    if "name" in props:
        headers += _names(described.bucket.identity, version.key)
    if "location" in props or "copies" in props:
        names = await call.gateway.system.folder_names()
        having = [name for number, name in names.items() if described.folders >> number & 1]
        if "location" in props:
            cluster = await call.gateway.system.identify()
            headers.append(("ais-location", nodes.location(cluster, having[0] if having else "")))
        if "copies" in props:
            headers += [("ais-mirror-copies", str(described.copies)), ("ais-mirror-paths", f"[{','.join(having)}]")]
    if "chunked" in props and described.parts:
        headers.append(("ais-chunks-count", str(len(described.parts))))
        headers.append(("ais-chunks-max-chunk-size", str(max(part.size for part in described.parts))))
    return headers


def wanted_props(query: Mapping[str, str]) -> Collection[str]:
    """The properties that a HEAD asks for: all of them where it names none. Raises ``InvalidArgument``."""
    given = [name.strip() for name in query.get("props", ALL).split(",")]
    props = {name for name in given if name}
    for name in props - PROPS:
        if name != ALL:
            raise errors.InvalidArgument(f'invalid property "{name[:100]}" in props list')
    return PROPS if ALL in props else props


def _names(bucket: BucketName, key: str) -> Headers:
    """Names as headers can have them: control characters as a URL has them, the rest as UTF-8."""
    name = _CONTROL.sub(lambda found: f"%{ord(found[0]):02X}", key).encode().decode("latin-1")
    return [("ais-name", name), ("ais-bucket-name", bucket.name), ("ais-bucket-provider", bucket.provider)]
