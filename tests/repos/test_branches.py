"""Branches and tags: making, moving, protecting and removing them, and what follows of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.repos.conftest import MakeRepository
from tests.repos.repository import MASTER, Repository, collect, saying
from tidegate import errors
from tidegate.gateway import Gateway
from tidegate.gateway.copying import Source
from tidegate.gateway.objects import NewObject
from tidegate.model import EVERYONE, NO_TRIGGER, BranchRef, Origin, Trigger, Versioning
from tidegate.names import BucketName
from tidegate.refs import RefName, RepoName


def test_a_branch_begins_at_a_commit_and_goes_its_own_way(repo: Repository) -> None:
    """A branch made from a commit has what was in it, and neither side sees what the other writes afterwards."""
    first = repo.put(MASTER, "a", b"1")
    second = repo.put(MASTER, "b", b"2")
    repo.branch("old", head=first)
    repo.branch("dev", head=MASTER)
    assert repo.head("old") == first
    assert repo.head("dev") == second
    assert repo.contents("old") == {"a": b"1"}
    repo.put("dev", "c", b"3")
    repo.delete("dev", "a")
    repo.put(MASTER, "a", b"4")
    assert repo.contents("dev") == {"b": b"2", "c": b"3"}
    assert repo.contents(MASTER) == {"a": b"4", "b": b"2"}
    assert repo.contents("old") == {"a": b"1"}
    assert repo.commits("dev")[-2:] == [second, first]


def test_a_branch_of_a_branch_of_a_branch(repo: Repository) -> None:
    """What lies at the bottom of a chain of forks is seen at its top, unless something above it hides it."""
    repo.put(MASTER, "a", b"0")
    repo.put(MASTER, "b", b"0")
    below = MASTER
    for depth in range(1, 6):
        repo.branch(f"level{depth}", head=below)
        below = f"level{depth}"
        repo.put(below, f"k{depth}", b"%d" % depth)
    repo.delete("level3", "a")
    assert repo.contents("level5") == {"a": b"0", "b": b"0"} | {f"k{depth}": b"%d" % depth for depth in range(1, 6)}
    repo.delete("level5", "a")
    repo.put("level5", "b", b"9")
    assert repo.page("level5", delimiter="/")[0] == ["b", "k1", "k2", "k3", "k4", "k5"]
    assert repo.get("level5", "b") == b"9"
    assert repo.get("level4", "b") == b"0"
    assert repo.contents("level3") == {"b": b"0", "k1": b"1", "k2": b"2", "k3": b"3"}
    assert len(repo.commits("level5")) == 9


def test_moving_a_branch(repo: Repository) -> None:
    """A branch can be put onto any commit of its repository; what it left stays, and what it writes then is new."""
    first = repo.put(MASTER, "a", b"1")
    second = repo.put(MASTER, "a", b"2")
    repo.branch(MASTER, head=first)
    assert repo.head(MASTER) == first
    assert repo.contents(MASTER) == {"a": b"1"}
    third = repo.put(MASTER, "b", b"3")
    assert repo.commits(MASTER) == [third, first]
    assert repo.contents(second) == {"a": b"2"}
    repo.branch(MASTER, head=second)
    assert repo.contents(MASTER) == {"a": b"2"}
    assert sorted(repo.commits(None)) == sorted([first, second, third])
    repo.branch(MASTER, head=MASTER)
    assert repo.head(MASTER) == second


def test_a_branch_is_not_moved_under_an_open_commit(repo: Repository) -> None:
    """While a commit is open on a branch, moving the branch is refused."""
    first = repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "a", b"2")
    repo.start(MASTER)
    with pytest.raises(errors.ParentNotFinished):
        repo.branch(MASTER, head=first)


def test_nothing_begins_at_an_open_commit(repo: Repository) -> None:
    """An open commit still changes: no branch, commit, tag or merge may be made of it."""
    repo.put(MASTER, "a", b"1")
    open_id = repo.start(MASTER)
    repo.branch("other", head=MASTER)
    for act in (
        lambda: repo.branch("dev", head=open_id),
        lambda: repo.branch("other", head=f"{MASTER}={open_id}"),
        lambda: repo.start("dev", parent=open_id),
        lambda: repo.start("other", parent=open_id),
        lambda: repo.tag("v1", open_id),
        lambda: repo.merge(open_id, "other"),
        lambda: repo.run(repo.gateway.changes.revert(EVERYONE, repo.name, "other", open_id)),
        lambda: repo.run(repo.gateway.changes.cherry_pick(EVERYONE, repo.name, "other", open_id)),
    ):
        with pytest.raises(errors.ParentNotFinished):
            act()
    assert {each.name for each in repo.run(repo.gateway.branches.list(EVERYONE, repo.name))[0]} == {MASTER, "other"}


def test_removing_a_branch_leaves_its_commits(repo: Repository) -> None:
    """A branch that was deleted is gone; its commits can still be read, and a branch be made of them."""
    repo.put(MASTER, "a", b"1")
    repo.branch("dev", head=MASTER)
    made = repo.put("dev", "b", b"2")
    repo.remove("dev")
    with pytest.raises(errors.NoSuchBranch):
        repo.get("dev", "b")
    assert repo.contents(made) == {"a": b"1", "b": b"2"}
    repo.branch("dev", head=made)
    assert repo.contents("dev") == {"a": b"1", "b": b"2"}


def test_removing_a_branch_with_an_open_commit(repo: Repository) -> None:
    """What is in a commit that is open is not thrown away unless that is asked for: then it goes with the branch."""
    repo.branch("dev")
    open_id = repo.start("dev")
    repo.put("dev", "a", b"1")
    with pytest.raises(errors.ParentNotFinished):
        repo.remove("dev")
    repo.remove("dev", force=True)
    with pytest.raises(errors.NoSuchCommit):
        repo.commit(open_id)
    assert repo.commits(None) == []


def test_names_that_no_branch_may_have(repo: Repository) -> None:
    """A branch has letters, digits, ``-`` and ``_``, and is not called as a commit or a time."""
    for name in ("", "a.b", "a/b", "a b", "é", "a" * 101, "8b234298a6d84b3f8e4f3f7f7c3f5a54", "at-20261120t120000z"):
        with pytest.raises(errors.InvalidBucketName):
            repo.branch(name)
        with pytest.raises(errors.InvalidBucketName):
            repo.start(name)
        repo.put(MASTER, "a", b"1")
        with pytest.raises(errors.InvalidBucketName):
            repo.tag(name, MASTER)


def test_branches_and_tags_share_their_names(repo: Repository) -> None:
    """A tag cannot be called as a branch, nor a branch as a tag, and neither is made twice."""
    repo.put(MASTER, "a", b"1")
    repo.tag("v1", MASTER)
    for act in (
        lambda: repo.tag(MASTER, MASTER),
        lambda: repo.tag("v1", MASTER),
        lambda: repo.branch("v1"),
        lambda: repo.branch("v1", head=MASTER),
        lambda: repo.start("v1"),
    ):
        with pytest.raises(errors.RefExists):
            act()


def test_a_tag_is_a_snapshot(repo: Repository) -> None:
    """A tag shows what was in its commit, whatever becomes of the branch, and nobody writes it."""
    first = repo.put(MASTER, "a", b"1")
    repo.tag("v1", MASTER)
    repo.put(MASTER, "a", b"2")
    assert repo.contents("v1") == {"a": b"1"}
    assert repo.run(repo.gateway.tags.list(EVERYONE, repo.name)) == ([("v1", first)], None)
    with pytest.raises(errors.AccessDenied):
        repo.put("v1", "a", b"3")
    with pytest.raises(errors.AccessDenied):
        repo.delete("v1", "a")
    repo.remove(MASTER)
    assert repo.contents("v1") == {"a": b"1"}
    repo.run(repo.gateway.tags.delete(EVERYONE, repo.name, "v1"))
    with pytest.raises(errors.NoSuchTag):
        repo.run(repo.gateway.tags.delete(EVERYONE, repo.name, "v1"))
    with pytest.raises(errors.NoSuchBranch):
        repo.contents("v1")


def test_ancestors(repo: Repository) -> None:
    """``^`` and ``~`` go back, ``.N`` counts from the first commit, ``.-N`` back; the states they mean move along."""
    first, second, third = (repo.put(MASTER, "a", b"%d" % number) for number in (1, 2, 3))
    for ref, expected in {
        "master^": second,
        "master^^": first,
        "master^2": first,
        "master~1": second,
        "master~0": third,
        "master~1^": first,
        "master.1": first,
        "master.3": third,
        "master.-1": second,
        "master.-2": first,
        f"{third}^": second,
        f"master={second}^": first,
    }.items():
        assert repo.commit(ref).id == expected, ref
    assert repo.get("master^", "a") == b"2"
    assert repo.get("master.-1", "a") == b"2"
    for ref in ("master^3", "master.4", "master.0", "master.-3", f"{first}^"):
        with pytest.raises(errors.NoSuchCommit):
            repo.commit(ref)
    for ref in ("master^x", "master=", "", "^", "master@", "ma.ster", "a b", "master~"):
        with pytest.raises(errors.InvalidArgument):
            repo.commit(ref)
    repo.put(MASTER, "a", b"4")
    assert repo.get("master^", "a") == b"3"
    assert repo.get("master.-1", "a") == b"3"
    assert repo.get("master.-2", "a") == b"2"
    with pytest.raises(errors.AccessDenied):
        repo.put("master^", "a", b"5")


def test_a_state_at_a_time(repo: Repository) -> None:
    """``branch@time`` is the newest commit that was finished by then; a time to come moves along with the branch."""
    first = repo.put(MASTER, "a", b"1")
    finished = repo.commit(first).finished
    assert finished is not None
    repo.put(MASTER, "a", b"2")
    to_come = "master@at-29991120t120000z"
    assert repo.get(to_come, "a") == b"2"
    repo.put(MASTER, "a", b"3")
    assert repo.get(to_come, "a") == b"3"
    with pytest.raises(errors.NoSuchCommit):
        repo.get("master@at-19991120t120000z", "a")


def test_commits_of_other_repositories_are_none_here(make_repository: MakeRepository) -> None:
    """A commit is known in its own repository only, and on the branches that have it in their past."""
    one, other = make_repository(), make_repository()
    there = other.put(MASTER, "a", b"1")
    for ref in (there, f"master={there}"):
        with pytest.raises(errors.NoSuchCommit):
            one.commit(ref)
        with pytest.raises(errors.NoSuchCommit):
            one.branch("dev", head=ref)
    one.branch("dev")
    here = one.put("dev", "a", b"1")
    with pytest.raises(errors.NoSuchCommit):
        one.commit(f"master={here}")
    assert one.commit(f"dev={here}").id == here


def test_provenance(make_repository: MakeRepository) -> None:
    """What is made of other branches is for nobody to write; sources cannot go while it is there, nor form a loop."""
    source, result, last = make_repository(), make_repository(), make_repository()
    of_source, of_result = BranchRef(source.name, MASTER), BranchRef(result.name, MASTER)
    result.put(MASTER, "before", b"1")
    made = result.branch(MASTER, provenance=[of_source])
    assert made.provenance == (of_source,)
    older = result.commit(MASTER).id
    result.run(result.gateway.branches.create(EVERYONE, result.name, "other", head=older))
    added = result.put("other", "b", b"1")
    for refused in (
        lambda: result.put(MASTER, "a", b"1"),
        lambda: result.delete(MASTER, "before"),
        lambda: result.start(MASTER),
        lambda: result.branch(MASTER, head=added),
        lambda: result.merge("other"),
    ):
        with pytest.raises(errors.WriteToOutputBranch):
            refused()
    last.branch(MASTER, provenance=[of_result])
    with pytest.raises(errors.InvalidArgument):
        source.branch(MASTER, provenance=[BranchRef(last.name, MASTER)])
    with pytest.raises(errors.InvalidArgument):
        source.branch("other", provenance=[of_source])
    with pytest.raises(errors.InvalidArgument):
        source.branch(MASTER, provenance=[of_source])
    with pytest.raises(errors.NoSuchBranch):
        last.branch(MASTER, provenance=[BranchRef(source.name, "nope")])
    with pytest.raises(errors.NoSuchRepo):
        last.branch(MASTER, provenance=[BranchRef(RepoName("nope"), MASTER)])
    with pytest.raises(errors.BranchInUse):
        source.remove(MASTER)
    with pytest.raises(errors.BranchInUse):
        source.delete_all()
    result.branch(MASTER, provenance=[])
    result.put(MASTER, "a", b"1")
    source.remove(MASTER)
    last.run(last.gateway.repos.delete(EVERYONE, result.name, force=True))
    assert last.run(last.gateway.branches.get(EVERYONE, last.name, MASTER)).provenance == ()


def test_an_open_commit_of_an_output_branch_can_be_written(make_repository: MakeRepository) -> None:
    """A commit that was open when a branch became an output still takes what belongs to it."""
    source, result = make_repository(), make_repository()
    result.start(MASTER)
    result.branch(MASTER, provenance=[BranchRef(source.name, MASTER)])
    result.put(MASTER, "a", b"1")
    result.finish(MASTER)
    assert result.contents(MASTER) == {"a": b"1"}
    with pytest.raises(errors.WriteToOutputBranch):
        result.put(MASTER, "a", b"2")


def test_a_protected_branch_takes_merges_only(repo: Repository) -> None:
    """A protected branch refuses writes, open commits, reverts, moves, drops and its removal; merges come through."""
    first = repo.put(MASTER, "a", b"1")
    second = repo.put(MASTER, "a", b"2")
    repo.branch("dev", head=MASTER)
    repo.put("dev", "a", b"3")
    repo.protect(MASTER)
    for act in (
        lambda: repo.put(MASTER, "a", b"4"),
        lambda: repo.delete(MASTER, "a"),
        lambda: repo.start(MASTER),
        lambda: repo.run(repo.gateway.changes.revert(EVERYONE, repo.name, MASTER, second)),
        lambda: repo.branch(MASTER, head=first),
        lambda: repo.drop(MASTER),
        lambda: repo.squash(first),
        lambda: repo.remove(MASTER),
        lambda: repo.start(MASTER, parent=first),
    ):
        with pytest.raises(errors.BranchProtected):
            act()
    assert repo.merge("dev").commit.origin is Origin.MERGE
    assert repo.contents(MASTER) == {"a": b"3"}
    repo.protect(MASTER, is_protected=False)
    repo.put(MASTER, "a", b"4")


def test_a_branch_follows_every_commit_of_another(repo: Repository) -> None:
    """A trigger without conditions moves its branch with each commit, however that came about, in chains too."""
    repo.branch("staging", trigger=Trigger(MASTER))
    repo.branch("production", trigger=Trigger("staging"))
    made = repo.put(MASTER, "a", b"1")
    assert repo.head("staging") == repo.head("production") == made
    repo.start(MASTER)
    repo.put(MASTER, "a", b"2")
    assert repo.head("production") == made
    finished = repo.finish(MASTER).id
    assert repo.head("staging") == repo.head("production") == finished
    repo.branch("dev", head=MASTER)
    repo.put("dev", "b", b"1")
    merged = repo.merge("dev").commit.id
    assert repo.head("production") == merged
    assert repo.contents("production") == {"a": b"2", "b": b"1"}
    repo.branch(MASTER, head=made)
    assert repo.head("staging") == repo.head("production") == made


def test_conditions_of_triggers(repo: Repository) -> None:
    """A branch follows after so many bytes or commits: after either, or with ``every`` after both."""
    repo.branch("size", trigger=Trigger(MASTER, size=10))
    repo.branch("commits", trigger=Trigger(MASTER, commits=2))
    repo.branch("either", trigger=Trigger(MASTER, size=10, commits=2))
    repo.branch("both", trigger=Trigger(MASTER, size=10, commits=2, every=True))
    names = ("size", "commits", "either", "both")
    moved = []
    for key, data in (("a", b"123"), ("b", b"1234567"), ("c", b"1"), ("d", b"1"), ("e", b"0123456789")):
        before = {name: repo.head(name) for name in names}
        made = repo.put(MASTER, key, data)
        after = {name: repo.head(name) for name in names}
        assert all(after[name] in {before[name], made} for name in names)
        moved.append({name for name in names if after[name] == made})
    assert moved == [
        set(),
        {"size", "commits", "either", "both"},
        set(),
        {"commits", "either"},
        {"size", "either", "both"},
    ]


def test_a_trigger_is_taken_away(make_repository: MakeRepository) -> None:
    """The branch stays where it is, follows nothing, and may at once be made of others; no other change does it."""
    repo, other = make_repository(), make_repository()
    repo.branch("a", trigger=Trigger(MASTER))
    first = repo.put(MASTER, "key", b"1")
    assert repo.branch("a", head=MASTER).trigger == Trigger(MASTER)
    repo.branch("b", trigger=Trigger("a"))
    assert repo.branch("a", trigger=NO_TRIGGER).trigger is None
    second = repo.put(MASTER, "key", b"2")
    assert (repo.head("a"), repo.head(MASTER)) == (first, second)
    assert repo.branch("b", provenance=[BranchRef(other.name, MASTER)], trigger=NO_TRIGGER).provenance
    assert repo.branch("b", provenance=[], trigger=Trigger(MASTER)).trigger == Trigger(MASTER)
    for trigger in (Trigger("", size=1), Trigger("", commits=1), Trigger("", every=True)):
        with pytest.raises(errors.InvalidArgument):
            repo.branch("b", trigger=trigger)
    assert repo.branch("new", trigger=NO_TRIGGER).trigger is None


def test_triggers_that_cannot_be(make_repository: MakeRepository) -> None:
    """Triggers form no loop, follow a branch that is there, and go with no provenance."""
    repo, other = make_repository(), make_repository()
    repo.branch("a", trigger=Trigger(MASTER))
    repo.branch("b", trigger=Trigger("a"))
    repo.branch("output", provenance=[BranchRef(other.name, MASTER)])
    for name, trigger in ((MASTER, Trigger("b")), ("a", Trigger("a")), ("output", Trigger(MASTER))):
        with pytest.raises(errors.InvalidArgument):
            repo.branch(name, trigger=trigger)
    with pytest.raises(errors.InvalidArgument):
        repo.branch("a", provenance=[BranchRef(other.name, MASTER)])
    with pytest.raises(errors.NoSuchBranch):
        repo.branch("c", trigger=Trigger("nope"))
    with pytest.raises(errors.NotImplementedByServer):
        repo.branch("c", trigger=Trigger(MASTER, cron="@every 1h"))


def test_a_refused_change_leaves_no_branch(repo: Repository) -> None:
    """What is refused in the middle has not made a branch either."""
    with pytest.raises(errors.NoSuchBranch):
        repo.branch("dev", trigger=Trigger("nope"))
    with pytest.raises(errors.NoSuchCommit):
        repo.start("dev", parent="8b234298a6d84b3f8e4f3f7f7c3f5a54")
    assert [each.name for each in repo.run(repo.gateway.branches.list(EVERYONE, repo.name))[0]] == [MASTER]


def test_plain_buckets_do_not_take_names_of_states(repo: Repository) -> None:
    """A name that already means something in a repository is refused to a plain bucket, made or renamed."""
    gateway = repo.gateway
    made = repo.put(MASTER, "a", b"1")
    repo.tag("v1", MASTER)
    repo.run(gateway.buckets.create(EVERYONE, f"plain-of-{repo.name.name}"))
    plain = BucketName(f"plain-of-{repo.name.name}")
    for name in (f"master.{repo.name.name}", repo.name.name, f"v1.{repo.name.name}", f"{made}.{repo.name.name}"):
        with pytest.raises((errors.BucketAlreadyExists, errors.BucketAlreadyOwnedByYou)):
            repo.run(gateway.buckets.create(EVERYONE, name))
        with pytest.raises((errors.BucketAlreadyExists, errors.BucketAlreadyOwnedByYou)):
            repo.run(gateway.buckets.create(EVERYONE, BucketName(name)))
        with pytest.raises(errors.BucketAlreadyExists):
            repo.run(gateway.buckets.rename(EVERYONE, plain, BucketName(name)))


def test_states_do_not_take_names_of_plain_buckets(repo: Repository) -> None:
    """A branch or tag whose bucket would be called as a plain one is refused."""
    gateway, name = repo.gateway, repo.name.name
    repo.put(MASTER, "a", b"1")
    repo.run(gateway.buckets.create(EVERYONE, f"dev.{name}"))
    with pytest.raises((errors.BucketAlreadyExists, errors.BucketAlreadyOwnedByYou)):
        repo.branch("dev")
    with pytest.raises((errors.BucketAlreadyExists, errors.BucketAlreadyOwnedByYou)):
        repo.run(gateway.branches.create_bucket(EVERYONE, RefName(repo.name, "dev")))
    with pytest.raises((errors.BucketAlreadyExists, errors.BucketAlreadyOwnedByYou, errors.RefExists)):
        repo.tag("dev", MASTER)


def test_a_branch_as_a_bucket(repo: Repository) -> None:
    """A branch keeps its name and its versions; destroying its bucket removes the branch."""
    gateway = repo.gateway
    made = repo.put(MASTER, "a", b"1")
    bucket = BucketName(f"master.{repo.name.name}")
    with pytest.raises(errors.InvalidArgument):
        repo.run(gateway.buckets.rename(EVERYONE, bucket, BucketName("elsewhere")))
    with pytest.raises(errors.InvalidArgument):
        repo.run(gateway.buckets.set_properties(EVERYONE, bucket, {"versioning": {"enabled": False}}))
    with pytest.raises(errors.NotImplementedByServer):
        repo.run(gateway.buckets.set_versioning(EVERYONE, bucket, Versioning.SUSPENDED))
    repo.run(gateway.buckets.set_properties(EVERYONE, bucket, {"checksum": {"type": "sha256"}}))
    repo.run(gateway.buckets.reset_properties(EVERYONE, bucket))
    repo.put(MASTER, "a", b"2")
    assert repo.get(made, "a") == b"1"
    repo.run(gateway.buckets.destroy(EVERYONE, bucket))
    assert repo.run(gateway.repos.get(EVERYONE, repo.name)).branches == ()
    assert repo.get(made, "a") == b"1"


def test_copies_between_states(make_repository: MakeRepository) -> None:
    """Objects are copied from any state to any branch without their bytes, one commit each."""
    one, other = make_repository(), make_repository()
    first = one.put(MASTER, "a", b"1", metadata={"x": "1"})
    one.put(MASTER, "a", b"2")
    one.tag("v1", first)
    copy = one.gateway.copying.copy
    for source, version in (("v1", ""), (first, ""), ("master^", ""), (MASTER, first)):
        copied = one.run(
            copy(EVERYONE, Source(one.ref(source), "a", version), other.ref(MASTER), f"{source}-{version}")
        )
        assert other.head(MASTER) == copied.version.version_id
        assert copied.version.attributes.metadata == {"x": "1"}
    assert set(other.contents(MASTER).values()) == {b"1"}
    assert len(other.commits(MASTER)) == 4


def test_a_repository_goes_with_all_that_was_in_it(
    make_repository: MakeRepository, runner: asyncio.Runner, gateway: Gateway
) -> None:
    """When a repository was removed, nothing of it is left: no blob, no row of any table."""

    def rows() -> dict[str, int]:
        tables = ("logs", "buckets", "branches", "commits", "changes", "rewrites", "tags", "provenance", "head",
                  "history", "repos", "uploads", "upload_parts")  # fmt: skip

        def read(tx: object) -> dict[str, int]:
            return {table: tx.one(f"SELECT count(*) FROM {table}")[0] for table in tables}  # type: ignore[attr-defined]

        return runner.run(gateway.rooms.catalog.read(read))

    blobs = collect(runner, gateway)
    before = rows()
    repo, other = make_repository(), make_repository()
    for number in range(4):
        repo.put(MASTER, "a", b"%d" % number * 100_000)
        repo.put(MASTER, f"k{number}", b"x")
    repo.tag("v1", "master^")
    repo.branch("dev", head="v1")
    repo.put("dev", "b", b"2")
    repo.branch("dev", head="master^^")
    repo.branch("out", provenance=[BranchRef(other.name, MASTER)])
    repo.branch("staging", trigger=Trigger(MASTER))
    repo.merge("dev")
    repo.squash("master.2")
    repo.start("dev")
    repo.put("dev", "c", b"3")
    repo.run(repo.gateway.multipart.create(EVERYONE, repo.ref("dev"), "upload", NewObject()))
    repo.delete_all()
    other.delete_all()
    assert collect(runner, gateway) == blobs
    assert rows() == before
    with pytest.raises(errors.NoSuchRepo):
        repo.contents(MASTER)
    again = runner.run(gateway.repos.create(EVERYONE, repo.name))
    assert again.branches == ()


def test_repositories_and_projects(gateway: Gateway, runner: asyncio.Runner) -> None:
    """Repositories live in projects, which have to be there, and go only when they are empty."""
    run = runner.run
    run(gateway.projects.create(EVERYONE, "vision", "pictures"))
    with pytest.raises(errors.ProjectExists):
        run(gateway.projects.create(EVERYONE, "vision"))
    name = RepoName("shared", "vision")
    run(gateway.repos.create(EVERYONE, name, "d"))
    run(gateway.repos.create(EVERYONE, RepoName("shared")))
    with pytest.raises(errors.RepoExists):
        run(gateway.repos.create(EVERYONE, name))
    with pytest.raises(errors.NoSuchProject):
        run(gateway.repos.create(EVERYONE, RepoName("shared", "nope")))
    run(gateway.branches.create(EVERYONE, name, MASTER))
    run(gateway.branches.create(EVERYONE, RepoName("shared"), MASTER))
    assert [each.name.text for each in run(gateway.repos.list(EVERYONE, "vision"))[0]] == ["vision/shared"]
    with pytest.raises(errors.NoSuchProject):
        run(gateway.repos.list(EVERYONE, "nope"))
    with pytest.raises(errors.ProjectNotEmpty):
        run(gateway.projects.delete(EVERYONE, "vision"))
    names = [bucket.name for bucket in run(gateway.repos.list_buckets(EVERYONE)) if "shared" in bucket.name]
    assert names == ["master.shared", "master.shared.vision"]
    assert run(gateway.repos.update(EVERYONE, name, "other")).description == "other"
    run(gateway.repos.delete(EVERYONE, name))
    run(gateway.projects.delete(EVERYONE, "vision"))
    with pytest.raises(errors.InvalidArgument):
        run(gateway.projects.delete(EVERYONE, "default"))
    with pytest.raises(errors.NoSuchRepo):
        run(gateway.repos.get(EVERYONE, name))
    run(gateway.repos.delete(EVERYONE, RepoName("shared")))


def test_sizes_of_repositories(repo: Repository) -> None:
    """A repository's size is that of master's HEAD; a commit tells of its own content and of what it changed."""
    repo.put(MASTER, "a", b"123")
    repo.put(MASTER, "b", b"12345")
    repo.branch("dev", head=MASTER)
    repo.put("dev", "a", b"1")
    repo.delete("dev", "b")
    assert repo.run(repo.gateway.repos.get(EVERYONE, repo.name)).size == 8
    head = repo.commit("dev")
    assert (head.objects, head.size, head.changes) == (1, 1, 1)
    repo.start(MASTER)
    repo.put(MASTER, "c", b"1")
    repo.put(MASTER, "c", b"12")
    repo.put(MASTER, "c", b"123")
    repo.delete(MASTER, "a", "b", "nope")
    assert repo.run(repo.gateway.repos.get(EVERYONE, repo.name)).size == 8
    done = repo.finish(MASTER)
    assert (done.objects, done.size, done.changes) == (1, 3, 3)
    bucket = BucketName(f"master.{repo.name.name}")
    assert repo.run(repo.gateway.buckets.size(EVERYONE, bucket))[1:] == (1, 3)


def test_optimistic_transactions(repo: Repository) -> None:
    """A write that insists on a HEAD is refused where the branch has another one, and leaves nothing behind."""
    first = repo.put(MASTER, "a", b"1")
    second = repo.put(MASTER, "a", b"2", as_=saying(if_head=first))
    for act in (
        lambda: repo.put(MASTER, "a", b"3", as_=saying(if_head=first)),
        lambda: repo.start(MASTER, if_head=first),
        lambda: repo.run(repo.gateway.changes.revert(saying(if_head=first), repo.name, MASTER, second)),
    ):
        with pytest.raises(errors.PreconditionFailed):
            act()
    assert repo.commits(MASTER) == [second, first]
    repo.branch("empty")
    with pytest.raises(errors.PreconditionFailed):
        repo.put("empty", "a", b"1", as_=saying(if_head=first))
