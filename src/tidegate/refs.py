"""Repositories, and what a name of a state in one means: a branch, a tag, a commit, an ancestor, a time.

Pure functions. There are three grammars for the same thing: buckets (``commit.branch.repo.project``), arguments of
``pachctl`` (``repo@branch=commit:path``), and the plain text of a ``RefName``.

Source: Pachyderm's S3 gateway, "Buckets", and its ancestry syntax (seed 004).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from tidegate import errors

DEFAULT_PROJECT: Final = "default"
# Where no branch is named.
MASTER: Final = "master"
# Pachyderm's rule for repositories, branches and projects: no dots, so that those of a bucket's name separate.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
# A UUID of version 4 without hyphens.
_COMMIT: Final = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")
_TIME: Final = re.compile(r"at-(\d{8}t\d{6}(?:\d{6})?z)", re.IGNORECASE)
_STEP: Final = re.compile(r"\^(\d{0,9})|~(\d{1,9})|\.(-?\d{1,9})")
_BASE: Final = re.compile(
    r"(?P<base>[A-Za-z0-9_-]+)(?:=(?P<commit>[A-Za-z0-9]+))?(?P<steps>(?:[\^~.][-\d]*)*)(?:@(?P<time>\S+))?"
)


class RepoName(msgspec.Struct, frozen=True, order=True):
    """A repository's identity."""

    name: str
    project: str = DEFAULT_PROJECT

    @property
    def text(self) -> str:
        """As people write it: the project only where it is not the usual one."""
        return self.name if self.project == DEFAULT_PROJECT else f"{self.project}/{self.name}"


class RefName(msgspec.Struct, frozen=True, order=True):
    """A bucket, by the repository that it is in and what is meant of that: see ``Ref``."""

    repo: RepoName
    ref: str = MASTER

    @property
    def uri(self) -> str:
        """As ``images@master``."""
        return f"{self.repo.text}@{self.ref}"


class Ref(msgspec.Struct, frozen=True):
    """What the text of a ref says. ``base`` is a branch, a tag or a commit; ``commit`` is one on that branch.

    ``steps`` are taken from there: ``("back", 2)`` for ``^2``, ``("from root", 1)`` for ``.1``. ``time`` (microseconds)
    means the state at that moment.
    """

    base: str
    commit: str = ""
    steps: tuple[tuple[str, int], ...] = ()
    time: int | None = None


def is_commit_id(text: str) -> bool:
    """Whether it can be a commit's id, and so cannot be a branch."""
    return _COMMIT.fullmatch(text) is not None


def is_time(text: str) -> bool:
    """Whether it names a time, as a bucket does that shows a state of the past."""
    return _TIME.fullmatch(text) is not None


def is_name(ref: str) -> bool:
    """Whether a ref is the mere name of a branch or a tag."""
    return _NAME.fullmatch(ref) is not None and not is_commit_id(ref)


def is_moving(name: object) -> bool:
    """Whether a bucket's name may mean another state after any commit: it counts from a HEAD, or names a time."""
    if isinstance(name, RefName):
        return any(mark in name.ref for mark in "^~.@")
    return isinstance(name, str) and name[:3].lower() == "at-"


def check_name(kind: str, name: str) -> None:
    """Raises ``InvalidBucketName`` unless a repository, branch, tag or project may be called so."""
    if not _NAME.fullmatch(name) or (kind in {"branch", "tag"} and (is_commit_id(name) or is_time(name))):
        raise errors.InvalidBucketName(
            f'invalid {kind} name "{name}": it has 1 to 100 letters, digits, "-" and "_", and is no commit or time',
            BucketName=name,
        )


def parse_bucket(text: str) -> RefName:
    """The meaning of a bucket's name: ``[[commit.]branch.]repo[.project]``, ``at-20261120t120000z.…`` of the same.

    Two parts are always a branch, or a tag, of a repository, unless the first is a commit. Raises
    ``InvalidBucketName``.
    """
    parts = text.split(".")
    time, commit = "", ""
    if len(parts) > 1 and is_time(parts[0]):
        time = f"@{parts.pop(0)}"
    elif len(parts) > 1 and is_commit_id(parts[0]):
        commit = f"={parts.pop(0)}"
    if not 1 <= len(parts) <= 3 or not all(_NAME.fullmatch(part) for part in parts):
        raise errors.InvalidBucketName(BucketName=text)
    if len(parts) == 1:
        parts.insert(0, MASTER)
    branch, repo, *project = parts
    return RefName(RepoName(repo, *project), f"{branch}{commit}{time}")


def bucket_name(repo: RepoName, branch: str) -> str:
    """The name of a branch's bucket."""
    return f"{branch}.{repo.name}" if repo.project == DEFAULT_PROJECT else f"{branch}.{repo.name}.{repo.project}"


def parse_ref(text: str) -> Ref:
    """What a ref says. Raises ``InvalidArgument``."""
    matched = _BASE.fullmatch(text)
    if matched is None:
        raise errors.InvalidArgument(f'"{text}" names no branch, tag or commit')
    steps = []
    position, rest = 0, matched["steps"]
    while position < len(rest):
        step = _STEP.match(rest, position)
        if step is None:
            raise errors.InvalidArgument(f'"{text}" names no branch, tag or commit')
        parent, back, index = step.groups()
        if index is not None:
            number = int(index)
            steps.append(("from root", number) if number >= 0 else ("back", -number))
        else:
            steps.append(("back", int(back if back is not None else parent or 1)))
        position = step.end()
    time = None if matched["time"] is None else parse_time(matched["time"])
    return Ref(matched["base"], matched["commit"] or "", tuple(steps), time)


def parse_time(text: str) -> int:
    """Microseconds since the epoch of ``at-20261120t120000z`` or of an RFC 3339 time: the end of what it names.

    Raises ``InvalidArgument``.
    """
    try:
        if matched := _TIME.fullmatch(text):
            digits = matched[1].upper()
            fine = len(digits) > len("20261120T120000Z")
            moment = datetime.strptime(digits, "%Y%m%dT%H%M%S%fZ" if fine else "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        else:
            moment, fine = datetime.fromisoformat(text), "." in text
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except ValueError:
        raise errors.InvalidArgument(f'"{text}" is no time: at-20261120t120000z, or 2026-11-20T12:00:00Z') from None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) + (0 if fine else 999_999)


def parse_argument(text: str, project: str = DEFAULT_PROJECT) -> tuple[RepoName, str, str]:
    """Repository, ref (empty if none) and path (empty if none) of ``[project/]repo[@ref][:path]``.

    Raises ``InvalidArgument``.
    """
    before, _, path = text.partition(":")
    name, _, ref = before.partition("@")
    if "/" in name:
        project, _, name = name.partition("/")
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(project):
        raise errors.InvalidArgument(f'"{text}" does not name a repo: repo@branch:/path')
    return RepoName(name, project), ref, path
