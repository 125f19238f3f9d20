"""The check of a whole data folder: the engine's files, the catalog's rows, the secrets, and every byte.

It works beside a running server, in steps, and holds nothing in memory but what is wrong. What can be mended without
losing anything is mended on the way; the rest is named, as a client would name it.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from tidegate import errors
from tidegate.catalog import check, copies, folders, sqlite_files
from tidegate.catalog.abc import Transaction
from tidegate.catalog.check import CHECKS, Check, Fault, Place, Problem
from tidegate.catalog.repair import repair
from tidegate.clock import now
from tidegate.gateway.rooms import Rooms
from tidegate.identity.vault import WrongSecretKey
from tidegate.jobs.hold import hold_copies, hold_garbage
from tidegate.jobs.mirror import settle
from tidegate.jobs.scrub import Scrubbed, is_sound, scrub

T = TypeVar("T")

# Repairs in one transaction: a few milliseconds of the writer's time.
STEP = 100
# Damaged blobs whose versions are looked for together: it takes one reading of the catalog, and some megabytes.
PLACE_STEP = 100_000

# Names of what is wrong beside the catalog's rows.
CATALOG_DAMAGED = "catalog-damaged"
FOLDER_MISSING = "folder-missing"
SECRET_UNREADABLE = "secret-unreadable"  # noqa: S105 - a fault

# Faults of a blob: who needs it is found out at the end, for all of them together.
_OF_BLOBS = frozenset({Fault.BYTES_MISSING, Fault.BYTES_DAMAGED, Fault.RANGES_BROKEN})


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that is wrong, where a client meets it, and whether it has been put right."""

    fault: str
    detail: str
    repaired: bool
    bucket: str = ""
    key: str = ""
    version_id: str = ""
    upload_id: str = ""
    part: int | None = None
    blob: int | None = None


async def fsck(rooms: Rooms, data: Path, scrubbed: Scrubbed, *, repairs: bool) -> AsyncIterator[Finding]:
    """Checks a data folder, and repairs what it can if it may.

    Not two at once: repairs are relative to what was found.
    """
    damaged: dict[int, Problem] = {}
    try:
        async for finding in _engine(rooms):
            yield finding
        async for finding in _secrets(rooms):
            yield finding
        for finding in await _folders(rooms):
            yield finding
        async for problem, repaired in _problems(rooms, data, scrubbed, repairs=repairs):
            if problem.fault not in _OF_BLOBS or problem.blob is None:
                place = await rooms.catalog.read(partial(check.place, problem=problem))
                yield _finding(problem, place, repaired=repaired)
                continue
            damaged[problem.blob] = problem
            if len(damaged) == PLACE_STEP:
                for finding in _placed(rooms, damaged):
                    yield finding
                damaged.clear()
        for finding in _placed(rooms, damaged):
            yield finding
    except errors.DamagedCatalog as error:
        yield Finding(CATALOG_DAMAGED, f"it cannot be read to its end: {error.__cause__}", repaired=False)


async def _engine(rooms: Rooms) -> AsyncIterator[Finding]:
    with rooms.catalog.snapshot() as reader:
        for fault in sqlite_files.faults(reader):
            yield Finding(CATALOG_DAMAGED, fault, repaired=False)


async def _problems(
    rooms: Rooms, data: Path, scrubbed: Scrubbed, *, repairs: bool
) -> AsyncIterator[tuple[Problem, bool]]:
    """What is wrong with rows and bytes, and whether it was put right."""
    with hold_garbage(data):
        for each in CHECKS:
            async for outcome in _checked(rooms, each, repairs=repairs):
                yield outcome
    async for problem in scrub(rooms, scrubbed):
        yield problem, repairs and problem.fault is Fault.COPY_DAMAGED and await _mended(rooms, data, problem.blob)
    async for problem in _short(rooms):
        yield problem, repairs and await _mended(rooms, data, problem.blob)


async def _short(rooms: Rooms) -> AsyncIterator[Problem]:
    """The blobs that have fewer copies than there could be."""
    with rooms.catalog.snapshot() as reader:
        for blob in copies.short(reader, rooms.blobs.capacity):
            yield Problem(Fault.COPIES_MISSING, "it has fewer copies than its buckets ask for", blob=blob)


async def _mended(rooms: Rooms, data: Path, blob: int | None) -> bool:
    """Whether all copies of a blob that are wanted are there now."""
    with hold_copies(data):
        return blob is not None and await settle(rooms, blob, is_suspect=True)


async def _folders(rooms: Rooms) -> list[Finding]:
    """The data folders that are not there. What has a copy elsewhere is safe; the rest is found blob by blob."""
    known = await rooms.catalog.read(folders.everyone)
    return [
        Finding(FOLDER_MISSING, f"the data folder {folder.path} is not there", repaired=False)
        for folder in known
        if not rooms.blobs.there >> folder.number & 1
    ]


async def _checked(rooms: Rooms, each: Check, *, repairs: bool) -> AsyncIterator[tuple[Problem, bool]]:
    """What a check finds, and whether it was put right."""
    with rooms.catalog.snapshot() as reader:
        for problems in _batches(each(reader), STEP):
            allowed = [repairs and await _may_repair(rooms, problem) for problem in problems]
            outcomes = allowed
            if any(allowed):
                outcomes = await rooms.catalog.write(partial(_repair, problems=problems, allowed=allowed))
            for problem, repaired in zip(problems, outcomes, strict=True):
                yield problem, repaired


def _repair(tx: Transaction, problems: Sequence[Problem], allowed: Sequence[bool]) -> list[bool]:
    return [may and repair(tx, problem, now()) for problem, may in zip(problems, allowed, strict=True)]


async def _may_repair(rooms: Rooms, problem: Problem) -> bool:
    """A version gets its blob's size only where the blob is known to be right."""
    return problem.fault is not Fault.SIZE_WRONG or problem.blob is None or await is_sound(rooms, problem.blob)


async def _secrets(rooms: Rooms) -> AsyncIterator[Finding]:
    for key in await rooms.identity.keys():
        try:
            await rooms.identity.find(key.id)
        except errors.InvalidAccessKeyId:  # removed since
            continue
        except WrongSecretKey:
            detail = f"the secret of the access key {key.id} of {key.user.name} was encrypted with another key file"
            yield Finding(SECRET_UNREADABLE, detail, repaired=False)


def _placed(rooms: Rooms, damaged: dict[int, Problem]) -> Iterator[Finding]:
    """Names every version and part that needs a damaged blob; a blob that none needs by itself."""
    if not damaged:
        return
    unplaced = set(damaged)
    with rooms.catalog.snapshot() as reader:
        for blob, place in check.places(reader, damaged.keys()):
            unplaced.discard(blob)
            yield _finding(damaged[blob], place, repaired=False)
    for blob in sorted(unplaced):
        yield _finding(damaged[blob], Place(), repaired=False)


def _finding(problem: Problem, place: Place, *, repaired: bool) -> Finding:
    return Finding(
        problem.fault.value,
        problem.detail,
        repaired,
        place.bucket,
        place.key,
        place.version_id,
        place.upload_id,
        place.part,
        problem.blob,
    )


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    each = iter(items)
    while batch := list(itertools.islice(each, size)):
        yield batch
