"""A bucket under random operations is what a model in plain Python says, through the gateway and over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.unit.bucket_stores import Boto3Store, GatewayStore, Refused, Store, Written
from tests.unit.store import NULL, Kept, Model, check
from tidegate.catalog import blobs, uploads
from tidegate.catalog.abc import Transaction
from tidegate.gateway import Gateway, open_gateway
from tidegate.model import Versioning
from tidegate.testing import serve

keys = st.sampled_from(["a", "a/", "a/b", "é z+%"])
# Small enough for a few bytes to pass them: some objects stay in the catalog and some become files.
INLINE_LIMIT = 8
MIN_PART_SIZE = 4
contents = st.binary(max_size=8) | st.binary(min_size=9, max_size=24)
labels = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "two"]), max_size=2)
indexes = st.integers(0, 30)
numbers = st.sampled_from([1, 2, 3, 9_999, 10_000])


def etag_of(data: bytes) -> str:
    """The ETag of an object that was put in one piece."""
    return hashlib.md5(data).hexdigest()


class Upload:
    """An upload in the model."""

    def __init__(self, id: str, key: str, metadata: dict[str, str], tags: dict[str, str]) -> None:
        self.id = id
        self.key = key
        self.metadata = metadata
        self.tags = tags
        self.parts: dict[int, bytes] = {}


class Bucket(RuleBasedStateMachine):
    """The rules: each does something to the bucket and to the model, and compares what came of it."""

    make_store: ClassVar[Callable[[], Store]]

    def __init__(self) -> None:
        super().__init__()
        self.store = type(self).make_store()
        self.model = Model()
        self.etags: dict[int, str] = {}  # by the order of their versions
        self.uploads: list[Upload] = []

    # --- helpers ---

    def refused(self, code: str, act: Callable[[], object]) -> None:
        """Does something that must be refused with this code."""
        with pytest.raises(Refused) as raised:
            act()
        assert raised.value.code == code

    def wrote(self, key: str, written: Written, data: bytes, metadata: dict[str, str], tags: dict[str, str]) -> None:
        """Takes a write that succeeded into the model."""
        self.model.add(key, written.version_id, data, dict(tags), **metadata)
        self.etags[self.model.clock] = written.etag

    def any_version(self, key: str, index: int) -> str:
        """The id of some version of a key, or of none."""
        known = [version.id for version in self.model.keys.get(key, [])]
        return known[index % len(known)] if known else NULL

    def deleted(self, key: str, version_id: str, outcome: tuple[str, bool]) -> None:
        """Compares the outcome of a delete, and takes it into the model."""
        if version_id:
            was = self.model.named(key, version_id)
            assert outcome == (version_id, was is not None and was.data is None)
            self.model.delete_version(key, version_id)
            return
        made, is_marker = outcome
        assert is_marker is (self.model.versioning is not Versioning.OFF)
        self.model.delete(key, made)

    def newest_id(self, key: str) -> str:
        """What the bucket calls the newest version of a key."""
        found, _, _ = self.store.list_versions(key, "", "", "", 1000)
        return next(version_id for name, version_id, newest, _ in found if name == key and newest)

    # --- how it is kept ---

    @initialize(versioning=st.sampled_from(Versioning))
    def begin_as(self, versioning: Versioning) -> None:
        if versioning is not Versioning.OFF:
            self.keep(versioning)

    @rule(versioning=st.sampled_from([Versioning.ENABLED, Versioning.SUSPENDED]))
    def keep(self, versioning: Versioning) -> None:
        self.store.keep(versioning)
        self.model.versioning = versioning

    # --- objects ---

    @rule(key=keys, data=contents, metadata=labels, tags=labels)
    def put(self, key: str, data: bytes, metadata: dict[str, str], tags: dict[str, str]) -> None:
        written = self.store.put(key, data, metadata=metadata, tags=tags)
        assert written.etag == etag_of(data)
        self.wrote(key, written, data, metadata, tags)

    @rule(key=keys, data=contents)
    def put_if_absent(self, key: str, data: bytes) -> None:
        def put() -> Written:
            return self.store.put(key, data, metadata={}, tags={}, if_none_match=True)

        if self.model.current(key):
            self.refused("PreconditionFailed", put)
        else:
            self.wrote(key, put(), data, {}, {})

    @rule(key=keys, data=contents, right=st.booleans())
    def put_if_match(self, key: str, data: bytes, right: bool) -> None:  # noqa: FBT001 - drawn
        current = self.model.current(key)
        etag = self.etags[current.order] if current and right else "0" * 32

        def put() -> Written:
            return self.store.put(key, data, metadata={}, tags={}, if_match=etag)

        if current is None:
            self.refused("NoSuchKey", put)
        elif right:
            self.wrote(key, put(), data, {}, {})
        else:
            self.refused("PreconditionFailed", put)

    @rule(key=keys, data=contents, tags=labels, off=st.sampled_from([0, 0, 0, 1]))
    def append(self, key: str, data: bytes, tags: dict[str, str], off: int) -> None:
        current = self.model.current(key)
        old = current.data or b"" if current else b""

        def append() -> Written:
            return self.store.put(key, data, metadata={}, tags=tags, offset=len(old) + off)

        if off:
            self.refused("InvalidWriteOffset", append)
        else:
            kept = current or Kept("", b"", 0, tags)
            self.wrote(key, append(), old + data, kept.metadata, kept.tags)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.deleted(key, "", self.store.delete(key))

    @rule(key=keys, index=indexes)
    def delete_version(self, key: str, index: int) -> None:
        version_id = self.any_version(key, index)
        self.deleted(key, version_id, self.store.delete(key, version_id))

    @rule(key=keys, right=st.booleans())
    def delete_if_match(self, key: str, right: bool) -> None:  # noqa: FBT001 - drawn
        current = self.model.current(key)
        etag = self.etags[current.order] if current and right else "0" * 32
        if current is None:
            self.refused("NoSuchKey", lambda: self.store.delete(key, if_match=etag))
        elif right:
            self.deleted(key, "", self.store.delete(key, if_match=etag))
        else:
            self.refused("PreconditionFailed", lambda: self.store.delete(key, if_match=etag))

    @rule(wanted=st.lists(st.tuples(keys, st.none() | indexes), min_size=1, max_size=4))
    def delete_many(self, wanted: list[tuple[str, int | None]]) -> None:
        named = [(key, "" if index is None else self.any_version(key, index)) for key, index in wanted]
        outcomes = self.store.delete_many(named)
        assert len(outcomes) == len(named)
        for (key, version_id), outcome in zip(named, outcomes, strict=True):
            self.deleted(key, version_id, outcome)

    @rule(source=keys, key=keys, index=st.none() | indexes, metadata=st.none() | labels)
    def copy(self, source: str, key: str, index: int | None, metadata: dict[str, str] | None) -> None:
        version_id = "" if index is None else self.any_version(source, index)
        found = self.model.named(source, version_id) if version_id else self.model.current(source)

        def copy() -> Written:
            return self.store.copy(source, version_id, key, metadata)

        if found is None:
            self.refused("NoSuchVersion" if version_id else "NoSuchKey", copy)
        elif found.data is None or (source == key and not version_id and metadata is None):
            self.refused("InvalidRequest", copy)
        else:
            written = copy()
            assert written.etag == self.etags[found.order]
            self.wrote(key, written, found.data, found.metadata if metadata is None else metadata, found.tags)

    @rule(source=keys, key=keys)
    def rename(self, source: str, key: str) -> None:
        found = self.model.current(source)
        if found is None:
            self.refused("NoSuchKey", lambda: self.store.rename(source, key))
        elif source == key:
            self.refused("InvalidRequest", lambda: self.store.rename(source, key))
        else:
            self.store.rename(source, key)
            assert found.data is not None
            written = Written(self.etags[found.order], self.newest_id(key))
            self.wrote(key, written, found.data, found.metadata, found.tags)
            marked = "" if self.model.versioning is Versioning.OFF else self.newest_id(source)
            self.model.delete(source, marked)

    @rule(key=keys, index=st.none() | indexes, tags=labels)
    def tag(self, key: str, index: int | None, tags: dict[str, str]) -> None:
        version_id = "" if index is None else self.any_version(key, index)
        found = self.model.named(key, version_id) if version_id else self.model.current(key)
        if found is None:
            self.refused("NoSuchVersion" if version_id else "NoSuchKey", lambda: self.store.tag(key, version_id, tags))
        elif found.data is None:
            self.refused("MethodNotAllowed", lambda: self.store.tag(key, version_id, tags))
        else:
            self.store.tag(key, version_id, tags)
            found.tags = dict(tags)

    # --- multipart uploads ---

    @rule(key=keys, metadata=labels, tags=labels)
    def begin(self, key: str, metadata: dict[str, str], tags: dict[str, str]) -> None:
        self.uploads.append(Upload(self.store.begin(key, metadata, tags), key, metadata, tags))

    @rule(index=indexes, number=numbers, data=contents)
    def part(self, index: int, number: int, data: bytes) -> None:
        if self.uploads:
            upload = self.uploads[index % len(self.uploads)]
            assert self.store.part(upload.key, upload.id, number, data) == etag_of(data)
            upload.parts[number] = data

    @rule(index=indexes, number=numbers, source=keys, start=indexes, length=indexes)
    def copy_part(self, index: int, number: int, source: str, start: int, length: int) -> None:
        found = self.model.current(source)
        if not self.uploads or found is None or not found.data:
            return
        upload = self.uploads[index % len(self.uploads)]
        first = start % len(found.data)
        last = first + length

        def copy() -> str:
            return self.store.copy_part(upload.key, upload.id, number, source, (first, last))

        if last >= len(found.data):
            self.refused("InvalidArgument", copy)
        else:
            data = found.data[first : last + 1]
            assert copy() == etag_of(data)
            upload.parts[number] = data

    @rule(index=indexes, skip=st.sets(numbers, max_size=2), wrong=st.sampled_from([False] * 5 + [True]))
    def complete(self, index: int, skip: set[int], wrong: bool) -> None:  # noqa: FBT001 - drawn
        if not self.uploads:
            return
        upload = self.uploads[index % len(self.uploads)]
        chosen = sorted(upload.parts.keys() - skip)
        listed = [(number, "0" * 32 if wrong else etag_of(upload.parts[number])) for number in chosen]

        def complete() -> Written:
            return self.store.complete(upload.key, upload.id, listed)

        if not chosen:
            return
        if wrong:
            self.refused("InvalidPart", complete)
        elif any(len(upload.parts[number]) < MIN_PART_SIZE for number in chosen[:-1]):
            self.refused("EntityTooSmall", complete)
        else:
            written = complete()
            digests = b"".join(hashlib.md5(upload.parts[number]).digest() for number in chosen)
            assert written.etag == f"{etag_of(digests)}-{len(chosen)}"
            data = b"".join(upload.parts[number] for number in chosen)
            self.wrote(upload.key, written, data, upload.metadata, upload.tags)
            self.uploads.remove(upload)
            assert complete() == written

    @rule(index=indexes)
    def abort(self, index: int) -> None:
        if self.uploads:
            upload = self.uploads.pop(index % len(self.uploads))
            self.store.abort(upload.key, upload.id)
            self.refused("NoSuchUpload", lambda: self.store.parts(upload.key, upload.id))

    # --- reading ---

    def compare(self, key: str, version_id: str, expected: Kept) -> None:
        """Reads a version and compares all of it."""
        found = self.store.get(key, version_id)
        assert found.data == expected.data
        assert found.etag == self.etags[expected.order]
        assert dict(found.metadata) == expected.metadata
        assert dict(found.tags) == expected.tags

    @rule(key=keys, index=st.none() | indexes)
    def read(self, key: str, index: int | None) -> None:
        version_id = "" if index is None else self.any_version(key, index)
        found = self.model.named(key, version_id) if version_id else self.model.current(key)
        if found is None:
            self.refused("NoSuchVersion" if version_id else "NoSuchKey", lambda: self.store.get(key, version_id))
        elif found.data is None:
            self.refused("MethodNotAllowed", lambda: self.store.get(key, version_id))
        else:
            self.compare(key, version_id, found)

    @rule(key=keys, start=indexes, length=indexes)
    def read_range(self, key: str, start: int, length: int) -> None:
        found = self.model.current(key)
        if found is not None and found.data:
            first = start % len(found.data)
            assert self.store.get(key, "", (first, first + length)).data == found.data[first : first + length + 1]

    @rule(
        prefix=st.sampled_from(["", "a", "a/", "é", "x"]),
        delimiter=st.sampled_from(["", "/", "b"]),
        after=st.just("") | keys,
        limit=st.integers(1, 5),
        version=st.sampled_from([1, 2]),
    )
    def list_keys(self, prefix: str, delimiter: str, after: str, limit: int, version: int) -> None:
        found, groups, last = self.model.list_keys(prefix, delimiter, after, limit)
        assert self.store.list_keys(prefix, delimiter, after, limit, version) == (found, groups, last is not None)
        found, groups, _ = self.model.list_keys(prefix, delimiter, "", 1000)
        assert self.store.walk_keys(prefix, delimiter, limit, version) == (found, groups)

    @rule(
        prefix=st.sampled_from(["", "a", "a/", "é", "x"]),
        delimiter=st.sampled_from(["", "/", "b"]),
        after=st.just("") | keys,
        index=st.none() | indexes,
        limit=st.integers(1, 5),
    )
    def list_versions(self, prefix: str, delimiter: str, after: str, index: int | None, limit: int) -> None:
        after_id = "" if index is None or after not in self.model.keys else self.any_version(after, index)
        found, groups, last = self.model.list_versions(prefix, delimiter, after, after_id, limit)
        expected = sorted((*item, self.is_marker(item[0], item[1])) for item in found)
        listed, prefixes, more = self.store.list_versions(prefix, delimiter, after, after_id, limit)
        assert (sorted(listed), prefixes, more) == (expected, groups, last is not None)

    def is_marker(self, key: str, version_id: str) -> bool:
        version = self.model.named(key, version_id)
        return version is not None and version.data is None

    @rule()
    def list_uploads(self) -> None:
        expected = sorted((upload.key.encode(), upload.id) for upload in self.uploads)
        assert [(key.encode(), upload_id) for key, upload_id in self.store.uploads()] == expected
        for upload in self.uploads:
            parts = [(number, etag_of(data), len(data)) for number, data in sorted(upload.parts.items())]
            assert self.store.parts(upload.key, upload.id) == parts

    # --- the end ---

    def teardown(self) -> None:
        """Everything is there and as it should be; and once all of it is removed, the bucket can go."""
        try:
            self.list_uploads()
            for key, versions in self.model.keys.items():
                for version in versions:
                    if version.data is not None:
                        self.compare(key, version.id, version)
        finally:
            for key, upload_id in self.store.uploads():
                self.store.abort(key, upload_id)
            listed, _, _ = self.store.list_versions("", "", "", "", 1000)
            if listed:
                self.store.delete_many([(key, version_id) for key, version_id, _, _ in listed])
            self.store.close()


# --- where it runs ---------------------------------------------------------------------------------------------------

STEPS = settings(stateful_step_count=40, suppress_health_check=list(HealthCheck))


class CheckedStore(GatewayStore):
    """A bucket through the gateway; once it is gone, nothing of it is left in the catalog or on the disk."""

    folder: ClassVar[Path]

    def close(self) -> None:
        super().close()
        catalog, store = self.gateway.rooms.catalog, self.gateway.rooms.blobs

        def collect(tx: Transaction) -> tuple[int, list[tuple[bytes, int]]]:
            check(tx)
            uploads.forget(tx, 2**62, 1000, 0)
            return blobs.collect(tx, 2**62, 1000, 0)

        removed: list[tuple[bytes, int]] = []
        while (outcome := self.run(lambda: catalog.write(collect)))[0]:
            removed += outcome[1]
        self.run(lambda: store.delete(removed))
        self.run(lambda: catalog.read(check))
        assert self.run(lambda: catalog.read(lambda tx: tx.one("SELECT count(*) FROM blobs"))) == (0,)
        assert [file for file in self.folder.rglob("*") if file.is_file()] == []


def test_a_bucket_through_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random operations on buckets whose limits are small, with catalog and files checked behind each."""

    async def opened() -> Gateway:
        return open_gateway(tmp_path, inline_limit=INLINE_LIMIT, durable=False, min_part_size=MIN_PART_SIZE)

    monkeypatch.setattr(CheckedStore, "folder", tmp_path / "blobs", raising=False)
    with asyncio.Runner() as runner:
        gateway = runner.run(opened())
        monkeypatch.setattr(Bucket, "make_store", staticmethod(lambda: CheckedStore(runner, gateway)), raising=False)
        run_state_machine_as_test(Bucket, settings=settings(STEPS, max_examples=200))
        runner.run(gateway.close())


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A boto3 client of a server of its own."""
    with serve(repos_port=None, inline_limit=INLINE_LIMIT, min_part_size=MIN_PART_SIZE) as server:
        made = server.boto3_client()
        yield made
        made.close()


def test_a_bucket_over_http(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same operations, as boto3 sends them to a running server."""
    monkeypatch.setattr(Bucket, "make_store", staticmethod(lambda: Boto3Store(client)), raising=False)
    run_state_machine_as_test(Bucket, settings=settings(STEPS, max_examples=40))
