"""Bringing objects of other providers here before anybody reads them, and forgetting what was cached."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ais.helpers import finish
from tests.cli.ais.command import Ais
from tests.remote.conftest import Pair, credentials, new_name
from tests.unit.job_store import Power, ended, faults, opened
from tests.upstream.faults import Proxy, Seen
from tidegate import errors
from tidegate.catalog import buckets, fills, versions
from tidegate.catalog.jobs import State
from tidegate.catalog.versions import Draft
from tidegate.clock import now
from tidegate.gateway import Gateway
from tidegate.gateway.body import body_of
from tidegate.gateway.objects import NewObject
from tidegate.gateway.receive import inline
from tidegate.gateway.selection import Names, Prefix, Selection, parse_template
from tidegate.jobs import eviction, garbage
from tidegate.jobs.eviction import Disk
from tidegate.jobs.kinds import apart, evicting
from tidegate.model import EMPTY, EVERYONE, STANDARD, Attributes
from tidegate.names import BucketName
from tidegate.properties import spans
from tidegate.testing import Server

MIB = 1024 * 1024
KEYS = ("a/1", "a/2", "b", "n-1", "n-2", "n-3")
OURS = BucketName("ours")
HOUR = 3600 * 1_000_000


@pytest.fixture
def way(pair: Pair) -> Iterator[Proxy]:
    """A proxy in front of the remote, that sees what we ask of it."""
    with pair.between() as between:
        yield between


@pytest.fixture
def seen(pair: Pair, way: Proxy) -> str:
    """A bucket behind the proxy, with a few objects."""
    name = pair.create(new_name(), endpoint=way.url)
    fill(pair, name)
    return name


def fill(pair: Pair, name: str) -> None:
    """Puts objects to the remote, without us."""
    for key in KEYS:
        pair.s3_there.put_object(Bucket=name, Key=key, Body=key.encode() * 10)


def cached(pair: Pair, name: str) -> set[str]:
    """The keys of what is kept here."""
    return {key for key, entry in pair.listed(name).items() if entry.get("flags", 0) & 1 << 6}


def reads(way: Proxy) -> list[str]:
    """The keys that the remote was asked for."""
    return [seen.target.split("/", 3)[3] for seen in way.seen if seen.method == "GET" and "?" not in seen.target]


def done(pair: Pair, job: str) -> Any:
    """How a job went that has ended well."""
    assert finish(pair.sdk.job(job))
    return pair.sdk.job(job).get_details().list_snapshots()[0]


# --- prefetching -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        ({"objnames": ["b", "a/1"]}, {"b", "a/1"}),
        ({"template": "n-{2..9}"}, {"n-2", "n-3"}),
        ({"template": "a/"}, {"a/1", "a/2"}),
        ({"template": ""}, set(KEYS)),
    ],
    ids=("names", "range", "prefix", "all"),
)
def test_what_is_selected_is_fetched_and_evicted(
    pair: Pair, bucket: str, selected: dict[str, Any], expected: set[str]
) -> None:
    """That and nothing else is cached after a prefetch; what is not at the remote is in no range. An eviction of the
    same leaves nothing here, and all of it there.
    """
    fill(pair, bucket)
    snapshot = done(pair, pair.act("POST", bucket, "prefetch-listrange", selected).text)
    assert cached(pair, bucket) == expected
    assert snapshot.stats.objects == len(expected)
    assert snapshot.stats.bytes == sum(len(key) * 10 for key in expected)
    done(pair, pair.act("DELETE", bucket, "evict-listrange", selected).text)
    assert cached(pair, bucket) == set()
    assert {key for key in KEYS if pair.there(bucket, key)} == set(KEYS)


def test_what_is_cached_is_not_fetched_again(pair: Pair, way: Proxy, seen: str) -> None:
    """A second prefetch reads nothing, and readers get what is here."""
    group = pair.sdk.bucket(seen, provider="aws").objects(obj_names=list(KEYS))
    done(pair, group.prefetch())
    assert sorted(reads(way)) == sorted(KEYS)
    assert done(pair, group.prefetch()).stats.objects == 0
    for key in KEYS:
        assert pair.s3.get_object(Bucket=seen, Key=key)["Body"].read() == key.encode() * 10
    assert sorted(reads(way)) == sorted(KEYS)


def test_latest_fetches_what_has_changed(pair: Pair, way: Proxy, seen: str) -> None:
    """The remote is asked of each object, and only what it has changed is read again."""
    group = pair.sdk.bucket(seen, provider="aws").objects(obj_names=["a/1", "b"])
    done(pair, group.prefetch())
    pair.s3_there.put_object(Bucket=seen, Key="b", Body=b"changed")
    assert done(pair, group.prefetch()).stats.objects == 0
    way.seen.clear()
    assert done(pair, group.prefetch(latest=True)).stats.objects == 1
    assert reads(way) == ["b"]
    assert pair.s3.get_object(Bucket=seen, Key="b")["Body"].read() == b"changed"


def test_objects_of_any_size_are_fetched_whole(pair: Pair, way: Proxy, seen: str) -> None:
    """An empty one, and one of several chunks of which a reader has left some here already."""
    large = bytes(range(256)) * (20 * MIB // 256)
    pair.s3_there.put_object(Bucket=seen, Key="large", Body=large)
    pair.s3_there.put_object(Bucket=seen, Key="empty", Body=b"")
    pair.s3.get_object(Bucket=seen, Key="large", Range="bytes=9000000-9000010")["Body"].read()
    assert "large" not in cached(pair, seen)
    done(pair, pair.sdk.bucket(seen, provider="aws").objects(obj_names=["large", "empty"]).prefetch())
    assert cached(pair, seen) == {"large", "empty"}
    way.seen.clear()
    assert pair.s3.get_object(Bucket=seen, Key="large")["Body"].read() == large
    assert pair.s3.get_object(Bucket=seen, Key="empty")["Body"].read() == b""
    assert reads(way) == []


def test_what_cannot_be_fetched_fails_the_job(pair: Pair, bucket: str) -> None:
    """A name that is not there ends it, unless it is to go on: then that is counted, and the others are fetched."""
    fill(pair, bucket)
    group = pair.sdk.bucket(bucket, provider="aws").objects(obj_names=["a/1", "missing", "b"])
    job = pair.sdk.job(group.prefetch())
    assert not finish(job)
    assert "missing" in job.status().err
    job = pair.sdk.job(group.prefetch(continue_on_error=True))
    assert finish(job).error is not None
    assert not job.status().aborted
    assert "1 of the objects failed" in job.status().err
    assert cached(pair, bucket) == {"a/1", "b"}


def test_partial_objects_are_evicted(pair: Pair, way: Proxy, seen: str) -> None:
    """What a reader has left of an object that is not all here goes with it: the same range is read again."""
    pair.s3_there.put_object(Bucket=seen, Key="large", Body=bytes(20 * MIB))
    wanted = {"Bucket": seen, "Key": "large", "Range": "bytes=9000000-9000010"}
    for _ in range(2):  # the second waits until the first has left a chunk
        pair.s3.get_object(**wanted)["Body"].read()
    assert reads(way) == ["large"]
    done(pair, pair.sdk.bucket(seen, provider="aws").objects(obj_template="la").evict())
    for _ in range(2):
        pair.s3.get_object(**wanted)["Body"].read()
    assert reads(way) == ["large", "large"]


def test_the_command_line_fetches_and_evicts(pair: Pair, bucket: str, tmp_path: Path) -> None:
    """By an object's name, a template, or all of a bucket."""
    fill(pair, bucket)
    ais = Ais(pair.ours, tmp_path, {"HOME": str(tmp_path)})
    assert "prefetch-objects[" in ais("prefetch", f"s3://{bucket}", "--template", "n-{1..2}", "--wait").output
    assert cached(pair, bucket) == {"n-1", "n-2"}
    assert "evict-objects[" in ais("evict", f"s3://{bucket}/n-1", "--wait").output
    assert cached(pair, bucket) == {"n-2"}
    ais("prefetch", f"s3://{bucket}", "--wait")
    assert cached(pair, bucket) == set(KEYS)
    ais("evict", f"s3://{bucket}", "--prefix", "a/", "--wait")
    assert cached(pair, bucket) == {"b", "n-1", "n-2", "n-3"}


