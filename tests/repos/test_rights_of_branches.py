"""Whose rights count for a read by a ref: those on the branch, or on the one that the commit or tag was made on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import chain, combinations
from typing import Any

import msgspec
import pytest

from tests.repos.conftest import MakeRepository
from tests.repos.repository import MASTER, Repository
from tidegate import errors
from tidegate.access import READ_ONLY, Access, Grants
from tidegate.model import BranchRef, Principal, Trigger
from tidegate.names import BucketName
from tidegate.refs import RefName, RepoName, bucket_name

ALICE = Principal("a" * 64, "alice")
SECRET = "secret"
BRANCHES = (MASTER, SECRET)
EVERYTHING = READ_ONLY | Access.PUT | Access.DELETE_OBJECT | Access.PATCH | Access.UPDATE_OBJECT | Access.DESTROY_BUCKET

Act = Callable[[Principal], Coroutine[Any, Any, object]]


class Guarded(msgspec.Struct):
    """Alice's repository: master, and a branch that was made of its first commit and has one of its own; a tag each."""

    repo: Repository
    first: str
    on_master: str
    on_secret: str

    @property
    def name(self) -> RepoName:
        return self.repo.name

    def bob(self, access: Access, *branches: str, **more: Access) -> Principal:
        """A user whose roles give this on some branches, and nothing on others."""
        rules = {BucketName(bucket_name(self.name, branch)): access for branch in branches}
        rules |= {BucketName(bucket_name(self.name, branch)): given for branch, given in more.items()}
        return Principal("b" * 64, "bob", grants=Grants(Access.LIST_BUCKETS, rules))

    def allow(self, branch: str, access: str) -> None:
        """Sets the ``access`` property of a branch's bucket."""
        name = BucketName(bucket_name(self.name, branch))
        self.repo.run(self.repo.gateway.buckets.set_properties(ALICE, name, {"access": access}))


@pytest.fixture
def guarded(make_repository: MakeRepository) -> Guarded:
    """A new one."""
    repo = make_repository()
    repo.delete_all()
    run, gateway = repo.run, repo.gateway
    run(gateway.branches.create_bucket(ALICE, repo.ref(MASTER)))
    first = repo.put(MASTER, "a", b"1", as_=ALICE)
    run(gateway.branches.create(ALICE, repo.name, SECRET, head=MASTER))
    found = Guarded(repo, first, repo.put(MASTER, "a", b"2", as_=ALICE), repo.put(SECRET, "plan", b"secret", as_=ALICE))
    run(gateway.tags.create(ALICE, repo.name, "v1", found.on_master))
    run(gateway.tags.create(ALICE, repo.name, "plan", found.on_secret))
    return found


def outcome(guarded: Guarded, act: Act, who: Principal) -> str:
    """The code of what was refused; empty for what was done."""
    try:
        guarded.repo.run(act(who))
    except errors.Error as error:
        return error.code
    return ""


