"""rclone with its defaults for Amazon and for other servers, against a server that checks every request."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.clients.conftest import MIB, MakeBucket
from tests.clients.programs import REGION, Result, environment, run
from tidegate.testing import ServerProcess

Rclone = Callable[..., Result]


def configure(server: ServerProcess, folder: Path, authority: Path | None = None, **more: str) -> Rclone:
    """Runs rclone, with the server as the remote ``tide:``."""
    remote = {
        "TYPE": "s3",
        "ACCESS_KEY_ID": server.access_key,
        "SECRET_ACCESS_KEY": server.secret_key,
        "ENDPOINT": server.url,
        **more,
    }
    env = environment(server, **{f"RCLONE_CONFIG_TIDE_{name}": value for name, value in remote.items()})
    env["RCLONE_CONFIG"] = os.devnull
    if authority is not None:
        env["RCLONE_CA_CERT"] = str(authority)
    # One attempt: what only works when it is tried again is broken.
    env["RCLONE_RETRIES"] = "1"

    def call(*arguments: str | Path, **options: Any) -> Result:
        return run("rclone", *arguments, env=env, cwd=folder, **options)

    return call


@pytest.fixture(params=["", "/s3"], ids=["root", "prefix"])
def rclone(request: pytest.FixtureRequest, server: ServerProcess, tmp_path: Path) -> Rclone:
    """rclone, told that the server is none of those it knows."""
    return configure(server, tmp_path, PROVIDER="Other", ENDPOINT=server.url + request.param)


@pytest.fixture
def rclone_as_amazon(tls_server: ServerProcess, certificate: tuple[Path, Path], tmp_path: Path) -> Rclone:
    """rclone, told that the server is Amazon's; it can only upload to that by HTTPS, with checksums as trailers."""
    more = {"PROVIDER": "AWS", "REGION": REGION, "FORCE_PATH_STYLE": "true"}
    return configure(tls_server, tmp_path, certificate[0], **more)


@pytest.fixture
def files(tmp_path: Path, large_bytes: bytes) -> Path:
    """A folder with files of odd names, an empty one, and one that is large enough for several parts."""
    folder = tmp_path / "files"
    contents = {"a.txt": b"a", "b/c d+ü%.txt": b"some text", "b/empty": b"", "b/large": large_bytes[: 12 * MIB]}
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder, by their names from there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folders_are_copied_checked_and_purged(rclone: Rclone, files: Path, bucket: str, tmp_path: Path) -> None:
    """copy, check, ls, lsd, size, cat, hashsum, sync, deletefile and purge, with a large file in parts of 5 MiB."""
    rclone("copy", "files", f"tide:{bucket}/x", "--s3-chunk-size", "5M", "--s3-upload-cutoff", "5M")
    rclone("check", "files", f"tide:{bucket}/x")
    rclone("check", "files", f"tide:{bucket}/x", "--download")
    listed = {line.split(maxsplit=1)[1]: int(line.split()[0]) for line in rclone("ls", f"tide:{bucket}/x").lines}
    assert listed == {"a.txt": 1, "b/c d+ü%.txt": 9, "b/empty": 0, "b/large": 12 * MIB}
    assert [line.split()[-1] for line in rclone("lsd", f"tide:{bucket}/x").lines] == ["b"]
    assert bucket in {line.split()[-1] for line in rclone("lsd", "tide:").lines}
    size = rclone("size", f"tide:{bucket}", "--json").json
    assert (size["count"], size["bytes"]) == (4, 12 * MIB + 10)
    assert rclone("cat", f"tide:{bucket}/x/b/c d+ü%.txt").output == "some text"
    hashes = {tuple(line.split(maxsplit=1)) for line in rclone("hashsum", "MD5", f"tide:{bucket}/x").lines}
    assert hashes == {(hashlib.md5(data).hexdigest(), name) for name, data in contents(files).items()}
    rclone("sync", f"tide:{bucket}/x", "fetched")
    assert contents(tmp_path / "fetched") == contents(files)
    (files / "a.txt").unlink()
    rclone("sync", "files", f"tide:{bucket}/x")
    rclone("deletefile", f"tide:{bucket}/x/b/empty")
    left = {line.split(maxsplit=1)[1] for line in rclone("ls", f"tide:{bucket}").lines}
    assert left == {"x/b/c d+ü%.txt", "x/b/large"}
    rclone("purge", f"tide:{bucket}")
    assert bucket not in {line.split()[-1] for line in rclone("lsd", "tide:").lines}


