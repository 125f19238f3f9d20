"""Files are found in zip archives as others write them."""

from __future__ import annotations

import io
import zipfile
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.gateway import zips

names = st.text(st.characters(exclude_characters="\0/\\", exclude_categories=["Cs"]), min_size=1, max_size=30)


def found_in(data: bytes) -> list[tuple[zips.Entry, int]]:
    """The entries of an archive, and where the data of each begins."""
    directory = zips.find_directory(data[-zips.TAIL :], len(data))
    position = directory.start
    entries = []
    while position < directory.start + directory.length:
        record = data[position : position + zips.ENTRY_SIZE]
        if len(record) < zips.ENTRY_SIZE:
            raise errors.InvalidArchive
        length = zips.follows(record)
        position += zips.ENTRY_SIZE
        entry = zips.entry(record, data[position : position + length])
        position += length
        begin = entry.start + directory.shift
        local = data[begin : begin + zips.LOCAL_SIZE]
        if len(local) < zips.LOCAL_SIZE:
            raise errors.InvalidArchive
        entries.append((entry, begin + zips.data_start(local)))
    return entries


def zipped(files: dict[str, bytes], *, is_large: bool, is_stream: bool, comment: bytes = b"") -> bytes:
    """An archive of the standard library's, to a file or to what cannot go back."""
    held = io.BytesIO()
    target = held
    if is_stream:
        target = io.BytesIO()
        target.seekable = lambda: False  # type: ignore[method-assign]
        target.tell = _refuse  # type: ignore[method-assign]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            with archive.open(name, "w", force_zip64=is_large) as file:
                file.write(content)
        archive.comment = comment
    return target.getvalue()


def _refuse() -> int:
    raise OSError


@given(
    files=st.dictionaries(names, st.binary(max_size=200), max_size=5),
    is_large=st.booleans(),
    is_stream=st.booleans(),
    comment=st.binary(max_size=50),
    before=st.binary(max_size=50),
)
def test_every_file_is_found(
    files: dict[str, bytes], *, is_large: bool, is_stream: bool, comment: bytes, before: bytes
) -> None:
    """Whatever the archive was written to, behind whatever else, and with a comment at its end."""
    data = before + zipped(files, is_large=is_large, is_stream=is_stream, comment=comment)
    found = {}
    for entry, start in found_in(data):
        content = zlib.decompress(data[start : start + entry.compressed], -zlib.MAX_WBITS)
        assert (len(content), zlib.crc32(content)) == (entry.size, entry.checksum)
        assert entry.is_regular
        found[entry.name] = content
    assert found == files


def test_a_large_archive_says_so_in_other_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes and places of more than 32 bits, and more files than 16 bits can count (here: more than one)."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    files = {"one": b"1" * 30, "two": b"2" * 300}
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    data = b"before" + held.getvalue()
    assert {entry.name: data[start : start + entry.size] for entry, start in found_in(data)} == files


@given(st.integers(0, 2**20), st.integers(0, 2**40), st.integers(0, 2**40))
@example(0xFFFF, 10, 10)
@example(1, 0xFFFFFFFF, 10)
@example(1, 10, 0xFFFFFFFF)
def test_an_end_of_any_archive_is_written(entries: int, start: int, length: int) -> None:
    """Beyond what the old end can say, the new one says it, and both are read back."""
    end = zips.end(entries, start, length)
    assert zips.find_directory(b"x" * 50 + end, start + length + len(end)) == zips.Directory(start, length, 0, entries)


def test_one_file_of_a_divided_archive_is_refused() -> None:
    """Its directory is in another."""
    end = bytearray(zips.end(1, 0, 50))
    end[4] = 1
    with pytest.raises(errors.InvalidArchive):
        zips.find_directory(bytes(50) + end, 50 + len(end))


@given(st.binary(max_size=300))
@example(b"PK\5\6" + bytes(18))
@example(b"PK\6\6" + b"\xff" * 52 + b"PK\6\7" + b"\xff" * 16 + b"PK\5\6" + b"\xff" * 16 + b"\0\0")
def test_any_bytes_are_an_archive_or_refused(data: bytes) -> None:
    """No other error comes of them."""
    try:
        found_in(data)
    except errors.InvalidArchive:
        return


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_archive_is_read_or_refused(position: int, value: int) -> None:
    """One changed byte may change what is found, but raises no other error."""
    data = bytearray(zipped({"one": b"1" * 30, "ü": b"2" * 300}, is_large=True, is_stream=False))
    data[position % len(data)] = value
    try:
        found_in(bytes(data))
    except errors.InvalidArchive:
        return
