"""Commits: starting, finishing, finding, waiting for, squashing and dropping them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from tests.repos.conftest import MakeRepository
from tests.repos.repository import MASTER, Repository, collect, rewrite, saying
from tidegate import errors
from tidegate.catalog import commits, flattening, rewriting
from tidegate.catalog.abc import Reader, Row, Value
from tidegate.catalog.repos import resolve
from tidegate.gateway import Gateway
from tidegate.gateway.repos import changes
from tidegate.jobs import tidying
from tidegate.model import EVERYONE, NEWEST, Commit, Origin
from tidegate.refs import is_commit_id


def test_every_write_is_a_commit(repo: Repository) -> None:
    """A put or a delete is one commit, one delete of many keys is one too, and a delete of nothing is none."""
    made = [repo.put(MASTER, key, b"1") for key in ("a", "b", "c")]
    assert all(is_commit_id(each) for each in made)
    assert repo.commits(MASTER) == made[::-1]
    deleted = repo.delete(MASTER, "a", "b", "nope")
    assert deleted[0] == deleted[1] == repo.head(MASTER)
    assert deleted[2] == ""
    assert repo.delete(MASTER, "nope", "a") == ["", ""]
    assert repo.commits(MASTER) == [deleted[0], *made[::-1]]
    commit = repo.commit(deleted[0])
    assert (commit.parent, commit.branch, commit.origin, commit.changes) == (made[2], MASTER, Origin.USER, 2)
    assert commit.finished is not None
    assert repo.commit(made[0]).parent is None


def test_an_open_commit(repo: Repository) -> None:
    """Writes go into the commit that is open; the branch shows what was before, and all of it once it is finished."""
    first = repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "gone", b"1")
    before = repo.contents(MASTER)
    head = repo.head(MASTER)
    open_id = repo.start(MASTER, message="Several.", metadata={"x": "1", "y": "1"})
    assert repo.put(MASTER, "a", b"2") == open_id
    assert repo.put(MASTER, "b", b"2") == open_id
    assert repo.put(MASTER, "b", b"3") == open_id
    assert repo.delete(MASTER, "gone", "nope") == [open_id, ""]
    repo.put(MASTER, "brief", b"1")
    repo.delete(MASTER, "brief")
    assert repo.contents(MASTER) == before
    assert repo.head(MASTER) == head
    assert repo.get(MASTER, "b") is None
    assert [key for key, *_ in repo.versions(MASTER)] == ["a", "gone"]
    for ref in (open_id, f"{MASTER}={open_id}"):
        assert repo.contents(ref) == {"a": b"2", "b": b"3"}
    assert repo.get(MASTER, "b", open_id) == b"3"
    seen = repo.commit(MASTER)
    assert (seen.id, seen.finished, seen.objects, seen.size) == (open_id, None, 2, 2)
    assert repo.commits(MASTER)[0] == open_id
    done = repo.finish(MASTER, message="All.", metadata={"y": "2"})
    assert done.finished is not None
    assert (done.id, done.message, done.metadata, done.changes) == (open_id, "All.", {"x": "1", "y": "2"}, 4)
    assert repo.contents(MASTER) == {"a": b"2", "b": b"3"}
    assert repo.contents(first) == {"a": b"1"}
    assert repo.head(MASTER) == open_id
    assert repo.put(MASTER, "c", b"1") != open_id


def test_an_open_commit_on_a_fork(repo: Repository) -> None:
    """An open commit on a branch of a branch hides and shows what lies below as its own writes say."""
    repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "b", b"1")
    repo.branch("dev", head=MASTER)
    open_id = repo.start("dev")
    repo.delete("dev", "a")
    repo.put("dev", "c", b"1")
    assert repo.contents("dev") == {"a": b"1", "b": b"1"}
    assert repo.contents(open_id) == {"b": b"1", "c": b"1"}
    repo.put("dev", "a", b"2")
    repo.delete("dev", "b")
    repo.finish(open_id)
    assert repo.contents("dev") == {"a": b"2", "c": b"1"}
    assert repo.contents(MASTER) == {"a": b"1", "b": b"1"}


def test_starting_and_finishing_what_cannot_be(repo: Repository) -> None:
    """One commit at a time is open on a branch, and what has finished is not finished again."""
    repo.put(MASTER, "a", b"1")
    with pytest.raises(errors.CommitFinished):
        repo.finish(MASTER)
    open_id = repo.start(MASTER)
    with pytest.raises(errors.ParentNotFinished):
        repo.start(MASTER)
    repo.finish(open_id)
    for ref in (open_id, MASTER):
        with pytest.raises(errors.CommitFinished):
            repo.finish(ref)
    with pytest.raises(errors.NoSuchBranch):
        repo.finish("nope")
    with pytest.raises(errors.NoSuchCommit):
        repo.finish("8b234298a6d84b3f8e4f3f7f7c3f5a54")
    repo.branch("empty")
    with pytest.raises(errors.NoSuchCommit):
        repo.finish("empty")


def test_starting_makes_and_moves_branches(repo: Repository) -> None:
    """A commit can be started on a branch that is not there yet, and on any commit of the repository."""
    first = repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "a", b"2")
    repo.start("dev", parent=first)
    repo.put("dev", "b", b"1")
    done = repo.finish("dev")
    assert done.parent == first
    assert repo.contents("dev") == {"a": b"1", "b": b"1"}
    repo.start("dev", parent=MASTER)
    repo.finish("dev")
    assert repo.contents("dev") == {"a": b"2"}
    repo.start("fresh")
    assert repo.finish("fresh").parent is None


def test_an_empty_commit(repo: Repository) -> None:
    """A commit that wrote nothing is one all the same."""
    repo.put(MASTER, "a", b"1")
    open_id = repo.start(MASTER, message="Nothing.")
    done = repo.finish(MASTER)
    assert (done.id, done.changes, done.objects) == (open_id, 0, 1)
    assert repo.contents(open_id) == {"a": b"1"}


def test_waiting(repo: Repository) -> None:
    """Who waits for a commit gets it when it is finished, or as it is when the time is over."""
    wait = repo.gateway.commits.wait
    first = repo.put(MASTER, "a", b"1")
    assert repo.run(wait(EVERYONE, repo.name, MASTER, 60)).id == first
    open_id = repo.start(MASTER)
    assert repo.run(wait(EVERYONE, repo.name, open_id, 0)).finished is None

    async def both() -> int | None:
        waiting = asyncio.ensure_future(wait(EVERYONE, repo.name, MASTER, 60))
        await asyncio.sleep(0)
        await repo.gateway.commits.finish(EVERYONE, repo.name, MASTER)
        return (await waiting).finished

    assert repo.run(both()) is not None


def test_dropping(repo: Repository) -> None:
    """The newest commit can be taken back with all that it wrote: what it hid is there again."""
    first = repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "b", b"1")
    repo.delete(MASTER, "a")
    repo.drop(MASTER)
    assert repo.contents(MASTER) == {"a": b"1", "b": b"1"}
    repo.drop(MASTER)
    assert repo.contents(MASTER) == {"a": b"1"}
    assert repo.head(MASTER) == first
    assert repo.versions(MASTER) == [("a", first, True, False)]
    repo.put(MASTER, "b", b"2")
    assert repo.contents(MASTER) == {"a": b"1", "b": b"2"}
    repo.drop(MASTER)
    repo.drop(MASTER)
    assert repo.contents(MASTER) == {}
    with pytest.raises(errors.NoSuchCommit):
        repo.drop(MASTER)


def test_dropping_what_is_open(repo: Repository) -> None:
    """An open commit that is dropped leaves no trace, and the next write is a commit of its own."""
    first = repo.put(MASTER, "a", b"1")
    open_id = repo.start(MASTER)
    repo.put(MASTER, "a", b"2")
    repo.put(MASTER, "b", b"2")
    repo.drop(MASTER)
    with pytest.raises(errors.NoSuchCommit):
        repo.contents(open_id)
    assert repo.contents(MASTER) == {"a": b"1"}
    second = repo.put(MASTER, "c", b"1")
    assert repo.commits(MASTER) == [second, first]


def test_what_cannot_be_dropped(repo: Repository) -> None:
    """A commit stays while another one, a branch or a tag stands on it."""
    first = repo.put(MASTER, "a", b"1")
    second = repo.put(MASTER, "a", b"2")
    with pytest.raises(errors.CommitInUse):
        repo.drop(first)
    repo.tag("v1", MASTER)
    with pytest.raises(errors.CommitInUse):
        repo.drop(second)
    repo.run(repo.gateway.tags.delete(EVERYONE, repo.name, "v1"))
    repo.branch("dev", head=MASTER)
    for ref in (second, "dev"):
        with pytest.raises(errors.CommitInUse):
            repo.drop(ref)
    repo.remove("dev")
    repo.drop(second)
    assert repo.contents(MASTER) == {"a": b"1"}


def test_dropping_down_to_a_fork(repo: Repository) -> None:
    """A branch that loses its own commits is where it began."""
    repo.put(MASTER, "a", b"1")
    repo.branch("dev", head=MASTER)
    repo.delete("dev", "a")
    repo.drop("dev")
    assert repo.contents("dev") == {"a": b"1"}
    assert repo.head("dev") == repo.head(MASTER)


def test_squashing(repo: Repository) -> None:
    """A squashed commit is part of the next one: what it wrote is there, and its own state cannot be named any more."""
    repo.branch("empty")
    first = repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "b", b"1")
    second = repo.delete(MASTER, "a")[0]
    third = repo.put(MASTER, "b", b"2")
    repo.squash(second)
    with pytest.raises(errors.NoSuchCommit):
        repo.contents(second)
    assert second not in repo.commits(MASTER)
    assert repo.commit(third).changes == 2
    assert repo.contents(third) == repo.contents(MASTER) == {"b": b"2"}
    assert repo.diff("master^", MASTER) == [("a", "removed"), ("b", "changed")]
    repo.squash(first)
    assert len(repo.commits(MASTER)) == 2
    assert repo.commit("master^").changes == 2
    repo.squash("master^")
    assert repo.commit(MASTER).changes == 2
    assert [key for key, *_ in repo.versions(MASTER)] == ["a", "b"]
    assert repo.diff("empty", MASTER) == [("b", "added")]


def test_what_cannot_be_squashed(repo: Repository) -> None:
    """A commit stays while it has no next one, or a branch, a tag, or a merge needs its very state."""
    first = repo.put(MASTER, "a", b"1")
    with pytest.raises(errors.CommitInUse):
        repo.squash(MASTER)
    repo.put(MASTER, "a", b"2")
    repo.tag("v1", first)
    with pytest.raises(errors.CommitInUse):
        repo.squash(first)
    repo.run(repo.gateway.tags.delete(EVERYONE, repo.name, "v1"))
    repo.branch("dev", head=first)
    with pytest.raises(errors.CommitInUse):
        repo.squash(first)
    second = repo.put("dev", "b", b"1")
    with pytest.raises(errors.CommitInUse):
        repo.squash(first)
    repo.merge("dev")
    repo.put("dev", "b", b"2")
    with pytest.raises(errors.CommitInUse):
        repo.squash(second)
    assert repo.contents(second) == {"a": b"1", "b": b"1"}


def test_squashing_a_merge(repo: Repository) -> None:
    """A merge that becomes part of the next commit is remembered there; two merges do not become one."""
    repo.put(MASTER, "a", b"1")
    repo.branch("dev", head=MASTER)
    there = repo.put("dev", "b", b"1")
    merge = repo.merge("dev").commit.id
    repo.delete(MASTER, "b")
    repo.squash(merge)
    assert repo.commit(MASTER).merged == there
    assert repo.merge("dev").commit is None
    assert repo.contents(MASTER) == {"a": b"1"}
    repo.put("dev", "c", b"1")
    repo.merge("dev")
    with pytest.raises(errors.CommitInUse):
        repo.squash("master^")


def test_the_head_is_not_squashed_into_an_open_commit(repo: Repository) -> None:
    """The branch's readers see the HEAD until the commit that is open is finished: it cannot be a part of that yet."""
    repo.put(MASTER, "a", b"1")
    head = repo.put(MASTER, "b", b"1")
    repo.start(MASTER)
    repo.put(MASTER, "b", b"2")
    with pytest.raises((errors.CommitInUse, errors.ParentNotFinished)):
        repo.squash(head)
    assert repo.contents(MASTER) == {"a": b"1", "b": b"1"}
    assert repo.head(MASTER) == head
    repo.finish(MASTER)
    repo.squash(head)
    assert repo.contents(MASTER) == {"a": b"1", "b": b"2"}


