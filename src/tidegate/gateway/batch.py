"""Get-Batch: many objects, or files of archives, read in one request and put together into one archive, in order.

What makes it worth its name is that small objects are read from the catalog by the hundred, and cost little more than
their bytes. What another provider keeps and is not here yet is fetched ahead, several objects at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from functools import partial

import msgspec
import xxhash

from tidegate import errors
from tidegate.catalog import intents, versions
from tidegate.catalog.abc import Reader
from tidegate.catalog.buckets import Name
from tidegate.catalog.versions import Glance
from tidegate.clock import SECOND, now
from tidegate.gateway.archives import Archive, harmless
from tidegate.gateway.assignments import ArchiveFormat
from tidegate.gateway.jobs import archive_format
from tidegate.gateway.packing import Item, pack
from tidegate.gateway.reading import ALL, Reading, Span, find_reading
from tidegate.gateway.remote.fetching import Ahead
from tidegate.gateway.remote.reading import Reads, asks_first
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket, Principal
from tidegate.names import BucketName

ACTION = "s3:GetObject"
# What is read from the catalog before others get their turn: two or three milliseconds, and so much memory.
STEP = 256
STEP_BYTES = 1024 * 1024
# Looking whether an object is there costs a tenth of reading it.
CHECK_STEP = 1000
# Where what could not be read goes in the archive, as an empty file.
MISSING = "__404__"
TO_THE_END = -1


class Entry(msgspec.Struct, frozen=True):
    """What is asked for: an object, or with a ``member`` a file of one, or a range of either.

    ``length`` may be ``TO_THE_END``.
    """

    bucket: BucketName
    key: str
    member: str = ""
    start: int = 0
    length: int = TO_THE_END

    def name(self, *, with_bucket: bool) -> str:
        """What it is called in the archive."""
        name = f"{self.bucket.name}/{self.key}" if with_bucket else self.key
        return harmless(f"{name}/{self.member}" if self.member else name)

    def range(self, size: int) -> tuple[int, int]:
        """The first byte and the number of bytes. Raises ``InvalidRange``."""
        length = size - self.start if self.length == TO_THE_END else self.length
        if length < 0 or self.start + length > size:
            raise errors.InvalidRange(f"the range is not within the {size} bytes of {self.bucket.uri}/{self.key}")
        return self.start, length


class Outcome(msgspec.Struct, frozen=True):
    """What became of an entry: the bytes that it has in the archive, or why it has none."""

    size: int
    error: str = ""


class Request(msgspec.Struct, frozen=True):
    """A batch. One that ``goes_on`` has an empty file for what cannot be read; else that ends it."""

    entries: Sequence[Entry]
    format: ArchiveFormat
    goes_on: bool = False
    with_bucket: bool = True


class Batches:
    """Reading batches."""

    def __init__(self, rooms: Rooms, reads: Reads) -> None:
        self._rooms = rooms
        self._reads = reads

    async def read(
        self, principal: Principal, request: Request, outcomes: list[Outcome] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The archive. What became of each entry is added to ``outcomes`` as it comes.

        The caller is authorised once for each bucket. Raises ``NoSuchBucket``, ``AccessDenied``, and ``NoSuchKey``
        where something is not there and the request does not go on: before the archive begins, unless another provider
        keeps it.
        """
        buckets: dict[Name, Bucket] = {}
        for name in {entry.bucket for entry in request.entries}:
            buckets[name] = await self._rooms.bucket(principal, name, ACTION, elsewhere=True)
        if not request.goes_on:
            await self._check(buckets, request.entries)
        work = _Work(self._reads, buckets, request, [] if outcomes is None else outcomes)
        return pack(work.groups(), request.format)

    async def _check(self, buckets: Mapping[Name, Bucket], entries: Sequence[Entry]) -> None:
        """Raises ``NoSuchKey`` if an object is not there: while it is not too late for an error that can be read."""

        def absent(tx: Reader, first: int) -> Entry | None:
            for bucket, run in _runs(buckets, entries[first : first + CHECK_STEP]):
                if bucket.is_elsewhere:
                    continue
                missing = versions.missing(tx, bucket.log, [entry.key for entry in run])
                if missing is not None:
                    return run[missing]
            return None

        for first in range(0, len(entries), CHECK_STEP):
            entry = await self._rooms.catalog.read(partial(absent, first=first))
            if entry is not None:
                raise _absent(entry)
            await asyncio.sleep(0)


