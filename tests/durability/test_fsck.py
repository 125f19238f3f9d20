"""``fsck`` finds each thing that can be wrong with a data folder, mends what can be mended, and names the rest as a
client would.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import tidegate
from tests.durability.client import Client
from tests.durability.folder import SMALL, check, execute, file_of, files, flip, query
from tests.durability.load import KEPT, PLAIN, Writer
from tidegate.testing import serve

if TYPE_CHECKING:
    from pathlib import Path

    from tidegate.jobs.fsck import Finding


def log(bucket: str) -> str:
    """The number of a bucket's log, as SQL."""
    return f"(SELECT log FROM buckets WHERE name = '{bucket}')"


def at(bucket: str, key: str) -> str:
    """A condition for the rows of a key."""
    return f"log = {log(bucket)} AND key = CAST('{key}' AS BLOB)"


def blob(bucket: str, key: str) -> str:
    """The number of an object's blob, as SQL."""
    return f"(SELECT blob FROM head WHERE {at(bucket, key)})"


def first_source(bucket: str, key: str) -> str:
    """The number of the first blob that an object is composed of, as SQL."""
    return f"(SELECT min(source) FROM blob_parts WHERE blob = {blob(bucket, key)})"


def faults(findings: list[Finding]) -> set[str]:
    """What is wrong."""
    return {finding.fault for finding in findings}


def places(findings: list[Finding]) -> set[str]:
    """Where it is wrong."""
    return {f"{finding.bucket}/{finding.key}" for finding in findings}


# One key's versions, the other way round.
OLDEST = f"(SELECT min(seq) FROM history WHERE {at('kept', 'small')})"
SWAP = (
    f"INSERT INTO history SELECT * FROM head WHERE {at('kept', 'small')}",
    f"DELETE FROM head WHERE {at('kept', 'small')}",
    f"INSERT INTO head SELECT * FROM history WHERE {at('kept', 'small')} ORDER BY seq LIMIT 1",
    f"DELETE FROM history WHERE {at('kept', 'small')} AND seq = {OLDEST}",
)

REPAIRABLE: dict[str, tuple[set[str], *tuple[str, ...]]] = {
    "references of an inline blob too high": (
        {"references-wrong"},
        f"UPDATE blobs SET refs = refs + 1 WHERE id = {blob('plain', 'small')}",
    ),
    "references of a file too low": (
        {"references-wrong"},
        f"UPDATE blobs SET refs = 1 WHERE id = {blob('plain', 'large')}",
    ),
    "references of a part of a composed blob too high": (
        {"references-wrong"},
        f"UPDATE blobs SET refs = 5 WHERE id = {first_source('plain', 'parts')}",
    ),
    "a used blob counts no reference": (
        {"references-wrong"},
        f"UPDATE blobs SET refs = 0 WHERE id = {blob('plain', 'copy')}",
    ),
    "a used blob counts no reference and is garbage": (
        {"references-wrong"},
        f"UPDATE blobs SET refs = 0 WHERE id = {blob('plain', 'copy')}",
        f"INSERT INTO garbage VALUES (5, {blob('plain', 'copy')})",
    ),
    "an inline blob that nothing refers to": (
        {"references-wrong"},
        "INSERT INTO blobs (id, size, refs, kind, digest) VALUES (1, 3, 1, 0, x'78af5f94892f3950')",
        "INSERT INTO small_blobs VALUES (1, x'616263')",
    ),
    "an inline blob without references": (
        {"garbage-missing"},
        "INSERT INTO blobs (id, size, refs, kind, digest) VALUES (1, 3, 0, 0, x'78af5f94892f3950')",
        "INSERT INTO small_blobs VALUES (1, x'616263')",
    ),
    "a used blob is garbage": ({"garbage-wrong"}, f"INSERT INTO garbage VALUES (5, {blob('plain', 'large')})"),
    "a blob that is not there is garbage": ({"garbage-wrong"}, "INSERT INTO garbage VALUES (5, 1)"),
    "a blob without references is not garbage": ({"garbage-missing"}, "DELETE FROM garbage"),
    "bytes of no blob": ({"bytes-orphaned"}, "INSERT INTO small_blobs VALUES (1, x'616263')"),
    "bytes of a blob that is a file": (
        {"bytes-orphaned"},
        f"INSERT INTO small_blobs VALUES ({blob('plain', 'large')}, x'616263')",
    ),
    "ranges of no blob": (
        {"ranges-orphaned"},
        f"INSERT INTO blob_parts VALUES (1, 0, {blob('plain', 'large')}, 0, 10)",
        f"UPDATE blobs SET refs = refs + 1 WHERE id = {blob('plain', 'large')}",
    ),
    "parts of no upload": ({"part-orphaned"}, "DELETE FROM uploads WHERE completed IS NULL"),
    "parts of a completed upload": (
        {"part-orphaned"},
        "UPDATE uploads SET completed = x'00' WHERE completed IS NULL",
    ),
    "a version's size": (
        {"size-wrong", "counters-wrong"},
        f"UPDATE head SET size = size + 1 WHERE {at('plain', 'large')}",
    ),
    "an old version's size": (
        {"size-wrong"},
        f"UPDATE history SET size = size + 1 WHERE {at('kept', 'large')}",
    ),
    "a part's size": ({"size-wrong"}, "UPDATE upload_parts SET size = size + 1 WHERE number = 1"),
    "a delete marker in head": (
        {"marker-in-head", "counters-wrong"},
        f"INSERT INTO head SELECT * FROM history WHERE {at('kept', 'hidden')} AND blob IS NULL",
        f"DELETE FROM history WHERE {at('kept', 'hidden')} AND blob IS NULL",
    ),
    "an old version in head": ({"head-outdated"}, *SWAP),
    "the newest version in history": (
        {"head-missing", "counters-wrong"},
        f"INSERT INTO history SELECT * FROM head WHERE {at('kept', 'small')}",
        f"DELETE FROM head WHERE {at('kept', 'small')}",
    ),
    "two null versions": ({"null-twice"}, f"UPDATE head SET version_id = NULL WHERE {at('kept', 'null')}"),
    "a counter that would give numbers again": ({"sequence-behind"}, "UPDATE counters SET value = 5"),
    "a bucket without a log": (
        {"log-missing", "counters-wrong"},
        f"DELETE FROM logs WHERE id = {log('kept')}",
    ),
    "a log without a bucket": ({"log-orphaned"}, "INSERT INTO logs (id) VALUES (1)"),
    "counters": (
        {"counters-wrong"},
        f"UPDATE logs SET objects = objects + 3, bytes = bytes - 7 WHERE id = {log('kept')}",
    ),
    "an access key of nobody": ({"key-orphaned"}, "DELETE FROM users"),
}


