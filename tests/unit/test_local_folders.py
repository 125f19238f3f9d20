"""Blobs over several folders: each copy stands in for the others, and a folder that fails fails alone."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import checksums, errors
from tidegate.blobs import HOME, StoredBlob, layout
from tidegate.blobs.folder import Folder, Marker, write_marker
from tidegate.blobs.local import RESERVE, LocalBlobs
from tidegate.blobs.writer import LocalWriter

T = TypeVar("T")

# Small enough that a few bytes make many blocks and pieces.
BLOCK, PIECE = 8, 32
MIB = 1024 * 1024
ALL = 0b111
SMALL_DISK = 8 * MIB


def _tell(told: list[bytes], name: bytes) -> bool:
    told.append(name)
    return True


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the tests that do not mind what else is there."""
    return tmp_path_factory.mktemp("folders")


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "BLOCK", BLOCK)
    monkeypatch.setattr(layout, "PIECE", PIECE)


def run(root: Path, story: Callable[[LocalBlobs], Coroutine[Any, Any, T]], count: int = 3) -> T:
    """Tells a story with a store of some folders: ``root/0`` is the home folder's."""

    async def main() -> T:
        store = LocalBlobs(root / "0" / "blobs", durable=False)
        further = []
        for number in range(1, count):
            folder = Folder(number, root / str(number) / "blobs", f"id {number}")
            folder.prepare()
            write_marker(root / str(number), Marker("store", folder.id, number, ""))
            further.append(folder)
        store.arrange(further)
        store.look()
        try:
            return await story(store)
        finally:
            store.close()

    return asyncio.run(main())


async def write(store: LocalBlobs, content: bytes, copies: int = 1) -> StoredBlob:
    """Writes a blob."""
    writer = store.writer([], copies, len(content))
    await writer.write(content)
    return await writer.finish()


async def read(store: LocalBlobs, blob: StoredBlob, start: int = 0, length: int | None = None) -> bytes:
    """The bytes of a range, of the whole blob unless told otherwise."""
    length = blob.size - start if length is None else length
    stream = store.read(blob.name, blob.size, blob.digest, start, length, blob.folders)
    return b"".join([piece async for piece in stream])


