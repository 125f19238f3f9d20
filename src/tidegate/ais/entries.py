"""Entries of listings, as AIStore writes them, and what is in archives as entries."""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from tidegate import errors
from tidegate.ais.call import Call
from tidegate.gateway.archives import plain
from tidegate.gateway.assignments import ArchiveFormat
from tidegate.names import BucketName

# Bits of an entry's flags.
IS_CACHED = 1 << 6
IS_IN_ARCHIVE = 1 << 7
IS_DIRECTORY = 1 << 8
IS_ARCHIVE = 1 << 9
IS_CHANGED = 1 << 10  # what is cached is not what its provider has
IS_GONE = 1 << 11  # what is cached, its provider has no longer

# Files of one archive in a listing, some 300 bytes each while it is put together.
MAX_MEMBERS = 100_000

_ENDINGS = tuple(ArchiveFormat)


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry in MessagePack, under AIStore's short names: name, checksum, atime, version, location, custom, size,
    copies, flags.
    """

    n: str
    cs: str = ""
    a: str = ""
    v: str = ""
    t: str = ""
    m: str = ""
    s: int = 0
    c: int = 0
    f: int = 0


class JSONItem(msgspec.Struct, frozen=True, omit_defaults=True, rename={"custom": "custom-md"}):
    """The same in JSON. A size is text, as all of AIStore's numbers of 64 bits."""

    name: str
    checksum: str = ""
    atime: str = ""
    version: str = ""
    location: str = ""
    custom: str = ""
    size: str = ""
    copies: int = 0
    flags: int = 0


async def with_members(call: Call, bucket: BucketName, item: Item, *, has_sizes: bool) -> list[Item]:
    """An object, and the files in it where it is an archive by its name, in the archive's order.

    What only has the name of an archive is an object as any other. Raises ``InvalidRequest`` for too many files, and
    ``AccessDenied`` where the caller may list but not read.
    """
    if not item.n.endswith(_ENDINGS):
        return [item]
    members: list[Item] = []
    try:
        archive = await call.gateway.archives.open(call.principal, bucket, item.n)
        async with aclosing(archive.members()) as found:
            async for member in found:
                if len(members) == MAX_MEMBERS:
                    raise errors.InvalidRequest(
                        f"{bucket.uri}/{item.n} has more than {MAX_MEMBERS} files, which is more than a listing shows"
                    )
                name = f"{item.n}/{plain(member.name)}".encode(errors="replace").decode()
                members.append(Item(name, s=member.size if has_sizes else 0, f=IS_CACHED | IS_IN_ARCHIVE))
    except (errors.InvalidArchive, errors.NotImplementedByServer, errors.NoSuchKey, errors.DeleteMarker):
        return [item]
    return [msgspec.structs.replace(item, f=item.f | IS_ARCHIVE), *members]
