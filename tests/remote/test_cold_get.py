"""Reading a remote's objects through us: the first read fills, the second is ours, and whatever goes wrong in between,
nothing wrong is ever served as right.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
import requests
import urllib3

from tests.durability.folder import check, flip, query
from tests.remote.conftest import Pair, credentials, new_name
from tests.upstream import faults
from tests.upstream.faults import Proxy, Seen
from tidegate.testing import Server, ServerProcess, serve

KIB = 1024
MIB = 1024 * KIB
CHUNK = 8 * MIB
LARGE = random.Random(7).randbytes(20 * MIB)
OTHER = random.Random(8).randbytes(20 * MIB)
SIZES = (0, 1, 4 * KIB, 70 * KIB, CHUNK, CHUNK + 1, 20 * MIB)
# No test waits for this long, unless it fails.
SECONDS = 60.0
BROKEN = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)


@pytest.fixture
def way(pair: Pair) -> Iterator[Proxy]:
    """A proxy in front of the remote, that sees what we ask of it."""
    with pair.between() as between:
        yield between


def url(server: Server, bucket: str, key: str = "key") -> str:
    """Where S3 clients find an object."""
    return f"{server.url}/{bucket}/{key}"


def get(pair: Pair, bucket: str, key: str = "key", **headers: str) -> requests.Response:
    """A read through us."""
    return pair.http.get(url(pair.ours, bucket, key), headers=headers, timeout=SECONDS)


def reads(way: Proxy) -> list[Seen]:
    """The GETs of objects that the remote was asked."""
    return [seen for seen in way.seen if seen.method == "GET" and seen.target.endswith("/key")]


def ranges(way: Proxy) -> list[str]:
    """The ranges in them."""
    return [seen.headers.get("range", "") for seen in reads(way)]


def until(is_so: Callable[[], Any]) -> None:
    """Waits for what has to come."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("size", SIZES)
def test_the_first_read_fills_and_the_second_is_ours(pair: Pair, way: Proxy, size: int) -> None:
    """Both give the remote's bytes, ETag, time, headers and metadata; the remote is read once, whole."""
    bucket, data = pair.create(new_name(), way.url), LARGE[:size]
    described: dict[str, Any] = {
        "ContentType": "text/x-tide", "CacheControl": "max-age=3", "Metadata": {"color": "sea green"},
    }  # fmt: skip
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=data, **described)
    there = pair.s3_there.head_object(Bucket=bucket, Key="key")
    for _ in range(2):
        here = pair.s3.get_object(Bucket=bucket, Key="key")
        assert here["Body"].read() == data
        for name in ("ETag", "LastModified", "ContentLength", *described):
            assert here[name] == there[name]
    assert ranges(way) == [""]
    assert way.seen == reads(way)
    assert pair.s3.head_object(Bucket=bucket, Key="key")["ETag"] == there["ETag"]
    pair.wait_until_cached(bucket, "key")


def test_what_is_not_there_is_not_found(pair: Pair, way: Proxy) -> None:
    """A key that the remote has not is NoSuchKey, for GET and HEAD, as often as it is asked; until it is there."""
    bucket = pair.create(new_name(), way.url)
    assert [get(pair, bucket).status_code for _ in range(2)] == [404, 404]
    assert pair.http.head(url(pair.ours, bucket)).status_code == 404
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=b"late")
    assert get(pair, bucket).content == b"late"


def test_a_head_reads_nothing(pair: Pair, way: Proxy) -> None:
    """HEAD and GetObjectAttributes of what is not here ask the remote for no bytes."""
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE, Metadata={"a": "b"})
    head = pair.s3.head_object(Bucket=bucket, Key="key")
    assert (head["ContentLength"], head["Metadata"]) == (len(LARGE), {"a": "b"})
    assert pair.s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=["ETag"])["ETag"] == (
        head["ETag"].strip('"')
    )
    answer = get(pair, bucket, **{"If-None-Match": head["ETag"]})
    assert answer.status_code == 304
    assert reads(way) == []


