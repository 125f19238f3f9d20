"""The trees of properties. Names, order and defaults are AIStore's; a comment says what is ours.

Source: AIStore, ``ais show bucket`` and ``ais config cluster``, in the editions of seeds 000-003.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tidegate.access import EVERYTHING
from tidegate.properties import features

# "xxhash2" is the same algorithm under AIStore's newer name: it is taken, and shown as xxhash.
ChecksumType = Literal["none", "xxhash", "md5", "crc32c", "sha256", "sha512"]

Percentage = Annotated[int, Meta(ge=0, le=100)]
# Copies beside the first need a data folder each; AIStore's limit.
Copies = Annotated[int, Meta(ge=1, le=32)]
Count = Annotated[int, Meta(ge=0)]
# AIStore: a page of a remote listing.
PageSize = Annotated[int, Meta(ge=0, le=10_000)]
# AIStore: a note of at most 128 characters.
Note = Annotated[str, Meta(max_length=128)]


class BackendNamespace(msgspec.Struct, frozen=True):
    """A namespace as AIStore writes it."""

    uuid: str = ""
    name: str = ""


class BackendBucket(msgspec.Struct, frozen=True):
    """A bucket of another provider whose content this one shows; no name for none."""

    name: str = ""
    provider: str = ""
    namespace: BackendNamespace = BackendNamespace()


class Checksum(msgspec.Struct, frozen=True):
    """Which checksum an object gets when it is written, and when it is held against its bytes."""

    type: ChecksumType = "xxhash"
    validate_cold_get: bool = True
    validate_warm_get: bool = False
    validate_obj_move: bool = False
    enable_read_range: bool = False


class Versions(msgspec.Struct, frozen=True):
    """``enabled``: AIStore's counter of an object's writes, shown as its version."""

    enabled: bool = True
    validate_warm_get: bool = False
    synchronize: bool = False


class Mirror(msgspec.Struct, frozen=True):
    """``copies`` of each blob on different data folders, where ``enabled``."""

    copies: Copies = 2
    burst_buffer: Count = 128
    enabled: bool = False


class ErasureCoding(msgspec.Struct, frozen=True):
    """Not implemented: ``mirror`` protects."""

    objsize_limit: Count = 262_144
    data_slices: Count = 2
    parity_slices: Count = 2
    compression: str = "never"
    bundle_multiplier: Count = 2
    enabled: bool = False
    disk_only: bool = False


class Eviction(msgspec.Struct, frozen=True):
    """``lru``. ``enabled`` is false for buckets of our own: what they hold is nowhere else."""

    dont_evict_time: str = "2h"
    capacity_upd_time: str = "10m"
    batch_size: Count = 32_768
    enabled: bool = False


class Chunks(msgspec.Struct, frozen=True):
    """Not implemented: files of any size are kept whole."""

    objsize_limit: Count = 0
    max_monolithic_size: str = "1TiB"
    chunk_size: str = "1GiB"
    checkpoint_every: Count = 0
    flags: Count = 0


class RateLimits(msgspec.Struct, frozen=True):
    """One side of ``rate_limit``. Not implemented."""

    enabled: bool = False
    interval: str = "1m"
    max_tokens: Count = 1000
    per_op_max_tokens: str = ""


class RateLimit(msgspec.Struct, frozen=True):
    """Not implemented."""

    backend: RateLimits = RateLimits()
    frontend: RateLimits = RateLimits()


class WritePolicy(msgspec.Struct, frozen=True):
    """When a write is on disk.

    ``data`` delayed: blob files survive a killed process and, once the system has written them back, a power cut.
    Otherwise as the server's ``--durability`` says. ``md``, the catalog, is always immediate.
    """

    data: Literal["", "immediate", "delayed"] = ""
    md: Literal["", "immediate"] = "immediate"


class ExtraAWS(msgspec.Struct, frozen=True):
    """How an ``s3://`` bucket is reached."""

    cloud_region: str = ""
    endpoint: str = ""
    profile: str = ""
    max_pagesize: PageSize = 0
    multipart_size: int = 0


