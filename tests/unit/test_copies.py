"""Every blob is wanted as often as whoever asks for the most copies of it: at once where that is more than before,
after a count where it is less.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.store import Store, check, draft
from tidegate.catalog import blobs, buckets, copies, uploads, versions
from tidegate.catalog.blobs import Composed, Existing, File, Range
from tidegate.catalog.copies import TaskKind
from tidegate.gateway.receive import inline
from tidegate.model import Bucket, Part, Versioning
from tidegate.properties import BucketProperties
from tidegate.properties.tree import Mirror

BUCKETS, KEYS = 3, 4
STEP = 2
places = st.tuples(st.integers(0, BUCKETS - 1), st.integers(0, KEYS - 1))


class Catalog(RuleBasedStateMachine):
    """Buckets that change their minds, and objects that share blobs."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.names = 0
        self.counting = False

    @initialize(kept=st.lists(st.sampled_from(Versioning), min_size=BUCKETS, max_size=BUCKETS))
    def make_buckets(self, kept: list[Versioning]) -> None:
        for number, versioning in enumerate(kept):
            bucket = self.store.write(partial(buckets.create, name=f"bucket-{number}", owner="", region="", now=0))
            self.store.write(partial(buckets.set_versioning, bucket=bucket, versioning=versioning))
            self.begin_upload(bucket)

    def begin_upload(self, bucket: Bucket) -> None:
        self.store.bucket = bucket
        self.store.begin("upload", f"upload of {bucket.name}")

    def bucket(self, number: int) -> Bucket:
        return self.store.read(lambda tx: buckets.get(tx, f"bucket-{number}"))

    def head(self, place: tuple[int, int]) -> int | None:
        row = self.store.read(
            lambda tx: tx.one(
                "SELECT blob FROM head WHERE log = ? AND key = ?", (self.bucket(place[0]).log, str(place[1]).encode())
            )
        )
        return None if row is None else row[0]

    def put(self, place: tuple[int, int], content: blobs.Content, size: int) -> None:
        new = draft(bytes(size), modified=self.store.now(), content=content)
        bucket = self.bucket(place[0])
        self.store.write(lambda tx: versions.put(tx, bucket, str(place[1]), new))

    def file(self, folders: int) -> File:
        self.names += 1
        return File(b"%d" % self.names, 5, b"digest", folders)

    @rule(place=places, folders=st.sampled_from([1, 3, 7]))
    def put_file(self, place: tuple[int, int], folders: int) -> None:
        self.put(place, self.file(folders), 5)

    @rule(place=places)
    def put_inline(self, place: tuple[int, int]) -> None:
        self.put(place, inline(b"12345"), 5)

    @rule(source=places, place=places)
    def copy(self, source: tuple[int, int], place: tuple[int, int]) -> None:
        blob = self.head(source)
        if blob is not None:
            self.put(place, Existing(blob), self.size(blob))

    def size(self, blob: int) -> int:
        row = self.store.read(lambda tx: tx.one("SELECT size FROM blobs WHERE id = ?", (blob,)))
        return 0 if row is None else row[0]

    @rule(sources=st.lists(places, max_size=3), place=places)
    def compose(self, sources: list[tuple[int, int]], place: tuple[int, int]) -> None:
        found = [blob for blob in map(self.head, sources) if blob is not None and self.size(blob) > 3]
        self.put(place, Composed([Range(blob, 1, 3) for blob in found]), 3 * len(found))

    @rule(number=st.integers(0, BUCKETS - 1), part=st.integers(1, 2))
    def put_part(self, number: int, part: int) -> None:
        bucket = self.bucket(number)
        new = Part(part, 5, "etag", self.store.now(), 0, {})
        upload = f"upload of {bucket.name}"
        self.store.write(lambda tx: uploads.put_part(tx, bucket, "upload", upload, new, self.file(1)))

    @rule(place=places)
    def delete(self, place: tuple[int, int]) -> None:
        bucket = self.bucket(place[0])
        self.store.write(lambda tx: versions.delete(tx, bucket, str(place[1]), self.store.now()))

    @rule(number=st.integers(0, BUCKETS - 1), wanted=st.integers(1, 3))
    def ask(self, number: int, wanted: int) -> None:
        bucket = self.bucket(number)
        tree = msgspec.structs.replace(BucketProperties(), mirror=Mirror(max(wanted, 2), enabled=wanted > 1))
        self.store.write(partial(buckets.set_properties, bucket=bucket, properties=tree))
        self.store.write(partial(copies.ask, bucket=bucket.id, before=bucket.copies, after=self.bucket(number).copies))

    @rule(marks=st.integers(0, 3))
    def begin_to_count(self, marks: int) -> None:
        """A count that is broken off: it has marked some blobs."""
        last: int | None = 0
        for _ in range(marks):
            if last is not None:
                last = self.store.write(partial(copies.mark, after=last, limit=STEP))

    @rule()
    def do_the_tasks(self) -> None:
        """What the job does, but for the copies themselves. Then what is wanted is what is asked for, exactly."""
        while self.store.write(lambda tx: blobs.collect(tx, 2**62, 100, self.store.now()))[0]:
            pass
        while tasks := self.store.read(copies.tasks):
            task = next((task for task in tasks if task.kind is TaskKind.BUCKET), tasks[0])
            if task.kind is TaskKind.BUCKET:
                if self.store.write(partial(copies.walk, task=task, limit=STEP)) is None:
                    self.store.write(partial(copies.end, task=task))
            else:
                self.count()
                self.store.write(partial(copies.end, task=task))
        assert self.wanted() == self.asked()

    def count(self) -> None:
        last: int | None = 0
        while last is not None:
            last = self.store.write(partial(copies.mark, after=last, limit=STEP))
        everyone = [self.bucket(number) for number in range(BUCKETS)]
        asked = {bucket.id: bucket.copies for bucket in everyone if bucket.copies > 1}
        found = self.store.read(lambda tx: list(copies.too_many(tx, asked)))
        self.store.write(partial(copies.lower, wanted=found))
        last = 0
        while last is not None:
            last = self.store.write(partial(copies.unmark, after=last, limit=STEP))

    def wanted(self) -> dict[int, int]:
        """How many copies of each blob with bytes of its own the catalog wants."""
        rows = self.store.read(
            lambda tx: list(tx.rows("SELECT id, abs(copies) FROM blobs WHERE refs > 0 AND digest IS NOT NULL"))
        )
        return dict(rows)

    def asked(self) -> dict[int, int]:
        """How many the buckets ask for that refer to each, directly or by an object that is composed of it."""
        most: dict[int, int] = defaultdict(lambda: 1)

        def ask(blob: int, number: int) -> None:
            most[blob] = max(most[blob], number)
            for (source,) in self.store.read(
                lambda tx: list(tx.rows("SELECT source FROM blob_parts WHERE blob = ?", (blob,)))
            ):
                most[source] = max(most[source], number)

        for number in range(BUCKETS):
            bucket = self.bucket(number)
            for (blob,) in self.store.read(
                lambda tx, bucket=bucket: list(  # type: ignore[misc]
                    tx.rows(
                        """SELECT blob FROM head WHERE log = ?1 UNION ALL SELECT blob FROM history WHERE log = ?1
                           AND blob IS NOT NULL UNION ALL SELECT p.blob FROM upload_parts p
                           JOIN uploads u ON u.id = p.upload WHERE u.bucket = ?2""",
                        (bucket.log, bucket.id),
                    )
                )
            ):
                ask(blob, bucket.copies)
        return {blob: most[blob] for blob in self.wanted()}

    @invariant()
    def what_is_there_is_known(self) -> None:
        """A blob in fewer folders than wanted, or inline though wanted more than once, waits for the job."""
        rows = self.store.read(
            lambda tx: list(
                tx.rows(
                    """SELECT id FROM blobs b WHERE refs > 0 AND digest IS NOT NULL AND abs(copies) > 1
                       AND (kind = 0 OR (folders & 1) + (folders >> 1 & 1) + (folders >> 2 & 1) < abs(copies))
                       AND id NOT IN (SELECT blob FROM unsettled)"""
                )
            )
        )
        assert rows == []

    @invariant()
    def no_new_reference_gets_less_than_it_asks_for(self) -> None:
        """What is wanted may be more than is asked for until it is counted, and less only while a walk is to come."""
        walking = {task.subject for task in self.store.read(copies.tasks) if task.kind is TaskKind.BUCKET}
        if not walking:
            asked = self.asked()
            assert all(number >= asked[blob] for blob, number in self.wanted().items())

    def teardown(self) -> None:
        self.store.read(check)


