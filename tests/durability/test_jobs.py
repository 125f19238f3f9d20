"""Jobs outlive the server: killed in the middle they are taken up again, whichever worker comes to do them."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.archives import unpacked
from tests.durability.client import Client
from tests.durability.folder import INLINE_LIMIT, check, execute, files, query
from tests.durability.processes import eventually, kill, needs_proc, workers
from tidegate.gateway import open_gateway
from tidegate.gateway.body import body_of
from tidegate.gateway.objects import NewObject
from tidegate.model import EVERYONE
from tidegate.names import BucketName
from tidegate.testing import ServerProcess, serve

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = BucketName("source")
# Thirty steps of a copy.
COUNT = 6000
LARGE = bytes(range(256)) * 300


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a bucket of many objects. Tests copy it to other buckets."""
    data = tmp_path_factory.mktemp("crowded") / "data"

    async def fill() -> None:
        gateway = open_gateway(data, inline_limit=INLINE_LIMIT, durable=False)
        try:
            await gateway.buckets.create(EVERYONE, SOURCE)
            for start in range(0, COUNT, 500):
                names = (f"dir-{number % 7}/{number:05}" for number in range(start, start + 500))
                puts = (
                    gateway.objects.put(
                        EVERYONE, SOURCE, name, body_of(name.encode()), NewObject(metadata={"name": name})
                    )
                    for name in names
                )
                await asyncio.gather(*puts)
        finally:
            await gateway.close()

    asyncio.run(fill())
    return data


def act(server: ServerProcess, method: str, bucket: str, action: str, value: Any = None, **query: str) -> str:
    """An action on a bucket over the native API. The answer's text."""
    answer = requests.request(
        method,
        f"{server.url}/v1/buckets/{bucket}",
        params={"provider": "ais", **query},
        json={"action": action, "value": value},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def progress(server: ServerProcess, job: str) -> dict[str, Any]:
    """A job's snapshot."""
    answer = requests.get(f"{server.url}/v1/cluster", params={"what": "qryxstats"}, json={"ID": job}, timeout=30)
    ((snapshot,),) = answer.json().values()
    found: dict[str, Any] = snapshot
    return found


def done(server: ServerProcess, job: str) -> int:
    """How many objects a job has done."""
    return int(progress(server, job)["stats"]["loc-objs"])


def broken_off(data: Path, to: str, how: str) -> str | None:
    """Starts a copy of all objects and kills who does it in its middle. The job's id; None where that was too late."""
    with serve(data, workers=2) as server:
        job = act(server, "POST", SOURCE.name, "copy-bck", {}, bck_to=f"ais/@#/{to}/")
        eventually(lambda: done(server, job) > 0, "the copy begins")
        if how == "workers":
            for worker in workers(server):
                kill(worker)
            eventually(lambda: len(workers(server)) == 2, "workers come back")
            eventually(lambda: progress(server, job)["is_idle"], "the copy ends")
        else:
            server.stop(signal.SIGKILL)
    rows = query(data, f"SELECT state, objects FROM jobs WHERE id = '{job}'")
    state, objects = rows[0]
    return job if how == "workers" or (state == "running" and 0 < objects < COUNT) else None


@needs_proc
@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["server", "workers"])
def test_copy_is_exact_though_it_is_killed(crowded: Path, how: str) -> None:
    """After kill -9 of the whole server, or of its workers, every object is copied, and each of them once."""
    for attempt in range(5):
        to = f"{how}-{attempt}"
        job = broken_off(crowded, to, how)
        if job is not None:
            break
    else:
        raise AssertionError("every copy was done before it could be killed")
    with serve(crowded, workers=2) as server:
        eventually(lambda: progress(server, job)["is_idle"], "the copy ends")
        snapshot = progress(server, job)
        assert (snapshot["err"], snapshot["aborted"], snapshot["stats"]["loc-objs"]) == ("", False, str(COUNT))
    same = f"""SELECT count(*) FROM head s JOIN buckets a ON a.log = s.log AND a.name = 'source'
        JOIN head d ON d.key = s.key AND d.blob = s.blob AND d.etag = s.etag AND d.attributes = s.attributes
        AND d.writes = 1 JOIN buckets b ON b.log = d.log AND b.name = '{to}'"""
    assert query(crowded, same) == [(COUNT,)]
    assert query(crowded, f"SELECT l.objects FROM logs l JOIN buckets b ON b.log = l.id WHERE b.name = '{to}'") == [
        (COUNT,)
    ]
    assert check(crowded, repairs=False) == []


