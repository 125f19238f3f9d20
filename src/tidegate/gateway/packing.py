"""How archives are written: many files put together into one stream, tar, compressed tar, or zip.

What is packed comes in groups of whole small files, which cost next to nothing each, and large ones in pieces. The
stream goes out in pieces of some 256 KiB. An archive is written at once, or in parts of whole files that are put one
after the other, so that what was written need not be read to go on: behind the parts then come the directories of all
of them, and one end.
"""

from __future__ import annotations

import asyncio
import io
import time
import zipfile
import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import IO, Final, NamedTuple, Protocol

import msgspec

from tidegate import errors
from tidegate.gateway import tar, zips
from tidegate.gateway.assignments import ArchiveFormat
from tidegate.gateway.sources import GZIP

# Large enough that sending one costs nothing beside it, small enough that the first goes out soon.
PIECE: Final = 256 * 1024
# Compressing so much takes longer than a thread's turn does.
_WORTH_A_THREAD: Final = 64 * 1024
# The fastest: what is asked for while somebody waits is compressed for the network, not for the shelf.
_FOR_NOW: Final = 1
# For the shelf: level 6 of zlib is half as fast for some percent.
FOR_LATER: Final = 4
_MODE: Final = 0o644
# The first and the last time that a zip archive can tell: of 1980 and of 2107.
_ZIP_TIMES: Final = (315_532_800, 4_354_819_198)


class Item(msgspec.Struct, frozen=True):
    """A file to pack. ``modified`` is in seconds; ``data`` is all of it, or comes in pieces."""

    name: str
    size: int
    modified: int
    data: bytes | AsyncGenerator[bytes, None]


class Ending(NamedTuple):
    """What follows the files that a packer packed: their directory, and the end of an archive that has no others."""

    directory: bytes
    end: bytes


class Packer(Protocol):
    """Packs files one after the other. Each method returns what comes next in the stream."""

    is_quick: bool
    """Whether ``write`` costs next to nothing, however large the piece."""

    def whole(self, item: Item, data: bytes) -> Sequence[bytes]:
        """A file, of which all is there, in pieces."""

    def begin(self, item: Item) -> bytes:
        """The beginning of a file that comes in pieces."""

    def write(self, piece: bytes) -> bytes: ...

    def end(self, item: Item) -> bytes:
        """The end of the file that came in pieces."""

    def finish(self) -> Ending:
        """To be called once, after the last file."""

    def abandon(self) -> None:
        """There will be no end."""


class Tar:
    """Implements ``Packer``."""

    is_quick = True

    def whole(self, item: Item, data: bytes) -> Sequence[bytes]:
        return tar.header(item.name, len(data), item.modified), data, tar.padding(len(data))

    def begin(self, item: Item) -> bytes:
        return tar.header(item.name, item.size, item.modified)

    def write(self, piece: bytes) -> bytes:
        return piece

    def end(self, item: Item) -> bytes:
        return tar.padding(item.size)

    def finish(self) -> Ending:
        return Ending(b"", tar.END)

    def abandon(self) -> None:
        pass


class Zip:
    """Implements ``Packer``. Its first file begins at ``offset`` in the archive."""

    def __init__(self, offset: int = 0, *, compresses: bool = False) -> None:
        self.is_quick = not compresses
        self._sink = _Sink(offset)
        self._method = zipfile.ZIP_DEFLATED if compresses else zipfile.ZIP_STORED
        self._archive = zipfile.ZipFile(self._sink, "w")  # type: ignore[call-overload]
        self._file: IO[bytes] = io.BytesIO()  # the one that is being written

    def whole(self, item: Item, data: bytes) -> Sequence[bytes]:
        self._archive.writestr(self._described(item), data)
        return (self._sink.take(),)

    def begin(self, item: Item) -> bytes:
        described = self._described(item)
        described.file_size = item.size
        self._file = self._archive.open(described, "w")
        return self._sink.take()

    def write(self, piece: bytes) -> bytes:
        self._file.write(piece)
        return self._sink.take()

    def end(self, item: Item) -> bytes:
        del item
        self._file.close()
        return self._sink.take()

    def finish(self) -> Ending:
        self._archive.close()
        size = self._sink.tell()
        written = self._sink.take()
        length = zips.find_directory(written, size).length
        return Ending(written[:length], written[length:])

    def abandon(self) -> None:
        self._archive.fp = None  # or it would try to end itself when it is collected

    def _described(self, item: Item) -> zipfile.ZipInfo:
        self._archive.NameToInfo.clear()  # the same name again is no mistake here
        first, last = _ZIP_TIMES
        moment = time.gmtime(min(max(item.modified, first), last))[:6]
        described = zipfile.ZipInfo(item.name.encode("utf-8", "replace").decode(), moment)
        described.compress_type = self._method
        described.external_attr = _MODE << 16
        return described


