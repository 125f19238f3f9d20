"""What a prefetch does beside readers and writers of the same objects, and what it makes of remotes that fail."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from pathlib import Path
from signal import SIGKILL
from typing import Any

import msgspec
import pytest
import requests

from tests.ais.helpers import act, finish
from tests.durability.folder import check, query
from tests.remote.conftest import Pair, credentials, new_name
from tests.unit.job_store import ended, faults, left, opened, read
from tests.upstream import faults as do
from tests.upstream.faults import Proxy, Reply, Seen
from tidegate.catalog.jobs import State
from tidegate.gateway.selection import Names, parse_template
from tidegate.jobs.kinds import apart
from tidegate.model import EVERYONE
from tidegate.names import BucketName
from tidegate.testing import Server, serve

KIB = 1024
MIB = 1024 * KIB
SECONDS = 60.0
DATA = random.Random(9).randbytes(9 * MIB)
# None, one that is kept in the catalog, the largest of those, one more byte, two pieces of a body, two chunks.
SIZES = (0, 4 * KIB, 64 * KIB, 64 * KIB + 1, 300 * KIB, 9 * MIB)
OLD, NEW = b"old" * 1000, b"new" * 2000
ETAG = f'"{md5(OLD).hexdigest()}"'


@pytest.fixture
def way(pair: Pair) -> Iterator[Proxy]:
    """A proxy in front of the remote, that sees what we ask of it."""
    with pair.between() as between:
        yield between


@pytest.fixture
def seen(pair: Pair, way: Proxy) -> str:
    """A bucket behind the proxy."""
    return pair.create(new_name(), endpoint=way.url)


def fill(pair: Pair, bucket: str, count: int) -> list[str]:
    """Puts small objects to the remote, without us: each has its key as content."""
    keys = [f"k-{number:03}" for number in range(count)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: pair.s3_there.put_object(Bucket=bucket, Key=key, Body=key.encode()), keys))
    return keys


def reads(way: Proxy) -> Counter[str]:
    """How often the remote was sent a GET of each key."""
    found = (seen.target.split("/", 3)[3] for seen in way.seen if seen.method == "GET" and "?" not in seen.target)
    return Counter(found)


def prefetch(pair: Pair, bucket: str, *keys: str, **more: Any) -> Any:
    """Has objects fetched. Returns the job."""
    return pair.sdk.job(pair.sdk.bucket(bucket, provider="aws").objects(obj_names=list(keys)).prefetch(**more))


def get(pair: Pair, bucket: str, key: str) -> requests.Response:
    """A read through us, over a connection of its own: any worker may serve it."""
    return requests.get(f"{pair.ours.url}/{bucket}/{key}", timeout=SECONDS)


def cached(pair: Pair, bucket: str) -> set[str]:
    """The keys of what is kept here."""
    return {key for key, entry in pair.listed(bucket).items() if entry.get("flags", 0) & 1 << 6}


def test_each_object_is_read_once(pair: Pair, way: Proxy, seen: str) -> None:
    """Whatever its size, by one request for all of it; the bytes, ETag and metadata that are kept are the remote's."""
    named = {f"s-{size}": DATA[:size] for size in SIZES}
    for key, data in named.items():
        pair.s3_there.put_object(Bucket=seen, Key=key, Body=data, Metadata={"size": str(len(data))})
    expected = {**named, **{key: key.encode() for key in fill(pair, seen, 150)}}
    answer = pair.act("POST", seen, "prefetch-listrange", {"template": ""})
    job = pair.sdk.job(answer.text)
    assert finish(job)
    stats = job.get_details().list_snapshots()[0].stats
    assert (stats.objects, stats.bytes) == (len(expected), sum(map(len, expected.values())))
    assert reads(way) == dict.fromkeys(expected, 1)
    assert not [each for each in way.seen if "range" in each.headers]
    assert cached(pair, seen) == set(expected)
    for key, data in expected.items():
        assert get(pair, seen, key).content == data
    for key in named:
        here, there = (client.head_object(Bucket=seen, Key=key) for client in (pair.s3, pair.s3_there))
        assert [here[name] for name in ("ETag", "Metadata", "LastModified")] == (
            [there[name] for name in ("ETag", "Metadata", "LastModified")]
        )
    assert reads(way) == dict.fromkeys(expected, 1)