def reads(guarded: Guarded) -> dict[str, tuple[Act, set[str]]]:
    """Reads by refs of all kinds, and the branches on which the caller has to have the right."""
    gateway, name = guarded.repo.gateway, guarded.name
    master, secret, both = {MASTER}, {SECRET}, {MASTER, SECRET}
    commit = guarded.on_secret
    listing: Any = {"prefix": "", "delimiter": "", "after": "", "limit": 1}
    times = "@at-29991120t120000z"

    def diff(old: str, new: str) -> Act:
        return lambda who: gateway.changes.diff(who, name, old, new)

    found: dict[str, tuple[Act, set[str]]] = {
        "diff of branches": (diff(MASTER, SECRET), both),
        "diff of branches, the other way": (diff(SECRET, MASTER), both),
        "diff in a branch": (diff("secret^", SECRET), secret),
        "diff of commits": (diff(guarded.on_master, commit), both),
        "diff of tags": (diff("plan", "v1"), both),
        "diff with itself": (diff(commit, commit), secret),
        "merge": (lambda who: gateway.changes.merge(who, name, SECRET, MASTER, dry_run=True), {"master, written"}),
        "bucket of a commit": (
            lambda who: gateway.buckets.list_objects(who, f"{commit}.{bucket_name(name, SECRET)}", **listing),
            secret,
        ),
        "bucket of a tag": (
            lambda who: gateway.buckets.list_objects(who, bucket_name(name, "plan"), **listing),
            secret,
        ),
        "bucket of another tag": (
            lambda who: gateway.buckets.list_objects(who, bucket_name(name, "v1"), **listing),
            master,
        ),
        "the first commit": (lambda who: gateway.commits.get(who, name, guarded.first), master),
        "the first commit as the branch has it": (lambda who: gateway.commits.get(who, name, "secret.1"), secret),
        "its branch": (lambda who: gateway.branches.get(who, name, SECRET), secret),
    }

    def add(ref: str) -> None:
        at = RefName(name, ref)
        found.update(
            {
                f"get {ref}": (lambda who: gateway.objects.read(who, at, "plan"), secret),
                f"list {ref}": (lambda who: gateway.buckets.list_objects(who, at, **listing), secret),
                f"log {ref}": (lambda who: gateway.changes.log(who, name, ref, "plan", limit=1), secret),
                f"find {ref}": (lambda who: gateway.commits.find(who, name, ref, "plan", limit=1), secret),
                f"commit {ref}": (lambda who: gateway.commits.get(who, name, ref), secret),
                f"commits {ref}": (lambda who: gateway.commits.list(who, name, ref, limit=1), secret),
                f"wait {ref}": (lambda who: gateway.commits.wait(who, name, ref, 0), secret),
            }
        )

    for ref in (SECRET, commit, f"{SECRET}={commit}", "plan", SECRET + times, f"{commit}{times}"):
        add(ref)
    return found


@pytest.mark.parametrize("given", list(chain.from_iterable(combinations(BRANCHES, n) for n in range(3))))
def test_reads_need_the_rights_on_what_is_read(guarded: Guarded, given: tuple[str, ...]) -> None:
    """Whoever may read some branches reads what was made on these, by whatever name, and nothing else."""
    bob = guarded.bob(READ_ONLY, *given)
    for name, (act, needed) in reads(guarded).items():
        assert outcome(guarded, act, bob) == ("" if needed <= set(given) else "AccessDenied"), name
        expected = "" if needed <= {*BRANCHES, "master, written"} else "AccessDenied"
        assert outcome(guarded, act, ALICE) == expected, name


@pytest.mark.parametrize("given", [(MASTER,), (SECRET,), BRANCHES])
def test_lists_show_what_the_caller_may_look_at(guarded: Guarded, given: tuple[str, ...]) -> None:
    """Branches, commits of all branches, and tags of a repository."""
    run, gateway, bob = guarded.repo.run, guarded.repo.gateway, guarded.bob(READ_ONLY, *given)
    assert [each.name for each in run(gateway.branches.list(bob, guarded.name))[0]] == list(given)
    made = {MASTER: [guarded.on_master, guarded.first], SECRET: [guarded.on_secret]}
    found, _ = run(gateway.commits.list(bob, guarded.name, None, limit=9))
    assert sorted(each.id for each in found) == sorted(commit for branch in given for commit in made[branch])
    tags = {MASTER: ("v1", guarded.on_master), SECRET: ("plan", guarded.on_secret)}
    assert sorted(run(gateway.tags.list(bob, guarded.name))[0]) == sorted(tags[branch] for branch in given)


def test_pages_are_of_what_the_caller_may_look_at(guarded: Guarded) -> None:
    """What is not shown takes no place on a page; and behind the last there is an empty one, not a refusal."""
    run, gateway, bob = guarded.repo.run, guarded.repo.gateway, guarded.bob(READ_ONLY, SECRET)
    for lists in (gateway.branches.list, gateway.tags.list):
        found, last = run(lists(bob, guarded.name, limit=1))
        assert (len(found), last) == (1, None)
        assert run(lists(bob, guarded.name, after="zzz")) == ([], None)
        with pytest.raises(errors.AccessDenied):
            run(lists(guarded.bob(Access.NONE), guarded.name, after="zzz"))


