"""Projects and repositories themselves."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate import errors
from tidegate.access import Access
from tidegate.catalog import buckets, repos
from tidegate.catalog.abc import Reader, Transaction
from tidegate.clock import now
from tidegate.gateway.permissions import authorise_system, may_list
from tidegate.gateway.repos import within
from tidegate.gateway.rooms import Rooms
from tidegate.model import NEWEST, Bucket, Principal, Project, Repo
from tidegate.refs import DEFAULT_PROJECT, RepoName, check_name


class Projects:
    """Spaces of names for repositories. Those who may make buckets make them; ``default`` is always there."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list(
        self, principal: Principal, *, limit: int = within.MAX_PAGE, after: str = ""
    ) -> tuple[Sequence[Project], str | None]:
        """A page of the projects, by name; and the name to go on after, where there is more."""
        authorise_system(principal, Access.LIST_BUCKETS)

        def read(tx: Reader) -> tuple[Sequence[Project], str | None]:
            return within.page(repos.projects(tx, after), min(limit, within.MAX_PAGE), lambda each: each.name)

        return await self._rooms.catalog.read(read)

    async def get(self, principal: Principal, name: str) -> Project:
        """Raises ``NoSuchProject``."""
        authorise_system(principal, Access.LIST_BUCKETS)
        return await self._rooms.catalog.read(lambda tx: repos.project(tx, name))

    async def create(self, principal: Principal, name: str, description: str = "") -> Project:
        """Raises ``ProjectExists``, ``InvalidBucketName``."""
        authorise_system(principal, Access.CREATE_BUCKET)
        check_name("project", name)
        return await self._rooms.catalog.write(lambda tx: repos.create_project(tx, name, description, now()))

    async def update(self, principal: Principal, name: str, description: str) -> Project:
        """Replaces what is said of a project. Raises ``NoSuchProject``."""
        authorise_system(principal, Access.CREATE_BUCKET)

        def update(tx: Transaction) -> Project:
            repos.describe_project(tx, repos.project(tx, name), description)
            return repos.project(tx, name)

        return await self._rooms.catalog.write(update)

    async def delete(self, principal: Principal, name: str) -> None:
        """Raises ``NoSuchProject``, ``ProjectNotEmpty``."""
        authorise_system(principal, Access.CREATE_BUCKET)
        if name == DEFAULT_PROJECT:
            raise errors.InvalidArgument("the default project cannot be deleted")
        await self._rooms.catalog.write(lambda tx: repos.delete_project(tx, repos.project(tx, name)))


class Repositories:
    """Repositories. Each method raises ``NoSuchRepo`` and ``AccessDenied`` beside what it says."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list(
        self, principal: Principal, project: str | None = None, *, limit: int = within.MAX_PAGE, after: str = ""
    ) -> tuple[Sequence[Repo], str | None]:
        """A page of the repositories that the caller may list, the newest first; and what to go on after, where there
        is more. Raises ``NoSuchProject``, ``InvalidArgument``.
        """
        authorise_system(principal, Access.LIST_BUCKETS)
        if after and not (after.isascii() and after.isdigit() and int(after) <= NEWEST):
            raise errors.InvalidArgument(f'"{after}" is nothing to go on after')
        before = int(after) if after else NEWEST

        def read(tx: Reader) -> tuple[Sequence[Repo], str | None]:
            if project is not None:
                repos.project(tx, project)
            visible = (
                repo
                for repo in repos.repos(tx, before)
                if project in {None, repo.name.project} and may_list(principal, buckets.stand_in(repo))
            )
            found, last = within.page(visible, min(limit, within.MAX_PAGE), lambda repo: str(repo.id))
            return [repos.filled(tx, repo) for repo in found], last

        return await self._rooms.catalog.read(read)

    async def list_buckets(self, principal: Principal) -> Sequence[Bucket]:
        """Every branch that the caller may list, as a bucket that was made when its repository was: those of the newest
        repository first.
        """
        authorise_system(principal, Access.LIST_BUCKETS)

        def read(tx: Reader) -> list[Bucket]:
            found = []
            for repo in list(repos.repos(tx)):
                for branch in repos.branches(tx, repo.id):
                    bucket = buckets.stand_in(repo, branch.name)
                    if may_list(principal, bucket):
                        found.append(bucket)
            return found

        return await self._rooms.catalog.read(read)

    async def get(self, principal: Principal, name: RepoName) -> Repo:
        """A repository with its branches and its size."""
        return await within.read(self._rooms, principal, name, "repo:Inspect", repos.filled)

    async def create(self, principal: Principal, name: RepoName, description: str = "") -> Repo:
        """Makes a repository without branches, which belongs to the caller.

        Raises ``RepoExists``, ``NoSuchProject``, ``InvalidBucketName``.
        """
        authorise_system(principal, Access.CREATE_BUCKET)
        check_name("repo", name.name)
        return await self._rooms.catalog.write(lambda tx: repos.create_repo(tx, name, principal.id, description, now()))

    async def update(self, principal: Principal, name: RepoName, description: str) -> Repo:
        """Replaces what is said of a repository."""

        def update(tx: Transaction, repo: Repo) -> Repo:
            repos.describe_repo(tx, repo, description)
            return repos.filled(tx, repos.repo(tx, name))

        return await within.write(self._rooms, principal, name, "repo:Update", update)

    async def delete(self, principal: Principal, name: RepoName, *, force: bool = False) -> None:
        """Removes a repository with all its branches and commits.

        The caller has to be allowed to remove each of them. Raises ``BranchInUse`` where a branch of another one is
        made of it, unless ``force`` is given.
        """

        def delete(tx: Transaction, repo: Repo) -> None:
            for branch in repos.branches(tx, repo.id):
                within.check(tx, principal, repo, "repo:DeleteBranch", branch.name)
                users = [user for user in repos.made_of(tx, branch.bucket) if user.repo != repo.id]
                if users and not force:
                    raise errors.BranchInUse(f"branch {repo.name.text}@{branch.name} is in another one's provenance")
            repos.delete_repo(tx, repo)

        await within.write(self._rooms, principal, name, "repo:Delete", delete)
