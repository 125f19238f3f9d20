"""What has changed between states, and taking changes over: diff, log, merge, revert, cherry-pick."""

from __future__ import annotations

import asyncio

import pytest

from tests.repos.conftest import MakeRepository
from tests.repos.repository import MASTER, Repository, collect, saying
from tidegate import errors
from tidegate.catalog import repos
from tidegate.gateway import Gateway
from tidegate.gateway.repos import aside, changes
from tidegate.model import EVERYONE, Merged, Origin


@pytest.fixture(params=[1000, 2], ids=["at once", "in steps"])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many keys a merge writes in one transaction."""
    monkeypatch.setattr(changes, "STEP", request.param)
    return int(request.param)


def write(repo: Repository, branch: str, **objects: bytes | None) -> str:
    """Writes and deletes (None) objects in one commit. Returns its id."""
    made = repo.start(branch)
    for key, data in objects.items():
        if data is None:
            repo.delete(branch, key)
        else:
            repo.put(branch, key, data)
    repo.finish(branch)
    return made


def forked(repo: Repository, **objects: bytes) -> None:
    """Branches master and dev with the same objects."""
    write(repo, MASTER, **objects)
    repo.branch("dev", head=MASTER)


# --- diff, log, find --------------------------------------------------------------------------------------------------


def test_differences(repo: Repository) -> None:
    """A diff tells what was added, removed and changed, by path and page by page, in both directions."""
    before = write(repo, MASTER, a=b"1", b=b"1", c=b"1", d=b"1")
    after = write(repo, MASTER, a=b"2", b=None, d=b"1", e=b"1")
    expected = [("a", "changed"), ("b", "removed"), ("e", "added")]
    assert repo.diff(before, after) == expected
    assert repo.diff("master^", MASTER) == expected
    assert repo.diff(after, before) == [("a", "changed"), ("b", "added"), ("e", "removed")]
    assert repo.diff(after, after) == []
    assert repo.diff(before, after, prefix="e") == [("e", "added")]
    assert repo.diff(before, after, limit=1) == expected
    repo.branch("empty")
    assert repo.diff("empty", before) == [(key, "added") for key in "abcd"]
    assert repo.diff(before, "empty") == [(key, "removed") for key in "abcd"]


def test_differences_of_branches(repo: Repository) -> None:
    """A diff of branches that went apart tells of both sides; what is the same on both is no difference."""
    forked(repo, a=b"1", b=b"1", same=b"1")
    write(repo, MASTER, a=b"2", same=b"2", mine=b"1")
    write(repo, "dev", b=None, same=b"2", yours=b"1")
    assert repo.diff(MASTER, "dev") == [("a", "changed"), ("b", "removed"), ("mine", "removed"), ("yours", "added")]
    repo.branch("apart")
    repo.put("apart", "a", b"2")
    assert repo.diff("apart", MASTER) == [("b", "added"), ("mine", "added"), ("same", "added")]


def test_metadata_is_a_difference(repo: Repository) -> None:
    """The same bytes with other metadata or tags are another object."""
    repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "a", b"1")
    assert repo.diff("master^", MASTER) == []
    repo.put(MASTER, "a", b"1", metadata={"x": "1"})
    assert repo.diff("master^", MASTER) == [("a", "changed")]
    repo.put(MASTER, "a", b"1", metadata={"x": "1"}, tags={"y": "1"})
    assert repo.diff("master^", MASTER) == [("a", "changed")]


def test_a_diff_of_an_open_commit(repo: Repository) -> None:
    """What an open commit has changed can be seen before it is finished."""
    repo.put(MASTER, "a", b"1")
    open_id = repo.start(MASTER)
    repo.put(MASTER, "a", b"2")
    repo.put(MASTER, "b", b"2")
    assert repo.diff(MASTER, open_id) == [("a", "changed"), ("b", "added")]


def test_log_and_find(repo: Repository) -> None:
    """An object's history has its versions and deletes, also from before a fork; so has the list of its commits."""
    first = repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "b", b"1")
    second = repo.delete(MASTER, "a")[0]
    repo.branch("dev", head=MASTER)
    third = repo.put("dev", "a", b"2")
    repo.put(MASTER, "a", b"3")
    log = repo.run(repo.gateway.changes.log(EVERYONE, repo.name, "dev", "a", limit=10))
    assert [(each.version_id, each.is_delete_marker) for each in log] == [
        (third, False),
        (second, True),
        (first, False),
    ]
    assert [each.is_latest for each in log] == [True, False, False]
    find = repo.gateway.commits.find
    assert [each.id for each in repo.run(find(EVERYONE, repo.name, "dev", "a", limit=10))] == [third, second, first]
    assert [each.id for each in repo.run(find(EVERYONE, repo.name, "dev", "a", limit=2))] == [third, second]
    assert repo.run(find(EVERYONE, repo.name, "dev", "nope", limit=10)) == []


