"""What an upstream promises, held against every remote that can be had."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from tests.upstream.model import names, walk
from tests.upstream.remotes import IMPATIENT, KEYS, Remote, pieces, read, run
from tidegate import errors
from tidegate.names import BucketName
from tidegate.upstream import Upstream, list_buckets, open_upstream
from tidegate.upstream.upload import PART

MIB = 1024 * 1024
HEADERS = {
    "content-type": "text/x-tidegate",
    "content-language": "de",
    "content-disposition": 'attachment; filename="x"',
    "cache-control": "no-cache",
}
METADATA = {"color": "blue", "s3cmd-attrs": "uid:0/gname:root"}


def keys_of(remote: Remote) -> Sequence[str]:
    """The keys that a remote can have."""
    return [key for key in KEYS if key not in remote.impossible and key not in remote.other_keys]


async def fill(upstream: Upstream, keys: Sequence[str]) -> None:
    """Writes an object under each key that says which one it is."""
    await asyncio.gather(*(upstream.put(key, pieces(key.encode()), size=len(key.encode())) for key in keys))


def test_keys_are_exact(remote: Remote) -> None:
    """An object is found under the key it was written to, byte for byte, and under no other."""

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())
        keys = keys_of(remote)
        await fill(upstream, keys)
        for key in keys:
            assert (await upstream.head(key)).key == key
            assert await read(upstream, key) == key.encode()
        page = await upstream.list()
        assert [entry.key for entry in page.entries] == sorted(keys, key=str.encode)
        assert [entry.size for entry in page.entries] == [len(entry.key.encode()) for entry in page.entries]
        await upstream.close()

    run(story)


def test_a_key_that_a_remote_cannot_have_is_an_error(remote: Remote) -> None:
    """What cannot be a key there is refused as the client's mistake or the remote's limit, and nothing is written."""

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())
        for key in (*sorted(remote.impossible - {"a/../b"}), "", "x" * 1025):
            with pytest.raises(errors.Error) as caught:
                await upstream.put(key, pieces(b"x"), size=1)
            assert 400 <= caught.value.status < 500
        assert (await upstream.list()).entries == ()
        await upstream.close()

    run(story)


def test_what_is_kept_with_an_object(remote: Remote) -> None:
    """Headers, metadata and AIStore's checksum come back with HEAD and GET, and the ETag is the one that PUT said."""

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())
        digest = "md5", hashlib.md5(b"content").hexdigest()
        written = await upstream.put(
            "key", pieces(b"con", b"tent"), size=7, headers=HEADERS, metadata=METADATA, digest=digest
        )
        found = await upstream.head("key")
        got, body = await upstream.get("key")
        async with aclosing(body):
            assert b"".join([piece async for piece in body]) == b"content"
        for remote_object in (written, found, got):
            assert remote_object.size == 7
            assert remote_object.etag == written.etag != ""
            assert '"' not in written.etag
            assert dict(remote_object.metadata) == METADATA
            assert remote_object.digest == digest
        for remote_object in (found, got):
            assert {name: remote_object.headers[name] for name in _kept(remote)} == {
                name: HEADERS[name] for name in _kept(remote)
            }
            assert remote_object.modified > 0
        assert abs(found.modified - written.modified) <= 2_000_000
        await upstream.close()

    run(story)


def _kept(remote: Remote) -> Sequence[str]:
    """rclone keeps a type only, which is not S3's fault."""
    return ("content-type",) if remote.minds_conditions is False else tuple(HEADERS)


def test_ranges(remote: Remote) -> None:
    """A range gives its bytes and the size of the whole; one that begins behind the end is refused."""

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())
        data = os.urandom(100_000)
        await upstream.put("key", pieces(data), size=len(data))
        await upstream.put("empty", pieces(), size=0)
        for start, stop in ((0, None), (0, 1), (5, 10), (99_999, None), (50_000, 200_000), (0, 100_000), (0, 10**12)):
            remote_object, body = await upstream.get("key", start=start, stop=stop)
            async with aclosing(body):
                assert b"".join([piece async for piece in body]) == data[start:stop]
            assert remote_object.size == len(data)
        assert await read(upstream, "empty") == b""
        assert await read(upstream, "empty", stop=10) == b""
        for key, start in (("key", 100_000), ("empty", 1)):
            with pytest.raises(errors.InvalidRange):
                await upstream.get(key, start=start)
        with pytest.raises(errors.InvalidRange):
            await upstream.get("key", start=5, stop=5)
        await upstream.close()

    run(story)


