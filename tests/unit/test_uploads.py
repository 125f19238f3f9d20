"""Parts become the object that the request to complete names, once, or stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.store import Store, check, draft
from tidegate import errors
from tidegate.catalog import blobs, buckets, listing, uploads, versions
from tidegate.catalog.blobs import Composed, File, Range
from tidegate.catalog.uploads import MIN_PART_SIZE, Completed, Wanted
from tidegate.catalog.versions import Check, Draft
from tidegate.model import ObjectPart, Part, Upload, Version

UPLOAD = "upload"


class Uploading(Store):
    """A catalog with an upload to the key "k" under way. Parts are files that exist by name only."""

    def __init__(self) -> None:
        super().__init__()
        self.upload = self.begin("k", UPLOAD)
        self.files = 0

    def part(self, number: int, size: int = MIN_PART_SIZE, key: str = "k", upload_id: str = UPLOAD) -> str:
        """Uploads a part and returns its ETag."""
        self.files += 1
        etag = f"etag{self.files}"
        part = Part(number, size, etag, self.now(), 0, {"CRC32": f"crc{self.files}"})
        content = File(b"file %d" % self.files, size, b"digest")
        self.write(lambda tx: uploads.put_part(tx, self.bucket, key, upload_id, part, content))
        return etag

    def parts(self, after: int = 0, limit: int = -1) -> list[tuple[int, str]]:
        found = self.read(lambda tx: uploads.parts(tx, UPLOAD, after, limit))
        return [(part.number, part.etag) for part in found]

    def complete(self, *wanted: tuple[int, str], key: str = "k", check: Check | None = None) -> Completed:
        named = [Wanted(*want) for want in wanted]
        return self.complete_with(named, key, check)

    def complete_with(self, wanted: Sequence[Wanted], key: str = "k", check: Check | None = None) -> Completed:
        return self.write(lambda tx: uploads.complete(tx, self.bucket, key, UPLOAD, wanted, self.compose, check))

    def compose(self, upload: Upload, parts: Sequence[Part]) -> Draft:
        assert msgspec.structs.replace(upload, initiated=0) == msgspec.structs.replace(self.upload, initiated=0)
        content = Composed(
            [Range(part.blob, 0, part.size) for part in parts], [ObjectPart(part.number, part.size) for part in parts]
        )
        data = draft(modified=self.now(), content=content)
        size = sum(part.size for part in parts)
        return msgspec.structs.replace(data, size=size, etag="-".join(part.etag for part in parts))

    def abort(self, key: str = "k", upload_id: str = UPLOAD) -> None:
        self.write(lambda tx: uploads.abort(tx, self.bucket, key, upload_id, self.now()))

    def is_listed(self) -> bool:
        page = self.read(
            lambda tx: listing.uploads(tx, self.bucket, prefix="", delimiter="", after="", after_id="", limit=10)
        )
        return bool(page.uploads)

    def is_empty_in_the_end(self) -> bool:
        """Whether no blob is left once the object is deleted and garbage collected."""
        self.delete("k")
        while self.write(lambda tx: blobs.collect(tx, self.now(), 1000, self.now()))[0]:
            pass
        return self.contents() == (set(), 0)


@given(st.sets(st.integers(1, 10_000), min_size=1, max_size=6), st.data())
def test_parts_of_any_numbers_become_an_object_in_their_order(numbers: set[int], data: st.DataObject) -> None:
    """Parts come in any order under any numbers; the object has those that were named, and the others are let go of."""
    store = Uploading()
    etags = {number: store.part(number) for number in data.draw(st.permutations(sorted(numbers)))}
    assert store.parts() == sorted(etags.items())
    named = sorted(data.draw(st.sets(st.sampled_from(sorted(numbers)), min_size=1)))
    completed = store.complete(*((number, etags[number]) for number in named))
    found = store.get("k")
    assert completed.etag == found.etag == "-".join(etags[number] for number in named)
    assert found.size == len(named) * MIN_PART_SIZE
    assert found.blob is not None
    blob = found.blob
    assert [part.number for part in store.read(lambda tx: blobs.parts_of(tx, blob))] == named
    extents = store.read(lambda tx: blobs.extents(tx, blob, 0, found.size))
    assert [extent.file for extent in extents] == [b"file %s" % etags[number][4:].encode() for number in named]
    assert not store.is_listed()
    store.read(check)
    assert store.is_empty_in_the_end()


def test_a_part_replaces_one_of_the_same_number() -> None:
    """The last upload of a number counts; what it replaced is garbage."""
    store = Uploading()
    first, second = store.part(1), store.part(1)
    assert store.parts() == [(1, second)]
    with pytest.raises(errors.InvalidPart):
        store.complete((1, first))
    assert store.complete((1, second)).etag == second
    assert store.is_empty_in_the_end()


def test_parts_are_listed_in_pages() -> None:
    """A page begins after a number and ends at its limit."""
    store = Uploading()
    etags = [(number, store.part(number)) for number in (7, 2, 10_000)]
    etags.sort()
    assert store.parts(limit=2) == etags[:2]
    assert store.parts(after=2) == etags[1:]
    assert store.parts(after=10_000) == []


def test_only_an_upload_that_is_under_way_takes_parts() -> None:
    """An id says nothing without its key and bucket, and nothing once the upload is over."""
    store = Uploading()
    for key, upload_id in (("k", "other"), ("l", UPLOAD), ("", UPLOAD)):
        with pytest.raises(errors.NoSuchUpload):
            store.part(1, key=key, upload_id=upload_id)
        with pytest.raises(errors.NoSuchUpload):
            store.abort(key, upload_id)
    store.complete((1, store.part(1)))
    with pytest.raises(errors.NoSuchUpload):
        store.part(2)
    with pytest.raises(errors.NoSuchUpload):
        store.abort()
    with pytest.raises(errors.NoSuchUpload):
        store.read(lambda tx: uploads.get(tx, store.bucket, "k", UPLOAD))


def test_an_upload_belongs_to_its_bucket() -> None:
    """The same key of another bucket does not have the upload, nor does a bucket that was made anew under the name."""
    store = Uploading()
    other = store.write(lambda tx: buckets.create(tx, "other", "", "", 0))
    store.write(lambda tx: buckets.delete(tx, store.bucket))
    again = store.write(lambda tx: buckets.create(tx, "bucket", "", "", 0))
    for bucket in (other, again):
        with pytest.raises(errors.NoSuchUpload):
            store.read(lambda tx, bucket=bucket: uploads.get(tx, bucket, "k", UPLOAD))  # type: ignore[misc]


def attempt(store: Uploading, error: type[errors.Error], *wanted: tuple[int, str]) -> None:
    """Tries to complete, is refused, and finds everything as it was."""
    before = store.dump()
    with pytest.raises(error):
        store.complete(*wanted)
    assert store.dump() == before


def test_a_completion_that_is_wrong_changes_nothing() -> None:
    """Parts that are missing, out of order, twice, of another ETag or too small are refused, and the upload goes on."""
    store = Uploading()
    one, two, small = store.part(1), store.part(2), store.part(3, MIN_PART_SIZE - 1)
    attempt(store, errors.InvalidPart, (4, one))
    attempt(store, errors.InvalidPart, (1, two))
    attempt(store, errors.InvalidPart, (1, one), (2, ""))
    attempt(store, errors.InvalidPartOrder, (2, two), (1, one))
    attempt(store, errors.InvalidPartOrder, (1, one), (1, one))
    attempt(store, errors.EntityTooSmall, (3, small), (5, store.part(5)))
    assert store.complete((1, one), (2, two), (3, small)).etag == f"{one}-{two}-{small}"


def test_declared_checksums_of_parts_are_compared() -> None:
    """A part's checksum in the request has to be the one that was computed when it came."""
    store = Uploading()
    etag = store.part(1)
    with pytest.raises(errors.InvalidPart):
        store.complete_with([Wanted(1, etag, {"CRC32": "other"})])
    store.complete_with([Wanted(1, etag, {"CRC32": "crc1"})])