# --- merge ------------------------------------------------------------------------------------------------------------


def test_a_merge_takes_over_what_only_one_side_has_changed(repo: Repository, step: int) -> None:
    """Three ways: what either side has added, changed or removed is there, in one commit with two parents."""
    forked(repo, a=b"1", b=b"1", c=b"1", d=b"1", same=b"1", gone=b"1")
    write(repo, MASTER, a=b"2", b=None, mine=b"1", same=b"2", gone=None)
    ours, theirs = repo.head(MASTER), write(repo, "dev", c=b"3", d=None, yours=b"1", same=b"2", gone=None)
    planned = repo.merge("dev", dry_run=True)
    assert planned == Merged(None, 3)
    assert repo.head(MASTER) == ours
    merged = repo.merge("dev")
    expected = {"a": b"2", "c": b"3", "mine": b"1", "yours": b"1", "same": b"2"}
    assert repo.contents(MASTER) == expected
    commit = merged.commit
    assert (merged.changes, merged.conflicts) == (3, ())
    assert (commit.id, commit.parent, commit.merged) == (repo.head(MASTER), ours, theirs)
    assert (commit.origin, commit.message, commit.changes) == (Origin.MERGE, "Merge dev into master", 3)
    assert commit.finished is not None
    assert (commit.objects, commit.size) == (5, 5)
    assert repo.contents(ours or "") == {"a": b"2", "c": b"1", "d": b"1", "mine": b"1", "same": b"2"}
    assert repo.contents("dev") == {"a": b"1", "b": b"1", "c": b"3", "yours": b"1", "same": b"2"}
    assert repo.merge("dev") == Merged(None, 0)
    assert repo.head(MASTER) == commit.id


def test_conflicts(repo: Repository, step: int) -> None:
    """What both sides have changed is a conflict that is told and not written, until somebody chooses."""
    objects = {"edit": b"1", "mine_gone": b"1", "yours_gone": b"1", "fine": b"1", "agreed": b"1"}
    forked(repo, **objects)
    write(repo, MASTER, edit=b"2", mine_gone=None, yours_gone=b"2", both_new=b"2", agreed=b"5")
    write(repo, "dev", edit=b"3", mine_gone=b"3", yours_gone=None, both_new=b"3", fine=b"3", agreed=b"5")
    head = repo.head(MASTER)
    for dry_run in (True, False):
        merged = repo.merge("dev", dry_run=dry_run)
        assert merged.commit is None
        sizes = [
            (each.path, *(None if side is None else side.etag != "" for side in (each.base, each.ours, each.theirs)))
            for each in merged.conflicts
        ]
        assert sizes == [
            ("both_new", None, True, True),
            ("edit", True, True, True),
            ("mine_gone", True, None, True),
            ("yours_gone", True, True, None),
        ]
        assert repo.head(MASTER) == head
    left = repo.merge("dev", choices={"edit": "theirs", "both_new": "ours"})
    assert [each.path for each in left.conflicts] == ["mine_gone", "yours_gone"]
    assert repo.head(MASTER) == head
    done = repo.merge("dev", choices={"edit": "theirs", "both_new": "ours", "mine_gone": "theirs"}, prefer="ours")
    assert done.conflicts == ()
    assert repo.contents(MASTER) == {
        "edit": b"3", "mine_gone": b"3", "yours_gone": b"2", "both_new": b"2", "fine": b"3", "agreed": b"5",
    }  # fmt: skip
    assert repo.merge("dev") == Merged(None, 0)