def test_readers_wait_for_what_is_being_fetched(pair: Pair, way: Proxy, seen: str) -> None:
    """A hundred reads in two workers, of objects that a prefetch has asked for or is about to, ask the remote for none
    of them again.
    """
    keys = fill(pair, seen, 50)
    pair.s3_there.put_object(Bucket=seen, Key="large", Body=DATA)
    is_asked, may_go_on = threading.Event(), threading.Event()

    async def before(_: Seen) -> None:
        is_asked.set()
        while not may_go_on.is_set():  # noqa: ASYNC110 - the proxy has an event loop of its own
            await asyncio.sleep(0.01)

    way.before = before
    job = prefetch(pair, seen, "large", *keys)
    assert is_asked.wait(SECONDS)
    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(get, pair, seen, key) for key in keys * 2]
        whole = pool.submit(get, pair, seen, "large")
        may_go_on.set()
        for key, answer in zip(keys * 2, answers, strict=True):
            assert answer.result().content == key.encode()
        assert whole.result().content == DATA
    assert finish(job)
    assert reads(way) == dict.fromkeys(["large", *keys], 1)


@pytest.mark.parametrize("write", ["put", "delete"])
def test_what_is_written_meanwhile_is_not_undone(pair: Pair, way: Proxy, seen: str, write: str) -> None:
    """Bytes that the remote had before a write of ours never take the place of what that has made of the object."""
    pair.s3_there.put_object(Bucket=seen, Key="key", Body=OLD)
    is_read = threading.Event()

    def late(reply: Reply) -> Reply:
        if reply.body != OLD:
            return reply
        is_read.set()
        return msgspec.structs.replace(reply, delay=0.5)

    way.always = late
    job = prefetch(pair, seen, "key", continue_on_error=True)
    assert is_read.wait(SECONDS)
    if write == "put":
        pair.s3.put_object(Bucket=seen, Key="key", Body=NEW)
    else:
        pair.s3.delete_object(Bucket=seen, Key="key")
    finish(job)
    for _ in range(3):
        answer = get(pair, seen, "key")
        assert (answer.status_code, answer.content) == (200, NEW) if write == "put" else answer.status_code == 404


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (do.damage(1000), "checksum"),
        (do.cut(0), "broke off"),
        (do.status(403), "denied"),
        (do.status(503), "503"),
        (do.status(500), "remote"),
        (do.lose, "broke off"),
    ],
    ids=("damaged", "short", "denied", "busy", "fault", "lost"),
)
def test_what_a_remote_gets_wrong_is_not_kept(
    pair: Pair, way: Proxy, seen: str, fault: Callable[[Reply], Reply | None], words: str
) -> None:
    """The job says what was wrong with the one object, and fetches the others; what is right the next time is kept."""
    keys = fill(pair, seen, 10)
    pair.s3_there.put_object(Bucket=seen, Key="bad", Body=OLD)
    is_bad = True

    def of_bad(reply: Reply) -> Reply | None:
        return fault(reply) if is_bad and reply.headers.get("etag") == ETAG else reply

    way.always = of_bad
    job = prefetch(pair, seen, "bad", *keys, continue_on_error=True)
    finish(job)
    error = job.status().err
    assert error.startswith("1 of the objects failed")
    assert "/bad: " in error
    assert words in error
    assert job.get_details().list_snapshots()[0].stats.objects == len(keys)
    assert cached(pair, seen) == set(keys)
    is_bad = False
    assert finish(prefetch(pair, seen, "bad", *keys))
    assert get(pair, seen, "bad").content == OLD
    assert cached(pair, seen) == {"bad", *keys}


def test_an_object_that_changes_is_read_again(pair: Pair, way: Proxy, seen: str) -> None:
    """What comes in the middle of a body from another object is no part of it: the new one is fetched."""
    pair.s3_there.put_object(Bucket=seen, Key="key", Body=OLD)

    def change(reply: Reply) -> Reply:
        pair.s3_there.put_object(Bucket=seen, Key="key", Body=NEW)
        return msgspec.structs.replace(reply, body=reply.body[:1000])

    way.plan = [change]
    assert finish(prefetch(pair, seen, "key"))
    way.seen.clear()
    assert get(pair, seen, "key").content == NEW
    assert not way.seen


