"""Who may do what to a repository: its owner all, others what roles give them, strangers nothing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.repos.conftest import MakeRepository
from tests.repos.repository import MASTER, Repository
from tidegate import errors
from tidegate.gateway.body import PlainBody
from tidegate.gateway.objects import Deletion, NewObject
from tidegate.model import ANONYMOUS, EVERYONE, Principal
from tidegate.refs import RefName, RepoName

ALICE, BOB = Principal("a" * 64, "alice"), Principal("b" * 64, "bob")

Act = Callable[[Principal], Coroutine[Any, Any, object]]


@pytest.fixture
def repo(make_repository: MakeRepository) -> Repository:
    """A repository that belongs to alice: with two commits on master, a branch dev, and a tag."""
    repo = make_repository()
    repo.delete_all()
    run, gateway = repo.run, repo.gateway
    run(gateway.branches.create_bucket(ALICE, repo.ref(MASTER)))
    for _ in range(2):
        repo.put(MASTER, "a", b"1", as_=ALICE)
    run(gateway.branches.create(ALICE, repo.name, "dev", head="master^"))
    run(gateway.tags.create(ALICE, repo.name, "v1", MASTER))
    return repo


def operations(repo: Repository) -> dict[str, Act]:
    """All that can be done to a repository."""
    gateway, name = repo.gateway, repo.name
    listing: Any = {"prefix": "", "delimiter": "", "after": "", "limit": 1}

    async def body() -> Any:
        yield b"1"

    def reading(ref: str) -> Act:
        return lambda who: gateway.objects.read(who, RefName(name, ref), "a")

    return {
        "get": reading(MASTER),
        "get a commit": reading("master^"),
        "get a tag": reading("v1"),
        "get at a time": reading("master@at-29991120t120000z"),
        "list": lambda who: gateway.buckets.list_objects(who, repo.ref(MASTER), **listing),
        "versions": lambda who: gateway.buckets.list_versions(who, repo.ref(MASTER), **listing, after_version=""),
        "put": lambda who: gateway.objects.put(who, repo.ref(MASTER), "b", PlainBody(body(), 1), NewObject()),
        "delete": lambda who: gateway.objects.delete(who, repo.ref(MASTER), Deletion("b")),
        "upload": lambda who: gateway.multipart.create(who, repo.ref(MASTER), "b", NewObject()),
        "remove bucket": lambda who: gateway.buckets.delete(who, repo.ref(MASTER)),
        "repo": lambda who: gateway.repos.get(who, name),
        "update": lambda who: gateway.repos.update(who, name, "x"),
        "branches": lambda who: gateway.branches.list(who, name),
        "branch": lambda who: gateway.branches.get(who, name, MASTER),
        "new branch": lambda who: gateway.branches.create(who, name, "new", head=MASTER),
        "move": lambda who: gateway.branches.create(who, name, "dev", head=MASTER),
        "protect": lambda who: gateway.branches.protect(who, name, "dev", is_protected=False),
        "commits": lambda who: gateway.commits.list(who, name, MASTER, limit=1),
        "commit": lambda who: gateway.commits.get(who, name, MASTER),
        "find": lambda who: gateway.commits.find(who, name, MASTER, "a", limit=1),
        "diff": lambda who: gateway.changes.diff(who, name, "dev", MASTER),
        "log": lambda who: gateway.changes.log(who, name, MASTER, "a", limit=1),
        "merge": lambda who: gateway.changes.merge(who, name, MASTER, "dev"),
        "dry run": lambda who: gateway.changes.merge(who, name, MASTER, "dev", dry_run=True),
        "revert": lambda who: gateway.changes.revert(who, name, "dev", "dev"),
        "cherry-pick": lambda who: gateway.changes.cherry_pick(who, name, "dev", "v1"),
        "tags": lambda who: gateway.tags.list(who, name),
        "tag": lambda who: gateway.tags.create(who, name, "v2", MASTER),
        "untag": lambda who: gateway.tags.delete(who, name, "v1"),
        "start": lambda who: gateway.commits.start(who, name, "dev"),
        "finish": lambda who: gateway.commits.finish(who, name, "dev"),
        "squash": lambda who: gateway.commits.squash(who, name, "master^"),
        "drop": lambda who: gateway.commits.drop(who, name, MASTER),
        "delete branch": lambda who: gateway.branches.delete(who, name, "dev"),
        "delete repo": lambda who: gateway.repos.delete(who, name),
    }


def outcome(repo: Repository, act: Act, who: Principal) -> str:
    """The code of what was refused; empty for what was done."""
    try:
        repo.run(act(who))
    except errors.Error as error:
        return error.code
    return ""


def test_strangers_may_nothing(repo: Repository) -> None:
    """Neither another user nor an anonymous caller may look at a repository or change it, in any way."""
    before = repo.commits(None)
    for who in (BOB, ANONYMOUS):
        for name, act in operations(repo).items():
            assert outcome(repo, act, who) == "AccessDenied", name
        if who is BOB:
            found = repo.run(repo.gateway.repos.list_buckets(who))
            assert not [bucket for bucket in found if repo.name.name in bucket.name]
            assert repo.name not in [each.name for each in repo.run(repo.gateway.repos.list(who))[0]]
    assert repo.commits(None) == before


def test_the_owner_may_everything(repo: Repository) -> None:
    """Whoever made a repository may do all of it; what is refused is not for want of rights."""
    for name, act in operations(repo).items():
        assert outcome(repo, act, ALICE) not in {"AccessDenied", "InternalError"}, name


def test_buckets_of_somebody_else(repo: Repository) -> None:
    """A branch of somebody else's repository cannot be made, and what is there is not one's own."""
    create = repo.gateway.branches.create_bucket
    with pytest.raises(errors.AccessDenied):
        repo.run(create(BOB, repo.ref("bobs")))
    with pytest.raises((errors.AccessDenied, errors.BucketAlreadyExists)):
        repo.run(create(BOB, repo.ref(MASTER)))
    with pytest.raises(errors.AccessDenied):
        repo.run(create(ANONYMOUS, RefName(RepoName("anonymous"), MASTER)))
    assert repo.run(repo.gateway.branches.get(EVERYONE, repo.name, MASTER)).head is not None


def test_authors(repo: Repository) -> None:
    """A commit knows who made it."""
    assert {commit.author for commit in repo.run(repo.gateway.commits.list(ALICE, repo.name, None, limit=9))[0]} == {
        "alice"
    }