def test_a_range_reads_its_chunks_only(pair: Pair, way: Proxy) -> None:
    """A range of a large object reads the chunks that it lies in, once; the rest is read when it is wanted; then the
    object is whole.
    """
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
    for _ in range(2):
        answer = get(pair, bucket, Range=f"bytes={CHUNK + 5}-{CHUNK + 104}")
        assert (answer.status_code, answer.content) == (206, LARGE[CHUNK + 5 : CHUNK + 105])
        assert answer.headers["content-range"] == f"bytes {CHUNK + 5}-{CHUNK + 104}/{len(LARGE)}"
    assert ranges(way) == [f"bytes={CHUNK}-{2 * CHUNK - 1}"]
    assert not pair.is_cached(bucket, "key")
    assert get(pair, bucket, Range="bytes=-100").content == LARGE[-100:]
    assert ranges(way)[1:] == [f"bytes={2 * CHUNK}-"]
    assert get(pair, bucket).content == LARGE
    assert ranges(way)[2:] == [f"bytes=0-{CHUNK - 1}"]
    pair.wait_until_cached(bucket, "key")
    way.seen = []
    assert get(pair, bucket).content == LARGE
    assert way.seen == []


def test_a_range_of_what_is_not_here_may_be_any(pair: Pair, way: Proxy) -> None:
    """First bytes, last bytes, those across chunks or past the end, and what is no range: as of an object of ours."""
    data = LARGE[: 2 * CHUNK + 9]
    for wanted, status, expected in (
        ("bytes=0-0", 206, data[:1]),
        ("bytes=-5", 206, data[-5:]),
        (f"bytes={CHUNK - 2}-{CHUNK + 1}", 206, data[CHUNK - 2 : CHUNK + 2]),
        (f"bytes={2 * CHUNK}-", 206, data[2 * CHUNK :]),
        (f"bytes={2 * CHUNK}-{10**39}", 206, data[2 * CHUNK :]),
        ("bytes=5-2", 200, data),
        ("lines=5-2", 200, data),
    ):
        bucket = pair.create(new_name(), way.url)
        for key in ("key", "far"):
            pair.s3_there.put_object(Bucket=bucket, Key=key, Body=data)
        answer = get(pair, bucket, Range=wanted)
        assert (wanted, answer.status_code) == (wanted, status)
        assert answer.content == expected, wanted
        for key, start in (("key", len(data)), ("far", 10**39), ("far", 3 * CHUNK)):
            past = get(pair, bucket, key, Range=f"bytes={start}-")
            assert (past.status_code, "InvalidRange" in past.text) == (416, True)


def test_a_range_of_a_small_object_fills_all_of_it(pair: Pair, way: Proxy) -> None:
    """Where a chunk is the object, reading a range of it makes all of it ours."""
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE[: 300 * KIB])
    assert get(pair, bucket, Range="bytes=10-19").content == LARGE[10:20]
    pair.wait_until_cached(bucket, "key")
    assert get(pair, bucket).content == LARGE[: 300 * KIB]
    assert len(reads(way)) == 1


@pytest.mark.parametrize(("clients", "size"), [(100, 2 * MIB), (16, CHUNK + 70 * KIB), (30, 5)])
def test_many_who_read_at_once_make_one_read(pair: Pair, way: Proxy, clients: int, size: int) -> None:
    """Of a hundred cold reads of one key at the same time, in two workers, the remote sees one."""
    bucket, data = pair.create(new_name(), way.url), LARGE[:size]
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=data)
    way.always = faults.slow(0.3)
    together = threading.Barrier(clients)

    def read(_: int) -> bool:
        with urllib3.PoolManager() as pool:
            together.wait(SECONDS)
            return bool(pool.request("GET", url(pair.ours, bucket), timeout=SECONDS).data == data)

    with ThreadPoolExecutor(clients) as threads:
        assert all(threads.map(read, range(clients)))
    assert len(way.seen) == 1


def test_those_who_wait_hear_what_went_wrong(pair: Pair, way: Proxy) -> None:
    """Where the remote fails, all who wait for the same key are told soon, not one after the other."""
    bucket = pair.create(new_name(), way.url)
    way.always = lambda reply: faults.slow(0.3)(faults.status(403)(reply) or reply)
    together = threading.Barrier(20)

    def read(_: int) -> int:
        together.wait(SECONDS)
        return requests.get(url(pair.ours, bucket), timeout=SECONDS).status_code

    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(read, range(20))) == {403}
    assert len(way.seen) <= 4