def test_dropping_what_took_in_another_commit(repo: Repository) -> None:
    """A commit that others were squashed into goes with all that they wrote."""
    first = repo.put(MASTER, "a", b"1")
    inner = repo.start(MASTER)
    repo.put(MASTER, "b", b"1")
    repo.delete(MASTER, "a")
    repo.put(MASTER, "c", b"1")
    repo.finish(MASTER)
    repo.put(MASTER, "c", b"2")
    repo.squash(inner)
    assert repo.contents(MASTER) == {"b": b"1", "c": b"2"}
    repo.drop(MASTER)
    assert repo.contents(MASTER) == {"a": b"1"}
    assert repo.head(MASTER) == first
    assert repo.versions(MASTER) == [("a", first, True, False)]
    repo.put(MASTER, "d", b"1")
    assert repo.contents(MASTER) == {"a": b"1", "d": b"1"}


def test_versions_after_a_squash(repo: Repository) -> None:
    """What a squashed commit wrote is a version of the next one's, by the id of that, on branches that began there too,
    whatever has been flattened.
    """
    first = repo.put(MASTER, "a", b"1")
    inner = repo.put(MASTER, "a", b"2")
    outer = repo.put(MASTER, "b", b"1")
    expected = [("a", outer, True, False), ("a", first, False, False), ("b", outer, True, False)]
    repo.branch("one", head=MASTER)
    repo.branch("dev", head="one")
    own = repo.put("dev", "c", b"1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flattening, "MAX_DEPTH", 0)
        repo.run(tidying.tidy(repo.gateway.rooms))
    repo.squash(inner)
    for branch, listed in ((MASTER, expected), ("one", expected), ("dev", [*expected, ("c", own, True, False)])):
        assert repo.versions(branch) == listed
        for key, version_id, *_ in listed:
            assert repo.get(branch, key, version_id) is not None
        assert repo.get(branch, "a", outer) == b"2"


def test_large_commits_go_in_steps(
    repo: Repository, runner: asyncio.Runner, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is dropped or squashed is out of sight at once, however long it takes until it is gone."""
    monkeypatch.setattr(rewriting, "AT_ONCE", 2)
    monkeypatch.setattr(tidying, "STEP", 2)
    keys = [f"k{number}" for number in range(8)]

    def fill(data: bytes) -> str:
        made = repo.start(MASTER)
        for key in keys:
            repo.put(MASTER, key, data)
        repo.finish(MASTER)
        return made

    repo.put(MASTER, "k0", b"0")
    squashed = fill(b"1")
    kept = repo.put(MASTER, "k1", b"2")
    repo.squash(squashed)
    expected = dict.fromkeys(keys, b"1") | {"k1": b"2"}
    fill(b"3")
    repo.drop(MASTER)
    while True:
        assert repo.contents(MASTER) == expected
        assert repo.contents(kept) == expected
        assert repo.contents("master^") == {"k0": b"0"}
        assert repo.head(MASTER) == kept
        if not rewrite(runner, gateway):
            break
    fill(b"4")
    repo.drop(MASTER)
    repo.put(MASTER, "k0", b"5")
    collect(runner, gateway)
    assert repo.contents(MASTER) == expected | {"k0": b"5"}


def test_what_is_dropped_is_freed(make_repository: MakeRepository, runner: asyncio.Runner, gateway: Gateway) -> None:
    """Content that only dropped or squashed commits named is gone from the disk."""
    repo = make_repository()
    repo.put(MASTER, "a", b"x" * 100)
    before = collect(runner, gateway)
    repo.put(MASTER, "a", b"y" * 100)
    repo.put(MASTER, "b", b"z" * 100)
    repo.drop(MASTER)
    repo.drop(MASTER)
    assert collect(runner, gateway) == before
    repo.put(MASTER, "a", b"y" * 100)
    repo.put(MASTER, "a", b"z" * 100)
    repo.squash("master^")
    assert collect(runner, gateway) == before + 1
    repo.branch("dev", head=MASTER)
    repo.put("dev", "b", b"q" * 100)
    repo.drop("dev")
    repo.remove("dev")
    assert collect(runner, gateway) == before + 1


def test_notes(repo: Repository) -> None:
    """A commit keeps what its writer says of it, however it was made."""
    said = saying("Why.", {"run": "7"})
    commit = repo.commit(repo.put(MASTER, "a", b"1", as_=said))
    assert (commit.message, commit.metadata) == ("Why.", {"run": "7"})
    commit = repo.commit(repo.put(MASTER, "a", b"1", metadata={"tidegate-commit-message": "In passing.", "x": "1"}))
    assert commit.message == "In passing."
    head = repo.run(repo.gateway.objects.head(EVERYONE, repo.ref(MASTER), "a"))
    assert head.attributes.metadata == {"x": "1"}


def test_pages_of_commits(repo: Repository) -> None:
    """Commits come page by page, the newest first, across forks; a page after a commit that is gone goes on there."""
    made = [repo.put(MASTER, "a", b"%d" % number) for number in range(5)]
    repo.branch("dev", head="master^^")
    made_there = [repo.put("dev", "a", b"%d" % number) for number in range(3)]
    assert repo.commits("dev") == [*made_there[::-1], *made[2::-1]]
    assert repo.commits(None) == [*made_there[::-1], *made[::-1]]
    listed = repo.gateway.commits.list
    page, last = repo.run(listed(EVERYONE, repo.name, "dev", limit=2))
    assert last == made_there[1]
    repo.squash(made_there[1])
    page, _ = repo.run(listed(EVERYONE, repo.name, "dev", limit=2, after=last))
    assert [each.id for each in page] == [made_there[0], made[2]]
    with pytest.raises(errors.InvalidArgument):
        repo.run(listed(EVERYONE, repo.name, "dev", limit=2, after="x"))
    with pytest.raises(errors.NoSuchBranch):
        repo.run(listed(EVERYONE, repo.name, "nope", limit=2))


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_lists_tell_what_commits_stand_on(repo: Repository, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """The same as each commit tells by itself: at the edges of pages, across forks, and of those that are open."""
    monkeypatch.setattr(changes, "STEP", 1)
    repo.put(MASTER, "a", b"1")
    repo.branch("dev", head=MASTER)
    repo.branch("empty")
    for number in range(3):
        repo.put(MASTER, "a", b"%d" % number)
        repo.put("dev", f"d{number}", b"1")
    repo.put("empty", "b", b"1")
    repo.merge("dev")
    repo.branch("dev", head="dev^^")  # what it was on stays
    repo.put("dev", "e", b"1")
    repo.start(MASTER)
    listed = repo.gateway.commits.list
    for ref, count in ((MASTER, 6), ("dev", 3), ("empty", 1), (None, 11)):
        found: list[Commit] = []
        after: str | None = ""
        while after is not None:
            page, after = repo.run(listed(EVERYONE, repo.name, ref, limit=limit, after=after))
            found += page
        assert found == [repo.commit(each.id) for each in found]
        assert len(found) == count


def test_a_page_of_commits_is_one_query(repo: Repository) -> None:
    """Of a branch that has them on its own log, however many they are."""
    for number in range(20):
        repo.put(MASTER, "a", b"%d" % number)

    class Counting:
        def __init__(self, tx: Reader) -> None:
            self.tx, self.count = tx, 0

        def rows(self, sql: str, parameters: Sequence[Value] = ()) -> Iterator[Row]:
            self.count += 1
            return self.tx.rows(sql, parameters)

        def one(self, sql: str, parameters: Sequence[Value] = ()) -> Row | None:
            self.count += 1
            return self.tx.one(sql, parameters)

    def look(tx: Reader) -> tuple[list[Commit], int]:
        layers = resolve(tx, repo.ref(MASTER)).layers
        counting = Counting(tx)
        return commits.page(counting, layers, repo.name, NEWEST, 100), counting.count

    found, count = repo.run(repo.gateway.rooms.catalog.read(look))
    assert (len(found), count) == (20, 1)


def test_after_a_large_drop_the_one_before_can_be_dropped_too(
    make_repository: MakeRepository, runner: asyncio.Runner, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large they are, commits can be dropped one after the other, down to the first; then nothing is left."""
    before = collect(runner, gateway)
    repo = make_repository()
    monkeypatch.setattr(rewriting, "AT_ONCE", 2)
    for size in (1, 5, 1, 5):
        repo.start(MASTER)
        for number in range(size):
            repo.put(MASTER, f"k{number}", b"%d" % size * 100)
        repo.finish(MASTER)
    states = [repo.contents(each) for each in repo.commits(MASTER)]
    for expected in [*states[1:], {}]:
        repo.drop(MASTER)
        assert repo.contents(MASTER) == expected
        assert repo.page(MASTER) == (sorted(expected), [], None)
    assert repo.commits(MASTER) == []
    assert collect(runner, gateway) == before
    repo.put(MASTER, "a", b"1")
    assert repo.contents(MASTER) == {"a": b"1"}


def test_a_log_that_nobody_can_reach_is_freed(
    make_repository: MakeRepository, runner: asyncio.Runner, gateway: Gateway
) -> None:
    """The commits of a branch that is gone can be dropped, and leave nothing behind when the last one is."""
    repo = make_repository()
    logs = runner.run(gateway.rooms.catalog.read(lambda tx: tx.one("SELECT count(*) FROM logs")))
    repo.branch("dev")
    made = [repo.put("dev", "a", b"%d" % number) for number in range(3)]
    repo.remove("dev")
    for each in reversed(made):
        repo.drop(each)
    collect(runner, gateway)
    assert runner.run(gateway.rooms.catalog.read(lambda tx: tx.one("SELECT count(*) FROM logs"))) == logs