def test_nothing_wrong(data: Path, tmp_path: Path) -> None:
    """A folder with something of everything in it, one with nothing in it, and one that was emptied, are clean."""
    with serve(tmp_path / "empty") as server, Client(server.port) as client:
        assert check(tmp_path / "empty") == []
        client.make_bucket("bucket")
        assert check(tmp_path / "empty") == []
        client.put("bucket/key", SMALL).expect()
        client.ask("DELETE", "bucket/key").expect(204)
        assert check(tmp_path / "empty") == []
        client.ask("DELETE", "bucket").expect(204)
        assert check(tmp_path / "empty") == []
    assert check(data) == []


@pytest.mark.parametrize("case", list(REPAIRABLE))
def test_repairable(case: str, data: Path) -> None:
    """Is found, told apart from all else, left alone where nothing may be repaired, and mended without a loss."""
    wanted, *statements = REPAIRABLE[case]
    before = contents(data)
    execute(data, *statements)
    found = check(data, repairs=False)
    assert not any(finding.repaired for finding in found)
    assert faults(found) & wanted
    found = check(data)
    assert faults(found) == wanted
    assert all(finding.repaired for finding in found)
    assert check(data) == []
    assert contents(data) == before


def contents(data: Path) -> list[tuple[object, ...]]:
    """Every version that there is, newest first, and its bytes as far as they are in the catalog."""
    return query(
        data,
        """SELECT v.log, v.key, v.seq, v.size, b.kind, b.size, b.file, s.data FROM
           (SELECT * FROM head UNION ALL SELECT * FROM history) v
           LEFT JOIN blobs b ON b.id = v.blob LEFT JOIN small_blobs s ON s.id = v.blob ORDER BY v.log, v.key, v.seq""",
    )


