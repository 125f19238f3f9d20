"""Listing what is in a bucket: pages of entries, in JSON or MessagePack.

Entries are in order of the bytes of their names. A page is read in steps, between which other requests get their turn;
what is written meanwhile may or may not be on it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from enum import IntFlag
from typing import TypedDict

import msgspec
from starlette.responses import Response

from tidegate import errors
from tidegate.ais import custom, gotime, nodes
from tidegate.ais.absent import INVENTORIES
from tidegate.ais.answers import as_json
from tidegate.ais.call import Action, Call, decode_optional
from tidegate.ais.entries import IS_CACHED, IS_CHANGED, IS_DIRECTORY, IS_GONE, Item, JSONItem, with_members
from tidegate.ais.streams import unless_gone
from tidegate.gateway import Details, Entry, Page
from tidegate.gateway.remote.listing import is_same
from tidegate.model import NULL_VERSION, Bucket, Version
from tidegate.names import BucketName

# AIStore: names in one page, where the client names no number, or a larger one.
MAX_PAGE = 10_000
# Names in one step: a millisecond or two.
STEP = 1000
MSGPACK = "application/msgpack"
# AIStore's ids of jobs have nine characters. This one is no job's: it only tells clients that pages belong together.
_ID_BYTES = 9
_MAX_ID = 128
DIRECTORY = "/"

DEFAULT_PROPS = "name,size,cached"
# What an entry can show. Some of it is always the same here, or nothing.
_PLAIN = frozenset({"name", "size", "cached", "status", "ec", "chunked", "node"})
_DETAILED = frozenset(
    {"version", "checksum", "atime", "copies", "custom", "location", "target_url", "etag", "last-modified"}
)
_ALL = "all"


class Flag(IntFlag):
    """What a client asks for by bits. Source: AIStore's list-objects message."""

    CACHED = 1 << 0
    MISSING = 1 << 1
    DELETED = 1 << 2
    ARCH_DIR = 1 << 3
    NAME_ONLY = 1 << 4
    NAME_SIZE = 1 << 5
    BCK_PRESENT = 1 << 6
    DONT_HEAD_REMOTE = 1 << 7
    DONT_ADD_REMOTE = 1 << 8
    NOT_CACHED = 1 << 9
    ONLY_REMOTE_PROPS = 1 << 10
    NO_RECURSION = 1 << 11
    DIFF = 1 << 12
    NO_DIRS = 1 << 13
    IS_S3 = 1 << 14
    NBI = 1 << 15


# What has no listing: then it is what is cached.
_CANNOT_LIST = frozenset({"ht"})


class _Place(TypedDict):
    prefix: str
    delimiter: str
    after: str
    limit: int


_REFUSED = {
    Flag.DELETED: "Listing objects that are marked for deletion is not implemented.",
    Flag.NBI: INVENTORIES,
}


class ListMessage(msgspec.Struct, frozen=True):
    """What a client says of a page that it wants."""

    prefix: str = ""
    pagesize: int = 0
    uuid: str = ""
    props: str = ""
    continuation_token: str = ""
    flags: int = 0
    target: str = ""
    start_after: str = ""
    time_format: str = ""


class _Wanted:
    """A listing that was asked for, checked. Raises ``InvalidArgument`` and ``NotImplementedByServer``."""

    def __init__(self, message: ListMessage) -> None:
        if message.flags < 0 or message.flags >> len(Flag):
            raise errors.InvalidArgument(f'unknown flags "{message.flags}"')
        flags = Flag(message.flags)
        for flag, what in _REFUSED.items():
            if flag in flags:
                raise errors.NotImplementedByServer(what)
        if Flag.DIFF in flags and Flag.ARCH_DIR in flags:
            raise errors.InvalidArgument("what is in archives is not compared")
        if Flag.CACHED in flags and Flag.NOT_CACHED in flags:
            raise errors.InvalidArgument("objects cannot be both cached and not cached")
        if message.pagesize < 0:
            raise errors.InvalidArgument(f'invalid page size "{message.pagesize}"')
        if len(message.time_format) > gotime.MAX_LAYOUT or len(message.uuid) > _MAX_ID:
            raise errors.InvalidArgument("time_format or uuid is too long")
        for text in (message.prefix, message.continuation_token, message.start_after):
            _check_text(text)
        self.props = _props(message.props, flags)
        self.only_cached = Flag.CACHED in flags
        self.not_cached = Flag.NOT_CACHED in flags
        self.compares = Flag.DIFF in flags
        self.has_directories = Flag.NO_DIRS not in flags
        self.has_members = Flag.ARCH_DIR in flags
        self.delimiter = DIRECTORY if Flag.NO_RECURSION in flags else ""
        self.prefix = message.prefix
        self.after = message.continuation_token or message.start_after
        self.limit = min(message.pagesize or MAX_PAGE, MAX_PAGE)
        self.layout = message.time_format or gotime.RFC822

    @property
    def has_details(self) -> bool:
        return not self.props.isdisjoint(_DETAILED)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise errors.InvalidArgument("names are UTF-8") from None


