"""What the native API's messages hold: listings, summaries, jobs, the cluster map.

Pure values. Source: AIStore's REST API, as its Python SDK reads it.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tidegate.names import AIS, BucketName

# Bits of a listing's flags.
CACHED: Final = 1 << 0
ARCHIVED: Final = 1 << 3
NAME_ONLY: Final = 1 << 4
NOT_CACHED: Final = 1 << 9
COMPARED: Final = 1 << 12
NOT_RECURSIVE: Final = 1 << 11
# Bits of an entry's flags.
STATUS: Final = (1 << 5) - 1
IS_CACHED: Final = 1 << 6
IS_CHANGED: Final = 1 << 10
IS_GONE: Final = 1 << 11
IS_DIRECTORY: Final = 1 << 8
# Go's zero time: the end of what has not ended.
NEVER: Final = "0001-01-01T00:00:00Z"
# How Tidegate's jobs say how far they are.
_TOTAL: Final = re.compile(r"\d+ of (?P<total>\d+) objects")


class Namespace(msgspec.Struct, frozen=True):
    """A namespace as AIStore's JSON has it."""

    uuid: str = ""
    name: str = ""


class Bucket(msgspec.Struct, frozen=True):
    """A bucket's identity as AIStore's JSON has it."""

    name: str = ""
    provider: str = AIS
    namespace: Namespace | None = None

    @property
    def identity(self) -> BucketName:
        return BucketName(self.name, self.provider or AIS, self.namespace.name if self.namespace else "")


class Entry(msgspec.Struct, frozen=True):
    """An object, or with ``IS_DIRECTORY`` a common prefix, in a listing."""

    name: str = msgspec.field(name="n")
    checksum: str = msgspec.field(name="cs", default="")
    atime: str = msgspec.field(name="a", default="")
    version: str = msgspec.field(name="v", default="")
    location: str = msgspec.field(name="t", default="")
    custom: str = msgspec.field(name="m", default="")
    size: int = msgspec.field(name="s", default=0)
    copies: int = msgspec.field(name="c", default=0)
    flags: int = msgspec.field(name="f", default=0)


class Page(msgspec.Struct, frozen=True):
    """A page of a listing; with a token there is another."""

    entries: list[Entry] | None = msgspec.field(name="Entries", default=None)
    token: str = msgspec.field(name="ContinuationToken", default="")
    uuid: str = msgspec.field(name="UUID", default="")


class Counts(msgspec.Struct, frozen=True):
    """Objects here and at the provider."""

    obj_count_present: int = 0
    obj_count_remote: int = 0


class Sizes(msgspec.Struct, frozen=True):
    """Sizes of single objects."""

    obj_min_size: int = 0
    obj_avg_size: int = 0
    obj_max_size: int = 0


class Totals(msgspec.Struct, frozen=True):
    """Sizes of all objects together."""

    size_on_disk: int = 0
    size_all_present_objs: int = 0
    size_all_remote_objs: int = 0
    total_disks_size: int = 0


class Summary(msgspec.Struct, frozen=True):
    """A bucket summed up."""

    name: str = ""
    provider: str = AIS
    namespace: Namespace | None = None
    counts: Counts = msgspec.field(name="ObjCount", default=Counts())
    sizes: Sizes = msgspec.field(name="ObjSize", default=Sizes())
    totals: Totals = msgspec.field(name="TotalSize", default=Totals())
    used_pct: float = 0
    is_present: bool = True

    @property
    def identity(self) -> BucketName:
        return Bucket(self.name, self.provider, self.namespace).identity


class Progress(msgspec.Struct, frozen=True, rename="kebab"):
    """What a job has done: objects and bytes here, sent and received."""

    loc_objs: int = 0
    loc_bytes: int = 0
    out_objs: int = 0
    out_bytes: int = 0
    in_objs: int = 0
    in_bytes: int = 0


class Job(msgspec.Struct, frozen=True):
    """A job as one node sees it."""

    id: str = ""
    kind: str = ""
    start: str = msgspec.field(name="start-time", default="")
    end: str = msgspec.field(name="end-time", default="")
    bucket: Bucket | None = msgspec.field(name="bck", default=None)
    source: Bucket | None = msgspec.field(name="src-bck", default=None)
    destination: Bucket | None = msgspec.field(name="dst-bck", default=None)
    stats: Progress = Progress()
    aborted: bool = False
    abort_error: str = msgspec.field(name="abort-err", default="")
    error: str = msgspec.field(name="err", default="")
    control: str = msgspec.field(name="ctlmsg", default="")

    @property
    def buckets(self) -> list[BucketName]:
        """From where to where; or the one that it is about."""
        pair = [each.identity for each in (self.source, self.destination) if each and each.name]
        return pair or ([self.bucket.identity] if self.bucket and self.bucket.name else [])

    @property
    def total(self) -> int | None:
        """How many objects there are to do, where it says so."""
        matched = _TOTAL.match(self.control)
        return int(matched["total"]) if matched else None

    @property
    def is_over(self) -> bool:
        return self.aborted or self.end not in {"", NEVER}

    @property
    def state(self) -> str:
        """As AIStore's table says it."""
        if self.aborted:
            return "Aborted"
        if self.error:
            return "Failed"
        return "Finished" if self.is_over else "Running"


class Net(msgspec.Struct, frozen=True):
    """Where a node is reached."""

    direct_url: str = ""


class Node(msgspec.Struct, frozen=True):
    """A node of the cluster map."""

    daemon_id: str = ""
    daemon_type: str = ""
    public_net: Net = Net()


class Map(msgspec.Struct, frozen=True):
    """The cluster map."""

    pmap: dict[str, Node] = {}
    tmap: dict[str, Node] = {}
    proxy_si: Node = Node()
    uuid: str = ""
    version: int = 0
    creation_time: str = ""
