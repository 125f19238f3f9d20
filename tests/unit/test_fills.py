"""What arrives of other providers' objects: each chunk is filled once, and when none is missing there is an object."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.store import Store, check, draft
from tidegate import errors
from tidegate.catalog import blobs, buckets, dropped, fills
from tidegate.catalog.blobs import Composed, File
from tidegate.catalog.check import CHECKS, Fault
from tidegate.catalog.fills import CHUNK, Filled, Grant, Lease
from tidegate.catalog.repair import repair
from tidegate.catalog.versions import Draft
from tidegate.model import STANDARD, Attributes, Version

ME, YOU = b"me", b"you"
SIZE = 2 * CHUNK + 5
LONG = 1_000_000


class Arriving(Store):
    """A catalog, and somebody who fills the key "k"."""

    def __init__(self) -> None:
        super().__init__()
        self.files = 0

    def lease(self, owner: bytes, seconds: int = LONG) -> Lease:
        return Lease(owner, self.clock + seconds, self.clock)

    def open(self, owner: bytes, seconds: int = LONG) -> int | None:
        lease = self.lease(owner, seconds)
        return self.write(lambda tx: fills.open_partial(tx, self.bucket, "k", lease, self.now()))

    def describe(self, partial: int, owner: bytes, etag: str = "etag", first: int = 0, stop: int = 3) -> bool:
        grant = Grant(partial, first, stop)
        return self.write(lambda tx: fills.describe(tx, grant, self.lease(owner), SIZE, etag, b"remote"))

    def lease_chunks(self, partial: int, owner: bytes, first: int, stop: int = 3) -> Grant | None:
        return self.write(lambda tx: fills.lease_chunks(tx, partial, first, stop, self.lease(owner)))

    def fill(self, partial: int, owner: bytes, number: int, ahead: int | None = None) -> Filled | None:
        self.files += 1
        content = File(b"file %d" % self.files, fills.chunk_size(SIZE, number), b"digest")
        return self.write(lambda tx: fills.fill(tx, partial, number, content, self.lease(owner), ahead, self.now()))

    def give_up(self, partial: int, owner: bytes) -> None:
        self.write(lambda tx: fills.give_up(tx, partial, owner, self.now()))

    def complete(self, partial: int) -> Version | None:
        whole = Draft(Composed(()), SIZE, "etag", 1, STANDARD, Attributes(), {})
        return self.write(lambda tx: fills.complete(tx, partial, self.bucket, whole, self.now()))

    def begun(self, etag: str = "etag") -> int:
        """A partial of which I lease the first two chunks."""
        partial = self.open(ME)
        assert partial is not None
        assert self.describe(partial, ME, etag)
        return partial

    def is_there(self) -> bool:
        """Whether anything is known of the key beside head."""
        return self.read(lambda tx: fills.find(tx, self.bucket.log, "k")) is not None


def test_one_asks_the_remote() -> None:
    """An opening keeps others away until it is described, given up or over; what is described is no opening."""
    store = Arriving()
    partial = store.open(ME, 5)
    assert partial is not None
    assert store.open(YOU) is None
    store.clock += 5
    other = store.open(YOU)
    assert other not in {None, partial}
    assert other is not None
    assert not store.describe(partial, ME)
    assert store.describe(other, YOU)
    assert store.open(ME) is None
    store.read(check)


def test_an_opening_that_is_given_up_is_nobodys() -> None:
    """Who gives up leaves nothing; what is in head needs no opening; a bucket that is gone has none."""
    store = Arriving()
    partial = store.open(ME)
    assert partial is not None
    store.give_up(partial, YOU)
    assert store.is_there()
    store.give_up(partial, ME)
    assert not store.is_there()
    store.put("k", b"data")
    assert store.open(ME) is None
    store.write(lambda tx: buckets.destroy(tx, store.bucket))
    with pytest.raises(errors.NoSuchBucket):
        store.open(ME)


def test_chunks_make_an_object() -> None:
    """Chunks that several have filled, in any order, become one object, and no reference is left over."""
    store = Arriving()
    partial = store.begun()
    assert store.lease_chunks(partial, YOU, 0) is None
    assert store.lease_chunks(partial, YOU, 2) == Grant(partial, 2, 3)
    assert store.fill(partial, YOU, 2) == Filled(2, is_leased=False)
    assert store.complete(partial) is None
    assert store.fill(partial, ME, 0, ahead=2) == Filled(1, is_leased=False)
    store.read(check)
    assert store.fill(partial, ME, 1) == Filled(0, is_leased=False)
    version = store.complete(partial)
    assert version is not None
    assert not store.is_there()
    extents = store.read(lambda tx: blobs.extents(tx, version.blob or 0, CHUNK - 1, 3))
    assert [(extent.start, extent.length) for extent in extents] == [(CHUNK - 1, 1), (0, 2)]
    assert store.get("k").accessed > store.get("k").modified
    store.read(check)


def test_a_grant_ends_where_something_is_here() -> None:
    """What is granted goes to the next chunk that is here or being filled; the next chunk is leased ahead."""
    store = Arriving()
    partial = store.open(ME)
    assert partial is not None
    assert store.describe(partial, ME, first=2)
    assert store.lease_chunks(partial, YOU, 0) == Grant(partial, 0, 2)
    assert store.fill(partial, YOU, 0, ahead=2) == Filled(2, is_leased=False)
    store.give_up(partial, ME)
    assert store.fill(partial, YOU, 1, ahead=2) == Filled(1, is_leased=True)
    assert store.lease_chunks(partial, ME, 2) is None


def test_a_lease_that_is_over_is_lost() -> None:
    """Who was too slow fills nothing, once somebody else has taken the chunk; renewing keeps it."""
    store = Arriving()
    partial = store.begun()
    store.clock += LONG
    store.write(lambda tx: fills.renew(tx, [(partial, ME)], store.clock + LONG))
    assert store.lease_chunks(partial, YOU, 0) is None
    store.clock += LONG
    assert store.lease_chunks(partial, YOU, 0) == Grant(partial, 0, 3)
    assert store.fill(partial, ME, 0) is None
    assert store.fill(partial, YOU, 0) == Filled(2, is_leased=False)
    store.read(check)


def test_a_write_takes_the_place_of_what_arrives() -> None:
    """An object that is written drops the partial, and who was filling that finds its lease gone. What is replaced
    becomes garbage now, however old the remote says the new object is.
    """
    store = Arriving()
    store.clock = 1000
    partial = store.begun()
    store.fill(partial, ME, 0)
    for data in (b"first" * 5, b"second"):
        content = File(data, len(data), b"digest")
        new = msgspec.structs.replace(draft(data, modified=7), content=content)
        store.write(lambda tx, new=new: fills.keep(tx, store.bucket, "k", new, store.now()))  # type: ignore[misc]
    assert store.fill(partial, ME, 1) is None
    assert store.complete(partial) is None
    assert store.read(lambda tx: all(since > 1000 for (since,) in tx.rows("SELECT since FROM garbage")))
    assert store.read(lambda tx: tx.one("SELECT count(*) FROM garbage")) == (2,)
    store.write(lambda tx: fills.forget(tx, store.bucket, "k", store.now()))
    store.read(check)


def test_an_opening_becomes_an_object_at_once() -> None:
    """A small object needs no chunks; who lost the opening makes none, and neither does who opened for another state of
    the bucket.
    """
    store = Arriving()
    partial = store.open(ME)
    assert partial is not None
    new = draft(b"small", modified=3)
    for owner, bucket, is_kept in (
        (YOU, store.bucket, False),
        (ME, msgspec.structs.replace(store.bucket, log=99), False),
        (ME, store.bucket, True),
    ):
        version = store.write(
            lambda tx, owner=owner, bucket=bucket: fills.keep_opened(  # type: ignore[misc]
                tx, partial, bucket, "k", new, owner, store.now()
            )
        )
        assert (version is not None) is is_kept
    assert store.data("k") == b"small"
    assert not store.is_there()
    store.read(check)


def test_without_an_etag_nobody_goes_on() -> None:
    """What cannot be proven to be the same goes when its one stream ends early, or its leases are over."""
    store = Arriving()
    partial = store.begun(etag="")
    store.fill(partial, ME, 0)
    assert store.open(YOU) is None
    store.give_up(partial, ME)
    assert not store.is_there()
    partial = store.begun(etag="")
    store.fill(partial, ME, 0)
    store.clock += LONG
    assert store.open(YOU) not in {None, partial}
    store.read(check)


def test_what_is_complete_is_left_by_who_gives_up() -> None:
    """Whoever fills the last chunk makes the object; if they do not, others may."""
    store = Arriving()
    partial = store.begun()
    for number in range(3):
        store.fill(partial, ME, number, number + 2 if number == 0 else None)
    found = store.read(lambda tx: fills.find(tx, store.bucket.log, "k"))
    assert found is not None
    assert not found.is_left_complete(store.clock)
    store.give_up(partial, ME)
    found = store.read(lambda tx: fills.find(tx, store.bucket.log, "k"))
    assert found is not None
    assert found.is_left_complete(store.clock)
    assert store.complete(partial) is not None
    store.read(check)


def test_a_destroyed_bucket_is_emptied_of_what_arrives() -> None:
    """Chunks let go of their blobs with the log; openings that nobody came back to are swept up."""
    store = Arriving()
    store.fill(store.begun(), ME, 0)
    store.write(lambda tx: buckets.destroy(tx, store.bucket))
    store.read(check)
    while store.write(lambda tx: dropped.empty(tx, store.bucket.log, 10, store.now())):
        pass
    assert not store.is_there()
    assert store.read(lambda tx: tx.one("SELECT count(*) FROM garbage")) == (1,)
    store = Arriving()
    store.open(ME, 5)
    assert store.write(lambda tx: fills.sweep(tx, 4, 10, store.now())) == 0
    assert store.write(lambda tx: fills.sweep(tx, 5, 10, store.now())) == 1
    assert not store.is_there()


def test_a_check_finds_what_is_wrong_and_repairs_it() -> None:
    """A wrong count, a chunk of the wrong size, of no partial or without its blob, and a partial of no bucket are
    found, and what is arriving is dropped: it can be read again.
    """
    for statement, fault in (
        ("UPDATE partials SET missing = 7", Fault.PARTIAL_WRONG),
        ("UPDATE fills SET number = 2 WHERE number = 0", Fault.PARTIAL_WRONG),
        ("DELETE FROM blobs", Fault.PARTIAL_WRONG),
        ("DELETE FROM partials", Fault.CHUNK_ORPHANED),
        ("UPDATE partials SET log = 12345", Fault.PARTIAL_ORPHANED),
    ):
        store = Arriving()
        partial = store.begun()
        store.give_up(partial, ME)
        store.write(lambda tx: fills.open_partial(tx, store.bucket, "other", store.lease(ME), 1))  # noqa: B023
        partial = store.open(ME) or 0
        store.describe(partial, ME)
        store.fill(partial, ME, 0)
        store.write(lambda tx: tx.execute(statement))  # noqa: B023
        problems = [problem for each in CHECKS for problem in store.read(lambda tx: list(each(tx)))]  # noqa: B023
        assert fault in {problem.fault for problem in problems}, statement
        for problem in problems:
            assert store.write(lambda tx: repair(tx, problem, store.now()))  # noqa: B023
        store.read(check)
