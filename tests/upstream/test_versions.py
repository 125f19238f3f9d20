"""Versions by their ids, tags, and deletes with a condition, where a remote has them; and that others are found out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from tests.upstream.remotes import START, Remote, pieces, run, s3_client
from tidegate import errors
from tidegate.upstream import Upstream, Versioned

U = TypeVar("U", bound=Upstream)

MIB = 1024 * 1024


@pytest.fixture(scope="module", params=["tidegate", "moto"])
def versioned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Every S3 that keeps versions."""
    with ExitStack() as stack:
        yield START[request.param](stack, tmp_path_factory.mktemp(str(request.param)))


def with_history(remote: Remote) -> Versioned:
    """A new bucket that keeps versions."""
    name = remote.new_bucket()
    keys = remote.environment["AWS_ACCESS_KEY_ID"], remote.environment["AWS_SECRET_ACCESS_KEY"]
    with contextlib.closing(s3_client(remote.url, *keys)) as client:
        client.put_bucket_versioning(Bucket=name.name, VersioningConfiguration={"Status": "Enabled"})
    return as_versioned(remote.open(name))


def as_versioned(upstream: Upstream) -> Versioned:
    """The upstream, if it is one that knows versions."""
    assert isinstance(upstream, Versioned)
    return upstream


@contextlib.asynccontextmanager
async def closing(upstream: U) -> AsyncIterator[U]:
    """The upstream, which is closed in the end."""
    try:
        yield upstream
    finally:
        await upstream.close()


async def put(upstream: Upstream, key: str, data: bytes) -> str:
    """Writes an object. Its version id."""
    return (await upstream.put(key, pieces(data), size=len(data))).version_id


def test_versions_are_read_by_their_ids(versioned: Remote) -> None:
    """A version that is named is what was written as such, whole and in part, whatever came after it."""

    async def story() -> None:
        async with closing(with_history(versioned)) as upstream:
            first, second = await put(upstream, "a b/é", b"old" * MIB), await put(upstream, "a b/é", b"new")
            assert "" not in {first, second}
            assert first != second
            for version_id, size in ((first, 3 * MIB), (second, 3)):
                found = await upstream.head_version("a b/é", version_id)
                assert (found.version_id, found.size) == (version_id, size)
            remote, body = await upstream.get_version("a b/é", first)
            async with contextlib.aclosing(body):
                assert b"".join([piece async for piece in body]) == b"old" * MIB
            assert remote.version_id == first
            _, body = await upstream.get_version("a b/é", first, start=1, stop=4)
            async with contextlib.aclosing(body):
                assert b"".join([piece async for piece in body]) == b"ldo"

    run(story)


def test_versions_that_are_gone_and_delete_markers(versioned: Remote) -> None:
    """A version is removed by its id; after that it is none, and a delete marker is told from an object."""

    async def story() -> None:
        async with closing(with_history(versioned)) as upstream:
            first, second = await put(upstream, "key", b"old"), await put(upstream, "key", b"new")
            assert (await upstream.delete_version("key", second)).version_id == second
            assert (await upstream.head("key")).version_id == first
            with pytest.raises(errors.NoSuchVersion):
                await upstream.head_version("key", second)
            with pytest.raises(errors.NoSuchVersion):
                await upstream.get_version("key", second)
            marker = await upstream.delete("key")
            assert marker.is_delete_marker
            assert marker.version_id
            with pytest.raises(errors.NamedDeleteMarker):
                await upstream.head_version("key", marker.version_id)
            with pytest.raises(errors.NoSuchKey):
                await upstream.head("key")
            assert (await upstream.delete_version("key", marker.version_id)).version_id == marker.version_id
            assert (await upstream.head("key")).version_id == first
            await upstream.delete_version("key", second)  # it is gone already

    run(story)


