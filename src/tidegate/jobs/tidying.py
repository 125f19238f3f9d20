"""Tidies up repositories: what commits that have gone leave behind, and chains of forks that have grown long."""

from __future__ import annotations

from functools import partial

from tidegate.catalog import flattening, rewriting
from tidegate.catalog.abc import Transaction
from tidegate.clock import now
from tidegate.gateway.rooms import Rooms

# Versions in one transaction: some 20 ms of the writer's time.
STEP = 1000


async def tidy(rooms: Rooms) -> int:
    """Does all that there is to do, in steps. Returns how many transactions it took."""
    steps = 0
    while (rewrite := await rooms.catalog.read(rewriting.next_rewrite)) is not None:
        await rooms.catalog.write(partial(_rewrite, rewrite=rewrite))
        steps += 1
    while (log := await rooms.catalog.read(flattening.deepest)) is not None:
        await rooms.catalog.write(partial(flattening.flatten, log=log, limit=STEP))
        steps += 1
    return steps


def _rewrite(tx: Transaction, rewrite: tuple[int, int, int | None]) -> None:
    log, seq, successor = rewrite
    if successor is None:
        rewriting.undo(tx, log, seq, STEP, now())
    else:
        rewriting.fold(tx, log, seq, successor, STEP, now())
