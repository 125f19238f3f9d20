"""What has changed, and taking changes over: diff, log, merge, revert, cherry-pick."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from itertools import islice

from msgspec.structs import replace

from tidegate import errors
from tidegate.catalog import commits, merging, rows, states
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.commits import Point
from tidegate.catalog.committing import committing
from tidegate.catalog.merging import Plan, Side
from tidegate.clock import now
from tidegate.gateway.repos import aside, within
from tidegate.gateway.repos.aside import Work
from tidegate.gateway.rooms import Rooms
from tidegate.model import (
    EMPTY,
    Bucket,
    Change,
    Conflict,
    Merged,
    Note,
    Origin,
    Principal,
    Repo,
    Version,
    Writer,
)
from tidegate.refs import RepoName

MAX_CHANGES = 10_000  # in one page of a diff
MAX_CONFLICTS = 1000  # that one answer tells of
# Keys that are written in one transaction: some 60 ms of the writer's time. A larger merge is made beside the branch.
STEP = 1000


class Changes:
    """Differences and merges in a repository. Each method raises ``NoSuchRepo``, ``NoSuchBranch``, ``NoSuchCommit`` and
    ``AccessDenied`` beside what it says.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def diff(
        self,
        principal: Principal,
        repo: RepoName,
        old_ref: str,
        new_ref: str,
        *,
        prefix: str = "",
        after: str = "",
        limit: int = 1000,
    ) -> tuple[Sequence[Change], str | None]:
        """A page of what is different in the second ref, by path; and the path to go on after, where there is more."""

        def read(tx: Reader, of: Repo) -> tuple[Sequence[Change], str | None]:
            before, since = (within.state(tx, principal, of, ref, "repo:List").layers for ref in (old_ref, new_ref))
            return merging.diff(tx, before, since, prefix=prefix, start=after, limit=min(limit, MAX_CHANGES))

        return await within.look(self._rooms, repo, read)

    async def log(self, principal: Principal, repo: RepoName, ref: str, path: str, *, limit: int) -> Sequence[Version]:
        """An object's versions and delete markers in the past of a ref, the newest first."""

        def read(tx: Reader, of: Repo) -> list[Version]:
            layers = within.state(tx, principal, of, ref, "repo:List").layers
            found = islice(states.history(tx, layers, "key = ?", (path.encode(),)), limit)
            return [rows.version(row, is_latest=number == 0) for number, row in enumerate(found)]

        return await within.look(self._rooms, repo, read)

    async def merge(
        self,
        principal: Principal,
        repo: RepoName,
        source_ref: str,
        into: str,
        *,
        prefer: Side | None = None,
        choices: Mapping[str, Side] = EMPTY,  # type: ignore[assignment] # an empty map has no wrong values
        dry_run: bool = False,
    ) -> Merged:
        """Takes over into a branch what another ref has changed since both met: three ways, path by path, one commit.

        Where both have changed a path, ``choices`` say whose it is to be (``ours`` is the branch's), or else
        ``prefer``. Where neither does, nothing is written, and the conflicts are told. A choice for a path that is not
        in conflict is ``InvalidArgument``.

        Raises ``ParentNotFinished`` where a commit is open on the branch, or is what would be merged, and
        ``ConditionalRequestConflict`` where the branch changes meanwhile, so that it has to be done anew.
        """

        def plan(tx: Reader, of: Repo, bucket: Bucket) -> tuple[Plan, Point | None]:
            point = within.standing(tx, principal, of, source_ref)
            return merging.plan(tx, bucket.state, _state(tx, point)), point

        message = f"Merge {source_ref} into {into}"
        return await self._take(principal, repo, into, plan, message, prefer, choices, is_merge=True, dry_run=dry_run)

    async def revert(self, principal: Principal, repo: RepoName, branch: str, ref: str) -> Merged:
        """Takes back on a branch what a commit has changed, in a new commit. Conflicts as in ``merge``."""

        def plan(tx: Reader, of: Repo, bucket: Bucket) -> tuple[Plan, Point | None]:
            at, before = _commit(tx, principal, of, ref)
            return Plan(_state(tx, at), bucket.state, _state(tx, before), _keys(tx, at, before)), at

        return await self._take(principal, repo, branch, plan, f"Revert {ref}", None, EMPTY)  # type: ignore[arg-type]

    async def cherry_pick(self, principal: Principal, repo: RepoName, branch: str, ref: str) -> Merged:
        """Does on a branch what a commit has changed elsewhere, in a new commit. Conflicts as in ``merge``."""

        def plan(tx: Reader, of: Repo, bucket: Bucket) -> tuple[Plan, Point | None]:
            at, before = _commit(tx, principal, of, ref)
            return Plan(_state(tx, before), bucket.state, _state(tx, at), _keys(tx, at, before)), at

        return await self._take(principal, repo, branch, plan, f"Cherry-pick {ref}", None, EMPTY)  # type: ignore[arg-type]

    async def _take(
        self,
        principal: Principal,
        repo: RepoName,
        into: str,
        plan: Callable[[Reader, Repo, Bucket], tuple[Plan, Point | None]],
        message: str,
        prefer: Side | None,
        choices: Mapping[str, Side],
        *,
        is_merge: bool = False,
        dry_run: bool = False,
    ) -> Merged:
        note = principal.note
        said = Note(note.message or message, note.metadata, note.if_head)

        def branch(tx: Reader, of: Repo, merged: str | None = None) -> Bucket:
            writer = Writer(principal.name, said, Origin.MERGE if is_merge else Origin.USER, merged)
            return within.branch_bucket(tx, principal, of, into, "repo:Merge" if is_merge else "repo:Commit", writer)

        def look(tx: Reader, of: Repo) -> tuple[Plan, Point | None, Point | None, bool, tuple[str, ...]]:
            bucket = branch(tx, of)
            is_open = bucket.place is not None and bucket.place.open is not None
            if is_merge and not dry_run:
                _check_closed(bucket)
            wanted, source = plan(tx, of, bucket)
            head = commits.last(tx, bucket.state)
            is_known = not is_merge or source is None or merging.has(tx, wanted.ours, source)
            read = (commits.last(tx, wanted.base), source)
            ids = tuple(at.id for at in read if at is not None)
            for path in choices:
                if not merging.is_conflict(tx, wanted, path):
                    raise errors.InvalidArgument(f'"{path}" is not in conflict: there is nothing to choose')
            # What comes to the branch later is not looked at.
            return (wanted if is_open else replace(wanted, ours=_state(tx, head))), source, head, is_known, ids

        wanted, source, head, is_known, ids = await within.read(self._rooms, principal, repo, "repo:List", look, into)
        if dry_run or len(wanted.keys) > STEP:
            planned = await self._survey(principal, repo, into, wanted, prefer, choices)
            if dry_run or planned.conflicts or (not planned.changes and is_known):
                return planned
            merged = source.id if is_merge and source is not None else None
            work = Work(repo, into, partial(branch, merged=merged), head, ids)
            return await aside.commit(self._rooms, work, _steps(work, wanted, prefer, choices))

        def take(tx: Transaction, of: Repo) -> Merged:
            bucket = branch(tx, of)
            if is_merge:
                _check_closed(bucket)
            wanted, source = plan(tx, of, bucket)
            if len(wanted.keys) > STEP:
                raise errors.ConditionalRequestConflict("The branches have changed meanwhile: try again.")
            bucket = branch(tx, of, source.id if is_merge and source is not None else None)
            with committing(tx, bucket):
                taken = merging.take(tx, bucket, wanted, wanted.keys, now(), prefer=prefer, choices=choices)
                if taken.conflicts:
                    return Merged(None, 0, taken.conflicts[:MAX_CONFLICTS])
                if not taken.changes and (not is_merge or source is None or merging.has(tx, wanted.ours, source)):
                    return Merged(None, 0)
                stamp = commits.stamp(tx, bucket)  # a merge is taken down even where nothing was to be written
            return Merged(commits.get(tx, stamp.seq, repo), taken.changes)

        return await within.change(self._rooms, repo, "repo:Merge", take)

    async def _survey(
        self,
        principal: Principal,
        repo: RepoName,
        into: str,
        wanted: Plan,
        prefer: Side | None,
        choices: Mapping[str, Side],
    ) -> Merged:
        """What would come of a plan, looked at some keys at a time."""
        changes = 0
        conflicts: tuple[Conflict, ...] = ()
        for start in range(0, len(wanted.keys), STEP):
            keys = wanted.keys[start : start + STEP]

            def choose(tx: Reader, _: Repo, keys: Sequence[bytes] = keys) -> tuple[int, tuple[Conflict, ...]]:
                chosen, found = merging.choose(tx, wanted, keys, prefer=prefer, choices=choices)
                return len(chosen), found

            count, found = await within.read(self._rooms, principal, repo, "repo:List", choose, into)
            changes, conflicts = changes + count, (*conflicts, *found)[:MAX_CONFLICTS]
            await asyncio.sleep(0)
        return Merged(None, changes, conflicts)