@pytest.mark.timeout(120)
def test_stop_from_any_worker_is_final(crowded: Path) -> None:
    """Once a stop is answered not one object more is copied, whichever worker answered; restarting changes nothing."""
    with serve(crowded, workers=2) as server:
        for attempt in range(8):
            job = act(server, "POST", SOURCE.name, "copy-bck", {}, bck_to=f"ais/@#/stopped-{attempt}/")
            eventually(lambda: done(server, job) > 0, "the copy begins")  # noqa: B023 - called at once
            # A connection of its own: the kernel gives it to any of the workers.
            message: Any = {"action": "stop", "value": {"ID": job}}
            assert requests.put(f"{server.url}/v1/cluster", json=message, timeout=30).status_code == 200
            with Client(server.port) as client:
                copied = sum(1 for _ in client.keys(f"stopped-{attempt}"))
            if copied < COUNT:
                break
        else:
            raise AssertionError("every copy was done before it could be stopped")
        snapshot = progress(server, job)
        assert (snapshot["aborted"], snapshot["stats"]["loc-objs"]) == (True, str(copied))
    with serve(crowded, workers=2) as server:
        other = act(server, "POST", SOURCE.name, "copy-bck", {"prefix": "dir-1/0000"}, bck_to="ais/@#/other/")
        eventually(lambda: progress(server, other)["is_idle"], "the next copy ends")
        assert progress(server, job)["aborted"]
        with Client(server.port) as client:
            assert sum(1 for _ in client.keys(f"stopped-{attempt}")) == copied


@pytest.mark.timeout(120)
def test_archive_of_many_survives_a_kill(crowded: Path) -> None:
    """The archive that comes of two servers has each object once."""
    with serve(crowded, workers=1) as server:
        job = act(server, "PUT", SOURCE.name, "archive", {"archname": "all.tar", "template": "dir-"})
        server.stop(signal.SIGKILL)
    with serve(crowded, workers=1) as server, Client(server.port) as client:
        eventually(lambda: progress(server, job)["is_idle"], "the archive is made")
        assert progress(server, job)["err"] == ""
        data = client.get(f"{SOURCE.name}/all.tar").expect().body
        found = unpacked("tar", data)
        assert len(dict(found)) == len(found) == COUNT
        assert all(content == name.encode() for name, content in found)
        eventually(lambda: query(crowded, "SELECT * FROM undigested") == [], "the archive gets its checksum")
        client.ask("DELETE", f"{SOURCE.name}/all.tar").expect(204)
    assert check(crowded, repairs=False) == []


@pytest.mark.timeout(120)
def test_destroyed_bucket_frees_its_files(tmp_path: Path) -> None:
    """Its rows vanish in the background, also if the server is killed meanwhile, and its files with the next cleaning;
    what other buckets share with it stays.
    """
    data = tmp_path / "data"
    with serve(data) as server, Client(server.port) as client:
        for bucket in ("gone", "stays"):
            client.make_bucket(bucket, "Enabled")
        for number in range(40):
            client.put(f"gone/{number}", LARGE + bytes([number])).expect()
            client.put(f"gone/{number % 10}", b"small").expect()
        client.ask("DELETE", "gone/3").expect(204)
        client.copy("gone/20", "stays/copy").expect()
        upload, _ = client.begin("gone/upload", LARGE)
        assert upload
        assert len(files(data)) == 41

    async def destroy() -> None:
        gateway = open_gateway(data, inline_limit=INLINE_LIMIT)
        try:
            await gateway.buckets.destroy(EVERYONE, BucketName("gone"))
        finally:
            await gateway.close()

    # Without a server, so that nobody empties it at once: as if one had been killed right after.
    asyncio.run(destroy())
    assert query(data, "SELECT count(*) FROM logs WHERE dropped = 1") == [(1,)]
    assert check(data, repairs=False) == []
    with serve(data) as server, Client(server.port) as client:
        eventually(lambda: query(data, "SELECT count(*) FROM logs") == [(1,)], "the log goes")
        assert query(data, "SELECT count(*) FROM history") == [(0,)]
        eventually(lambda: query(data, "SELECT count(*) FROM upload_parts") == [(0,)], "the upload goes")
        execute(data, "UPDATE garbage SET since = 0")
        message: Any = {"action": "start", "value": {"Kind": "cleanup-store"}}
        job = requests.put(f"{server.url}/v1/cluster", json=message, timeout=30).text
        eventually(lambda: progress(server, job)["is_idle"], "the cleaning ends")
        assert len(files(data)) == 1
        assert client.get("stays/copy").expect().body == LARGE + bytes([20])
    assert check(data, repairs=False) == []
