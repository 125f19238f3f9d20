"""A mirrored bucket outlives its disks: any folder but the home folder may be lost, and the home folder comes back from
the copy of its catalog.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import time
from typing import TYPE_CHECKING, cast

import pytest

from tests.cli.ais.command import Ais
from tests.cli.command import tidegate
from tests.durability.client import Answer, Client
from tests.durability.folder import INLINE_LIMIT, LARGE, MIB, SMALL, check, execute, flip, query
from tests.durability.processes import eventually, kill, needs_proc, workers
from tidegate.catalog.shipping import COPY
from tidegate.gateway import folders as gateway_folders
from tidegate.gateway import open_gateway
from tidegate.model import Principal
from tidegate.testing import ServerError, serve

if TYPE_CHECKING:
    from pathlib import Path

    from tidegate.blobs.local import LocalBlobs
    from tidegate.testing import ServerProcess

ADMIN = Principal("admin", "admin", is_admin=True)
HUGE = hashlib.shake_128(b"").digest(5 * MIB)
CONTENTS = {"small": SMALL, "large": LARGE, "huge": HUGE, "empty": b""}


def set_copies(home: Path, bucket: str, copies: int) -> None:
    """Sets the property ``mirror``, as a client of the native API does; 1 turns it off."""
    changes: dict[str, object] = {"mirror.enabled": copies > 1}
    if copies > 1:
        changes["mirror.copies"] = copies

    async def run() -> None:
        gateway = open_gateway(home, inline_limit=INLINE_LIMIT)
        try:
            await gateway.folders.open()
            await gateway.buckets.set_properties(ADMIN, bucket, changes)
        finally:
            await gateway.close()

    asyncio.run(run())


class Store:
    """The data folders of a test."""

    def __init__(self, root: Path, count: int = 3) -> None:
        self.folders = [root / name for name in ("home", "two", "three", "four")[:count]]
        self.home = self.folders[0]

    def files(self) -> list[set[str]]:
        """The names of the blobs in each folder."""
        return [{path.name for path in (folder / "blobs").glob("*/*")} for folder in self.folders]

    def file_copies(self, key: str, bucket: str = "mirrored") -> list[Path]:
        """The files that an object's bytes are in."""
        ((name,),) = query(
            self.home,
            f"""SELECT b.file FROM blobs b JOIN head h ON h.blob = b.id JOIN buckets u ON u.log = h.log
                WHERE u.name = '{bucket}' AND h.key = CAST('{key}' AS BLOB)""",
        )
        paths = [folder / "blobs" / name.hex()[:2] / name.hex() for folder in self.folders]
        return [path for path in paths if path.exists()]

    def read_first(self, key: str) -> Path:
        """The copy that an idle server reads: by the file's name, so that each blob is in one page cache."""
        paths = self.file_copies(key)
        return paths[bytes.fromhex(paths[0].name)[1] % len(paths)]

    def is_settled(self) -> bool:
        """Whether nothing is left for the job to do."""
        return query(self.home, "SELECT 1 FROM unsettled UNION ALL SELECT 1 FROM mirror_tasks") == []

    def recorded(self) -> list[tuple[int, int]]:
        """The folders of each blob that is a file, as the catalog has it, and how many copies are wanted."""
        return query(self.home, "SELECT folders, copies FROM blobs WHERE kind = 1 AND refs > 0")

    def is_as_recorded(self) -> bool:
        """Whether every file is where the catalog says, and nowhere else."""
        rows = query(self.home, "SELECT file, folders FROM blobs WHERE kind = 1")
        return all(
            {name.hex() for name, folders in rows if folders >> number & 1} == found
            for number, found in enumerate(self.files())
        )

    def settle(self) -> None:
        """Waits until the job has nothing to do."""
        eventually(self.is_settled, "settled")

    def lose(self, number: int) -> None:
        """A disk breaks: its folder is an empty mount point."""
        shutil.rmtree(self.folders[number])
        self.folders[number].mkdir()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three folders."""
    return Store(tmp_path)


def fill(client: Client, bucket: str = "mirrored") -> None:
    """Writes something of every kind."""
    for key, content in CONTENTS.items():
        client.put(f"{bucket}/{key}", content).expect()
    client.multipart(f"{bucket}/parts", HUGE, SMALL).expect()


def verify(client: Client, bucket: str = "mirrored") -> None:
    """Reads it."""
    for key, content in {**CONTENTS, "parts": HUGE + SMALL}.items():
        assert client.get(f"{bucket}/{key}").expect().body == content, key
    answer = client.ask("GET", f"{bucket}/huge", headers={"range": "bytes=1048570-1048585"}).expect(206)
    assert answer.body == HUGE[1_048_570:1_048_586]


def mirrored(store: Store, client: Client, copies: int = 2) -> None:
    """Makes a mirrored bucket with something in it."""
    client.make_bucket("mirrored")
    set_copies(store.home, "mirrored", copies)
    fill(client)


# --- copies ----------------------------------------------------------------------------------------------------------


def test_copies_are_made_and_dropped(store: Store) -> None:
    """A bucket that becomes mirrored gets copies of what is in it, inline objects as files; new objects get them at
    once; fewer are dropped again; more than there are folders are refused.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        client.make_bucket("mirrored")
        client.set_versioning("mirrored", "Enabled")
        fill(client)
        fill(client)
        upload, etag = client.begin("mirrored/under way", SMALL)
        set_copies(store.home, "mirrored", 2)
        store.settle()
        assert {(folders.bit_count(), copies) for folders, copies in store.recorded()} == {(2, 2)}
        assert query(store.home, "SELECT count(*) FROM small_blobs") == [(0,)]
        client.put("mirrored/new", SMALL).expect()
        assert len(store.file_copies("new")) == 2
        client.complete("mirrored/under way", upload, [etag]).expect()
        verify(client)
        assert store.is_as_recorded()
        set_copies(store.home, "mirrored", 3)
        store.settle()
        assert {folders for folders, _ in store.recorded()} == {0b111}
        set_copies(store.home, "mirrored", 1)
        store.settle()
        assert {(folders.bit_count(), copies) for folders, copies in store.recorded()} == {(1, 1)}
        verify(client)
        assert store.is_as_recorded()
        with pytest.raises(Exception, match=r"mirror\.copies is 4"):
            set_copies(store.home, "mirrored", 4)
    assert check(store.home) == []


