"""Commits: started, finished, listed, waited for, rewritten, found; merges, reverts and cherry-picks; histories."""

from __future__ import annotations

import re
import threading

import pytest

from tests.cli.pachctl.command import Pachctl, ageless


def test_a_commit_of_several_writes(pachctl: Pachctl, repo: str) -> None:
    """While a commit is open its writes are seen in it alone; when it finishes, on the branch, all at once."""
    started = pachctl("start", "commit", f"{repo}@master", "-m", "two files")
    commit = started.output.rstrip("\n")
    assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{19}", commit)
    pachctl.put(f"{repo}@master:/a", b"a")
    pachctl.put(f"{repo}@master:/b", b"b")
    assert pachctl.files(f"{repo}@master") == []
    assert pachctl.files(f"{repo}@{commit}") == ["/a", "/b"]
    assert f"Open Commit: {repo}@{commit}\n" in pachctl("inspect", "branch", f"{repo}@master").output
    assert pachctl.fails("start", "commit", f"{repo}@master") == f"parent commit {commit} has not been finished"
    assert pachctl("finish", "commit", f"{repo}@master").output == ""
    assert pachctl.files(f"{repo}@master") == ["/a", "/b"]
    assert "has already finished" in pachctl.fails("finish", "commit", f"{repo}@{commit}")
    assert ageless(pachctl("inspect", "commit", f"{repo}@{commit}").output) == (
        f"Commit: {repo}@{commit}\nOriginal Branch: master\nDescription: two files\n"
        "Started: <age>\nFinished: <age>\nSize: 2B\n"
    )


def test_a_message_at_the_end(pachctl: Pachctl, repo: str) -> None:
    """What is said when a commit finishes is what is kept of it."""
    pachctl("start", "commit", f"{repo}@master")
    pachctl("finish", "commit", f"{repo}@master", "--description", "said at the end — ä")
    assert pachctl("inspect", "commit", f"{repo}@master", "--raw").json["message"] == "said at the end — ä"


def test_a_commit_on_an_older_one(pachctl: Pachctl, repo: str) -> None:
    """--parent begins with another commit than the branch's newest."""
    pachctl.put(f"{repo}@master:/a", b"a")
    first = pachctl.head(f"{repo}@master")
    pachctl.put(f"{repo}@master:/b", b"b")
    pachctl("start", "commit", f"{repo}@master", "--parent", first)
    pachctl("finish", "commit", f"{repo}@master")
    assert pachctl.files(f"{repo}@master") == ["/a"]


def test_listing_commits(pachctl: Pachctl, repo: str) -> None:
    """The newest first, with the columns of the guide's time, or where a project is named of today's."""
    assert pachctl("list", "commit", f"{repo}@master").rows == [
        ["REPO", "BRANCH", "COMMIT", "PARENT", "STARTED", "DURATION", "SIZE"]
    ]
    ids: list[str] = []
    for number in range(3):
        pachctl.put(f"{repo}@master:/x{number}", b"x", "-m", f"the {number}th")
        ids.insert(0, pachctl.head(f"{repo}@master"))
    pachctl("start", "commit", f"{repo}@dev", "--parent", "master")
    lines = [line.split(" ") for line in ageless(pachctl("list", "commit", f"{repo}@master").output).splitlines()]
    assert lines[1:] == [
        [repo, "master", ids[0], ids[1], "<age>", "<span>", "3B"],
        [repo, "master", ids[1], ids[2], "<age>", "<span>", "2B"],
        [repo, "master", ids[2], "<none>", "<age>", "<span>", "1B"],
    ]
    wide = ageless(pachctl("list", "commit", f"{repo}@master", "-n", "1", "--project", "default").output).splitlines()
    assert wide == [
        "PROJECT REPO COMMIT FINISHED SIZE ORIGIN CREATOR DESCRIPTION",
        f"default {repo} {ids[0]} <age> 3B USER - the 2th",
    ]
    newest = ageless(pachctl("list", "commits", repo).output).splitlines()[1].split(" ")
    assert (newest[1], newest[5:]) == ("dev", ["-", "-"])
    assert [row[2] for row in pachctl("list", "commit", f"{repo}@{ids[1]}").rows[1:]] == ids[1:]


def test_many_commits(pachctl: Pachctl, repo: str) -> None:
    """A list longer than a page comes whole, and its header again after each 50 lines."""
    for number in range(101):
        pachctl.api("PUT", f"{repo}/files/master/x", b"%d" % number)
    rows = pachctl("list", "commit", f"{repo}@master").rows
    assert [index for index, row in enumerate(rows) if row[0] == "REPO"] == [0, 50, 100]
    assert len({row[2] for row in rows if row[0] == repo}) == 101
    assert len(pachctl("list", "commit", f"{repo}@master", "-n", "7").rows) == 8


