"""Branches and tags: names of states."""

from __future__ import annotations

import pytest

from tests.api.client import Repo


def test_branches(repo: Repo) -> None:
    """A branch is made, shown, listed by name and removed."""
    made = repo.branch("dev")
    assert (made["name"], made["repo"], made["project"]) == ("dev", repo.name, "default")
    assert (made["head"], made["open"], made["provenance"], made["trigger"]) == (None, None, [], None)
    assert repo.api.get(f"{repo.path}/branches/dev") == made
    assert [item["name"] for item in repo.items("branches")] == ["dev", "master"]
    assert repo.api.delete(f"{repo.path}/branches/dev") is None
    repo.api.fails("GET", f"{repo.path}/branches/dev", 404, "NoSuchBranch")
    repo.api.fails("DELETE", f"{repo.path}/branches/dev", 404, "NoSuchBranch")


def test_a_branch_begins_where_it_is_told_and_moves(repo: Repo) -> None:
    """``head`` is any ref; a branch that is there is put onto it."""
    first = repo.write("a")["commit"]
    second = repo.write("b")["commit"]
    assert repo.branch("dev", head="master^")["head"]["id"] == first
    assert repo.contents("dev") == {"a": b"content"}
    assert repo.branch("dev", head=second)["head"]["id"] == second
    assert set(repo.contents("dev")) == {"a", "b"}
    repo.api.fails(
        "PUT", f"{repo.path}/branches/x", 404, "NoSuchCommit", json={"head": "0" * 12 + "4" + "0" * 3 + "8" + "0" * 15}
    )


def test_an_output_branch_is_not_written(repo: Repo) -> None:
    """A branch with provenance is read-only, until it has none."""
    output = Repo(repo.api, f"{repo.name}-out")
    repo.api.post("/projects/default/repos", {"name": output.name})
    source = {"repo": repo.name, "branch": "master"}
    made = output.branch("master", provenance=[source])
    assert made["provenance"] == [{**source, "project": "default"}]
    repo.api.fails("PUT", output.file("key"), 400, "WriteToOutputBranch", data=b"content")
    repo.api.fails("DELETE", f"{repo.path}/branches/master", 409, "BranchInUse")
    assert output.branch("master", provenance=[])["provenance"] == []
    output.write("key")
    repo.api.delete(f"{repo.path}/branches/master")


def test_a_protected_branch_takes_merges_only(repo: Repo) -> None:
    """Protection forbids to write, not to merge, and can be taken away."""
    repo.write("a")
    repo.branch("dev", head="master")
    assert repo.branch("master", is_protected=True)["is_protected"] is True
    repo.api.fails("PUT", repo.file("b"), 403, "BranchProtected", data=b"content")
    repo.write("b", ref="dev")
    assert repo.api.post(f"{repo.path}/merge", {"source": "dev", "into": "master"})["changes"] == 1
    assert repo.branch("master")["is_protected"] is True
    assert repo.branch("master", is_protected=False)["is_protected"] is False
    repo.write("c")


def test_a_trigger_moves_a_branch(repo: Repo) -> None:
    """A branch that follows another one is moved when the condition holds."""
    made = repo.branch("release", trigger={"branch": "master", "commits": 2})
    assert made["trigger"] == {"branch": "master", "size": 0, "commits": 2, "cron": "", "every": False}
    repo.write("a")
    assert repo.api.get(f"{repo.path}/branches/release")["head"] is None
    second = repo.write("b")["commit"]
    assert repo.head("release") == second
    for changes in ({}, {"trigger": None}, {"head": "master"}):
        assert repo.branch("release", **changes)["trigger"] == made["trigger"]
    assert repo.branch("release", trigger={"branch": ""})["trigger"] is None
    for name in "cd":
        repo.write(name)
    assert repo.head("release") == second
    body = {"trigger": {"branch": "", "commits": 2}}
    repo.api.fails("PUT", f"{repo.path}/branches/release", 400, "InvalidArgument", json=body)


def test_tags(repo: Repo) -> None:
    """A tag names a commit, which is then read by it; a name is a branch's or a tag's, not both."""
    first = repo.write("a", b"one")["commit"]
    repo.write("a", b"two")
    assert repo.api.put(f"{repo.path}/tags/v1", {"ref": "master^"}) == {"name": "v1", "commit": first}
    assert repo.api.get(f"{repo.path}/tags/v1") == {"name": "v1", "commit": first}
    assert repo.items("tags") == [{"name": "v1", "commit": first}]
    assert repo.read("a", "v1") == b"one"
    repo.api.fails("PUT", f"{repo.path}/tags/master", 409, "RefExists", json={"ref": first})
    repo.api.fails("PUT", f"{repo.path}/branches/v1", 409, "RefExists", json={})
    repo.api.fails("PUT", f"{repo.path}/tags/v2", 404, "NoSuchBranch", json={"ref": "nothing"})
    repo.api.delete(f"{repo.path}/tags/v1")
    repo.api.fails("GET", f"{repo.path}/tags/v1", 404, "NoSuchTag")
    repo.api.fails("DELETE", f"{repo.path}/tags/v1", 404, "NoSuchTag")


@pytest.mark.parametrize("ref", ["master~x", "master^^^a", "a b", "@at-20261120t120000z", "master@at-2026", "é"])
def test_what_is_no_ref_is_refused(repo: Repo, ref: str) -> None:
    """Such a text is the client's mistake, wherever it stands."""
    repo.write("a")
    for answer in (
        repo.api.request("GET", repo.file("a", ref)),
        repo.api.request("GET", f"{repo.path}/files", params={"ref": ref}),
        repo.api.request("GET", f"{repo.path}/commits", params={"ref": ref}),
        repo.api.request("PUT", f"{repo.path}/tags/t", json={"ref": ref}),
        repo.api.request("PUT", f"{repo.path}/branches/b", json={"head": ref}),
    ):
        assert answer.status_code == 400


@pytest.mark.parametrize("name", ["a.b", "é", "0" * 12 + "4" + "0" * 3 + "8" + "0" * 15, "x" * 101])
def test_what_no_branch_can_be_called_is_refused(repo: Repo, name: str) -> None:
    """A name that would be taken for something else is the client's mistake."""
    repo.write("a")
    repo.api.fails("PUT", f"{repo.path}/branches/{name}", 400, "InvalidName", json={})
    repo.api.fails("PUT", f"{repo.path}/tags/{name}", 400, "InvalidName", json={"ref": "master"})