def test_lists_are_not_for_strangers(guarded: Guarded) -> None:
    """Who may look at nothing in a repository, nor at itself, is told so, not shown an empty list."""
    gateway = guarded.repo.gateway
    for bob in (guarded.bob(Access.NONE), guarded.bob(READ_ONLY, "other")):
        assert outcome(guarded, lambda who: gateway.branches.list(who, guarded.name), bob) == "AccessDenied"
        assert (
            outcome(guarded, lambda who: gateway.commits.list(who, guarded.name, None, limit=1), bob) == "AccessDenied"
        )
        assert outcome(guarded, lambda who: gateway.tags.list(who, guarded.name), bob) == "AccessDenied"


def test_a_branch_that_is_gone(guarded: Guarded) -> None:
    """Its commits and tags stay with those who have the rights on a branch of its name, and with the owner."""
    run, gateway, name = guarded.repo.run, guarded.repo.gateway, guarded.name
    run(gateway.branches.delete(ALICE, name, SECRET))
    for ref in (guarded.on_secret, "plan"):
        for bob, expected in ((guarded.bob(READ_ONLY, SECRET), ""), (guarded.bob(READ_ONLY, MASTER), "AccessDenied")):
            assert outcome(guarded, lambda who, ref=ref: gateway.commits.get(who, name, ref), bob) == expected  # type: ignore[misc]
            assert outcome(guarded, lambda who, ref=ref: gateway.changes.diff(who, name, ref, ref), bob) == expected  # type: ignore[misc]
            at = RefName(name, ref)
            assert outcome(guarded, lambda who, at=at: gateway.objects.read(who, at, "plan"), bob) == expected  # type: ignore[misc]
        assert guarded.repo.run(gateway.changes.diff(ALICE, name, ref, ref)) == ([], None)


def test_what_access_forbids(guarded: Guarded) -> None:
    """The property of a branch's bucket binds its owner too, for every name of what was made on it; to look at commits
    themselves it does not forbid.
    """
    guarded.allow(SECRET, "GET,HEAD-OBJECT,HEAD-BUCKET")
    inspects = ("commit ", "commits ", "wait ", "get ", "the first", "its branch")
    for name, (act, needed) in reads(guarded).items():
        is_refused = SECRET in needed and not name.startswith(inspects)
        if name != "merge":
            assert outcome(guarded, act, ALICE) == ("AccessDenied" if is_refused else ""), name
    guarded.allow(SECRET, "LIST-OBJECTS,HEAD-BUCKET")
    for name, (act, needed) in reads(guarded).items():
        if name != "merge":
            is_refused = SECRET in needed and name.startswith("get ")
            assert outcome(guarded, act, ALICE) == ("AccessDenied" if is_refused else ""), name


def takes(guarded: Guarded) -> dict[str, Act]:
    """What brings something of the secret branch to one called mine, which is there."""
    gateway, name, commit = guarded.repo.gateway, guarded.name, guarded.on_secret
    return {
        "merge": lambda who: gateway.changes.merge(who, name, SECRET, "mine"),
        "merge of a tag": lambda who: gateway.changes.merge(who, name, "plan", "mine"),
        "dry run": lambda who: gateway.changes.merge(who, name, commit, "mine", dry_run=True),
        "cherry-pick": lambda who: gateway.changes.cherry_pick(who, name, "mine", commit),
        "revert": lambda who: gateway.changes.revert(who, name, "mine", commit),
        "a trigger": lambda who: gateway.branches.create(who, name, "mine", trigger=Trigger(SECRET)),
        "a move": lambda who: gateway.branches.create(who, name, "mine", head=commit),
        "a parent": lambda who: gateway.commits.start(who, name, "mine", "plan"),
    }


def test_taking_over_needs_the_rights_on_the_source(guarded: Guarded) -> None:
    """Nobody brings to a branch of theirs what they may not read, nor with the right to list alone."""
    run, gateway = guarded.repo.run, guarded.repo.gateway
    run(gateway.branches.create(ALICE, guarded.name, "mine", head=guarded.first))
    for act in takes(guarded).values():
        for access in (Access.NONE, READ_ONLY & ~Access.GET, READ_ONLY & ~Access.LIST_OBJECTS):
            assert outcome(guarded, act, guarded.bob(EVERYTHING, "mine", MASTER, secret=access)) == "AccessDenied"
    assert run(gateway.branches.get(ALICE, guarded.name, "mine")).head.id == guarded.first  # type: ignore[union-attr]
    bob = guarded.bob(EVERYTHING, "mine", secret=READ_ONLY)
    for name, act in takes(guarded).items():
        assert outcome(guarded, act, bob) == "", name


