"""What the gateway may ask of somebody else's bucket, whoever keeps it, and the values that come back.

Keys are exact: what is asked for is what is meant, byte for byte. A key that the remote cannot have is
``UnrepresentableKey``, never a similar one. Sizes and offsets are bytes, times microseconds since the epoch, UTC.

What can go wrong, beside what a method says, is the same everywhere:

- ``RemoteUnavailable`` (503): no answer, a broken one, or a failure of the remote's. Reads have been tried several
  times. After a write it is *not known* whether the remote has done it: ask ``head``.
- ``SlowDown`` (503): the remote asks for fewer requests and did so after several pauses; or all our own places for
  requests were taken for too long. Nothing was done.
- ``RemoteDenied`` (403): credentials are missing, wrong or not enough.
- ``NoSuchBucket`` (404), ``RemoteRefused`` (400), ``InsufficientStorage`` (507), ``NotImplementedByServer`` (501).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from tidegate.model import EMPTY

Piece: TypeAlias = bytes | bytearray | memoryview


class RemoteObject(msgspec.Struct, frozen=True):
    """What a remote says of an object.

    ``size`` is that of the whole object, also where a range was asked for. ``etag`` has no quotes and identifies the
    bytes; it is empty where an HTTP origin gives none. ``modified`` is the remote's clock; after a write it may be a
    second away from what ``head`` says, so compare ETags or version ids, never times. ``version_id`` is empty where
    the remote has no versions.

    ``headers`` are those in ``model.STORED_HEADERS``, by lower-case name; ``metadata`` is the user's, by lower-case
    name without any ``x-amz-meta-``. ``checksums`` are those of the whole object by S3's names, in base64, as in
    ``model.Attributes``. ``digest`` is the checksum that AIStore or we have left with the object, as
    ``("xxhash", "05967d5390ac53b0")``; it is not in ``metadata``.
    """

    key: str
    size: int
    etag: str = ""
    modified: int = 0
    version_id: str = ""
    headers: Mapping[str, str] = EMPTY
    metadata: Mapping[str, str] = EMPTY
    checksums: Mapping[str, str] = EMPTY
    digest: tuple[str, str] | None = None


class Entry(msgspec.Struct, frozen=True):
    """An object in a listing."""

    key: str
    size: int
    etag: str
    modified: int


class Removed(msgspec.Struct, frozen=True):
    """What a delete did, at a remote with versions: the version that it removed, or the delete marker that it made."""

    version_id: str = ""
    is_delete_marker: bool = False


class Page(msgspec.Struct, frozen=True):
    """Objects and common prefixes, each in the order of their UTF-8 bytes.

    Where there is more, ``last`` is the last item; at the end it is None. The next page is ``list(after=page.last,
    token=page.token)``, with the same prefix and delimiter. ``token`` is the remote's own mark, opaque and perhaps
    empty; a listing goes on without it too, which is as fast but on Azure.
    """

    entries: tuple[Entry, ...]
    prefixes: tuple[str, ...]
    token: str = ""
    last: str | None = None


class Readable(Protocol):
    """As much of an ``Upstream`` as a read needs."""

    async def head(self, key: str) -> RemoteObject: ...

    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, if_match: str | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]: ...


class Upstream(Protocol):
    """Somebody else's bucket. One is used by any number of tasks of one event loop at the same time.

    At most ``wire.CONCURRENT`` requests are under way at once, each body that is being read among them: who waits for
    something else of the same upstream while holding a body half read may wait in vain, and gets ``SlowDown``.
    """

    @property
    def uri(self) -> str:
        """The bucket's name for people, as ``s3://name``. Never has a credential in it."""

    async def check(self) -> None:
        """Returns if the bucket is there and may be read. Raises ``NoSuchBucket``, ``RemoteDenied`` and the like."""

    async def head(self, key: str) -> RemoteObject:
        """What the remote has under this key. Raises ``NoSuchKey``, also where there is no bucket: ``check`` tells."""

    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, if_match: str | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        """An object, and its bytes from ``start`` up to but without ``stop`` (or the end, whichever comes first).

        The bytes come in pieces of at most ``threads.PIECE``, as they arrive. Either all of them come, or an error is
        raised: a body never ends early. What breaks is resumed where the remote can prove that it is still the same
        object. Read whole, an object is held against its checksums (``checksums``, ``digest``, an ETag that is an MD5)
        before its last piece is handed out: ``RemoteDamaged``. The generator must be closed (``aclosing``), also if
        nothing is read from it.

        Raises ``NoSuchKey``; ``InvalidRange`` where ``start`` is not before the object's end; ``RemoteChanged`` where
        its ETag is not ``if_match``, or is another in the middle of the body.
        """

    async def put(
        self,
        key: str,
        body: AsyncIterable[Piece],
        *,
        size: int | None = None,
        headers: Mapping[str, str] = EMPTY,
        metadata: Mapping[str, str] = EMPTY,
        digest: tuple[str, str] | None = None,
        tags: Mapping[str, str] = EMPTY,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> RemoteObject:
        """Writes an object; returns when the remote has it, whole and under this key.

        The body is read once, and at the pace of the remote; at most ``upload.HELD`` of it is in memory at a time.
        ``size`` is its length where that is known (``IncompleteBody`` if it is another); give it where possible, as
        an object over 78 GiB needs larger parts. If the body raises, or the task is cancelled, nothing is written and
        the parts that the remote had already are given up.

        ``if_match`` is the ETag that the remote's object must have, ``if_none_match`` says that there must be none:
        ``PreconditionFailed`` (some remotes say ``NoSuchKey`` where ``if_match`` meets nothing), or
        ``NotImplementedByServer`` where the remote has no such conditions. ``digest`` is kept with the object where
        AIStore keeps it. ``tags`` are for a ``Versioned`` remote: others raise ``NotImplementedByServer``.
        """

    async def delete(self, key: str, *, if_match: str | None = None) -> Removed:
        """Removes an object. That there is none is no error.

        ``if_match`` is the ETag that it must have: ``PreconditionFailed``, ``NoSuchKey``, and
        ``NotImplementedByServer`` where the remote has no such condition.
        """

    async def copy(
        self,
        source: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        digest: tuple[str, str] | None = None,
        if_match: str | None = None,
    ) -> RemoteObject:
        """Copies an object within the bucket, at the remote; returns when it is done.

        ``headers`` and ``metadata`` (both or none) replace the source's, with ``digest``; without them all is copied.
        ``if_match`` is the ETag that the source must have. Raises ``NoSuchKey``, ``PreconditionFailed``.
        """

    async def list(
        self, *, prefix: str = "", delimiter: str = "", after: str = "", token: str = "", limit: int = 1000
    ) -> Page:
        """A page of at most ``limit`` objects and common prefixes, as ListObjectsV2: never empty where there is more.

        A page may be shorter than ``limit`` though there is more. ``after`` is a key, or a common prefix that stands
        for all that begins with it; with a ``token`` it is not looked at. Azure cannot begin in the middle without a
        token: there all that is before ``after`` is read.
        """

    async def close(self) -> None:
        """Ends all connections. What is under way fails."""


@runtime_checkable
class Versioned(Upstream, Protocol):
    """A remote whose objects have versions that can be named, and tags. ``version_id`` may be ``null``.

    Beside what they say all raise ``NoSuchVersion``, ``NamedDeleteMarker``, and ``NotImplementedByServer`` where the
    remote does not know versions, or tags, after all.
    """

    async def head_version(self, key: str, version_id: str) -> RemoteObject:
        """What the remote has as this version."""

    async def get_version(
        self, key: str, version_id: str, *, start: int = 0, stop: int | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        """As ``get``."""

    async def delete_version(self, key: str, version_id: str) -> Removed:
        """Removes a version for good, which may be a delete marker. That there is none is no error."""

    async def tags(self, key: str, version_id: str = "") -> tuple[Mapping[str, str], str]:
        """An object's tags, and its version id. Raises ``NoSuchKey``."""

    async def set_tags(self, key: str, tags: Mapping[str, str], version_id: str = "") -> str:
        """Replaces an object's tags. Returns its version id. Raises ``NoSuchKey``."""
