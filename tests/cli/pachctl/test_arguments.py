"""What a command's arguments name."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.cli.failures import Failure
from tidegate.cli.pachctl import arguments, client, config
from tidegate.cli.pachctl.arguments import Target
from tidegate.refs import RepoName

COMMIT = "0123456789ab4cdef89abcdef0123456"[:32]


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACH_CONFIG", str(tmp_path / "config.json"))
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)


@pytest.mark.parametrize(
    ("given", "repo", "ref", "path", "key"),
    [
        ("images", RepoName("images"), "master", "", ""),
        ("images@dev", RepoName("images"), "dev", "", ""),
        ("images@dev:", RepoName("images"), "dev", "", ""),
        ("images@dev:/", RepoName("images"), "dev", "/", ""),
        ("images@dev:/a/b.txt", RepoName("images"), "dev", "/a/b.txt", "a/b.txt"),
        ("images@dev:a/b.txt", RepoName("images"), "dev", "a/b.txt", "a/b.txt"),
        ("images:/a@b", RepoName("images"), "master", "/a@b", "a@b"),
        ("images@dev://a", RepoName("images"), "dev", "//a", "/a"),
        ("images@dev:/a:b@c", RepoName("images"), "dev", "/a:b@c", "a:b@c"),
        ("images@master^:/x", RepoName("images"), "master^", "/x", "x"),
        ("images@master~2", RepoName("images"), "master~2", "", ""),
        ("images@master.-1", RepoName("images"), "master.-1", "", ""),
        (f"images@master={COMMIT}:/x", RepoName("images"), f"master={COMMIT}", "/x", "x"),
        ("ml/images@dev:/x", RepoName("images", "ml"), "dev", "/x", "x"),
    ],
)
def test_files(given: str, repo: RepoName, ref: str, path: str, key: str) -> None:
    """A path begins with a slash that the key does not have; where no branch is named it is master."""
    target = arguments.file_of(given, "")
    assert target == Target(repo, ref, path)
    assert target.key == key


@pytest.mark.parametrize("given", ["", "@dev", "images@", "images@:/x", "a.b@dev", "images@dev ", "a/b/c", "images@a!"])
def test_what_names_nothing(given: str) -> None:
    """What is no repo, branch or path of one is refused before anything is asked."""
    with pytest.raises(errors.InvalidArgument):
        arguments.file_of(given, "")


@given(st.text())
def test_any_text(given: str) -> None:
    """Any argument is understood, or refused as what it is."""
    target = None
    with suppress(errors.InvalidArgument):
        target = arguments.file_of(given, "default")
    assert target is None or target.repo.name in given


def test_what_is_expected() -> None:
    """A repo is no branch, a branch is no path, and a branch has to be named where it is to be changed."""
    assert arguments.repo_of("images", "ml") == RepoName("images", "ml")
    for wrong in ("images@dev", "images:/x"):
        with pytest.raises(errors.InvalidArgument, match="a repo is expected"):
            arguments.repo_of(wrong, "")
    for wrong in ("images", "images@dev:/x"):
        with pytest.raises(errors.InvalidArgument, match="expected repo@branch-or-commit"):
            arguments.ref_of(wrong, "")
    assert arguments.repo_or_ref("images", "").ref == ""
    with pytest.raises(errors.InvalidArgument, match="no path"):
        arguments.repo_or_ref("images@dev:/x", "")
    with pytest.raises(errors.InvalidArgument, match="names no file"):
        arguments.file_of("images@dev:/", "", is_needed=True)


# --- where the server is, and who we are -----------------------------------------------------------------------------


def test_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """PACHD_ADDRESS, with or without its scheme; else the configuration; else the main port on this machine."""
    assert client.endpoint() == "http://127.0.0.1:8080"
    config.update(pachd_address="http://far:1")
    assert client.endpoint() == "http://far:1"
    for variable, address in (
        ("http://near:2/", "http://near:2"),
        ("near:2", "http://near:2"),
        ("https://near", "https://near"),
    ):
        monkeypatch.setenv("PACHD_ADDRESS", variable)
        assert client.endpoint() == address
    monkeypatch.setenv("PACHD_ADDRESS", "grpc://near:30650")
    with pytest.raises(Failure, match="speaks HTTP, not grpc") as caught:
        client.endpoint()
    assert caught.value.hint == "PACHD_ADDRESS=http://near:30650"


def test_a_token_is_for_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is shown to the server that it is from, and to no other."""
    config.update(pachd_address="http://far:1", session_token="secret")
    assert client.connect().sends_token
    monkeypatch.setenv("PACHD_ADDRESS", "far:1")
    assert client.connect().sends_token
    monkeypatch.setenv("PACHD_ADDRESS", "http://other:1")
    assert not client.connect().sends_token


def test_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said, else the configuration's, else default; and tables have a column for it where it was named."""
    assert arguments.project_of("") == "default"
    assert not arguments.is_wide("")
    assert arguments.is_wide("default")
    assert arguments.is_wide("", all=True)
    assert arguments.is_wide("", RepoName("images", "ml"))
    config.update(project="ml")
    assert arguments.file_of("images", "").repo == RepoName("images", "ml")
    assert arguments.file_of("images", "other").repo == RepoName("images", "other")
    assert arguments.is_wide("")


def test_the_configuration_of_a_cluster() -> None:
    """A context of a Pachyderm cluster is neither used nor changed, nor is whatever else the file has."""
    cluster = {"pachd_address": "grpc://127.0.0.1:30650", "session_token": "theirs", "project": "theirs"}
    tree = {"user_id": "x", "v2": {"active_context": "local", "contexts": {"local": cluster}, "metrics": True}}
    config.path().write_text(json.dumps(tree), encoding="utf-8")
    assert config.context() == ("tidegate", config.Context())
    config.update(project="ml", session_token="ours")
    kept = json.loads(config.path().read_bytes())
    assert kept["v2"]["contexts"].pop("tidegate") == {"project": "ml", "session_token": "ours"}
    assert kept == tree
    assert config.path().stat().st_mode & 0o777 == 0o600


def test_a_context_of_ours() -> None:
    """An active context whose address is HTTP is the one that is used."""
    tree = {"v2": {"active_context": "a", "contexts": {"a": {"pachd_address": "http://a:1", "project": "p"}}}}
    config.path().write_text(json.dumps(tree), encoding="utf-8")
    assert config.context() == ("a", config.Context("http://a:1", "", "p"))
    assert config.update(project="") == "a"
    assert config.context() == ("a", config.Context("http://a:1"))


@pytest.mark.parametrize("broken", ["{", "[]", '{"v2": 1}', '{"v2": {"contexts": {"tidegate": {"project": 1}}}}'])
def test_a_broken_configuration(broken: str) -> None:
    """A file that is not understood is told of, and not overwritten."""
    config.path().write_text(broken, encoding="utf-8")
    with pytest.raises(Failure, match=r"config\.json"):
        config.context()
    if not broken.endswith("}}}}"):
        with pytest.raises(Failure, match=r"config\.json"):
            config.update(project="x")
        assert config.path().read_text(encoding="utf-8") == broken
