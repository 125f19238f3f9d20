"""What is written as tar is tar for others, and what others write is read."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.gateway import tar

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
    lambda name: not name.endswith("/")
)


def parsed(data: bytes) -> tuple[tar.Header, int]:
    """The first member of an archive, and where its data begins."""
    position = 0
    extensions = []
    while True:
        header = tar.parse(data[position : position + tar.BLOCK])
        assert header is not None
        position += tar.BLOCK
        if not header.is_extended:
            break
        extensions.append((header, data[position : position + header.size]))
        position += tar.padded(header.size)
    for by, extension in extensions:
        header = tar.extend(header, by, extension)
    return header, position


@given(names, st.binary(max_size=1500), st.integers(0, 2**40))
@example("n" * 100, b"", 0)
@example("n" * 101, b"x", 0)
@example("p" * 155 + "/" + "n" * 100, b"x", 0)
@example("p" * 156 + "/" + "n" * 100, b"x", 0)
@example("/" + "n" * 100, b"x", 0)
@example("ü" * 50, b"x", 0)
def test_what_is_written_is_read_by_others_and_here(name: str, content: bytes, modified: int) -> None:
    """Any name and content, by the standard library and by the parser."""
    data = tar.header(name, len(content), modified) + content + tar.padding(len(content)) + tar.END
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        (member,) = archive.getmembers()
        file = archive.extractfile(member)
        assert file is not None
        assert (member.name, file.read()) == (name, content)
        assert member.mtime == min(modified, 8**11 - 1)
    header, start = parsed(data)
    assert (header.name, header.size, data[start : start + header.size]) == (name, len(content), content)
    assert header.is_regular


@pytest.mark.parametrize("name", ["folder/", "\u00fc/", "n" * 100 + "/", "a/" * 400])
@pytest.mark.parametrize("size", [0, 2**50])
def test_a_slash_at_the_end_of_a_name_stays(name: str, size: int) -> None:
    """Without it, what stands for a folder would be a file in the place of the folder."""
    data = tar.header(name, size, 0)
    with tarfile.open(fileobj=io.BytesIO(data + tar.END), mode="r|") as archive:
        found = archive.next()
        assert found is not None
        assert (found.name, found.size) == (name, size)
    header, _ = parsed(data)
    assert (header.name, header.size) == (name, size)


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 2**50])
def test_a_size_of_any_length_is_written(size: int) -> None:
    """Beyond what the old format has room for."""
    header, _ = parsed(tar.header("name", size, 0))
    assert header.size == size
    with tarfile.open(fileobj=io.BytesIO(tar.header("name", size, 0) + tar.END), mode="r|") as archive:
        found = archive.next()
        assert found is not None
        assert found.size == size


@given(
    name=names,
    size=st.integers(0, 2**63),
    is_pax=st.booleans(),
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"Z"]),
)
def test_what_others_write_is_read(name: str, size: int, *, is_pax: bool, kind: bytes) -> None:
    """GNU's format and PAX, with what is no file among it."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mtime = size, kind, 1234567890.75
    header, _ = parsed(info.tobuf(tarfile.PAX_FORMAT if is_pax else tarfile.GNU_FORMAT))
    assert header.name.rstrip("/") == name
    assert header.modified == 1234567890
    assert header.is_regular == (kind == tarfile.REGTYPE)
    has_data = kind in {tarfile.REGTYPE, b"Z"}
    assert header.data == (size if has_data else 0)


@given(st.binary(min_size=tar.BLOCK, max_size=tar.BLOCK))
@example(b"\xff" * tar.BLOCK)
@example(bytes(tar.BLOCK))
def test_any_block_is_a_header_or_refused(block: bytes) -> None:
    """A block that is no header raises no other error."""
    try:
        header = tar.parse(block)
    except errors.InvalidArchive:
        return
    assert header is None or header.size >= 0


@given(st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=100))
def test_a_header_of_any_fields_is_read_or_refused(size: bytes, modified: bytes, name: bytes) -> None:
    """Numbers that are none, with a checksum that is right."""
    block = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)[: tar.BLOCK])
    block[:100], block[124:136], block[136:148] = name.ljust(100, b"\0"), size.ljust(12), modified.ljust(12)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    try:
        header = tar.parse(bytes(block))
    except errors.InvalidArchive:
        return
    assert header is not None
    assert min(header.size, header.modified) >= 0


@given(
    st.binary(max_size=100)
    | st.lists(st.sampled_from([b"11 path=ab\n", b"9 size=", b"1\n", b"99", b"=", b" "])).map(b"".join)
)
@example(b"0 =\n")
@example(b"5 a=\n0 ")
@example(b"99999999999999999999 a=b\n")
def test_any_extended_header_is_parsed_or_refused(data: bytes) -> None:
    """It ends, and raises no other error."""
    with_length = tar.Header("x", len(data), tar.PAX, 0)
    try:
        tar.extend(tar.Header("x", 1, ord("0"), 0), with_length, data)
    except errors.InvalidArchive:
        return
