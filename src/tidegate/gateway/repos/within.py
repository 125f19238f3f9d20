"""What every part of this room does first: find the repository, and ask whether the caller may do this to it.

A repository belongs to who made it. To roles and tokens it is the bucket of its branch, or of master where there is
none in question.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tidegate import errors
from tidegate.catalog import buckets, repos
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.commits import Point
from tidegate.gateway.permissions import authorise
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket, Principal, Repo, Versioning, Writer
from tidegate.names import AIS
from tidegate.refs import MASTER, RefName, RepoName, bucket_name

T = TypeVar("T")
Tx = TypeVar("Tx", bound=Reader)


def check(principal: Principal, repo: Repo, action: str, branch: str = MASTER) -> None:
    """Raises ``AccessDenied``."""
    authorise(principal, stand_in(repo, branch), action)


def stand_in(repo: Repo, branch: str = MASTER) -> Bucket:
    """The bucket that a repository is to those who ask for permissions."""
    name = bucket_name(repo.name, branch)
    return Bucket(0, AIS, "", name, 0, repo.owner, repo.created, Versioning.ENABLED, "", None)


async def read(
    rooms: Rooms, principal: Principal, name: RepoName, action: str, function: Callable[[Reader, Repo], T]
) -> T:
    """What the function finds out about a repository. Raises ``NoSuchRepo``, ``AccessDenied``, and as the function."""
    return await rooms.catalog.read(_checked(principal, name, action, function))


async def write(
    rooms: Rooms, principal: Principal, name: RepoName, action: str, function: Callable[[Transaction, Repo], T]
) -> T:
    """As ``read``, in a transaction that writes."""
    return await rooms.hook_calls.write(_checked(principal, name, action, function), action)


def _checked(principal: Principal, name: RepoName, action: str, function: Callable[[Tx, Repo], T]) -> Callable[[Tx], T]:
    """The function of a transaction, once the repository is found and the caller may do this to it."""

    def run(tx: Tx) -> T:
        repo = repos.repo(tx, name)
        check(principal, repo, action)
        return function(tx, repo)

    return run


def standing(tx: Reader, repo: Repo, ref: str) -> Point | None:
    """The commit that a ref stands for, for something to be made of it; None for a branch without any.

    Raises ``ParentNotFinished`` for one that is open: what is in it still changes. And as ``repos.resolve``.
    """
    at = repos.resolve(tx, RefName(repo.name, ref)).point
    if at is not None and not at.finished:
        raise errors.ParentNotFinished(f"commit {at.id} has not been finished")
    return at


def branch_bucket(tx: Reader, principal: Principal, repo: Repo, name: str, action: str, writer: Writer) -> Bucket:
    """The bucket of a branch, as they see it who write it. Raises ``NoSuchBranch``, and as ``authorise``."""
    found = repos.branch(tx, repo, name)
    bucket = buckets.by_id(tx, found.bucket)
    if bucket is None:
        raise LookupError(found.bucket)
    authorise(principal, bucket, action)
    return buckets.writable(bucket, writer)