DAMAGE: dict[str, tuple[str, set[str], *tuple[str, ...]]] = {
    "a version's blob": (
        "blob-missing",
        {"plain/large", "plain/copy"},
        f"DELETE FROM blobs WHERE id = {blob('plain', 'large')}",
    ),
    "an old version's blob": (
        "blob-missing",
        {"kept/large"},
        f"DELETE FROM blobs WHERE id = (SELECT blob FROM history WHERE {at('kept', 'large')})",
    ),
    "a part's blob": (
        "blob-missing",
        {"plain/under way"},
        "DELETE FROM blobs WHERE id = (SELECT blob FROM upload_parts WHERE number = 1)",
    ),
    "a source of a composed blob": (
        "ranges-broken",
        {"plain/parts"},
        f"DELETE FROM blobs WHERE id = {first_source('plain', 'parts')}",
    ),
    "ranges that end too early": (
        "ranges-broken",
        {"plain/parts"},
        f"UPDATE blob_parts SET length = length - 1 WHERE blob = {blob('plain', 'parts')} AND offset > 0",
    ),
    "ranges with a gap": (
        "ranges-broken",
        {"plain/grown"},
        f"UPDATE blob_parts SET offset = offset + 1 WHERE blob = {blob('plain', 'grown')} AND offset > 0",
    ),
    "ranges outside of their source": (
        "ranges-broken",
        {"plain/grown"},
        f"UPDATE blob_parts SET start = 5 WHERE blob = {blob('plain', 'grown')} AND offset = 0",
    ),
    "no ranges at all": (
        "ranges-broken",
        {"plain/grown"},
        f"""UPDATE blobs SET refs = refs - 1
            WHERE id IN (SELECT source FROM blob_parts WHERE blob = {blob("plain", "grown")})""",
        f"DELETE FROM blob_parts WHERE blob = {blob('plain', 'grown')}",
    ),
    "inline bytes": (
        "bytes-missing",
        {"plain/small", "plain/small-copy"},
        f"DELETE FROM small_blobs WHERE id = {blob('plain', 'small')}",
    ),
    "some inline bytes": (
        "bytes-missing",
        {"plain/small", "plain/small-copy"},
        f"UPDATE small_blobs SET data = substr(data, 1, 10) WHERE id = {blob('plain', 'small')}",
    ),
    "right inline bytes": (
        "bytes-damaged",
        {"plain/small", "plain/small-copy"},
        f"UPDATE small_blobs SET data = zeroblob(length(data)) WHERE id = {blob('plain', 'small')}",
    ),
    "right inline bytes within a composed blob": (
        "bytes-damaged",
        {"plain/grown"},
        f"""UPDATE small_blobs SET data = zeroblob(length(data))
            WHERE id IN (SELECT source FROM blob_parts WHERE blob = {blob("plain", "grown")})""",
    ),
    "a file's name": (
        "bytes-missing",
        {"plain/large", "plain/copy"},
        f"UPDATE blobs SET file = NULL WHERE id = {blob('plain', 'large')}",
    ),
    "a kind": (
        "bytes-missing",
        {"plain/large", "plain/copy"},
        f"UPDATE blobs SET kind = 7 WHERE id = {blob('plain', 'large')}",
    ),
    "a bucket": ("log-orphaned", {"/"}, "DELETE FROM buckets WHERE name = 'kept'"),
}


@pytest.mark.parametrize("case", list(DAMAGE))
def test_missing(case: str, data: Path) -> None:
    """What is lost for good is named by bucket and key, and stays named."""
    fault, where, *statements = DAMAGE[case]
    execute(data, *statements)
    check(data)
    found = check(data)
    assert faults(found) == {fault}
    assert places(found) == where
    assert not any(finding.repaired for finding in found)


@pytest.mark.parametrize("offset", [0, 100_000, 300_000, -1])
def test_damaged_file(offset: int, data: Path) -> None:
    """One wrong byte anywhere in a blob's file is found, and every object that has the blob is named."""
    path = file_of(data, "plain", "large")
    flip(path, offset % path.stat().st_size)
    found = check(data)
    assert faults(found) == {"bytes-damaged"}
    assert places(found) == {"plain/large", "plain/copy"}


def test_truncated_file(data: Path) -> None:
    """A file that is too short is found."""
    path = file_of(data, "kept", "large")
    with path.open("r+b") as file:
        file.truncate(1000)
    found = check(data)
    assert [(finding.bucket, finding.key) for finding in found] == [("kept", "large")]
    assert len(found[0].version_id) == 32


def test_missing_file_exit_code(data: Path) -> None:
    """A file that is gone is named by version, and the command exits with 2, again and again."""
    file_of(data, "kept", "large").unlink()
    for _ in range(2):
        ran = tidegate("fsck", "--data", data, "--json")
        *found, summary = ran.values
        assert ran.code == 2
        assert [(each["fault"], each["bucket"], each["key"]) for each in found] == [("bytes-damaged", "kept", "large")]
        assert summary["found"] == 1
        assert summary["repaired"] == 0


def test_repair_exit_codes(data: Path) -> None:
    """The command exits with 2 where it may not repair, with 1 where it has, with 0 where all is well."""
    execute(data, "UPDATE blobs SET refs = refs + 1")
    ran = tidegate("fsck", "--data", data, "--no-repair")
    assert ran.code == 2
    assert "NOT REPAIRED" in ran.output
    assert tidegate("fsck", "--data", data).code == 1
    ran = tidegate("fsck", "--data", data)
    assert ran.code == 0
    assert ran.output.startswith("checked ")
    assert "all is well" in ran.output


