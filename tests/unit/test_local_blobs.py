"""A blob on disk is read back as it was written, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import resource
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import checksums, errors
from tidegate.blobs import HOME, StoredBlob, layout
from tidegate.blobs.local import LocalBlobs
from tidegate.blobs.writer import LocalWriter

T = TypeVar("T")

# Small enough that a few bytes make many blocks and pieces; the sizes themselves are tested at the end.
BLOCK, PIECE = 8, 32
contents = st.binary(max_size=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of blobs for the tests that do not mind what else is there."""
    return tmp_path_factory.mktemp("blobs")


@pytest.fixture(scope="module", autouse=True)
def _small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "BLOCK", BLOCK)
        patch.setattr(layout, "PIECE", PIECE)
        patch.setattr(layout, "WRITEBACK", 2 * PIECE)
        yield


def run(folder: Path, story: Callable[[LocalBlobs], Coroutine[Any, Any, T]], *, durable: bool = False) -> T:
    """Opens a store, has a story told with it, and closes it."""

    async def main() -> T:
        store = LocalBlobs(folder, durable=durable)
        try:
            return await story(store)
        finally:
            store.close()

    return asyncio.run(main())


async def write(store: LocalBlobs, *pieces: bytes) -> StoredBlob:
    """Writes a blob."""
    writer = store.writer([])
    for piece in pieces:
        await writer.write(piece)
    return await writer.finish()


async def read(store: LocalBlobs, blob: StoredBlob, start: int = 0, length: int | None = None) -> bytes:
    """The bytes of a range, of the whole blob unless told otherwise."""
    length = blob.size - start if length is None else length
    pieces = [piece async for piece in store.read(blob.name, blob.size, blob.digest, start, length)]
    return b"".join(pieces)


async def read_until_damaged(store: LocalBlobs, blob: StoredBlob, start: int, length: int) -> tuple[bytes, bool]:
    """What is handed out of a range, and whether it ended in DamagedBlob."""
    given_out = b""
    try:
        async for piece in store.read(blob.name, blob.size, blob.digest, start, length):
            given_out += piece
    except errors.DamagedBlob:
        return given_out, True
    return given_out, False


def draw_range(data: st.DataObject, size: int) -> tuple[int, int]:
    """First byte and length of a range that is not empty."""
    start = data.draw(st.integers(0, size - 1), "start")
    return start, data.draw(st.integers(1, size - start), "length")


# --- as it was written -----------------------------------------------------------------------------------------------


@given(data=st.data(), content=contents, durable=st.booleans())
@settings(max_examples=150)
def test_however_it_was_cut_it_is_the_same_blob(
    folder: Path, data: st.DataObject, content: bytes, *, durable: bool
) -> None:
    """Pieces of any sizes, views among them, flushed or not, make one blob, whole in every range and every hash."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8), "cuts"))
    pieces = [content[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    flushes = data.draw(st.sets(st.integers(0, len(pieces))), "flushes")
    start = data.draw(st.integers(0, len(content)), "start")
    length = data.draw(st.integers(0, len(content) - start), "length")

    async def story(store: LocalBlobs) -> None:
        hashers = [checksums.new("SHA256"), checksums.new("CRC32")]
        writer = store.writer(hashers)
        for number, piece in enumerate(pieces):
            await writer.write(memoryview(bytearray(piece)) if number % 2 else piece)
            if number in flushes:
                await writer.flush()
        blob = await writer.finish()
        assert blob.size == len(content)
        assert hashers[0].digest() == hashlib.sha256(content).digest()
        assert await read(store, blob) == content
        assert await read(store, blob, start, length) == content[start : start + length]
        assert await store.sound(blob.name, blob.size, blob.digest) == HOME
        assert store.path(blob.name).stat().st_size == layout.stored_size(blob.size)
        again = await write(store, content)
        assert again.name != blob.name

    run(folder, story, durable=durable)


def test_a_written_blob_is_listed_until_it_is_deleted(tmp_path: Path) -> None:
    """A sweep sees every blob with the time of its last write; deleting what is not there is no error."""

    async def story(store: LocalBlobs) -> None:
        blobs = [await write(store, b"%d" % number) for number in range(3)]
        (tmp_path / "00" / "not a blob").touch()
        listed = {name: written for name, _, written in store.names()}
        assert listed.keys() == {blob.name for blob in blobs}
        assert all(abs(written - store.path(name).stat().st_mtime * 1e6) < 1e6 for name, written in listed.items())
        await store.delete([(blobs[0].name, HOME), (blobs[1].name, HOME), (bytes(16), HOME)])
        await store.delete([(blobs[0].name, HOME)])
        assert [name for name, _, _ in store.names()] == [blobs[2].name]
        with pytest.raises(errors.DamagedBlob):
            await read(store, blobs[0])

    run(tmp_path, story)


def test_names_stay_in_the_folder(folder: Path) -> None:
    """A blob's path is made of the digits of a random name and of nothing that a client said."""

    async def story(store: LocalBlobs) -> None:
        blob = await write(store, b"../../etc/passwd\0")
        path = store.path(blob.name)
        assert path.parent.parent == folder
        assert set(path.name) <= set("0123456789abcdef")
        assert path.stat().st_mode & 0o777 == 0o600

    run(folder, story)


