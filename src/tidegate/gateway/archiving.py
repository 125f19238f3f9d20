"""Adding a file to an object that is a tar archive: a new version of the old one's bytes and the new file's. No byte of
the archive is copied; of a small one all are.
"""

from __future__ import annotations

import msgspec

from tidegate import errors
from tidegate.catalog import blobs, versions
from tidegate.catalog.abc import Transaction
from tidegate.catalog.blobs import Composed, Content, Range
from tidegate.catalog.buckets import Name
from tidegate.catalog.versions import Draft
from tidegate.clock import SECOND, now
from tidegate.gateway import appending, tar
from tidegate.gateway.appends import ACTION, digest_of
from tidegate.gateway.archives import tar_end
from tidegate.gateway.assignments import ArchiveFormat
from tidegate.gateway.body import Body
from tidegate.gateway.jobs import archive_format
from tidegate.gateway.objects import MAX_PUT_SIZE
from tidegate.gateway.reading import Reading, open_reading
from tidegate.gateway.receive import Received, inline
from tidegate.gateway.rooms import Rooms
from tidegate.gateway.selection import check_key
from tidegate.gateway.sources import Stored
from tidegate.model import Bucket, Principal, Version


class Archiving:
    """Adding files to archives."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def add(
        self, principal: Principal, bucket_name: Name, key: str, name: str, body: Body, mime: str = ""
    ) -> Version:
        """Adds a file behind the last one. Returns the new version of the archive.

        Raises ``NoSuchBucket``, ``AccessDenied``, ``NoSuchKey``, ``InvalidArchive``, ``TooManyParts``,
        ``NotImplementedByServer`` for an archive that is compressed, and what the body raises.
        """
        if archive_format(key, mime) is not ArchiveFormat.TAR:
            raise errors.NotImplementedByServer("Files can be added to tar archives only, and none that is compressed.")
        check_key(name)
        bucket = await self._rooms.bucket(principal, bucket_name, ACTION)
        await self._rooms.space.check()
        reading = await open_reading(self._rooms, principal, bucket_name, ACTION, key, "")
        end = await tar_end(Stored(reading))
        received = await self._rooms.receiver.receive(bucket, body, MAX_PUT_SIZE)
        while (version := await self._add(principal, bucket_name, key, name, received, reading, end)) is None:
            try:
                reading = await open_reading(self._rooms, principal, bucket_name, ACTION, key, "")
                end = await tar_end(Stored(reading))
            except BaseException:
                await self._rooms.receiver.discard(received.content)
                raise
        return version

    async def _add(
        self, principal: Principal, name: Name, key: str, member: str, received: Received, reading: Reading, end: int
    ) -> Version | None:
        """The new version; None where the archive is no longer what was read."""
        modified = now()
        header = tar.header(member, received.size, modified // SECOND)
        footer = tar.padding(received.size) + tar.END

        def add(tx: Transaction, bucket: Bucket) -> Version | None:
            current = versions.get(tx, bucket, key)
            if current.seq != reading.version.seq or current.blob is None:
                return None
            size = end + len(header) + received.size + len(footer)
            old = Range(current.blob, 0, end)
            pieces: tuple[tuple[Content, int], ...] = (
                (inline(header), len(header)),
                (received.content, received.size),
                (inline(footer), len(footer)),
            )
            small = appending.joined(tx, (old, *(piece for piece, _ in pieces)))
            added: list[int] = []
            if small is not None:
                content: Content = small
                etag, digest = appending.etag_of(small.data), digest_of(bucket, small.data)
            else:
                appending.check_parts(tx, current)
                ranges = [old]
                for piece, length in pieces:
                    added.append(blobs.add(tx, piece, bucket.copies))
                    ranges.append(Range(added[-1], 0, length))
                content = Composed([each for each in ranges if each.length])
                etag, digest = appending.composed_etag(current.etag, received.md5), None
            attributes = msgspec.structs.replace(current.attributes, checksums={}, checksum_type="", digest=digest)
            draft = Draft(content, size, etag, modified, current.storage_class, attributes, current.tags)
            version = versions.put(tx, bucket, key, draft)
            for blob in added:
                blobs.release(tx, blob, modified, is_handed_over=True)  # the new version's blob refers to it now
            return version

        return await self._rooms.commit(principal, name, ACTION, received.content, add)