async def known(gateway: Any, name: str, endpoint: str) -> BucketName:
    """A bucket of the remote's."""
    bucket = BucketName(name, "aws")
    await gateway.buckets.create(EVERYONE, bucket, properties={"extra.aws.endpoint": endpoint}, looks_up=False)
    return bucket


def test_a_prefetch_that_is_stopped_holds_nobody_up(
    pair: Pair, way: Proxy, seen: str, theirs: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for an object that it was reading reads it themselves, and nothing is left leased. Another one fetches
    all that is not here.
    """
    keys = fill(pair, seen, 200)
    monkeypatch.setattr(apart, "STEP_SECONDS", 0.01)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            name = await known(gateway, seen, way.url)
            is_stopped = threading.Event()

            async def before(_: Seen) -> None:
                while len(way.seen) > 50 and not is_stopped.is_set():  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)

            way.before = before
            job = await gateway.jobs.prefetch(EVERYONE, name, Names(tuple(keys)))
            ending = asyncio.create_task(ended(gateway, tmp_path, job))
            while len(way.seen) <= 50:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            reading = asyncio.create_task(read(gateway, name, keys[60]))
            await asyncio.sleep(0.1)
            await gateway.jobs.stop(EVERYONE, job.id)
            assert (await ending).state is State.ABORTED
            is_stopped.set()
            assert await reading == keys[60].encode()
            while await left(gateway, "partials", "fills"):  # noqa: ASYNC110 - an opening may have been on its way
                await asyncio.sleep(0.01)
            first = await left(gateway, "head")
            assert first < len(keys)
            job = await ended(gateway, tmp_path, await gateway.jobs.prefetch(EVERYONE, name, Names(tuple(keys))))
            assert (job.state, job.objects) == (State.FINISHED, len(keys) - first)
            assert await left(gateway, "head") == len(keys)
            assert faults(gateway) == []

    with credentials(theirs):
        asyncio.run(run())


def test_many_objects_share_a_transaction(
    pair: Pair, bucket: str, theirs: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prefetch of small objects takes far fewer of them than there are objects."""
    keys = fill(pair, bucket, 200)

    async def run() -> None:
        async with opened(tmp_path) as gateway:
            name = await known(gateway, bucket, pair.endpoint)
            count = 0
            write = gateway.rooms.catalog.write

            async def counted(function: Callable[..., Any], *, durable: bool = True) -> Any:
                nonlocal count
                count += 1
                return await write(function, durable=durable)

            monkeypatch.setattr(gateway.rooms.catalog, "write", counted)
            job = await gateway.jobs.prefetch(EVERYONE, name, parse_template("k-{000..199}"))
            assert (await ended(gateway, tmp_path, job)).objects == len(keys)
            assert count < len(keys) / 2

    with credentials(theirs):
        asyncio.run(run())


def test_a_killed_server_leaves_nothing_wrong(
    pair: Pair, way: Proxy, seen: str, theirs: Server, tmp_path: Path
) -> None:
    """What it had fetched is whole, and the job is gone on with when the server comes back."""
    keys = fill(pair, seen, 300)

    async def before(_: Seen) -> None:
        await asyncio.sleep(0.02)

    way.before = before
    with credentials(theirs), serve(tmp_path, repos_port=None, workers=2) as ours:
        properties = {"extra": {"aws": {"endpoint": way.url}}}
        act(ours, "POST", seen, "create-bck", properties, provider="aws", dont_head_remote_bck="true")
        act(ours, "POST", seen, "prefetch-listrange", {"template": ""}, provider="aws")
        while len(way.seen) < 100:
            time.sleep(0.01)
        ours.stop(SIGKILL)
    assert check(tmp_path, repairs=False) == []
    with credentials(theirs), serve(tmp_path, repos_port=None, workers=2) as ours:
        while query(tmp_path, "SELECT count(*) FROM head") != [(len(keys),)]:
            time.sleep(0.05)
        way.seen.clear()
        for key in keys:
            assert requests.get(f"{ours.url}/{seen}/{key}", timeout=SECONDS).content == key.encode()
        assert not way.seen
    assert check(tmp_path, repairs=False) == []
