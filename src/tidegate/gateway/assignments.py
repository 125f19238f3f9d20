"""What each kind of job is asked to do, as it is kept with the job. Values only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tidegate.gateway.selection import Names, Prefix, Ranges, Renaming


class Kind(StrEnum):
    """The kinds of jobs that we do, by AIStore's names."""

    COPY_BUCKET = "copy-bck"
    MOVE_BUCKET = "move-bck"
    COPY_OBJECTS = "copy-listrange"
    DELETE_OBJECTS = "delete-listrange"
    PREFETCH_OBJECTS = "prefetch-listrange"
    EVICT_OBJECTS = "evict-listrange"
    ARCHIVE = "archive"
    PROMOTE = "promote"
    MAKE_COPIES = "make-n-copies"
    CLEAN_UP = "cleanup-store"
    EVICT_LEAST_USED = "lru"


class Copy(msgspec.Struct, frozen=True):
    """Copy objects to another bucket, or under other names to the same one.

    ``until`` is a place in the logs, for a bucket that is copied to itself: what was written later is left alone, as
    the copies are.
    """

    selection: Names | Ranges | Prefix
    renaming: Renaming
    is_dry_run: bool = False
    goes_on: bool = False
    until: int | None = None


class Delete(msgspec.Struct, frozen=True):
    """Delete objects, as far as they were written before the place ``until`` in the logs."""

    selection: Names | Ranges | Prefix
    until: int
    goes_on: bool = False


class Prefetch(msgspec.Struct, frozen=True):
    """Read objects of another provider's bucket that are not cached, or, with ``latest``, that have changed there."""

    selection: Names | Ranges | Prefix
    latest: bool = False
    goes_on: bool = False


class Evict(msgspec.Struct, frozen=True):
    """Forget what is cached of objects of another provider's bucket."""

    selection: Names | Ranges | Prefix


class ArchiveFormat(StrEnum):
    """What an archive may be, by the end of its name."""

    TAR = ".tar"
    TGZ = ".tgz"
    TAR_GZ = ".tar.gz"
    ZIP = ".zip"


class Archive(msgspec.Struct, frozen=True):
    """Put objects together into one, or add them to it where it ``appends``.

    Members are called as the objects, with the bucket's name and a slash before it where ``names_bucket``.
    """

    selection: Names | Ranges | Prefix
    key: str
    format: ArchiveFormat
    names_bucket: bool = False
    appends: bool = False
    goes_on: bool = False


class Promote(msgspec.Struct, frozen=True):
    """Make objects of the files of a folder, or of one file.

    ``path`` is relative to ``root``, one of the folders that are open for this. ``name`` is the object's name for a
    file, and comes before the relative names, with a slash, for a folder.
    """

    root: str
    path: str
    name: str = ""
    is_recursive: bool = False
    overwrites: bool = False
    deletes_source: bool = False


class MakeCopies(msgspec.Struct, frozen=True):
    """Wait until the objects of a bucket are in as many data folders as its property asks for."""

    copies: int


class Nothing(msgspec.Struct, frozen=True):
    """There is nothing to say."""
