"""A backup is one moment of a data folder, whatever happens to the folder meanwhile, and can be made a data folder
again.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from tests.cli.command import tidegate
from tests.durability.client import Client
from tests.durability.folder import LARGE, SMALL, check, execute, file_of, files, query
from tests.durability.load import KEPT, PLAIN, Writer
from tidegate.jobs.hold import hold_garbage
from tidegate.testing import serve

if TYPE_CHECKING:
    from pathlib import Path

WRITERS = 3


def everything(port: int) -> dict[str, bytes]:
    """Every version of every object that a server has, with its bytes."""
    found = {}
    with Client(port) as client:
        for bucket in (PLAIN, KEPT):
            for entry in client.versions(bucket):
                if not entry.is_delete_marker:
                    answer = client.get(f"{bucket}/{entry.key}", versionId=entry.version_id or "null").expect()
                    assert len(answer.body) == entry.size
                    found[f"{bucket}/{entry.key} {entry.version_id}"] = answer.body
    return found


def test_backup_under_load(tmp_path: Path) -> None:
    """Backups of a server that is written to, while garbage is collected without grace, are whole: restored, fsck is
    clean and every version reads; what was acknowledged before the backup began is in it.
    """
    data, target = tmp_path / "data", tmp_path / "backup"
    writers = [Writer(number, 1) for number in range(WRITERS)]
    with serve(data, workers=2) as server, Client(server.port) as client:
        client.make_bucket(PLAIN)
        client.make_bucket(KEPT, "Enabled")
        threads = [writer.start_on(server.port) for writer in writers]
        has_ended = threading.Event()
        collector = threading.Thread(target=collect_until, args=(data, has_ended))
        collector.start()
        try:
            for number in range(2):
                client.put(f"{PLAIN}/before-{number}", LARGE).expect()
                ran = tidegate("backup", "--data", data, target, *(["--copy"] if number == 1 else []))
                assert ran.code == 0, ran.error
                client.ask("DELETE", f"{PLAIN}/before-{number}").expect(204)
                restored = tmp_path / f"restored-{number}"
                ran = tidegate("restore", target, "--data", restored)
                assert ran.code == 0, ran.error
                assert "secret.key" in ran.output
                assert check(target) == []
                assert check(restored) == []
                with serve(restored) as second:
                    found = everything(second.port)
                assert len(found) > WRITERS
                assert found[f"{PLAIN}/before-{number} null"] == LARGE
        finally:
            has_ended.set()
            collector.join()
            for writer in writers:
                writer.stop()
            for thread in threads:
                thread.join()
        for writer in writers:
            if writer.error is not None:
                raise writer.error
    assert tidegate("fsck", "--data", data, "--no-repair").code == 0


def test_nothing_is_collected_meanwhile(data: Path) -> None:
    """While somebody holds the garbage of a folder nothing of it is collected; afterwards it is."""
    before = files(data)
    with hold_garbage(data):
        assert "removed 0 deleted blobs" in tidegate("gc", "--data", data, "--grace", "0").output
        assert files(data) == before
    assert "removed 1 deleted blobs" in tidegate("gc", "--data", data, "--grace", "0").output
    assert len(files(data)) == len(before) - 1


def collect_until(data: Path, has_ended: threading.Event) -> None:
    """Collects garbage without grace, again and again."""
    while not has_ended.is_set():
        assert tidegate("gc", "--data", data, "--grace", "0").code == 0


def test_restored_is_the_same(data: Path, tmp_path: Path) -> None:
    """A restored folder has every version, bucket, upload, user and key of the folder that was backed up, and the keys
    still work.
    """
    assert tidegate("backup", "--data", data, tmp_path / "backup").code == 0
    assert tidegate("restore", tmp_path / "backup", "--data", tmp_path / "new" / "data").code == 0
    restored = tmp_path / "new" / "data"
    for table in (
        "buckets",
        "logs",
        "head",
        "history",
        "blob_parts",
        "uploads",
        "upload_parts",
        "users",
        "access_keys",
    ):
        assert query(restored, f"SELECT * FROM {table}") == query(data, f"SELECT * FROM {table}")
    assert check(restored) == []
    with serve(data) as first, serve(restored) as second:
        assert everything(first.port) == everything(second.port)


def test_backup_brings_no_garbage(data: Path, tmp_path: Path) -> None:
    """What was deleted is not in a backup, and what is in several objects is there once."""
    assert tidegate("backup", "--data", data, tmp_path / "backup").code == 0
    assert query(tmp_path / "backup", "SELECT count(*) FROM garbage") == [(0,)]
    assert len(files(tmp_path / "backup")) == len(files(data)) - 1


def test_second_backup_is_incremental(data: Path, tmp_path: Path) -> None:
    """Into an earlier backup only new files are copied, and what was deleted since goes."""
    target = tmp_path / "backup"
    assert tidegate("backup", "--data", data, target, "--copy").code == 0
    old = {path: path.stat().st_ino for path in target.glob("blobs/*/*")}
    gone = file_of(data, "plain", "large").name
    with serve(data) as server, Client(server.port) as client:
        client.put("plain/new", LARGE).expect()
        client.ask("DELETE", "plain/large").expect(204)
        client.ask("DELETE", "plain/copy").expect(204)
        ran = tidegate("backup", "--data", data, target, "--copy")
    assert ran.code == 0
    assert "files: 1 copied, 0 linked" in ran.output
    assert "1 removed" in ran.output
    new = {path: path.stat().st_ino for path in target.glob("blobs/*/*")}
    assert {path: number for path, number in new.items() if path in old} == {
        path: number for path, number in old.items() if path.name != gone
    }
    assert check(target) == []


def test_links_and_copies(data: Path, tmp_path: Path) -> None:
    """On one disk files are linked, unless copies are asked for, also in place of links that are there."""
    target = tmp_path / "backup"
    names = {path.name for path in data.glob("blobs/*/*")}
    assert tidegate("backup", "--data", data, target).code == 0
    assert all(path.samefile(data / "blobs" / path.parent.name / path.name) for path in target.glob("blobs/*/*"))
    assert tidegate("backup", "--data", data, target, "--copy").code == 0
    copies = list(target.glob("blobs/*/*"))
    assert copies
    assert {path.name for path in copies} < names
    assert all(path.stat().st_nlink == 1 for path in copies)
    assert {path.stat().st_mode & 0o777 for path in [*copies, target / "catalog.db", target / "secret.key"]} == {0o600}


def test_broken_off(data: Path, tmp_path: Path) -> None:
    """What a backup left that was broken off is cleared up by the next; half a file is not taken for a whole one."""
    target = tmp_path / "backup"
    assert tidegate("backup", "--data", data, target, "--copy").code == 0
    half = next(iter(target.glob("blobs/*/*")))
    os.truncate(half, 1000)
    (target / "incoming").mkdir()
    (target / "incoming" / "catalog.db").write_bytes(b"half a catalog")
    assert check(target) != []
    assert tidegate("backup", "--data", data, target, "--copy").code == 0
    assert not (target / "incoming").exists()
    assert check(target) == []


def test_missing_file(data: Path, tmp_path: Path) -> None:
    """A file that the folder has lost does not keep the rest from being backed up, and is told."""
    file_of(data, "kept", "large").unlink()
    ran = tidegate("backup", "--data", data, tmp_path / "backup")
    assert ran.code == 2
    assert "1 files are missing" in ran.error
    assert [finding.key for finding in check(tmp_path / "backup")] == ["large"]


def test_refused(data: Path, tmp_path: Path) -> None:
    """A target that is something else is left alone, as is a folder to restore to that has something in it; nothing
    lies in itself.
    """
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("important")
    for arguments in (
        ("backup", "--data", data, other),
        ("backup", "--data", data, data / "backup"),
        ("backup", "--data", data, tmp_path),
        ("restore", other, "--data", tmp_path / "new"),
        ("restore", data, "--data", tmp_path / "new"),
    ):
        ran = tidegate(*arguments)
        assert ran.code == 1
        assert ran.error.startswith("tidegate: ")
        assert ran.error.count("\n") == 1
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]
    assert not (tmp_path / "new").exists()
    assert tidegate("backup", "--data", data, tmp_path / "backup").code == 0
    for folder in (other, data):
        ran = tidegate("restore", tmp_path / "backup", "--data", folder)
        assert ran.code == 1
        assert "is not empty" in ran.error


def test_unfinished_backup(data: Path, tmp_path: Path) -> None:
    """A first backup that was never finished is not restored, and can be finished."""
    target = tmp_path / "backup"
    target.mkdir()
    (target / "backup.json").write_text('{"tidegate":"0","taken":0}')
    (target / "catalog.db").write_bytes((data / "catalog.db").read_bytes())
    ran = tidegate("restore", target, "--data", tmp_path / "new")
    assert ran.code == 1
    assert "never finished" in ran.error
    assert tidegate("backup", "--data", data, target).code == 0
    assert tidegate("restore", target, "--data", tmp_path / "new").code == 0


def test_in_use(data: Path, tmp_path: Path) -> None:
    """A backup that a server serves where it lies is not written to meanwhile, and is right afterwards."""
    target = tmp_path / "backup"
    assert tidegate("backup", "--data", data, target).code == 0
    with serve(target) as server, Client(server.port) as client:
        client.put("plain/stray", SMALL).expect()
        ran = tidegate("backup", "--data", data, target)
        assert ran.code == 1
        assert "in use" in ran.error
    assert tidegate("backup", "--data", data, target).code == 0
    assert check(target) == []
    assert query(target, "SELECT count(*) FROM head WHERE key = CAST('stray' AS BLOB)") == [(0,)]


def test_damage_is_found_in_a_backup(data: Path, tmp_path: Path) -> None:
    """fsck checks a backup where it lies."""
    execute(data, "UPDATE blobs SET refs = refs + 1 WHERE kind = 0")
    assert tidegate("backup", "--data", data, tmp_path / "backup").code == 0
    assert tidegate("fsck", "--data", tmp_path / "backup", "--no-repair").code == 2
