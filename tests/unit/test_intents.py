"""Intents to write other providers' objects: who has one, for how long, and what is in doubt."""

from __future__ import annotations

import pytest

from tests.unit.store import Store
from tidegate.catalog import intents
from tidegate.catalog.intents import NOBODY, Claim, Intent

LOG, KEY = 7, "é/key"
TAKEN = Claim(is_taken=True)


@pytest.fixture
def store() -> Store:
    """An empty catalog."""
    return Store()


def claim(store: Store, owner: str, now: int, until: int) -> Claim:
    """A try to take an intent down."""
    return store.write(lambda tx: intents.claim(tx, LOG, KEY, owner, now, until))


def found(store: Store) -> Intent | None:
    """The intent that is there."""
    return store.read(lambda tx: intents.find(tx, LOG, KEY))


def test_one_at_a_time(store: Store) -> None:
    """While somebody's intent counts nobody else gets one; other keys and logs are others."""
    assert claim(store, "a", 0, 10) == TAKEN
    assert not claim(store, "b", 9, 20).is_taken
    assert store.write(lambda tx: intents.claim(tx, LOG, "other", "b", 9, 20)) == TAKEN
    assert store.write(lambda tx: intents.claim(tx, LOG + 1, KEY, "b", 9, 20)) == TAKEN
    assert found(store) == Intent("a", 10)


def test_who_is_silent_loses_it(store: Store) -> None:
    """An intent that has run out can be taken over, and is in doubt; who had it finds that out."""
    claim(store, "a", 0, 10)
    assert claim(store, "b", 10, 20) == Claim(is_taken=True, before=Intent("a", 10))
    assert store.write(lambda tx: intents.renew(tx, LOG, KEY, "a", 30)) is False
    assert store.write(lambda tx: intents.settle(tx, LOG, KEY, "a")) is False
    assert found(store) == Intent("b", 20)


def test_it_lasts_as_long_as_it_is_renewed(store: Store) -> None:
    """A write that takes long keeps its intent; when its outcome is known it has none."""
    claim(store, "a", 0, 10)
    assert store.write(lambda tx: intents.renew(tx, LOG, KEY, "a", 30)) is True
    assert not claim(store, "b", 29, 40).is_taken
    assert store.write(lambda tx: intents.settle(tx, LOG, KEY, "a")) is True
    assert found(store) is None
    assert claim(store, "b", 29, 40) == TAKEN


def test_a_doubt_is_nobodys(store: Store) -> None:
    """A write whose outcome is not known hinders no other, and is remembered until somebody has asked."""
    claim(store, "a", 0, 10)
    assert not store.write(lambda tx: intents.doubt(tx, LOG, KEY, "b", 50))
    assert found(store) == Intent("a", 10)
    assert store.write(lambda tx: intents.doubt(tx, LOG, KEY, "a", 50))
    doubt = found(store)
    assert doubt == Intent(NOBODY, 50)
    assert claim(store, "b", 1, 20) == Claim(is_taken=True, before=doubt)
    store.write(lambda tx: intents.clear(tx, LOG, KEY, doubt))
    assert found(store) == Intent("b", 20)
    store.write(lambda tx: intents.clear(tx, LOG, KEY, Intent("b", 20)))
    assert found(store) is None


def test_a_log_that_goes_takes_them_along(store: Store) -> None:
    """The intents of a log are listed and removed together, those of others stay."""
    claim(store, "a", 0, 10)
    store.write(lambda tx: intents.claim(tx, LOG + 1, KEY, "a", 0, 10))
    assert store.read(lambda tx: intents.keys(tx, LOG)) == [KEY]
    store.write(lambda tx: intents.forget(tx, LOG))
    assert store.read(lambda tx: intents.keys(tx, LOG)) == []
    assert store.read(lambda tx: intents.keys(tx, LOG + 1)) == [KEY]
