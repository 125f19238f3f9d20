"""Reading files out of objects that are archives: tar, compressed tar, and zips.

Memory is bounded by windows, whatever an archive says of itself. Names in an archive are text to compare: nothing here
is ever a path.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

import msgspec
from isal import isal_zlib

from tidegate import errors
from tidegate.catalog.buckets import Name
from tidegate.clock import SECOND
from tidegate.gateway import tar, zips
from tidegate.gateway.assignments import ArchiveFormat
from tidegate.gateway.jobs import archive_format
from tidegate.gateway.objects import Objects
from tidegate.gateway.packing import Item, pack
from tidegate.gateway.reading import Reading
from tidegate.gateway.sources import Expanded, Source, Stored, inflate, read_range
from tidegate.model import Principal

# Names of an archive that one request remembers, some 200 bytes each, so that another file of it is found at once.
MAX_REMEMBERED = 50_000

# Headers that extend one member's; tar programs write one or two.
MAX_EXTENSIONS = 8

Pieces = AsyncGenerator[bytes, None]


class Member(msgspec.Struct, frozen=True):
    """A file in an archive. ``modified`` is in seconds; ``open`` reads so many bytes from a position."""

    name: str
    size: int
    modified: int
    open: Callable[[int, int], Pieces]


class Archive:
    """An object that is read as an archive. To be used by one reader at a time, and closed.

    Its methods raise ``InvalidArchive``, and what reading the object raises.
    """

    def __init__(self, reading: Reading, kind: ArchiveFormat) -> None:
        self._open = {ArchiveFormat.ZIP: partial(_zip_members, reading), ArchiveFormat.TAR: partial(_tar, reading)}.get(
            kind, partial(_compressed_tar, reading)
        )
        self._can_jump = kind in {ArchiveFormat.ZIP, ArchiveFormat.TAR}
        self._known: dict[str, Member] = {}
        self._walk: AsyncGenerator[Member, None] | None = None
        self._has_forgotten = False

    def members(self) -> AsyncGenerator[Member, None]:
        """The files, in order. Each is to be read, if at all, before the next is asked for."""
        return self._open()

    async def find(self, name: str) -> Member:
        """The first file of that name, which may begin with ``/`` or ``./``. Raises ``NoSuchMember``.

        Each is to be read before the next is looked for.
        """
        name = plain(name)
        if name in self._known:
            return self._known[name]
        if self._walk is None or not self._can_jump or self._has_forgotten:
            await self.close()
            self._walk = self._open()
        async for member in self._walk:
            found = plain(member.name)
            if self._can_jump:
                if len(self._known) < MAX_REMEMBERED:
                    self._known.setdefault(found, member)
                else:
                    self._has_forgotten = True
            if found == name:
                return member
        raise errors.NoSuchMember

    async def close(self) -> None:
        walk, self._walk = self._walk, None
        if walk is not None:
            await walk.aclose()


def plain(name: str) -> str:
    """A name without what says that it is one: archives are made with ``./`` before every name, or without."""
    while name.startswith(("/", "./")):
        name = name[1:] if name[0] == "/" else name[2:]
    return name


class Archives:
    """Archives in buckets. Each raises ``NoSuchBucket``, ``AccessDenied``, ``NoSuchKey``, ``InvalidArchive``,
    ``InvalidArgument`` and ``NotImplementedByServer`` for what is no archive that can be read.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def open(self, principal: Principal, bucket: Name, key: str, mime: str = "") -> Archive:
        """An object as an archive, of the format that a MIME type or else its name says. To be closed."""
        kind = archive_format(key, mime)
        return Archive(await self._objects.read(principal, bucket, key), kind)

    async def select(
        self, principal: Principal, bucket: Name, key: str, matches: Callable[[str], bool], mime: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """A tar archive of the files whose names match. Raises ``NoSuchMember`` where none does."""
        archive = await self.open(principal, bucket, key, mime)
        return pack(_selected(archive, matches), ArchiveFormat.TAR)


async def _selected(archive: Archive, matches: Callable[[str], bool]) -> AsyncGenerator[Sequence[Item], None]:
    is_empty = True
    async with aclosing(archive.members()) as members:
        async for member in members:
            if matches(member.name):
                is_empty = False
                data = member.open(0, member.size)
                yield [Item(harmless(member.name), member.size, member.modified, data)]
    if is_empty:
        raise errors.NoSuchMember("no file of the archive matches")


def harmless(name: str) -> str:
    """A name for a file in an archive that we make: it leads nowhere outside the folder that somebody unpacks it in."""
    if ".." not in name and name[:1] != "/":
        return name
    return "/".join("__" if part == ".." else part for part in name.lstrip("/").split("/"))


# --- tar -------------------------------------------------------------------------------------------------------------


async def _tar(reading: Reading) -> AsyncGenerator[Member, None]:
    async with aclosing(walk_tar(Stored(reading))) as found:
        async for header, start in found:
            if header.is_regular and start + header.size <= reading.version.size:
                yield Member(header.name, header.size, header.modified, partial(_range, reading, start))


async def _compressed_tar(reading: Reading) -> AsyncGenerator[Member, None]:
    source = Expanded(reading)
    async with aclosing(walk_tar(source)) as found:
        async for header, _ in found:
            if header.is_regular:
                yield Member(header.name, header.size, header.modified, partial(_next_of, source))


async def walk_tar(source: Source) -> AsyncGenerator[tuple[tar.Header, int], None]:
    """The headers of a tar archive that are no extensions of others, and where the data of each begins.

    One that does not end as archives do was cut off: it raises ``InvalidArchive``.
    """
    extensions: list[tuple[tar.Header, bytes]] = []
    try:
        while (header := tar.parse(await source.read(tar.BLOCK))) is not None:
            if header.is_extended:
                if header.size > tar.MAX_EXTENDED or len(extensions) == MAX_EXTENSIONS:
                    raise errors.InvalidArchive
                extensions.append((header, await source.read(tar.padded(header.size))))
                continue
            for by, data in extensions:
                header = tar.extend(header, by, data[: by.size])
            extensions.clear()
            has_more = header.has_more
            while has_more:
                has_more = tar.continues(await source.read(tar.BLOCK))
            start = source.position
            yield header, start
            await source.skip(start + tar.padded(header.data) - source.position)
    finally:
        await source.close()


async def tar_end(source: Source) -> int:
    """Where the last file of a tar archive ends. Raises ``InvalidArchive``."""
    end = 0
    async with aclosing(walk_tar(source)) as members:
        async for header, start in members:
            end = start + tar.padded(header.data)
    return end


async def _range(reading: Reading, begin: int, start: int, length: int) -> Pieces:
    async with aclosing(reading.stream(begin + start, length)) as pieces:
        async for piece in pieces:
            yield piece


async def _next_of(source: Source, start: int, length: int) -> Pieces:
    await source.skip(start)
    async with aclosing(source.stream(length)) as pieces:
        async for piece in pieces:
            yield piece


# --- zip -------------------------------------------------------------------------------------------------------------


async def zip_directory(reading: Reading) -> zips.Directory:
    """Where the directory of a zip archive is. Raises ``InvalidArchive``."""
    size = reading.version.size
    length = min(size, zips.TAIL)
    return zips.find_directory(await read_range(reading, size - length, length), size)


async def _zip_members(reading: Reading) -> AsyncGenerator[Member, None]:
    version = reading.version
    directory = await zip_directory(reading)
    source = Stored(reading, directory.start)
    try:
        while source.position < directory.start + directory.length:
            record = await source.read(zips.ENTRY_SIZE)
            entry = zips.entry(record, await source.read(zips.follows(record)))
            if entry.is_regular:
                opened = partial(_unzipped, reading, entry, entry.start + directory.shift)
                yield Member(entry.name, entry.size, version.modified // SECOND, opened)
    finally:
        await source.close()


async def _unzipped(reading: Reading, entry: zips.Entry, local: int, start: int, length: int) -> Pieces:
    """A range of a file in a zip archive. All of it is held against its checksum before its last bytes go out."""
    if entry.is_encrypted or entry.method not in {zips.STORED, zips.DEFLATED}:
        raise errors.NotImplementedByServer(
            f'"{entry.name}" is encrypted, or compressed by another method than deflate: it cannot be read here'
        )
    begin = local + zips.data_start(await read_range(reading, local, zips.LOCAL_SIZE))
    if begin + entry.compressed > reading.version.size:
        raise errors.InvalidArchive
    pieces = reading.stream(begin, entry.compressed)
    if entry.method == zips.DEFLATED:
        pieces = inflate(pieces, -zlib.MAX_WBITS)
    checked = _checked(pieces, entry)
    async with aclosing(checked):
        position = 0
        async for piece in checked:
            chosen = piece[max(0, start - position) : max(0, start + length - position)]
            position += len(piece)
            if chosen:
                yield chosen


async def _checked(pieces: Pieces, entry: zips.Entry) -> Pieces:
    """The pieces, if together they are what the directory says."""
    checksum, size, held = 0, 0, b""
    async with aclosing(pieces):
        async for piece in pieces:
            size += len(piece)
            if size > entry.size:
                raise errors.InvalidArchive
            checksum = isal_zlib.crc32(piece, checksum)
            if held:
                yield held
            held = piece
    if (size, checksum) != (entry.size, entry.checksum):
        raise errors.InvalidArchive
    yield held
