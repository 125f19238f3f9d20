"""Takes in a body: small ones into memory for the catalog, others to the blob store, hashed on the way.

Nothing here is visible to anyone. Whatever goes wrong, what was written is removed again; if even that fails, a sweep
finds it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping

import msgspec
import xxhash

from tidegate import checksums, errors
from tidegate.blobs import BlobStore, StoredBlob
from tidegate.catalog.blobs import Content, File, Inline
from tidegate.gateway.body import Body
from tidegate.model import Bucket

MD5 = "MD5"
DELAYED = "delayed"  # write_policy.data: blob files are not waited for

# hashlib lets other threads run while it hashes 2 KiB or more. For content that is small enough to be inline, getting
# the turn back from the catalog's writer costs more than the hashing.
_HASHED_AT_ONCE = 2047


class Received(msgspec.Struct, frozen=True):
    """A body that was taken in, verified and, unless it is inline, made durable.

    ``checksums`` are those that the client declared; ``digests`` all that were computed.
    """

    content: Content
    size: int
    digests: Mapping[str, bytes]
    checksums: Mapping[str, str]

    @property
    def md5(self) -> str:
        return self.digests[MD5].hex()


class Receiver:
    """Takes bodies in for one store. ``inline_limit`` is the size in bytes up to which content stays in the catalog."""

    def __init__(self, store: BlobStore, inline_limit: int) -> None:
        self._store = store
        self.inline_limit = inline_limit

    async def receive(self, bucket: Bucket, body: Body, max_size: int, also: Iterable[str] = ()) -> Received:
        """Reads a body to its end, for a bucket. ``also`` names digests to compute beside MD5 and what the body wants.

        A mirrored bucket's is not inline, whatever its size: it goes to as many data folders as the bucket says.

        Raises ``EntityTooLarge``, what the body raises, and what the disk makes of it.
        """
        if body.size is not None and body.size > max_size:
            raise errors.EntityTooLarge(ProposedSize=str(body.size), MaxSizeAllowed=str(max_size))
        hashers = {name: checksums.new(name) for name in (MD5, *body.algorithms, *also)}
        pieces = aiter(body)
        held: list[bytes | memoryview] = []
        size = 0
        async for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size > self.inline_limit:
                return await self._receive_file(bucket, body, pieces, held, hashers, max_size)
        if bucket.copies > 1:
            return await self._receive_file(bucket, body, pieces, held, hashers, max_size)
        data = bytes(held[0]) if len(held) == 1 else b"".join(held)
        if size > max_size:
            raise errors.EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(max_size))
        for start in range(0, size, _HASHED_AT_ONCE):
            piece = data[start : start + _HASHED_AT_ONCE]
            for hasher in hashers.values():
                hasher.update(piece)
        digests = {name: hasher.digest() for name, hasher in hashers.items()}
        return Received(inline(data), size, digests, body.verify(digests))

    async def _receive_file(
        self,
        bucket: Bucket,
        body: Body,
        rest: AsyncIterator[bytes | memoryview],
        held: list[bytes | memoryview],
        hashers: Mapping[str, checksums.Hasher],
        max_size: int,
    ) -> Received:
        durable = False if bucket.properties.write_policy.data == DELAYED else None
        writer = self._store.writer(list(hashers.values()), bucket.copies, body.size or 0, durable=durable)
        try:
            size = 0
            for piece in held:
                size += len(piece)
                await writer.write(piece)
            held.clear()
            async for piece in rest:
                size += len(piece)
                if size > max_size:
                    raise errors.EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(max_size))
                await writer.write(piece)
            await writer.flush()
            digests = {name: hasher.digest() for name, hasher in hashers.items()}
            declared = body.verify(digests)
            stored = await writer.finish()
        except BaseException:
            with contextlib.suppress(errors.Error):
                await writer.abort()
            raise
        return Received(in_file(stored), stored.size, digests, declared)

    async def discard(self, content: Content) -> None:
        """Removes content that the catalog refused."""
        if isinstance(content, File):
            with contextlib.suppress(errors.Error):
                await self._store.delete([(content.name, content.folders)])


def in_file(stored: StoredBlob) -> File:
    """Content of a blob file, for the catalog."""
    return File(stored.name, stored.size, stored.digest, stored.folders)


def inline(data: bytes) -> Inline:
    """Content for the catalog, with its integrity checksum."""
    return Inline(data, xxhash.xxh3_64_digest(data))