@pytest.mark.parametrize(("side", "expected"), [("ours", b"2"), ("theirs", b"3")])
def test_a_side_is_preferred(repo: Repository, step: int, side: str, expected: bytes) -> None:
    """One word settles all conflicts, and only conflicts."""
    forked(repo, a=b"1", b=b"1", c=b"1")
    write(repo, MASTER, a=b"2", b=b"2", c=b"2", mine=b"2")
    write(repo, "dev", a=b"3", b=b"3", c=b"3", yours=b"3")
    assert repo.merge("dev", prefer=side).conflicts == ()
    assert repo.contents(MASTER) == {"a": expected, "b": expected, "c": expected, "mine": b"2", "yours": b"3"}


def test_a_merge_is_remembered_even_if_nothing_was_taken(repo: Repository, step: int) -> None:
    """Conflicts that were settled do not come back with the next merge."""
    forked(repo, a=b"1", b=b"1", c=b"1")
    write(repo, MASTER, a=b"2", b=b"2", c=b"2")
    write(repo, "dev", a=b"3", b=b"3", c=b"3")
    assert repo.merge("dev", prefer="ours").commit is not None
    write(repo, "dev", d=b"1")
    assert repo.merge("dev").conflicts == ()
    assert repo.contents(MASTER) == {"a": b"2", "b": b"2", "c": b"2", "d": b"1"}


def test_merging_into_what_has_not_changed(repo: Repository, step: int) -> None:
    """Where the branch stands at the common past, it becomes what the other one is."""
    forked(repo, a=b"1", b=b"1")
    write(repo, "dev", a=None, b=b"2", c=b"2", d=b"2")
    assert repo.merge("dev").changes == 4
    assert repo.contents(MASTER) == repo.contents("dev") == {"b": b"2", "c": b"2", "d": b"2"}
    assert repo.merge(MASTER, "dev").conflicts == ()
    assert repo.contents("dev") == repo.contents(MASTER)


def test_merging_again_and_again_in_both_directions(repo: Repository, step: int) -> None:
    """Each merge takes over what is new since the last one, in either direction; nothing comes back."""
    forked(repo, a=b"1", b=b"1", c=b"1")
    write(repo, "dev", a=b"2", d=b"2", e=b"2")
    repo.merge("dev")
    write(repo, MASTER, a=None, d=b"3", f=b"3")
    repo.merge(MASTER, "dev")
    assert repo.contents("dev") == repo.contents(MASTER) == {"b": b"1", "c": b"1", "d": b"3", "e": b"2", "f": b"3"}
    write(repo, "dev", e=None, b=b"4")
    write(repo, MASTER, c=b"5")
    repo.merge("dev")
    assert repo.contents(MASTER) == {"b": b"4", "c": b"5", "d": b"3", "f": b"3"}
    write(repo, "dev", d=None)
    repo.merge(MASTER, "dev")
    repo.merge("dev")
    assert repo.contents("dev") == repo.contents(MASTER) == {"b": b"4", "c": b"5", "f": b"3"}


def test_what_was_removed_after_a_merge_stays_removed(repo: Repository, step: int) -> None:
    """A later merge from the same branch does not bring back what was taken away after the first one."""
    forked(repo, a=b"1")
    write(repo, "dev", b=b"2", c=b"2", d=b"2")
    repo.merge("dev")
    write(repo, MASTER, b=None, c=b"9")
    write(repo, "dev", e=b"2")
    assert repo.merge("dev").conflicts == ()
    assert repo.contents(MASTER) == {"a": b"1", "c": b"9", "d": b"2", "e": b"2"}