class ExtraGCP(msgspec.Struct, frozen=True):
    """How a ``gs://`` bucket is reached."""

    application_creds: str = ""


class ExtraHTTP(msgspec.Struct, frozen=True):
    """Where an ``ht://`` bucket is: the URL that its objects' names are put behind."""

    original_url: str = ""


class Extra(msgspec.Struct, frozen=True):
    """What only one provider knows, and a note of the user's."""

    aws: ExtraAWS = ExtraAWS()
    gcp: ExtraGCP = ExtraGCP()
    http: ExtraHTTP = ExtraHTTP()
    custom: Note = ""


class BucketProperties(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bucket's properties. ``access`` is 64 bits and ``features`` a mask, both as decimal text."""

    backend_bck: BackendBucket = BackendBucket()
    checksum: Checksum = Checksum()
    versioning: Versions = Versions()
    mirror: Mirror = Mirror()
    ec: ErasureCoding = ErasureCoding()
    lru: Eviction = Eviction()
    chunks: Chunks = Chunks()
    rate_limit: RateLimit = RateLimit()
    write_policy: WritePolicy = WritePolicy()
    features: str = "0"
    access: str = str(int(EVERYTHING))
    extra: Extra = Extra()


class Space(msgspec.Struct, frozen=True):
    """Watermarks of the data folders' disks, in percent used.

    From ``cleanupwm`` on, what crashes left is swept up more often; from ``highwm`` on, copies of other providers'
    objects are evicted down to ``lowwm``; from ``out_of_space`` on, writes are refused.
    """

    cleanupwm: Percentage = 65
    lowwm: Percentage = 75
    highwm: Percentage = 90
    out_of_space: Percentage = 95


class HTTP(msgspec.Struct, frozen=True):
    """``net.http``: a change takes effect when the server starts again."""

    server_crt: str = "server.crt"
    server_key: str = "server.key"
    write_buffer_size: Count = 65_536
    read_buffer_size: Count = 65_536
    use_https: bool = False
    skip_verify: bool = False
    chunked_transfer: bool = True


class Net(msgspec.Struct, frozen=True):
    """``net``."""

    http: HTTP = HTTP()


class Auth(msgspec.Struct, frozen=True):
    """Whether requests need credentials: ``--auth`` of the server."""

    enabled: bool = False
    client_auth_required: bool = False


class Configuration(msgspec.Struct, frozen=True, omit_defaults=True):
    """The system's configuration. A new bucket begins with the sections that it shares with ``BucketProperties``."""

    mirror: Mirror = Mirror()
    ec: ErasureCoding = ErasureCoding()
    lru: Eviction = Eviction()
    space: Space = Space()
    checksum: Checksum = Checksum()
    versioning: Versions = Versions()
    net: Net = Net()
    auth: Auth = Auth()
    write_policy: WritePolicy = WritePolicy()
    chunks: Chunks = Chunks()
    rate_limit: RateLimit = RateLimit()
    features: str = "0"


def inherited(system: Configuration, *, is_elsewhere: bool = False) -> BucketProperties:
    """The properties that a new bucket begins with: the sections that the system's configuration has too.

    Of its feature flags, those that a bucket may have. What another provider keeps ``is_elsewhere`` and may be evicted,
    unless somebody forbids that; nothing else may.
    """
    shared = {name: getattr(system, name) for name in BucketProperties.__struct_fields__ if hasattr(system, name)}
    tree = BucketProperties(**{**shared, "features": str(int(system.features) & features.BUCKET)})
    return evictable(tree, is_elsewhere=is_elsewhere)


def evictable(tree: BucketProperties, *, is_elsewhere: bool) -> BucketProperties:
    """The properties of a bucket that another provider begins to keep, or ceases to."""
    return msgspec.structs.replace(tree, lru=msgspec.structs.replace(tree.lru, enabled=is_elsewhere))