def test_ancestry(pachctl: Pachctl, repo: str) -> None:
    """``^``, ``~2``, ``.1`` and ``.-1`` count commits, back or from the branch's root; ``branch=commit`` is on it."""
    ids: list[str] = []
    for number in range(3):
        pachctl.put(f"{repo}@master:/x", b"%d" % number)
        ids.append(pachctl.head(f"{repo}@master"))
    for ref, content in (
        ("master^", b"1"),
        ("master^^", b"0"),
        ("master^2", b"0"),
        ("master~1", b"1"),
        ("master.1", b"0"),
        ("master.-1", b"1"),
        (f"master={ids[0]}", b"0"),
        (ids[1], b"1"),
    ):
        assert pachctl.read(f"{repo}@{ref}:/x") == content, ref
    assert "beyond the first commit" in pachctl.fails("inspect", "commit", f"{repo}@master^3")


def test_squash_and_drop(pachctl: Pachctl, repo: str) -> None:
    """A squashed commit is part of the next one; a dropped one is gone with what it wrote."""
    for name in ("a", "b", "c"):
        pachctl.put(f"{repo}@master:/{name}", b"x")
    assert "use the drop operation instead" in pachctl.fails("squash", "commit", f"{repo}@master")
    assert "cannot drop a commit that has children" in pachctl.fails("drop", "commit", f"{repo}@master^")
    pachctl("squash", "commit", f"{repo}@master^")
    assert len(pachctl("list", "commit", f"{repo}@master").rows) == 3
    assert pachctl.files(f"{repo}@master") == ["/a", "/b", "/c"]
    pachctl.put(f"{repo}@master:/d", b"x")
    pachctl("drop", "commit", f"{repo}@master")
    assert pachctl.files(f"{repo}@master") == ["/a", "/b", "/c"]
    pachctl("start", "commit", f"{repo}@master")
    pachctl("delete", "commit", f"{repo}@master")
    pachctl.put(f"{repo}@master:/e", b"x")
    assert pachctl.files(f"{repo}@master") == ["/a", "/b", "/c", "/e"]


def test_waiting(pachctl: Pachctl, repo: str) -> None:
    """Waiting ends when the commit is finished, or when its time is over."""
    commit = pachctl("start", "commit", f"{repo}@master").output.strip()
    said = pachctl.fails("wait", "commit", f"{repo}@{commit}", "--timeout", "0")
    assert said == f"commit default/{repo}@{commit} is not finished after 0 s"
    finishing = threading.Timer(0.2, pachctl.api, ("POST", f"{repo}/commits/master/finish"))
    finishing.start()
    shown = pachctl("wait", "commit", f"{repo}@{commit}").output
    finishing.join()
    assert shown.startswith(f"Commit: {repo}@{commit}\n")
    assert "Finished: " in shown


# --- merges ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def parted(pachctl: Pachctl, repo: str) -> str:
    """A repo whose branches master and dev have both changed /f; dev has also made /new."""
    pachctl.put(f"{repo}@master:/f", b"base")
    pachctl("create", "branch", f"{repo}@dev", "--head", "master")
    pachctl.put(f"{repo}@master:/f", b"ours!")
    pachctl.put(f"{repo}@dev:/f", b"theirs")
    pachctl.put(f"{repo}@dev:/new", b"new")
    return repo


def test_a_merge_without_conflicts(pachctl: Pachctl, parted: str) -> None:
    """What one side alone has changed is brought over in one commit, whose id is printed."""
    pachctl("create", "branch", f"{parted}@side", "--head", "dev~2")
    assert pachctl("merge", f"{parted}@dev", "--into", "side", "--dry-run").output == "2 changes, no conflicts\n"
    assert pachctl.files(f"{parted}@side") == ["/f"]
    merged = pachctl("merge", f"{parted}@dev", "--into", "side", "-m", "together").output.strip()
    shown = pachctl("inspect", "commit", f"{parted}@{merged}").output
    assert f"Merged: {pachctl.head(f'{parted}@dev')}\n" in shown
    assert "Description: together\n" in shown
    assert pachctl.files(f"{parted}@side") == ["/f", "/new"]
    again = pachctl("merge", f"{parted}@dev", "--into", f"{parted}@side")
    assert (again.output, again.error) == ("", "Nothing to do: the branch has these changes already.\n")


def test_conflicts(pachctl: Pachctl, parted: str) -> None:
    """Conflicts are listed, and nothing is merged before each is decided."""
    head = pachctl.head(f"{parted}@master")
    ran = pachctl("merge", f"{parted}@dev", "--into", "master", code=1)
    assert ran.rows == [["PATH", "OURS", "THEIRS"], ["/f", "5B", "6B"]]
    assert ran.error == (
        "Error: 1 conflict: nothing was changed\n"
        "(Hint: decide with --path PATH=ours or --path PATH=theirs, or for all with --ours or --theirs)\n"
    )
    assert pachctl.head(f"{parted}@master") == head