def test_shared_blobs_have_the_most_copies_that_any_asks_for(store: Store) -> None:
    """A copy into a mirrored bucket mirrors the blob; it stays so as long as a bucket asks for it, and no longer than a
    bucket that asks for fewer changes its mind.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        for bucket, copies in (("plain", 1), ("two", 2), ("three", 3)):
            client.make_bucket(bucket)
            set_copies(store.home, bucket, copies)
        client.put("plain/large", LARGE).expect()
        client.put("plain/small", SMALL).expect()
        client.multipart("plain/parts", HUGE, LARGE).expect()
        assert {copies for _, copies in store.recorded()} == {1}
        for key in ("large", "small", "parts"):
            client.copy(f"plain/{key}", f"two/{key}").expect()
            client.copy(f"two/{key}", f"three/{key}").expect()
        store.settle()
        assert store.recorded() == [(0b111, 3)] * 4
        set_copies(store.home, "two", 1)
        store.settle()
        assert store.recorded() == [(0b111, 3)] * 4
        set_copies(store.home, "two", 2)
        set_copies(store.home, "three", 1)
        store.settle()
        assert [(folders.bit_count(), copies) for folders, copies in store.recorded()] == [(2, 2)] * 4
        set_copies(store.home, "two", 1)
        store.settle()
        assert [(folders.bit_count(), copies) for folders, copies in store.recorded()] == [(1, 1)] * 4
        assert store.is_as_recorded()
        assert client.get("three/parts").expect().body == HUGE + LARGE
    assert check(store.home) == []


def test_unmirrored_objects_use_all_folders(store: Store) -> None:
    """Objects of a bucket that is not mirrored are spread over the folders, and lost with theirs: clearly said, and no
    other is.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        client.make_bucket("plain")
        for number in range(40):
            client.put(f"plain/{number}", LARGE).expect()
        found = [len(files) for files in store.files()]
        assert sum(found) == 40
        assert min(found) > 0
        store.lose(1)
        eventually(lambda: "is not there any more" in server.log, "noticed")
        answers = [client.get(f"plain/{number}") for number in range(40)]
        assert [answer.status for answer in answers].count(200) == 40 - found[1]
        assert {answer.code for answer in answers if answer.status == 503} == {"ServiceUnavailable"}


