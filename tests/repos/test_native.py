"""Branches through AIStore's door and its command line: a branch is a bucket there too, and every write a commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aistore.sdk import Client
from aistore.sdk.errors import AISError
from requests import HTTPError

from tests.ais.conftest import connect, disconnect
from tests.cli.ais.command import Ais
from tests.repos.conftest import new_name
from tests.repos.test_s3_objects import Native
from tidegate.testing import ServerProcess


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    """The SDK's client of the main port."""
    client = connect(server.url)
    yield client
    disconnect(client)


@pytest.fixture
def ais(server: ServerProcess, tmp_path: Path) -> Ais:
    """Runs a command against the server, in a folder of its own."""
    return Ais(server, tmp_path, {"HOME": str(tmp_path)})


@pytest.fixture
def native(server: ServerProcess) -> Native:
    """What is done to repositories beside this door."""
    return Native(server.url)


@pytest.fixture
def repo(s3: Any) -> str:
    """A repository with an empty branch master."""
    name = new_name()
    s3.create_bucket(Bucket=name)
    return name


def commits(native: Native, repo: str) -> list[str]:
    """The ids of master's commits, the newest first."""
    return [each["id"] for each in native.call("GET", f"{repo}/commits?ref=master")["items"]]


def test_objects_by_the_sdk(client: Client, s3: Any, repo: str, native: Native) -> None:
    """Put, get, list, head and delete work on a branch, and each write is a commit."""
    bucket = client.bucket(f"master.{repo}")
    bucket.object("a/b").get_writer().put_content(b"1")
    bucket.object("c").get_writer().put_content(b"2")
    before = len(commits(native, repo))
    handle = bucket.object("d").get_writer().append_content(b"3")
    handle = bucket.object("d").get_writer().append_content(b"4", handle)
    assert len(commits(native, repo)) == before
    bucket.object("d").get_writer().append_content(b"", handle, flush=True)
    assert bucket.object("d").get_reader().read_all() == b"34"
    assert len(commits(native, repo)) == before + 1
    bucket.object("d").delete()
    assert sorted(each.name for each in bucket.list_all_objects()) == ["a/b", "c"]
    assert bucket.object("a/b").props_cached is None
    assert bucket.object("a/b").props.size == 1
    bucket.object("a/b").delete()
    assert [each.name for each in bucket.list_all_objects()] == ["c"]
    made = commits(native, repo)
    assert len(made) == len(set(made))
    assert s3.get_object(Bucket=f"{made[-1]}.{repo}", Key="a/b")["Body"].read() == b"1"
    assert f"master.{repo}" in [each.name for each in client.cluster().list_buckets(provider="ais")]


def test_metadata_by_the_sdk(client: Client, s3: Any, repo: str, native: Native) -> None:
    """Custom properties of an object are set by a commit, and what was committed before keeps its own."""
    bucket = client.bucket(f"master.{repo}")
    bucket.object("a").get_writer().put_content(b"1")
    before = commits(native, repo)
    bucket.object("a").get_writer().set_custom_props({"x": "1"})
    after = commits(native, repo)
    assert after[1:] == before
    assert s3.head_object(Bucket=repo, Key="a")["Metadata"] == {"x": "1"}
    assert s3.head_object(Bucket=repo, Key="a", VersionId=before[0])["Metadata"] == {}


def test_an_open_commit_by_the_sdk(client: Client, repo: str, native: Native) -> None:
    """Writes through this door go into the open commit too."""
    native.start(repo)
    bucket = client.bucket(f"master.{repo}")
    bucket.object("a").get_writer().put_content(b"1")
    assert bucket.list_all_objects() == []
    native.finish(repo)
    assert [each.name for each in bucket.list_all_objects()] == ["a"]
    assert len(commits(native, repo)) == 1