@pytest.mark.parametrize(
    ("choice", "content"),
    [
        (["--ours"], b"ours!"),
        (["--theirs"], b"theirs"),
        (["--path", "/f=theirs"], b"theirs"),
        (["--theirs", "--path", "f=ours"], b"ours!"),
    ],
)
def test_decisions(pachctl: Pachctl, parted: str, choice: list[str], content: bytes) -> None:
    """A conflict is decided for all paths, or for one; a path's own decision goes before that for all."""
    pachctl("merge", f"{parted}@dev", "--into", "master", *choice)
    assert pachctl.read(f"{parted}@master:/f") == content
    assert pachctl.read(f"{parted}@master:/new") == b"new"


def test_merges_that_make_no_sense(pachctl: Pachctl, parted: str) -> None:
    """A mistake is told, with what is not there by its name."""
    merge = ("merge", f"{parted}@dev")
    assert "exclude each other" in pachctl.fails(*merge, "--into", "master", "--ours", "--theirs")
    assert "PATH=ours or PATH=theirs" in pachctl.fails(*merge, "--into", "master", "--path", "/f=mine")
    assert "another repo's" in pachctl.fails(*merge, "--into", "other@master")
    assert pachctl.fails(*merge, "--into", "nope") == f'branch "nope" not found in repo default/{parted}'
    assert 'branch "nope" not found' in pachctl.fails("merge", f"{parted}@nope", "--into", "master")
    assert "--into" in pachctl.fails(*merge)


def test_revert(pachctl: Pachctl, parted: str) -> None:
    """A commit is taken back on its own branch, or on another; what has changed since is a conflict."""
    pachctl("revert", f"{parted}@master")
    assert pachctl.read(f"{parted}@master:/f") == b"base"
    first = pachctl.head(f"{parted}@dev^")
    pachctl("revert", f"{parted}@{first}", "-m", "take it back")
    assert pachctl.read(f"{parted}@dev:/f") == b"base"
    assert "Description: take it back\n" in pachctl("inspect", "commit", f"{parted}@dev").output
    pachctl.put(f"{parted}@dev:/f", b"since")
    assert pachctl("revert", f"{parted}@{first}", code=1).rows[1] == ["/f", "5B", "4B"]


def test_cherry_pick(pachctl: Pachctl, parted: str) -> None:
    """What one commit has changed comes to another branch, and nothing else of its branch."""
    picked = pachctl("cherry-pick", f"{parted}@dev", "--into", "master").output.strip()
    assert pachctl.head(f"{parted}@master") == picked
    assert pachctl.read(f"{parted}@master:/f") == b"ours!"
    assert pachctl.read(f"{parted}@master:/new") == b"new"
    assert pachctl("cherry-pick", f"{parted}@dev^", "--into", "master", code=1).rows[1] == ["/f", "5B", "6B"]


# --- histories -------------------------------------------------------------------------------------------------------


def test_histories(pachctl: Pachctl, repo: str) -> None:
    """A path's versions and the commits that made them, the newest first, deletions among them."""
    ids: list[str] = []
    for number in range(2):
        pachctl.put(f"{repo}@master:/dir/x", b"x" * (number + 1), "-m", f"number {number}")
        ids.insert(0, pachctl.head(f"{repo}@master"))
    pachctl.put(f"{repo}@master:/other", b"x")
    pachctl("delete", "file", f"{repo}@master:/dir/x")
    ids.insert(0, pachctl.head(f"{repo}@master"))
    assert ageless(pachctl("log", f"{repo}@master:/dir/x").output).splitlines() == [
        "COMMIT OP SIZE CHANGED AUTHOR DESCRIPTION",
        f"{ids[0]} delete - <age> -",
        f"{ids[1]} put 2B <age> - number 1",
        f"{ids[2]} put 1B <age> - number 0",
    ]
    assert len(pachctl("log", f"{repo}@master^:/dir/x").rows) == 3
    assert len(pachctl("log", f"{repo}@master:/dir/x", "-n", "1").rows) == 2
    assert pachctl("find", "commit", f"{repo}@master:/dir/x").output.split("\n") == ["FOUND IN COMMITS", *ids, ""]
    limited = pachctl("find", "commit", f"{repo}@master:/dir/x", "-n", "2").output.splitlines()
    assert limited == ["FOUND IN COMMITS", *ids[:2], "LAST SEARCHED COMMIT", ids[1]]
    assert pachctl("find", "commit", f"{repo}@master:/none").output == "no commits found.\n"
    assert "names no file" in pachctl.fails("log", f"{repo}@master")


def test_a_history_of_several_pages(pachctl: Pachctl, repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history that is longer than a page is whole, and has nothing twice."""
    from tidegate.cli.pachctl import calls

    ids: list[str] = []
    for number in range(5):
        pachctl.put(f"{repo}@master:/x", b"%d" % number)
        ids.insert(0, pachctl.head(f"{repo}@master"))
    for size in (1, 2, 5):
        monkeypatch.setattr(calls, "MAX_PAGE", size)
        assert [row[0] for row in pachctl("log", f"{repo}@master:/x").rows[1:]] == ids
        assert [row[0] for row in pachctl("log", f"{repo}@master:/x", "-n", "3").rows[1:]] == ids[:3]