# --- in this process -------------------------------------------------------------------------------------------------


async def remote(gateway: Gateway, name: str, endpoint: str = "", **lru: object) -> BucketName:
    """Makes a bucket of a remote's known."""
    known = BucketName(name, "aws")
    properties: dict[str, object] = {"extra.aws.endpoint": endpoint} if endpoint else {}
    properties |= {f"lru.{key}": value for key, value in lru.items()}
    await gateway.buckets.create(EVERYONE, known, properties=properties, looks_up=False)
    return known


async def is_cached(gateway: Gateway, name: BucketName) -> set[str]:
    """The keys of what is in a bucket's log."""

    def find(tx: Any) -> set[str]:
        log = buckets.get(tx, name).log
        return {key.decode() for (key,) in tx.rows("SELECT key FROM head WHERE log = ?", (log,))}

    return await gateway.rooms.catalog.read(find)


@pytest.mark.parametrize("selection", [Prefix(), parse_template("k-{10..39}"), None], ids=("all", "range", "names"))
def test_a_prefetch_is_gone_on_with(
    pair: Pair,
    theirs: Server,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    selection: Selection | None,
) -> None:
    """After it was broken off in the middle, what is cached is not counted twice, and in the end nothing is missing."""
    keys = [f"k-{number}" for number in range(10, 40)]
    for key in keys:
        pair.s3_there.put_object(Bucket=bucket, Key=key, Body=b"x" * 10)
    monkeypatch.setattr(apart, "WINDOW", 4)
    monkeypatch.setattr(apart, "PAGE", 7)

    async def run() -> None:
        power = Power(monkeypatch)
        async with opened(tmp_path) as gateway:
            name = await remote(gateway, bucket, pair.endpoint)
            job = await gateway.jobs.prefetch(EVERYONE, name, selection or Names(tuple(keys)))
            rounds = 0
            while not job.is_over:
                rounds += 1
                job = await power.until_out(gateway, tmp_path, job, 3)
            assert rounds > 1
            assert job.state is State.FINISHED
            assert await is_cached(gateway, name) == set(keys)
            # What was read and not taken down when the power went was found cached.
            assert 0 < job.objects <= len(keys)
            assert faults(gateway) == []

    with credentials(theirs):
        asyncio.run(run())


