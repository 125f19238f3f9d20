"""A disk that is full or cannot be written: a clear error, everything that was there is served, and it goes on when
there is room.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import tidegate
from tests.durability.client import Client
from tests.durability.folder import LARGE, MIB, SMALL, check, files, query
from tests.durability.processes import workers
from tidegate.testing import ServerError, ServerProcess, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes, and mounts, are Linux's")

DISK_SIZE = 24 * MIB
PAGE = 4096


def limit_files(server: ServerProcess, size: int) -> None:
    """From now on no file of a server's workers grows beyond a size: what a quota does."""
    for pid in workers(server):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().splitlines()[0]}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_no_room_for_a_file(tmp_path: Path) -> None:
    """A body for which there is no room is refused with 507, leaves no file and no change, and the server goes on."""
    with serve(tmp_path / "data") as server, Client(server.port) as client:
        client.make_bucket("bucket")
        client.put("bucket/key", LARGE).expect()
        known = files(server.data)
        limit_files(server, 2 * MIB)
        answer = client.put("bucket/key", bytes(5 * MIB))
        assert (answer.status, answer.code) == (507, "InsufficientStorage")
        assert client.get("bucket/key").expect().body == LARGE
        assert files(server.data) == known
        client.put("bucket/other", LARGE).expect()
        limit_files(server, resource.RLIM_INFINITY)
        client.put("bucket/key", bytes(5 * MIB)).expect()
        assert client.get("bucket/key").expect().body == bytes(5 * MIB)
    assert check(tmp_path / "data") == []


def test_catalog_that_cannot_grow(tmp_path: Path) -> None:
    """Where the catalog cannot be written a write is refused with 503, reads go on, and so does the server."""
    with serve(tmp_path / "data") as server, Client(server.port) as client:
        client.make_bucket("bucket")
        client.put("bucket/key", SMALL).expect()
        client.put("bucket/large", LARGE).expect()
        log = (server.data / "catalog.db-wal").stat().st_size
        limit_files(server, log + 10_000)
        refused = [client.put(f"bucket/{number}", SMALL * 50) for number in range(8)]
        assert {answer.status for answer in refused} <= {200, 503}
        assert refused[-1].status == 503
        assert client.get("bucket/key").expect().body == SMALL
        written = [str(number) for number, answer in enumerate(refused) if answer.status == 200]
        assert [entry.key for entry in client.keys("bucket")] == sorted(["key", "large", *written])
        limit_files(server, resource.RLIM_INFINITY)
        client.put("bucket/after", SMALL).expect()
        client.ask("DELETE", "bucket/large").expect(204)
    assert check(tmp_path / "data") == []


def test_full_disk(small_disk: Path) -> None:
    """On a full disk writes of every size are refused with 507, reads and listings go on, nothing is half there, and
    what a refused write took is given back at once.
    """
    with serve(small_disk / "data") as server, Client(server.port) as client:
        client.make_bucket("bucket")
        client.put("bucket/key", SMALL).expect()
        client.put("bucket/large", LARGE).expect()
        answer = client.put("bucket/key", bytes(2 * DISK_SIZE))
        assert (answer.status, answer.code) == (507, "InsufficientStorage")
        assert shutil.disk_usage(small_disk).free > DISK_SIZE // 2
        stored = {"key": SMALL, "large": LARGE}
        for size in (2 * MIB, 300_000, 70_000, 60_000, 5_000, 10):
            for number in range(1000):
                path = f"{size}-{number}"
                body = os.urandom(size)
                answer = client.put(f"bucket/{path}", body)
                if answer.status != 200:
                    assert (answer.status, answer.code) == (507, "InsufficientStorage")
                    break
                stored[path] = body
        known = files(server.data)
        assert client.put("bucket/key", LARGE).status == 507
        assert files(server.data) == known
        assert [entry.key for entry in client.keys("bucket")] == sorted(stored)
        for key, body in stored.items():
            assert client.get(f"bucket/{key}").expect().body == body


