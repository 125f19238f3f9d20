"""Commits: every write is one, several can be, and what is said of them is kept."""

from __future__ import annotations

import pytest

from tests.api.client import Repo, succeed


def test_every_write_is_a_commit(repo: Repo) -> None:
    """Its id is what the write answers, and is listed with what it did, the newest first."""
    first = repo.write("a", b"12345")
    second = repo.write("b", b"123")
    gone = repo.api.delete(repo.file("a"))
    newest, middle, oldest = repo.commits()
    assert [newest["id"], middle["id"], oldest["id"]] == [gone["commit"], second["commit"], first["commit"]]
    assert [newest["parent"], middle["parent"], oldest["parent"]] == [middle["id"], oldest["id"], None]
    assert [each["files"] for each in (newest, middle, oldest)] == [1, 2, 1]
    assert [each["size"] for each in (newest, middle, oldest)] == [3, 8, 5]
    assert {each["origin"] for each in (newest, middle, oldest)} == {"USER"}
    assert newest["finished"] is not None
    assert newest["finished"].endswith("Z")
    assert repo.api.get(f"{repo.path}/commits/{middle['id']}") == middle
    assert repo.api.get(f"{repo.path}/commits/master~1") == middle


def test_commits_are_listed_in_pages(repo: Repo) -> None:
    """Page by page it is the same list; without a ref, those of all branches."""
    for number in range(5):
        repo.write("a", b"%d" % number)
    repo.branch("dev", head="master")
    repo.write("b", ref="dev")
    whole = repo.items("commits", ref="master")
    assert len(whole) == 5
    assert repo.items("commits", ref="master", limit=2) == whole
    assert len(repo.items("commits", limit=4)) == 6
    repo.api.fails("GET", f"{repo.path}/commits?ref=master&after=x", 400, "InvalidArgument")


def test_a_commit_that_was_started_is_seen_when_it_is_finished(repo: Repo) -> None:
    """What is written meanwhile is in the commit, is read by its id, and then all at once by the branch."""
    repo.write("old")
    started = repo.api.post(f"{repo.path}/commits", {"branch": "master", "message": "all of it"})
    assert (started["finished"], started["message"]) == (None, "all of it")
    assert {repo.write(name)["commit"] for name in ("a", "b")} == {started["id"]}
    assert set(repo.contents()) == {"old"}
    assert set(repo.contents(started["id"])) == {"old", "a", "b"}
    assert repo.api.get(f"{repo.path}/branches/master")["open"]["id"] == started["id"]
    repo.api.fails("POST", f"{repo.path}/commits", 409, "ParentNotFinished", json={"branch": "master"})
    waiting = repo.api.get(f"{repo.path}/commits/{started['id']}/wait", seconds="0.05")
    assert waiting["finished"] is None
    finished = repo.api.post(f"{repo.path}/commits/{started['id']}/finish", {})
    assert (finished["id"], finished["message"], finished["changes"]) == (started["id"], "all of it", 2)
    assert set(repo.contents()) == {"old", "a", "b"}
    repo.api.fails("POST", f"{repo.path}/commits/{started['id']}/finish", 409, "CommitFinished", json={})
    assert repo.api.get(f"{repo.path}/commits/{started['id']}/wait") == finished


def test_a_commit_begins_where_it_is_told(repo: Repo) -> None:
    """A branch that is not there is made, and ``parent`` is what it begins with."""
    first = repo.write("a")["commit"]
    repo.write("b")
    started = repo.api.post(f"{repo.path}/commits", {"branch": "dev", "parent": "master^"})
    assert started["parent"] == first
    repo.api.post(f"{repo.path}/commits/{started['id']}/finish", {"message": "late", "metadata": {"k": "v"}})
    newest = repo.commits("dev")[0]
    assert (newest["message"], newest["metadata"]) == ("late", {"k": "v"})
    assert set(repo.contents("dev")) == {"a"}


def test_an_open_commit_is_dropped(repo: Repo) -> None:
    """What was written into it is gone, and it can be written again."""
    repo.write("old")
    started = repo.api.post(f"{repo.path}/commits", {"branch": "master"})
    repo.write("new")
    assert repo.api.delete(f"{repo.path}/commits/{started['id']}") is None
    assert set(repo.contents()) == {"old"}
    repo.api.fails("GET", f"{repo.path}/commits/{started['id']}", 404, "NoSuchCommit")
    repo.write("new")


