"""The catalog's side of the bytes: blobs, their references, and what they are made of.

A blob is inline (its bytes are in the catalog), a file (of the blob store), a reference to what another provider keeps,
or composed of ranges of the others. A blob never changes. Its references are counted here, inside the transaction that
makes or drops them. A file or composed blob that has lost its last reference is garbage; it goes for good a grace
period later, so that no read that is under way loses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from functools import reduce
from operator import or_

import msgspec

from tidegate.catalog import copies as mirrored
from tidegate.catalog.abc import Reader, Transaction
from tidegate.model import ObjectPart


class Kind(IntEnum):
    """Where a blob's bytes are."""

    INLINE = 0
    FILE = 1
    COMPOSED = 2
    REFERENCE = 3


class Inline(msgspec.Struct, frozen=True):
    """New content that is kept in the catalog itself. ``digest`` is its integrity checksum."""

    data: bytes
    digest: bytes


class File(msgspec.Struct, frozen=True):
    """New content that the blob store holds, durably, under ``name``, with a copy in each of ``folders``."""

    name: bytes
    size: int
    digest: bytes
    folders: int = 1


class Range(msgspec.Struct, frozen=True):
    """``length`` bytes of a blob from ``start``."""

    blob: int
    start: int
    length: int


class Composed(msgspec.Struct, frozen=True):
    """New content made of ranges of blobs that exist. ``parts`` describes the object's parts, where it has any."""

    ranges: Sequence[Range]
    parts: Sequence[ObjectPart] = ()


class Existing(msgspec.Struct, frozen=True):
    """The content of a blob that exists."""

    blob: int


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """The content of an object in a bucket that another provider keeps, as it was when it had this ETag."""

    provider: str
    namespace: str
    bucket: str
    key: str
    etag: str
    size: int


Content = Inline | File | Composed | Existing | Reference


class Extent(msgspec.Struct, frozen=True):
    """A range of one inline or file blob, as a reader needs it. ``file`` is None for an inline blob."""

    blob: int
    file: bytes | None
    size: int
    digest: bytes
    start: int
    length: int
    folders: int


class Leaf(msgspec.Struct, frozen=True):
    """A whole inline or file blob: ``data`` of the one, ``file`` of the other."""

    blob: int
    size: int
    digest: bytes
    file: bytes | None
    data: bytes | None
    folders: int


class Whereabouts(msgspec.Struct, frozen=True):
    """The data folders, a bit for each, that have any of a blob's bytes; and how many copies there are of each byte, at
    least.
    """

    folders: int
    copies: int


_encode_parts = msgspec.msgpack.Encoder().encode
_decode_parts = msgspec.msgpack.Decoder(tuple[ObjectPart, ...]).decode
_decode_reference = msgspec.msgpack.Decoder(Reference).decode


def size_of(content: Inline | File | Composed | Reference) -> int:
    """Bytes in the content."""
    match content:
        case Inline(data=data):
            return len(data)
        case File(size=size) | Reference(size=size):
            return size
        case Composed(ranges=ranges):
            return sum(piece.length for piece in ranges)


def add(tx: Transaction, content: Content, copies: int = 1) -> int:
    """The number of the blob that holds the content, with one more reference than before.

    ``copies`` is how many whoever refers to it asks for; where there are fewer, a job makes them.
    """
    if isinstance(content, Existing):
        tx.execute("UPDATE blobs SET refs = refs + 1 WHERE id = ?", (content.blob,))
        if copies > 1:
            mirrored.want(tx, content.blob, copies)
        return content.blob
    blob = tx.sequence()
    insert = """INSERT INTO blobs (id, size, refs, kind, file, digest, parts, folders, copies)
                VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?)"""
    match content:
        case Inline(data=data, digest=digest):
            tx.execute(insert, (blob, len(data), Kind.INLINE, None, digest, None, 1, copies))
            tx.execute("INSERT INTO small_blobs (id, data) VALUES (?, ?)", (blob, data))
            if copies > 1:
                mirrored.unsettle(tx, blob)
        case File(name=name, size=size, digest=digest, folders=folders):
            tx.execute(insert, (blob, size, Kind.FILE, name, digest, None, folders, copies))
            if folders.bit_count() < copies:
                mirrored.unsettle(tx, blob)
        case Composed(parts=parts):
            described = _encode_parts(parts) if parts else None
            tx.execute(insert, (blob, size_of(content), Kind.COMPOSED, None, None, described, 1, copies))
            _add_ranges(tx, blob, content.ranges)
            if copies > 1:
                mirrored.want_sources(tx, blob, copies)
        case Reference(size=size):
            tx.execute(insert, (blob, size, Kind.REFERENCE, None, None, _encode_parts(content), 1, 1))
    return blob


