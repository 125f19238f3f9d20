"""``archive``: puts objects together into a tar, compressed tar or zip archive, which is an object too.

While it is made, the archive is a multipart upload: each step adds a part of some hundred members, and what comes of a
member never changes afterwards. The directory of a zip archive comes last, in parts of its own whose numbers are behind
all others'. Completing the upload makes the archive, in one transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import msgspec

from tidegate import errors
from tidegate.catalog import uploads
from tidegate.catalog.abc import Transaction
from tidegate.catalog.jobs import Job
from tidegate.catalog.uploads import Wanted
from tidegate.clock import now
from tidegate.gateway import packing
from tidegate.gateway.assignments import Archive, ArchiveFormat
from tidegate.gateway.body import PlainBody, body_of
from tidegate.gateway.multipart import Expected, compose_parts
from tidegate.gateway.receive import Received
from tidegate.jobs.kinds import walk
from tidegate.jobs.kinds.apart import Keys
from tidegate.jobs.kinds.members import MEMBERS, MemberError, Members
from tidegate.jobs.kinds.opening import FIRST, FIRST_DIRECTORY, Opened, open_archive
from tidegate.jobs.kinds.parts import part_of, receive
from tidegate.jobs.run import Run, advanced, destination, finished, source
from tidegate.model import STANDARD, Attributes, Bucket, Upload, Version

# Names that are looked up for one part.
LOOK = 2 * MEMBERS
# Parts of members have numbers from 1 on, those of a zip archive's directory from 1 + this on, the end is the last.
DIRECTORY = FIRST_DIRECTORY - FIRST
LAST = 10_000

_MEDIA_TYPES: Mapping[ArchiveFormat, str] = MappingProxyType(
    {
        ArchiveFormat.TAR: "application/x-tar",
        ArchiveFormat.TGZ: "application/gzip",
        ArchiveFormat.TAR_GZ: "application/gzip",
        ArchiveFormat.ZIP: "application/zip",
    }
)


class Spot(msgspec.Struct, frozen=True, array_like=True):
    """How far the archive is: where in the selection, the number of the last part, and what is in the parts so far.

    ``base`` is the place in its log of the archive that is added to, 0 where there is none.
    """

    keys: walk.Spot = walk.Spot()
    part: int = 0
    offset: int = 0
    entries: int = 0
    directory: int = 0
    base: int = 0


_decode = msgspec.msgpack.Decoder(Spot).decode
_encode = msgspec.msgpack.Encoder().encode


async def archive(run: Run, task: Archive) -> None:
    """Makes the archive."""
    if run.job.cursor is None:
        await _begin(run, task)
    unfit: dict[str, str] = {}  # objects that turned out to be damaged in the midst of their part
    selected = Keys(run, task.selection, walk.Spot())
    while True:
        spot = _decode(run.job.cursor or b"")
        bucket = await run.rooms.catalog.read(lambda tx: source(tx, run.job, "s3:GetObject", elsewhere=True))
        selected.spot = spot.keys
        keys = await selected.next(bucket, LOOK)
        is_last = selected.is_over
        try:
            is_whole = not keys or await _add(run, task, spot, keys, selected.spot, unfit)
        except MemberError as failure:
            if not task.goes_on:
                raise failure.error from None
            unfit[failure.key] = failure.error.message
            continue
        if is_last and is_whole:
            break
    await run.step(partial(_finish, task=task, end=await _end(run, task)))


async def _begin(run: Run, task: Archive) -> None:
    """Starts the upload, with what is in the archive already where it is added to."""
    opened = None
    if task.appends:
        opened = await open_archive(run, task)
    upload_id = f"{now():016x}{secrets.token_hex(16)}"

    def begin(tx: Transaction, job: Job) -> Job:
        bucket = destination(tx, job)
        headers = {"content-type": _MEDIA_TYPES[task.format]}
        attributes = Attributes(headers=headers)
        uploads.create(
            tx, Upload(upload_id, bucket.id, task.key, now(), job.starter.id, STANDARD, attributes, {}, "", "")
        )
        job = msgspec.structs.replace(job, upload=upload_id)
        spot = Spot()
        if opened is not None:
            spot = _put_opened(tx, bucket, task, upload_id, opened)
        return advanced(job, _encode(spot))

    await run.step(begin, () if opened is None else opened.new_contents)


def _put_opened(tx: Transaction, bucket: Bucket, task: Archive, upload_id: str, opened: Opened) -> Spot:
    """Makes what is there the first parts."""
    if opened.members is not None:
        uploads.put_part(tx, bucket, task.key, upload_id, opened.members[0], opened.members[1])
    if opened.directory is not None:
        uploads.put_part(tx, bucket, task.key, upload_id, opened.directory[0], opened.directory[1])
    size = 0 if opened.members is None else opened.members[0].size
    directory = 0 if opened.directory is None else opened.directory[0].size
    return Spot(part=1, offset=size, entries=opened.entries, directory=directory, base=opened.seq)


async def _add(
    run: Run, task: Archive, spot: Spot, keys: Sequence[str], after: walk.Spot, unfit: Mapping[str, str]
) -> bool:
    """Adds a part of these objects, or of the first of them. Returns whether it was all. Raises ``MemberError``."""
    if spot.part + 1 >= DIRECTORY:
        raise errors.EntityTooLarge(f"the archive would have more than {DIRECTORY} parts")
    packer = packing.packer_of(task.format, spot.offset)
    members = Members(run, task, keys, unfit)
    packed = await receive(run, PlainBody(packing.pack_part(members.groups(), task.format, packer)))
    is_whole = members.taken == len(keys)
    if not is_whole:
        after = walk.Spot(spot.keys.index + members.taken, keys[members.taken - 1])
    directory = packer.finish().directory
    listed = await receive(run, body_of(directory)) if directory else None
    contents = [each.content for each in (packed, listed) if each is not None]
    number = spot.part + 1 if packed.size else spot.part

    def put(tx: Transaction, job: Job) -> Job:
        bucket = destination(tx, job)
        upload = job.upload or ""
        if packed.size:
            uploads.put_part(tx, bucket, task.key, upload, part_of(number, packed), packed.content)
        if listed is not None:
            uploads.put_part(tx, bucket, task.key, upload, part_of(DIRECTORY + number, listed), listed.content)
        reached = Spot(
            after,
            number,
            spot.offset + packed.size,
            spot.entries + members.count,
            spot.directory + len(directory),
            spot.base,
        )
        return advanced(
            job,
            _encode(reached),
            objects=members.count,
            size=members.bytes,
            failures=len(members.problems),
            error=members.problems[0] if members.problems else "",
        )

    await run.step(put, tuple(contents))
    return is_whole


async def _end(run: Run, task: Archive) -> Received:
    spot = _decode(run.job.cursor or b"")
    return await receive(run, body_of(packing.end(task.format, spot.entries, spot.offset, spot.directory)))


def _finish(tx: Transaction, job: Job, task: Archive, end: Received) -> Job:
    """Makes an object of the parts. Raises ``ConditionalRequestConflict`` where the archive was replaced meanwhile."""
    bucket = destination(tx, job)
    spot = _decode(job.cursor or b"")
    upload = job.upload or ""
    uploads.put_part(tx, bucket, task.key, upload, part_of(LAST, end), end.content)

    def check(current: Version | None) -> None:
        if task.appends and spot.base != (0 if current is None else current.seq):
            raise errors.ConditionalRequestConflict("The archive was replaced while it was added to.")

    wanted = [Wanted(part.number, part.etag) for part in uploads.parts(tx, upload)]
    compose = partial(compose_parts, expected=Expected(), modified=now())
    uploads.complete(tx, bucket, task.key, upload, wanted, compose, check, min_part_size=0)
    return finished(tx, msgspec.structs.replace(job, upload=None))
