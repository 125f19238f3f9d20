"""A commit from its beginning to its end: what its writer insists on before, and what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate import errors
from tidegate.catalog import commits, deliveries, hooks, repos
from tidegate.catalog.abc import Transaction
from tidegate.catalog.commits import Point
from tidegate.catalog.repos import BranchRow
from tidegate.clock import now
from tidegate.model import Bucket, Commit, Repo, Trigger, Writer

# Branches that follow each other in a row, at most: loops are refused where triggers are made.
MAX_FOLLOWERS = 100


@contextmanager
def committing(tx: Transaction, bucket: Bucket) -> Iterator[Bucket]:
    """Around whatever a transaction writes to a branch, which ``bucket`` is as its writers see it.

    Raises ``PreconditionFailed`` where the writer insists on another HEAD.
    """
    check_head(tx, bucket)
    yield bucket
    conclude(tx)


def conclude(tx: Transaction) -> None:
    """After all that a transaction writes to branches: what follows the commits that it has made."""
    for bucket in tx.memo.pop(commits.STAMPED, ()):
        place = bucket.place
        if place.has_hooks:
            commit = commits.get(tx, tx.memo["stamp", bucket.log].seq, place.repo)
            deliveries.announce(tx, place.repo_id, place.branch, commit, now())
        follow(tx, place.repo_id, place.branch)


def finish_open(tx: Transaction, of: Repo, found: BranchRow, commit: Commit, writer: Writer) -> Commit:
    """Finishes the commit that is open on a branch, if its hooks agree; with what follows. Raises ``UnaskedError``."""
    hooks.ask_to_finish(tx, of.id, commit)
    commits.finish(tx, commit.seq, writer)
    repos.set_open(tx, found.bucket, None)
    return finished(tx, of, found.name, commit.seq)


def finished(tx: Transaction, of: Repo, branch: str, seq: int) -> Commit:
    """After a commit on a branch was finished: what follows it. Returns it."""
    commit = commits.get(tx, seq, of.name)
    deliveries.announce(tx, of.id, branch, commit, now())
    follow(tx, of.id, branch)
    return commit


def check_head(tx: Transaction, bucket: Bucket) -> None:
    """Raises ``PreconditionFailed`` where the writer of a branch insists on another HEAD."""
    wanted = bucket.writer.note.if_head
    if wanted:
        head = commits.last(tx, bucket.state)
        if head is None or head.id != wanted:
            raise errors.PreconditionFailed(Condition="If-Head-Commit")


def follow(tx: Transaction, repo_id: int, name: str, depth: int = 0) -> None:
    """After a commit on a branch was finished: moves the branches that are to follow it by now."""
    every = tx.recall(("followers", repo_id), repos.followers, repo_id)
    followers = [each for each in every if each.trigger is not None and each.trigger.branch == name]
    if not followers or depth > MAX_FOLLOWERS:
        return
    leader = repos.find_branch(tx, repo_id, name)
    if leader is None:
        return
    head = commits.last(tx, repos.readable(tx, leader))
    for follower in followers:
        if head is not None and follower.open is None and _is_due(tx, leader, head, follower):
            repos.move(tx, follower, head)
            follow(tx, repo_id, follower.name, depth + 1)


def _is_due(tx: Transaction, leader: BranchRow, head: Point, follower: BranchRow) -> bool:
    trigger = follower.trigger or Trigger("")
    stands = commits.last(tx, repos.readable(tx, follower))
    met = []
    if trigger.size:
        met.append(head.size - (0 if stands is None else stands.size) >= trigger.size)
    if trigger.commits:
        since = 0
        for place in commits.places(tx, repos.readable(tx, leader)):
            if (stands is not None and place == (stands.log, stands.seq)) or since >= trigger.commits:
                break
            since += 1
        met.append(since >= trigger.commits)
    if not met:
        return True  # follows every commit
    return all(met) if trigger.every else any(met)
