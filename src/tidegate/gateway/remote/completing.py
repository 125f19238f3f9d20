"""Making an object of a partial of which nothing is missing.

What was read as one stream has been held against the remote's checksums on the way. What was put together from several
is held against them here, before it is an object: chunks prove no more than that the remote said they were of the same.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from tidegate import checksums, errors
from tidegate.catalog import fills
from tidegate.catalog.blobs import Composed
from tidegate.catalog.versions import NO_CHECKSUM
from tidegate.clock import now
from tidegate.gateway.reading import read_blob
from tidegate.gateway.remote import cached
from tidegate.gateway.remote.upstreams import Ways, remote_of
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket
from tidegate.telemetry.remotes import METERS

if TYPE_CHECKING:
    from tidegate.upstream import RemoteObject

logger = logging.getLogger(__name__)

_NOTHING = Composed(())


async def complete(
    rooms: Rooms,
    bucket: Bucket,
    partial_id: int,
    remote: RemoteObject,
    digest: tuple[str, str] | None = None,
    *,
    is_verified: bool,
    ways: Ways | None = None,
) -> None:
    """Makes an object of a partial, or drops it where it is not what the remote has promised.

    ``digest`` is the bucket's checksum of the object, where that was computed on the way. ``ways`` lead to the remote,
    if not our own.
    """
    try:
        if not is_verified:
            remote = await _whole(ways or rooms.upstreams, bucket, remote)
            if bucket.properties.checksum.validate_cold_get:
                digest = await _verified(rooms, bucket, partial_id, remote)
        draft = cached.draft_of(bucket, remote, _NOTHING, now(), digest)
        keep = partial(fills.complete, partial=partial_id, bucket=bucket, draft=draft, now=now())
        await rooms.catalog.write(keep, durable=False)
    except (errors.RemoteDamaged, errors.RemoteChanged, errors.NoSuchKey, errors.DamagedBlob) as error:
        logger.warning("%s/%s is dropped: %s", bucket.identity.uri, remote.key, error.message)
        await rooms.catalog.write(partial(fills.drop, partial=partial_id, now=now()))


async def _whole(ways: Ways, bucket: Bucket, remote: RemoteObject) -> RemoteObject:
    """All that the remote says of the object: with a range it does not say the checksums. Raises ``RemoteChanged``."""
    async with ways.use(bucket) as upstream:
        found = await upstream.head(remote.key)
    if not cached.identity(remote).holds(cached.identity(found)):
        raise errors.RemoteChanged(Key=remote.key)
    return found


async def _verified(rooms: Rooms, bucket: Bucket, partial_id: int, remote: RemoteObject) -> tuple[str, str] | None:
    """Reads all chunks, if the remote has promised any checksum. Returns the bucket's. Raises ``RemoteDamaged``."""
    from tidegate.upstream.download import checks  # noqa: PLC0415 - a server without remotes does not load it

    promised = checks(remote)
    if not promised:
        return None
    kind = bucket.properties.checksum.type
    names = {check.algorithm for check in promised}
    if kind != NO_CHECKSUM:
        names.add(checksums.DIGESTS[kind])
    hashers = {name: checksums.new(name) for name in names}

    def update(piece: bytes) -> None:
        for hasher in hashers.values():
            hasher.update(piece)

    for number in range(fills.count(remote.size)):
        blob, _ = await rooms.catalog.read(partial(fills.chunk, partial=partial_id, number=number, over=0))
        if blob is None:
            return None  # dropped since
        async with aclosing(read_blob(rooms, bucket, blob, 0, fills.chunk_size(remote.size, number))) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(update, piece)
    digests = {name: hasher.digest() for name, hasher in hashers.items()}
    for check in promised:
        if digests[check.algorithm] != check.digest:
            METERS[remote_of(bucket).provider].fail("damaged")
            raise errors.RemoteDamaged(f"its chunks do not have the checksum that the remote announced ({check.name})")
    return None if kind == NO_CHECKSUM else (kind, digests[checksums.DIGESTS[kind]].hex())
