"""What answers show: projects, repositories, branches, commits, tags and states of files, as JSON.

Times are RFC 3339 in UTC, sizes are bytes, and what there is not is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from tidegate import model

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

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
    branch: Annotated[str, Meta(description="That it was made on; empty where that is gone.")]
    parent: str | None
    merged: Annotated[str | None, Meta(description="The commit whose changes it took in.")]
    author: str
    message: str
    metadata: Mapping[str, str]
    origin: model.Origin
    started: Time
    finished: Annotated[Time | None, Meta(description="Null while it is open.")]
    files: int
    size: int
    changes: int


class BranchRef(msgspec.Struct, frozen=True):
    """A branch of some repository."""

    project: str
    repo: str
    branch: str


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a branch is to follow another of its repository. One condition is enough, unless it is to be `every` one."""

    branch: Annotated[str, Meta(description="The branch to follow.")]
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


# --- from the model --------------------------------------------------------------------------------------------------


def moment(time: int) -> datetime:
    """A time of the model's."""
    return _EPOCH + timedelta(microseconds=time)


def project(found: model.Project) -> Project:
    """A project."""
    return Project(found.name, found.description, moment(found.created))


def repo(found: model.Repo) -> Repo:
    """A repository."""
    name = found.name
    created = moment(found.created)
    return Repo(name.project, name.name, found.description, found.owner, created, found.branches, found.size)


def commit(found: model.Commit) -> Commit:
    """A commit."""
    return Commit(
        id=found.id,
        project=found.repo.project,
        repo=found.repo.name,
        branch=found.branch,
        parent=found.parent,
        merged=found.merged,
        author=found.author,
        message=found.message,
        metadata=dict(found.metadata),
        origin=found.origin,
        started=moment(found.started),
        finished=None if found.finished is None else moment(found.finished),
        files=found.objects,
        size=found.size,
        changes=found.changes,
    )


def branch(found: model.Branch) -> Branch:
    """A branch."""
    rule = found.trigger
    return Branch(
        project=found.repo.project,
        repo=found.repo.name,
        name=found.name,
        head=None if found.head is None else commit(found.head),
        open=None if found.open is None else commit(found.open),
        provenance=tuple(BranchRef(each.repo.project, each.repo.name, each.name) for each in found.provenance),
        trigger=None if rule is None else Trigger(rule.branch, rule.size, rule.commits, rule.cron, rule.every),
        is_protected=found.is_protected,
        created=moment(found.created),
        creator=found.creator,
    )


def file(version: model.Version) -> File:
    """A file, by its version."""
    return File(version.key, "file", version.size, version.etag, moment(version.modified), version.version_id)


def revision(version: model.Version) -> Revision:
    """A version of a path, which may be its deletion."""
    return Revision(
        version.key,
        version.is_delete_marker,
        version.size,
        version.etag,
        moment(version.modified),
        version.version_id,
    )


def change(found: model.Change) -> Change:
    """A change."""
    before, after = _state(found.before), _state(found.after)
    return Change(found.path, "added" if before is None else "removed" if after is None else "changed", before, after)


def merged(found: model.Merged) -> Merged:
    """The outcome of a merge."""
    conflicts = tuple(
        Conflict(each.path, _state(each.base), _state(each.ours), _state(each.theirs)) for each in found.conflicts
    )
    return Merged(None if found.commit is None else commit(found.commit), found.changes, conflicts)


def _state(version: model.Version | None) -> State | None:
    """None also for a delete marker: nothing is there."""
    if version is None or version.is_delete_marker:
        return None
    return State(version.size, version.etag, moment(version.modified), version.version_id)
