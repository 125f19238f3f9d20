"""Request headers that say something of an object: parsed into what the gateway takes, and written back in answers."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import msgspec

from tidegate import checksums, errors
from tidegate import preconditions as conditions
from tidegate.asgi import Headers
from tidegate.gateway.copying import Source
from tidegate.gateway.objects import NewObject
from tidegate.model import MESSAGE_NAME, NULL_VERSION, STANDARD, STORED_HEADERS, Note, Principal, Version
from tidegate.names import MAX_KEY_BYTES
from tidegate.s3.call import Call
from tidegate.s3.target import parse_query

preconditions = conditions.of_headers
parse_http_date = conditions.parse_http_date

METADATA_PREFIX = "x-amz-meta-"
# What a client says of the commit that its request makes, where the bucket is a branch: see ``model.Note``.
COMMIT_MESSAGE = f"{METADATA_PREFIX}{MESSAGE_NAME}"
IF_HEAD = "if-head-commit"
# Amazon S3: names and values of user metadata have at most 2 KB together.
MAX_METADATA = 2048
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
STORAGE_CLASSES = frozenset(
    {
        STANDARD,
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "OUTPOSTS",
        "GLACIER_IR",
        "SNOW",
        "EXPRESS_ONEZONE",
        "FSX_OPENZFS",
    }
)
# Amazon S3: tags of an object, of a bucket, and the characters of a tag.
MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 256
_RESERVED_TAG_PREFIX = "aws:"

RESPONSE_OVERRIDES = {f"response-{name}": name for name in STORED_HEADERS}


@lru_cache(maxsize=4096)
def http_date(seconds: int) -> bytes:
    """A time as HTTP has it (RFC 9110 section 5.6.7)."""
    return formatdate(seconds, usegmt=True).encode()


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The user's metadata, by name without the prefix. Raises ``MetadataTooLarge``."""
    found = {name[len(METADATA_PREFIX) :]: value for name, value in headers.items() if name.startswith(METADATA_PREFIX)}
    if found and sum(len(name) + len(value) for name, value in found.items()) > MAX_METADATA:
        raise errors.MetadataTooLarge(MaxSizeAllowed=str(MAX_METADATA))
    return found


def new_object(headers: Mapping[str, str]) -> NewObject:
    """What the headers say of an object that is written."""
    stored = {name: headers[name] for name in STORED_HEADERS if name in headers}
    encoding = stored.get("content-encoding")
    if encoding is not None and "aws-chunked" in encoding:
        # That was the framing of the body, not a property of the object.
        kept = ",".join(part for part in encoding.split(",") if part.strip() != "aws-chunked").strip()
        if kept:
            stored["content-encoding"] = kept
        else:
            del stored["content-encoding"]
    return NewObject(
        stored,
        metadata(headers),
        header_tags(headers) or {},
        storage_class(headers) or STANDARD,
        headers.get("x-amz-website-redirect-location", ""),
    )


def storage_class(headers: Mapping[str, str]) -> str | None:
    """The storage class that is asked for. Raises ``InvalidStorageClass``."""
    name = headers.get("x-amz-storage-class")
    if name is not None and name not in STORAGE_CLASSES:
        raise errors.InvalidStorageClass(StorageClassRequested=name)
    return name


def header_tags(headers: Mapping[str, str]) -> dict[str, str] | None:
    """The tags in ``x-amz-tagging``, which is written like a query; None without one.

    Raises ``InvalidTag``, ``InvalidArgument``.
    """
    value = headers.get("x-amz-tagging")
    if value is None:
        return None
    try:
        pairs = parse_query(value.encode("latin-1"))
    except errors.InvalidURI:
        raise errors.InvalidArgument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
            "name duplicates.",
            ArgumentName="x-amz-tagging",
        ) from None
    return check_tags(pairs, MAX_OBJECT_TAGS)