def test_room_for_a_file_only(small_disk: Path) -> None:
    """A body for which there is room, while there is none for the catalog to say so, is refused with 507 and takes no
    room.
    """
    pages = -(-len(LARGE) // PAGE) + 1  # and one for its checksums
    with serve(small_disk / "data") as server, Client(server.port) as client:
        client.make_bucket("bucket")
        client.put("bucket/key", LARGE).expect()
        known = files(server.data)
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while shutil.disk_usage(small_disk).free:
                file.write(bytes(PAGE))
        os.truncate(ballast, ballast.stat().st_size - pages * PAGE)
        client.put("bucket/key", LARGE).expect(507)
        assert files(server.data) == known
        os.truncate(ballast, ballast.stat().st_size - 100 * PAGE)
        client.put("bucket/key", LARGE).expect()
        assert len(files(server.data)) == len(known) + 1
        assert client.get("bucket/key").expect().body == LARGE


def test_room_again(small_disk: Path) -> None:
    """A disk that was full serves writes again when somebody makes room, without a restart; and after one."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(DISK_SIZE // 2))
    with serve(small_disk / "data") as server, Client(server.port) as client:
        client.make_bucket("bucket")
        statuses = {client.put(f"bucket/{number}", bytes(200_000)).status for number in range(80)}
        assert statuses == {200, 507}
        ballast.unlink()
        client.put("bucket/small", SMALL).expect()
        client.put("bucket/large", LARGE).expect()
        listed = [entry.key for entry in client.keys("bucket")]
    with serve(small_disk / "data") as server, Client(server.port) as client:
        assert [entry.key for entry in client.keys("bucket")] == listed
        client.put("bucket/more", LARGE).expect()
    assert check(small_disk / "data") == []


def test_collecting_makes_room(small_disk: Path) -> None:
    """What was deleted from a disk that is nearly full is room again after ``tidegate gc --grace 0``."""
    with serve(small_disk / "data") as server, Client(server.port) as client:
        client.make_bucket("bucket")
        client.put("bucket/large", bytes(DISK_SIZE // 2)).expect()
        assert client.put("bucket/other", bytes(DISK_SIZE // 2)).status == 507
        client.ask("DELETE", "bucket/large").expect(204)
        assert tidegate("gc", "--data", server.data, "--grace", "0").code == 0
        client.put("bucket/other", bytes(DISK_SIZE // 2)).expect()


# --- a folder that cannot be written ----------------------------------------------------------------------------------


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder in which a server can run that is not root's."""
    with tempfile.TemporaryDirectory(prefix="tidegate-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


NOBODY = 65534


def unprivileged() -> tuple[str, ...]:
    """What to begin a command with so that permissions hold for it."""
    if os.geteuid() != 0:
        return ()
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    spawn = (
        "import multiprocessing, sys; p = multiprocessing.get_context('spawn').Process(target=print); "
        "p.start(); p.join(); sys.exit(p.exitcode)"
    )
    if (
        shutil.which("setpriv") is None
        or subprocess.run(
            [*prefix, sys.executable, "-c", spawn],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=False,
        ).returncode
    ):
        pytest.skip("permissions do not hold for root, and nobody else can run this Python")
    return prefix


def test_folder_that_becomes_unwritable(theirs: Path) -> None:
    """A file that cannot be made is refused with 503; what is there is served, and small objects are still written."""
    command = (*unprivileged(), sys.executable, "-m", "tidegate", "serve")
    with serve(theirs / "data", command) as server, Client(server.port) as client:
        client.make_bucket("bucket")
        client.put("bucket/key", LARGE).expect()
        shards = list((server.data / "blobs").iterdir())
        for shard in shards:
            shard.chmod(0o500)
        try:
            answer = client.put("bucket/key", LARGE * 2)
            assert (answer.status, answer.code) == (503, "ServiceUnavailable")
            assert client.get("bucket/key").expect().body == LARGE
            client.put("bucket/small", SMALL).expect()
        finally:
            for shard in shards:
                shard.chmod(0o700)
        client.put("bucket/key", LARGE * 2).expect()
        assert client.get("bucket/key").expect().body == LARGE * 2
    assert query(theirs / "data", "SELECT count(*) FROM head") == [(2,)]


def test_start_on_a_folder_that_cannot_be_written(theirs: Path) -> None:
    """A server that cannot write to its data folder does not start, and says why in one line."""
    command = (*unprivileged(), sys.executable, "-m", "tidegate", "serve")
    with serve(theirs / "data", command):
        pass
    for path in (theirs / "data").iterdir():
        path.chmod(0o500 if path.is_dir() else 0o400)
    (theirs / "data").chmod(0o500)
    with pytest.raises(ServerError) as caught, serve(theirs / "data", command):
        pass
    assert "exit code 1" in str(caught.value)
    assert "cannot use the data folder" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_folder_of_somebody_else(theirs: Path) -> None:
    """Commands do not leave root's files in a folder that a server of another user works on."""
    with serve(theirs / "data"):
        pass
    before = {path.name for path in (theirs / "data").iterdir()}
    os.chown(theirs / "data" / "catalog.db", NOBODY, NOBODY)
    for command in (("fsck",), ("gc",), ("user", "ls"), ("backup", str(theirs / "backup"))):
        ran = tidegate(*command, "--data", theirs / "data")
        assert ran.code in {1, 3}
        assert "run this as that user" in ran.error
    assert {path.name for path in (theirs / "data").iterdir()} == before


def test_read_only_disk(small_disk: Path) -> None:
    """The same for a disk that is mounted read-only; and the commands say so too."""
    with serve(small_disk / "data"):
        pass
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(ServerError) as caught, serve(small_disk / "data"):
        pass
    assert "cannot use the data folder" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    for command in (("fsck",), ("gc",), ("user", "add", "alice"), ("user", "ls")):
        ran = tidegate(*command, "--data", small_disk / "data")
        assert ran.code in {1, 3}
        assert ran.error.startswith("tidegate: cannot use")
        assert ran.error.count("\n") == 1
