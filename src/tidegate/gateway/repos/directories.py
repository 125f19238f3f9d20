"""Directories of a branch: all the objects whose keys begin so, in one commit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from tidegate import errors
from tidegate.catalog import commits, listing, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.commits import Point
from tidegate.catalog.committing import committing
from tidegate.clock import now
from tidegate.gateway.repos import aside, within
from tidegate.gateway.repos.aside import Work
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket, Merged, Principal, Repo, Writer
from tidegate.refs import RepoName

# Objects that are deleted in one transaction, some 60 ms of the writer's time.
STEP = 1000

_SLASH: Final = "/"
_ACTION: Final = "s3:DeleteObject"


class Directories:
    """Deleting what is below a path."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def delete(self, principal: Principal, repo: RepoName, branch: str, path: str) -> Merged:
        """Deletes an object and all that is in the directory of its name, of an empty path everything: in one commit,
        or into the one that is open, and then also what was written there. What is not there is no error.

        What takes more than one transaction is done beside the branch: that shows all of it at once, or nothing, and
        what others write meanwhile stays. Where they write what is deleted it is ``ConditionalRequestConflict``.

        Raises ``NoSuchRepo``, ``NoSuchBranch``, ``AccessDenied``, ``PreconditionFailed``.
        """

        def bucket(tx: Reader, of: Repo) -> Bucket:
            writer = Writer(principal.name, principal.note)
            found = within.branch_bucket(tx, principal, of, branch, _ACTION, writer)
            within.check(tx, principal, of, "repo:List", branch)
            return found

        def some(tx: Transaction, of: Repo, after: str, into: str = "") -> tuple[Merged, str | None] | None:
            """Deletes what comes after a key; None where it is too much for a commit of its own."""
            found = bucket(tx, of)
            opened = None if found.place is None or found.place.open is None else found.place.open[1]
            if into not in {"", opened}:
                raise errors.ConditionalRequestConflict("The commit that was open has been finished meanwhile.")
            keys, last = _below(tx, found, path, after)
            if last is not None and opened is None:
                return None
            with committing(tx, found):
                deleted = _delete(tx, found, keys)
                made = commits.get(tx, commits.stamp(tx, found).seq, repo) if keys else None
            return Merged(made, deleted), last

        done = await within.change(self._rooms, repo, _ACTION, partial(some, after=""))
        if done is None:
            return await self._aside(Work(repo, branch, bucket, None, action=_ACTION), path)
        merged, last = done
        while last is not None and merged.commit is not None:
            step = partial(some, after=last, into=merged.commit.id)
            done = await within.change(self._rooms, repo, _ACTION, step)
            if done is None:
                break
            merged, last = replace(merged, changes=merged.changes + done[0].changes), done[1]
        return merged

    async def _aside(self, work: Work, path: str) -> Merged:
        def look(tx: Reader, of: Repo) -> tuple[Bucket, Point] | None:
            found = work.branch(tx, of)
            head = commits.last(tx, found.state)
            return None if head is None else (_at(tx, found, head), head)

        looked = await within.look(self._rooms, work.repo, look)
        if looked is None:
            return Merged(None, 0)
        state, head = looked
        return await aside.commit(self._rooms, replace(work, head=head), self._steps(state, path))

    async def _steps(self, state: Bucket, path: str) -> AsyncGenerator[aside.Step, None]:
        """Deletes what there is in a state, which does not change."""
        after: str | None = ""
        while after is not None:
            keys, after = await self._rooms.catalog.read(partial(_below, bucket=state, path=path, after=after))
            yield partial(_delete, keys=keys)


def _at(tx: Reader, bucket: Bucket, head: Point) -> Bucket:
    """A branch's bucket as it is at a commit, whatever comes after."""
    return replace(bucket, log=head.log, layers=commits.chain(tx, head.log, head.seq))


def _below(tx: Reader, bucket: Bucket, path: str, after: str) -> tuple[list[str], str | None]:
    """Some of the keys at and below a path, and the one to go on after, where there are more."""
    directory = path if not path or path.endswith(_SLASH) else path + _SLASH
    found = []
    if directory != path and not after:
        page = listing.keys(tx, bucket, prefix=path, delimiter="", after="", limit=1)
        found = [entry.key for entry in page.entries if entry.key == path]
    page = listing.keys(tx, bucket, prefix=directory, delimiter="", after=after, limit=STEP)
    return [*found, *(entry.key for entry in page.entries)], page.last


def _delete(tx: Transaction, bucket: Bucket, keys: Sequence[str]) -> int:
    """Deletes objects that are there. Returns how many they are."""
    for key in keys:
        versions.delete(tx, bucket, key, now())
    return len(keys)
