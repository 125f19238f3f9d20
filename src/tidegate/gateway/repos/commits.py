"""Commits: starting, finishing, finding and rewriting them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tidegate import errors
from tidegate.catalog import commits, repos, rewriting, states
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.committing import finish_open
from tidegate.catalog.rows import seq_of
from tidegate.clock import now
from tidegate.gateway.repos import within
from tidegate.gateway.repos.branches import make
from tidegate.gateway.rooms import Rooms
from tidegate.model import NEWEST, Commit, Principal, Repo, Writer
from tidegate.refs import RepoName, check_name

# While a commit is waited for, the catalog is asked so often; what others change is seen at the next time.
POLL_SECONDS = 0.1
# Who waits longer asks again: nothing on the way has to hold a connection for hours.
MAX_WAIT_SECONDS = 60.0
MAX_COMMITS = 1000  # in one page


class Commits:
    """Commits of a repository. Each method raises ``NoSuchRepo``, ``NoSuchBranch``, ``NoSuchCommit`` and
    ``AccessDenied`` beside what it says. What is said of a commit comes with the principal's note.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def start(self, principal: Principal, repo: RepoName, branch: str, parent: str | None = None) -> Commit:
        """Opens a commit on a branch: until it is finished, what is written to the branch goes into it, and readers see
        what was before. A branch that is not there is made; with ``parent`` it is put onto that commit first.

        Raises ``ParentNotFinished`` where one is open, ``WriteToOutputBranch``, ``PreconditionFailed``.
        """
        check_name("branch", branch)

        def start(tx: Transaction, of: Repo) -> Commit:
            found = repos.find_branch(tx, of.id, branch)
            at = None if parent is None else within.standing(tx, principal, of, parent)
            if found is None:
                found = make(tx, principal, of, branch, at)
            if found.open is not None:
                open_id = commits.get(tx, found.open, repo).id
                raise errors.ParentNotFinished(f"parent commit {open_id} has not been finished")
            if repos.provenance(tx, found.bucket):
                raise errors.WriteToOutputBranch(f"cannot start a commit on an output branch: {of.name.text}@{branch}")
            if at is not None and at != commits.last(tx, repos.readable(tx, found)):
                repos.move(tx, found, at)
            writer = Writer(principal.name, principal.note)
            bucket = within.branch_bucket(tx, principal, of, branch, "repo:Commit", writer)
            wanted = principal.note.if_head
            head = commits.last(tx, repos.readable(tx, repos.branch(tx, of, branch)))
            if wanted and (head is None or head.id != wanted):
                raise errors.PreconditionFailed(Condition="If-Head-Commit")
            stamp = commits.begin(tx, bucket, is_open=True)
            repos.set_open(tx, bucket.id, stamp.seq)
            return commits.get(tx, stamp.seq, repo)

        return await within.write(self._rooms, principal, repo, "repo:Commit", start, branch)

    async def finish(self, principal: Principal, repo: RepoName, ref: str) -> Commit:
        """Finishes the commit that is open, by its id or its branch: the branch shows all of it at once.

        Raises ``CommitFinished``, and ``HookRefused`` and ``HookUnavailable``: then it stays open.
        """

        def finish(tx: Transaction, of: Repo) -> Commit:
            commit = _named(tx, principal, of, ref, or_open=True)
            within.check(tx, principal, of, "repo:Commit", commit.branch)
            found = repos.find_branch(tx, of.id, commit.branch)
            if commit.finished is not None or found is None or found.open != commit.seq:
                raise errors.CommitFinished(f"commit {repo.text}@{commit.id} has already finished")
            return finish_open(tx, of, found, commit, Writer(principal.name, principal.note))

        return await within.change(self._rooms, repo, "repo:Commit", finish)

    async def get(self, principal: Principal, repo: RepoName, ref: str) -> Commit:
        """The commit that a ref stands for: of a branch, the one that is open, or its HEAD."""
        return await within.look(self._rooms, repo, lambda tx, of: _named(tx, principal, of, ref, or_open=True))

    async def list(
        self, principal: Principal, repo: RepoName, ref: str | None, *, limit: int, after: str = ""
    ) -> tuple[Sequence[Commit], str | None]:
        """A page of the commits in the past of a ref, or of all in the repository that the caller may look at, the
        newest first; and the id to go on after, where there is more.
        """
        limit = min(limit, MAX_COMMITS)
        before = NEWEST if not after else seq_of(after)
        if before is None:
            raise errors.InvalidArgument(f'"{after}" is no commit to go on after')

        def read(tx: Reader, of: Repo) -> list[Commit]:
            if ref is None:
                every = commits.logs(tx, of)
                shown = [log for log, branch in every if within.may_inspect(principal, of, branch)]
                within.check_list(tx, principal, of, shown)
                return commits.page_of_logs(tx, shown, of.name, before, limit + 1)
            state = within.state(tx, principal, of, ref, "repo:Inspect")
            layers = state.layers
            if state.branch is not None and not state.is_snapshot:
                layers = commits.chain(tx, state.branch.log)  # what is open is listed too
            at = commits.point(tx, after)
            past = () if at is None else commits.within(layers, at.log, at.seq - 1)
            return commits.page(tx, past or layers, of.name, NEWEST if past else before, limit + 1)

        found = await within.look(self._rooms, repo, read)
        return within.page(found, limit, lambda each: each.id)

    async def wait(self, principal: Principal, repo: RepoName, ref: str, seconds: float) -> Commit:
        """The commit once it is finished, or as it is when the time is over."""
        deadline = asyncio.get_running_loop().time() + min(seconds, MAX_WAIT_SECONDS)
        commit = await self.get(principal, repo, ref)
        while commit.finished is None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            commit = await self.get(principal, repo, commit.id)
        return commit

    async def squash(self, principal: Principal, repo: RepoName, ref: str) -> None:
        """Makes a commit part of the one after it.

        Raises ``CommitInUse`` where there is none, or this one is needed, ``ParentNotFinished`` where that one is open,
        and ``BranchProtected``.
        """

        def squash(tx: Transaction, of: Repo) -> None:
            commit = _rewritable(tx, principal, of, _named(tx, principal, of, ref))
            found = repos.branch_on(tx, commit.log)
            if found is not None and found.open is not None:
                head = commits.last(tx, repos.readable(tx, found))
                if head is not None and head.seq == commit.seq:
                    raise errors.ParentNotFinished(f"a commit is open on branch {found.name}: finish it first")
            if commits.is_merged(tx, commit.id):
                raise errors.CommitInUse(f"cannot squash a commit that was merged: {commit.id}")
            commits.hand_down(tx, commit)
            rewriting.squash(tx, commit, now())

        await within.change(self._rooms, repo, "repo:Rewrite", squash)

    async def drop(self, principal: Principal, repo: RepoName, ref: str) -> None:
        """Removes the newest commit of a branch, or one that is open, with what it wrote.

        Raises ``CommitInUse`` where another one, a branch or a tag stands on it, and ``BranchProtected``.
        """

        def drop(tx: Transaction, of: Repo) -> None:
            commit = _rewritable(tx, principal, of, _named(tx, principal, of, ref, or_open=True))
            rewriting.drop(tx, commit, now())

        await within.change(self._rooms, repo, "repo:Rewrite", drop)

    async def find(self, principal: Principal, repo: RepoName, ref: str, path: str, *, limit: int) -> Sequence[Commit]:
        """The commits in the past of a ref that wrote or deleted a path, the newest first."""

        def read(tx: Reader, of: Repo) -> list[Commit]:
            layers = within.state(tx, principal, of, ref, "repo:List").layers
            found: list[Commit] = []
            for row in states.history(tx, layers, "key = ?", (path.encode(),)):
                if len(found) == limit:
                    break
                at = commits.point(tx, row[2] or "")
                if at is not None:
                    found.append(commits.get(tx, at.seq, of.name))
            return found

        return await within.look(self._rooms, repo, read)


def _rewritable(tx: Reader, principal: Principal, of: Repo, commit: Commit) -> Commit:
    """A commit that the caller may take away. Raises ``BranchProtected`` for what is on a branch that takes merges
    only.
    """
    within.check(tx, principal, of, "repo:Rewrite", commit.branch)
    found = repos.branch_on(tx, commit.log)
    if found is not None and found.is_protected:
        raise errors.BranchProtected
    return commit


def _named(tx: Reader, principal: Principal, of: Repo, ref: str, *, or_open: bool = False) -> Commit:
    """The commit that a ref stands for. Raises ``NoSuchCommit`` also for a branch without any."""
    state = within.state(tx, principal, of, ref, "repo:Inspect")
    if or_open and state.branch is not None and not state.is_snapshot and state.branch.open is not None:
        return commits.get(tx, state.branch.open, of.name)
    if state.point is None:
        raise errors.NoSuchCommit(f"branch {of.name.text}@{ref} has no commit yet")
    return commits.get(tx, state.point.seq, of.name)
