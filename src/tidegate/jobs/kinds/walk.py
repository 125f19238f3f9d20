"""Walking through the objects that a job is about, some in each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidegate import errors
from tidegate.catalog import listing, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.jobs import Job
from tidegate.gateway.selection import Names, Prefix, Selection
from tidegate.jobs.run import advanced, failed, finished
from tidegate.model import Bucket, Version

# Objects in one transaction: some 10 ms of the writer's time.
STEP = 200


class Spot(msgspec.Struct, frozen=True, array_like=True):
    """How far a walk is: the number of the next name, or the last key."""

    index: int = 0
    key: str = ""


_decode = msgspec.msgpack.Decoder(Spot).decode
_encode = msgspec.msgpack.Encoder().encode


def spot_of(job: Job) -> Spot:
    """How far a job is that walks."""
    return Spot() if job.cursor is None else _decode(job.cursor)


def cursor(spot: Spot) -> bytes:
    """The same as the job's note."""
    return _encode(spot)


def next_keys(
    tx: Reader, bucket: Bucket, selection: Selection, spot: Spot, limit: int
) -> tuple[Sequence[str], Spot, bool]:
    """Up to ``limit`` keys from a spot on, the spot after them, and whether they are the last.

    Of a prefix they are objects that are there.
    """
    if isinstance(selection, Prefix):
        page = listing.keys(tx, bucket, prefix=selection.prefix, delimiter="", after=spot.key, limit=limit)
        keys = [entry.key for entry in page.entries]
        return keys, Spot(0, keys[-1]) if keys else spot, page.last is None
    found = selection.part(spot.index, limit)
    after = spot.index + len(found)
    return found, Spot(after), after >= selection.count


def each(
    tx: Transaction,
    job: Job,
    bucket: Bucket,
    selection: Selection,
    act: Callable[[Version], None],
    *,
    until: int | None,
    goes_on: bool,
    needs_all: bool,
) -> Job:
    """One step of a job that does something with each object that was written before the place ``until`` in the logs.

    ``act`` raises before it has written anything. With ``needs_all``, a name of a list that is not there is a failure.
    A failure ends the job, with all that was done before it, unless it ``goes_on``.
    """
    keys, after, is_last = next_keys(tx, bucket, selection, spot_of(job), STEP)
    objects = size = failures = 0
    first = ""
    for key in keys:
        try:
            version = versions.get(tx, bucket, key)
            if until is None or version.seq <= until:
                act(version)
                objects += 1
                size += version.size
        except errors.Error as error:
            is_absent = isinstance(error, (errors.NoSuchKey, errors.DeleteMarker))
            if error.is_ours:
                raise
            if is_absent and not (needs_all and isinstance(selection, Names)):
                continue
            failures += 1
            first = first or f"{bucket.identity.uri}/{key}: {error.message}"
            if not goes_on:
                break
    job = advanced(job, cursor(after), objects=objects, size=size, failures=failures, error=first)
    if failures and not goes_on:
        return failed(tx, job, first)
    return finished(tx, job) if is_last else job
