"""The documents of ``/v2``: projects, repositories, branches, commits, tags, states of files, hooks, tokens and errors,
as the door shows them in JSON and its clients read them. Pure values.

Times are RFC 3339 in UTC, sizes are bytes, and what there is not is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from tidegate.model import DeliveryState, HookEvent, Origin
from tidegate.refs import RepoName

T = TypeVar("T")

# Commits, changes, versions or things that have names on a page: each some hundred bytes, or what is said of it.
MAX_PAGE: Final = 1000
# Files on a page.
MAX_FILES: Final = 10_000
# Seconds. A request that waits longer is cut by proxies; who still wants to know asks again.
MAX_WAIT: Final = 60

Time = Annotated[datetime, Meta(tz=True)]
Kind = Literal["file", "dir"]
Operation = Literal["added", "removed", "changed"]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some of many. `next` is what to go on `after`; null at the end."""

    items: list[T]
    next: str | None = None


class Project(msgspec.Struct, frozen=True):
    """A space of names for repositories."""

    name: str
    description: str
    created: Time


class Repo(msgspec.Struct, frozen=True):
    """A repository. `size` is that of the newest commit of its branch master."""

    project: str
    name: str
    description: str
    owner: Annotated[str, Meta(description="The owner's canonical id; empty where authentication was off.")]
    created: Time
    branches: tuple[str, ...]
    size: int


class Commit(msgspec.Struct, frozen=True):
    """A commit. `files` and `size` are of all that is in it, `changes` counts the paths that it wrote."""

    id: str
    project: str
    repo: str
    branch: Annotated[str, Meta(description="The name of the one that it was made on, which may be gone.")]
    parent: str | None
    merged: Annotated[str | None, Meta(description="The commit whose changes it took in.")]
    author: str
    message: str
    metadata: Mapping[str, str]
    origin: Origin
    started: Time
    finished: Annotated[Time | None, Meta(description="Null while it is open.")]
    files: int
    size: int
    changes: int

    @property
    def name(self) -> RepoName:
        """The repository that it is in."""
        return RepoName(self.repo, self.project)


class BranchRef(msgspec.Struct, frozen=True):
    """A branch of some repository."""

    project: str
    repo: str
    branch: str


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a branch is to follow another of its repository. One condition is enough, unless it is to be `every` one."""

    branch: Annotated[str, Meta(description="The branch to follow; empty where it is to follow none any more.")]
    size: Annotated[int, Meta(ge=0, description="After so many bytes of changes.")] = 0
    commits: Annotated[int, Meta(ge=0, description="After so many commits.")] = 0
    cron: Annotated[str, Meta(max_length=200, description="At these times.")] = ""
    every: bool = False


class Branch(msgspec.Struct, frozen=True):
    """A branch. With `provenance` it is an output, which users do not write."""

    project: str
    repo: str
    name: str
    head: Annotated[Commit | None, Meta(description="Its newest finished commit.")]
    open: Annotated[Commit | None, Meta(description="The commit that was started on it, and not finished.")]
    provenance: tuple[BranchRef, ...]
    trigger: Trigger | None
    is_protected: bool
    created: Time
    creator: str


class Tag(msgspec.Struct, frozen=True):
    """A name of a commit."""

    name: str
    commit: str


class File(msgspec.Struct, frozen=True):
    """A file, or a directory, whose path ends in a slash. `commit` is the one that wrote the file."""

    path: str
    type: Kind
    size: Annotated[int | None, Meta(description="Bytes; null for a directory that was not summed up.")]
    etag: str | None = None
    modified: Time | None = None
    commit: str | None = None


class State(msgspec.Struct, frozen=True):
    """What a path held."""

    size: int
    etag: str
    modified: Time
    commit: str


class Revision(msgspec.Struct, frozen=True):
    """One of the versions of a path: what a commit made of it."""

    path: str
    is_deleted: bool
    size: int
    etag: str
    modified: Time
    commit: str


class Change(msgspec.Struct, frozen=True):
    """What became of a path between two states."""

    path: str
    op: Operation
    before: State | None
    after: State | None


class Conflict(msgspec.Struct, frozen=True):
    """A path that both sides have changed since they parted, at `base`."""

    path: str
    base: State | None
    ours: State | None
    theirs: State | None


class Merged(msgspec.Struct, frozen=True):
    """What came of a merge. `commit` is null where nothing was to do, or nothing was to be done."""

    commit: Commit | None
    changes: int
    conflicts: tuple[Conflict, ...]


class Hook(msgspec.Struct, frozen=True):
    """A hook. Its secret is not shown."""

    name: str
    url: str
    events: tuple[HookEvent, ...]
    branch: str
    creator: str
    created: Time


class MadeHook(msgspec.Struct, frozen=True):
    """A hook that was made, with its secret, which is not shown again."""

    name: str
    url: str
    events: tuple[HookEvent, ...]
    branch: str
    creator: str
    created: Time
    secret: str


class Delivery(msgspec.Struct, frozen=True):
    """A call of a hook."""

    id: str
    event: HookEvent
    branch: str
    commit: Annotated[str | None, Meta(description="What it tells of; null where that was not there yet.")]
    state: DeliveryState
    attempts: int
    created: Time
    due: Annotated[Time | None, Meta(description="When it is tried next.")]
    ended: Time | None
    status: Annotated[int | None, Meta(description="The last answer's; null where there was none.")]
    answer: Annotated[str, Meta(description="How that began, or what kept it from coming.")]


class Token(msgspec.Struct, frozen=True):
    """A token, for `Authorization: Bearer`. It ends when it expires, if it does, or is revoked."""

    token: str
    expires: Time | None
    user: str


class Revoked(msgspec.Struct, frozen=True):
    """How many tokens were ended."""

    revoked: int


class Who(msgspec.Struct, frozen=True):
    """Who a token speaks for, and until when."""

    user: str
    is_admin: bool
    roles: list[str]
    expires: Time | None


class Version(msgspec.Struct, frozen=True):
    """Which server it is. `auth` says whether it asks for a token."""

    version: str
    cluster: str
    auth: bool


class Fault(msgspec.Struct, frozen=True):
    """What went wrong. ``request_id`` is what the server's log has of it."""

    code: str
    message: str
    request_id: str


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error's document. ``conflicts`` are those of a merge, as ``Merged`` has them."""

    error: Fault
    conflicts: tuple[Conflict, ...] = ()
