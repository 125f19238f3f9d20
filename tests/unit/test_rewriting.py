"""Commits that were squashed and dropped: nothing of them is left, nor anything else lost, in one step or in many."""

from __future__ import annotations

import pytest

from tests.unit.store import Store
from tests.unit.test_flattening import REPO, content, history, put, store
from tidegate.catalog import commits, repos, rewriting
from tidegate.catalog.abc import Transaction
from tidegate.model import Commit
from tidegate.refs import RefName

__all__ = ["store"]


def commit(tx: Transaction, ref: str) -> Commit:
    point = repos.resolve(tx, RefName(REPO, ref)).point
    assert point is not None
    return commits.get(tx, point.seq, REPO)


def tidy(store: Store) -> None:
    """What the job does, in the smallest steps."""
    while (rewrite := store.read(rewriting.next_rewrite)) is not None:
        log, seq, successor = rewrite
        if successor is None:
            store.write(lambda tx: rewriting.undo(tx, log, seq, 1, 1))  # noqa: B023 - called here
        else:
            store.write(lambda tx: rewriting.fold(tx, log, seq, successor, 1, 1))  # noqa: B023 - called here


@pytest.fixture(params=["at once", "by the job", "job behind"])
def pace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether a rewrite is done when it is asked for, right afterwards, or only at the end."""
    if request.param != "at once":
        monkeypatch.setattr(rewriting, "AT_ONCE", 0)
    return str(request.param)


def test_what_was_squashed_is_its_successors(store: Store, pace: str) -> None:
    """Dropping the commit that another was squashed into takes the writes of both."""
    put(store, "master", first=b"1", both=b"1")
    before = content(store, "master"), history(store, "master")
    put(store, "master", second=b"2", both=b"2", first=None)
    put(store, "master", third=b"3", both=b"3")
    after = content(store, "master")
    store.write(lambda tx: rewriting.squash(tx, commit(tx, "master^"), 1))
    if pace != "job behind":
        tidy(store)
        head = store.read(lambda tx: repos.resolve(tx, RefName(REPO, "master")).point)
        assert head is not None
        of_head = {key for key, version in history(store, "master") if version == head.id}
        assert of_head == {"first", "second", "third", "both"}
    assert content(store, "master") == after
    store.write(lambda tx: rewriting.drop(tx, commit(tx, "master"), 1))
    assert content(store, "master") == before[0]
    tidy(store)
    assert (content(store, "master"), history(store, "master")) == before


def test_squashing_twice(store: Store, pace: str) -> None:
    """A commit that was squashed into one that is squashed itself ends in the last."""
    for number in range(4):
        put(store, "master", **{f"key-{number}": b"x", "same": str(number).encode()})
    after = content(store, "master")
    store.write(lambda tx: rewriting.squash(tx, commit(tx, "master~2"), 1))
    if pace != "job behind":
        tidy(store)
    store.write(lambda tx: rewriting.squash(tx, commit(tx, "master~1"), 1))
    assert content(store, "master") == after
    tidy(store)
    assert content(store, "master") == after
    assert len(history(store, "master")) == 6
