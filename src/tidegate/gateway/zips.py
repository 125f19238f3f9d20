"""The zip format, as far as it takes to find a file in an archive and read it, and to end an archive. Pure: bytes in,
values out.

Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from tidegate import errors

STORED: Final = 0
DEFLATED: Final = 8

# The end record has a comment of at most 64 KiB behind it, and that of a large archive stands before it.
TAIL: Final = 22 + 65_535 + 20 + 56
_END: Final = struct.Struct("<4s4H2IH")  # section 4.3.16
_END_MAGIC: Final = b"PK\5\6"
_LOCATOR: Final = struct.Struct("<4sIQI")
_LOCATOR_MAGIC: Final = b"PK\6\7"
_LARGE_END: Final = struct.Struct("<4sQ2H2I4Q")
_LARGE_END_MAGIC: Final = b"PK\6\6"
_LARGE_VERSION: Final = 45
_ENTRY: Final = struct.Struct("<4s4x4H3I3H8xI")
_LOCAL: Final = struct.Struct("<4s22x2H")
ENTRY_SIZE: Final = _ENTRY.size
LOCAL_SIZE: Final = _LOCAL.size
_LARGE: Final = 0xFFFFFFFF
_MANY: Final = 0xFFFF
_LARGE_FIELD: Final = 1
_IS_ENCRYPTED: Final = 1
_IS_UTF8: Final = 0x800


class Directory(msgspec.Struct, frozen=True):
    """Where the directory of an archive is, and how many entries it has; ``shift`` is what precedes the archive in the
    object.
    """

    start: int
    length: int
    shift: int
    entries: int


class Entry(msgspec.Struct, frozen=True):
    """A file in the directory, whose local header is at ``start``."""

    name: str
    flags: int
    method: int
    checksum: int
    compressed: int
    size: int
    start: int

    @property
    def is_regular(self) -> bool:
        return not self.name.endswith("/")

    @property
    def is_encrypted(self) -> bool:
        return bool(self.flags & _IS_ENCRYPTED)


def find_directory(tail: bytes, size: int) -> Directory:
    """The directory of an archive of ``size`` bytes, whose last bytes are given. Raises ``InvalidArchive``."""
    at = len(tail)
    while (at := tail.rfind(_END_MAGIC, 0, at + 3)) >= 0:
        if len(tail) - at >= _END.size and _END.unpack_from(tail, at)[-1] <= len(tail) - at - _END.size:
            break
    if at < 0:
        raise errors.InvalidArchive
    _, disk, first_disk, _, entries, length, start, _ = _END.unpack_from(tail, at)
    end = size - len(tail) + at
    locator = at - _LOCATOR.size
    if locator >= 0 and tail.startswith(_LOCATOR_MAGIC, locator):
        large = locator - _LARGE_END.size
        if large < 0 or not tail.startswith(_LARGE_END_MAGIC, large):
            raise errors.InvalidArchive
        _, _, _, _, disk, first_disk, _, entries, length, start = _LARGE_END.unpack_from(tail, large)
        end = size - len(tail) + large
    if disk or first_disk:
        raise errors.InvalidArchive("The object is one of the files that a zip archive was divided into.")
    shift = end - length - start
    if shift < 0:
        raise errors.InvalidArchive
    return Directory(start + shift, length, shift, entries)


def end(entries: int, start: int, length: int) -> bytes:
    """The end of an archive with so many entries in a directory of ``length`` bytes that starts at ``start``."""
    count = min(entries, _MANY)
    short = _END.pack(_END_MAGIC, 0, 0, count, count, min(length, _LARGE), min(start, _LARGE), 0)
    if entries < _MANY and length < _LARGE and start < _LARGE:
        return short
    large = _LARGE_END.pack(
        _LARGE_END_MAGIC, _LARGE_END.size - 12, _LARGE_VERSION, _LARGE_VERSION, 0, 0, entries, entries, length, start
    )
    return large + _LOCATOR.pack(_LOCATOR_MAGIC, 0, start + length, 1) + short


def follows(record: bytes) -> int:
    """How many bytes follow the fixed part of a record of the directory. Raises ``InvalidArchive``."""
    signature, *_, name, extra, comment, _ = _ENTRY.unpack(record)
    if signature != b"PK\1\2":
        raise errors.InvalidArchive
    return int(name + extra + comment)


def entry(record: bytes, rest: bytes) -> Entry:
    """An entry of the directory: the fixed part of its record, and what follows. Raises ``InvalidArchive``."""
    _, flags, method, _, _, checksum, compressed, size, name_length, extra_length, _, start = _ENTRY.unpack(record)
    name = rest[:name_length].decode("utf-8" if flags & _IS_UTF8 else "cp437", "replace")
    if _LARGE in {size, compressed, start}:
        size, compressed, start = _large(rest[name_length : name_length + extra_length], (size, compressed, start))
    return Entry(name, flags, method, checksum, compressed, size, start)


def _large(extra: bytes, values: tuple[int, int, int]) -> tuple[int, ...]:
    """The values with those that do not fit into 32 bits taken from the extra field that has them."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == _LARGE_FIELD:
            numbers = iter(struct.unpack_from(f"<{min(length, len(extra) - position - 4) // 8}Q", extra, position + 4))
            found = tuple(next(numbers, -1) if value == _LARGE else value for value in values)
            if -1 not in found:
                return found
        position += 4 + length
    raise errors.InvalidArchive


def data_start(local: bytes) -> int:
    """How far behind the first byte of a local header its data begins. Raises ``InvalidArchive``."""
    signature, name, extra = _LOCAL.unpack(local)
    if signature != b"PK\3\4":
        raise errors.InvalidArchive
    return LOCAL_SIZE + int(name) + int(extra)
