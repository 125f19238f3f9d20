"""What Tidegate talks about: frozen structs that pass between the rooms.

No I/O, no behaviour beyond what a value knows of itself.

Times are integers: microseconds since the Unix epoch, UTC. Sizes and offsets are bytes. Keys are ``str``; they are
stored and ordered as UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from tidegate.access import EVERYTHING, Grants
from tidegate.names import AIS, BucketName
from tidegate.properties import BucketProperties

EMPTY: Mapping[str, str] = MappingProxyType({})

STANDARD = "STANDARD"
NULL_VERSION = "null"  # the id that a null version is called by
# What a checksum of an object is of.
FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"


class Versioning(StrEnum):
    """How a bucket's log is kept. ``OFF`` (never enabled) prunes it to the newest version of each key."""

    OFF = ""
    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


class Bucket(msgspec.Struct, frozen=True):
    """A named log. ``(provider, namespace, name)`` is its identity; ``log`` is where its versions are.

    ``owner`` is a user's canonical id, empty where authentication was off. The objects in a bucket are its owner's.
    """

    id: int
    provider: str
    namespace: str
    name: str
    log: int
    owner: str
    created: int
    versioning: Versioning
    region: str
    tags: Mapping[str, str] | None
    properties: BucketProperties = BucketProperties()
    access: int = EVERYTHING  # the property of that name, as a number

    @property
    def is_elsewhere(self) -> bool:
        """Whether another provider keeps what is in it."""
        return self.provider != AIS or bool(self.properties.backend_bck.name)

    @property
    def copies(self) -> int:
        """How many copies of each blob it asks for, on different data folders."""
        mirror = self.properties.mirror
        return mirror.copies if mirror.enabled else 1

    @property
    def identity(self) -> BucketName:
        return BucketName(self.name, self.provider, self.namespace)


class Attributes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored with an object beside its bytes.

    ``headers`` are the stored HTTP headers by lower-case name; ``metadata`` is the user's, by the name that it was
    given without ``x-amz-meta-``: in lower case from S3, in any case from the native API; ``checksums`` maps an
    algorithm's S3 name (``CRC64NVME``) to its base64 value. ``digest`` is the checksum that the bucket's properties ask
    for, as ``("xxhash", "05967d5390ac53b0")``; None while nobody has computed it. ``source`` is for the copy of an
    object that another provider keeps: the provider (``aws``), and its id of the version, empty where it has none.
    """

    headers: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}
    checksums: Mapping[str, str] = {}
    checksum_type: str = ""  # empty where there is no checksum
    website_redirect: str = ""
    digest: tuple[str, str] | None = None
    source: tuple[str, str] | None = None


class Version(msgspec.Struct, frozen=True):
    """One row of a log: an object, or a delete marker (``blob is None``).

    ``version_id`` is ``"null"`` for a null version, and empty for that of a bucket which never had versioning. ``seq``
    orders the versions of a log. ``writes`` counts the object's writes, where the bucket counts them; ``accessed`` is
    the time of the last read that is known, or of the write.
    """

    key: str
    seq: int
    version_id: str
    size: int
    etag: str
    modified: int
    storage_class: str
    blob: int | None
    attributes: Attributes
    tags: Mapping[str, str]
    is_latest: bool = True
    writes: int | None = None
    accessed: int = 0

    @property
    def is_delete_marker(self) -> bool:
        return self.blob is None


class ObjectPart(msgspec.Struct, frozen=True, array_like=True):
    """A part of an object that was composed by a multipart upload."""

    number: int
    size: int
    checksums: Mapping[str, str] = {}


class Upload(msgspec.Struct, frozen=True):
    """A multipart upload that has been started and neither completed nor aborted."""

    id: str
    bucket: int
    key: str
    initiated: int
    owner: str
    storage_class: str
    attributes: Attributes
    tags: Mapping[str, str]
    checksum_algorithm: str
    checksum_type: str


class Part(msgspec.Struct, frozen=True):
    """An uploaded part of a multipart upload."""

    number: int
    size: int
    etag: str
    modified: int
    blob: int
    checksums: Mapping[str, str]


class Principal(msgspec.Struct, frozen=True):
    """Who is asking.

    ``id`` is the user's canonical id, empty for an anonymous caller; ``is_admin`` may do everything. ``grants`` is what
    roles or a token give beside one's own buckets; None for an account without roles, which may make buckets.
    """

    id: str
    name: str
    is_admin: bool = False
    grants: Grants | None = None


ANONYMOUS = Principal(id="", name="")
EVERYONE = Principal(id="", name="", is_admin=True)  # whoever asks while authentication is off
