"""A catalog in memory for tests of its functions, what must always be true of it, and a plain model to compare with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec

from tidegate.catalog import blobs, buckets, listing, uploads, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.blobs import Kind
from tidegate.catalog.check import CHECKS
from tidegate.catalog.listing import VersionPage
from tidegate.catalog.schema import migrate
from tidegate.catalog.sqlite import Group, SQLiteReader, connect
from tidegate.catalog.versions import Draft
from tidegate.gateway.receive import inline
from tidegate.model import STANDARD, Attributes, Bucket, Upload, Version, Versioning

T = TypeVar("T")

OWNER = "owner"
NULL = "null"


class Store:
    """A catalog in memory, with one bucket. Transactions are groups of one."""

    def __init__(self) -> None:
        self.connection = connect(Path(":memory:"))
        migrate(self.connection)
        self.bucket = self.write(lambda tx: buckets.create(tx, "bucket", OWNER, "", 0))
        self.clock = 0

    def now(self) -> int:
        """A later time than all before."""
        self.clock += 1
        return self.clock

    def write(self, function: Callable[[Transaction], T]) -> T:
        """Runs a transaction. What it raises leaves nothing behind."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            group = Group(self.connection)
            return group.run(function)
        finally:
            group.finish()
            self.connection.execute("COMMIT")

    def read(self, function: Callable[[Reader], T]) -> T:
        return function(SQLiteReader(self.connection))

    def keep(self, versioning: Versioning) -> Bucket:
        """Sets how the bucket is kept."""
        self.write(lambda tx: buckets.set_versioning(tx, self.bucket, versioning))
        self.bucket = msgspec.structs.replace(self.bucket, versioning=versioning)
        return self.bucket

    def put(self, key: str, data: bytes = b"", **tags: str) -> Version:
        return self.write(lambda tx: versions.put(tx, self.bucket, key, draft(data, modified=self.now(), tags=tags)))

    def delete(self, key: str) -> versions.Deleted:
        return self.write(lambda tx: versions.delete(tx, self.bucket, key, self.now()))

    def delete_version(self, key: str, version_id: str) -> versions.Deleted:
        return self.write(lambda tx: versions.delete_version(tx, self.bucket, key, version_id, self.now()))

    def get(self, key: str, version_id: str = "") -> Version:
        return self.read(lambda tx: versions.get(tx, self.bucket, key, version_id))

    def data(self, key: str, version_id: str = "") -> bytes | None:
        """The bytes of an inline object."""
        return self.read(lambda tx: versions.read(tx, self.bucket, key, version_id)).data

    def begin(self, key: str, upload_id: str) -> Upload:
        """Starts a multipart upload."""
        upload = Upload(upload_id, self.bucket.id, key, self.now(), OWNER, STANDARD, Attributes(), {}, "", "")
        self.write(lambda tx: uploads.create(tx, upload))
        return upload

    def list_versions(
        self, after: str, after_version: str, limit: int, prefix: str = "", delimiter: str = ""
    ) -> VersionPage:
        return self.read(
            lambda tx: listing.versions(
                tx,
                self.bucket,
                prefix=prefix,
                delimiter=delimiter,
                after=after,
                after_version=after_version,
                limit=limit,
            )
        )

    def dump(self) -> dict[str, list[object]]:
        """All rows of all tables but the counter, which goes on whatever happens."""
        tables = [row[0] for row in self.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {
            table: list(self.connection.execute(f"SELECT * FROM {table}")) for table in tables if table != "counters"
        }

    def contents(self) -> tuple[set[bytes], int]:
        """Names of all files that blobs point at, and how many blobs there are."""
        rows = list(self.connection.execute("SELECT file FROM blobs"))
        return {row[0] for row in rows if row[0] is not None}, len(rows)


def draft(
    data: bytes = b"", *, modified: int = 0, tags: dict[str, str] | None = None, content: blobs.Content | None = None
) -> Draft:
    """An object of these bytes, inline unless there is other content. Its ETag shows the bytes."""
    return Draft(content or inline(data), len(data), data.hex(), modified, "STANDARD", Attributes(), tags or {})


def check(tx: Reader) -> None:
    """What is true of a catalog between any two transactions."""
    _check_references(tx)
    _check_logs(tx)
    assert [problem for rule in CHECKS for problem in rule(tx)] == []  # what fsck says of it


def _check_references(tx: Reader) -> None:
    """Every blob counts who points at it, and what nobody points at is garbage or gone."""
    pointing = Counter(
        row[0]
        for query in (
            "SELECT blob FROM head",
            "SELECT blob FROM history WHERE blob IS NOT NULL",
            "SELECT blob FROM upload_parts",
            "SELECT blob FROM fills WHERE blob IS NOT NULL",
            "SELECT source FROM blob_parts",
        )
        for row in tx.rows(query)
    )
    garbage = {row[0] for row in tx.rows("SELECT blob FROM garbage")}
    known = {}
    for blob, refs, kind, size in tx.rows("SELECT id, refs, kind, size FROM blobs"):
        known[blob] = kind
        assert refs == pointing[blob], f"blob {blob} counts {refs} references and has {pointing[blob]}"
        assert (blob in garbage) == (refs == 0), f"blob {blob} with {refs} references"
        if kind == Kind.COMPOSED:
            parts = list(
                tx.rows("SELECT offset, length, source FROM blob_parts WHERE blob = ? ORDER BY offset", (blob,))
            )
            assert sum(length for _, length, _ in parts) == size
            assert all(a + length == b for (a, length, _), (b, _, _) in pairwise(parts))
    assert pointing.keys() <= known.keys(), "something points at a blob that is not there"
    assert garbage <= known.keys()
    assert not any(known[blob] == Kind.COMPOSED for (blob,) in tx.rows("SELECT source FROM blob_parts"))
    inline_blobs = {row[0] for row in tx.rows("SELECT id FROM small_blobs")}
    assert inline_blobs == {blob for blob, kind in known.items() if kind == Kind.INLINE}


def _check_logs(tx: Reader) -> None:
    """Head and history divide each key's versions as the schema says, and the counters are those of head."""
    last = tx.one("SELECT value FROM counters WHERE name = 'sequence'")
    newest: dict[tuple[int, bytes], tuple[int, int | None]] = {}
    nulls: Counter[tuple[int, bytes]] = Counter()
    sequences = []
    branches = {row[0] for row in tx.rows("SELECT id FROM logs WHERE repo IS NOT NULL OR dropped = 1")}
    for table in ("history", "head"):
        for log, key, seq, version_id, blob in tx.rows(
            f"SELECT log, key, seq, version_id, blob FROM {table} ORDER BY log, key, seq"
        ):
            assert newest.get((log, key), (0, 0))[0] < seq, "head is older than history"
            newest[log, key] = (seq, blob)
            nulls[log, key] += version_id is None
            if log not in branches:  # where a commit has one place for all that it wrote
                sequences.append(seq)
            assert table == "history" or blob is not None, "a delete marker is in head"
    assert max(nulls.values(), default=0) <= 1, "a key has two null versions"
    assert len(sequences) == len(set(sequences))
    assert last is not None
    assert max(sequences, default=0) <= last[0]
    in_head = {(row[0], row[1]) for row in tx.rows("SELECT log, key FROM head")}
    assert in_head == {name for name, (_, blob) in newest.items() if blob is not None}, (
        "the newest object is not in head"
    )
    for log, objects, size in tx.rows("SELECT id, objects, bytes FROM logs WHERE repo IS NULL AND dropped = 0"):
        assert (objects, size) == tx.one("SELECT count(*), coalesce(sum(size), 0) FROM head WHERE log = ?", (log,))


# --- a bucket in plain Python ----------------------------------------------------------------------------------------


@dataclass
class Kept:
    """A version in the model. ``data`` is None for a delete marker. ``order`` says how new it is."""

    id: str
    data: bytes | None
    order: int
    tags: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    """A bucket as S3 describes it: the versions of each key, newest first."""

    versioning: Versioning = Versioning.OFF
    keys: dict[str, list[Kept]] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)  # of every id that there ever was, except null
    clock: int = 0

    def add(self, key: str, id: str, data: bytes | None, tags: dict[str, str] | None = None, **metadata: str) -> None:
        """A put, or with no data a delete marker. ``id`` is what the bucket called it, if it keeps more than one."""
        versions = self.keys.setdefault(key, [])
        if self.versioning is Versioning.ENABLED:
            assert id not in ("", NULL)
            assert id not in self.orders, "a version id came back"
        else:
            id = NULL
            versions[:] = [version for version in versions if version.id != NULL]
        self.clock += 1
        self.orders[id] = self.clock
        versions.insert(0, Kept(id, data, self.clock, tags or {}, metadata))

    def delete(self, key: str, id: str) -> None:
        """A delete that names no version. ``id`` is that of the delete marker, if the bucket made one."""
        if self.versioning is Versioning.OFF:
            self.keys.pop(key, None)
        else:
            self.add(key, id, None)

    def delete_version(self, key: str, id: str) -> None:
        versions = [version for version in self.keys.get(key, []) if version.id != id]
        self.keys[key] = versions
        if not versions:
            del self.keys[key]

    def current(self, key: str) -> Kept | None:
        """The object that a read finds."""
        versions = self.keys.get(key)
        return versions[0] if versions and versions[0].data is not None else None

    def named(self, key: str, id: str) -> Kept | None:
        return next((version for version in self.keys.get(key, []) if version.id == id), None)

    def live(self) -> list[str]:
        return [key for key in self.keys if self.current(key) is not None]

    def list_keys(self, prefix: str, delimiter: str, after: str, limit: int) -> tuple[list[str], list[str], str | None]:
        """Keys, common prefixes, and the item to go on after."""
        return _page(by_bytes(self.live()), prefix, delimiter, after, limit)

    def list_versions(
        self, prefix: str, delimiter: str, after: str, after_id: str, limit: int
    ) -> tuple[list[tuple[str, str, bool]], list[str], tuple[str, str] | None]:
        """Key, id and whether it is the newest; common prefixes; and the item to go on after."""
        items: list[tuple[str, Kept | None]] = []
        for key in by_bytes(self.keys):
            if not key.startswith(prefix):
                continue
            group = common_prefix(key, prefix, delimiter)
            rest = [
                version
                for version in self.keys[key]
                if self._is_after(key, version, prefix, delimiter, after, after_id)
            ]
            if group is None:
                items += [(key, version) for version in rest]
            elif rest and (group, None) not in items:
                items.append((group, None))
        page = items[:limit]
        found = [(key, kept.id, kept is self.keys[key][0]) for key, kept in page if kept is not None]
        prefixes = [key for key, kept in page if kept is None]
        last_key, last = page[-1] if page else ("", None)
        return found, prefixes, (last_key, last.id if last else "") if len(items) > limit else None

    def _is_after(self, key: str, version: Kept, prefix: str, delimiter: str, after: str, after_id: str) -> bool:
        group = common_prefix(key, prefix, delimiter)
        if after and group == after:
            return False
        if key != after or not after_id or group == after:
            return key.encode() > after.encode()
        marker = self.named(key, NULL) if after_id == NULL else None
        order = marker.order if marker else None if after_id == NULL else self.orders.get(after_id)
        return order is None or version.order < order


def by_bytes(keys: Iterable[str]) -> list[str]:
    """In S3's order."""
    return sorted(keys, key=str.encode)


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """What a key is shown as where it has the delimiter after the listing's prefix."""
    at = key.find(delimiter, len(prefix)) if delimiter else -1
    return None if at < 0 else key[: at + len(delimiter)]


def _page(
    ordered: Iterable[str], prefix: str, delimiter: str, after: str, limit: int
) -> tuple[list[str], list[str], str | None]:
    items: dict[str, bool] = {}
    for key in ordered:
        group = common_prefix(key, prefix, delimiter)
        if key.startswith(prefix) and key.encode() > after.encode() and (group is None or group != after):
            items[key if group is None else group] = group is None
    page = list(items)[:limit]
    return (
        [item for item in page if items[item]],
        [item for item in page if not items[item]],
        page[-1] if len(items) > limit else None,
    )
