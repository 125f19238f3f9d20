"""Promoting files of the server's machine over the native API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError
from aistore.sdk.job import Job

from tests.ais.conftest import connect, disconnect, new_name
from tests.ais.helpers import contents, finish
from tidegate.testing import serve


@pytest.fixture(scope="module")
def promoting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    """A server that promotes files of a folder, and the folder."""
    folder = tmp_path_factory.mktemp("promotion") / "open"
    folder.mkdir()
    with serve(repos_port=None, promote_from=[folder]) as server:
        client = connect(server.url)
        yield client, folder
        disconnect(client)


@pytest.fixture
def tree(promoting: tuple[Client, Path], tmp_path: Path) -> Path:
    """Files in the open folder, of our own: some of them lead out of it."""
    root = promoting[1] / new_name()
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"a")
    (root / "sub" / "b.txt").write_bytes(b"b" * 100_000)
    (root / "sub" / "deep" / "c.txt").write_bytes(b"c")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (root / "link").symlink_to(secret)
    (root / "up").symlink_to(tmp_path)
    return root


def promoted(promoting: tuple[Client, Path], path: Path | str, name: str = "", **options: Any) -> tuple[Bucket, Job]:
    """Promotes to a bucket of its own, and waits."""
    bucket = promoting[0].bucket(new_name()).create(exist_ok=True)
    job = promoting[0].job(bucket.object(name).promote(str(path), **options))
    finish(job)
    return bucket, job


def test_folder_is_promoted(promoting: tuple[Client, Path], tree: Path) -> None:
    """Its files become objects, those of folders below it only if asked for; links are passed over."""
    bucket, _ = promoted(promoting, tree)
    assert contents(bucket) == {"a.txt": b"a"}
    bucket, job = promoted(promoting, tree, "new", recursive=True)
    assert contents(bucket) == {"new/a.txt": b"a", "new/sub/b.txt": b"b" * 100_000, "new/sub/deep/c.txt": b"c"}
    assert job.status().err == ""
    assert (tree / "a.txt").exists()


def test_file_is_promoted(promoting: tuple[Client, Path], tree: Path) -> None:
    """Under its own name, or another."""
    for name, expected in (("", "b.txt"), ("x/", "x/b.txt"), ("y", "y")):
        bucket, _ = promoted(promoting, tree / "sub" / "b.txt", name)
        assert contents(bucket) == {expected: b"b" * 100_000}


def test_promotion_overwrites_and_deletes_only_if_told(promoting: tuple[Client, Path], tree: Path) -> None:
    """What is there stays, with its file, unless it shall be overwritten; files go once they are objects."""
    bucket, _ = promoted(promoting, tree)
    (tree / "a.txt").write_bytes(b"newer")
    job = promoting[0].job(bucket.object("").promote(str(tree), delete_source=True))
    finish(job)
    assert contents(bucket) == {"a.txt": b"a"}
    assert (tree / "a.txt").exists()
    job = promoting[0].job(bucket.object("").promote(str(tree), delete_source=True, overwrite_dest=True))
    finish(job)
    assert contents(bucket) == {"a.txt": b"newer"}
    assert not (tree / "a.txt").exists()
    assert (tree / "sub" / "b.txt").exists()


def test_nothing_outside_of_the_open_folder_is_promoted(promoting: tuple[Client, Path], tree: Path) -> None:
    """Neither by its path, nor by dots, nor by any link on the way."""
    bucket = promoting[0].bucket(new_name()).create()
    for path in (
        "/etc/passwd",
        tree / "link",
        tree / "up" / "secret",
        f"{tree}/../../../etc/passwd",
        f"{promoting[1]}-other/x",
        "relative",
        "",
        tree / "none",
        "/",
    ):
        with pytest.raises(AISError) as caught:
            bucket.object("x").promote(str(path))
        assert caught.value.status_code in (400, 403)
    assert contents(bucket) == {}


def test_without_the_setting_nothing_is_promoted(bucket: Bucket, tmp_path: Path) -> None:
    """No folder is open by default."""
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(AISError, match="promote-from") as caught:
        bucket.object("x").promote(str(tmp_path / "file"))
    assert caught.value.status_code == 403
