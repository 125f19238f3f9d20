"""Bodies are cut into parts, and memory is bounded by them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.remotes import pieces, run
from tidegate import checksums, errors
from tidegate.upstream import upload
from tidegate.upstream.upload import Cutter, Part


async def cut(parts: Sequence[bytes], size: int | None, length: int) -> list[Part]:
    """All parts of a body."""
    cutter = Cutter()
    found = []
    async with aclosing(cutter.parts(pieces(*parts), size, length, hashes=True)) as cut_parts:
        async for part in cut_parts:
            found.append(part)
            cutter.done()
    return found


@given(body=st.lists(st.binary(max_size=20), max_size=8), length=st.integers(1, 10), says_size=st.booleans())
def test_parts_are_the_body(body: list[bytes], length: int, *, says_size: bool) -> None:
    """The parts together are the body, all but the last are full, one is the last, and their hashes are right."""
    whole = b"".join(body)

    async def story() -> list[Part]:
        return await cut(body, len(whole) if says_size else None, length)

    found = run(story)
    assert b"".join(part.data for part in found) == whole
    assert [len(part.data) for part in found[:-1]] == [length] * (len(found) - 1)
    assert [part.is_last for part in found] == [False] * (len(found) - 1) + [True]
    assert len(found) == max(1, -(-len(whole) // length))
    assert [(part.number, part.offset) for part in found] == [(n + 1, n * length) for n in range(len(found))]
    for part in found:
        assert part.md5 == hashlib.md5(part.data).digest()
        assert part.sha256 == hashlib.sha256(part.data).hexdigest()


@given(st.lists(st.binary(max_size=9), max_size=5), st.integers(0, 50), st.integers(1, 10))
def test_a_body_of_another_size_is_incomplete(body: list[bytes], size: int, length: int) -> None:
    """A body that is shorter or longer than it was said to be never has a last part."""

    async def story() -> None:
        await cut(body, size, length)

    if size == sum(map(len, body)):
        run(story)
    else:
        with pytest.raises(errors.IncompleteBody):
            run(story)


def test_memory_is_bounded() -> None:
    """No more parts than there are places are made before one is done with."""

    async def story() -> None:
        cutter = Cutter()
        body = pieces(*[b"x"] * (upload.PLACES + 3))
        async with aclosing(cutter.parts(body, None, 1)) as parts:
            for _ in range(upload.PLACES - 1):
                await anext(parts)
            waiting = asyncio.ensure_future(anext(parts))
            another = asyncio.ensure_future(anext(cutter.parts(pieces(b"y"), None, 1)))
            await asyncio.sleep(0)
            cutter.done()
            cutter.done()
            await asyncio.gather(waiting, another)

    run(story)


def test_sizes_and_limits() -> None:
    """Parts grow with objects that would have too many; what no remote can hold is refused before it is read."""
    assert (
        upload.part_size(None) == upload.part_size(0) == upload.part_size(upload.PART * upload.MAX_PARTS) == upload.PART
    )
    assert upload.part_size(upload.PART * upload.MAX_PARTS + 1) == upload.PART + 1
    assert upload.part_size(upload.MAX_SIZE) * upload.MAX_PARTS >= upload.MAX_SIZE

    async def story() -> None:
        with pytest.raises(errors.EntityTooLarge):
            await cut([], upload.MAX_SIZE + 1, 8)
        cutter = Cutter()
        async with aclosing(cutter.parts(pieces(b"abc"), None, 1, most=2)) as parts:
            for _ in range(1):
                await anext(parts)
            with pytest.raises(errors.EntityTooLarge):
                await anext(parts)

    run(story)


def test_a_hash_of_the_whole() -> None:
    """The whole body's hash is that of all parts in order."""

    async def story() -> bytes:
        hasher = checksums.new("MD5")
        cutter = Cutter()
        async with aclosing(cutter.parts(pieces(b"ab", b"c"), 3, 2, whole=hasher)) as parts:
            async for _ in parts:
                cutter.done()
        return hasher.digest()

    assert run(story) == hashlib.md5(b"abc").digest()


def test_the_etag_of_parts() -> None:
    """It is the MD5 of the parts' MD5s with their number, as S3 documents it."""
    etags = [hashlib.md5(bytes([n])).hexdigest() for n in range(3)]
    digests = b"".join(bytes.fromhex(etag) for etag in etags)
    assert upload.joined(etags) == f"{hashlib.md5(digests).hexdigest()}-3"
    assert upload.joined(["no-md5"]) == ""
