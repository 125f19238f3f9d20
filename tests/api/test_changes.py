"""Differences, and taking changes over from one branch to another."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Repo


@pytest.fixture
def diverged(repo: Repo) -> Repo:
    """Branches master and dev that both have changed ``both``, and each a file of its own."""
    for path in ("both", "gone", "same"):
        repo.write(path, b"base")
    repo.branch("dev", head="master")
    repo.write("both", b"ours")
    repo.write("mine", b"ours")
    repo.write("both", b"theirs", "dev")
    repo.write("yours", b"theirs", "dev")
    repo.api.delete(repo.file("gone", "dev"))
    return repo


def changes(repo: Repo, old: str, new: str, **query: Any) -> dict[str, str]:
    """What was done to each path."""
    return {each["path"]: each["op"] for each in repo.items("diff", **{"from": old, "to": new}, **query)}


def test_diff(diverged: Repo) -> None:
    """Paths that are new, gone or other, with what was there before and after."""
    expected = {"both": "changed", "gone": "removed", "mine": "removed", "yours": "added"}
    assert changes(diverged, "master", "dev") == expected
    assert changes(diverged, "master", "dev", limit=1) == expected
    assert changes(diverged, "master", "dev", prefix="y") == {"yours": "added"}
    assert changes(diverged, "dev", "dev") == {}
    (change,) = diverged.items("diff", **{"from": "master", "to": "dev", "prefix": "both"})
    assert (change["before"]["size"], change["after"]["size"]) == (4, 6)
    (change,) = diverged.items("diff", **{"from": "master", "to": "dev", "prefix": "gone"})
    assert change["after"] is None


def test_a_conflict_is_told_and_nothing_done(diverged: Repo) -> None:
    """Without a word on whose is to stay, the answer lists the paths with all three states."""
    before = diverged.head()
    body = {"source": "dev", "into": "master"}
    document = diverged.api.fails("POST", f"{diverged.path}/merge", 409, "MergeConflict", json=body)
    (conflict,) = document["conflicts"]
    assert conflict["path"] == "both"
    assert [conflict[side]["size"] for side in ("base", "ours", "theirs")] == [4, 4, 6]
    dry = diverged.api.post(f"{diverged.path}/merge", {**body, "dry_run": True})
    assert dry["commit"] is None
    assert dry["conflicts"] == document["conflicts"]
    assert diverged.head() == before


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({"prefer": "ours"}, b"ours"),
        ({"prefer": "theirs"}, b"theirs"),
        ({"choices": {"both": "theirs"}}, b"theirs"),
        ({"choices": {"both": "ours"}, "prefer": "theirs"}, b"ours"),
    ],
)
def test_a_merge_takes_what_was_chosen(diverged: Repo, how: dict[str, object], kept: bytes) -> None:
    """One commit with two parents; every path that only one side has changed is as that side has it."""
    body = {"source": "dev", "into": "master", "message": "together", "metadata": {"k": "v"}, **how}
    merged = diverged.api.post(f"{diverged.path}/merge", body)
    made = merged["commit"]
    assert (made["origin"], made["message"], made["metadata"]) == ("MERGE", "together", {"k": "v"})
    assert made["merged"] == diverged.head("dev")
    assert merged["conflicts"] == []
    assert diverged.contents() == {"both": kept, "mine": b"ours", "same": b"base", "yours": b"theirs"}
    again = diverged.api.post(f"{diverged.path}/merge", {"source": "dev", "into": "master"})
    assert (again["commit"], again["changes"]) == (None, 0)


def test_revert_and_cherry_pick(repo: Repo) -> None:
    """What a commit did is taken back on its branch, or done on another."""
    repo.write("a", b"one")
    repo.branch("dev", head="master")
    second = repo.write("a", b"two")["commit"]
    reverted = repo.api.post(f"{repo.path}/commits/{second}/revert", {"branch": "master", "message": "back"})
    assert (reverted["changes"], reverted["commit"]["message"]) == (1, "back")
    assert repo.read("a") == b"one"
    picked = repo.api.post(f"{repo.path}/commits/{second}/cherry-pick", {"branch": "dev"})
    assert picked["changes"] == 1
    assert repo.read("a", "dev") == b"two"


def test_a_revert_that_conflicts_is_told(repo: Repo) -> None:
    """A path that was changed since is a conflict, as in a merge."""
    repo.write("a", b"one")
    second = repo.write("a", b"two")["commit"]
    repo.write("a", b"three")
    path = f"{repo.path}/commits/{second}/revert"
    document = repo.api.fails("POST", path, 409, "MergeConflict", json={"branch": "master"})
    assert [each["path"] for each in document["conflicts"]] == ["a"]
    assert repo.read("a") == b"three"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"source": "dev"},
        {"source": "dev", "into": "master", "prefer": "mine"},
        {"source": "dev", "into": "master", "choices": {"both": "mine"}},
        {"source": "dev", "into": "master", "choices": ["both"]},
        {"source": "", "into": "master"},
        {"source": "dev", "into": "master", "metadata": {"k": 1}},
        {"source": "dev", "into": "master", "squash": True},
    ],
)
def test_a_merge_that_makes_no_sense_is_refused(diverged: Repo, body: dict[str, object]) -> None:
    """A field that is missing, unknown or of another type is the client's mistake."""
    diverged.api.fails("POST", f"{diverged.path}/merge", 400, "InvalidArgument", json=body)


def test_what_is_not_there_cannot_be_merged(repo: Repo) -> None:
    """Source and branch have to be there."""
    repo.write("a")
    path = f"{repo.path}/merge"
    repo.api.fails("POST", path, 404, "NoSuchBranch", json={"source": "nothing", "into": "master"})
    repo.api.fails("POST", path, 404, "NoSuchBranch", json={"source": "master", "into": "nothing"})
    repo.api.fails("GET", f"{repo.path}/diff?from=master&to=nothing", 404, "NoSuchBranch")