# --- a disk is lost --------------------------------------------------------------------------------------------------


def test_a_folder_is_lost_under_a_running_server(store: Store) -> None:
    """Everything is read and written while a folder is lost; when it is replaced every copy is made again."""
    number = 2
    with serve(store.folders, workers=2) as server, Client(server.port) as client:
        mirrored(store, client)
        store.settle()
        store.lose(number)
        verify(client)
        fill(client)
        verify(client)
        store.settle()
        ran = tidegate("folder", "ls", "--data", store.home, "--json")
        assert [value["state"] for value in ran.values].count("missing") == 1
        assert not list(store.folders[number].rglob("*"))  # nobody takes it for the folder that it was
        ran = tidegate("fsck", "--data", store.home, "--json")
        assert (ran.code, {value["fault"] for value in ran.values[:-1]}) == (2, {"folder-missing"})
        assert tidegate("folder", "renew", store.folders[number], "--data", store.home).code == 0
        store.settle()
        assert {folders.bit_count() for folders, _ in store.recorded()} == {2}
        assert tidegate("gc", "--data", store.home, "--grace", "0").code == 0
        assert store.is_as_recorded()
        verify(client)
    assert check(store.home) == []


def test_a_folder_is_lost_while_no_server_runs(store: Store) -> None:
    """A server starts without a folder that it knew, says so, and serves all that has a copy elsewhere; the folder
    comes back with what was in it.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        store.settle()
    aside = store.folders[1].with_name("aside")
    store.folders[1].rename(aside)
    with serve(store.folders) as server, Client(server.port) as client:
        assert f"{store.folders[1]} is not there" in server.log
        verify(client)
        fill(client)
    shutil.rmtree(store.folders[1], ignore_errors=True)
    aside.rename(store.folders[1])
    with serve(store.folders) as server, Client(server.port) as client:
        assert "is not there" not in server.log
        store.settle()
        verify(client)
    assert check(store.home) == []


def test_fewer_copies_are_better_than_none(tmp_path: Path) -> None:
    """With one of two folders missing a write to a mirrored bucket is taken, and gets its second copy when the folder
    is back.
    """
    store = Store(tmp_path, 2)
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        store.settle()
        aside = store.folders[1].with_name("aside")
        store.folders[1].rename(aside)
        client.put("mirrored/late", LARGE).expect()
        assert len(store.file_copies("late")) == 1
        assert not store.is_settled()
        assert client.get("mirrored/late").expect().body == LARGE
        aside.rename(store.folders[1])
        store.settle()
        assert len(store.file_copies("late")) == 2
    assert check(store.home) == []


def test_a_folder_that_is_left_out_is_told(store: Store) -> None:
    """A server that is not given a folder that it had says so, serves what is elsewhere and writes nothing there; the
    folder is as it was when it is given again.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        store.settle()
    before = store.files()
    with serve(store.folders[:2]) as server, Client(server.port) as client:
        assert f"{store.folders[2]} was not given" in server.log
        verify(client)
    assert store.files() == before
    with serve(store.folders) as server, Client(server.port) as client:
        assert "not given" not in server.log
        verify(client)
    assert check(store.home) == []


def test_a_folder_is_taken_out(store: Store) -> None:
    """What is in a folder that is removed is brought to the others, with its copies, and the folder is forgotten."""
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        client.make_bucket("plain")
        for number in range(12):
            client.put(f"plain/{number}", LARGE).expect()
        assert tidegate("folder", "remove", store.folders[2], "--data", store.home).code == 0
        eventually(lambda: "is no longer needed" in server.log, "left")
        store.settle()
        assert {(folders & 0b100, folders.bit_count(), copies) for folders, copies in store.recorded()} == {
            (0, 2, 2),
            (0, 1, 1),
        }
        assert store.files()[2] == set()
        verify(client)
        for number in range(12):
            assert client.get(f"plain/{number}").expect().body == LARGE
    with serve(store.folders[:2]) as server:
        assert "not given" not in server.log
    assert check(store.home) == []


