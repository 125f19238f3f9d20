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
from tidegate.refs import RepoName

EMPTY: Mapping[str, str] = MappingProxyType({})
# What is kept of an object's HTTP headers, everywhere.
STORED_HEADERS = (
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
)

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


class Note(msgspec.Struct, frozen=True):
    """What somebody says of the commit that comes of a request. ``if_head`` is the commit that the branch has to be at,
    or else the request fails; empty for any.
    """

    message: str = ""
    metadata: Mapping[str, str] = {}
    if_head: str = ""


NO_NOTE = Note()
# Metadata of an object by which S3 clients give the message of the commit that writes it. It is not kept of the object.
MESSAGE_NAME = "tidegate-commit-message"


class Origin(StrEnum):
    """Why there is a commit."""

    USER = "USER"
    MERGE = "MERGE"
    AUTO = "AUTO"


NEWEST = 2**63 - 1  # after every place in a log: the engines' integers have 64 bits and a sign


class Layer(msgspec.Struct, frozen=True):
    """What a log has up to a place in it; or up to a time (microseconds), with ``by_time``.

    Where it ``is_whole``, layers below it have nothing more that is there: only older versions, and commits.
    """

    log: int
    until: int
    by_time: bool = False
    is_whole: bool = False


class Place(msgspec.Struct, frozen=True):
    """Of a bucket in a repository: which branch it is, and what that means.

    ``open`` is the commit that was started on it, as (place, id); ``newest`` the layers that writers see, which the
    branch's readers do only when it is finished. A ``is_snapshot`` is a state of the past, by the branch that it is
    named after, or by a tag: nobody writes it. ``has_hooks`` is of its repository.
    """

    repo_id: int
    repo: RepoName
    branch: str
    open: tuple[int, str] | None = None
    newest: tuple[Layer, ...] = ()
    is_output: bool = False
    is_protected: bool = False
    is_snapshot: bool = False
    has_hooks: bool = False


class Writer(msgspec.Struct, frozen=True):
    """Who makes a commit, and what is said of it."""

    name: str = ""
    note: Note = NO_NOTE
    origin: Origin = Origin.USER
    merged: str | None = None


class Bucket(msgspec.Struct, frozen=True):
    """A named log. ``(provider, namespace, name)`` is its identity; ``log`` is where its versions are.

    ``owner`` is a user's canonical id, empty where authentication was off. The objects in a bucket are its owner's.
    ``layers`` say what of which logs is in it, the uppermost first, where that is not simply the newest of its own.
    ``place`` is for buckets of repositories, and ``writer`` for who is going to write one.
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
    layers: tuple[Layer, ...] = ()
    place: Place | None = None
    writer: Writer = Writer()

    @property
    def state(self) -> tuple[Layer, ...]:
        """What is in it, as layers, also where that is simply the newest of its log."""
        return self.layers or (Layer(self.log, NEWEST),)

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
    """Who is asking, and what they say of it.

    ``id`` is the user's canonical id, empty for an anonymous caller; ``is_admin`` may do everything. ``grants`` is what
    roles or a token give beside one's own buckets; None for an account without roles, which may make buckets. ``note``
    is for commits, where the request makes one.
    """

    id: str
    name: str
    is_admin: bool = False
    grants: Grants | None = None
    note: Note = NO_NOTE


ANONYMOUS = Principal(id="", name="")
EVERYONE = Principal(id="", name="", is_admin=True)  # whoever asks while authentication is off


class Project(msgspec.Struct, frozen=True):
    """A space of names for repositories."""

    id: int
    name: str
    description: str
    created: int


class Repo(msgspec.Struct, frozen=True):
    """A repository. ``size`` is the bytes at the HEAD of its master branch, 0 where it has none."""

    id: int
    name: RepoName
    owner: str
    created: int
    description: str
    branches: tuple[str, ...] = ()
    size: int = 0


class Commit(msgspec.Struct, frozen=True):
    """A named position in the log of a branch: what is in ``log`` up to ``seq``, and in the logs that it forked from.

    ``id`` is the version id of all that it wrote. ``parent`` is the commit before it and ``merged`` the one whose
    changes it took in; ``branch`` is the name of what it was made on, which may be gone. ``finished`` is None while it
    is open. ``objects`` and ``size`` (bytes) are of everything in it, ``changes`` counts the keys that it wrote.
    """

    id: str
    repo: RepoName
    branch: str
    log: int
    seq: int
    parent: str | None
    merged: str | None
    author: str
    message: str
    metadata: Mapping[str, str]
    origin: Origin
    started: int
    finished: int | None
    objects: int
    size: int
    changes: int


class BranchRef(msgspec.Struct, frozen=True, order=True):
    """A branch, by name."""

    repo: RepoName
    name: str


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a branch is to follow ``branch``, of the same repository: after so many bytes (``size``) or ``commits``, or
    when ``cron`` says. One condition is enough, unless ``every`` one is asked for.
    """

    branch: str
    size: int = 0
    commits: int = 0
    cron: str = ""
    every: bool = False


NO_TRIGGER = Trigger("")  # where a branch is to follow none any more


class Branch(msgspec.Struct, frozen=True):
    """A branch of a repository. ``bucket`` is the number of the bucket that it is; ``head`` its newest finished commit,
    ``open`` one that was started. With ``provenance`` it is an output, which users do not write.
    """

    bucket: int
    repo: RepoName
    name: str
    head: Commit | None
    open: Commit | None
    provenance: tuple[BranchRef, ...]
    trigger: Trigger | None
    is_protected: bool
    created: int
    creator: str


class Change(msgspec.Struct, frozen=True):
    """What became of a path between two states: None for nothing there."""

    path: str
    before: Version | None
    after: Version | None


class Conflict(msgspec.Struct, frozen=True):
    """A path that both sides of a merge have changed since their common ``base``."""

    path: str
    base: Version | None
    ours: Version | None
    theirs: Version | None


class Merged(msgspec.Struct, frozen=True):
    """What came of a merge: a commit, or None where conflicts are left or nothing was to do."""

    commit: Commit | None
    changes: int
    conflicts: tuple[Conflict, ...] = ()


class HookEvent(StrEnum):
    """What a hook is called for: before something is committed or merged, when it can still refuse, or after."""

    PRE_COMMIT = "pre-commit"
    POST_COMMIT = "post-commit"
    PRE_MERGE = "pre-merge"
    POST_MERGE = "post-merge"

    @property
    def is_before(self) -> bool:
        return self in {HookEvent.PRE_COMMIT, HookEvent.PRE_MERGE}


class Hook(msgspec.Struct, frozen=True):
    """A URL that is called when something happens on the branches of a repository whose names match a pattern."""

    name: str
    url: str
    events: tuple[HookEvent, ...]
    branch: str  # as fnmatch has it, in any case of letters as it is written
    creator: str
    created: int


class DeliveryState(StrEnum):
    """How a call of a hook stands."""

    WAITING = "waiting"  # for its time, or for those before it
    DELIVERED = "delivered"
    REFUSED = "refused"  # by the hook, and so what it was asked about was
    FAILED = "failed"


class Delivery(msgspec.Struct, frozen=True):
    """A call of a hook. ``commit`` is what it told of, empty where that was not there yet.

    ``due`` is when it is tried next, None where it is over; ``status`` the last answer's, None where there was none,
    and ``answer`` the beginning of that, or what kept it from coming.
    """

    id: str
    event: HookEvent
    branch: str
    commit: str
    state: DeliveryState
    attempts: int
    created: int
    due: int | None
    ended: int | None
    status: int | None
    answer: str