def test_changes_that_came_by_way_of_a_third_branch(repo: Repository, step: int) -> None:
    """What a branch has taken over through another one is known to be there: it conflicts with nothing, and what was
    removed since does not come back.
    """
    forked(repo, a=b"1")
    repo.branch("other", head=MASTER)
    write(repo, "dev", b=b"2", c=b"2", d=b"2")
    repo.merge("dev", "other")
    repo.merge("other")
    write(repo, MASTER, b=None, c=b"9")
    assert repo.merge("dev") == Merged(None, 0)
    write(repo, "dev", e=b"3")
    assert repo.merge("dev").conflicts == ()
    assert repo.contents(MASTER) == {"a": b"1", "c": b"9", "d": b"2", "e": b"3"}
    repo.merge(MASTER, "dev")
    assert repo.contents("dev") == repo.contents(MASTER)


def test_a_branch_of_what_was_merged(repo: Repository, step: int) -> None:
    """A branch that begins at a merge knows what came with it."""
    forked(repo, a=b"1")
    write(repo, "dev", b=b"2", c=b"2", d=b"2")
    repo.merge("dev")
    repo.branch("late", head=MASTER)
    write(repo, "late", b=None, c=b"9")
    write(repo, "dev", e=b"3")
    assert repo.merge("late", "dev").conflicts == ()
    assert repo.contents("dev") == {"a": b"1", "c": b"9", "d": b"2", "e": b"3"}


def test_branches_without_a_common_past(repo: Repository, step: int) -> None:
    """Without a common past all is new on both sides: the same is fine, and what differs is a conflict."""
    write(repo, MASTER, a=b"1", same=b"1")
    repo.branch("apart")
    write(repo, "apart", a=b"2", same=b"1", b=b"2", c=b"2")
    assert [each.path for each in repo.merge("apart").conflicts] == ["a"]
    repo.merge("apart", prefer="theirs")
    assert repo.contents(MASTER) == {"a": b"2", "same": b"1", "b": b"2", "c": b"2"}
    repo.branch("empty")
    repo.merge("empty")
    assert repo.contents(MASTER) == {"a": b"2", "same": b"1", "b": b"2", "c": b"2"}
    repo.merge(MASTER, "empty")
    assert repo.contents("empty") == repo.contents(MASTER)


def test_a_merge_of_a_tag_or_an_ancestor(repo: Repository, step: int) -> None:
    """Any state of the repository can be merged, not only a HEAD."""
    forked(repo, a=b"1")
    write(repo, "dev", b=b"1", c=b"1", d=b"1")
    repo.tag("v1", "dev")
    write(repo, "dev", e=b"1")
    repo.merge("v1")
    assert repo.contents(MASTER) == {"a": b"1", "b": b"1", "c": b"1", "d": b"1"}
    assert repo.merge("dev^") == Merged(None, 0)
    repo.merge("dev")
    assert repo.contents(MASTER) == repo.contents("dev")


