"""Tags: further names of commits. They share one space of names with branches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate import errors
from tidegate.catalog import commits, repos
from tidegate.catalog.abc import Reader, Transaction
from tidegate.clock import now
from tidegate.gateway.repos import within
from tidegate.gateway.rooms import Rooms
from tidegate.model import Commit, Principal, Repo
from tidegate.refs import RepoName, check_name


class Tags:
    """Tags of a repository. Each method raises ``NoSuchRepo`` and ``AccessDenied`` beside what it says."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list(
        self, principal: Principal, repo: RepoName, *, limit: int = within.MAX_PAGE, after: str = ""
    ) -> tuple[Sequence[tuple[str, str]], str | None]:
        """A page of the tags of commits that the caller may look at, by name, with the commits' ids; and the name to go
        on after, where there is more.
        """

        def visible(tx: Reader, of: Repo, after: str) -> Iterator[tuple[str, str]]:
            for name, seq in repos.tags(tx, of, after):
                at = commits.get(tx, seq, repo)
                if within.may_inspect(principal, of, at.branch):
                    yield name, at.id

        def read(tx: Reader, of: Repo) -> tuple[Sequence[tuple[str, str]], str | None]:
            found, last = within.page(visible(tx, of, after), min(limit, within.MAX_PAGE), lambda each: each[0])
            within.check_list(tx, principal, of, found or list(visible(tx, of, "")))
            return found, last

        return await within.look(self._rooms, repo, read)

    async def get(self, principal: Principal, repo: RepoName, name: str) -> Commit:
        """The commit that a tag names. Raises ``NoSuchTag``."""

        def read(tx: Reader, of: Repo) -> Commit:
            found = commits.get(tx, repos.tag(tx, of, name), repo)
            within.check(tx, principal, of, "repo:Inspect", found.branch)
            return found

        return await within.look(self._rooms, repo, read)

    async def create(self, principal: Principal, repo: RepoName, name: str, ref: str) -> Commit:
        """Names a finished commit. Raises ``RefExists``, ``NoSuchBranch``, ``NoSuchCommit``, ``ParentNotFinished``."""
        check_name("tag", name)

        def create(tx: Transaction, of: Repo) -> Commit:
            at = within.standing(tx, principal, of, ref, "repo:Inspect")
            if at is None:
                raise errors.NoSuchCommit(f'"{ref}" has no commit yet')
            repos.add_tag(tx, of, name, at.seq, now())
            return commits.get(tx, at.seq, repo)

        return await within.write(self._rooms, principal, repo, "repo:Tag", create)

    async def delete(self, principal: Principal, repo: RepoName, name: str) -> None:
        """Forgets a name; the commit stays. Raises ``NoSuchTag``."""
        await within.write(self._rooms, principal, repo, "repo:Tag", lambda tx, of: repos.delete_tag(tx, of, name))