def test_objects_are_copied_by_the_server(rclone: Rclone, make_bucket: MakeBucket, s3: Any, large_bytes: bytes) -> None:
    """Copies and moves within the server transfer nothing, also those in parts."""
    source, target = make_bucket(), make_bucket()
    s3.put_object(Bucket=source, Key="dir/large ü", Body=large_bytes[: 12 * MIB])
    s3.put_object(Bucket=source, Key="dir/small", Body=b"data")
    options = ("--s3-copy-cutoff", "5M", "--s3-chunk-size", "5M")
    log = rclone("copy", "-v", "--stats-one-line", f"tide:{source}/dir", f"tide:{target}/dir", *options).errors
    assert log.count("Copied (server-side copy)") == 2
    rclone("check", f"tide:{source}", f"tide:{target}", "--download")
    rclone("moveto", f"tide:{target}/dir/small", f"tide:{target}/moved")
    listed = json.loads(rclone("lsjson", "-R", "--files-only", f"tide:{target}").output)
    assert {each["Path"]: each["Size"] for each in listed} == {"dir/large ü": 12 * MIB, "moved": 4}


def test_buckets_streams_and_links(rclone: Rclone, bucket: str, s3: Any) -> None:
    """mkdir makes a bucket, rcat uploads a stream of unknown length, link makes a URL, rmdir removes the bucket."""
    name = f"{bucket}-rclone"
    rclone("mkdir", f"tide:{name}")
    rclone("rcat", f"tide:{name}/stream", data=b"from a stream")
    assert rclone("cat", f"tide:{name}/stream", "--offset", "5", "--count", "1").output == "a"
    with urllib3.PoolManager(retries=False) as pool:
        assert pool.request("GET", rclone("link", f"tide:{name}/stream").output.strip()).data == b"from a stream"
    rclone("delete", f"tide:{name}")
    rclone("rmdir", f"tide:{name}")
    assert name not in {each["Name"] for each in s3.list_buckets()["Buckets"]}


def test_metadata(rclone: Rclone, files: Path, bucket: str, s3: Any) -> None:
    """Headers and metadata go both ways; rclone sends what is not ASCII as UTF-8, and gets it back."""
    metadata = ("--metadata-set", "title=grün 日本", "--metadata-set", "content-language=de")
    rclone("copyto", "-M", "files/a.txt", f"tide:{bucket}/a", *metadata)
    found = rclone("lsjson", "-M", f"tide:{bucket}/a").json[0]["Metadata"]
    assert (found["title"], found["content-language"]) == ("grün 日本", "de")
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLanguage"] == "de"
    rclone("copyto", "-M", f"tide:{bucket}/a", f"tide:{bucket}/b")
    assert rclone("lsjson", "-M", f"tide:{bucket}/b").json[0]["Metadata"]["title"] == "grün 日本"


def test_versions(rclone: Rclone, bucket: str, s3: Any) -> None:
    """rclone switches versions on, shows old ones, and removes them."""
    rclone("backend", "versioning", f"tide:{bucket}", "Enabled")
    for data in b"one", b"two two":
        rclone("rcat", f"tide:{bucket}/object", data=data)
    sizes = [int(line.split()[0]) for line in rclone("ls", f"tide:{bucket}", "--s3-versions").lines]
    assert sorted(sizes) == [3, 7]
    rclone("backend", "cleanup-hidden", f"tide:{bucket}")
    assert [each["Size"] for each in s3.list_object_versions(Bucket=bucket)["Versions"]] == [7]


def test_as_amazon(rclone_as_amazon: Rclone, files: Path) -> None:
    """With all that rclone does for Amazon only, files large and small, streams and copies by the server are right."""
    rclone = rclone_as_amazon
    options = ("--s3-chunk-size", "5M", "--s3-upload-cutoff", "5M", "--s3-copy-cutoff", "5M")
    rclone("mkdir", "tide:as-amazon")
    rclone("copy", "files", "tide:as-amazon/x", *options)
    rclone("check", "files", "tide:as-amazon/x", "--download")
    rclone("copy", "tide:as-amazon/x", "tide:as-amazon/y", *options)
    rclone("check", "files", "tide:as-amazon/y")
    rclone("rcat", "tide:as-amazon/stream", data=b"from a stream")
    assert rclone("cat", "tide:as-amazon/stream").output == "from a stream"
    rclone("purge", "tide:as-amazon")


def test_old_signatures(server: ServerProcess, tmp_path: Path, files: Path, bucket: str) -> None:
    """rclone's own implementation of version 2 of the signature is verified too."""
    rclone = configure(server, tmp_path, PROVIDER="Other", V2_AUTH="true")
    rclone("copy", "files", f"tide:{bucket}/a b/x", "--s3-chunk-size", "5M", "--s3-upload-cutoff", "5M")
    rclone("check", "files", f"tide:{bucket}/a b/x")
    wrong = configure(server, tmp_path, PROVIDER="Other", V2_AUTH="true", SECRET_ACCESS_KEY="wrong")
    assert "SignatureDoesNotMatch" in wrong("ls", f"tide:{bucket}", code=None).errors


def test_without_authentication(open_server: ServerProcess, tmp_path: Path, files: Path) -> None:
    """Where authentication is off, a remote needs no keys."""
    rclone = configure(open_server, tmp_path, PROVIDER="Other", ACCESS_KEY_ID="", SECRET_ACCESS_KEY="")
    rclone("copy", "files", "tide:rclone-anonymous/x")
    rclone("check", "files", "tide:rclone-anonymous/x")
