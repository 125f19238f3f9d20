"""What every part of this room does first: find the repository, and ask whether the caller may do this to it.

A repository belongs to who made it. To roles and tokens, and to ``access``, what is done to a branch or read of it is
done to its bucket, and what is done to the repository as a whole to that of its master branch. A commit, and so a tag,
is the branch's that it was made on, by the name of that, also when it is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, TypeVar

from msgspec.structs import replace

from tidegate import errors
from tidegate.catalog import buckets, repos
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.commits import Point
from tidegate.catalog.repos import BranchRow, State
from tidegate.gateway.permissions import authorise
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket, Principal, Repo, Writer
from tidegate.refs import MASTER, RefName, RepoName

# Projects, repositories, branches or tags in one page: each takes some ten queries.
MAX_PAGE: Final = 1000

_INSPECT: Final = "repo:Inspect"

T = TypeVar("T")
Tx = TypeVar("Tx", bound=Reader)


def check(tx: Reader, principal: Principal, repo: Repo, action: str, branch: str = MASTER) -> None:
    """Raises as ``authorise``, but for what its place means to a branch: that is for who writes it."""
    authorise(principal, replace(buckets.of_branch(tx, repo, branch), place=None), action)


def may_inspect(principal: Principal, repo: Repo, branch: str) -> bool:
    """Whether a list shows what is of this branch to the caller. No ``access`` forbids that."""
    try:
        authorise(principal, buckets.stand_in(repo, branch), _INSPECT)
    except errors.AccessDenied:
        return False
    return True


def page(found: Iterable[T], limit: int, position: Callable[[T], str]) -> tuple[list[T], str | None]:
    """A page of what is found, and what to go on after, where there is more."""
    some = list(islice(found, limit + 1))
    return some[:limit], position(some[limit - 1]) if len(some) > limit > 0 else None


def check_list(tx: Reader, principal: Principal, repo: Repo, shown: Sequence[object]) -> None:
    """Raises ``AccessDenied`` where the caller is shown nothing of a list, and may not look at the repository."""
    if not shown:
        check(tx, principal, repo, _INSPECT)


async def read(
    rooms: Rooms,
    principal: Principal,
    name: RepoName,
    action: str,
    function: Callable[[Reader, Repo], T],
    branch: str = MASTER,
) -> T:
    """What the function finds out about a repository, or a branch of it. Raises ``NoSuchRepo``, ``AccessDenied``, and
    as the function.
    """
    return await rooms.catalog.read(_checked(principal, name, action, function, branch))


async def look(rooms: Rooms, name: RepoName, function: Callable[[Reader, Repo], T]) -> T:
    """As ``read``, for a function that asks itself: by ``check``, or of ``state`` and ``standing``, which do."""
    return await rooms.catalog.read(_found(name, function))


async def write(
    rooms: Rooms,
    principal: Principal,
    name: RepoName,
    action: str,
    function: Callable[[Transaction, Repo], T],
    branch: str = MASTER,
) -> T:
    """As ``read``, in a transaction that writes."""
    return await rooms.hook_calls.write(_checked(principal, name, action, function, branch), action)


async def change(rooms: Rooms, name: RepoName, action: str, function: Callable[[Transaction, Repo], T]) -> T:
    """As ``look``, in a transaction that writes. Hooks are told of the ``action``."""
    return await rooms.hook_calls.write(_found(name, function), action)


def _checked(
    principal: Principal, name: RepoName, action: str, function: Callable[[Tx, Repo], T], branch: str
) -> Callable[[Tx], T]:
    """The function of a transaction, once the repository is found and the caller may do this to it."""

    def run(tx: Tx, repo: Repo) -> T:
        check(tx, principal, repo, action, branch)
        return function(tx, repo)

    return _found(name, run)


def _found(name: RepoName, function: Callable[[Tx, Repo], T]) -> Callable[[Tx], T]:
    """The function of a transaction, once the repository is found."""
    return lambda tx: function(tx, repos.repo(tx, name))


def state(tx: Reader, principal: Principal, repo: Repo, ref: str, action: str) -> State:
    """What a ref means, if the caller may do this to the branch that it is of. Raises as ``repos.resolve``."""
    found = repos.resolve(tx, RefName(repo.name, ref))
    check(tx, principal, repo, action, found.home)
    return found


def standing(tx: Reader, principal: Principal, repo: Repo, ref: str, action: str = "repo:Read") -> Point | None:
    """The commit that a ref stands for, for something to be made of it, if the caller may read all that is in it; None
    for a branch without any.

    Raises ``ParentNotFinished`` for one that is open: what is in it still changes. And as ``repos.resolve``.
    """
    at = state(tx, principal, repo, ref, action).point
    if at is not None and not at.finished:
        raise errors.ParentNotFinished(f"commit {at.id} has not been finished")
    return at


def branch(tx: Reader, principal: Principal, repo: Repo, name: str, action: str) -> BranchRow:
    """A branch, if the caller may do this to it. Raises ``NoSuchBranch``, and as ``check``."""
    found = repos.branch(tx, repo, name)
    check(tx, principal, repo, action, name)
    return found


def branch_bucket(tx: Reader, principal: Principal, repo: Repo, name: str, action: str, writer: Writer) -> Bucket:
    """The bucket of a branch, as they see it who write it. Raises ``NoSuchBranch``, and as ``authorise``."""
    found = repos.branch(tx, repo, name)
    bucket = buckets.by_id(tx, found.bucket)
    if bucket is None:
        raise LookupError(found.bucket)
    authorise(principal, bucket, action)
    return buckets.writable(bucket, writer)
