"""Commits that are too large for one transaction: they grow beside their branch, on a log of their own that nobody else
writes, and the branch is put onto it at the end.

Meanwhile everybody goes on reading and writing the branch. What they commit is below the new commit then, unless it
changes what the new one changes too: that refuses it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec
from msgspec.structs import replace

from tidegate import errors
from tidegate.catalog import commits, merging, repos
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.commits import Point
from tidegate.catalog.committing import check_head, finished
from tidegate.clock import SECOND, now
from tidegate.gateway.repos import within
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket, Commit, Merged, Repo, Writer
from tidegate.refs import RepoName

# Nothing takes so long: what is older was left behind by a process that ended.
ABANDONED_AFTER = 24 * 60 * 60 * SECOND

Branch = Callable[[Reader, Repo], Bucket]
# Writes some of it to the bucket, and returns how many changes those are.
Step = Callable[[Transaction, Bucket], int]


class Work(msgspec.Struct, frozen=True):
    """What is to be committed onto a branch, by somebody who may: ``branch`` authorises. ``head`` is the HEAD that it
    is made for; ``sources`` are the ids of the commits that it reads, which have to be there to the end. ``action`` is
    what hooks are told of the request.
    """

    repo: RepoName
    into: str
    branch: Branch
    head: Point | None
    sources: tuple[str, ...] = ()
    action: str = "repo:Merge"

    def conflict(self) -> errors.Error:
        """What it ends with where the branch has changed so that it has to be done anew."""
        return errors.ConditionalRequestConflict(f"The branch {self.into} has changed meanwhile: try again.")


async def commit(rooms: Rooms, work: Work, steps: AsyncIterator[Step]) -> Merged:
    """Does the work, each step in a transaction of its own. Raises ``ParentNotFinished`` where a commit is open on the
    branch, ``PreconditionFailed``, ``ConditionalRequestConflict``, and as the steps.
    """
    write = partial(within.change, rooms, work.repo, work.action)
    begun = await write(lambda tx, of: _begin(tx, of, work))
    try:
        changes = 0
        async for step in steps:
            changes += await write(partial(_step, work=work, begun=begun, step=step))
        made = await write(lambda tx, of: _finish(tx, of, work, begun))
    except BaseException:
        await rooms.catalog.write(lambda tx: repos.drop_log(tx, begun.log))
        raise
    return Merged(made, changes)


def _begin(tx: Transaction, of: Repo, work: Work) -> Commit:
    bucket = work.branch(tx, of)
    if bucket.place is not None and bucket.place.open is not None:
        raise errors.ParentNotFinished(f"a commit is open on branch {work.into}: finish it first")
    check_head(tx, bucket)
    commits.ask_hooks(tx, bucket)
    repos.drop_abandoned(tx, of.id, now() - ABANDONED_AFTER)
    log = repos.fork(tx, of.id, work.head)
    stamp = commits.begin(tx, _aside(tx, bucket, log), is_open=True)
    return commits.get(tx, stamp.seq, of.name)


def _step(tx: Transaction, of: Repo, work: Work, begun: Commit, step: Step) -> int:
    _check(tx, work, begun)
    return step(tx, _aside(tx, work.branch(tx, of), begun.log, (begun.seq, begun.id)))


def _finish(tx: Transaction, of: Repo, work: Work, begun: Commit) -> Commit:
    _check(tx, work, begun)
    bucket = work.branch(tx, of)
    found = repos.branch(tx, of, work.into)
    if found.open is not None:
        raise errors.ParentNotFinished(f"a commit is open on branch {work.into}: finish it first")
    layers = repos.readable(tx, found)
    head = commits.last(tx, layers)
    if head is not None and (work.head is None or head.seq != work.head.seq):
        since = () if work.head is None else commits.within(layers, work.head.log, work.head.seq)
        if (work.head is not None and not since) or bucket.writer.note.if_head:
            raise work.conflict()
        if any(commits.wrote(tx, begun.log, begun.seq, key) for key in merging.written(tx, layers, since)):
            raise work.conflict()
        repos.set_fork(tx, begun.log, head)
        commits.rebase(tx, begun.seq, work.head, head)
    elif head is None and work.head is not None:
        raise work.conflict()
    commits.finish(tx, begun.seq, Writer())
    repos.put_onto(tx, found, begun.log)
    return finished(tx, of, work.into, begun.seq)


def _aside(tx: Reader, bucket: Bucket, log: int, is_open: tuple[int, str] | None = None) -> Bucket:
    """A branch's bucket as it will be when it is on another log."""
    if bucket.place is None:
        raise LookupError(bucket.id)
    layers = commits.chain(tx, log)
    return replace(bucket, log=log, layers=layers, place=replace(bucket.place, open=is_open, newest=layers))


def _check(tx: Reader, work: Work, begun: Commit) -> None:
    """Raises where what the work reads, or what it has written, is not there any more."""
    if any(commits.point(tx, each) is None for each in (*work.sources, begun.id)):
        raise work.conflict()
    if work.head is not None and commits.point(tx, work.head.id) is None:
        raise work.conflict()