def test_writes_need_the_rights_on_the_branch_written(guarded: Guarded) -> None:
    """Rights on another branch, even on master, are none on this one; and rights on this one are enough."""
    run, gateway, name = guarded.repo.run, guarded.repo.gateway, guarded.name
    acts: dict[str, Act] = {
        "start": lambda who: gateway.commits.start(who, name, SECRET),
        "finish": lambda who: gateway.commits.finish(who, name, SECRET),
        "merge": lambda who: gateway.changes.merge(who, name, "v1", SECRET),
        "squash": lambda who: gateway.commits.squash(who, name, guarded.on_secret),
        "drop": lambda who: gateway.commits.drop(who, name, SECRET),
        "protect": lambda who: gateway.branches.protect(who, name, SECRET, is_protected=False),
        "move": lambda who: gateway.branches.create(who, name, SECRET, head=SECRET),
        "delete": lambda who: gateway.branches.delete(who, name, SECRET, force=True),
    }
    run(gateway.tags.delete(ALICE, name, "plan"))
    for bob in (guarded.bob(EVERYTHING, MASTER), guarded.bob(READ_ONLY, SECRET, master=EVERYTHING)):
        for what, act in acts.items():
            assert outcome(guarded, act, bob) == "AccessDenied", what
    bob = guarded.bob(EVERYTHING, SECRET, master=READ_ONLY)
    for what, act in acts.items():
        assert outcome(guarded, act, bob) == "", what


def test_what_is_below_a_branch_is_rewritten_by_those_who_may(guarded: Guarded) -> None:
    """A commit in a branch's past that was made on another one is that one's to squash or drop."""
    gateway, name = guarded.repo.gateway, guarded.name
    bob = guarded.bob(EVERYTHING, SECRET, master=READ_ONLY)
    for ref in ("secret^", "secret.1", f"secret={guarded.first}"):
        assert outcome(guarded, lambda who, ref=ref: gateway.commits.squash(who, name, ref), bob) == "AccessDenied"  # type: ignore[misc]
        assert outcome(guarded, lambda who, ref=ref: gateway.commits.drop(who, name, ref), bob) == "AccessDenied"  # type: ignore[misc]


def test_provenance_of_what_one_may_not_look_at(guarded: Guarded, make_repository: MakeRepository) -> None:
    """Nobody makes a branch of one that they may not look at."""
    other = make_repository()
    run, gateway = guarded.repo.run, guarded.repo.gateway
    other.delete_all()
    bob = guarded.bob(READ_ONLY, MASTER)
    run(gateway.branches.create_bucket(ALICE, other.ref(MASTER)))
    mine = RepoName(f"{other.name.name}-bobs")
    bob = msgspec.structs.replace(bob, grants=Grants(Access.LIST_BUCKETS | Access.CREATE_BUCKET, bob.grants.buckets))  # type: ignore[union-attr]
    run(gateway.repos.create(bob, mine))

    def make(source: str) -> Act:
        return lambda who: gateway.branches.create(who, mine, "out", provenance=[BranchRef(guarded.name, source)])

    assert outcome(guarded, make(SECRET), bob) == "AccessDenied"
    assert outcome(guarded, make(MASTER), bob) == ""


def test_a_repository_is_removed_by_who_may_remove_its_branches(guarded: Guarded) -> None:
    """All of them: the right on master is not enough, and ``access`` of any of them forbids it."""
    run, gateway, name = guarded.repo.run, guarded.repo.gateway, guarded.name
    assert (
        outcome(guarded, lambda who: gateway.repos.delete(who, name), guarded.bob(EVERYTHING, MASTER)) == "AccessDenied"
    )
    guarded.allow(SECRET, "ro")
    assert outcome(guarded, lambda who: gateway.repos.delete(who, name), ALICE) == "AccessDenied"
    assert len(run(gateway.branches.list(ALICE, name))[0]) == 2
    guarded.allow(SECRET, "su")
    run(gateway.repos.delete(guarded.bob(EVERYTHING, *BRANCHES), name))
