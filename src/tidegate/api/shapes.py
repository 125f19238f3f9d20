"""The documents of answers, from what the model has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate import model
from tidegate.documents import (
    Branch,
    BranchRef,
    Change,
    Commit,
    Conflict,
    File,
    Merged,
    Project,
    Repo,
    Revision,
    State,
    Trigger,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
