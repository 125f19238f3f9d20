"""``promote``: makes objects of files that are on this machine already."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec

from tidegate import errors
from tidegate.catalog import versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.jobs import Job
from tidegate.catalog.versions import Draft
from tidegate.gateway import promotion
from tidegate.gateway.assignments import Promote
from tidegate.gateway.body import PlainBody
from tidegate.gateway.multipart import MAX_OBJECT_SIZE
from tidegate.gateway.objects import NewObject, computed_in, draft_of
from tidegate.gateway.promotion import Identity
from tidegate.gateway.selection import check_key
from tidegate.jobs.run import Run, advanced, destination, finished
from tidegate.model import Bucket, Version

# Files in one transaction: as many, or until they have as many bytes together, which a kill makes us read again.
STEP = 100
STEP_BYTES = 256 * 1024 * 1024
PIECE = 1024 * 1024


class Spot(msgspec.Struct, frozen=True, array_like=True):
    """How far the job is: the path of the last file, and files that became objects and are still to be removed.

    Paths are relative, in the file system's bytes.
    """

    after: bytes = b""
    removing: tuple[tuple[bytes, Identity], ...] = ()


class Taken(msgspec.Struct, frozen=True):
    """A file that was read."""

    path: str
    key: str
    identity: Identity
    draft: Draft


_decode = msgspec.msgpack.Decoder(Spot).decode
_encode = msgspec.msgpack.Encoder().encode


async def promote(run: Run, task: Promote) -> None:
    """Promotes what there is to promote. Files that cannot be are failures that it goes on over."""
    if not run.gateway.jobs.promotable.has(task.root):
        raise errors.AccessDenied(f"{task.root} is no longer open for promotion.")
    spot = Spot() if run.job.cursor is None else _decode(run.job.cursor)
    await _remove(task, spot)
    found = await asyncio.to_thread(_find, task, os.fsdecode(spot.after))
    while paths := await asyncio.to_thread(lambda: list(itertools.islice(found, STEP))):
        await _some(run, task, paths)
    await run.step(finished)


def _find(task: Promote, after: str) -> Iterator[tuple[str, str]]:
    """The files, after one that is done, each with the name of its object."""
    if not promotion.is_folder(task.root, task.path):
        return iter([] if after else [(task.path, task.name)])
    top = "" if task.path == "." else f"{task.path}/"
    prefix = f"{task.name.rstrip('/')}/" if task.name else ""
    below = promotion.files_below(task.root, task.path, is_recursive=task.is_recursive, after=after.removeprefix(top))
    return ((top + path, prefix + path) for path in below)


async def _some(run: Run, task: Promote, files: Sequence[tuple[str, str]]) -> None:
    """Promotes files, in one step or more."""
    taken: list[Taken] = []
    problems: list[str] = []
    for number, (path, key) in enumerate(files):
        try:
            one = await _take(run, task, path, key)
        except errors.Error as error:
            if error.is_ours:
                for each in taken:
                    await run.rooms.receiver.discard(each.draft.content)
                raise
            problems.append(f"{path.encode(errors='backslashreplace').decode()}: {error.message}")
            one = None
        if one is not None:
            taken.append(one)
        if number == len(files) - 1 or sum(each.draft.size for each in taken) >= STEP_BYTES:
            await _put(run, task, path, taken, problems)
            taken, problems = [], []


async def _take(run: Run, task: Promote, path: str, key: str) -> Taken | None:
    """Reads a file; None where there is an object that is not to be overwritten."""
    try:
        check_key(key)
    except UnicodeEncodeError:
        raise errors.InvalidArgument("its name is not UTF-8") from None
    bucket = await run.rooms.catalog.read(lambda tx: destination(tx, run.job, "ais:PromoteFile"))
    if not task.overwrites and await run.rooms.catalog.read(lambda tx: _exists(tx, bucket, key)):
        return None
    await run.rooms.space.check()
    descriptor = await asyncio.to_thread(promotion.open_below, task.root, path)
    try:
        identity = promotion.identify(descriptor)
        if identity is None:
            raise errors.InvalidArgument("it is no regular file")
        body = PlainBody(_bytes(descriptor, identity), identity.size)
        received = await run.rooms.receiver.receive(bucket, body, MAX_OBJECT_SIZE, computed_in(bucket))
    finally:
        os.close(descriptor)
    return Taken(path, key, identity, draft_of(NewObject(), received, bucket))


async def _bytes(descriptor: int, identity: Identity) -> AsyncIterator[bytes]:
    """The bytes of an open file. Raises ``IncompleteBody`` where somebody has written to it since it was opened."""
    while piece := await asyncio.to_thread(os.read, descriptor, PIECE):
        yield piece
    if promotion.identify(descriptor) != identity:
        raise errors.IncompleteBody("it was written to while it was read")


async def _put(run: Run, task: Promote, last: str, taken: Sequence[Taken], problems: Sequence[str]) -> None:
    """Makes objects of what was read, and then removes the files if that is wanted."""
    refused: list[Taken] = []

    def put(tx: Transaction, job: Job) -> Job:
        bucket = destination(tx, job, "ais:PromoteFile")
        refused.clear()
        for each in taken:
            try:
                versions.put(tx, bucket, each.key, each.draft, None if task.overwrites else _refuse)
            except errors.PreconditionFailed:
                refused.append(each)
        put = [each for each in taken if each not in refused]
        removing = tuple((os.fsencode(each.path), each.identity) for each in put) if task.deletes_source else ()
        return advanced(
            job,
            _encode(Spot(os.fsencode(last), removing)),
            objects=len(put),
            size=sum(each.draft.size for each in put),
            failures=len(problems),
            error=problems[0] if problems else "",
        )

    job = await run.step(put, tuple(each.draft.content for each in taken))
    for each in refused:
        await run.rooms.receiver.discard(each.draft.content)
    await _remove(task, _decode(job.cursor or _encode(Spot())))


def _exists(tx: Reader, bucket: Bucket, key: str) -> bool:
    try:
        versions.get(tx, bucket, key)
    except (errors.NoSuchKey, errors.DeleteMarker):
        return False
    return True


def _refuse(current: Version | None) -> None:
    """Raises ``PreconditionFailed`` where there is an object."""
    if current is not None:
        raise errors.PreconditionFailed


async def _remove(task: Promote, spot: Spot) -> None:
    for path, identity in spot.removing:
        await asyncio.to_thread(promotion.remove, task.root, os.fsdecode(path), identity)
