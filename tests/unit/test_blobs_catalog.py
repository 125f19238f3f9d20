"""The catalog knows where the bytes of every blob are, and forgets none that somebody still points at."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.store import Store, check, draft
from tidegate.blobs import HOME
from tidegate.catalog import blobs, versions
from tidegate.catalog.blobs import Composed, Content, Existing, Extent, File, Range
from tidegate.gateway.receive import inline
from tidegate.model import ObjectPart


@dataclass
class Bytes:
    """A catalog whose blobs are known to the test: what is in each, and in each file."""

    store: Store = field(default_factory=Store)
    blobs: list[tuple[int, bytes]] = field(default_factory=list)
    files: dict[bytes, bytes] = field(default_factory=dict)

    def add(self, content: Content, data: bytes) -> int:
        """Adds a blob, as an object of its own so that something points at it."""
        key = str(len(self.blobs))
        draft_of = draft(data, content=content)
        version = self.store.write(lambda tx: versions.put(tx, self.store.bucket, key, draft_of))
        assert version.blob is not None
        self.blobs.append((version.blob, data))
        return version.blob

    def add_file(self, data: bytes) -> int:
        name = b"file %d" % len(self.files)
        self.files[name] = data
        return self.add(File(name, len(data), b"digest"), data)

    def drop(self, index: int) -> None:
        """Deletes an object, and with it what pointed at its blob."""
        self.store.delete(str(index))

    def read(self, extents: list[Extent]) -> bytes:
        """The bytes at these places."""
        pieces = []
        for extent in extents:
            data = self.files[extent.file] if extent.file is not None else self.inline(extent.blob)
            assert len(data) == extent.size
            assert 0 <= extent.start < extent.start + extent.length <= extent.size
            pieces.append(data[extent.start : extent.start + extent.length])
        return b"".join(pieces)

    def inline(self, blob: int) -> bytes:
        data = self.store.read(lambda tx: blobs.inline_data(tx, blob))
        assert data is not None
        return data

    def extents(self, blob: int, start: int, length: int) -> list[Extent]:
        return self.store.read(lambda tx: blobs.extents(tx, blob, start, length))

    def collect(self, before: int, limit: int = 1000) -> tuple[int, list[tuple[bytes, int]]]:
        return self.store.write(lambda tx: blobs.collect(tx, before, limit, self.store.now()))


def draw_range(data: st.DataObject, known: Bytes) -> tuple[Range, bytes]:
    """A range of some blob, and its bytes."""
    blob, content = data.draw(st.sampled_from(known.blobs))
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    return Range(blob, start, stop - start), content[start:stop]


@given(st.data())
@settings(max_examples=120)
def test_every_range_of_any_composition_is_found(data: st.DataObject) -> None:
    """However blobs are composed of ranges of others, and those of others, every range of them is its bytes."""
    known = Bytes()
    for content in data.draw(st.lists(st.binary(max_size=12), min_size=1, max_size=4)):
        if data.draw(st.booleans(), "in a file"):
            known.add_file(content)
        else:
            known.add(inline(content), content)
    for _ in range(data.draw(st.integers(0, 5), "compositions")):
        pieces = [draw_range(data, known) for _ in range(data.draw(st.integers(0, 4), "pieces"))]
        known.add(Composed([piece for piece, _ in pieces]), b"".join(content for _, content in pieces))
    known.store.read(check)
    for blob, content in known.blobs:
        start = data.draw(st.integers(0, len(content)), "start")
        stop = data.draw(st.integers(start, len(content)), "stop")
        assert known.read(known.extents(blob, start, stop - start)) == content[start:stop]
        assert known.read(known.extents(blob, 0, len(content))) == content


@given(st.data())
@settings(max_examples=80)
def test_collecting_forgets_what_nobody_needs_and_nothing_else(data: st.DataObject) -> None:
    """After any deletions and collections what is left reads as before; once all is deleted, nothing is left."""
    known = Bytes()
    for number in range(data.draw(st.integers(1, 3), "files")):
        known.add_file(b"%d" % number * 5)
    for _ in range(data.draw(st.integers(0, 4), "compositions")):
        pieces = [draw_range(data, known) for _ in range(data.draw(st.integers(0, 3), "pieces"))]
        known.add(Composed([piece for piece, _ in pieces]), b"".join(content for _, content in pieces))
    order = data.draw(st.permutations(range(len(known.blobs))))
    gone: set[bytes] = set()
    left = set(order)
    for index in order:
        known.drop(index)
        left.discard(index)
        if data.draw(st.booleans(), "collect"):
            collected = known.collect(known.store.now(), data.draw(st.integers(1, 3), "limit"))
            gone.update(name for name, _ in collected[1])
        known.store.read(check)
        for other in left:
            blob, content = known.blobs[other]
            assert known.read(known.extents(blob, 0, len(content))) == content
            assert not gone & {extent.file for extent in known.extents(blob, 0, len(content))}
    while (collected := known.collect(known.store.now()))[0]:
        gone.update(name for name, _ in collected[1])
    assert gone == known.files.keys()
    assert known.store.contents() == (set(), 0)
    assert all(
        not rows
        for table, rows in known.store.dump().items()
        if table not in {"logs", "buckets", "folders", "undigested", "projects"}
    )


def test_a_file_waits_out_its_grace_period() -> None:
    """A file that lost its last reference stays known until it has been garbage for as long as was asked."""
    known = Bytes()
    known.add_file(b"bytes")
    known.drop(0)
    since = known.store.clock
    assert known.collect(since) == (0, [])
    assert known.collect(since + 1) == (1, [(b"file 0", HOME)])
    assert known.collect(since + 1) == (0, [])


def test_an_existing_blob_is_shared() -> None:
    """A copy points at the same blob, which lives as long as either."""
    known = Bytes()
    blob = known.add_file(b"bytes")
    assert known.add(Existing(blob), b"bytes") == blob
    known.drop(0)
    assert known.collect(known.store.now()) == (0, [])
    assert known.read(known.extents(blob, 1, 3)) == b"yte"
    known.drop(1)
    assert known.collect(known.store.now())[1] == [(b"file 0", HOME)]


def test_inline_bytes_go_at_once() -> None:
    """What is inline is read in the transaction that finds it, so it need not wait."""
    known = Bytes()
    known.add(inline(b"bytes"), b"bytes")
    known.drop(0)
    assert known.store.contents() == (set(), 0)


def test_parts_are_remembered() -> None:
    """A composed object can say what its parts were; others have none."""
    known = Bytes()
    plain = known.add_file(b"bytes")
    parts = (ObjectPart(2, 3, {"CRC32": "AAAA"}), ObjectPart(9, 2))
    composed = known.add(Composed([Range(plain, 0, 3), Range(plain, 3, 2)], parts), b"bytes")
    assert known.store.read(lambda tx: blobs.parts_of(tx, composed)) == parts
    assert known.store.read(lambda tx: blobs.parts_of(tx, plain)) == ()


def test_known_files_are_those_that_blobs_point_at() -> None:
    """A sweep asks which files are in use; garbage still is, for others may be reading it."""
    known = Bytes()
    known.add_file(b"bytes")
    known.add_file(b"more")
    known.drop(0)
    asked = [b"file 0", b"file 1", b"file 2"]
    assert known.store.read(lambda tx: blobs.known_files(tx, asked)) == {b"file 0": HOME, b"file 1": HOME}


@pytest.mark.parametrize("blob", [0, 999, -1])
def test_a_blob_that_is_not_there_has_no_bytes(blob: int) -> None:
    """An unknown blob is nowhere; releasing it changes nothing."""
    known = Bytes()
    assert known.extents(blob, 0, 5) == []
    known.store.write(lambda tx: blobs.release(tx, blob, 0))
    assert known.store.contents() == (set(), 0)