def test_a_lost_folder_is_given_up(store: Store) -> None:
    """A folder that will not come back is forgotten when one says so: what had a copy gets another, what had none is
    named by fsck.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        client.make_bucket("plain")
        for number in range(12):
            client.put(f"plain/{number}", LARGE).expect()
        store.settle()
        lost = [
            number for number in range(12) if store.folders[2] in store.file_copies(str(number), "plain")[0].parents
        ]
        store.lose(2)
        eventually(lambda: "is not there any more" in server.log, "noticed")
        ran = tidegate("folder", "remove", store.folders[2], "--data", store.home)
        assert ran.code == 1
        assert "--lost" in ran.error
        assert tidegate("folder", "remove", store.folders[2], "--data", store.home, "--lost").code == 0
        store.settle()
        assert len(query(store.home, "SELECT * FROM folders")) == 2
        verify(client)
    found = check(store.home)
    assert {finding.key for finding in found} == {str(number) for number in lost}
    assert {finding.fault for finding in found} <= {"bytes-damaged"}


# --- a copy is damaged -----------------------------------------------------------------------------------------------


def test_reads_repair(store: Store) -> None:
    """A copy that is damaged, wherever, or gone is read over without the client noticing, and written again."""
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        for key in ("flipped", "cut", "gone"):
            client.put(f"mirrored/{key}", HUGE).expect()
            path = store.read_first(key)
            good = path.read_bytes()
            match key:
                case "flipped":
                    flip(path, 3 * MIB)
                case "cut":
                    os.truncate(path, MIB)
                case _:
                    path.unlink()
            assert client.get(f"mirrored/{key}").expect().body == HUGE
            eventually(lambda path=path, good=good: path.exists() and path.read_bytes() == good, "mended")
            assert client.get(f"mirrored/{key}").expect().body == HUGE
        store.settle()
    assert check(store.home) == []


def test_all_copies_damaged(store: Store) -> None:
    """Where no copy is sound the connection breaks before the first wrong byte; where the copies are damaged in
    different places, every byte is served.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        first, second = store.file_copies("huge")
        flip(first, MIB + 5)
        flip(second, 3 * MIB + 5)
        assert client.get("mirrored/huge").expect().body == HUGE
        store.settle()
        for path in store.file_copies("large"):
            flip(path, 5)
        with contextlib.suppress(http.client.HTTPException, OSError):
            assert client.get("mirrored/large").status == 500
        store.settle()
    found = check(store.home, repairs=False)
    assert [(finding.fault, finding.key) for finding in found] == [("bytes-damaged", "large")]


def test_fsck_finds_and_mends_copies(store: Store) -> None:
    """fsck names a damaged copy, too few copies and a file where none should be, and mends them."""
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
    flip(store.file_copies("large")[1], 5)
    ran = tidegate("fsck", "--data", store.home, "--json", "--no-repair")
    assert [value["fault"] for value in ran.values[:-1]] == ["copy-damaged"]
    ran = tidegate("fsck", "--data", store.home, "--json")
    assert (ran.code, [value["repaired"] for value in ran.values[:-1]]) == (1, [True])
    execute(
        store.home,
        "UPDATE blobs SET folders = folders & -folders WHERE id IN (SELECT id FROM blobs WHERE kind = 1 LIMIT 1)",
    )
    ran = tidegate("fsck", "--data", store.home, "--json")
    assert (ran.code, [value["fault"] for value in ran.values[:-1]]) == (1, ["copies-missing"])
    stray = store.folders[1] / "blobs" / "ab" / ("ab" * 16)
    stray.write_bytes(b"half an upload")
    ran = tidegate("fsck", "--data", store.home, "--json")
    assert ran.code == 0
    assert ran.values[-1]["unknown_files"] >= 1
    assert store.is_as_recorded()
    assert tidegate("fsck", "--data", store.home, "--no-repair").code == 0