TestCatalog = Catalog.TestCase
TestCatalog.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


def test_an_inline_blob_becomes_a_file() -> None:
    """The blob stays the same blob, for all who refer to it; one that is gone meanwhile stays gone."""
    store = Store()
    version = store.put("key", b"content")
    blob = version.blob or 0
    placed = store.read(partial(copies.placed, blob=blob))
    assert placed is not None
    assert (placed.data, placed.file) == (b"content", None)
    assert store.write(partial(copies.put_in_file, before=placed, file=b"file", digest=b"digest", folders=3))
    (extent,) = store.read(lambda tx: blobs.extents(tx, blob, 2, 3))
    assert (extent.file, extent.folders, extent.start, extent.length) == (b"file", 3, 2, 3)
    assert store.read(partial(blobs.inline_data, blob=blob)) is None
    assert not store.write(partial(copies.put_in_file, before=placed, file=b"other", digest=b"digest", folders=3))
    store.read(check)
    store.delete("key")
    now = store.read(partial(copies.placed, blob=blob))
    assert now is None


def test_a_blob_that_has_moved_is_not_placed() -> None:
    """Who looked before another one moved a blob does not overrule that."""
    store = Store()
    version = store.write(lambda tx: versions.put(tx, store.bucket, "key", draft(b"12345", content=FILE)))
    before = store.read(partial(copies.placed, blob=version.blob or 0))
    assert before is not None
    assert store.write(partial(copies.place, before=before, folders=6))
    assert not store.write(partial(copies.place, before=before, folders=1))
    assert store.read(partial(blobs.known_files, names=[b"file"])) == {b"file": 6}
    assert store.read(partial(copies.due, now=0, limit=10)) == []
    store.write(partial(copies.suspect, file=b"file"))
    assert store.read(partial(copies.due, now=0, limit=10)) == [(version.blob, True)]
    store.write(partial(copies.postpone, blob=version.blob or 0, until=5))
    assert store.read(partial(copies.due, now=4, limit=10)) == []
    store.write(copies.hurry)
    assert store.read(partial(copies.due, now=4, limit=10, suspects_only=True)) == [(version.blob, True)]


FILE = File(b"file", 5, b"digest", 3)
