"""Branches: making, moving, protecting and removing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tidegate import errors
from tidegate.access import Access
from tidegate.catalog import buckets, commits, configuration, repos, rewriting
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.commits import Point
from tidegate.catalog.committing import follow
from tidegate.catalog.repos import BranchRow
from tidegate.clock import now
from tidegate.gateway.permissions import authorise_system
from tidegate.gateway.repos import within
from tidegate.gateway.rooms import Rooms
from tidegate.model import NO_TRIGGER, Branch, BranchRef, Bucket, Principal, Repo, Trigger
from tidegate.names import BucketName
from tidegate.properties.tree import inherited
from tidegate.refs import RefName, RepoName, bucket_name, check_name, is_name

_DELETE: Final = "repo:DeleteBranch"


class Branches:
    """Branches of repositories. Each method raises ``NoSuchRepo``, ``NoSuchBranch`` and ``AccessDenied`` beside what it
    says.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list(
        self, principal: Principal, repo: RepoName, *, limit: int = within.MAX_PAGE, after: str = ""
    ) -> tuple[Sequence[Branch], str | None]:
        """A page of the branches that the caller may look at, by name; and the name to go on after, where there is
        more.
        """

        def visible(tx: Reader, of: Repo, after: str) -> Iterator[BranchRow]:
            every = repos.branches_after(tx, of.id, after)
            return (each for each in every if within.may_inspect(principal, of, each.name))

        def read(tx: Reader, of: Repo) -> tuple[Sequence[Branch], str | None]:
            found, last = within.page(visible(tx, of, after), min(limit, within.MAX_PAGE), lambda each: each.name)
            within.check_list(tx, principal, of, found or list(visible(tx, of, "")))
            return [repos.shown(tx, of, each) for each in found], last

        return await within.look(self._rooms, repo, read)

    async def get(self, principal: Principal, repo: RepoName, name: str) -> Branch:
        """One branch."""

        def read(tx: Reader, of: Repo) -> Branch:
            return repos.shown(tx, of, within.branch(tx, principal, of, name, "repo:Inspect"))

        return await within.look(self._rooms, repo, read)

    async def create(
        self,
        principal: Principal,
        repo: RepoName,
        name: str,
        *,
        head: str | None = None,
        provenance: Sequence[BranchRef] | None = None,
        trigger: Trigger | None = None,
    ) -> Branch:
        """Makes a branch that begins at a commit (``head``, a ref of the same repository), or changes one: moves it to
        ``head``, and gives it another provenance or trigger, or with an empty one or ``NO_TRIGGER`` none. Nothing is
        copied.

        Raises ``RefExists`` for a tag's name, ``NoSuchCommit``, ``ParentNotFinished`` for a commit that is open and for
        a branch to be moved while one is open on it, ``BranchProtected``, ``InvalidArgument`` for a loop,
        ``BucketAlreadyExists`` where another bucket has its name.
        """
        check_name("branch", name)

        def create(tx: Transaction, of: Repo) -> Branch:
            at = None if head is None else within.standing(tx, principal, of, head)
            found = repos.find_branch(tx, of.id, name)
            if found is None:
                found = make(tx, principal, of, name, at)
            elif head is not None:
                _move(tx, found, at)
                follow(tx, of.id, name)
            if trigger is not None and not trigger.branch:
                _clear_trigger(tx, found, trigger)
                found = repos.branch(tx, of, name)
            if provenance is not None:
                _set_provenance(tx, principal, found, provenance)
            if trigger is not None and trigger.branch:
                _set_trigger(tx, principal, of, found, trigger)
            return repos.shown(tx, of, repos.branch(tx, of, name))

        return await within.write(self._rooms, principal, repo, "repo:CreateBranch", create, name)

    async def create_bucket(self, principal: Principal, name: RefName) -> Bucket:
        """Makes a branch as S3 clients do: with its repository, where there is none. Raises ``BucketAlreadyOwnedByYou``
        and ``BucketAlreadyExists`` for one that is there, ``NoSuchProject``.
        """
        authorise_system(principal, Access.CREATE_BUCKET)
        branch = name.ref
        check_name("repo", name.repo.name)
        check_name("branch", branch)  # which no commit's name passes

        def create(tx: Transaction) -> Bucket:
            try:
                of = repos.repo(tx, name.repo)
            except errors.NoSuchRepo:
                of = repos.create_repo(tx, name.repo, principal.id, "", now())
            within.check(tx, principal, of, "repo:CreateBranch", branch)
            if repos.find_branch(tx, of.id, branch) is not None:
                kind = errors.BucketAlreadyOwnedByYou if of.owner == principal.id else errors.BucketAlreadyExists
                raise kind(BucketName=bucket_name(of.name, branch))
            try:
                make(tx, principal, of, branch, None)
            except errors.RefExists as error:
                raise errors.BucketAlreadyExists(BucketName=bucket_name(of.name, branch)) from error
            return buckets.get(tx, name)

        return await self._rooms.catalog.write(create)

    async def delete(self, principal: Principal, repo: RepoName, name: str, *, force: bool = False) -> None:
        """Removes a branch. Its commits stay with the repository.

        Raises ``BranchProtected``; ``BranchInUse`` where another branch is made of it and ``ParentNotFinished`` where a
        commit is open on it, unless ``force`` is given, which drops that.
        """

        def delete(tx: Transaction, of: Repo) -> None:
            remove(tx, of, within.branch(tx, principal, of, name, _DELETE), force=force)

        await within.change(self._rooms, repo, _DELETE, delete)

    async def delete_bucket(self, principal: Principal, name: RefName) -> None:
        """Removes a branch as S3 clients do: only if nothing is in it, and with the last one the repository.

        Raises ``BucketNotEmpty``, ``BranchInUse``.
        """
        if not is_name(name.ref):
            raise errors.AccessDenied("What was committed cannot be changed: delete the branch.")

        def delete(tx: Transaction, of: Repo) -> None:
            found = within.branch(tx, principal, of, name.ref, _DELETE)
            bucket = buckets.by_id(tx, found.bucket)
            if bucket is not None and not buckets.is_empty(tx, bucket):
                raise errors.BucketNotEmpty(BucketName=bucket.name)
            remove(tx, of, found, force=False)
            if not repos.branches(tx, of.id):
                repos.delete_repo(tx, of)

        await within.change(self._rooms, name.repo, _DELETE, delete)

    async def protect(self, principal: Principal, repo: RepoName, name: str, *, is_protected: bool) -> Branch:
        """Says whether a branch takes changes by merges only."""

        def protect(tx: Transaction, of: Repo) -> Branch:
            repos.set_protected(tx, within.branch(tx, principal, of, name, "repo:Update").bucket, is_protected)
            return repos.shown(tx, of, repos.branch(tx, of, name))

        return await within.change(self._rooms, repo, "repo:Update", protect)