# --- damage ----------------------------------------------------------------------------------------------------------


@given(st.data(), st.binary(min_size=1, max_size=80))
@settings(max_examples=200)
def test_a_changed_byte_is_never_handed_out(folder: Path, data: st.DataObject, content: bytes) -> None:
    """Any byte of the file changed: a range that touches its block ends in an error, and what was handed out is right.

    A range of other blocks is right; with a changed checksum no range is.
    """
    start, length = draw_range(data, len(content))
    position = data.draw(st.integers(0, layout.stored_size(len(content)) - 1), "position")
    change = data.draw(st.integers(1, 255), "change")
    is_touched = position >= len(content) or start // BLOCK <= position // BLOCK <= (start + length - 1) // BLOCK

    async def story(store: LocalBlobs) -> None:
        blob = await write(store, content)
        path = store.path(blob.name)
        stored = bytearray(path.read_bytes())
        stored[position] ^= change
        path.write_bytes(stored)
        handed_out, is_damaged = await read_until_damaged(store, blob, start, length)
        assert is_damaged is is_touched
        assert content[start : start + length].startswith(handed_out)
        assert is_damaged or handed_out == content[start : start + length]
        assert await store.sound(blob.name, blob.size, blob.digest) == 0

    run(folder, story)


@given(st.data(), st.binary(min_size=1, max_size=80))
def test_a_file_that_is_cut_off_is_damaged_in_every_range(folder: Path, data: st.DataObject, content: bytes) -> None:
    """A file that lost its end has lost its checksums: nothing of it is handed out."""
    start, length = draw_range(data, len(content))
    left = data.draw(st.integers(0, layout.stored_size(len(content)) - 1), "left")

    async def story(store: LocalBlobs) -> None:
        blob = await write(store, content)
        os.truncate(store.path(blob.name), left)
        assert await read_until_damaged(store, blob, start, length) == (b"", True)

    run(folder, story)


@given(st.data(), st.binary(min_size=2 * BLOCK, max_size=80))
def test_blocks_that_changed_places_are_damage(folder: Path, data: st.DataObject, content: bytes) -> None:
    """A block with its own checksum is not right in another's place, in this file or from another."""
    other = data.draw(st.binary(min_size=len(content), max_size=len(content)).filter(lambda drawn: drawn != content))

    async def story(store: LocalBlobs) -> None:
        blob, foreign = await write(store, content), await write(store, other)
        path = store.path(blob.name)
        stored = path.read_bytes()
        swapped = stored[BLOCK : 2 * BLOCK] + stored[:BLOCK] + stored[2 * BLOCK :]
        path.write_bytes(swapped)
        if swapped != stored:
            assert await read_until_damaged(store, blob, 0, 1) == (b"", True)
        store.path(foreign.name).replace(path)
        assert await read_until_damaged(store, blob, 0, blob.size) == (b"", True)

    run(folder, story)


def test_a_missing_file_is_damage(folder: Path) -> None:
    """A blob that the catalog knows and the disk does not is damaged, also where nothing of it is asked for."""

    async def story(store: LocalBlobs) -> None:
        blob = StoredBlob(bytes(16), 10, b"")
        for length in (0, 1, 10):
            assert await read_until_damaged(store, blob, 0, length) == (b"", True)

    run(folder, story)


# --- nothing is left behind ------------------------------------------------------------------------------------------