def test_the_first_byte_does_not_wait_for_the_last(pair: Pair, way: Proxy) -> None:
    """A client has bytes while the remote has not sent all of them; what it got is what the remote sent."""
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
    way.plan = [faults.stall(3 * MIB)]
    with pair.http.get(url(pair.ours, bucket), stream=True, timeout=SECONDS) as answer:
        assert answer.raw.read(MIB) == LARGE[:MIB]


def test_a_slow_client_holds_nobody_up(pair: Pair, way: Proxy) -> None:
    """While one client does not read on, another gets all; and then the first one does too."""
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
    with pair.http.get(url(pair.ours, bucket), stream=True, timeout=SECONDS) as answer:
        first = answer.raw.read(KIB)
        assert requests.get(url(pair.ours, bucket), timeout=SECONDS).content == LARGE
        assert first + answer.raw.read() == LARGE
    pair.wait_until_cached(bucket, "key")


def test_a_client_that_leaves_takes_nothing_along(pair: Pair, way: Proxy) -> None:
    """What has arrived stays: the next client has all, and no byte is read twice."""
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
    with requests.get(url(pair.ours, bucket), stream=True, timeout=SECONDS) as answer:
        answer.raw.read(100 * KIB)
    assert get(pair, bucket).content == LARGE
    starts = [int(each.removeprefix("bytes=").partition("-")[0] or 0) for each in ranges(way)]
    assert starts == sorted(set(starts))
    assert all(start % CHUNK == 0 for start in starts)
    pair.wait_until_cached(bucket, "key")


def read_broken(pair: Pair, bucket: str) -> bytes:
    """What comes of a read that must not look complete: an error, or a body that breaks off."""
    got: list[bytes] = []
    try:
        with pair.http.get(url(pair.ours, bucket), stream=True, timeout=SECONDS) as answer:
            if answer.status_code >= 500:
                return b""
            got += answer.iter_content(64 * KIB)
    except BROKEN:
        return b"".join(got)
    raise AssertionError("the answer looks complete")


def test_a_body_that_breaks_off_is_never_complete(pair: Pair, way: Proxy) -> None:
    """Where the remote breaks off and refuses to go on, so do we; chunks that were complete are kept, the rest is read
    by who comes next.
    """
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
    way.plan = [faults.cut(CHUNK + MIB), faults.status(400)]
    got = read_broken(pair, bucket)
    assert LARGE.startswith(got)
    way.seen = []
    assert get(pair, bucket).content == LARGE
    assert ranges(way) == [f"bytes={CHUNK}-"]


def test_a_body_that_breaks_off_is_resumed(pair: Pair, way: Proxy) -> None:
    """A client does not notice that the remote's connection broke, if the remote goes on."""
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
    way.plan = [faults.cut(CHUNK + MIB)]
    assert get(pair, bucket).content == LARGE
    pair.wait_until_cached(bucket, "key")


@pytest.mark.parametrize("size", [70 * KIB, 20 * MIB])
def test_damage_on_the_way_is_never_kept(pair: Pair, way: Proxy, size: int) -> None:
    """Bytes that do not have the remote's checksum are in no complete answer, and the next read has the right ones."""
    bucket, data = pair.create(new_name(), way.url), LARGE[:size]
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=data)
    way.plan = [faults.damage(size // 2)]
    read_broken(pair, bucket)
    assert get(pair, bucket).content == data
    assert ranges(way) == ["", ""]


def test_damage_in_one_of_several_ranges_is_never_kept(pair: Pair, way: Proxy) -> None:
    """Chunks that were read by themselves are held against the object's checksum before they become one."""
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE, ChecksumAlgorithm="SHA256")
    pair.s3.head_object(Bucket=bucket, Key="key")
    way.plan = [faults.damage(5)]
    get(pair, bucket, Range=f"bytes={CHUNK}-{CHUNK + 9}")
    get(pair, bucket)
    until(lambda: get(pair, bucket).content == LARGE)
    assert get(pair, bucket, Range=f"bytes={CHUNK}-{CHUNK + 9}").content == LARGE[CHUNK : CHUNK + 10]


def test_an_object_that_changes_under_us_is_not_mixed(pair: Pair, way: Proxy) -> None:
    """Chunks of one state are never followed by those of another: the read breaks off, and the next one is of the new
    object alone.
    """
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
    assert get(pair, bucket, Range="bytes=0-9").content == LARGE[:10]
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=OTHER)
    assert LARGE.startswith(read_broken(pair, bucket))
    assert get(pair, bucket).content == OTHER
    assert get(pair, bucket, Range="bytes=0-9").content == OTHER[:10]


