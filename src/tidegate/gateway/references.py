"""Objects that were brought in by reference: their bytes are read where another provider keeps them, and cached as any
of that bucket are.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from tidegate import errors
from tidegate.model import EVERYONE
from tidegate.names import BucketName

if TYPE_CHECKING:
    from tidegate.catalog.blobs import Reference
    from tidegate.gateway.reading import Reading
    from tidegate.gateway.remote.reading import Reads
    from tidegate.gateway.rooms import Rooms


class References:
    """The way to what other providers keep, for readers of our own buckets.

    Whoever puts the gateway together sets ``open``: what reads remote buckets is made of the rooms that need this.
    """

    def __init__(self) -> None:
        self.open: Callable[[Reference, int, int], Awaitable[Reading]] | None = None

    async def stream(self, reference: Reference, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a range. Raises ``SourceChanged`` where they have changed, and as the provider does."""
        if self.open is None:
            raise errors.ServiceUnavailable
        reading = await self.open(reference, start, length)
        async with aclosing(reading.stream(start, length)) as pieces:
            async for piece in pieces:
                yield piece


async def open_reference(rooms: Rooms, reads: Reads, reference: Reference, start: int, length: int) -> Reading:
    """The object that a reference means. Whoever may read what refers to it need not be allowed to read its bucket.

    The bucket has to be known here: only then it is known where it is.
    """
    from tidegate.gateway.reading import Span  # noqa: PLC0415 - which works with the rooms, and those with this

    name = BucketName(reference.bucket, reference.provider, reference.namespace)
    try:
        bucket = await rooms.known(EVERYONE, name, "s3:GetObject")
        reading = await reads.open(bucket, reference.key, Span(start, start + length))
    except errors.NoSuchBucket as error:
        raise errors.SourceChanged(f"The object is kept in {name.uri}, which is not known here any more.") from error
    except errors.NoSuchKey as error:
        raise errors.SourceChanged from error
    if (reading.version.etag, reading.version.size) != (reference.etag, reference.size):
        raise errors.SourceChanged
    return reading