def _add_ranges(tx: Transaction, blob: int, ranges: Sequence[Range]) -> None:
    """Points a composed blob at the ranges. Ranges of composed blobs become ranges of what those are made of."""
    rows = []
    offset = 0
    for piece in ranges:
        for leaf in _leaves(tx, piece):
            rows.append((blob, offset, leaf.blob, leaf.start, leaf.length))
            offset += leaf.length
    tx.execute_many("INSERT INTO blob_parts (blob, offset, source, start, length) VALUES (?, ?, ?, ?, ?)", rows)
    tx.execute_many("UPDATE blobs SET refs = refs + 1 WHERE id = ?", [(row[2],) for row in rows])


def _leaves(tx: Reader, piece: Range) -> Iterator[Range]:
    if piece.length == 0:
        return
    row = tx.one("SELECT kind FROM blobs WHERE id = ?", (piece.blob,))
    if row is None or row[0] != Kind.COMPOSED:
        yield piece
        return
    for source, start, length in _parts_between(tx, piece.blob, piece.start, piece.length):
        yield Range(source, start, length)


def _parts_between(tx: Reader, blob: int, start: int, length: int) -> Iterator[tuple[int, int, int]]:
    """The ranges (source, start, length) that hold ``length`` bytes of a composed blob from ``start``, in order."""
    end = start + length
    rows = tx.rows(
        """SELECT offset, source, start, length FROM blob_parts WHERE blob = ?1 AND offset < ?3
           AND offset >= (SELECT coalesce(max(offset), 0) FROM blob_parts WHERE blob = ?1 AND offset <= ?2)
           ORDER BY offset""",
        (blob, start, end),
    )
    for offset, source, inner, size in rows:
        skip = max(0, start - offset)
        yield source, inner + skip, min(offset + size, end) - offset - skip


def extents(tx: Reader, blob: int, start: int, length: int) -> list[Extent]:
    """Where to read ``length`` bytes of a blob from ``start``: ranges of inline and file blobs, in order."""
    row = tx.one("SELECT kind, file, size, digest, folders FROM blobs WHERE id = ?", (blob,))
    if row is None or length == 0:
        return []
    kind, file, size, digest, folders = row
    if kind != Kind.COMPOSED:
        return [Extent(blob, file, size, digest, start, length, folders)]
    found = []
    for source, inner, count in _parts_between(tx, blob, start, length):
        leaf = tx.one("SELECT file, size, digest, folders FROM blobs WHERE id = ?", (source,))
        if leaf is not None:
            file, size, digest, folders = leaf
            found.append(Extent(source, file, size, digest, inner, count, folders))
    return found


def reference(tx: Reader, blob: int) -> Reference | None:
    """Where the bytes of a blob are that another provider keeps."""
    row = tx.one("SELECT parts FROM blobs WHERE id = ? AND kind = ?", (blob, Kind.REFERENCE))
    return None if row is None else _decode_reference(row[0])


def inline_data(tx: Reader, blob: int) -> bytes | None:
    """The bytes of an inline blob."""
    row = tx.one("SELECT data FROM small_blobs WHERE id = ?", (blob,))
    return None if row is None else row[0]


def whereabouts(tx: Reader, blob: int) -> Whereabouts:
    """Where a blob is. Reads all parts of a composed one, if there is more than one folder where they can be."""
    row = tx.one("SELECT kind, folders FROM blobs WHERE id = ?", (blob,))
    if row is None:
        return Whereabouts(0, 0)
    found = [int(row[1])]
    if row[0] == Kind.COMPOSED and tx.one("SELECT 1 FROM folders WHERE number > 0 LIMIT 1") is not None:
        sources = "SELECT DISTINCT b.folders FROM blob_parts p JOIN blobs b ON b.id = p.source WHERE p.blob = ?"
        found = [int(folders) for (folders,) in tx.rows(sources, (blob,))] or found
    return Whereabouts(reduce(or_, found), min(folders.bit_count() for folders in found))