def _props(text: str, flags: Flag) -> frozenset[str]:
    if Flag.NAME_ONLY in flags:
        return frozenset({"name"})
    if Flag.NAME_SIZE in flags:
        return frozenset({"name", "size"})
    props = frozenset(name.strip().lower() for name in (text or DEFAULT_PROPS).split(","))
    if _ALL in props:
        return _PLAIN | _DETAILED
    for name in props - _PLAIN - _DETAILED:
        raise errors.InvalidArgument(f'invalid property "{name}" in props list')
    return props


async def list_objects(call: Call, action: Action) -> Response:
    """A page of a bucket's objects."""
    message = decode_optional(action.value, ListMessage) or ListMessage()
    wanted = _Wanted(message)
    cluster = await call.gateway.system.identify()
    if message.target not in {"", nodes.target_id(cluster)}:
        raise errors.InvalidArgument(f'there is no target "{message.target}"')
    items, token = await unless_gone(call.request, _page(call, call.bucket, wanted))
    uuid = message.uuid or secrets.token_urlsafe(_ID_BYTES)[:_ID_BYTES]
    if MSGPACK in call.request.headers.get("accept", ""):
        packed = {"UUID": uuid, "ContinuationToken": token, "Entries": items, "Flags": 0}
        return Response(msgspec.msgpack.encode(packed), media_type=MSGPACK)
    entries = [
        JSONItem(item.n, item.cs, item.a, item.v, item.t, item.m, str(item.s) if item.s else "", item.c, item.f)
        for item in items
    ]
    document = {"uuid": uuid, "continuation_token": token, "entries": entries, "flags": 0}
    return as_json(document)


async def _page(call: Call, bucket: BucketName, wanted: _Wanted) -> tuple[list[Item], str]:
    """The entries, and the name to go on after, empty where there are no more.

    Where entries are left out it goes on until there are enough: the SDK stumbles over a page that is empty and not the
    last. An archive's files are all on the page of the archive, however many that makes.
    """
    known, _ = await call.gateway.buckets.list_objects(
        call.principal, bucket, prefix="", delimiter="", after="", limit=0
    )
    if wanted.not_cached and not known.is_elsewhere:
        return [], ""  # what we have is here: there is nothing that is not
    only_here = wanted.only_cached or remote_provider(known) in _CANNOT_LIST
    items: list[Item] = []
    after: str | None = wanted.after
    show = await _presentation(call, wanted) if wanted.has_details else None
    while after is not None and len(items) < wanted.limit:
        room = min(STEP, wanted.limit - len(items))
        place: _Place = {"prefix": wanted.prefix, "delimiter": wanted.delimiter, "after": after, "limit": room}
        if wanted.compares:
            page, step = await _differences(call, bucket, place, show, wanted)
            items += step
            after = page.last
            continue
        if show is None and not known.is_elsewhere:
            _, page = await call.gateway.buckets.list_objects(call.principal, bucket, **place)
            found = [_plain(entry, wanted, IS_CACHED) for entry in page.entries]
        else:
            _, page, details = await call.gateway.buckets.list_details(
                call.principal, bucket, only_here=only_here, **place
            )
            found = [
                _shown(entry, details.get(entry.key), show, wanted)
                for entry in page.entries
                if not (wanted.not_cached and entry.key in details)
            ]
        directories = [Item(prefix, f=IS_DIRECTORY) for prefix in page.prefixes]
        step = _merged(found, directories if wanted.has_directories else [])
        after = page.last
        if not wanted.has_members:
            items += step
            await asyncio.sleep(0)
            continue
        for number, item in enumerate(step, 1):
            items += await with_members(call, bucket, item, has_sizes="size" in wanted.props)
            if len(items) >= wanted.limit and (number < len(step) or after is not None):
                return items, item.n
    return items, after or ""