def test_tags_of_objects_and_versions(versioned: Remote) -> None:
    """Tags come back as they were set, of the object or of a version; an empty set removes them."""

    async def story() -> None:
        async with closing(with_history(versioned)) as upstream:
            first, second = await put(upstream, "key", b"old"), await put(upstream, "key", b"new")
            assert await upstream.set_tags("key", {"a+b/c": "x y", "b": ""}) in {second, ""}
            assert (await upstream.tags("key"))[0] == {"a+b/c": "x y", "b": ""}
            await upstream.set_tags("key", {"old": "1"}, first)
            assert (await upstream.tags("key", first))[0] == {"old": "1"}
            await upstream.set_tags("key", {})
            assert (await upstream.tags("key"))[0] == {}
            with pytest.raises(errors.NoSuchKey):
                await upstream.tags("missing")

    run(story)


def test_who_does_not_know_versions_is_not_believed(tmp_path: Path) -> None:
    """A remote that ignores version ids never passes an object off as a version, nor loses one for a version."""

    async def story(remote: Remote) -> None:
        async with closing(as_versioned(remote.open(remote.new_bucket()))) as upstream:
            await put(upstream, "key", b"content")
            with pytest.raises((errors.NotImplementedByServer, errors.NoSuchVersion)):
                await upstream.head_version("key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
            with pytest.raises((errors.NotImplementedByServer, errors.NoSuchVersion)):
                await upstream.get_version("key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
            with contextlib.suppress(errors.NotImplementedByServer):
                await upstream.delete_version("key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
            assert (await upstream.head("key")).size == 7

    with ExitStack() as stack:
        remote = START["rclone"](stack, tmp_path)
        run(lambda: story(remote))


def test_who_does_not_know_tags_keeps_the_object(tmp_path: Path) -> None:
    """Where a request for tags is taken for one for the object, it is not sent: nothing is lost, or left behind."""
    with ExitStack() as stack:
        remote = START["rclone"](stack, tmp_path)

        async def story() -> None:
            async with closing(as_versioned(remote.open(remote.new_bucket()))) as upstream:
                await put(upstream, "key", b"data")
                for attempt in (
                    upstream.set_tags("key", {"a": "b"}),
                    upstream.set_tags("key", {}),
                    upstream.tags("key"),
                    upstream.put("other", pieces(b"x"), size=1, tags={"a": "b"}),
                ):
                    with pytest.raises(errors.NotImplementedByServer):
                        await attempt
                _, body = await upstream.get("key")
                assert b"".join([piece async for piece in body]) == b"data"
                page = await upstream.list(prefix="", delimiter="", after="", token="", limit=10)
                assert [entry.key for entry in page.entries] == ["key"]

        run(story)


def test_a_remote_that_stores_something_else(tmp_path: Path) -> None:
    """moto drops the bodies of forms: its ETag is of other bytes than were sent, and the write has failed."""
    with ExitStack() as stack:
        remote = START["moto"](stack, tmp_path)

        async def story() -> None:
            async with closing(remote.open(remote.new_bucket())) as upstream:
                form = {"content-type": "application/x-www-form-urlencoded"}
                with pytest.raises(errors.RemoteUnavailable, match="something else"):
                    await upstream.put("key", pieces(b"data"), size=4, headers=form)

        run(story)


def test_conditional_deletes(remote: Remote) -> None:
    """An object goes only if it has the ETag; a remote that would ignore that is not asked to delete it."""
    if remote.minds_conditions is None:
        pytest.skip("the emulator ignores conditions, which the real one does not")

    async def story() -> None:
        async with closing(remote.open(remote.new_bucket())) as upstream:
            await put(upstream, "key", b"content")
            etag = (await upstream.head("key")).etag
            try:
                with pytest.raises(errors.PreconditionFailed):
                    await upstream.delete("key", if_match="0" * 32)
            except errors.NotImplementedByServer:
                assert (await upstream.head("key")).etag == etag
                return
            assert (await upstream.head("key")).etag == etag
            await upstream.delete("key", if_match=etag)
            with pytest.raises((errors.NoSuchKey, errors.PreconditionFailed)):
                await upstream.delete("key", if_match=etag)
            assert await upstream.delete("key") is not None

    run(story)
