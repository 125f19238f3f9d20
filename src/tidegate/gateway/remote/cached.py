"""What a remote says of an object, as the store says it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec

from tidegate import checksums
from tidegate.catalog.blobs import Content
from tidegate.catalog.fills import Partial
from tidegate.catalog.versions import NO_CHECKSUM, Draft
from tidegate.checksums import Hasher
from tidegate.gateway.remote.upstreams import remote_of
from tidegate.model import EMPTY, FULL_OBJECT, STANDARD, Attributes, Bucket, Version

if TYPE_CHECKING:
    from tidegate.upstream import RemoteObject

_encode = msgspec.msgpack.Encoder(enc_hook=dict).encode  # a mapping that cannot be changed is written as any other


class Identity(msgspec.Struct, frozen=True):
    """What tells one state of a remote's object from others: the ETag, or the time where there is none."""

    size: int
    etag: str
    modified: int

    def holds(self, other: Identity) -> bool:
        """Whether another is the same for sure."""
        if self.etag or other.etag:
            return (self.size, self.etag) == (other.size, other.etag)
        return bool(self.modified) and self == other


def identity(known: RemoteObject | Version) -> Identity:
    """The identity of what a remote has, or of what was kept of it."""
    return Identity(known.size, known.etag, known.modified)


def pack(remote: RemoteObject) -> bytes:
    """What a remote said, for the catalog."""
    return _encode(remote)


def unpack(partial: Partial) -> RemoteObject:
    """What the remote said of a partial that is no opening."""
    return _decoder().decode(partial.remote or b"")


@cache
def _decoder() -> msgspec.msgpack.Decoder[RemoteObject]:
    from tidegate.upstream import RemoteObject  # noqa: PLC0415 - a server without remotes does not load it

    return msgspec.msgpack.Decoder(RemoteObject)


def hasher_of(bucket: Bucket, remote: RemoteObject) -> Hasher | None:
    """What computes the checksum that a bucket asks for, where the remote has not told it."""
    kind = bucket.properties.checksum.type
    if kind == NO_CHECKSUM or (remote.digest is not None and remote.digest[0] == kind):
        return None
    return checksums.new(checksums.DIGESTS[kind])


def digest_of(bucket: Bucket, hasher: Hasher | None) -> tuple[str, str] | None:
    """What such a one has computed, with its kind."""
    return None if hasher is None else (bucket.properties.checksum.type, hasher.digest().hex())


def attributes_of(bucket: Bucket, remote: RemoteObject, digest: tuple[str, str] | None = None) -> Attributes:
    """What is stored beside an object's bytes. ``digest`` is one that we have computed."""
    if digest is None and remote.digest is not None and remote.digest[0] == bucket.properties.checksum.type:
        digest = remote.digest
    return Attributes(
        dict(remote.headers),
        dict(remote.metadata),
        dict(remote.checksums),
        FULL_OBJECT if remote.checksums else "",
        "",
        digest,
        (remote_of(bucket).provider, remote.version_id),
    )


def draft_of(
    bucket: Bucket, remote: RemoteObject, content: Content, now: int, digest: tuple[str, str] | None = None
) -> Draft:
    """The object to be cached. ``now`` stands for the time of an object whose remote tells none."""
    return Draft(
        content,
        remote.size,
        remote.etag,
        remote.modified or now,
        STANDARD,
        attributes_of(bucket, remote, digest),
        EMPTY,
    )


def version_of(bucket: Bucket, remote: RemoteObject, now: int) -> Version:
    """The object as a version, which is in no log."""
    return Version(
        remote.key, 0, remote.version_id, remote.size, remote.etag, remote.modified or now, STANDARD, 0,
        attributes_of(bucket, remote), EMPTY, accessed=now,
    )  # fmt: skip


def named(version: Version) -> Version:
    """A cached object, by its provider's id of the version where it has one: as it is shown to clients."""
    source = version.attributes.source
    return version if source is None or not source[1] else msgspec.structs.replace(version, version_id=source[1])
