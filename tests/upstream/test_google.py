"""What is Google's own: generations, resumable uploads, content that is stored compressed."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack

import msgspec
import pytest

from tests.upstream import faults
from tests.upstream.faults import Proxy, proxy
from tests.upstream.remotes import Remote, google, pieces, read, run
from tidegate import errors
from tidegate.upstream import Upstream
from tidegate.upstream.upload import PART

MIB = 1024 * 1024
LARGE = [bytes(MIB)] * (PART // MIB + 2)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """An emulator, which itself knows neither generations nor conditions: what is sent to it counts here."""
    with ExitStack() as stack:
        yield google(stack, tmp_path_factory.mktemp("google"))


def through(remote: Remote, story: Callable[[Proxy, Upstream], Awaitable[None]]) -> None:
    """Has a story told of a new bucket behind a proxy."""
    name = remote.new_bucket()

    async def main() -> None:
        async with proxy(remote.url) as between:
            upstream = remote.open(name, between.url)
            await story(between, upstream)
            await upstream.close()

    run(main)


def test_conditions_are_on_generations(emulator: Remote) -> None:
    """An ETag stands for the generation that has it; 412 is PreconditionFailed, in parts or not."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        for body in ([b"2"], LARGE):
            between.seen.clear()
            between.plan = [faults.status(412)]
            with pytest.raises(errors.PreconditionFailed):
                await upstream.put("key", pieces(*body), if_none_match=True)
            assert "&ifGenerationMatch=0" in between.seen[0].target
        first = await upstream.put("key", pieces(b"1"))
        between.seen.clear()
        with pytest.raises(errors.PreconditionFailed):
            await upstream.put("key", pieces(b"2"), if_match="0" * 32)
        assert [seen.method for seen in between.seen] == ["GET"]
        between.seen.clear()
        await upstream.put("key", pieces(b"2"), if_match=first.etag)
        assert f"&ifGenerationMatch={first.version_id}" in between.seen[1].target
        with pytest.raises(errors.NoSuchKey):
            await upstream.put("absent", pieces(b"2"), if_match=first.etag)
        second = await upstream.head("key")
        between.seen.clear()
        with pytest.raises(errors.PreconditionFailed):
            await upstream.delete("key", if_match="0" * 32)
        assert [seen.method for seen in between.seen] == ["GET"]
        await upstream.delete("key", if_match=second.etag)
        assert f"?ifGenerationMatch={second.version_id}" in between.seen[-1].target

    through(emulator, story)


@pytest.mark.parametrize("key", [".", "..", "two\nlines", "two\rlines"])
def test_a_key_that_cannot_be_is_not_written(emulator: Remote, key: str) -> None:
    """What could not be read or deleted again is refused before the remote hears of it."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        for body in ([b"1"], LARGE):
            with pytest.raises(errors.UnrepresentableKey):
                await upstream.put(key, pieces(*body))
        assert not between.seen

    through(emulator, story)


def test_what_is_read_is_one_generation(emulator: Remote) -> None:
    """The bytes are asked for by the generation that was described; another's are RemoteChanged."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        written = await upstream.put("key", pieces(b"content"))
        between.seen.clear()
        assert await read(upstream, "key", start=1, stop=3) == b"on"
        assert f"generation={written.version_id}" in between.seen[1].target
        for fault in (
            faults.header("x-goog-generation", "1"),
            faults.header("x-goog-hash", "crc32c=AAAAAA==,md5=x"),
            faults.status(404),
        ):
            between.plan = [faults.sound, fault]
            with pytest.raises(errors.RemoteChanged):
                await upstream.get("key")

    through(emulator, story)


def test_what_is_stored_compressed_is_read_as_it_is_stored(emulator: Remote) -> None:
    """Google is not to decompress anything on the way, which would be other bytes than were written."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        data = gzip.compress(b"content", mtime=0)
        await upstream.put("key", pieces(data), headers={"content-encoding": "gzip"})
        between.seen.clear()
        await upstream.get("key")
        assert between.seen[-1].headers["accept-encoding"] == "gzip"
        assert (await upstream.head("key")).headers["content-encoding"] == "gzip"

    through(emulator, story)


def test_a_part_that_was_taken_in_part_is_gone_on_with(emulator: Remote) -> None:
    """Where the remote has kept less of a part than was sent, the rest is sent again; less than before is an error."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        kept = PART - 256 * 1024
        found = msgspec.json.encode({"name": "key", "size": str(PART + 2 * MIB), "generation": "1"})
        between.plan = [
            faults.sound,
            faults.status(308, range=f"bytes=0-{kept - 1}"),
            faults.status(308, range=f"bytes=0-{PART - 1}"),
            faults.status(200, found),
        ]
        await upstream.put("key", pieces(*LARGE))
        assert [seen.headers["content-range"] for seen in between.seen[1:]] == [
            f"bytes 0-{PART - 1}/*",
            f"bytes {kept}-{PART - 1}/*",
            f"bytes {PART}-{PART + 2 * MIB - 1}/{PART + 2 * MIB}",
        ]
        between.seen.clear()
        between.plan = [faults.sound, faults.status(308)]
        with pytest.raises(errors.RemoteUnavailable, match="lost a part"):
            await upstream.put("key", pieces(*LARGE))
        assert between.seen[-1].method == "DELETE"
        assert "upload_id=" in between.seen[-1].target

    through(emulator, story)


def test_an_object_that_arrived_damaged_is_removed(emulator: Remote) -> None:
    """If the remote has another checksum of what it received, that generation goes, and nothing is acknowledged."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        found = msgspec.json.encode({"name": "key", "generation": "7", "crc32c": "AAAAAA=="})
        between.plan = [faults.sound, faults.sound, faults.status(200, found)]
        with pytest.raises(errors.RemoteDamaged):
            await upstream.put("key", pieces(*LARGE))
        assert between.seen[-1].method == "DELETE"
        assert between.seen[-1].target.endswith("/o/key?ifGenerationMatch=7")

    through(emulator, story)
