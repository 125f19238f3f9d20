"""What has changed between two states of a repository, and how changes of one are taken over into another.

The keys that may differ come from ``changes``, so the cost is that of what was written since the states had a common
past, not that of what is in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from tidegate.catalog import commits, rows, states, versions
from tidegate.catalog.abc import Reader, Row, Transaction
from tidegate.catalog.commits import Point
from tidegate.model import Bucket, Change, Conflict, Layer, Version

Side = Literal["ours", "theirs"]
Layers = tuple[Layer, ...]


_AT_ONCE = 1000  # keys that are looked at together


class Plan(msgspec.Struct, frozen=True):
    """What a merge would do: the states, and the keys that ``theirs`` has changed since ``base``."""

    base: Layers
    ours: Layers
    theirs: Layers
    keys: Sequence[bytes]


class Taken(msgspec.Struct, frozen=True):
    """What became of some keys of a plan: how many were written, and where the sides could not be reconciled."""

    changes: int
    conflicts: tuple[Conflict, ...]


def meeting(one: Layers, other: Layers) -> Layers:
    """The newest state that both have in their logs' past; none where they have nothing in common."""
    places = {layer.log: layer.until for layer in other}
    for depth, layer in enumerate(one):
        if layer.log in places:
            return (replace(layer, until=min(layer.until, places[layer.log])), *one[depth + 1 :])
    return ()


def written(tx: Reader, layers: Layers, since: Layers, prefix: bytes = b"") -> Iterator[bytes]:
    """The keys that were written in a state after another one in its past."""
    sql = "SELECT key FROM changes WHERE log = ? AND seq > ? AND seq <= ?"
    for layer in layers:
        is_last = bool(since) and layer.log == since[0].log
        for (key,) in tx.rows(sql, (layer.log, since[0].until if is_last else 0, layer.until)):
            if key.startswith(prefix):
                yield key
        if is_last:
            return


def diff(
    tx: Reader, before: Layers, after: Layers, *, prefix: str = "", start: str = "", limit: int
) -> tuple[list[Change], str | None]:
    """A page of what differs between two states, by key, and the key to go on after where there is more."""
    common, head = meeting(before, after), prefix.encode()
    keys = {*written(tx, before, common, head), *written(tx, after, common, head)}
    left = sorted(key for key in keys if key > start.encode())
    found: list[Change] = []
    for place in range(0, len(left), _AT_ONCE):
        some = left[place : place + _AT_ONCE]
        old, new = (states.find_many(tx, layers, some) for layers in (before, after))
        for key in some:
            if is_same(old.get(key), new.get(key)):
                continue
            if len(found) == limit:
                return found, found[-1].path if found else start
            found.append(Change(key.decode(), _version(old.get(key)), _version(new.get(key))))
    return found, None


def is_same(one: Row | None, other: Row | None) -> bool:
    """Whether two rows are the same object: its bytes, and all that was said of them."""
    if one is None or other is None:
        return one is other
    return one[3:5] == other[3:5] and one[6] == other[6] and one[8:10] == other[8:10]


def plan(tx: Reader, ours: Layers, theirs: Layers) -> Plan:
    """What is to be considered to take over what ``theirs`` has changed since the sides last met."""
    base = _base(tx, ours, theirs)
    parted = meeting(base, theirs)
    return Plan(base, ours, theirs, sorted({*written(tx, theirs, parted), *written(tx, base, parted)}))


def has(tx: Reader, layers: Layers, at: Point) -> bool:
    """Whether a commit is in the past of a state, or its changes were taken over: by merges, or by merges of those."""
    return commits.within(layers, at.log, at.seq) != () or _known(tx, layers, ()).get(at.log, 0) >= at.seq


def _base(tx: Reader, ours: Layers, theirs: Layers) -> Layers:
    """The newest state that both sides come from: where their logs part, or what they have both taken over since."""
    parted = meeting(ours, theirs)
    one, other = _known(tx, ours, parted), _known(tx, theirs, parted)
    places = [Layer(log, min(until, other[log])) for log, until in one.items() if log in other]
    found = [at for at in (commits.last(tx, (place,)) for place in places) if at is not None]
    if not found:
        return parted
    # Whatever a commit comes from was finished before it.
    newest = max(found, key=lambda at: (at.finished, at.seq))
    return commits.chain(tx, newest.log, newest.seq)


def _known(tx: Reader, layers: Layers, parted: Layers) -> dict[int, int]:
    """Up to which place a state has taken in each log: those that it forked from, those that were merged into them
    since a state in its past, and so on. The cost is that of the merges since then.
    """
    sql = "SELECT merged FROM commits WHERE log = ? AND merged IS NOT NULL AND seq > ? AND seq <= ?"
    known = {layer.log: layer.until for layer in parted}
    left = [layers]
    while left:
        for layer in left.pop():
            since = known.get(layer.log, 0)
            if layer.until <= since:
                break
            known[layer.log] = layer.until
            for (merged,) in list(tx.rows(sql, (layer.log, since, layer.until))):
                at = commits.point(tx, merged)
                if at is not None:
                    left.append(commits.chain(tx, at.log, at.seq))
    return known


def is_conflict(tx: Reader, wanted: Plan, path: str) -> bool:
    """Whether both sides of a plan have changed a path, each in its own way."""
    key = path.encode()
    base, ours, theirs = (states.live(tx, layers, key) for layers in (wanted.base, wanted.ours, wanted.theirs))
    return not (is_same(theirs, base) or is_same(theirs, ours) or is_same(ours, base))


def take(
    tx: Transaction,
    bucket: Bucket,
    wanted: Plan,
    keys: Sequence[bytes],
    now: int,
    *,
    prefer: Side | None = None,
    choices: Mapping[str, Side] | None = None,
) -> Taken:
    """Writes what ``theirs`` has made of some keys of a plan to a branch, in one commit.

    Where both sides have changed a key, ``choices`` or else ``prefer`` say whose it is to be. Where neither does it is
    a conflict, and nothing at all is written.
    """
    chosen, conflicts = choose(tx, wanted, keys, prefer=prefer, choices=choices)
    if not conflicts:
        for key, row in chosen:
            if row is None:
                versions.delete(tx, bucket, key.decode(), now)
            else:
                versions.put(tx, bucket, key.decode(), versions.draft_of(rows.version(row, is_latest=False)))
    return Taken(len(chosen), conflicts)


def choose(
    tx: Reader,
    wanted: Plan,
    keys: Sequence[bytes],
    *,
    prefer: Side | None = None,
    choices: Mapping[str, Side] | None = None,
) -> tuple[list[tuple[bytes, Row | None]], tuple[Conflict, ...]]:
    """What ``take`` would write (a row, or None for a delete), and the conflicts."""
    chosen: list[tuple[bytes, Row | None]] = []
    conflicts: list[Conflict] = []
    states_of = [states.find_many(tx, layers, keys) for layers in (wanted.base, wanted.ours, wanted.theirs)]
    for key in keys:
        base, ours, theirs = (state.get(key) for state in states_of)
        if is_same(theirs, base) or is_same(theirs, ours):
            continue
        side = "theirs" if is_same(ours, base) else (choices or {}).get(key.decode(), prefer)
        if side is None:
            conflicts.append(Conflict(key.decode(), _version(base), _version(ours), _version(theirs)))
        elif side == "theirs":
            chosen.append((key, theirs))
    return chosen, tuple(conflicts)


def _version(row: Row | None) -> Version | None:
    return None if row is None else rows.version(row, is_latest=False)