def descriptors() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@given(pieces=st.lists(contents, max_size=5), flushed=st.booleans())
def test_an_aborted_blob_leaves_nothing(folder: Path, pieces: list[bytes], *, flushed: bool) -> None:
    """Abort removes the file, however far it had come, and closes it."""

    async def story(store: LocalBlobs) -> None:
        before, had = descriptors(), set(store.names())
        writer = store.writer([])
        for piece in pieces:
            await writer.write(piece)
        if flushed:
            await writer.flush()
        await writer.abort()
        assert set(store.names()) == had
        assert descriptors() == before

    run(folder, story)


def test_a_cancelled_write_can_be_aborted(tmp_path: Path) -> None:
    """A request that is cancelled while its bytes are being written removes them without waiting for more."""

    async def story(store: LocalBlobs) -> None:
        before = descriptors()
        for moment in range(6):
            writer = store.writer([checksums.new("SHA256")])

            async def fill(writer: LocalWriter = writer) -> None:
                try:
                    while True:
                        await writer.write(bytes(PIECE))
                except BaseException:
                    await writer.abort()
                    raise

            task = asyncio.ensure_future(fill())
            for _ in range(moment):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(store.pool.submit(int).result)
        assert list(store.names()) == []
        assert descriptors() == before

    run(tmp_path, story)


def test_a_reader_that_stops_early_closes_its_file(folder: Path) -> None:
    """Neither a client that has had enough nor a damaged block leaves a file open."""

    async def story(store: LocalBlobs) -> None:
        blob = await write(store, bytes(5 * PIECE))
        before = descriptors()
        stream = store.read(blob.name, blob.size, blob.digest, 0, blob.size)
        assert await anext(stream)
        assert descriptors() == before + 1
        await stream.aclose()
        assert descriptors() == before
        with store.path(blob.name).open("r+b") as file:
            file.seek(4 * PIECE)
            file.write(b"\1")
        before = descriptors()
        handed_out, is_damaged = await read_until_damaged(store, blob, 0, blob.size)
        assert is_damaged
        assert handed_out == bytes(4 * PIECE)
        assert descriptors() == before

    run(folder, story)


@contextlib.contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """Has the system refuse to make any file of this process longer than this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_without_room_is_said_to_be_full(tmp_path: Path) -> None:
    """Where the disk has no room for the bytes or their checksums, the writer says so, and abort leaves nothing."""
    size = 1_000_000

    async def fill(writer: LocalWriter) -> None:
        for _ in range(10):
            await writer.write(bytes(size // 10))
        await writer.finish()

    async def story(store: LocalBlobs) -> None:
        for room in (size // 2, size, size + 100):
            writer = store.writer([])
            with no_room_beyond(room):
                with pytest.raises(errors.InsufficientStorage):
                    await fill(writer)
                await writer.abort()
        assert list(store.names()) == []
        await write(store, bytes(size))

    run(tmp_path, story)


def test_a_disk_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """A folder that takes no files is a fault of the server's, not of the client's."""

    def block() -> None:
        for shard in tmp_path.iterdir():
            shard.rmdir()
            shard.touch()

    async def story(store: LocalBlobs) -> None:
        block()
        with pytest.raises(errors.ServiceUnavailable):
            await write(store, b"bytes")

    run(tmp_path, story)


def test_blocks_and_pieces_of_their_real_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the sizes that a server has, a blob of some MiB comes back whole, in ranges, and with its damage found."""
    monkeypatch.undo()
    monkeypatch.setattr(layout, "BLOCK", 256 * 1024)
    monkeypatch.setattr(layout, "PIECE", 1024 * 1024)
    content = hashlib.shake_128(b"").digest(3 * 1024 * 1024 + 12345)

    async def story(store: LocalBlobs) -> None:
        blob = await write(store, *(content[at : at + 65536] for at in range(0, len(content), 65536)))
        assert await read(store, blob) == content
        for start, length in ((0, 1), (262_143, 2), (1_048_575, 2), (len(content) - 1, 1), (1_000_000, 1_500_000)):
            assert await read(store, blob, start, length) == content[start : start + length]
        with store.path(blob.name).open("r+b") as file:
            file.seek(2_000_000)
            file.write(bytes([content[2_000_000] ^ 1]))
        assert await read(store, blob, 0, 1_500_000) == content[:1_500_000]
        assert (await read_until_damaged(store, blob, 1_900_000, 10))[1]

    run(tmp_path, story)
