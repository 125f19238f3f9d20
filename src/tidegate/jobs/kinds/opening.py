"""An archive that is there already, and is to be added to.

Of a tar or zip archive what is there stays where it is: the new one refers to its bytes. What is compressed as a whole
is packed anew.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec

from tidegate import checksums, errors
from tidegate.catalog import versions
from tidegate.catalog.blobs import Composed, Content, Range
from tidegate.clock import now
from tidegate.gateway.archives import tar_end, zip_directory
from tidegate.gateway.assignments import Archive, ArchiveFormat
from tidegate.gateway.body import PlainBody
from tidegate.gateway.objects import DEFAULT_CHECKSUM
from tidegate.gateway.packing import FOR_LATER, compressed
from tidegate.gateway.reading import LocalReading, Reading
from tidegate.gateway.receive import MD5
from tidegate.gateway.sources import Expanded, Stored
from tidegate.jobs.kinds.parts import part_of, receive
from tidegate.jobs.run import Run, destination
from tidegate.model import Part

FIRST = 1
FIRST_DIRECTORY = 5001


class Opened(msgspec.Struct, frozen=True):
    """The first parts of the new archive, each with its content: the members, and the directory of a zip archive.

    ``seq`` is the place of the old one in its log, ``new_contents`` what is not part of it.
    """

    seq: int
    members: tuple[Part, Content] | None = None
    directory: tuple[Part, Content] | None = None
    entries: int = 0
    new_contents: tuple[Content, ...] = ()


async def open_archive(run: Run, task: Archive) -> Opened | None:
    """Finds what is in the archive; None where there is none. Raises ``InvalidArchive`` for what is no archive."""
    bucket = await run.rooms.catalog.read(lambda tx: destination(tx, run.job, "s3:GetObject"))
    try:
        stored = await run.rooms.catalog.read(lambda tx: versions.read(tx, bucket, task.key))
    except (errors.NoSuchKey, errors.DeleteMarker):
        return None
    reading = LocalReading(run.rooms, bucket, stored)
    try:
        match task.format:
            case ArchiveFormat.TAR:
                return await _tar(reading)
            case ArchiveFormat.TGZ | ArchiveFormat.TAR_GZ:
                return await _gzip(run, reading)
            case ArchiveFormat.ZIP:
                return await _zip(reading)
    except errors.InvalidArchive as error:
        raise errors.InvalidArchive(f"cannot add to {bucket.identity.uri}/{task.key}: {error.message}") from None


async def _tar(reading: Reading) -> Opened:
    return Opened(reading.version.seq, await _range(reading, FIRST, 0, await tar_end(Stored(reading))))


async def _zip(reading: Reading) -> Opened:
    found = await zip_directory(reading)
    if found.shift:
        raise errors.InvalidArchive("it is a zip archive with something before it")
    directory = await _range(reading, FIRST_DIRECTORY, found.start, found.length)
    return Opened(reading.version.seq, await _range(reading, FIRST, 0, found.start), directory, found.entries)


async def _gzip(run: Run, reading: Reading) -> Opened:
    """The members, without the end of the archive, compressed anew."""
    end = await tar_end(Expanded(reading))
    source = Expanded(reading)
    try:
        received = await receive(run, PlainBody(compressed(source.stream(end), FOR_LATER)))
    finally:
        await source.close()
    content = (received.content,)
    return Opened(reading.version.seq, (part_of(FIRST, received), received.content), new_contents=content)


async def _range(reading: Reading, number: int, start: int, length: int) -> tuple[Part, Content] | None:
    """A part that refers to bytes which are there. They are read for their hashes."""
    if not length:
        return None
    hashers = {name: checksums.new(name) for name in (MD5, DEFAULT_CHECKSUM)}
    async with aclosing(reading.stream(start, length)) as pieces:
        async for piece in pieces:
            for hasher in hashers.values():
                await asyncio.to_thread(hasher.update, piece)
    sums = {DEFAULT_CHECKSUM: checksums.encode(hashers[DEFAULT_CHECKSUM].digest())}
    part = Part(number, length, hashers[MD5].digest().hex(), now(), 0, sums)
    return part, Composed([Range(reading.version.blob or 0, start, length)])
