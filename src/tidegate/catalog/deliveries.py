"""Deliveries: the calls of hooks that wait to be made, and the newest of those that were.

One that waits was written in the transaction of the commit that it tells of: with the commit it is there, or not at
all. Those of a hook are made one after the other, in the order of the commits.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate import errors
from tidegate.catalog import hooks
from tidegate.catalog.abc import Reader, Row, Transaction
from tidegate.catalog.hooks import HookRow, Occasion
from tidegate.model import Commit, Delivery, DeliveryState, HookEvent, Origin

# Deliveries of a hook that are remembered when they are over.
KEPT: Final = 1000
# Deliveries of a hook that wait, each with some hundred bytes. Older ones are given up.
MAX_WAITING: Final = 10_000
GIVEN_UP: Final = f"given up: more than {MAX_WAITING} deliveries waited"

_COLUMNS = "id, event, branch, commit_id, state, attempts, created, due, ended, status, answer"
# From hook to hook by a seek each: a hook may have many rows.
_WALK = """
    WITH RECURSIVE walk (hook) AS (
        SELECT min(hook) FROM deliveries {index}
        UNION ALL SELECT (SELECT min(d.hook) FROM deliveries d {index_of_d} {more} d.hook > walk.hook) FROM walk
        WHERE walk.hook IS NOT NULL)
    SELECT hook FROM walk WHERE hook IS NOT NULL"""
_EVERY = _WALK.format(index="INDEXED BY deliveries_hook", index_of_d="INDEXED BY deliveries_hook", more="WHERE")
_WAITING = _WALK.format(
    index="INDEXED BY deliveries_waiting WHERE due IS NOT NULL",
    index_of_d="INDEXED BY deliveries_waiting",
    more="WHERE d.due IS NOT NULL AND",
)


class Order(msgspec.Struct, frozen=True):
    """A delivery that is to be made."""

    seq: int
    id: str
    hook: HookRow
    event: HookEvent
    attempts: int
    body: bytes


class Outcome(msgspec.Struct, frozen=True):
    """What came of an attempt."""

    state: DeliveryState
    due: int | None
    ended: int | None
    status: int | None
    answer: str


def new_id() -> str:
    """An id for a delivery."""
    return secrets.token_hex(16)


def announce(tx: Transaction, repo_id: int, branch: str, commit: Commit, now: int) -> None:
    """Has the hooks called that are to hear of a commit, once the transaction has happened."""
    event = HookEvent.POST_MERGE if commit.origin is Origin.MERGE else HookEvent.POST_COMMIT
    for hook in hooks.matching(tx, repo_id, event, branch):
        occasion = Occasion(event, commit.repo, branch, hooks.about(commit))
        delivery = Delivery(
            new_id(), event, branch, commit.id, DeliveryState.WAITING, 0, now, now, None, None, ""
        )  # fmt: skip
        add(tx, hook.id, delivery, hooks.body(hook.shown, occasion, delivery.id, now))


def add(tx: Transaction, hook_id: int, delivery: Delivery, body: bytes) -> None:
    """Takes down a delivery."""
    tx.execute(
        f"INSERT INTO deliveries (seq, hook, body, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (tx.sequence(), hook_id, body, *msgspec.structs.astuple(delivery)),
    )


# --- those that wait -------------------------------------------------------------------------------------------------


def waiting(tx: Reader) -> list[tuple[int, int, int]]:
    """Of each hook for which deliveries wait: the hook, and place and time of the one whose turn it is."""
    found = []
    for (hook,) in list(tx.rows(_WAITING)):
        row = tx.one(
            """SELECT d.seq, d.due FROM deliveries d INDEXED BY deliveries_waiting
               WHERE d.hook = ? AND d.due IS NOT NULL AND EXISTS (SELECT 1 FROM hooks WHERE id = d.hook)
               ORDER BY d.seq LIMIT 1""",
            (hook,),
        )
        if row is not None:
            found.append((hook, row[0], row[1]))
    return found


def next_order(tx: Reader, hook_id: int, now: int) -> Order | None:
    """The delivery of a hook whose turn it is, if its time has come."""
    row = tx.one(
        """SELECT seq, id, event, attempts, due, body FROM deliveries INDEXED BY deliveries_waiting
           WHERE hook = ? AND due IS NOT NULL ORDER BY seq LIMIT 1""",
        (hook_id,),
    )
    hook = hooks.by_id(tx, hook_id)
    if row is None or hook is None or row[4] > now:
        return None
    return Order(row[0], row[1], hook, HookEvent(row[2]), row[3], row[5])


def settle(tx: Transaction, seq: int, attempts: int, outcome: Outcome) -> None:
    """Takes down what came of an attempt, unless the delivery has been given up meanwhile."""
    tx.execute(
        """UPDATE deliveries SET attempts = ?, state = ?, due = ?, ended = ?, status = ?, answer = ?
           WHERE seq = ? AND due IS NOT NULL""",
        (attempts, outcome.state, outcome.due, outcome.ended, outcome.status, outcome.answer, seq),
    )


# --- those that are looked at ----------------------------------------------------------------------------------------


def _delivery(row: Row) -> Delivery:
    number, event, branch, commit, state, *rest = row
    return Delivery(number, HookEvent(event), branch, commit, DeliveryState(state), *rest)


def page(tx: Reader, hook_id: int, after: str, limit: int) -> list[Delivery]:
    """Deliveries of a hook, the newest first, from after one of them. Raises ``NoSuchDelivery``."""
    before = (_found(tx, hook_id, after),) if after else ()
    sql = f"SELECT {_COLUMNS} FROM deliveries WHERE hook = ? {'AND seq < ?' if after else ''} ORDER BY seq DESC LIMIT ?"
    return [_delivery(row) for row in tx.rows(sql, (hook_id, *before, limit))]


def again(tx: Transaction, hook_id: int, delivery_id: str, now: int) -> Delivery:
    """Has a delivery made once more, or at once if it waits. Raises ``NoSuchDelivery``, and ``InvalidRequest`` for a
    question that was asked before something that is past.
    """
    seq = _found(tx, hook_id, delivery_id)
    found = _at(tx, seq)
    if found.event.is_before:
        raise errors.InvalidRequest(f"a {found.event} was a question, and is not asked again")
    attempts = found.attempts if found.state is DeliveryState.WAITING else 0
    settled = Outcome(DeliveryState.WAITING, now, None, found.status, found.answer)
    tx.execute("UPDATE deliveries SET due = ? WHERE seq = ?", (now, seq))
    settle(tx, seq, attempts, settled)
    return _at(tx, seq)


def _at(tx: Reader, seq: int) -> Delivery:
    row = tx.one(f"SELECT {_COLUMNS} FROM deliveries WHERE seq = ?", (seq,))
    if row is None:
        raise errors.NoSuchDelivery
    return _delivery(row)


def _found(tx: Reader, hook_id: int, delivery_id: str) -> int:
    row = tx.one("SELECT seq FROM deliveries WHERE id = ? AND hook = ?", (delivery_id, hook_id))
    if row is None:
        raise errors.NoSuchDelivery(f'delivery "{delivery_id}" not found: only the newest {KEPT} are remembered')
    return int(row[0])


# --- those that are forgotten ----------------------------------------------------------------------------------------


def hooks_with_any(tx: Reader) -> Sequence[int]:
    """The hooks that have deliveries, or had them when they were removed."""
    return [hook for (hook,) in tx.rows(_EVERY)]


def trim(tx: Transaction, hook_id: int, limit: int, now: int) -> int:
    """Forgets, and gives up, some of the deliveries that are too many for a hook, and of one that has gone. Returns how
    many: fewer than ``limit`` the last time.
    """
    if hooks.by_id(tx, hook_id) is None:
        return _forget(tx, "hook = ?", (hook_id,), limit)
    count = 0
    oldest = tx.one(
        """SELECT seq FROM deliveries INDEXED BY deliveries_waiting WHERE hook = ? AND due IS NOT NULL
           ORDER BY seq DESC LIMIT 1 OFFSET ?""",
        (hook_id, MAX_WAITING),
    )
    if oldest is not None:
        which = "hook = ? AND due IS NOT NULL AND seq <= ? ORDER BY seq LIMIT ?"
        parameters = (hook_id, oldest[0], limit)
        for seq, attempts in list(tx.rows(f"SELECT seq, attempts FROM deliveries WHERE {which}", parameters)):
            settle(tx, seq, attempts, Outcome(DeliveryState.FAILED, None, now, None, GIVEN_UP))
            count += 1
    past = tx.one(
        "SELECT seq FROM deliveries WHERE hook = ? AND due IS NULL ORDER BY seq DESC LIMIT 1 OFFSET ?", (hook_id, KEPT)
    )
    if past is not None:
        count += _forget(tx, "hook = ? AND due IS NULL AND seq <= ?", (hook_id, past[0]), limit)
    return count


def _forget(tx: Transaction, which: str, parameters: Sequence[int], limit: int) -> int:
    rows = list(tx.rows(f"SELECT seq FROM deliveries WHERE {which} ORDER BY seq LIMIT ?", (*parameters, limit)))
    tx.execute_many("DELETE FROM deliveries WHERE seq = ?", rows)
    return len(rows)