def parts_of(tx: Reader, blob: int) -> tuple[ObjectPart, ...]:
    """The parts of an object that was composed by a multipart upload; empty for any other."""
    row = tx.one("SELECT parts FROM blobs WHERE id = ? AND kind = ?", (blob, Kind.COMPOSED))
    return () if row is None or row[0] is None else _decode_parts(row[0])


def release(tx: Transaction, blob: int, now: int, *, is_handed_over: bool = False) -> None:
    """Drops one reference. The last one makes an inline blob vanish and any other garbage.

    Those who still refer to the blob may want fewer copies of it: that is counted, but for one ``is_handed_over`` to
    somebody who wants as many.
    """
    row = tx.one("SELECT refs, kind, copies FROM blobs WHERE id = ?", (blob,))
    if row is None:
        return
    refs, kind, wanted = row
    if refs > 1:
        tx.execute("UPDATE blobs SET refs = refs - 1 WHERE id = ?", (blob,))
        if wanted != 1 and not is_handed_over:
            mirrored.recount(tx)
    elif kind in {Kind.INLINE, Kind.REFERENCE}:
        tx.execute("DELETE FROM blobs WHERE id = ?", (blob,))
        tx.execute("DELETE FROM small_blobs WHERE id = ?", (blob,))
    else:
        tx.execute("UPDATE blobs SET refs = 0 WHERE id = ?", (blob,))
        tx.execute("INSERT INTO garbage (since, blob) VALUES (?, ?)", (now, blob))


def collect(tx: Transaction, before: int, limit: int, now: int) -> tuple[int, list[tuple[bytes, int]]]:
    """Forgets up to ``limit`` blobs that have been garbage since before a time.

    Returns how many, and the names and folders of the files that nothing points at any more: delete them once this is
    durable.
    """
    rows = list(
        tx.rows(
            """SELECT g.since, b.id, b.kind, b.file, b.refs, b.folders FROM garbage g JOIN blobs b ON b.id = g.blob
               WHERE g.since < ? ORDER BY g.since, g.blob LIMIT ?""",
            (before, limit),
        )
    )
    files = []
    for since, blob, kind, file, refs, folders in rows:
        tx.execute("DELETE FROM garbage WHERE since = ? AND blob = ?", (since, blob))
        if refs > 0:
            continue  # must not be, and then it is the entry that is wrong
        tx.execute("DELETE FROM blobs WHERE id = ?", (blob,))
        if kind == Kind.FILE:
            files.append((file, folders))
        else:
            for (source,) in list(tx.rows("SELECT source FROM blob_parts WHERE blob = ?", (blob,))):
                release(tx, source, now)
            tx.execute("DELETE FROM blob_parts WHERE blob = ?", (blob,))
    return len(rows), files


def known_files(tx: Reader, names: Sequence[bytes]) -> Mapping[bytes, int]:
    """Which of these file names the catalog knows, and the folders that have them."""
    known = {}
    for name in names:
        row = tx.one("SELECT folders FROM blobs WHERE file = ?", (name,))
        if row is not None:
            known[name] = row[0]
    return known


# What lacks one of these is for ``check`` to find.
_LEAVES = f"""
    SELECT b.id, b.size, b.digest, b.file, s.data, b.folders FROM blobs b LEFT JOIN small_blobs s ON s.id = b.id
    WHERE b.refs > 0 AND b.digest IS NOT NULL AND
        (b.kind = {Kind.FILE:d} AND b.file IS NOT NULL OR b.kind = {Kind.INLINE:d} AND length(s.data) = b.size)"""


def leaves_after(tx: Reader, after: int, limit: int) -> list[Leaf]:
    """Blobs in use that have bytes of their own, in order of their numbers."""
    return [Leaf(*row) for row in tx.rows(f"{_LEAVES} AND b.id > ? ORDER BY b.id LIMIT ?", (after, limit))]


def leaf(tx: Reader, blob: int) -> Leaf | None:
    """A blob in use that has bytes of its own."""
    row = tx.one(f"{_LEAVES} AND b.id = ?", (blob,))
    return None if row is None else Leaf(*row)


def files(tx: Reader) -> Iterator[tuple[bytes, int, int]]:
    """The name of every file that a blob is kept in, the blob's size, and the folders that have it."""
    yield from tx.rows("SELECT file, size, folders FROM blobs WHERE file IS NOT NULL ORDER BY id")