def test_a_merge_keeps_objects_as_they_are(repo: Repository) -> None:
    """A merge copies no bytes; metadata, tags, ETags and times come with the objects."""
    forked(repo, a=b"1")
    repo.put("dev", "b", b"x" * 1000, metadata={"x": "1"}, tags={"y": "2"})
    repo.merge("dev")
    head = repo.gateway.objects.head
    ours, theirs = (repo.run(head(EVERYONE, repo.ref(ref), "b")) for ref in (MASTER, "dev"))
    assert ours.blob == theirs.blob
    for name in ("etag", "size", "modified", "attributes", "tags"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_a_merge_says_what_it_is_told(repo: Repository, step: int) -> None:
    """Message and metadata of a merge are the caller's where there are any, and a wrong HEAD refuses it."""
    forked(repo, a=b"1")
    write(repo, "dev", b=b"1", c=b"1", d=b"1")
    merge = repo.gateway.changes.merge
    with pytest.raises(errors.PreconditionFailed):
        repo.run(merge(saying(if_head=repo.head("dev") or ""), repo.name, "dev", MASTER))
    said = saying("Because.", {"run": "7"}, repo.head(MASTER) or "")
    commit = repo.run(merge(said, repo.name, "dev", MASTER)).commit
    assert commit is not None
    assert (commit.message, commit.metadata) == ("Because.", {"run": "7"})


def test_a_merge_while_a_commit_is_open(repo: Repository, step: int) -> None:
    """A merge is a commit of its own, and so waits for one that is open; what it would do can be seen."""
    forked(repo, a=b"1")
    write(repo, "dev", **{f"k{number}": b"1" for number in range(5)})
    repo.start(MASTER)
    repo.put(MASTER, "mine", b"1")
    with pytest.raises(errors.ParentNotFinished):
        repo.merge("dev")
    assert repo.merge("dev", dry_run=True) == Merged(None, 5)
    repo.finish(MASTER)
    assert repo.contents(MASTER) == {"a": b"1", "mine": b"1"}


@pytest.mark.parametrize(("key", "is_refused"), [("mine", False), ("k0", True), ("k19", True)])
def test_writes_during_a_large_merge(
    repo: Repository,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    is_refused: bool,  # noqa: FBT001 - a parameter
) -> None:
    """What others write to the branch while a merge is under way is a commit of theirs, on which the merge stands in
    the end; unless both change the same, which refuses the merge and leaves nothing of it.
    """
    monkeypatch.setattr(changes, "STEP", 1)
    merged = {f"k{number}": b"1" for number in range(20)}
    forked(repo, a=b"1")
    write(repo, "dev", **merged)
    merge = repo.gateway.changes.merge

    async def both() -> None:
        merging = asyncio.ensure_future(merge(EVERYONE, repo.name, "dev", MASTER))
        while not merging.done() and not await repo.begun_beside():  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert not merging.done()
        found, _ = await repo.gateway.commits.list(EVERYONE, repo.name, None, limit=9)
        assert len(found) == 2  # nobody sees it
        await repo.putting(MASTER, key, b"9")
        assert not merging.done()
        await merging

    if is_refused:
        with pytest.raises(errors.ConditionalRequestConflict):
            repo.run(both())
        assert repo.contents(MASTER) == {"a": b"1", key: b"9"}
    else:
        repo.run(both())
        assert repo.contents(MASTER) == {"a": b"1", "mine": b"9", **merged}
        head = repo.commit(MASTER)
        assert (head.objects, head.size, head.changes) == (22, 22, 20)
        assert repo.merge("dev") == Merged(None, 0)
        assert repo.get("master^", "mine") == b"9"
    made = repo.commits(MASTER)
    assert len(made) == (2 if is_refused else 3)
    assert [repo.commit(each).parent for each in made] == [*made[1:], None]
    assert repo.run(repo.gateway.branches.get(EVERYONE, repo.name, MASTER)).open is None


def test_what_a_merge_left_behind_is_forgotten(
    make_repository: MakeRepository, runner: asyncio.Runner, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large merge that never came to its end, nothing is left once another one has been made long after."""
    repo = make_repository()
    monkeypatch.setattr(changes, "STEP", 2)
    forked(repo, a=b"1")
    write(repo, "dev", b=b"1", c=b"1", d=b"1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aside, "_step", _never)
        patch.setattr(repos, "drop_log", lambda *_: None)
        with pytest.raises(InterruptedError):
            repo.merge("dev")
    assert repo.run(repo.begun_beside()) == 1
    assert len(repo.commits(None)) == 2
    monkeypatch.setattr(aside, "ABANDONED_AFTER", -1)
    repo.merge("dev")
    assert repo.run(repo.begun_beside()) == 0
    assert len(repo.commits(None)) == 3
    assert repo.contents(MASTER) == repo.contents("dev")
    collect(runner, gateway)


def _never(*_: object, **__: object) -> None:
    raise InterruptedError


# --- revert and cherry-pick -------------------------------------------------------------------------------------------


def test_revert(repo: Repository, step: int) -> None:
    """A commit is taken back where it stands: what it added goes, what it removed or changed is as it was."""
    write(repo, MASTER, a=b"1", b=b"1", c=b"1")
    wrong = write(repo, MASTER, a=b"2", b=None, d=b"2", e=b"2")
    write(repo, MASTER, c=b"3", f=b"3")
    revert = repo.gateway.changes.revert
    done = repo.run(revert(EVERYONE, repo.name, MASTER, wrong))
    assert repo.contents(MASTER) == {"a": b"1", "b": b"1", "c": b"3", "f": b"3"}
    assert done.commit is not None
    assert (done.commit.origin, done.changes, done.commit.message) == (Origin.USER, 4, f"Revert {wrong}")
    assert repo.run(revert(EVERYONE, repo.name, MASTER, wrong)) == Merged(None, 0)
    repo.run(revert(EVERYONE, repo.name, MASTER, MASTER))
    assert repo.contents(MASTER) == {"a": b"2", "c": b"3", "d": b"2", "e": b"2", "f": b"3"}


def test_a_revert_of_what_has_changed_since(repo: Repository) -> None:
    """What was changed again after a commit is a conflict of its revert, and nothing is written."""
    write(repo, MASTER, a=b"1", b=b"1")
    wrong = write(repo, MASTER, a=b"2", b=b"2")
    head = write(repo, MASTER, a=b"3")
    done = repo.run(repo.gateway.changes.revert(EVERYONE, repo.name, MASTER, wrong))
    assert [each.path for each in done.conflicts] == ["a"]
    assert repo.head(MASTER) == head


def test_a_revert_of_the_first_commit(repo: Repository) -> None:
    """Before the first commit there was nothing; before the first one of a fork there was what it forked from."""
    first = write(repo, MASTER, a=b"1", b=b"1")
    repo.branch("dev", head=MASTER)
    second = write(repo, "dev", a=b"2")
    repo.run(repo.gateway.changes.revert(EVERYONE, repo.name, "dev", second))
    assert repo.contents("dev") == {"a": b"1", "b": b"1"}
    repo.run(repo.gateway.changes.revert(EVERYONE, repo.name, MASTER, first))
    assert repo.contents(MASTER) == {}
    assert repo.contents(first) == {"a": b"1", "b": b"1"}


def test_cherry_pick(repo: Repository, step: int) -> None:
    """What one commit has done elsewhere is done here, and nothing else of that branch."""
    forked(repo, a=b"1", b=b"1")
    write(repo, "dev", x=b"1")
    wanted = write(repo, "dev", a=b"2", b=None, c=b"2")
    write(repo, "dev", y=b"1")
    pick = repo.gateway.changes.cherry_pick
    done = repo.run(pick(EVERYONE, repo.name, MASTER, wanted))
    assert repo.contents(MASTER) == {"a": b"2", "c": b"2"}
    assert done.commit is not None
    assert (done.commit.merged, done.commit.message) == (None, f"Cherry-pick {wanted}")
    assert repo.run(pick(EVERYONE, repo.name, MASTER, wanted)) == Merged(None, 0)
    assert repo.merge("dev").conflicts == ()
    assert repo.contents(MASTER) == repo.contents("dev")


def test_a_revert_of_a_merge(repo: Repository, step: int) -> None:
    """A merge can be taken back as any commit."""
    forked(repo, a=b"1")
    write(repo, "dev", a=b"2", b=b"2", c=b"2")
    repo.merge("dev")
    repo.run(repo.gateway.changes.revert(EVERYONE, repo.name, MASTER, MASTER))
    assert repo.contents(MASTER) == {"a": b"1"}


def test_after_a_squash_a_commit_is_reverted_as_a_whole(repo: Repository) -> None:
    """A commit that took in another one is both of them, to revert and cherry-pick too."""
    write(repo, MASTER, a=b"1")
    inner = write(repo, MASTER, b=b"2")
    outer = write(repo, MASTER, c=b"3")
    repo.branch("dev", head="master.1")
    repo.squash(inner)
    repo.run(repo.gateway.changes.cherry_pick(EVERYONE, repo.name, "dev", outer))
    assert repo.contents("dev") == {"a": b"1", "b": b"2", "c": b"3"}
    repo.run(repo.gateway.changes.revert(EVERYONE, repo.name, MASTER, outer))
    assert repo.contents(MASTER) == {"a": b"1"}


def test_merges_leave_a_sound_catalog(
    make_repository: MakeRepository, runner: asyncio.Runner, gateway: Gateway
) -> None:
    """After all that, what fsck looks at is as it should be."""
    collect(runner, gateway)