class _Work:
    """One batch while it is read."""

    def __init__(self, reads: Reads, buckets: Mapping[Name, Bucket], request: Request, outcomes: list[Outcome]) -> None:
        self._reads = reads
        self._rooms = reads.rooms
        self._ahead = Ahead(reads)
        self._buckets = buckets
        self._request = request
        self._outcomes = outcomes
        self._archive: Archive | None = None  # the one that was read last: the next file is often in the same
        self._archive_of: tuple[BucketName, str] | None = None

    async def groups(self) -> AsyncGenerator[Sequence[Item], None]:
        """What to pack. Where it comes in pieces it is a group of its own, to be read before the next is asked for."""
        entries = self._request.entries
        position = 0
        try:
            while position < len(entries):
                looks = await self._rooms.catalog.read(partial(self._look, position=position))
                group: list[Item] = []
                self._fetch_ahead(entries[position : position + len(looks)], looks)
                for look in looks:
                    entry = entries[position]
                    position += 1
                    if isinstance(look, Item):
                        group.append(look)
                        self._outcomes.append(Outcome(look.size))
                        continue
                    if group:
                        yield group
                        group = []
                    yield [await self._open(entry)]
                if group:
                    yield group
                await asyncio.sleep(0)
        finally:
            await self._ahead.close()
            await self._close_archive()

    def _fetch_ahead(self, entries: Sequence[Entry], looks: Sequence[Item | None]) -> None:
        """Begins to fetch what is not here, of which most will be read: an archive, or all of an object."""
        for entry, look in zip(entries, looks, strict=True):
            bucket = self._buckets[entry.bucket]
            is_whole = bool(entry.member) or (not entry.start and entry.length == TO_THE_END)
            if look is None and bucket.is_elsewhere and is_whole:
                self._ahead.want(bucket, entry.key)

    def _look(self, tx: Reader, position: int) -> list[Item | None]:
        """The next entries that are small objects; None for each that takes more than a look."""
        looks: list[Item | None] = []
        size = 0
        for bucket, run in _runs(self._buckets, self._request.entries[position : position + STEP]):
            if bucket.properties.checksum.validate_warm_get or not _may_glance(tx, bucket):
                looks += [None] * len(run)
                continue
            for entry, glance in zip(run, versions.glances(tx, bucket.log, [each.key for each in run]), strict=True):
                item = None
                if not entry.member and glance is not None and glance.data is not None:
                    item = self._small(bucket, entry, glance, glance.data)
                    size += len(glance.data)
                looks.append(item)
            if size >= STEP_BYTES:
                break
        return looks

    def _small(self, bucket: Bucket, entry: Entry, glance: Glance, data: bytes) -> Item | None:
        """A small object; None where something is wrong with it, which is then said on the long way."""
        if xxhash.xxh3_64_digest(data) != glance.digest:
            return None
        if entry.start or entry.length != TO_THE_END:
            try:
                start, length = entry.range(len(data))
            except errors.InvalidRange:
                return None
            data = data[start : start + length]
        self._rooms.accesses.note_row(bucket.log, entry.key, glance.seq)
        name = entry.name(with_bucket=self._request.with_bucket)
        return Item(name, len(data), glance.modified // SECOND, data)

    async def _open(self, entry: Entry) -> Item:
        """An entry that takes more than a look, or the empty file that says that it cannot be read."""
        name = entry.name(with_bucket=self._request.with_bucket)
        try:
            item = await (self._open_member(entry, name) if entry.member else self._open_object(entry, name))
        except errors.Error as error:
            known = _absent(entry) if isinstance(error, (errors.NoSuchKey, errors.DeleteMarker)) else error
            if not self._request.goes_on:
                raise known from None
            self._outcomes.append(Outcome(0, known.message))
            return Item(f"{MISSING}/{name}", 0, now() // SECOND, b"")
        self._outcomes.append(Outcome(item.size))
        return item

    async def _open_object(self, entry: Entry, name: str) -> Item:
        stop = None if entry.length == TO_THE_END else entry.start + entry.length
        reading = await self._reading(entry, Span(entry.start, stop))
        version = reading.version
        start, length = entry.range(version.size)
        data = reading.stream(start, length) if reading.data is None else reading.data[start : start + length]
        return Item(name, length, version.modified // SECOND, data)

    async def _open_member(self, entry: Entry, name: str) -> Item:
        if self._archive is None or self._archive_of != (entry.bucket, entry.key):
            await self._close_archive()
            self._archive = Archive(await self._reading(entry, ALL), archive_format(entry.key, ""))
            self._archive_of = (entry.bucket, entry.key)
        try:
            member = await self._archive.find(entry.member)
        except errors.NoSuchMember:
            raise errors.NoSuchMember(
                f'the archive {entry.bucket.uri}/{entry.key} has no file "{entry.member}"'
            ) from None
        start, length = entry.range(member.size)
        return Item(name, length, member.modified, member.open(start, length))

    async def _reading(self, entry: Entry, span: Span) -> Reading:
        bucket = self._buckets[entry.bucket]
        reading: Reading
        if bucket.is_elsewhere:
            reading = await self._reads.open(bucket, entry.key, span)
            self._reads.count(bucket, reading)
        else:
            reading = await find_reading(self._rooms, bucket, entry.key, "")
        self._rooms.accesses.note(bucket.log, reading.version)
        return reading

    async def _close_archive(self) -> None:
        archive, self._archive = self._archive, None
        if archive is not None:
            await archive.close()


def _may_glance(tx: Reader, bucket: Bucket) -> bool:
    """Whether what is here of a bucket's objects can be taken as it is, without asking about each."""
    return not bucket.is_elsewhere or not (asks_first(bucket) or intents.has_any(tx, bucket.log))


def _absent(entry: Entry) -> errors.NoSuchKey:
    return errors.NoSuchKey(f"{entry.bucket.uri}/{entry.key} does not exist")


def _runs(buckets: Mapping[Name, Bucket], entries: Sequence[Entry]) -> Iterator[tuple[Bucket, Sequence[Entry]]]:
    """The entries in runs that one look at the catalog takes in: of one bucket, and not too many."""
    start = 0
    while start < len(entries):
        name = entries[start].bucket
        end = start + 1
        while end < len(entries) and end - start < versions.GLANCES and entries[end].bucket == name:
            end += 1
        yield buckets[name], entries[start:end]
        start = end
