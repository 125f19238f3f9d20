"""Objects on their way into an archive."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from tidegate import errors
from tidegate.catalog import versions
from tidegate.clock import SECOND
from tidegate.gateway.assignments import Archive
from tidegate.gateway.packing import Item
from tidegate.gateway.reading import LocalReading, Reading
from tidegate.gateway.selection import Names, Prefix
from tidegate.jobs.run import Run, source
from tidegate.model import Bucket

# A part of an archive is done when it has so many members or bytes: as much as a kill makes us read again.
MEMBERS = 5000
PART_BYTES = 128 * 1024 * 1024
# What is wrong with one object, here or at its remote, and not with all.
_UNFIT = (
    errors.DamagedBlob, errors.RemoteChanged, errors.RemoteDamaged, errors.RemoteDenied, errors.RemoteRefused,
    errors.RemoteUnavailable, errors.UnrepresentableKey,
)  # fmt: skip


class MemberError(Exception):
    """An object cannot become a member."""

    def __init__(self, key: str, error: errors.Error) -> None:
        self.key = key
        self.error = error
        super().__init__(key)


class Members:
    """Objects to pack one after the other.

    When they have been packed, ``taken`` of the keys are done: ``count`` of them, of ``bytes`` bytes, are in the part.
    """

    def __init__(self, run: Run, task: Archive, keys: Sequence[str], unfit: Mapping[str, str]) -> None:
        self._run = run
        self._task = task
        self._keys = keys
        self._unfit = unfit
        self.taken = self.count = self.bytes = 0
        self.problems: list[str] = []

    async def groups(self) -> AsyncGenerator[Sequence[Item], None]:
        """What ``gateway.packing`` packs, each a group of its own. Raises ``MemberError``."""
        seen: set[str] = set()
        for key in self._keys:
            if self.count >= MEMBERS or self.bytes >= PART_BYTES:
                break
            bucket, reading = await self._open(key)
            if reading is not None and key not in seen:  # two combinations of numbers may make the same name
                seen.add(key)
                version = reading.version
                name = f"{bucket.name}/{key}" if self._task.names_bucket else key
                data = _stream(key, reading) if reading.data is None else reading.data
                yield [Item(name, version.size, version.modified // SECOND, data)]
                self.count += 1
                self.bytes += version.size
            self.taken += 1

    async def _open(self, key: str) -> tuple[Bucket, Reading | None]:
        """An object to read, or None where there is none to be had."""
        run, task = self._run, self._task
        bucket = await run.rooms.catalog.read(lambda tx: source(tx, run.job, "s3:GetObject", elsewhere=True))
        if key in self._unfit:
            self.problems.append(f"{bucket.identity.uri}/{key}: {self._unfit[key]}")
            return bucket, None
        is_itself = run.job.source == run.job.destination and key == task.key
        if is_itself and isinstance(task.selection, Prefix):
            return bucket, None
        try:
            if bucket.is_elsewhere:
                return bucket, await run.gateway.reads.open(bucket, key)
            stored = await run.rooms.catalog.read(lambda tx: versions.read(tx, bucket, key))
            return bucket, LocalReading(run.rooms, bucket, stored)
        except (errors.NoSuchKey, errors.DeleteMarker) as error:
            if isinstance(task.selection, Names):
                if not task.goes_on:
                    raise errors.NoSuchKey(f"{bucket.identity.uri}/{key} does not exist") from None
                self.problems.append(f"{bucket.identity.uri}/{key}: {error.message}")
            return bucket, None
        except _UNFIT as error:
            raise MemberError(key, error) from error


async def _stream(key: str, reading: Reading) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(reading.stream(0, reading.version.size)) as pieces:
            async for piece in pieces:
                yield piece
    except (errors.FolderMissing, *_UNFIT) as error:
        raise MemberError(key, error) from error
