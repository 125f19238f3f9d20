"""Long chains of branches: what flattening adds changes nothing that anybody sees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.store import Store, draft
from tidegate.catalog import buckets, commits, flattening, listing, repos, rewriting, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.check import CHECKS
from tidegate.gateway.repos.branches import make
from tidegate.model import Commit, Principal, Writer
from tidegate.refs import RefName, RepoName

REPO = RepoName("data")
ADMIN = Principal("admin", "admin", is_admin=True)


@pytest.fixture
def store() -> Iterator[Store]:
    """A repository with an empty master branch."""
    made = Store()
    made.write(lambda tx: repos.create_repo(tx, REPO, "admin", "", 0))
    made.write(lambda tx: make(tx, ADMIN, repos.repo(tx, REPO), "master", None))
    yield made
    for check in CHECKS:
        assert not list(made.read(check)), check.__name__
    made.connection.close()


def put(store: Store, branch: str, **objects: bytes | None) -> None:
    """One commit: bytes for what is written, None for what is deleted."""

    def write(tx: Transaction) -> None:
        bucket = buckets.writable(buckets.get(tx, RefName(REPO, branch)), Writer("me"))
        for key, data in objects.items():
            if data is None:
                versions.delete(tx, bucket, key, 1)
            else:
                versions.put(tx, bucket, key, draft(data, modified=store.now()))

    store.write(write)


def fork(store: Store, name: str, head: str) -> None:
    """A new branch."""
    store.write(lambda tx: make(tx, ADMIN, repos.repo(tx, REPO), name, repos.resolve(tx, RefName(REPO, head)).point))


def content(store: Store, ref: str) -> dict[str, bytes | None]:
    """All objects of a state, each read by itself, which the listing has to agree with."""
    bucket = store.read(lambda tx: buckets.get(tx, RefName(REPO, ref)))
    page = store.read(lambda tx: listing.keys(tx, bucket, prefix="", delimiter="", after="", limit=100))
    return {
        entry.key: store.read(lambda tx, key=entry.key: versions.read(tx, bucket, key)).data  # type: ignore[misc]
        for entry in page.entries
    }


def history(store: Store, ref: str) -> list[tuple[str, str]]:
    """All versions of all keys."""
    bucket = store.read(lambda tx: buckets.get(tx, RefName(REPO, ref)))
    page = store.read(
        lambda tx: listing.versions(tx, bucket, prefix="", delimiter="", after="", after_version="", limit=1000)
    )
    return [(version.key, version.version_id) for version in page.versions]


def flatten(store: Store, limit: int = 2) -> int:
    """Flattens what there is to flatten; how many steps that took."""
    steps = 0
    while (log := store.read(flattening.deepest)) is not None:
        store.write(lambda tx, log=log: flattening.flatten(tx, log, limit))  # type: ignore[misc]
        steps += 1
    return steps


def chain(store: Store, depth: int = 6) -> str:
    """A branch at the end of a chain: each has changed, deleted and added something."""
    put(store, "master", kept=b"0", changed=b"0", deleted=b"0", again=b"0")
    previous = "master"
    for number in range(1, depth + 1):
        name = f"branch-{number}"
        fork(store, name, previous)
        put(store, name, changed=str(number).encode(), **{f"added-{number}": b"new"})
        put(store, name, deleted=None if number % 2 else b"back", again=None)
        previous = name
    return previous


def test_flattening_changes_nothing(store: Store) -> None:
    """HEAD, every commit and all versions are as they were; a read at HEAD looks into one log only."""
    last = chain(store)

    def page(tx: Reader) -> list[Commit]:
        logs = [log for log, _ in commits.logs(tx, repos.repo(tx, REPO))]
        return commits.page_of_logs(tx, logs, REPO, 1 << 62, 100)

    ids = [each.id for each in store.read(page)]
    before = [content(store, ref) for ref in (last, "master", *ids)], history(store, last)
    assert flatten(store) > 2
    assert ([content(store, ref) for ref in (last, "master", *ids)], history(store, last)) == before
    [layer, *_] = store.read(lambda tx: buckets.get(tx, RefName(REPO, last))).layers
    assert layer.is_whole
    put(store, last, kept=b"1", changed=None)
    rest = {key: data for key, data in before[0][0].items() if key != "changed"}
    assert content(store, last) == {**rest, "kept": b"1"}


def test_what_is_written_meanwhile_stays(store: Store) -> None:
    """Writes and deletes between the steps are what readers see, and dropping them brings back what was there."""
    last = chain(store)
    before = content(store, last)
    log = store.read(flattening.deepest)
    assert log is not None
    store.write(lambda tx: flattening.flatten(tx, log, 1))
    put(store, last, kept=None, zzz=b"late")
    flatten(store)
    assert content(store, last) == {key: data for key, data in before.items() if key != "kept"} | {"zzz": b"late"}
    head = store.read(lambda tx: repos.resolve(tx, RefName(REPO, last)).point)
    assert head is not None
    store.write(lambda tx: rewriting.drop(tx, commits.get(tx, head.seq, REPO), 1))
    assert content(store, last) == before


def test_a_short_chain_is_left_alone(store: Store) -> None:
    """Nothing is added where a read has only a few logs to look into."""
    chain(store, flattening.MAX_DEPTH)
    assert store.read(flattening.deepest) is None