# --- crashes ---------------------------------------------------------------------------------------------------------


@needs_proc
@pytest.mark.timeout(180)
def test_killed_at_any_moment(store: Store) -> None:
    """After kill -9 under load, while copies are made and dropped, everything acknowledged is there, and fsck and the
    job leave every copy where it belongs.
    """
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
    written: dict[str, bytes] = {}
    for number in range(3):
        with serve(store.folders, workers=2) as server, Client(server.port) as client:
            set_copies(store.home, "mirrored", chance.choice([1, 2, 3]))
            for each in range(chance.randrange(5, 30)):
                key, content = f"{number}-{each}", chance.randbytes(chance.choice([100, 100_000, 2 * MIB]))
                client.put(f"mirrored/{key}", content).expect()
                written[key] = content
            if number % 2:
                kill(chance.choice(workers(server)))
            time.sleep(chance.uniform(0, 0.3))
            server.stop(signal.SIGKILL)
    with serve(store.folders) as server, Client(server.port) as client:
        set_copies(store.home, "mirrored", 2)
        store.settle()
        for key, content in written.items():
            assert client.get(f"mirrored/{key}").expect().body == content, (seed, key)
        verify(client)
    assert tidegate("fsck", "--data", store.home).code == 0
    assert {folders.bit_count() for folders, _ in store.recorded()} == {2}
    assert store.is_as_recorded()


# --- folders ---------------------------------------------------------------------------------------------------------


def test_folders_that_do_not_belong(tmp_path: Path) -> None:
    """A folder of another store, one that is not empty, one in another, and a further folder in the first's place are
    refused by name.
    """
    one, other = Store(tmp_path / "one", 2), Store(tmp_path / "other", 2)
    for each in (one, other):
        with serve(each.folders):
            pass
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("important")
    for folders, complaint in (
        ([one.home, other.folders[1]], "belongs to another store"),
        ([one.home, full], "is not empty"),
        ([one.home, one.home / "inner"], "lie in each other"),
        ([one.folders[1], one.home], "is a further data folder"),
    ):
        with pytest.raises(ServerError) as caught, serve(folders):
            pass
        assert complaint in str(caught.value)
    with serve(one.folders), pytest.raises(ServerError) as caught, serve([other.home, one.folders[1]]):
        pass
    assert "is in use" in str(caught.value)
    assert (full / "thesis.txt").exists()


def test_backup_has_all_folders(store: Store, tmp_path: Path) -> None:
    """A backup brings the blobs of all folders into one; restored, it is whole, and gets its copies when it has
    folders again.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        client.make_bucket("plain")
        fill(client, "plain")
    store.file_copies("large")[0].unlink()
    assert tidegate("backup", "--data", store.home, tmp_path / "backup").code == 0
    new = Store(tmp_path / "new", 2)
    assert tidegate("restore", tmp_path / "backup", "--data", new.home).code == 0
    assert check(new.home) == []
    with serve(new.folders) as server, Client(server.port) as client:
        verify(client)
        verify(client, "plain")
        new.settle()
        assert {folders.bit_count() for folders, copies in new.recorded() if copies == 2} == {2}
    assert check(new.home) == []


# --- the home folder is lost -----------------------------------------------------------------------------------------


def copy_is_current(store: Store, server: ServerProcess) -> bool:
    """Whether the copies of the catalog have the last write: a second is what they may be behind."""
    del server
    last = query(store.home, "SELECT value FROM counters")
    return all(_query_copy(folder / COPY, "SELECT value FROM counters") == last for folder in store.folders[1:])


def _query_copy(folder: Path, sql: str) -> object:
    scratch = folder.parent.parent / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        shutil.copytree(folder, scratch)
        return query(scratch, sql)
    except (OSError, shutil.Error):
        return None


def test_the_home_folder_is_lost(store: Store) -> None:
    """From the copy of the catalog in a further folder the store comes back with users and all that was mirrored; the
    copies that were lost are made again, and what is left of the old home folder is refused.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        store.settle()
        client.put("mirrored/last", LARGE).expect()
        assert tidegate("user", "add", "alice", "--data", store.home).code == 0
        assert tidegate("key", "add", "alice", "--data", store.home).code == 0
        eventually(lambda: copy_is_current(store, server), "shipped")
        server.stop(signal.SIGKILL)
    old, store.folders[0] = store.home, store.home.with_name("new")
    store.home = store.folders[0]
    ran = tidegate("recover", store.folders[1], "--data", store.home)
    assert ran.code == 0, ran.error
    assert f"tidegate serve --data {store.home} --data {store.folders[1]}" in ran.output
    with pytest.raises(ServerError) as caught, serve([old, *store.folders[1:]]):
        pass
    assert "was recovered" in str(caught.value)
    with serve(store.folders) as server, Client(server.port) as client:
        verify(client)
        assert client.get("mirrored/last").expect().body == LARGE
        store.settle()
        assert {folders.bit_count() for folders, _ in store.recorded()} == {2}
    assert tidegate("user", "ls", "--data", store.home).output.startswith("alice")
    assert check(store.home) == []
    assert store.is_as_recorded()


