"""The command line itself: what it offers, what it loads, and ``tidegate gc``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import tidegate
from tests.durability.client import Client
from tests.durability.folder import LARGE, execute, files, query
from tidegate import __version__
from tidegate.catalog.check import Fault
from tidegate.jobs.fsck import CATALOG_DAMAGED, FOLDER_MISSING, SECRET_UNREADABLE
from tidegate.testing import serve

COMMANDS = ("serve", "user", "key", "folder", "fsck", "gc", "backup", "restore", "recover")


def test_help_names_every_command() -> None:
    """Without arguments, and with --help, all commands are shown."""
    for arguments in ((), ("--help",)):
        shown = tidegate(*arguments).output
        assert all(f" {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    """Every command explains itself."""
    ran = tidegate(command, "--help")
    assert ran.code == 0
    assert "--data" in ran.output or "add" in ran.output


def test_version() -> None:
    """--version prints the version and nothing else."""
    assert tidegate("--version").output == f"tidegate {__version__}\n"


def test_help_loads_no_server() -> None:
    """Commands import what they need when they run: help is there without a server, a catalog or a hash."""
    program = (
        "import sys; from tidegate.cli.app import app; "
        "print([name for name in ('uvicorn', 'apsw', 'asyncio', 'cryptography', 'xxhash') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_gc(tmp_path: Path) -> None:
    """gc removes what was deleted longer ago than the grace, forgets uploads of buckets that are gone, and sweeps up
    files that a crash left, but no file of an upload that may be under way.
    """
    data = tmp_path / "data"
    with serve(data) as server, Client(server.port) as client:
        client.make_bucket("bucket")
        client.put("bucket/key", LARGE).expect()
        client.ask("DELETE", "bucket/key").expect(204)
        client.begin("bucket/upload", LARGE)
        client.ask("DELETE", "bucket").expect(204)
        assert len(files(data)) == 2
        stray = data / "blobs" / "ab" / ("ab" * 16)
        stray.write_bytes(b"an upload that is under way")
        assert "forgot 1 uploads" in tidegate("gc", "--data", data).output
        assert len(files(data)) == 3
        assert "removed 2 deleted blobs and 0 files" in tidegate("gc", "--data", data, "--grace", "0s").output
        assert files(data) == {stray.name}
        os.utime(stray, (0, 0))
        assert "0 deleted blobs and 1 files" in tidegate("gc", "--data", data).output
        assert files(data) == set()
        stray.write_bytes(b"an upload that a crash cut short")
    assert "1 files" in tidegate("gc", "--data", data).output
    assert files(data) == set()
    assert query(data, "SELECT count(*) FROM blobs") == [(0,)]


def test_gc_leaves_what_is_in_use(tmp_path: Path) -> None:
    """A blob that is marked as garbage and yet referred to keeps its bytes."""
    data = tmp_path / "data"
    with serve(data) as server, Client(server.port) as client:
        client.make_bucket("bucket")
        client.put("bucket/key", LARGE).expect()
        execute(data, "INSERT INTO garbage SELECT 0, id FROM blobs")
        assert tidegate("gc", "--data", data, "--grace", "0").code == 0
        assert client.get("bucket/key").expect().body == LARGE
    assert query(data, "SELECT count(*) FROM garbage") == [(0,)]


@pytest.mark.parametrize("grace", ["soon", "-1", "5 m", "1y", ""])
def test_gc_grace_that_is_no_time(tmp_path: Path, grace: str) -> None:
    """A grace that is no time is wrong usage."""
    ran = tidegate("gc", f"--grace={grace}", "--data", tmp_path)
    assert ran.code == 2
    assert "is not a time" in ran.error


def test_findings_are_documented() -> None:
    """docs/operations.md says of every name that fsck may print what it means."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    for name in (*Fault, CATALOG_DAMAGED, FOLDER_MISSING, SECRET_UNREADABLE):
        assert f"`{name}`" in text