def paths(root: Path, blob: StoredBlob) -> list[Path]:
    """The files of a blob's copies."""
    text = blob.name.hex()
    return [root / str(number) / "blobs" / text[:2] / text for number in range(3) if blob.folders >> number & 1]


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_what_is_sound_in_any_copy_is_read(root: Path) -> None:
    """Whatever is damaged in the copies, a range is read whole if each of its blocks is sound in one of them whose
    checksums are; if not, what is handed out is right, and ends in an error. Mended, all copies are as they were.
    """

    @given(data=st.data(), content=st.binary(min_size=1, max_size=100))
    @settings(max_examples=60, deadline=None)
    def check(data: st.DataObject, content: bytes) -> None:
        start = data.draw(st.integers(0, len(content) - 1), "start")
        length = data.draw(st.integers(1, len(content) - start), "length")
        size = layout.stored_size(len(content))
        damage = data.draw(
            st.lists(st.lists(st.integers(0, size - 1), max_size=4), min_size=3, max_size=3), "damaged bytes"
        )

        async def story(store: LocalBlobs) -> None:
            blob = await write(store, content, 3)
            assert blob.folders == ALL
            good = paths(root, blob)[0].read_bytes()
            for path, positions in zip(paths(root, blob), damage, strict=True):
                stored = bytearray(good)
                for position in set(positions):
                    stored[position] ^= 1
                path.write_bytes(stored)
            opens = [positions for positions in damage if all(position < len(content) for position in positions)]
            bad = [{position // BLOCK for position in positions} for positions in opens]
            lost = set.intersection(*bad) if bad else set(range(len(content)))
            touched = set(range(start // BLOCK, (start + length - 1) // BLOCK + 1))
            told: list[bytes] = []
            store.on_damage = partial(_tell, told)
            if touched & lost:
                with pytest.raises(errors.DamagedBlob):
                    await read(store, blob, start, length)
            else:
                assert await read(store, blob, start, length) == content[start : start + length]
            sound = await store.sound(blob.name, blob.size, blob.digest, blob.folders)
            assert sound == sum(1 << number for number, positions in enumerate(damage) if not positions)
            assert not told or set(told) == {blob.name}
            if not lost:
                for number in range(3):
                    await store.copy(blob.name, blob.size, blob.digest, ALL, 1 << number)
                assert {path.read_bytes() for path in paths(root, blob)} == {good}

        run(root, story)

    check()


@pytest.mark.usefixtures("_small_blocks")
def test_a_piece_is_put_together_of_several_copies(root: Path) -> None:
    """No copy has all blocks of a piece, and each block is sound in one: the object is read, in one piece."""
    content = bytes(range(BLOCK + 1))

    async def story(store: LocalBlobs) -> None:
        blob = await write(store, content, 2)
        for path, position in zip(paths(root, blob), (0, BLOCK), strict=True):
            stored = bytearray(path.read_bytes())
            stored[position] ^= 1
            path.write_bytes(stored)
        stream = store.read(blob.name, blob.size, blob.digest, 0, blob.size, blob.folders)
        assert [piece async for piece in stream] == [content]
        assert await store.sound(blob.name, blob.size, blob.digest, blob.folders) == 0

    run(root, story, 2)


@pytest.mark.usefixtures("_small_blocks")
def test_nothing_is_handed_out_of_a_piece_that_cannot_be_read(root: Path) -> None:
    """An error answer can be given, where the beginning of a body could not be taken back."""

    async def story(store: LocalBlobs) -> None:
        blob = await write(store, bytes(PIECE))
        path = store.path(blob.name)
        stored = bytearray(path.read_bytes())
        stored[BLOCK] ^= 1
        path.write_bytes(stored)
        with pytest.raises(errors.DamagedBlob):
            await anext(store.read(blob.name, blob.size, blob.digest, 0, blob.size, blob.folders))

    run(root, story, 1)


def test_copies_are_equal_and_hashed_once(tmp_path: Path) -> None:
    """A blob of some MiB is written to as many folders as are asked for, or as there are, byte for byte the same."""
    content = bytes(range(256)) * (13 * MIB // 1024)

    async def story(store: LocalBlobs) -> None:
        for wanted, found in ((1, 1), (2, 2), (3, 3), (9, 3)):
            hasher = checksums.new("SHA256")
            writer = store.writer([hasher], wanted)
            for at in range(0, len(content), 100_000):
                await writer.write(content[at : at + 100_000])
            blob = await writer.finish()
            assert blob.folders.bit_count() == found
            assert len({path.read_bytes() for path in paths(tmp_path, blob)}) == 1
            assert hasher.digest() == checksums_of(content)
            assert await read(store, blob, 1_000_000, 2_000_000) == content[1_000_000:3_000_000]

    run(tmp_path, story)


def checksums_of(content: bytes) -> bytes:
    """Its SHA-256."""
    hasher = checksums.new("SHA256")
    hasher.update(content)
    return hasher.digest()


def test_folders_fill_up_together(tmp_path: Path) -> None:
    """Blobs are spread in proportion to the free space; a folder that is nearly full, missing, resting or leaving gets
    none as long as another is there.
    """

    async def story(store: LocalBlobs) -> None:
        folders = list(store._folders.values())
        for folder, free in zip(folders, (1, 1, 2), strict=True):
            folder.free = free * 1024 * RESERVE
        found = Counter(folder.number for _ in range(4000) for folder in store.place(1, 0))
        assert 800 < found[0] < 1200
        assert 800 < found[1] < 1200
        assert 1800 < found[2] < 2200
        folders[0].free = RESERVE - 1
        assert {folder.number for _ in range(50) for folder in store.place(1, 0)} == {1, 2}
        assert {folder.number for folder in store.place(3, 0)} == {0, 1, 2}
        folders[1].rest()
        assert {folder.number for _ in range(50) for folder in store.place(1, 0)} == {2}
        folders[2].is_leaving = True
        assert [folder.number for folder in store.place(2, 0)] == [0]
        folders[0].rest()
        assert [folder.number for folder in store.place(2, 0)] == [0]

    run(tmp_path, story)


def break_folder(root: Path, number: int) -> None:
    """From now on no file can be made in it."""
    for shard in (root / str(number) / "blobs").iterdir():
        shutil.rmtree(shard)
        shard.touch()


def test_a_copy_that_fails_is_given_up(tmp_path: Path) -> None:
    """As long as one copy is left a write goes on, and says which there are; where none is left it fails, and leaves
    nothing.
    """

    async def story(store: LocalBlobs) -> None:
        break_folder(tmp_path, 1)
        writer = store.writer([], 3)
        await writer.write(bytes(3 * MIB))
        blob = await writer.finish()
        assert blob.folders == 0b101
        assert await read(store, blob) == bytes(3 * MIB)
        for number in (0, 2):
            break_folder(tmp_path, number)
        writer = LocalWriter(store, bytes(16), [], list(store._folders.values()), durable=True)
        await writer.write(bytes(3 * MIB))
        with pytest.raises(errors.ServiceUnavailable):
            await writer.finish()
        with contextlib.suppress(errors.Error):
            await writer.abort()
        assert not [path for number in range(3) for path in (tmp_path / str(number) / "blobs").glob("*/*")]

    run(tmp_path, story)


def test_a_missing_folder_is_not_written_to(tmp_path: Path) -> None:
    """A folder without its marker is not there: nothing is placed or looked for in it, and what is only there is not
    called damaged.
    """

    async def story(store: LocalBlobs) -> None:
        blob = await write(store, b"content", 3)
        only = StoredBlob(blob.name, blob.size, blob.digest, 0b010)
        (tmp_path / "1").rename(tmp_path / "aside")
        (tmp_path / "1").mkdir()
        store.look()
        assert store.there == 0b101
        assert (await write(store, b"more", 3)).folders == 0b101
        assert await read(store, blob) == b"content"
        with pytest.raises(errors.FolderMissing):
            await read(store, only)
        assert list((tmp_path / "1").iterdir()) == []
        assert {folder for _, folder, _ in store.names()} == {0b001, 0b100}
        (tmp_path / "1").rmdir()
        (tmp_path / "aside").rename(tmp_path / "1")
        store.look()
        assert await read(store, only) == b"content"

    run(tmp_path, story)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A home folder that is soon full."""
    home = tmp_path / "0"
    home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(home)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().splitlines()[0]}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)


def test_a_blob_moves_from_a_disk_that_is_full(small_disk: Path) -> None:
    """A blob of a size that nobody knew, for which a disk has no room, goes on where there is some; one of two copies
    is given up instead.
    """
    content = bytes(range(256)) * (3 * SMALL_DISK // 512)

    async def story(store: LocalBlobs) -> None:
        assert [folder.number for folder in store.place(1, 0)] == [1]
        home = store._folders[0]
        writer = LocalWriter(store, bytes(16), [], [home], durable=True)
        for at in range(0, len(content), MIB):
            await writer.write(content[at : at + MIB])
        blob = await writer.finish()
        assert blob.folders == 0b010
        assert await read(store, blob) == content
        assert not list((small_disk / "0" / "blobs").glob("*/*"))
        blob = await write(store, content, 2)
        assert blob.folders == 0b010
        await store.delete([(blob.name, blob.folders)])
        assert len(list(store.names())) == 1

    run(small_disk, story, 2)


def test_one_folder_is_only_a_folder(tmp_path: Path) -> None:
    """A store of one folder chooses nothing, looks at no disk, and keeps one copy whatever is asked for."""

    async def story(store: LocalBlobs) -> None:
        blob = await write(store, b"content", 3)
        assert blob.folders == HOME
        assert store._home.free == 0
        assert (store.capacity, store.there, store.leaving) == (1, 1, 0)
        with pytest.raises(errors.DamagedBlob):
            await read(store, StoredBlob(bytes(16), 1, b""))

    async def main() -> None:
        store = LocalBlobs(tmp_path / "blobs")
        try:
            await story(store)
        finally:
            store.close()

    asyncio.run(main())