class _Sink:
    """A file that can only be written, and whose bytes are taken away. It begins at an offset.

    None of Python's own: those close themselves, in whatever order, when nobody wants them any more.
    """

    def __init__(self, offset: int) -> None:
        self._position = offset
        self._pieces: list[bytes] = []

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self._position += len(data)
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


# --- an archive at once ----------------------------------------------------------------------------------------------


def pack(groups: AsyncGenerator[Sequence[Item], None], kind: ArchiveFormat) -> AsyncGenerator[bytes, None]:
    """The archive of the items, in order. Raises what getting them raises, and ``DamagedBlob`` for one that is not as
    long as was said: what came so far is then no archive.
    """
    if kind is ArchiveFormat.ZIP:
        return _pack(groups, Zip(), is_all=True)
    pieces = _pack(groups, Tar(), is_all=True)
    return pieces if kind is ArchiveFormat.TAR else compressed(pieces, _FOR_NOW)


# --- an archive in parts ---------------------------------------------------------------------------------------------


def packer_of(kind: ArchiveFormat, offset: int) -> Packer:
    """What packs the files of a part that begins at an offset of its archive."""
    return Zip(offset, compresses=True) if kind is ArchiveFormat.ZIP else Tar()


def pack_part(
    groups: AsyncGenerator[Sequence[Item], None], kind: ArchiveFormat, packer: Packer
) -> AsyncGenerator[bytes, None]:
    """The items, as a part of an archive. The packer can be finished then. Raises as ``pack``."""
    pieces = _pack(groups, packer, is_all=False)
    return pieces if kind in {ArchiveFormat.TAR, ArchiveFormat.ZIP} else compressed(pieces, FOR_LATER)


def end(kind: ArchiveFormat, entries: int, offset: int, directory: int) -> bytes:
    """The end of an archive of ``entries`` files, with ``directory`` bytes of directory from ``offset`` on."""
    match kind:
        case ArchiveFormat.TAR:
            return tar.END
        case ArchiveFormat.TGZ | ArchiveFormat.TAR_GZ:
            return zlib.compress(tar.END, FOR_LATER, GZIP)
        case ArchiveFormat.ZIP:
            return zips.end(entries, offset, directory)


# --- both ------------------------------------------------------------------------------------------------------------


async def _pack(
    groups: AsyncGenerator[Sequence[Item], None], packer: Packer, *, is_all: bool
) -> AsyncGenerator[bytes, None]:
    held: list[bytes] = []
    size, is_quick = 0, packer.is_quick
    try:
        async with aclosing(groups):
            async for group in groups:
                for item in group:
                    if isinstance(item.data, bytes):
                        if is_quick or item.size < _WORTH_A_THREAD:
                            held += packer.whole(item, item.data)
                        else:
                            held += await asyncio.to_thread(packer.whole, item, item.data)
                        size += item.size
                        if size >= PIECE:
                            yield b"".join(held)
                            held, size = [], 0
                        continue
                    async with aclosing(_pieces(item, item.data, packer)) as pieces:
                        async for piece in pieces:
                            held.append(piece)
                            size += len(piece)
                            if size >= PIECE:
                                yield b"".join(held)
                                held, size = [], 0
        if is_all:
            held += packer.finish()
        if held:
            yield b"".join(held)
    except BaseException:
        packer.abandon()
        raise


async def _pieces(item: Item, data: AsyncGenerator[bytes, None], packer: Packer) -> AsyncGenerator[bytes, None]:
    """What packs a file that comes in pieces."""
    done = 0
    yield packer.begin(item)
    async with aclosing(data):
        async for piece in data:
            done += len(piece)
            if packer.is_quick or len(piece) < _WORTH_A_THREAD:
                yield packer.write(piece)
            else:
                yield await asyncio.to_thread(packer.write, piece)
    if done != item.size:
        raise errors.DamagedBlob
    yield packer.end(item)


async def compressed(pieces: AsyncGenerator[bytes, None], level: int) -> AsyncGenerator[bytes, None]:
    """The pieces as a member of a gzip file, of which any number may follow each other. Of nothing comes nothing."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, GZIP)
    is_empty = True
    async with aclosing(pieces):
        async for piece in pieces:
            is_empty = False
            if packed := await asyncio.to_thread(compressor.compress, piece):
                yield packed
    if not is_empty:
        yield compressor.flush()