def make(tx: Transaction, principal: Principal, of: Repo, name: str, at: Point | None) -> BranchRow:
    """Makes a branch at a commit, or an empty one. Raises ``RefExists`` for a tag's name."""
    repos.check_no_tag(tx, of, name)  # before it is looked for among the buckets, where it means the tag
    identity = BucketName(bucket_name(of.name, name))
    properties = inherited(configuration.get(tx), is_elsewhere=False)
    bucket = buckets.create(tx, identity, of.owner, "", now(), None, properties)
    repos.add_branch(tx, of, name, bucket.id, principal.name)
    made = repos.branch(tx, of, name)
    if at is not None:
        repos.move(tx, made, at)
    return repos.branch(tx, of, name)


def remove(tx: Transaction, of: Repo, found: BranchRow, *, force: bool) -> None:
    """Removes a branch. Raises ``BranchProtected``, ``BranchInUse``, ``ParentNotFinished``."""
    if found.is_protected:
        raise errors.BranchProtected
    if repos.made_of(tx, found.bucket) and not force:
        raise errors.BranchInUse(f"branch {of.name.text}@{found.name} is in another one's provenance")
    if found.open is not None:
        if not force:
            raise errors.ParentNotFinished(f"a commit is open on branch {found.name}: finish or drop it first")
        rewriting.drop(tx, commits.get(tx, found.open, of.name), now())
        found = repos.branch(tx, of, found.name)
    repos.forget_branch(tx, found)
    repos.drop_if_unused(tx, found.log)


def _move(tx: Transaction, found: BranchRow, at: Point | None) -> None:
    if found.open is not None:
        raise errors.ParentNotFinished(f"a commit is open on branch {found.name}: finish or drop it first")
    if repos.provenance(tx, found.bucket):
        raise errors.WriteToOutputBranch
    if found.is_protected:
        raise errors.BranchProtected
    here = commits.last(tx, repos.readable(tx, found))
    if at != here:
        repos.move(tx, found, at)


def _set_provenance(tx: Transaction, principal: Principal, found: BranchRow, wanted: Sequence[BranchRef]) -> None:
    if wanted and found.trigger is not None:
        raise errors.InvalidArgument("a branch with a trigger cannot have provenance")
    sources = []
    for each in wanted:
        source = within.branch(tx, principal, repos.repo(tx, each.repo), each.name, "repo:Inspect")
        if source.repo == found.repo:
            raise errors.InvalidArgument("a repo cannot be in its own provenance")
        if found.bucket in _ancestry(tx, source.bucket):
            raise errors.InvalidArgument(f"branch {each.repo.text}@{each.name} is made of this one: no loops")
        sources.append(source.bucket)
    repos.set_provenance(tx, found.bucket, sources)


def _ancestry(tx: Reader, bucket: int) -> set[int]:
    found, left = {bucket}, [bucket]
    while left:
        for source in repos.provenance(tx, left.pop()):
            if source.bucket not in found:
                found.add(source.bucket)
                left.append(source.bucket)
    return found


def _clear_trigger(tx: Transaction, found: BranchRow, trigger: Trigger) -> None:
    if trigger != NO_TRIGGER:
        raise errors.InvalidArgument("conditions of a trigger need the branch to follow")
    repos.set_trigger(tx, found.bucket, None)


def _set_trigger(tx: Transaction, principal: Principal, of: Repo, found: BranchRow, trigger: Trigger) -> None:
    if trigger.cron:
        raise errors.NotImplementedByServer("Triggers by time (cron) are not implemented.")
    if repos.provenance(tx, found.bucket):
        raise errors.InvalidArgument("a branch with provenance cannot have a trigger")
    name: str | None = trigger.branch
    while name is not None:
        if name == found.name:
            raise errors.InvalidArgument("triggers cannot form a loop")
        followed = repos.find_branch(tx, of.id, name)
        name = followed.trigger.branch if followed is not None and followed.trigger is not None else None
    within.branch(tx, principal, of, trigger.branch, "repo:Read")  # of which it will have all that is in it
    repos.set_trigger(tx, found.bucket, trigger)