def test_an_object_that_goes_under_us_is_gone(pair: Pair, way: Proxy) -> None:
    """Where the rest of an object is gone from the remote, the read breaks off; then the object is not found."""
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
    assert get(pair, bucket, Range="bytes=0-9").content == LARGE[:10]
    pair.s3_there.delete_object(Bucket=bucket, Key="key")
    read_broken(pair, bucket)
    assert get(pair, bucket).status_code == 404


def test_a_warm_read_does_not_ask_unless_it_is_told_to(pair: Pair, way: Proxy) -> None:
    """What is here is served as it is; the latest is asked for by a query of the native API."""
    bucket = pair.create(new_name(), way.url)
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=b"old")
    assert get(pair, bucket).content == b"old"
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=b"new")
    way.seen = []
    assert get(pair, bucket).content == b"old"
    assert way.seen == []
    native = f"{pair.ours.url}/v1/objects/{bucket}/key"
    assert pair.http.get(native, params={"provider": "aws"}).content == b"old"
    assert pair.http.get(native, params={"provider": "aws", "latest-ver": "true"}).content == b"new"
    assert get(pair, bucket).content == b"new"


@pytest.mark.parametrize("size", [3, CHUNK + 3])
def test_validate_warm_get_asks_the_remote(pair: Pair, way: Proxy, size: int) -> None:
    """With that property a read is of what the remote has now; while that is what is here, only its head is asked."""
    bucket = pair.create(new_name(), way.url, versioning={"validate_warm_get": True})
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE[:size])
    for _ in range(2):
        assert get(pair, bucket).content == LARGE[:size]
    assert [seen.method for seen in way.seen] == ["GET", "HEAD"]
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=OTHER[:size])
    assert get(pair, bucket).content == OTHER[:size]
    pair.s3_there.delete_object(Bucket=bucket, Key="key")
    assert get(pair, bucket).status_code == 404


def test_synchronize_drops_what_is_gone_there(pair: Pair) -> None:
    """Only with that property is a copy dropped because the remote has no such object any more."""
    for keeps in (True, False):
        key = "validate_warm_get" if keeps else "synchronize"
        bucket = pair.create(new_name(), versioning={key: True, "validate_warm_get": True})
        pair.s3_there.put_object(Bucket=bucket, Key="key", Body=b"data")
        assert get(pair, bucket).content == b"data"
        pair.s3_there.delete_object(Bucket=bucket, Key="key")
        assert get(pair, bucket).status_code == 404
        off = {"versioning": {"synchronize": False, "validate_warm_get": False}}
        assert pair.act("PATCH", bucket, "set-bprops", off).status_code == 200
        assert get(pair, bucket).status_code == (200 if keeps else 404)


# --- servers of their own --------------------------------------------------------------------------------------------


@contextmanager
def served(theirs: Server, data: Path, stack: ExitStack, **settings: Any) -> Iterator[tuple[Pair, ServerProcess]]:
    """A server under test with a folder of its own."""
    with credentials(theirs), serve(data, repos_port=None, **settings) as server:
        yield Pair(server, theirs, stack), server


def test_a_server_that_is_killed_in_the_middle(theirs: Server, tmp_path: Path) -> None:
    """Killed while an object arrives, a server leaves a sound folder; started again it goes on with the chunks that are
    missing, at once.
    """
    data = tmp_path / "data"
    filled = partial(query, data, "SELECT 1 FROM fills WHERE blob IS NOT NULL")
    with ExitStack() as stack:
        with served(theirs, data, stack, workers=2) as (pair, server):
            way = stack.enter_context(pair.between())
            bucket = pair.create(new_name(), way.url)
            pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
            way.plan = [faults.stall(CHUNK + 2 * MIB)]
            answer = stack.enter_context(requests.get(url(server, bucket), stream=True, timeout=SECONDS))
            assert answer.raw.read(CHUNK + MIB) == LARGE[: CHUNK + MIB]
            until(filled)
            answer.close()
            server.stop(SIGKILL)
        assert check(data, repairs=False) == []
        way.seen = []
        with served(theirs, data, stack, workers=2) as (pair, server):
            assert get(pair, bucket).content == LARGE
            assert ranges(way) == [f"bytes={CHUNK}-"]
            pair.wait_until_cached(bucket, "key")
        assert check(data, repairs=False) == []
        assert query(data, "SELECT * FROM partials") == query(data, "SELECT * FROM fills") == []


