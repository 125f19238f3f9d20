"""States of several layers, more than one statement takes: what is found in them, beside a plain model."""

from __future__ import annotations

import random
from functools import partial
from itertools import islice

import pytest

from tests.unit.store import Store
from tidegate.catalog import states, versions
from tidegate.catalog.abc import Reader, Row
from tidegate.catalog.rows import VERSION_COLUMNS, VERSION_WIDTH
from tidegate.model import NEWEST, Bucket, Layer, Versioning

KEYS = tuple(f"k{number:02d}".encode() for number in range(20))
LOGS = 2 * states.TOGETHER + 3
WRITES = 400


class Written:
    """Random versions and delete markers in many logs, in a catalog and as plain lists."""

    def __init__(self, seed: int) -> None:
        self.order = random.Random(seed)
        self.store = Store()
        self.store.keep(Versioning.ENABLED)
        self.logs = [self.store.bucket.log + 100 + number for number in range(LOGS)]
        self.rows: dict[int, list[Row]] = {log: [] for log in self.logs}
        for _ in range(WRITES):
            self._write(self.order.choice(self.logs), self.order.choice(KEYS))

    def _write(self, log: int, key: bytes) -> None:
        bucket = Bucket(1, "ais", "", "b", log, "", 0, Versioning.ENABLED, "", None)
        if self.order.random() < 0.3:
            self.store.write(lambda tx: versions.delete(tx, bucket, key.decode(), self.store.now()))
        else:
            self.store.bucket = bucket
            self.store.put(key.decode(), self.order.randbytes(3))
        sql = f"SELECT {VERSION_COLUMNS} FROM %s WHERE log = ? AND key = ? ORDER BY seq DESC LIMIT 1"
        name = (log, key)
        found = self.store.read(lambda tx: tx.one(sql % "head", name) or tx.one(sql % "history", name))
        assert found is not None
        self.rows[log].append(found)

    def layers(self) -> tuple[Layer, ...]:
        """Some logs, each up to its newest, to a place or to a time, perhaps one of them whole."""
        chosen = self.order.sample(self.logs, self.order.randint(1, LOGS))
        return tuple([self._layer(log) for log in chosen])

    def _layer(self, log: int) -> Layer:
        is_whole = self.order.random() < 0.05
        some = self.order.choice(self.rows[log])
        return self.order.choice(
            (
                Layer(log, NEWEST, is_whole=is_whole),
                Layer(log, some[1], is_whole=is_whole),
                Layer(log, some[5], by_time=True, is_whole=is_whole),
            )
        )

    def expected(self, layers: tuple[Layer, ...]) -> dict[bytes, Row]:
        """The newest of each key in the uppermost layer that has any."""
        found: dict[bytes, Row] = {}
        for layer in layers:
            newest = {row[0]: row for row in self.rows[layer.log] if row[5 if layer.by_time else 1] <= layer.until}
            found = {**newest, **found}
            if layer.is_whole:
                break
        return found


@pytest.mark.parametrize("seed", range(8))
def test_what_is_found_in_a_state(seed: int) -> None:
    """One key, one with its bytes, many keys and all in order are those of the uppermost layer that has any."""
    written = Written(seed)
    for _ in range(12):
        layers, after = written.layers(), written.order.choice(KEYS)
        written.store.read(partial(check, layers=layers, expected=written.expected(layers), after=after))
    written.store.connection.close()


def check(tx: Reader, layers: tuple[Layer, ...], expected: dict[bytes, Row], after: bytes) -> None:
    """Compares a state with what is expected of it."""
    there = {key: row for key, row in sorted(expected.items()) if row[7] is not None}
    for key in KEYS:
        assert states.find(tx, layers, key) == expected.get(key)
        row = states.find_with_data(tx, layers, key)
        if key in there:
            assert row is not None
            assert row[:VERSION_WIDTH] == there[key]
            assert row[VERSION_WIDTH + 3].hex() == there[key][4]  # the ETag shows the bytes
    if not any(layer.by_time for layer in layers):
        assert states.find_many(tx, layers, KEYS) == there
    assert list(states.objects(tx, layers, b"", b"\xff")) == list(there.values())
    page = islice(states.objects(tx, layers, after, b"\xff", states.BRIEF), 5)
    assert [row[0] for row in page] == [key for key in there if key > after][:5]
