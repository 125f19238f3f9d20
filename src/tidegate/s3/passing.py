"""Requests that are signed for a remote, by a key that nobody here knows: what of them is passed on, and what is not.

What a signature covers goes to the remote as it came. Of the rest, only what describes an object that is written: no
cookie, no header of a proxy's, nothing that is ours. What would make of an object something else than what is kept of
it here is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tidegate import errors
from tidegate.model import STORED_HEADERS
from tidegate.passage import STYLES, Passage, Style
from tidegate.s3.fields import METADATA_PREFIX
from tidegate.s3.routing import Operation
from tidegate.s3.signature import Unverified
from tidegate.s3.support import check_headers

#: What a signature for the remote is good for here.
OPERATIONS: Final = frozenset({"GetObject", "HeadObject", "PutObject"})
METHODS: Final = frozenset({"GET", "HEAD", "PUT"})
#: By which AIStore's clients say how the signed host names the bucket.
STYLE: Final = "ais-s3-signed-request-style"

# Signed headers that mean the same to every S3, beside Amazon's own. Any other might mean anything to a server or a
# proxy there, such as another method or path, and what it then sends is not the object.
_KNOWN: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "content-length",
        "content-md5",
        "date",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "user-agent",
        *STORED_HEADERS,
    }
)
_AMAZONS: Final = ("x-amz-", "amz-sdk-")
# Said by whoever sends.
_OURS: Final = frozenset({"host", "content-length"})
# What choose a part or a state of an object. Where they are signed, nothing else can be asked for.
_CHOOSING: Final = frozenset(
    {"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"}
)
# What a PUT may say though it is not signed.
_DESCRIBING: Final = frozenset({*STORED_HEADERS, "content-md5", "if-match", "if-none-match"})
# Version 2 signs them, and that they are not there.
_ALWAYS_IN_V2: Final = frozenset({"content-md5", "content-type"})
# What the remote is asked to do with an object, and does: encrypt, lock and share it.
_OF_THE_REMOTE: Final = (
    "x-amz-server-side-encryption",
    "x-amz-acl",
    "x-amz-grant-",
    "x-amz-object-lock-",
)
# With keys of the client's own an object is nobody else's to read, from here neither. The others are no plain PUT.
_NOT_PASSED: Final = ("x-amz-server-side-encryption-customer-", "x-amz-write-offset-bytes", "x-amz-rename-source")
_VISIBLE: Final = re.compile(r"[\x21\x22\x24-\x7e]*")  # what a query has on the wire, and no "#"


def passage_of(
    method: str,
    raw_query: bytes,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    unverified: Unverified,
    *,
    must_ask: bool,
) -> Passage:
    """What is passed on of a request. ``headers`` are those on the wire, ``query`` what it means.

    Raises ``AccessDenied``, ``InvalidRequest``, ``InvalidURI``.
    """
    text = raw_query.decode("latin-1")
    if _VISIBLE.fullmatch(text) is None:
        raise errors.InvalidURI
    fixed = _fixed(headers, unverified)
    passed = {
        name: value
        for name, value in headers.items()
        if name not in _OURS
        and (
            name in fixed
            or name == "authorization"
            or (name == "date" and "authorization" in headers)
            or (method == "PUT" and name in _DESCRIBING)
        )
    }
    if "content-length" in fixed and method != "PUT":
        if headers.get("content-length", "0") != "0":
            raise errors.InvalidRequest("A request to read an object has no body.")
        passed["content-length"] = "0"
    return Passage(
        method,
        text,
        passed,
        fixed,
        is_exact=not _CHOOSING.isdisjoint(passed)
        or passed.get("accept-encoding", "identity") != "identity"
        or any(name.lower().startswith("response-") for name, _ in query),
        host=headers.get("host", "").strip(),
        style=_style(headers),
        region=unverified.region.decode("latin-1"),
        must_ask=must_ask,
    )


def _fixed(headers: Mapping[str, str], unverified: Unverified) -> frozenset[str]:
    """The names of the headers that are signed. Raises ``AccessDenied`` where others should be."""
    needed = {name for name in headers if name.startswith("x-amz-")}
    if not unverified.listed:
        return frozenset({*needed, *_ALWAYS_IN_V2, "date"})
    fixed = frozenset(unverified.listed.decode("latin-1").split(";"))
    unsigned = {*needed, "host"} - fixed
    if unsigned:
        raise errors.AccessDenied(
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(sorted(unsigned)),
        )
    for name in fixed - _KNOWN:
        if not name.startswith(_AMAZONS):
            raise errors.InvalidRequest("A header is signed that is not passed on to the remote.", Header=name[:64])
    return fixed


def _style(headers: Mapping[str, str]) -> Style | None:
    told = headers.get(STYLE)
    if told is None:
        return None
    for style in STYLES:
        if told.strip().lower() == style:
            return style
    raise errors.InvalidArgument(f"{STYLE} is path or virtual.", ArgumentName=STYLE)


def check(operation: Operation, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
    """Raises ``NotImplementedByServer`` where a request asks for what cannot be passed on."""
    for name in headers:
        if name.startswith(_NOT_PASSED):
            raise errors.NotImplementedByServer(f"Requests with {name} are not passed on to the remote.", Header=name)
    for name in ("versionId", "partNumber"):
        if name in query:
            raise errors.NotImplementedByServer(f"Requests with {name} are not passed on to the remote.")
    if operation.method == "PUT":
        headers = {name: value for name, value in headers.items() if not name.startswith(_OF_THE_REMOTE)}
    check_headers(operation, headers)


def may_keep(query: Iterable[str]) -> bool:
    """Whether an object that is written is what the request says. Presigners move headers into the query, and what of
    them a remote keeps with the object is its own matter. ``query`` are the names there.
    """
    return not any(name.lower().startswith(METADATA_PREFIX) or name in STORED_HEADERS for name in query)