def test_repair_keeps_what_a_size_was_right_about(data: Path) -> None:
    """A version's size is not changed to that of a blob whose bytes are damaged."""
    path = file_of(data, "plain", "large")
    execute(data, f"UPDATE blobs SET size = size - 1 WHERE id = {blob('plain', 'large')}")
    found = check(data)
    assert faults(found) == {"size-wrong", "bytes-damaged"}
    assert not any(finding.repaired for finding in found)
    execute(data, f"UPDATE blobs SET size = size + 1 WHERE id = {blob('plain', 'large')}")
    assert check(data) == []
    assert path.exists()


def test_files_that_nothing_names(data: Path) -> None:
    """What an upload left that a crash cut short is no damage: it is told, and removed where no server works on the
    folder.
    """
    known = files(data)
    stray = data / "blobs" / "ab" / ("ab" * 16)
    stray.write_bytes(b"half an upload")
    ran = tidegate("fsck", "--data", data, "--json", "--no-repair")
    assert (ran.code, ran.values[-1]["unknown_files"]) == (0, 1)
    assert stray.exists()
    ran = tidegate("fsck", "--data", data, "--json")
    assert (ran.code, ran.values[-1]["unknown_files"]) == (0, 1)
    assert files(data) == known


def test_files_of_uploads_under_way_stay(data: Path) -> None:
    """Beside a running server no file is removed that nothing names, for it may be about to be named."""
    with serve(data):
        stray = data / "blobs" / "ab" / ("ab" * 16)
        stray.write_bytes(b"half an upload")
        assert tidegate("fsck", "--data", data).code == 0
        assert stray.exists()


def test_secrets_of_another_key_file(data: Path) -> None:
    """An access key whose secret cannot be decrypted with the key file that is there is named."""
    (data / "secret.key").write_bytes(bytes(32))
    found = check(data)
    assert faults(found) == {"secret-unreadable"}
    assert "ALICEKEY" in found[0].detail


def test_damaged_index(data: Path) -> None:
    """What SQLite itself finds wrong with its file is told."""
    execute(data, "PRAGMA wal_checkpoint(TRUNCATE)")
    ((page, size),) = query(
        data, "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'blobs_file'"
    )
    flip(data / "catalog.db", page * size - 3)  # cells are filled in from a page's end
    assert "catalog-damaged" in faults(check(data))


def test_unreadable_catalog(data: Path) -> None:
    """A catalog that is no database is told so in one line."""
    (data / "catalog.db").write_bytes(b"something else entirely, and long enough" * 1000)
    ran = tidegate("fsck", "--data", data)
    assert ran.code == 3
    assert ran.error.count("\n") == 1


@pytest.mark.parametrize("table", ["head", "small_blobs", "access_keys"])
def test_broken_tree(data: Path, table: str) -> None:
    """A catalog that breaks in the middle of being read is damage, told in lines and not by a traceback."""
    execute(data, "PRAGMA wal_checkpoint(TRUNCATE)")
    ((page, size),) = query(
        data, f"SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = '{table}'"
    )
    with (data / "catalog.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))
    ran = tidegate("fsck", "--data", data, "--json")
    assert ran.code == 2
    assert {each["fault"] for each in ran.values[:-1]} == {"catalog-damaged"}


def test_repair_beside_a_server(data: Path) -> None:
    """What is repaired under a running server is right at once, for it and for the next check."""
    with serve(data) as server, Client(server.port) as client:
        with closing(sqlite3.connect(data / "catalog.db", timeout=30)) as connection, connection:
            connection.execute("UPDATE blobs SET refs = refs + 1")
            connection.execute("UPDATE logs SET objects = 99")
        ran = tidegate("fsck", "--data", data, "--json")
        assert ran.code == 1
        assert {each["fault"] for each in ran.values[:-1]} == {"references-wrong", "counters-wrong"}
        assert tidegate("fsck", "--data", data).code == 0
        assert client.get("plain/small").expect().body == SMALL


def test_no_false_alarm(tmp_path: Path) -> None:
    """Beside writers and a collector that leaves no grace, a check finds nothing wrong."""
    data = tmp_path / "data"
    writers = [Writer(number, 2) for number in range(4)]
    with serve(data, workers=2) as server, Client(server.port) as client:
        client.make_bucket(PLAIN)
        client.make_bucket(KEPT, "Enabled")
        threads = [writer.start_on(server.port) for writer in writers]
        try:
            for _ in range(4):
                assert check(data) == []
                assert tidegate("gc", "--data", data, "--grace", "0").code == 0
        finally:
            for writer in writers:
                writer.stop()
            for thread in threads:
                thread.join()
    assert [writer.error for writer in writers] == [None] * len(writers)
    assert check(data) == []


def test_one_check_at_a_time(data: Path) -> None:
    """A second check of the folder at the same time is refused: both would repair the same."""
    import fcntl

    with (data / "fsck.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = tidegate("fsck", "--data", data)
    assert ran.code == 3
    assert "another check" in ran.error
