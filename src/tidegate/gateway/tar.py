"""The tar format: what precedes a member's bytes, written and read. Pure: blocks in, values out.

Written is ustar (POSIX.1-1988), and PAX (POSIX.1-2001) where a name or a size does not fit, but GNU tar's long names
for what ends with a slash. Read is that, and GNU tar's large numbers. Whatever an archive says of sizes, a parser here
holds one block or one bounded header.

Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tidegate import errors

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
# Extended headers hold names, times and attributes; what is larger is no archive that somebody uses.
MAX_EXTENDED: Final = 1024 * 1024

_NAME: Final = 100
_PREFIX: Final = 155
_MAX_OCTAL: Final = 8**11 - 1
_MODE: Final = b"0000644\0" + b"0000000\0" * 2  # and nobody's user and group
_TAIL: Final = bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
_BLANK: Final = b" " * 8  # what a checksum's field counts as, in its own sum
_CONSTANT: Final = sum(_MODE) + sum(_TAIL) + sum(_BLANK)
_CHECKSUM: Final = slice(148, 156)

_REGULAR: Final = frozenset(b"0\x007")
_WITHOUT_DATA: Final = frozenset(b"123456")  # links, devices, folders
_SPARSE: Final = ord("S")
PAX: Final = ord("x")
LONG_NAME: Final = ord("L")
_EXTENDED: Final = frozenset(b"xLKg")


class Header(msgspec.Struct, frozen=True):
    """A header block. ``size`` is that of the data behind it, which takes whole blocks; ``modified`` is in seconds."""

    name: str
    size: int
    kind: int
    modified: int
    has_more: bool = False  # further blocks of a map of holes come before the data

    @property
    def is_extended(self) -> bool:
        """Whether its data says something of the member that follows."""
        return self.kind in _EXTENDED

    @property
    def is_regular(self) -> bool:
        return self.kind in _REGULAR and not self.name.endswith("/")

    @property
    def data(self) -> int:
        """Bytes of data behind the header, without the rest of the last block."""
        return 0 if self.kind in _WITHOUT_DATA else self.size


def padding(size: int) -> bytes:
    """What fills the last block of a member's data."""
    return bytes(-size % BLOCK)


def padded(size: int) -> int:
    """Bytes that a member's data takes."""
    return size + -size % BLOCK


def header(name: str, size: int, modified: int) -> bytes:
    """What precedes the data of a file. ``modified`` is in seconds since the epoch."""
    raw, modified = name.encode("utf-8", "surrogateescape"), min(modified, _MAX_OCTAL)
    if len(raw) <= _NAME and size <= _MAX_OCTAL and raw.isascii():
        return _block(raw, b"", size, modified, b"0")
    if size <= _MAX_OCTAL and raw.isascii() and (cut := _cut(raw)):
        return _block(raw[cut + 1 :], raw[:cut], size, modified, b"0")
    extended, records = b"", b""
    if raw.endswith(b"/"):  # readers cut that off a path in PAX, and off no GNU name
        extended = _extended(b"././@LongLink", raw + b"\0", modified, b"L")
    else:
        records = _record(b"path", raw)
    if size > _MAX_OCTAL:
        records += _record(b"size", b"%d" % size)
    if records:
        extended += _extended(b"././@PaxHeader", records, modified, b"x")
    short = raw[-_NAME:].decode("ascii", "replace").replace("\ufffd", "_").encode()
    return extended + _block(short, b"", min(size, _MAX_OCTAL), modified, b"0")


def _extended(name: bytes, data: bytes, modified: int, kind: bytes) -> bytes:
    """A header that says something of the one that follows it."""
    return b"".join((_block(name, b"", len(data), modified, kind), data, padding(len(data))))


def _block(name: bytes, prefix: bytes, size: int, modified: int, kind: bytes) -> bytes:
    numbers = b"%011o\0%011o\0" % (size, modified)
    checksum = _CONSTANT + sum(name) + sum(prefix) + sum(numbers) + kind[0]
    return b"%b%b%b%06o\0 %b%b%b" % (
        name.ljust(_NAME, b"\0"), _MODE, numbers, checksum, kind, _TAIL, prefix.ljust(_PREFIX + 12, b"\0"),
    )  # fmt: skip


def _cut(name: bytes) -> int:
    """The slash at which a long name falls into prefix and name; 0 if there is none."""
    if len(name) > _PREFIX + 1 + _NAME:
        return 0
    cut = name.find(b"/", max(1, len(name) - _NAME - 1), len(name) - 1)
    return cut if 0 < cut <= _PREFIX else 0


def _record(name: bytes, value: bytes) -> bytes:
    """A line of a PAX header. It begins with its own length."""
    rest = len(name) + len(value) + 3  # a space, an equals sign and the end of the line
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, name, value)


def parse(block: bytes) -> Header | None:
    """The header in a block; None for one of zeros, which ends an archive. Raises ``InvalidArchive``."""
    if not any(block):
        return None
    try:
        checksum = _number(block[_CHECKSUM])
        if checksum != sum(block) - sum(block[_CHECKSUM]) + sum(_BLANK):
            raise errors.InvalidArchive
        name = _text(block[:_NAME])
        if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
            name = f"{prefix}/{name}"
        kind = block[156]
        size, modified = _number(block[124:136]), _number(block[136:148])
    except ValueError:
        raise errors.InvalidArchive from None
    if size < 0:
        raise errors.InvalidArchive
    return Header(name, size, kind, max(0, modified), kind == _SPARSE and block[482] == 1)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """A number in octal, or as GNU tar writes large ones. Raises ValueError."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    text = field.partition(b"\0")[0].strip(b" ")
    return int(text, 8) if text else 0


def continues(block: bytes) -> bool:
    """Whether another block of a map of holes follows this one."""
    return block[504] == 1


def extend(header: Header, by: Header, data: bytes) -> Header:
    """The header of a member with what an extended header before it says. Raises ``InvalidArchive``."""
    if by.kind == LONG_NAME:
        return msgspec.structs.replace(header, name=_text(data))
    if by.kind != PAX:
        return header
    found = parse_pax(data)
    try:
        size = int(found["size"]) if "size" in found else header.size
        modified = int(float(found["mtime"])) if "mtime" in found else header.modified
    except (ValueError, OverflowError):
        raise errors.InvalidArchive from None
    if size < 0:
        raise errors.InvalidArchive
    has_holes = any(name.startswith("GNU.sparse.") for name in found)
    return Header(
        found.get("path", header.name),
        size,
        _SPARSE if has_holes else header.kind,
        max(0, modified),
        header.has_more and not has_holes,
    )


def parse_pax(data: bytes) -> Mapping[str, str]:
    """The records of a PAX header. Raises ``InvalidArchive``."""
    found: dict[str, str] = {}
    position = 0
    while position < len(data) and data[position]:
        space = data.find(b" ", position, position + 20)
        if space < 0 or not data[position:space].isdigit():
            raise errors.InvalidArchive
        end = position + int(data[position:space])
        name, sign, value = data[space + 1 : end].partition(b"=")
        if not sign or end > len(data) or value[-1:] != b"\n":
            raise errors.InvalidArchive
        found[name.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
        position = end
    return found