def test_a_destroyed_bucket_leaves_nothing(theirs: Server, tmp_path: Path) -> None:
    """What has arrived of an object goes with its bucket."""
    data = tmp_path / "data"
    with ExitStack() as stack, served(theirs, data, stack) as (pair, _):
        bucket = pair.create(new_name())
        pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
        assert get(pair, bucket, Range="bytes=0-9").content == LARGE[:10]
        until(lambda: query(data, "SELECT 1 FROM fills WHERE blob IS NOT NULL"))
        assert pair.act("DELETE", bucket, "destroy-bck").status_code == 200
        until(lambda: query(data, "SELECT 1 FROM logs") == [])
        assert query(data, "SELECT * FROM partials") == query(data, "SELECT * FROM fills") == []
        assert check(data, repairs=False) == []


def test_damage_here_is_read_again(theirs: Server, tmp_path: Path) -> None:
    """A copy whose file is damaged is no loss: the remote has it, and it is fetched and kept anew."""
    data = tmp_path / "data"
    with ExitStack() as stack, served(theirs, data, stack) as (pair, _):
        bucket = pair.create(new_name())
        pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE[: CHUNK + MIB])
        for _ in range(2):
            assert get(pair, bucket).content == LARGE[: CHUNK + MIB]
            pair.wait_until_cached(bucket, "key")
            for path in (data / "blobs").glob("*/*"):
                flip(path, 600 * KIB)
        assert get(pair, bucket).content == LARGE[: CHUNK + MIB]


def test_a_full_disk_keeps_nobody_from_reading(theirs: Server, tmp_path: Path) -> None:
    """Where nothing may be written, an object is read through us and not kept."""
    with ExitStack() as stack, served(theirs, tmp_path / "data", stack) as (pair, server):
        bucket = pair.create(new_name())
        pair.s3_there.put_object(Bucket=bucket, Key="key", Body=LARGE)
        full = {"cleanupwm": 0, "lowwm": 0, "highwm": 1, "out_of_space": 1}
        message: Any = {"action": "set-config", "name": "", "value": {f"space.{name}": full[name] for name in full}}
        answer = pair.http.put(f"{server.url}/v1/cluster", json=message)
        assert answer.status_code == 200, answer.text
        for wanted, expected in (("", LARGE), (f"bytes={CHUNK + 7}-{CHUNK + 99}", LARGE[CHUNK + 7 : CHUNK + 100])):
            assert get(pair, bucket, Range=wanted).content == expected
        assert not pair.is_cached(bucket, "key")


class _Quiet(SimpleHTTPRequestHandler):
    """A web server as Python comes with: no ETags and no ranges."""

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()


@pytest.mark.parametrize("size", [5, CHUNK + 5])
def test_an_origin_without_etags(pair: Pair, tmp_path: Path, size: int) -> None:
    """What cannot be proven to be the same later is kept only if it came as a whole; ranges are right all the same."""
    (tmp_path / "key").write_bytes(LARGE[:size])
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path))) as origin:
        asked = origin.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=origin.serve_forever)
        thread.start()
        try:
            bucket = new_name()
            place = {"extra": {"http": {"original_url": f"http://127.0.0.1:{origin.server_port}"}}}
            made = pair.act("POST", bucket, "create-bck", place, provider="ht")
            assert made.status_code == 200, made.text
            native = f"{pair.ours.url}/v1/objects/{bucket}/key"
            read = partial(pair.http.get, native, params={"provider": "ht"}, timeout=SECONDS)
            assert read(headers={"Range": "bytes=1-3"}).content == LARGE[1:4]
            with ThreadPoolExecutor(4) as threads:
                assert all(
                    threads.map(
                        lambda _: requests.get(native, params={"provider": "ht"}).content == LARGE[:size], range(4)
                    )
                )
            asked.clear()
            assert read().content == LARGE[:size]
            assert asked == []
        finally:
            origin.shutdown()
            thread.join()