def test_a_failed_condition_keeps_the_upload() -> None:
    """Where the check raises, the object is as it was and the upload can still be completed."""
    store = Uploading()
    store.put("k", b"old")
    etag = store.part(1)

    def refuse(current: Version | None) -> None:
        assert current is not None
        raise errors.PreconditionFailed

    before = store.dump()
    with pytest.raises(errors.PreconditionFailed):
        store.complete((1, etag), check=refuse)
    assert store.dump() == before
    store.complete((1, etag))


def test_a_repeated_completion_gets_the_same_answer() -> None:
    """A client that never saw the answer asks again, even after the object was replaced; nothing is done twice."""
    store = Uploading()
    etag = store.part(1)
    first = store.complete((1, etag))
    store.put("k", b"newer")
    before = store.dump()
    assert store.complete((1, etag)) == first
    assert store.dump() == before
    for wanted in ((1, "other"), (2, etag)):
        with pytest.raises(errors.NoSuchUpload):
            store.complete(wanted)
    with pytest.raises(errors.NoSuchUpload):
        store.complete((1, etag), key="l")


def test_an_aborted_upload_leaves_nothing() -> None:
    """Abort lets go of every part."""
    store = Uploading()
    store.part(1)
    store.part(2)
    store.abort()
    assert not store.is_listed()
    assert store.parts() == []
    assert store.is_empty_in_the_end()


def test_completed_uploads_are_forgotten_in_time() -> None:
    """What was completed is remembered until a time, and the upload of a bucket that is gone no longer."""
    store = Uploading()
    etag = store.part(1)
    store.complete((1, etag))
    begun = store.upload.initiated
    assert store.write(lambda tx: uploads.forget(tx, begun, 10, store.now())) == 0
    assert store.write(lambda tx: uploads.forget(tx, begun + 1, 10, store.now())) == 1
    with pytest.raises(errors.NoSuchUpload):
        store.complete((1, etag))
    store.begin("k", "second")
    store.part(1, upload_id="second")
    store.delete("k")
    store.write(lambda tx: buckets.delete(tx, store.bucket))
    assert store.write(lambda tx: uploads.forget(tx, 0, 10, store.now())) == 1
    store.read(check)


def test_an_object_may_be_deleted_while_a_repeat_is_remembered() -> None:
    """The remembered answer holds no blob: deleting the object lets all of it go."""
    store = Uploading()
    store.complete((1, store.part(1)))
    assert store.is_empty_in_the_end()
    with pytest.raises(errors.NoSuchKey):
        store.read(lambda tx: versions.get(tx, store.bucket, "k"))