def check_tags(pairs: list[tuple[str, str]], limit: int) -> dict[str, str]:
    """Tags by their keys. Raises ``InvalidTag`` for what Amazon does not take."""
    tags = dict(pairs)
    if len(tags) != len(pairs):
        raise errors.InvalidTag("Cannot provide multiple Tags with the same key")
    if len(tags) > limit:
        raise errors.BadRequest(f"Object tags cannot be greater than {limit}")
    for key, value in tags.items():
        if not 1 <= len(key) <= MAX_TAG_KEY:
            raise errors.InvalidTag("The TagKey you have provided is invalid", TagKey=key)
        if len(value) > MAX_TAG_VALUE:
            raise errors.InvalidTag("The TagValue you have provided is invalid", TagKey=key, TagValue=value)
        if key.startswith(_RESERVED_TAG_PREFIX):
            raise errors.InvalidTag("System tags cannot be added/updated by requester", TagKey=key)
    return tags


def noted(principal: Principal, headers: Mapping[str, str]) -> Principal:
    """The caller, with what the headers say of the commit that comes of the request."""
    message = headers.get(COMMIT_MESSAGE, "").encode("latin-1").decode(errors="replace")
    return msgspec.structs.replace(principal, note=Note(message, if_head=headers.get(IF_HEAD, "").strip().strip('"')))


def copy_source(call: Call) -> Source:
    """What a copy copies: ``[/]bucket/key[?versionId=id]``, percent-encoded. Raises ``InvalidArgument``."""
    value = call.headers["x-amz-copy-source"]
    if value.startswith("arn:"):
        raise errors.NotImplementedByServer("Copy sources that are access points are not implemented.")
    path, mark, query = value.removeprefix("/").partition("?")
    bucket, slash, key = _decoded(path).partition("/")
    version_id = ""
    if mark:
        pairs = parse_query(query.encode("latin-1"))
        if [name for name, _ in pairs] != ["versionId"] or not pairs[0][1]:
            raise _bad_copy_source(value)
        version_id = pairs[0][1]
    if not (bucket and slash and key) or len(key.encode()) > MAX_KEY_BYTES:
        raise _bad_copy_source(value)
    return Source(call.name_of(bucket), key, version_id, preconditions(call.headers, "x-amz-copy-source-"))


def rename_source(call: Call) -> Source:
    """What a rename moves: a key of the same bucket, or ``bucket/key`` with that bucket's name.

    Raises ``InvalidArgument``.
    """
    value = call.headers.get("x-amz-rename-source")
    if value is None:
        raise errors.MissingSecurityHeader("Your request was missing the x-amz-rename-source header.")
    path = _decoded(value.removeprefix("/"))
    key = path.removeprefix(f"{call.bucket}/")
    if not key or len(key.encode()) > MAX_KEY_BYTES:
        raise _bad_copy_source(value)
    return Source(call.name, key, "", preconditions(call.headers, "x-amz-rename-source-"))


def _decoded(path: str) -> str:
    """A percent-encoded path as text. A client may also send UTF-8 as it is. Raises ``InvalidArgument``."""
    raw = unquote_to_bytes(path.encode("latin-1"))
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        raise _bad_copy_source(path) from None
    if "\0" in decoded:
        raise _bad_copy_source(path)
    return decoded


def _bad_copy_source(value: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ArgumentName="x-amz-copy-source",
        ArgumentValue=value,
    )


def wire(value: str) -> bytes:
    """A header value as it came: stored text stands for bytes (ISO 8859-1)."""
    return value.encode("latin-1", "replace")


def quoted(etag: str) -> bytes:
    """An ETag as headers have it."""
    return b'"%b"' % etag.encode()


def version_headers(version: Version) -> Headers:
    """The header that names a version, where the bucket has versions."""
    return [(b"x-amz-version-id", version.version_id.encode())] if version.version_id else []


def new_version_headers(version_id: str) -> Headers:
    """The header that names a version in the answer to its writing: a null version is not named.

    Source: Amazon S3 API reference, "PutObject", sample responses.
    """
    return [(b"x-amz-version-id", version_id.encode())] if version_id not in {"", NULL_VERSION} else []


def checksum_headers(values: Mapping[str, str], checksum_type: str) -> Headers:
    """The headers of an object's checksums."""
    if not values:
        return []
    headers = [(checksums.ALGORITHMS[name].header.encode(), value.encode()) for name, value in values.items()]
    return [*headers, (b"x-amz-checksum-type", checksum_type.encode())] if checksum_type else headers
