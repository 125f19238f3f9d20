"""A repository as tests drive it straight through the gateway, and the background steps that free what is unused."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tests.unit.store import check
from tidegate import errors
from tidegate.catalog import blobs, rewriting, uploads
from tidegate.catalog.abc import Transaction
from tidegate.catalog.versions import Deleted
from tidegate.gateway import Gateway
from tidegate.gateway.body import PlainBody
from tidegate.gateway.objects import Deletion, NewObject
from tidegate.jobs import dropped, tidying
from tidegate.model import EVERYONE, Branch, BranchRef, Commit, Note, Principal, Trigger
from tidegate.refs import RefName, RepoName

T = TypeVar("T")

MASTER = "master"
# After every time that there is: whatever waits out a grace period has waited long enough.
LATER = 2**62

_numbers = itertools.count(1)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


class Repository:
    """A new repository behind a gateway; ``master`` is there, and empty, unless it is told otherwise."""

    def __init__(self, runner: asyncio.Runner, gateway: Gateway, *branches: str) -> None:
        self._runner = runner
        self.gateway = gateway
        self.name = RepoName(f"repo-{next(_numbers)}")
        self.run(gateway.repos.create(EVERYONE, self.name))
        for branch in branches or (MASTER,):
            self.branch(branch)

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(act)

    # --- what is in it ---

    def ref(self, ref: str) -> RefName:
        """A state of it, as the gateway takes buckets' names."""
        return RefName(self.name, ref)

    def put(self, ref: str, key: str, data: bytes, *, as_: Principal = EVERYONE, **new: Any) -> str:
        """Writes an object. Returns the id of the commit."""
        return self.run(self.putting(ref, key, data, as_=as_, **new))

    async def putting(self, ref: str, key: str, data: bytes, *, as_: Principal = EVERYONE, **new: Any) -> str:
        """As ``put``, for who is on the loop already."""
        body = PlainBody(_once(data), len(data))
        return (await self.gateway.objects.put(as_, self.ref(ref), key, body, NewObject(**new))).version_id

    def delete(self, ref: str, *keys: str) -> list[str]:
        """Deletes objects in one request. Returns the ids of the commits, empty where nothing was deleted."""
        deletions = [Deletion(key) for key in keys]
        outcomes = self.run(self.gateway.objects.delete_many(EVERYONE, self.ref(ref), deletions))
        assert all(isinstance(outcome, Deleted) for outcome in outcomes)
        return [outcome.version_id for outcome in outcomes if isinstance(outcome, Deleted)]

    def get(self, ref: str, key: str, version_id: str = "") -> bytes | None:
        """An object's bytes; None where there is none."""

        async def read() -> bytes | None:
            try:
                reading = await self.gateway.objects.read(EVERYONE, self.ref(ref), key, version_id)
            except (errors.NoSuchKey, errors.DeleteMarker, errors.NamedDeleteMarker):
                return None
            return b"".join([piece async for piece in reading.stream(0, reading.version.size)])

        return self.run(read())

    def page(self, ref: str, *, limit: int = 1000, **wanted: str) -> tuple[list[str], list[str], str | None]:
        """A page of a listing: keys, common prefixes, and the item to go on after."""
        options = {"prefix": "", "delimiter": "", "after": "", **wanted}
        _, page = self.run(self.gateway.buckets.list_objects(EVERYONE, self.ref(ref), **options, limit=limit))
        return [entry.key for entry in page.entries], page.prefixes, page.last

    def contents(self, ref: str) -> dict[str, bytes | None]:
        """All of a state, by listing it and reading each object."""
        return {key: self.get(ref, key) for key in self.page(ref)[0]}

    def versions(self, ref: str) -> list[tuple[str, str, bool, bool]]:
        """Key, version id, whether it is the newest and whether it is a delete marker, of each version, in order."""
        _, page = self.run(
            self.gateway.buckets.list_versions(
                EVERYONE, self.ref(ref), prefix="", delimiter="", after="", after_version="", limit=1000
            )
        )
        return [(each.key, each.version_id, each.is_latest, each.is_delete_marker) for each in page.versions]

    # --- its branches, commits and tags ---

    def branch(
        self,
        name: str,
        head: str | None = None,
        *,
        provenance: Sequence[BranchRef] | None = None,
        trigger: Trigger | None = None,
    ) -> Branch:
        """Makes, moves or changes a branch."""
        create = self.gateway.branches.create
        return self.run(create(EVERYONE, self.name, name, head=head, provenance=provenance, trigger=trigger))

    def protect(self, name: str, *, is_protected: bool = True) -> None:
        self.run(self.gateway.branches.protect(EVERYONE, self.name, name, is_protected=is_protected))

    def remove(self, name: str, *, force: bool = False) -> None:
        self.run(self.gateway.branches.delete(EVERYONE, self.name, name, force=force))

    def head(self, name: str) -> str | None:
        """The id of a branch's newest finished commit."""
        head = self.run(self.gateway.branches.get(EVERYONE, self.name, name)).head
        return None if head is None else head.id

    def start(self, branch: str, parent: str | None = None, **note: Any) -> str:
        return self.run(self.gateway.commits.start(saying(**note), self.name, branch, parent)).id

    def finish(self, ref: str, **note: Any) -> Commit:
        return self.run(self.gateway.commits.finish(saying(**note), self.name, ref))

    def commit(self, ref: str) -> Commit:
        return self.run(self.gateway.commits.get(EVERYONE, self.name, ref))

    def commits(self, ref: str | None = MASTER) -> list[str]:
        """The ids of the commits in the past of a ref, or of all, the newest first."""
        found: list[str] = []
        after = ""
        while True:
            page, last = self.run(self.gateway.commits.list(EVERYONE, self.name, ref, limit=3, after=after))
            found += [commit.id for commit in page]
            if last is None:
                return found
            after = last

    async def begun_beside(self) -> int:
        """How many commits are being written beside its branches."""
        sql = """SELECT count(*) FROM commits c JOIN logs l ON l.id = c.log JOIN repos r ON r.id = l.repo
                 WHERE r.name = ? AND c.finished IS NULL AND NOT EXISTS (SELECT 1 FROM buckets b WHERE b.log = l.id)"""
        row = await self.gateway.rooms.catalog.read(lambda tx: tx.one(sql, (self.name.name,)))
        assert row is not None
        return int(row[0])

    def squash(self, ref: str) -> None:
        self.run(self.gateway.commits.squash(EVERYONE, self.name, ref))

    def drop(self, ref: str) -> None:
        self.run(self.gateway.commits.drop(EVERYONE, self.name, ref))

    def tag(self, name: str, ref: str) -> None:
        self.run(self.gateway.tags.create(EVERYONE, self.name, name, ref))

    def merge(self, source: str, into: str = MASTER, **options: Any) -> Any:
        return self.run(self.gateway.changes.merge(EVERYONE, self.name, source, into, **options))

    def diff(self, old: str, new: str, **options: Any) -> list[tuple[str, str]]:
        """What has changed, page by page: paths with ``added``, ``removed`` or ``changed``."""
        found: list[tuple[str, str]] = []
        after = ""
        while True:
            page, last = self.run(
                self.gateway.changes.diff(EVERYONE, self.name, old, new, after=after, **{"limit": 2, **options})
            )
            for change in page:
                word = "added" if change.before is None else "removed" if change.after is None else "changed"
                found.append((change.path, word))
            if last is None:
                return found
            after = last

    def delete_all(self) -> None:
        """Removes the repository."""
        self.run(self.gateway.repos.delete(EVERYONE, self.name))


