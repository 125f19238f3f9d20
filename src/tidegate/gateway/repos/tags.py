"""Tags: further names of commits. They share one space of names with branches."""

from __future__ import annotations

from collections.abc import Sequence

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

    async def list(self, principal: Principal, repo: RepoName) -> Sequence[tuple[str, str]]:
        """The tags by name, with the ids of their commits."""

        def read(tx: Reader, of: Repo) -> list[tuple[str, str]]:
            return [(name, commits.get(tx, seq, repo).id) for name, seq in repos.tags(tx, of)]

        return await within.read(self._rooms, principal, repo, "repo:Inspect", read)

    async def create(self, principal: Principal, repo: RepoName, name: str, ref: str) -> Commit:
        """Names a finished commit. Raises ``RefExists``, ``NoSuchBranch``, ``NoSuchCommit``, ``ParentNotFinished``."""
        check_name("tag", name)

        def create(tx: Transaction, of: Repo) -> Commit:
            at = within.standing(tx, of, ref)
            if at is None:
                raise errors.NoSuchCommit(f'"{ref}" has no commit yet')
            repos.add_tag(tx, of, name, at.seq, now())
            return commits.get(tx, at.seq, repo)

        return await within.write(self._rooms, principal, repo, "repo:Tag", create)

    async def delete(self, principal: Principal, repo: RepoName, name: str) -> None:
        """Forgets a name; the commit stays. Raises ``NoSuchTag``."""
        await within.write(self._rooms, principal, repo, "repo:Tag", lambda tx, of: repos.delete_tag(tx, of, name))
