"""Archives: what is written at once or in parts is what Python's own readers read."""

from __future__ import annotations

import asyncio
import io
import struct
import zipfile
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.archives import unpacked
from tidegate import errors
from tidegate.gateway import packing
from tidegate.gateway.assignments import ArchiveFormat
from tidegate.gateway.packing import Item, Zip, end, pack_part, packer_of

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=6, unique_by=lambda member: member[0])
# Content of that many bytes or more comes in pieces, as that of large objects does.
LARGE = 1000
MODIFIED = 1_700_000_000


async def groups(members: Sequence[tuple[str, bytes]], modified: int) -> AsyncGenerator[Sequence[Item], None]:
    """What to pack, each file by itself."""
    for name, content in members:
        yield [Item(name, len(content), modified, content if len(content) < LARGE else pieces(content))]


async def pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    """Content as it comes from a file."""
    for start in range(0, len(content), 700):
        yield content[start : start + 700]


def collected(stream: AsyncGenerator[bytes, None]) -> bytes:
    """All that comes."""

    async def collect() -> bytes:
        return b"".join([piece async for piece in stream])

    return asyncio.run(collect())


def at_once(kind: ArchiveFormat, members: Sequence[tuple[str, bytes]], modified: int = MODIFIED) -> bytes:
    """An archive that is written at once."""
    return collected(packing.pack(groups(members, modified), kind))


def in_parts(kind: ArchiveFormat, parts: Sequence[Sequence[tuple[str, bytes]]]) -> bytes:
    """An archive that is written in parts."""
    data = directory = b""
    for members in parts:
        packer = packer_of(kind, len(data))
        data += collected(pack_part(groups(members, MODIFIED), kind, packer))
        directory += packer.finish().directory
    return data + directory + end(kind, sum(map(len, parts)), len(data), len(directory))


@given(st.lists(MEMBERS, max_size=3))
def test_a_tar_archive_is_what_others_read(parts: list[list[tuple[str, bytes]]]) -> None:
    """Compressed or not, with names of any length and in any script."""
    expected = [member for members in parts for member in members]
    for kind in (ArchiveFormat.TAR, ArchiveFormat.TGZ):
        assert unpacked(kind, at_once(kind, expected)) == expected
        assert unpacked(kind, in_parts(kind, parts)) == expected


@given(st.lists(MEMBERS, max_size=3))
def test_a_zip_archive_is_what_others_read(parts: list[list[tuple[str, bytes]]]) -> None:
    """The directory that is put together of the parts' says where each member is."""
    expected = [member for members in parts for member in members]
    assert unpacked("zip", at_once(ArchiveFormat.ZIP, expected)) == expected
    assert unpacked("zip", in_parts(ArchiveFormat.ZIP, parts)) == expected


@given(st.integers(0, 2**40))
@example(4_354_819_199)
@example(4_354_819_200)
def test_a_zip_archive_takes_any_time(modified: int) -> None:
    """Those that it cannot tell are the nearest that it can."""
    data = at_once(ArchiveFormat.ZIP, [("a", b"a")], modified)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (found,) = archive.infolist()
    assert 1980 <= found.date_time[0] <= 2107


def test_a_part_of_a_zip_archive_may_begin_beyond_4_gib() -> None:
    """Members then are found by a directory with 64-bit offsets."""
    packer = Zip(5 << 30, compresses=True)
    packer.whole(Item("a", 1, MODIFIED, b"a"), b"a")
    assert struct.pack("<Q", 5 << 30) in packer.finish().directory


@pytest.mark.parametrize("kind", [ArchiveFormat.TAR, ArchiveFormat.TGZ, ArchiveFormat.ZIP])
def test_a_file_that_is_not_as_long_as_was_said_makes_no_archive(kind: ArchiveFormat) -> None:
    """What would be behind it could not be found."""

    async def short() -> AsyncGenerator[Sequence[Item], None]:
        yield [Item("a", 5, MODIFIED, pieces(b"four"))]

    with pytest.raises(errors.DamagedBlob):
        collected(packing.pack(short(), kind))