async def _differences(
    call: Call, bucket: BucketName, place: _Place, show: Callable[[Details], Item] | None, wanted: _Wanted
) -> tuple[Page, list[Item]]:
    """A page of what a provider has and of what is cached, of which each entry tells whether it is the same."""
    page, cached, gone = await call.gateway.buckets.list_differences(call.principal, bucket, **place)
    items = []
    for entry in page.entries:
        details = cached.get(entry.key)
        if (wanted.only_cached and details is None) or (wanted.not_cached and details is not None):
            continue
        item = _shown(entry, details, show, wanted)
        if details is not None and not is_same(entry, details):
            item = msgspec.structs.replace(item, f=item.f | IS_CHANGED)
        items.append(item)
    if not wanted.not_cached:
        for details in gone.values():
            version = details.version
            entry = Entry(version.key, version.size, version.etag, version.modified, version.storage_class)
            item = _shown(entry, details, show, wanted)
            items.append(msgspec.structs.replace(item, f=item.f | IS_GONE))
    directories = [Item(prefix, f=IS_DIRECTORY) for prefix in page.prefixes]
    return page, sorted(items + (directories if wanted.has_directories else []), key=lambda item: item.n)


def remote_provider(bucket: Bucket) -> str:
    """Who keeps what is in a bucket."""
    return bucket.properties.backend_bck.provider or bucket.provider


def _merged(objects: list[Item], directories: list[Item]) -> list[Item]:
    """Both in one order. Text is in order of its code points, which is that of its bytes in UTF-8."""
    return sorted(objects + directories, key=lambda item: item.n) if directories else objects


def _plain(entry: Entry, wanted: _Wanted, flags: int) -> Item:
    return Item(entry.key, s=entry.size if "size" in wanted.props else 0, f=flags)


def _shown(entry: Entry, details: Details | None, show: Callable[[Details], Item] | None, wanted: _Wanted) -> Item:
    """An object of another provider's. Its size is what that says, whatever was cached once."""
    if details is None:
        item = _plain(entry, wanted, 0)
        return msgspec.structs.replace(item, m=", ".join(_times(entry.etag, entry.modified, wanted)))
    if show is None:
        return _plain(entry, wanted, IS_CACHED)
    return msgspec.structs.replace(show(details), s=entry.size if "size" in wanted.props else 0)


async def _presentation(call: Call, wanted: _Wanted) -> Callable[[Details], Item]:
    """How an object is shown with more than its name and size."""
    cluster = await call.gateway.system.identify()
    folders = await call.gateway.system.folder_names()
    target = nodes.address(call.request)[0]
    props = wanted.props

    def place(details: Details) -> str:
        if "location" in props:
            first = details.folders & -details.folders
            return nodes.location(cluster, folders.get(first.bit_length() - 1, ""))
        return target if "target_url" in props else ""

    def show(details: Details) -> Item:
        version = details.version
        digest = version.attributes.digest
        return Item(
            version.key,
            digest[1] if digest is not None and "checksum" in props else "",
            gotime.write(wanted.layout, version.accessed) if "atime" in props else "",
            shown_version(version) if "version" in props else "",
            place(details),
            ", ".join(_custom(version, wanted)),
            version.size if "size" in props else 0,
            details.copies if "copies" in props else 0,
            IS_CACHED,
        )

    return show


def shown_version(version: Version) -> str:
    """An object's version as AIStore shows it: the count of its writes, or S3's id where the bucket keeps history, or
    its provider's where another one has it.
    """
    if version.attributes.source is not None and version.attributes.source[1]:
        return version.attributes.source[1]
    if version.version_id not in {"", NULL_VERSION}:
        return version.version_id
    return "" if version.writes is None else str(version.writes)


def _readable(line: str) -> str:
    """What the bytes of a header say, if they are UTF-8."""
    try:
        return line.encode("latin-1").decode()
    except UnicodeError:
        return line


def _custom(version: Version, wanted: _Wanted) -> Iterator[str]:
    """Custom metadata as ``key=value``. An entry has no place of its own for an ETag and a time of writing."""
    if "custom" in wanted.props:
        yield from map(_readable, custom.lines(custom.of_version(version)))
    yield from _times(version.etag, version.modified, wanted)


def _times(etag: str, modified: int, wanted: _Wanted) -> Iterator[str]:
    if "etag" in wanted.props:
        yield f'ETag="{etag}"'
    if "last-modified" in wanted.props:
        yield f"LastModified={gotime.write(wanted.layout, modified)}"