def test_recover_refuses(store: Store, tmp_path: Path) -> None:
    """Nothing is recovered over a folder that has something in it, from one that is none, or beside a server."""
    with serve(store.folders) as server, Client(server.port) as client:
        mirrored(store, client)
        eventually(lambda: copy_is_current(store, server), "shipped")
        ran = tidegate("recover", store.folders[1], "--data", tmp_path / "new")
        assert ran.code == 1
        assert "in use" in ran.error
    for arguments, complaint in (
        ((store.folders[1], "--data", store.home), "is not empty"),
        ((store.home, "--data", tmp_path / "new"), "is no further data folder"),
        ((store.folders[1], "--data", store.folders[1] / "new"), "lie in each other"),
    ):
        ran = tidegate("recover", *arguments)
        assert ran.code == 1
        assert complaint in ran.error


# --- what is shared, composed, or told again -------------------------------------------------------------------------


def native(client: Client, method: str, path: str, action: str = "", value: object = None, **query: str) -> Answer:
    """A request of AIStore's API."""
    body = json.dumps({"action": action, "value": value}).encode() if action else b""
    return client.ask(method, f"v1/{path}", body, {"content-type": "application/json"}, provider="ais", **query)


def test_who_lets_go_of_a_blob_no_longer_has_it_mirrored(store: Store) -> None:
    """What a mirrored bucket shares with one that is not keeps no more copies than are wanted, once the mirrored bucket
    is destroyed or has deleted it.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        for bucket, copies in (("plain", 1), ("deletes", 2), ("destroyed", 3)):
            client.make_bucket(bucket)
            set_copies(store.home, bucket, copies)
        client.put("plain/large", LARGE).expect()
        for bucket in ("deletes", "destroyed"):
            client.copy("plain/large", f"{bucket}/large").expect()
        store.settle()
        assert store.recorded() == [(0b111, 3)]
        native(client, "DELETE", "buckets/destroyed", "destroy-bck").expect()
        eventually(lambda: store.recorded()[0][1] == 2, "two are wanted")
        store.settle()
        client.ask("DELETE", "deletes/large").expect(204)
        eventually(lambda: store.recorded()[0][1] == 1, "one is wanted")
        store.settle()
        assert [folders.bit_count() for folders, _ in store.recorded()] == [1]
        assert store.is_as_recorded()
        assert client.get("plain/large").expect().body == LARGE
    assert check(store.home) == []


def spread(store: Store, client: Client, bucket: str) -> tuple[str, int]:
    """Makes a composed object whose parts are in several folders, the first not in the last of these; that folder."""
    for number in range(40):
        client.multipart(f"{bucket}/{number}", HUGE, LARGE).expect()
        rows = query(
            store.home,
            f"""SELECT b.folders FROM head h JOIN blob_parts p ON p.blob = h.blob JOIN blobs b ON b.id = p.source
                WHERE h.key = CAST('{number}' AS BLOB) ORDER BY p.offset""",
        )
        first, last = (folders for (folders,) in rows)
        if last not in {first, 1}:
            return str(number), last.bit_length() - 1
    raise AssertionError("all 40 are in one folder")


def test_parts_in_several_folders(store: Store, tmp_path: Path) -> None:
    """An object of parts that are in several folders is said to be in all of these, with the fewest copies that a part
    has, by HEAD and in a listing. With one of the folders missing it is refused as a whole; one that goes while it is
    sent breaks the connection. Of each, the log has a line, with the names, and no traceback. Asked to be mirrored, the
    bucket answers with a job.
    """
    with serve(store.folders) as server, Client(server.port) as client:
        client.make_bucket("plain")
        key, number = spread(store, client, "plain")
        told = native(client, "HEAD", f"objects/plain/{key}").expect().headers
        assert told["ais-mirror-copies"] == "1"
        assert len(told["ais-mirror-paths"].split(",")) == 2
        value = {"prefix": key, "props": "name,copies,location"}
        entry = json.loads(native(client, "GET", "buckets/plain", "list", value).expect().body)["entries"][0]
        assert (entry["copies"], entry["location"]) == (1, told["ais-location"])

        aside = store.folders[number].with_name("aside")
        store.folders[number].rename(aside)
        for path in (f"plain/{key}", f"v1/objects/plain/{key}"):  # nobody has noticed yet, or just has
            with contextlib.suppress(http.client.HTTPException, OSError):
                client.get(path).expect(503)
        eventually(lambda: "is not there any more" in server.log, "noticed")
        for path in (f"plain/{key}", f"v1/objects/plain/{key}"):
            client.get(path).expect(503)
        request = client.get(f"plain/{key}").expect(503).headers["x-amz-request-id"]
        line = f"request {request} for 'plain'/'{key}' refused with 503: FolderMissing"
        (found,) = [each for each in server.log.splitlines() if line in each]
        assert " WARNING " in found
        for text in ("Traceback", "Exception in ASGI", "without completing"):
            assert text not in server.log
        aside.rename(store.folders[number])
        assert client.get(f"plain/{key}").expect().body == HUGE + LARGE

        assert native(client, "PATCH", "buckets/plain", "set-bprops", {"access": "0"}).body == b""
        job = native(client, "PATCH", "buckets/plain", "set-bprops", {"mirror": {"enabled": True, "copies": 2}})
        assert job.expect().body
        ais = Ais(server, tmp_path, {"HOME": str(tmp_path)})
        (line,) = [each for each in ais("show", "job", "--all").output.splitlines() if job.body.decode() in each]
        assert "ais://plain" in line
        said = ais("bucket", "props", "set", "ais://plain", "mirror.copies=3").output
        assert said.startswith("Bucket props successfully updated\n")
        assert '"mirror.copies" set to: "3" (was: "2")\nStarted job ' in said
    assert check(store.home) == []


def test_a_blob_is_damaged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage that was told, and mended, is told again after a while, and not for each read until then."""

    async def run() -> None:
        gateway = open_gateway(tmp_path / "home", inline_limit=INLINE_LIMIT)
        try:
            await gateway.folders.open([tmp_path / "two"])
            tell = cast("LocalBlobs", gateway.rooms.blobs).on_damage
            assert [tell(b"name") for _ in range(3)] == [True, False, False]
            assert tell(b"other")
            monkeypatch.setattr(gateway_folders, "TELL_AGAIN_SECONDS", 0.0)
            assert tell(b"name")
        finally:
            await gateway.folders.close()
            await gateway.close()

    asyncio.run(run())


@pytest.mark.parametrize("door", ["", "v1/objects/"])
def test_a_broken_answer_has_one_line(store: Store, door: str) -> None:
    """Damage in the middle of an object breaks the connection, and the log has one line for it, with the names."""
    with serve(store.home) as server, Client(server.port) as client:
        client.make_bucket("plain")
        client.put("plain/huge", HUGE).expect()
        flip(store.file_copies("huge", "plain")[0], 3 * MIB)
        with pytest.raises(http.client.IncompleteRead):
            client.get(f"{door}plain/huge")
        (line,) = [each for each in server.log.splitlines() if "'plain'/'huge' broken off: DamagedBlob: " in each]
        assert " ERROR " in line
        for text in ("Traceback", "Exception in ASGI", "without completing"):
            assert text not in server.log