async def _steps(
    work: Work, wanted: Plan, prefer: Side | None, choices: Mapping[str, Side]
) -> AsyncGenerator[aside.Step, None]:
    """What a plan has to write, some keys at a time."""

    def step(tx: Transaction, bucket: Bucket, keys: Sequence[bytes]) -> int:
        taken = merging.take(tx, bucket, wanted, keys, now(), prefer=prefer, choices=choices)
        if taken.conflicts:
            raise work.conflict()
        return taken.changes

    for start in range(0, len(wanted.keys), STEP):
        yield partial(step, keys=wanted.keys[start : start + STEP])


def _state(tx: Reader, at: Point | None) -> merging.Layers:
    """What there was at a commit; nothing before the first."""
    return () if at is None else commits.chain(tx, at.log, at.seq)


def _check_closed(bucket: Bucket) -> None:
    """Raises ``ParentNotFinished`` where a commit is open on a branch: a merge is a commit of its own."""
    if bucket.place is not None and bucket.place.open is not None:
        raise errors.ParentNotFinished(f"a commit is open on branch {bucket.place.branch}: finish it first")


def _commit(tx: Reader, principal: Principal, of: Repo, ref: str) -> tuple[Point, Point | None]:
    """A commit, and the one before it."""
    at = within.standing(tx, principal, of, ref)
    if at is None:
        raise errors.NoSuchCommit(f'"{ref}" has no commit yet')
    return at, commits.before(tx, at.log, at.seq)


def _keys(tx: Reader, at: Point, before: Point | None) -> Sequence[bytes]:
    """The keys that a commit wrote."""
    since = before.seq if before is not None and before.log == at.log else 0
    sql = "SELECT DISTINCT key FROM changes WHERE log = ? AND seq > ? AND seq <= ? ORDER BY key"
    return [key for (key,) in tx.rows(sql, (at.log, since, at.seq))]
