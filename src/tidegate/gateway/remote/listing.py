"""Listing somebody else's bucket: the remote says what is in it, and the catalog what of that is cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tidegate.catalog import listing
from tidegate.catalog.abc import Reader
from tidegate.catalog.listing import Details, Entry, Page, Sizes
from tidegate.gateway.remote.cached import Identity, identity
from tidegate.gateway.remote.upstreams import remote_of
from tidegate.gateway.rooms import Rooms
from tidegate.model import STANDARD, Bucket
from tidegate.names import BucketName

if TYPE_CHECKING:
    from tidegate.upstream import Upstream

# Where a listing can only go on by a mark of the remote's own, the marks of this many pages are remembered. One that is
# forgotten costs to read all that is before it again.
MAX_MARKS: Final = 10_000
_NEEDS_MARKS: Final = frozenset({"azure"})

_Place = tuple[BucketName, str, str, str]


class RemoteListing:
    """Pages of remotes. Each raises what the remote says."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._marks: dict[_Place, str] = {}

    async def page(self, bucket: Bucket, *, prefix: str, delimiter: str, after: str, limit: int) -> Page:
        """As ``catalog.listing.keys``: at most ``limit`` objects and common prefixes after a key or prefix."""
        if limit == 0:
            return Page([], [], None)
        entries: list[Entry] = []
        prefixes: list[str] = []
        last: str | None = after
        async with self._rooms.upstreams.use(bucket) as upstream:
            while last is not None and (room := limit - len(entries) - len(prefixes)):
                found = await self._ask(upstream, bucket, prefix, delimiter, last, room)
                entries += found.entries
                prefixes += found.prefixes
                last = found.last
        return Page(entries, prefixes, last)

    async def _ask(
        self, upstream: Upstream, bucket: Bucket, prefix: str, delimiter: str, after: str, limit: int
    ) -> Page:
        place = (remote_of(bucket), prefix, delimiter, after)
        found = await upstream.list(
            prefix=prefix, delimiter=delimiter, after=after, token=self._marks.get(place, ""), limit=limit
        )
        if found.last is not None and found.token and place[0].provider in _NEEDS_MARKS:
            self._marks[(*place[:3], found.last)] = found.token
            if len(self._marks) > MAX_MARKS:
                del self._marks[next(iter(self._marks))]
        entries = [Entry(entry.key, entry.size, entry.etag, entry.modified, STANDARD) for entry in found.entries]
        return Page(entries, list(found.prefixes), found.last)

    async def cached(self, bucket: Bucket, page: Page) -> Mapping[str, Details]:
        """What is cached of the objects of a page, by key."""
        keys = [entry.key for entry in page.entries]
        return await self._rooms.catalog.read(
            lambda tx: {details.version.key: details for details in listing.details_of(tx, bucket, keys)}
        )

    async def differences(
        self, bucket: Bucket, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> tuple[Page, Mapping[str, Details], Mapping[str, Details]]:
        """A page of what the remote has, and of what is cached: as a page has it, what is cached of its objects, and
        what is cached of others, which the remote has not. Each page has up to twice as many items as asked for.
        """

        def look(tx: Reader) -> tuple[Page, list[Details]]:
            page = listing.keys(tx, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            return page, listing.details(tx, bucket, page)

        # First, so that what is written meanwhile is not taken for gone.
        here, details = await self._rooms.catalog.read(look)
        there = await self.page(bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        last = min((page.last for page in (here, there) if page.last is not None), key=str.encode, default=None)

        def is_on_page(name: str) -> bool:
            return last is None or name.encode() <= last.encode()

        entries = [entry for entry in there.entries if is_on_page(entry.key)]
        keys = {entry.key for entry in entries}
        known = {each.version.key: each for each in details if is_on_page(each.version.key)}
        page = Page(entries, [name for name in there.prefixes if is_on_page(name)], last)
        gone = {key: each for key, each in known.items() if key not in keys}
        return page, {key: each for key, each in known.items() if key in keys}, gone

    async def sizes(self, bucket: Bucket, prefix: str) -> Sizes:
        """How many objects the remote has under a prefix, and how large they are. Lists all of them."""
        objects = size = largest = 0
        smallest: int | None = None
        after: str | None = ""
        async with self._rooms.upstreams.use(bucket) as upstream:
            while after is not None:
                page = await self._ask(upstream, bucket, prefix, "", after, _STEP)
                sizes: Sequence[int] = [entry.size for entry in page.entries]
                objects += len(sizes)
                size += sum(sizes)
                largest = max(largest, *sizes, 0)
                smallest = min(sizes, default=0) if smallest is None else min(smallest, *sizes, smallest)
                after = page.last
        return Sizes(objects, size, smallest or 0, largest)


# Amazon S3: the most that a page has.
_STEP: Final = 1000


def is_same(entry: Entry, details: Details) -> bool:
    """Whether what is cached of an object is, for sure, what the remote lists."""
    return Identity(entry.size, entry.etag, entry.modified).holds(identity(details.version))