def test_a_prefetch_that_is_stopped_reads_no_more(
    pair: Pair, way: Proxy, seen: str, theirs: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under way is broken off, and what waits is never asked for."""
    monkeypatch.setattr(apart, "AT_ONCE", 2)
    monkeypatch.setattr(apart, "STEP_SECONDS", 0.01)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            name = await remote(gateway, seen, way.url)
            stopped = asyncio.Event()
            loop = asyncio.get_running_loop()
            begun = asyncio.Event()

            async def before(_: Seen) -> None:
                loop.call_soon_threadsafe(begun.set)
                while not stopped.is_set():  # noqa: ASYNC110 - the proxy has an event loop of its own
                    await asyncio.sleep(0.01)

            way.before = before
            job = await gateway.jobs.prefetch(EVERYONE, name, Names(KEYS))
            ending = asyncio.create_task(ended(gateway, tmp_path, job))
            await begun.wait()
            await gateway.jobs.stop(EVERYONE, job.id)
            assert (await ending).state is State.ABORTED
            stopped.set()
            while way.under_way:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            assert len(reads(way)) <= 2
            assert len(await is_cached(gateway, name)) <= 2

    with credentials(theirs):
        asyncio.run(run())


def test_an_eviction_takes_many_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each transaction is bounded, and all that is selected goes, of objects and of those that are arriving."""
    monkeypatch.setattr(evicting, "STEP", 4)
    monkeypatch.setattr(evicting, "MAX_BLOBS", 3)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            name = await remote(gateway, "cloud")
            for number in range(23):
                await keep(gateway, name, f"a-{number}", 10)
            await keep(gateway, name, "b", 10)
            job = await gateway.jobs.evict(EVERYONE, name, Prefix("a-"))
            job = await ended(gateway, tmp_path, job)
            assert (job.state, job.objects, job.size) == (State.FINISHED, 23, 230)
            assert await is_cached(gateway, name) == {"b"}
            assert faults(gateway) == []

    asyncio.run(run())


def test_what_is_ours_is_never_evicted(tmp_path: Path) -> None:
    """A bucket without a backend has nothing to evict; one that loses it meanwhile keeps what it has."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            cloud = await remote(gateway, "cloud")
            await gateway.buckets.create(EVERYONE, OURS)
            start: Callable[[BucketName, Selection], Awaitable[object]]
            for start in (
                lambda name, selection: gateway.jobs.evict(EVERYONE, name, selection),
                lambda name, selection: gateway.jobs.prefetch(EVERYONE, name, selection),
            ):
                with pytest.raises(errors.InvalidArgument, match="nothing to"):
                    await start(OURS, Prefix())
            await gateway.buckets.set_properties(EVERYONE, OURS, {"backend_bck": cloud.uri})
            await keep(gateway, OURS, "key", 10)
            job = await gateway.jobs.evict(EVERYONE, OURS, Prefix())
            await gateway.buckets.set_properties(EVERYONE, OURS, {"backend_bck": "none"})
            assert (await ended(gateway, tmp_path, job)).state is State.FAILED
            assert await is_cached(gateway, OURS) == {"key"}

    asyncio.run(run())


# --- watermarks ------------------------------------------------------------------------------------------------------


async def keep(gateway: Gateway, name: BucketName, key: str, size: int, age: int = 0) -> None:
    """Caches an object that was last read so many microseconds ago."""

    def work(tx: Any) -> None:
        bucket = buckets.get(tx, name)
        draft = Draft(inline(b"x" * size), size, "etag", 1, STANDARD, Attributes(digest=("xxhash", "0")), EMPTY)
        version = fills.keep(tx, bucket, key, draft, now())
        versions.touch(tx, [(bucket.log, key, version.seq, now() - age)])

    await gateway.rooms.catalog.write(work)


def disk(monkeypatch: pytest.MonkeyPatch, used: int, capacity: int = 1000) -> None:
    """Has the home folder on a disk that is so full."""
    monkeypatch.setattr(eviction, "look", lambda _: [Disk(1, used, capacity)])


def test_least_used_objects_go_down_to_the_low_watermark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of their last reads, over all buckets that may be evicted from; no more than has to."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            one, two = await remote(gateway, "one"), await remote(gateway, "two")
            for number in range(10):
                await keep(gateway, two if number % 2 else one, f"k{number}", 50, (10 + number) * HOUR)
            disk(monkeypatch, 900)  # as much as space.highwm allows
            assert (await eviction.evict(gateway.rooms, tmp_path)).objects == 0
            disk(monkeypatch, 940)
            job = await ended(gateway, tmp_path, await gateway.jobs.evict_least_used(EVERYONE))
            assert (job.state, job.objects, job.size) == (State.FINISHED, 4, 200)  # down to 750 at least
            assert await is_cached(gateway, one) == {"k0", "k2", "k4"}
            assert await is_cached(gateway, two) == {"k1", "k3", "k5"}
            assert faults(gateway) == []

    asyncio.run(run())


def test_what_must_stay_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However full the disk is: what was read within lru.dont_evict_time, what lru.enabled=false keeps, what is shared
    with a bucket of ours and would free nothing, and whatever nobody else has.
    """

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            cloud = await remote(gateway, "cloud", dont_evict_time="1h30m")
            off = await remote(gateway, "off", enabled=False)
            await gateway.buckets.create(EVERYONE, OURS)
            await gateway.objects.put(EVERYONE, OURS, "mine", body_of(b"x" * 100), NewObject())
            await keep(gateway, cloud, "old", 100, 2 * HOUR)
            await keep(gateway, cloud, "new", 100, HOUR)
            await keep(gateway, off, "off", 100, 9 * HOUR)
            await keep(gateway, cloud, "shared", 100, 9 * HOUR)
            await gateway.rooms.catalog.write(
                lambda tx: tx.execute(
                    "UPDATE blobs SET refs = 2 WHERE id = (SELECT blob FROM head WHERE key = ?)", (b"shared",)
                )
            )
            disk(monkeypatch, 1000)
            assert await eviction.evict(gateway.rooms, tmp_path) == eviction.Done(1, 100)
            assert await is_cached(gateway, cloud) == {"new", "shared"}
            assert await is_cached(gateway, off) == {"off"}
            assert await is_cached(gateway, OURS) == {"mine"}

    asyncio.run(run())


def test_bytes_that_wait_to_be_collected_are_not_evicted_for_again(
    pair: Pair, theirs: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files stay for a while after an eviction; until then the disk is as full, and nothing more goes."""
    large = 9 * MIB  # two chunks
    for key, size in (("one", 2 * MIB), ("two", 2 * MIB), ("large", large)):
        pair.s3_there.put_object(Bucket=bucket, Key=key, Body=b"x" * size)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            name = await remote(gateway, bucket, pair.endpoint, dont_evict_time="0s")
            for key in ("large", "one", "two"):
                await ended(gateway, tmp_path, await gateway.jobs.prefetch(EVERYONE, name, Names((key,))))
            disk(monkeypatch, 95 * MIB, 100 * MIB)
            await gateway.configuration.set(EVERYONE, {"space.lowwm": 85})
            assert await eviction.evict(gateway.rooms, tmp_path) == eviction.Done(2, large + 2 * MIB)
            assert await eviction.evict(gateway.rooms, tmp_path) == eviction.Done()
            assert await is_cached(gateway, name) == {"two"}
            await garbage.collect(gateway.rooms, tmp_path, 0)
            assert faults(gateway) == []

    with credentials(theirs):
        asyncio.run(run())


def test_buckets_of_others_may_be_evicted_from_unless_somebody_forbids_it(tmp_path: Path) -> None:
    """lru.enabled is true of buckets that another provider keeps, as long as it does; of ours it cannot be."""

    async def run() -> None:
        async with opened(tmp_path) as gateway:

            async def enabled(name: BucketName) -> bool:
                return (await gateway.buckets.get(EVERYONE, name)).properties.lru.enabled

            cloud = await remote(gateway, "cloud")
            assert await enabled(cloud)
            await gateway.buckets.set_properties(EVERYONE, cloud, {"lru.enabled": False})
            assert not await enabled(cloud)
            await gateway.buckets.reset_properties(EVERYONE, cloud)
            assert await enabled(cloud)
            await gateway.buckets.create(EVERYONE, OURS)
            with pytest.raises(errors.InvalidArgument):
                await gateway.buckets.set_properties(EVERYONE, OURS, {"lru.enabled": True})
            await gateway.buckets.set_properties(EVERYONE, OURS, {"backend_bck": cloud.uri})
            assert await enabled(OURS)
            await gateway.buckets.set_properties(EVERYONE, OURS, {"backend_bck": "none"})
            assert not await enabled(OURS)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("span", "expected"), [("2h", 2 * HOUR), ("1h30m", HOUR * 3 // 2), ("0", 0), ("0s", 0), ("1.5s", 1_500_000)]
)
def test_spans_of_time(span: str, expected: int) -> None:
    """As Go writes them."""
    assert spans.microseconds(span) == expected
