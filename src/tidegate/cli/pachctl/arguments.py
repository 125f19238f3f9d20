"""What a command's arguments name: ``repo``, ``repo@branch``, ``repo@branch=commit:/path``; and how errors name it.

A path begins with ``/``, which the file's key does not: ``/dir/file`` is ``dir/file``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from tidegate import errors
from tidegate.cli.failures import Refused
from tidegate.cli.pachctl import config
from tidegate.refs import DEFAULT_PROJECT, MASTER, RepoName, parse_argument, parse_ref


class Target(msgspec.Struct, frozen=True):
    """A repository, what is meant of it (empty if nothing was said), and a path as it was typed."""

    repo: RepoName
    ref: str = ""
    path: str = ""

    @property
    def key(self) -> str:
        """The path without the ``/`` that it begins with."""
        return self.path.removeprefix("/")

    @property
    def full_repo(self) -> str:
        """As Pachyderm's messages name a repository."""
        return full(self.repo)

    @property
    def uri(self) -> str:
        """As ``images@master``."""
        return f"{self.repo.text}@{self.ref}" if self.ref else self.repo.text

    def at(self, path: str) -> Target:
        """Another path of the same."""
        return msgspec.structs.replace(self, path=path)


def full(repo: RepoName) -> str:
    """As ``default/images``."""
    return f"{repo.project}/{repo.name}"


def project_of(given: str) -> str:
    """The project that we work in: what was said, or what the configuration says."""
    return given or config.context()[1].project or DEFAULT_PROJECT


def is_wide(given: str, repo: RepoName | None = None, *, all: bool = False) -> bool:
    """Whether tables are those of the later edition, which knows projects (see ``text``): where one was named."""
    return all or bool(given) or (repo.project if repo else project_of(given)) != DEFAULT_PROJECT


def repo_of(text: str, project: str) -> RepoName:
    """A repository, and nothing of it. Raises ``InvalidArgument``."""
    target = _target(text, project)
    if target.ref or target.path:
        raise errors.InvalidArgument(f'"{text}": a repo is expected, not a branch, commit or path of one')
    return target.repo


def ref_of(text: str, project: str, *, kind: str = "branch or commit") -> Target:
    """A state of a repository, which has to be said. Raises ``InvalidArgument``."""
    target = _target(text, project)
    if not target.ref or target.path:
        raise errors.InvalidArgument(f'"{text}" names no {kind}: expected repo@{kind.replace(" or ", "-or-")}')
    parse_ref(target.ref)
    return target


def branch_of(text: str, project: str) -> Target:
    """A branch. Raises ``InvalidArgument``."""
    return ref_of(text, project, kind="branch")


def repo_or_ref(text: str, project: str) -> Target:
    """A repository, or a state of it. Raises ``InvalidArgument``."""
    target = _target(text, project)
    if target.path:
        raise errors.InvalidArgument(f'"{text}": no path is expected')
    if target.ref:
        parse_ref(target.ref)
    return target


def file_of(text: str, project: str, *, is_needed: bool = False) -> Target:
    """A path in a state of a repository; ``master`` where none is named. With ``is_needed`` not the root.

    Raises ``InvalidArgument``.
    """
    target = _target(text, project)
    if is_needed and not target.key:
        raise errors.InvalidArgument(f'"{text}" names no file: expected repo@branch:/path')
    if not target.ref:
        return msgspec.structs.replace(target, ref=MASTER)
    parse_ref(target.ref)
    return target


def _target(text: str, project: str) -> Target:
    repo, ref, path = parse_argument(text, project_of(project))
    if "@" in text.partition(":")[0] and not ref:
        raise errors.InvalidArgument(f'"{text}" names no branch or commit behind its @')
    return Target(repo, ref, path)


# --- how errors name it ----------------------------------------------------------------------------------------------

NO_SUCH_FILE = "NoSuchFile"


@contextmanager
def about(target: Target) -> Iterator[None]:
    """Tells of a file that is not there as Pachyderm does, whose clients look for that; the rest the server says so."""
    try:
        yield
    except Refused as refused:
        if refused.code != NO_SUCH_FILE:
            raise
        path = target.path if target.path.startswith("/") else f"/{target.path}"
        said = f"file {path} not found in repo {target.full_repo} at commit {target.ref}"
        raise Refused(refused.status, said, refused.hint, code=refused.code) from None