def saying(message: str = "", metadata: Mapping[str, str] | None = None, if_head: str = "") -> Principal:
    """A caller that says something of the commit."""
    return msgspec.structs.replace(EVERYONE, note=Note(message, metadata or {}, if_head))


def rewrite(runner: asyncio.Runner, gateway: Gateway) -> bool:
    """A step of what is done in the background about dropped and squashed commits. Whether there was any."""

    def step(tx: Transaction) -> bool:
        found = rewriting.next_rewrite(tx)
        if found is not None:
            tidying._rewrite(tx, found)
        return found is not None

    return runner.run(gateway.rooms.catalog.write(step))


def collect(runner: asyncio.Runner, gateway: Gateway) -> int:
    """Does all that is done in the background, checks the catalog, and returns how many blobs there are then."""
    catalog, store = gateway.rooms.catalog, gateway.rooms.blobs
    runner.run(tidying.tidy(gateway.rooms))
    runner.run(dropped.empty(gateway.rooms))

    def step(tx: Transaction) -> tuple[int, list[tuple[bytes, int]]]:
        uploads.forget(tx, LATER, 1000, 0)
        return blobs.collect(tx, LATER, 1000, 0)

    while (outcome := runner.run(catalog.write(step)))[0]:
        runner.run(store.delete(outcome[1]))
    runner.run(catalog.read(check_repos))
    row = runner.run(catalog.read(lambda tx: tx.one("SELECT count(*) FROM blobs")))
    assert row is not None
    return int(row[0])


def check_repos(tx: Any) -> None:
    """What is true of the catalog between any two transactions."""
    check(tx)
