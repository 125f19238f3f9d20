"""What S3's answers say of objects and listings, and how an object is described to S3. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

import msgspec

from tidegate import checksums, errors
from tidegate.model import FULL_OBJECT, NULL_VERSION, STORED_HEADERS
from tidegate.upstream import documents, keys, times
from tidegate.upstream.abc import Entry, RemoteObject, Removed
from tidegate.upstream.download import Check, checks
from tidegate.upstream.wire import Answer

_METADATA: Final = "x-amz-meta-"
_MD5: Final = re.compile("[0-9a-f]{32}")
# What XML cannot have, not even as a reference.
_CONTROL: Final = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2\d|3[01]));", re.IGNORECASE
)
METHOD_NOT_ALLOWED: Final = 405  # what S3 says of a delete marker that was named
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
    return {name: headers[name] for name in STORED_HEADERS if name in headers} | {
        f"{_METADATA}{name}": value for name, value in metadata.items()
    }


def check_stored(uri: str, key: str, answer: Answer, md5: str) -> None:
    """Raises ``RemoteUnavailable`` where the remote says by its ETag that it has stored other bytes than were sent."""
    etag = etag_of(answer)
    if _MD5.fullmatch(etag) and etag != md5 and _has_md5(answer.headers):
        raise errors.RemoteUnavailable(f"{uri}: the remote has stored something else than it was sent", Key=key)


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
        # moto's answers to HEAD have the checksum of the parts' checksums, and do not say so.
        and ("-" not in headers.get("etag", "") or headers.get("x-amz-checksum-type", "") == FULL_OBJECT)
        and "-" not in headers.get(algorithm.header, "-")  # with one, it is a checksum of the parts' checksums
    }
    version_id = version_of(answer)
    return RemoteObject(
        key,
        size,
        headers.get("etag", "").strip('"'),
        times.from_http(headers.get("last-modified", "")),
        "" if version_id == NULL_VERSION else version_id,
        {name: headers[name] for name in STORED_HEADERS if name in headers},
        metadata,
        sums,
        digest,
    )


def version_of(answer: Answer) -> str:
    """The version that an answer is about, which may be ``null``; empty where the remote names none."""
    return answer.headers.get("x-amz-version-id", "")


def described_version(uri: str, key: str, version_id: str, answer: Answer, size: int) -> RemoteObject:
    """As ``described``, of the version that was asked for. Raises ``NotImplementedByServer`` where the answer tells of
    another: a remote that does not know versions sends the object of the key.
    """
    if (version_of(answer) or NULL_VERSION) != version_id:
        raise errors.NotImplementedByServer(f"{uri}: the remote does not know objects by the ids of their versions")
    return msgspec.structs.replace(described(key, answer, size), version_id=version_id)


def removed(answer: Answer) -> Removed:
    """What an answer says of a delete."""
    return Removed(version_of(answer), answer.headers.get("x-amz-delete-marker") == "true")


def of_version(error: errors.Error, key: str, version_id: str, answer: Answer) -> errors.Error:
    """What a refusal means where a version was asked for: a HEAD has no words for it."""
    if answer.status == METHOD_NOT_ALLOWED and answer.headers.get("x-amz-delete-marker") == "true":
        return errors.NamedDeleteMarker(version_id=version_id)
    if version_id and isinstance(error, (errors.NoSuchKey, errors.NoSuchVersion)):
        return errors.NoSuchVersion(Key=key, VersionId=version_id)
    return error


def promises(remote: RemoteObject, headers: Mapping[str, str]) -> tuple[Check, ...]:
    """What all of an object can be held against: its ETag too, unless that is known to be no MD5."""
    return checks(remote, etag_is_md5=_has_md5(headers))


def _has_md5(headers: Mapping[str, str]) -> bool:
    """Whether an ETag that looks like an MD5 is one."""
    return (
        headers.get("x-amz-server-side-encryption", "") not in _ENCRYPTED
        and "x-amz-server-side-encryption-customer-algorithm" not in headers
    )


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
        headers={name: headers[name] for name in STORED_HEADERS if name in headers},
        metadata=dict(metadata),
        digest=digest,
    )
