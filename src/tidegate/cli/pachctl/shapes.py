"""What ``/v2`` shows: projects, repositories, branches, commits, tags and states of files. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from tidegate.refs import RepoName


class Page(msgspec.Struct, frozen=True):
    """Some of many; with ``next`` there are more."""

    items: list[msgspec.Raw]
    next: str | None = None


class Project(msgspec.Struct, frozen=True):
    """A space of names for repositories."""

    name: str
    description: str
    created: datetime


class Repo(msgspec.Struct, frozen=True):
    """A repository; ``size`` is that of the newest commit of its branch master."""

    project: str
    name: str
    description: str
    created: datetime
    branches: tuple[str, ...]
    size: int


class Commit(msgspec.Struct, frozen=True):
    """A commit; ``finished`` is None while it is open."""

    id: str
    project: str
    repo: str
    branch: str
    parent: str | None
    merged: str | None
    author: str
    message: str
    metadata: Mapping[str, str]
    origin: str
    started: datetime
    finished: datetime | None
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


class Trigger(msgspec.Struct, frozen=True):
    """When a branch is to follow another."""

    branch: str
    size: int = 0
    commits: int = 0
    cron: str = ""
    every: bool = False


class Branch(msgspec.Struct, frozen=True):
    """A branch; ``open`` is the commit that was started on it and not finished."""

    project: str
    repo: str
    name: str
    head: Commit | None
    open: Commit | None
    provenance: tuple[BranchRef, ...]
    trigger: Trigger | None
    is_protected: bool
    created: datetime
    creator: str


class Tag(msgspec.Struct, frozen=True):
    """A name of a commit."""

    name: str
    commit: str


class File(msgspec.Struct, frozen=True):
    """A file, or a directory (``dir``), whose path ends in a slash and whose size may not be known."""

    path: str
    type: str
    size: int | None = None
    etag: str | None = None
    modified: datetime | None = None
    commit: str | None = None


class State(msgspec.Struct, frozen=True):
    """What a path held."""

    size: int
    etag: str
    modified: datetime
    commit: str


class Revision(msgspec.Struct, frozen=True):
    """What a commit made of a path."""

    path: str
    is_deleted: bool
    size: int
    modified: datetime
    commit: str


class Change(msgspec.Struct, frozen=True):
    """What became of a path: ``op`` is added, removed or changed."""

    path: str
    op: str
    before: State | None
    after: State | None


class Conflict(msgspec.Struct, frozen=True):
    """A path that both sides of a merge have changed since ``base``."""

    path: str
    base: State | None
    ours: State | None
    theirs: State | None


class Merged(msgspec.Struct, frozen=True):
    """What came of a merge; ``commit`` is None where nothing was to do."""

    commit: Commit | None
    changes: int
    conflicts: tuple[Conflict, ...] = ()