def test_output_branches_by_the_sdk(client: Client, s3: Any, repo: str, native: Native) -> None:
    """A branch that is made of others is read-only here as everywhere."""
    source = new_name()
    s3.create_bucket(Bucket=source)
    s3.put_object(Bucket=repo, Key="a", Body=b"1")
    native.call("PUT", f"{repo}/branches/master", {"provenance": [{"repo": source, "branch": "master"}]})
    bucket = client.bucket(f"master.{repo}")
    for act in (lambda: bucket.object("b").get_writer().put_content(b"1"), lambda: bucket.object("a").delete()):
        with pytest.raises((AISError, HTTPError), match="output branch"):
            act()
    assert bucket.object("a").get_reader().read_all() == b"1"


def test_the_command(ais: Ais, s3: Any, repo: str, native: Native) -> None:
    """``ais put``, ``ls``, ``get``, ``rmo`` and ``bucket rm`` work on a branch."""
    uri = f"ais://master.{repo}"
    (ais.folder / "x.txt").write_bytes(b"hello")
    ais("put", "x.txt", f"{uri}/x.txt")
    ais("put", "x.txt", f"{uri}/dir/y.txt")
    assert "x.txt" in ais("ls", uri).output
    assert "dir/y.txt" in ais("ls", uri).output
    assert uri in ais("ls", "ais://").output
    ais("get", f"{uri}/dir/y.txt", "out.txt")
    assert (ais.folder / "out.txt").read_bytes() == b"hello"
    ais("rmo", f"{uri}/x.txt")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=repo)["Contents"]] == ["dir/y.txt"]
    assert len(commits(native, repo)) == 3


def test_jobs_on_a_branch(ais: Ais, client: Client, s3: Any, repo: str, native: Native) -> None:
    """Copies of buckets and deletes of ranges work on branches, with history: nothing that was committed is lost."""
    bucket = client.bucket(f"master.{repo}")
    for number in range(5):
        bucket.object(f"k-{number}").get_writer().put_content(b"%d" % number)
    full = commits(native, repo)[0]
    s3.create_bucket(Bucket=f"copy.{repo}")
    job = bucket.copy(to_bck=client.bucket(f"copy.{repo}"))
    client.job(job).wait(timeout=60)
    listed = s3.list_objects_v2(Bucket=f"copy.{repo}")["Contents"]
    assert [each["Key"] for each in listed] == [f"k-{number}" for number in range(5)]
    job = bucket.objects(obj_names=["k-0", "k-1", "k-2"]).delete()
    client.job(job).wait(timeout=60)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=repo)["Contents"]] == ["k-3", "k-4"]
    assert len(s3.list_objects_v2(Bucket=f"{full}.{repo}")["Contents"]) == 5


def test_what_branches_do_not_do_here(client: Client, ais: Ais, s3: Any, repo: str, native: Native) -> None:
    """A branch is not renamed, and keeps its versions; an empty plain bucket cannot take its name."""
    s3.put_object(Bucket=repo, Key="a", Body=b"1")
    bucket = client.bucket(f"master.{repo}")
    with pytest.raises((AISError, HTTPError)):
        bucket.rename(to_bck_name="elsewhere")
    ais.fails("bucket", "props", "set", f"ais://master.{repo}", "versioning.enabled=false")
    ais.fails("create", f"ais://master.{repo}")
    assert s3.get_object(Bucket=repo, Key="a")["Body"].read() == b"1"
    assert len(commits(native, repo)) == 1


def test_destroying_a_branch(client: Client, s3: Any, repo: str, native: Native) -> None:
    """A branch that is destroyed as a bucket is gone; its commits stay with the repository."""
    made = s3.put_object(Bucket=repo, Key="a", Body=b"1")["VersionId"]
    client.bucket(f"master.{repo}").delete()
    assert native.call("GET", repo)["branches"] == []
    native.call("PUT", f"{repo}/branches/master", {"head": made})
    assert s3.get_object(Bucket=repo, Key="a")["Body"].read() == b"1"
