"""What a bucket holds where that is more than the newest of one log: a fork, a past commit, a moment.

Such a state is a stack of layers (``model.Layer``), each what a log has up to a place. The newest version of a key in
the uppermost layer that has any counts; if it is a delete marker, the key is not there.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter

import msgspec

from tidegate.catalog.abc import Reader, Row, Value
from tidegate.catalog.rows import BLOB_COLUMNS, VERSION_COLUMNS
from tidegate.model import NEWEST, Layer

_encode = msgspec.json.Encoder().encode
# Layers that one statement looks into: a statement for each, and for head and history, takes twice the time. SQLite has
# a limit of 500 such members in a statement.
TOGETHER = 8
_MEMBERS = (
    "SELECT * FROM (SELECT {columns} FROM head WHERE log = ? AND key = ? AND {column} <= ?)",
    """SELECT * FROM (SELECT {columns} FROM history WHERE log = ? AND key = ? AND {column} <= ?
                      ORDER BY seq DESC LIMIT 1)""",
)
_H_COLUMNS = ", ".join(f"h.{column}" for column in VERSION_COLUMNS.split(", "))
# Keys come as an array in JSON, of hexadecimal digits: one statement for many costs a third of as many statements.
_WANTED = "WITH wanted (key) AS (SELECT unhex(value) FROM json_each(?3))"
_FIND_MANY = (
    f"""{_WANTED} SELECT {_H_COLUMNS} FROM wanted w CROSS JOIN head h
        ON h.log = ?1 AND h.key = w.key WHERE h.seq <= ?2""",
    f"""{_WANTED} SELECT {_H_COLUMNS} FROM wanted w CROSS JOIN history h
        ON h.log = ?1 AND h.key = w.key
        AND h.seq = (SELECT max(o.seq) FROM history o WHERE o.log = ?1 AND o.key = w.key AND o.seq <= ?2)""",
)
_AT_ONCE = 1000  # keys in one statement
# What a listing shows.
BRIEF = "key, size, etag, modified, storage_class, blob"
_IN_ORDER = (
    """SELECT {columns}, {depth} AS depth, seq AS place FROM head
       WHERE log = ? AND key > ? AND key < ? AND {column} <= ?""",
    "SELECT {columns}, {depth}, seq FROM history WHERE log = ? AND key > ? AND key < ? AND {column} <= ?",
)
# Of the past of a log that is read up to its newest, only what was deleted counts.
_MARKERS = """
    SELECT {columns}, {depth}, seq FROM history INDEXED BY history_markers
    WHERE log = ? AND key > ? AND key < ? AND blob IS NULL AND seq <= ?"""


def find(tx: Reader, layers: Sequence[Layer], key: bytes) -> Row | None:
    """The row of the version of a key that counts, which may be a delete marker; None where the key was never there."""
    return _find(tx, layers, key, _find_sql)


def find_with_data(tx: Reader, layers: Sequence[Layer], key: bytes) -> Row | None:
    """As ``find``, and with what is needed to read the bytes (``BLOB_COLUMNS``). One statement for up to ``TOGETHER``
    layers.
    """
    return _find(tx, layers, key, _find_with_data_sql)


def find_at_commit(tx: Reader, log: int, seq: int, commit_id: str, key: bytes) -> Row | None:
    """As ``find_with_data``, in a log at its commit of that id, which is at that place; None where it has no such."""
    return tx.one(_AT_COMMIT, (*(log, key, seq) * len(_MEMBERS), seq, commit_id, log))


def _find(tx: Reader, layers: Sequence[Layer], key: bytes, sql: Callable[[tuple[bool, ...]], str]) -> Row | None:
    needed = _needed(layers)
    for start in range(0, len(needed), TOGETHER):
        some = needed[start : start + TOGETHER]
        parameters: list[Value] = []
        for layer in some:
            parameters += (layer.log, key, layer.until) * len(_MEMBERS)
        row = tx.one(sql(tuple([layer.by_time for layer in some])), parameters)
        if row is not None:
            return row
    return None


def _needed(layers: Sequence[Layer]) -> Sequence[Layer]:
    """The layers down to one that has everything."""
    for depth, layer in enumerate(layers):
        if layer.is_whole:
            return layers[: depth + 1]
    return layers


def _column(*, by_time: bool) -> str:
    return "modified" if by_time else "seq"


@cache
def _find_sql(by_time: tuple[bool, ...]) -> str:
    """Looks into layers one after the other: SQLite computes the members of a UNION ALL in their order, and none after
    the row that is asked for.
    """
    members = (
        member.format(columns=VERSION_COLUMNS, column=_column(by_time=each)) for each in by_time for member in _MEMBERS
    )
    return f"{' UNION ALL '.join(members)} LIMIT 1"


@cache
def _find_with_data_sql(by_time: tuple[bool, ...]) -> str:
    return f"""SELECT {_H_COLUMNS}, {BLOB_COLUMNS} FROM ({_find_sql(by_time)}) h
               LEFT JOIN blobs b ON b.id = h.blob LEFT JOIN small_blobs s ON s.id = h.blob"""


_AT_COMMIT = f"""{_find_with_data_sql((False,))}
    WHERE EXISTS (SELECT 1 FROM commits WHERE seq = ? AND id = ? AND log = ?)"""


def live(tx: Reader, layers: Sequence[Layer], key: bytes) -> Row | None:
    """The row of the object of that key, if there is one."""
    row = find(tx, layers, key)
    return None if row is None or row[7] is None else row


def find_many(tx: Reader, layers: Sequence[Layer], keys: Sequence[bytes]) -> Mapping[bytes, Row]:
    """As ``live`` for many keys at once, by key. Only for layers up to a place."""
    found: dict[bytes, Row] = {}
    for start in range(0, len(keys), _AT_ONCE):
        left = set(keys[start : start + _AT_ONCE])
        for layer in layers:
            for sql in _FIND_MANY:
                if not left:
                    break
                names = _encode([key.hex() for key in left]).decode()
                for row in tx.rows(sql, (layer.log, layer.until, names)):
                    left.discard(row[0])
                    if row[7] is not None:
                        found[row[0]] = row
            if layer.is_whole:
                break
    return found


def objects(
    tx: Reader, layers: Sequence[Layer], after: bytes, end: bytes, columns: str = VERSION_COLUMNS
) -> Iterator[Row]:
    """The rows of all objects with keys between ``after`` and ``end``, both excluded, in order.

    ``columns`` begin with the key, and have ``blob``.
    """
    needed, blob = _needed(layers), columns.split(", ").index("blob")
    # Of rows with the same key, those of the first stream come first.
    streams = [
        _ranked(tx, needed[start : start + TOGETHER], after, end, columns) for start in range(0, len(needed), TOGETHER)
    ]
    last: bytes | None = None
    for row in streams[0] if len(streams) == 1 else heapq.merge(*streams, key=itemgetter(0)):
        if row[0] != last:
            last = row[0]
            if row[blob] is not None:
                yield row[:-2]


def _ranked(tx: Reader, layers: Sequence[Layer], after: bytes, end: bytes, columns: str) -> Iterator[Row]:
    """Rows of some layers by key, the one that counts first."""
    parameters: list[Value] = []
    for layer in layers:
        parameters += (layer.log, after, end, layer.until) * len(_IN_ORDER)
    shape = tuple([(layer.by_time, layer.until == NEWEST) for layer in layers])
    return tx.rows(_in_order_sql(columns, shape), parameters)


@cache
def _in_order_sql(columns: str, shape: tuple[tuple[bool, bool], ...]) -> str:
    head, past = _IN_ORDER
    members = (
        member.format(columns=columns, depth=depth, column=_column(by_time=by_time))
        for depth, (by_time, is_newest) in enumerate(shape)
        for member in (head, _MARKERS if is_newest and not by_time else past)
    )
    order = "key, depth, place DESC" if len(shape) > 1 else "key, place DESC"  # which an index has
    return f"{' UNION ALL '.join(members)} ORDER BY {order}"


def versions(tx: Reader, layer: Layer, condition: str, parameters: Sequence[Value]) -> Iterator[Row]:
    """All rows of a layer that satisfy a condition: by key, newest first."""
    column = _column(by_time=layer.by_time)
    head, history = (
        tx.rows(
            f"SELECT {VERSION_COLUMNS} FROM {table} WHERE {condition} AND {column} <= ? ORDER BY {order}",
            (*parameters, layer.until),
        )
        for table, order in (("head", "key"), ("history", "key, seq DESC"))
    )
    return heapq.merge(head, history, key=_order)


def history(tx: Reader, layers: Sequence[Layer], condition: str, parameters: Sequence[Value]) -> Iterator[Row]:
    """All rows of a state that satisfy a condition on ``key`` and ``seq``: by key, newest first."""
    streams = [versions(tx, layer, f"log = ? AND {condition}", (layer.log, *parameters)) for layer in layers]
    last: tuple[bytes, int] | None = None
    for row in heapq.merge(*streams, key=_order):
        if row[:2] != last:
            last = row[:2]
            yield row


def _order(row: Row) -> tuple[bytes, int]:
    return row[0], -row[1]