def test_the_newest_commit_is_dropped_and_no_other(repo: Repo) -> None:
    """A commit that another stands on is in use."""
    first = repo.write("a")["commit"]
    second = repo.write("b")["commit"]
    repo.api.fails("DELETE", f"{repo.path}/commits/{first}", 409, "CommitInUse")
    repo.api.delete(f"{repo.path}/commits/{second}")
    assert set(repo.contents()) == {"a"}


def test_a_commit_is_squashed_into_the_next(repo: Repo) -> None:
    """The commit is gone, what it did is not."""
    repo.write("a")
    second = repo.write("b")["commit"]
    third = repo.write("c")["commit"]
    assert repo.api.post(f"{repo.path}/commits/{second}/squash") is None
    newest, _ = repo.commits()
    assert newest["id"] == third
    assert set(repo.contents()) == {"a", "b", "c"}
    repo.api.fails("POST", f"{repo.path}/commits/{third}/squash", 409, "CommitInUse")


def test_what_is_said_of_a_commit_is_kept(repo: Repo) -> None:
    """In headers: UTF-8, percent-encoded where a header could not have it."""
    note = {"X-Tidegate-Commit-Message": "50%25 é%0Aend".encode(), "X-Tidegate-Commit-Metadata": "run=7&by=a%26b"}
    succeed(repo.api.request("PUT", repo.file("a"), data=b"", headers=note))
    (made,) = repo.commits()
    assert (made["message"], made["metadata"]) == ("50% é\nend", {"run": "7", "by": "a&b"})
    succeed(repo.api.request("DELETE", repo.file("a"), headers={"X-Tidegate-Commit-Message": "gone"}))
    assert repo.commits()[0]["message"] == "gone"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Tidegate-Commit-Message": "%ff"},
        {"X-Tidegate-Commit-Message": "x" * 8193},
        {"X-Tidegate-Commit-Metadata": "a=1&a=2"},
        {"X-Tidegate-Commit-Metadata": "a"},
        {"X-Tidegate-Commit-Metadata": "a=" + "x" * 4096},
        {"X-Tidegate-Commit-Metadata": b"a=\xff"},
    ],
)
def test_what_cannot_be_said_of_a_commit_is_refused(repo: Repo, headers: dict[str, str]) -> None:
    """Words that are no words, or too many, store nothing."""
    repo.api.fails("PUT", repo.file("a"), 400, "InvalidArgument", data=b"", headers=headers)
    assert repo.commits() == []


def test_a_write_may_insist_on_the_head(repo: Repo) -> None:
    """With If-Head-Commit a write happens only where the branch is at that commit."""
    first = repo.write("a")["commit"]
    second = repo.write("b", **{"If-Head-Commit": first})["commit"]
    stale = {"If-Head-Commit": first}
    for method, path, more in (
        ("PUT", repo.file("c"), {"data": b""}),
        ("DELETE", repo.file("a"), {}),
        ("DELETE", repo.file("") + "?recursive=true", {}),
        ("POST", f"{repo.path}/commits", {"json": {"branch": "master"}}),
        (
            "POST",
            f"{repo.path}/copy",
            {"json": {"source_ref": first, "source_path": "a", "ref": "master", "path": "c"}},
        ),
        ("POST", f"{repo.path}/commits/{first}/revert", {"json": {"branch": "master"}}),
    ):
        repo.api.fails(method, path, 412, "PreconditionFailed", headers=stale, **more)
    assert repo.head() == second
    assert set(repo.contents()) == {"a", "b"}


def test_find_and_log_tell_of_a_path(repo: Repo) -> None:
    """The commits that touched it, and what each made of it, the newest first."""
    first = repo.write("a", b"one")
    repo.write("b")
    second = repo.write("a", b"three")
    gone = repo.api.delete(repo.file("a"))
    found = repo.api.get(f"{repo.path}/find", ref="master", path="a")["items"]
    assert [each["id"] for each in found] == [gone["commit"], second["commit"], first["commit"]]
    log = repo.api.get(f"{repo.path}/log", ref="master", path="a")["items"]
    assert [(each["commit"], each["is_deleted"], each["size"]) for each in log] == [
        (gone["commit"], True, 0),
        (second["commit"], False, 5),
        (first["commit"], False, 3),
    ]
    assert len(repo.api.get(f"{repo.path}/log", ref="master^", path="a", limit=1)["items"]) == 1
    assert repo.api.get(f"{repo.path}/log", ref="master", path="nothing")["items"] == []