def test_what_is_not_there(remote: Remote) -> None:
    """A missing key and a missing bucket have names of their own, and removing what is not there is no error."""

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())
        await upstream.check()
        for work in (upstream.head("absent"), upstream.get("absent"), upstream.copy("absent", "copy")):
            with pytest.raises(errors.NoSuchKey):
                await work
        await upstream.delete("absent")
        await upstream.close()
        nowhere = remote.open(BucketName("no-such-bucket-anywhere", remote.provider))
        for request in (nowhere.check(), nowhere.list(), nowhere.put("key", pieces(b"x"), size=1)):
            with pytest.raises(errors.NoSuchBucket, match="no-such-bucket-anywhere"):
                await request
        await nowhere.close()

    run(story)


def test_deleting_and_copying(remote: Remote) -> None:
    """A copy has the source's content and description, or a new description, and deleting removes one key only."""

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())
        digest = "md5", hashlib.md5(b"x").hexdigest()
        was = await upstream.put("a/b c", pieces(b"x"), headers=HEADERS, metadata=METADATA, digest=digest)
        copied = await upstream.copy("a/b c", "copy", if_match=was.etag)
        again = await upstream.head("copy")
        assert (copied.size, again.size) == (1, 1)
        assert again.digest == digest
        assert METADATA.items() <= again.metadata.items()  # rclone adds a time of its own
        assert copied.etag == again.etag
        await upstream.copy("copy", "other", headers={"content-type": "a/b"}, metadata={})
        assert await read(upstream, "other") == b"x"
        if remote.redescribes_copies:
            other = await upstream.head("other")
            assert (other.headers["content-type"], dict(other.metadata), other.digest) == ("a/b", {}, None)
        with pytest.raises(errors.PreconditionFailed):
            await upstream.copy("copy", "third", if_match="0" * 32)
        await upstream.delete("copy")
        assert names(await upstream.list()) == ["a/b c", "other"]
        await upstream.close()

    run(story)


def test_listings_are_s3s(remote: Remote) -> None:
    """Any prefix and delimiter, any place to begin, and pages of any size give what S3 gives, in the order of bytes."""

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())
        keys = keys_of(remote)
        await fill(upstream, keys)
        for delimiter in remote.delimiters:
            for prefix in ("", "a", "a/", "d/", "d/e", "per%", "uni ", "absent"):
                for after in ("", "a", "d/", "d/e/f", "per cent", "uni "):
                    expected = walk(keys, prefix, delimiter, after)
                    assert names(await upstream.list(prefix=prefix, delimiter=delimiter, after=after)) == expected
                    for uses_token in (True, False):
                        assert await pages(upstream, prefix, delimiter, after, 5, uses_token=uses_token) == expected
        await upstream.close()

    run(story)


async def pages(
    upstream: Upstream, prefix: str, delimiter: str, after: str, limit: int, *, uses_token: bool
) -> Sequence[str]:
    """All pages of a listing, one after the other."""
    found: list[str] = []
    last: str | None = after
    token = ""
    while last is not None:
        page = await upstream.list(prefix=prefix, delimiter=delimiter, after=last, token=token, limit=limit)
        found += names(page)
        assert len(names(page)) <= limit
        last, token = page.last, page.token if uses_token else ""
    return found


