"""Parts of the upload that an archive is made of."""

from __future__ import annotations

from tidegate import checksums
from tidegate.clock import now
from tidegate.gateway.body import Body
from tidegate.gateway.multipart import MAX_OBJECT_SIZE
from tidegate.gateway.objects import DEFAULT_CHECKSUM
from tidegate.gateway.receive import Received
from tidegate.jobs.run import Run, destination
from tidegate.model import Part


def part_of(number: int, received: Received) -> Part:
    """A part of content that was received."""
    sums = {DEFAULT_CHECKSUM: checksums.encode(received.digests[DEFAULT_CHECKSUM])}
    return Part(number, received.size, received.md5, now(), 0, sums)


async def receive(run: Run, body: Body) -> Received:
    """Takes bytes in for a part."""
    bucket = await run.rooms.catalog.read(lambda tx: destination(tx, run.job))
    await run.rooms.space.check()
    return await run.rooms.receiver.receive(bucket, body, MAX_OBJECT_SIZE, (DEFAULT_CHECKSUM,))
