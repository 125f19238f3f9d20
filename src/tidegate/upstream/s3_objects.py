"""What S3's answers say of objects and listings, and how an object is described to S3. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

import msgspec

from tidegate import checksums, errors
from tidegate.upstream import documents, keys, times
from tidegate.upstream.abc import HEADERS, Entry, RemoteObject
from tidegate.upstream.download import Check, checks
from tidegate.upstream.wire import Answer

_METADATA: Final = "x-amz-meta-"
# What XML cannot have, not even as a reference.
_CONTROL: Final = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2\d|3[01]));", re.IGNORECASE
)
# With these an ETag is no MD5, though it looks like one.
_ENCRYPTED: Final = frozenset({"aws:kms", "aws:kms:dsse"})


def listed(uri: str, body: bytes) -> tuple[Sequence[Entry], Sequence[str], str]:
    """The objects, common prefixes and next token of a page. Raises ``RemoteUnavailable`` for what is none."""
    # Some servers write back what was asked for without encoding it, control characters and all.
    readable = _CONTROL.sub(b"", body)
    root = documents.parse(uri, readable, "ListBucketResult")
    is_encoded = documents.text(root, "EncodingType") == "url"
    if not is_encoded and readable != body:
        raise errors.RemoteUnavailable(f"{uri}: the remote's listing has names in it that cannot be read")
    decode = unquote_plus if is_encoded else str
    entries = [_entry(item, decode(documents.text(item, "Key"))) for item in documents.children(root, "Contents")]
    prefixes = [decode(documents.text(item, "Prefix")) for item in documents.children(root, "CommonPrefixes")]
    is_more = documents.text(root, "IsTruncated") == "true"
    token = documents.text(root, "NextContinuationToken") if is_more else ""
    if is_more and not token:
        raise errors.RemoteUnavailable(f"{uri}: the remote's listing has more, but does not say where")
    return entries, prefixes, token


def _entry(item: Element, key: str) -> Entry:
    return Entry(
        key,
        int(documents.text(item, "Size") or 0),
        documents.text(item, "ETag").strip('"'),
        times.from_iso(documents.text(item, "LastModified")),
    )


def etag_of(answer: Answer) -> str:
    """The ETag of an answer: in its head, or in its document where the work was long."""
    etag = answer.headers.get("etag", "")
    if not etag and answer.body:
        etag = documents.text(documents.parse("", answer.body), "ETag")
    return etag.strip('"')


def describing(headers: Mapping[str, str], metadata: Mapping[str, str]) -> dict[str, str]:
    """The request headers that describe an object."""
    return {name: headers[name] for name in HEADERS if name in headers} | {
        f"{_METADATA}{name}": value for name, value in metadata.items()
    }


def described(key: str, answer: Answer, size: int) -> RemoteObject:
    """What an answer's head says of an object. The checksums of a range's answer may be a part's, so they are left."""
    headers = answer.headers
    metadata = {
        name[len(_METADATA) :]: keys.plain(value) for name, value in headers.items() if name.startswith(_METADATA)
    }
    metadata, digest = keys.without_digest(metadata)
    sums = {
        algorithm.name: headers[algorithm.header]
        for algorithm in checksums.ALGORITHMS.values()
        if answer.status != 206
        and "-" not in headers.get(algorithm.header, "-")  # with one, it is a checksum of the parts' checksums
    }
    version_id = headers.get("x-amz-version-id", "")
    return RemoteObject(
        key,
        size,
        headers.get("etag", "").strip('"'),
        times.from_http(headers.get("last-modified", "")),
        "" if version_id == "null" else version_id,
        {name: headers[name] for name in HEADERS if name in headers},
        metadata,
        sums,
        digest,
    )


def promises(remote: RemoteObject, headers: Mapping[str, str]) -> tuple[Check, ...]:
    """What all of an object can be held against: its ETag too, unless that is known to be no MD5."""
    is_plain = (
        headers.get("x-amz-server-side-encryption", "") not in _ENCRYPTED
        and "x-amz-server-side-encryption-customer-algorithm" not in headers
    )
    return checks(remote, etag_is_md5=is_plain)


def written(
    key: str,
    answer: Answer,
    size: int,
    headers: Mapping[str, str],
    metadata: Mapping[str, str],
    digest: tuple[str, str] | None,
) -> RemoteObject:
    """An object that has just been written, from the answer to that."""
    told = msgspec.structs.replace(answer, headers={"last-modified": answer.headers.get("date", ""), **answer.headers})
    remote = described(key, told, size)
    return msgspec.structs.replace(
        remote,
        etag=etag_of(answer),
        headers={name: headers[name] for name in HEADERS if name in headers},
        metadata=dict(metadata),
        digest=digest,
    )