@pytest.mark.parametrize("says_size", [True, False])
def test_large_objects_go_in_parts(remote: Remote, *, says_size: bool) -> None:
    """An object of several parts arrives whole, of known and unknown size, and can be read whole and in ranges."""

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())
        block = os.urandom(MIB + 1)
        data = block * (2 * PART // MIB + 1)
        size = len(data) if says_size else None
        written = await upstream.put("large", pieces(*[block] * (2 * PART // MIB + 1)), size=size, metadata=METADATA)
        assert written.size == len(data)
        assert await read(upstream, "large") == data
        assert await read(upstream, "large", start=PART - 5, stop=PART + 5) == data[PART - 5 : PART + 5]
        found = await upstream.head("large")
        assert (found.size, dict(found.metadata)) == (len(data), METADATA)
        exact = await upstream.put("exact", pieces(data[:PART], data[PART : 2 * PART]))
        assert exact.size == 2 * PART
        assert (await upstream.head("exact")).size == 2 * PART
        await upstream.close()

    run(story)


def test_a_body_that_fails_writes_nothing(remote: Remote) -> None:
    """If a body raises, or has another size than was said, there is no object, however much was sent already."""

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())

        async def breaks(count: int) -> AsyncIterator[bytes]:
            for _ in range(count):
                yield bytes(MIB)
            raise ValueError("the client has gone")

        for count in (1, 3 * PART // MIB):
            with pytest.raises(ValueError, match="the client has gone"):
                await upstream.put("key", breaks(count))
        for size in (1, 2 * PART, 4 * PART):
            with pytest.raises(errors.IncompleteBody):
                await upstream.put("key", pieces(*[bytes(MIB)] * (3 * PART // MIB)), size=size)
        assert (await upstream.list()).entries == ()
        await upstream.close()

    run(story)


def test_conditional_writes(remote: Remote) -> None:
    """Conditions hold where the remote has them, and are refused where it has not: nothing is lost by mistake."""
    if remote.minds_conditions is None:
        pytest.skip("the emulator takes conditions and ignores them")

    async def story() -> None:
        upstream = remote.open(remote.new_bucket())
        if not remote.minds_conditions:
            with pytest.raises(errors.NotImplementedByServer):
                await upstream.put("key", pieces(b"1"), if_none_match=True)
            with pytest.raises(errors.NotImplementedByServer):
                await upstream.put("key", pieces(b"1"), if_match="0" * 32)
            assert (await upstream.list()).entries == ()
            await upstream.close()
            return
        first = await upstream.put("key", pieces(b"1"), if_none_match=True)
        with pytest.raises(errors.PreconditionFailed):
            await upstream.put("key", pieces(b"2"), if_none_match=True)
        with pytest.raises(errors.PreconditionFailed):
            await upstream.put("key", pieces(b"2"), if_match="0" * 32)
        large = [bytes(MIB)] * (PART // MIB + 1)
        with pytest.raises(errors.PreconditionFailed):
            await upstream.put("key", pieces(*large), if_none_match=True)
        assert await read(upstream, "key") == b"1"
        await upstream.put("key", pieces(*large), if_match=first.etag)
        assert names(await upstream.list()) == ["key"]
        with pytest.raises((errors.PreconditionFailed, errors.NoSuchKey)):
            await upstream.put("absent", pieces(b"2"), if_match=first.etag)
        with pytest.raises(errors.RemoteChanged):
            await upstream.get("key", if_match=first.etag)
        await upstream.close()

    run(story)


def test_the_buckets_of_a_provider_are_listed(remote: Remote) -> None:
    """All buckets that the credentials may see have their names listed."""
    name = remote.new_bucket()

    async def story() -> Sequence[str]:
        return await list_buckets(remote.provider, remote.extra, remote.environment)

    found = run(story)
    assert name.name in found
    assert list(found) == sorted(found)


def test_wrong_credentials_are_denied_and_not_told(remote: Remote) -> None:
    """Credentials that are wrong give 403 with the cause, and neither they nor the right ones are in the message."""
    if not remote.checks_credentials:
        pytest.skip("it checks no credentials")
    name = remote.new_bucket()
    secret = "WRONGwrongWRONGwrongWRONGwrongWRONGwrong"
    wrong = (
        {"AWS_SECRET_ACCESS_KEY": secret}
        if remote.provider == "aws"
        else {
            "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=devstoreaccount1;AccountKey={secret};"
            f"BlobEndpoint={remote.url}"
        }
    )

    async def story() -> None:
        upstream = open_upstream(name, remote.extra, {**remote.environment, **wrong}, IMPATIENT)
        for work in (upstream.check(), upstream.put("key", pieces(b"x")), upstream.get("key")):
            with pytest.raises(errors.RemoteDenied) as caught:
                await work
            told = str(caught.value) + repr(caught.value) + repr(upstream)
            assert name.uri in told
            assert not [value for value in (secret, *remote.environment.values()) if value in told]
        await upstream.close()

    run(story)
