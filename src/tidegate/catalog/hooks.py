"""Hooks of repositories: which there are, what they are told, and that none which can refuse was left out.

A hook that is to be asked before a commit cannot be called inside a transaction. So the transaction in which there is
one that nobody has asked ends with ``UnaskedError`` where it would begin the commit, with nothing written; whoever runs
it asks, and runs it again with the answers (``ASKED``). Nothing is committed past a hook, by whatever way it comes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from tidegate import errors
from tidegate.catalog.abc import Reader, Row, Transaction
from tidegate.model import Commit, Hook, HookEvent, Origin, Repo
from tidegate.refs import RepoName

# In a transaction's memo: the hooks that have agreed, each with the mark of what it has agreed to.
ASKED: Final = "hooks that were asked"
# Hooks of a repository: each commit is looked at for all of them, and each that matches is called.
MAX_HOOKS: Final = 20

_COLUMNS = "id, repo, name, url, events, branch, secret, creator, created"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


class HookRow(msgspec.Struct, frozen=True):
    """A hook as it is stored; ``secret`` is sealed."""

    id: int
    repo: int
    shown: Hook
    secret: bytes


class About(msgspec.Struct, frozen=True):
    """What a hook is told of a commit; None for what is not known yet."""

    id: str | None
    parent: str | None
    merged: str | None
    author: str
    message: str
    metadata: Mapping[str, str]
    origin: Origin
    started: datetime | None = None
    finished: datetime | None = None
    files: int | None = None
    size: int | None = None
    changes: int | None = None


class Occasion(msgspec.Struct, frozen=True):
    """Something that hooks are called for.

    ``path`` is the first one that is written, where that is known before. ``mark`` stands for what an agreement is to:
    when that has changed, the hook is asked again.
    """

    event: HookEvent
    repo: RepoName
    branch: str
    commit: About
    path: str | None = None
    mark: str = ""


class _RepoName(msgspec.Struct, frozen=True):
    project: str
    name: str


class _Body(msgspec.Struct, frozen=True):
    """What is sent to a hook. Times are RFC 3339 in UTC; ``source`` is the commit that is merged."""

    event: HookEvent
    id: str
    time: datetime
    hook: str
    repo: _RepoName
    branch: str
    commit: About
    source: str | None
    path: str | None
    action: str | None


class UnaskedError(Exception):
    """Hooks have to be asked before this can be committed. Not for clients: who runs the transaction asks."""

    def __init__(self, hooks: Sequence[HookRow], occasion: Occasion) -> None:
        self.hooks = hooks
        self.occasion = occasion
        super().__init__(occasion.event)


# --- which there are -------------------------------------------------------------------------------------------------


def _row(row: Row) -> HookRow:
    number, repo, name, url, events, branch, secret, creator, created = row
    shown = Hook(name, url, tuple(HookEvent(event) for event in events.split()), branch, creator, created)
    return HookRow(number, repo, shown, secret)


def every(tx: Reader, repo_id: int) -> list[HookRow]:
    """The hooks of a repository, by name."""
    return [_row(row) for row in tx.rows(f"SELECT {_COLUMNS} FROM hooks WHERE repo = ? ORDER BY name", (repo_id,))]


def is_any(tx: Reader, repo_id: int) -> bool:
    """Whether a repository has hooks."""
    return tx.one("SELECT 1 FROM hooks WHERE repo = ? LIMIT 1", (repo_id,)) is not None


def by_id(tx: Reader, hook_id: int) -> HookRow | None:
    """The hook of that number."""
    row = tx.one(f"SELECT {_COLUMNS} FROM hooks WHERE id = ?", (hook_id,))
    return None if row is None else _row(row)


def get(tx: Reader, of: Repo, name: str) -> HookRow:
    """Raises ``NoSuchHook``."""
    row = tx.one(f"SELECT {_COLUMNS} FROM hooks WHERE repo = ? AND name = ?", (of.id, name))
    if row is None:
        raise errors.NoSuchHook(f'hook "{name}" not found in repo {of.name.project}/{of.name.name}')
    return _row(row)


def add(tx: Transaction, of: Repo, hook: Hook, secret: bytes) -> None:
    """Makes a hook. Raises ``HookExists``, and ``InvalidRequest`` for one too many."""
    count = tx.one("SELECT count(*), sum(name = ?) FROM hooks WHERE repo = ?", (hook.name, of.id))
    if count is not None and count[1]:
        raise errors.HookExists(f'hook "{hook.name}" already exists in repo {of.name.project}/{of.name.name}')
    if count is not None and count[0] >= MAX_HOOKS:
        raise errors.InvalidRequest(f"a repo has at most {MAX_HOOKS} hooks")
    tx.touch_names()
    tx.execute(
        f"INSERT INTO hooks ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tx.sequence(), of.id, hook.name, hook.url, " ".join(hook.events), hook.branch, secret, hook.creator,
            hook.created,
        ),
    )  # fmt: skip


def delete(tx: Transaction, hook_id: int) -> None:
    """Removes a hook. Its deliveries are removed later, some at a time."""
    tx.touch_names()
    tx.execute("DELETE FROM hooks WHERE id = ?", (hook_id,))


def delete_all(tx: Transaction, repo_id: int) -> None:
    """As ``delete``, of a repository's."""
    tx.execute("DELETE FROM hooks WHERE repo = ?", (repo_id,))


def matching(tx: Reader, repo_id: int, event: HookEvent, branch: str) -> list[HookRow]:
    """The hooks that are called for something that happens on a branch."""
    return [
        row for row in every(tx, repo_id) if event in row.shown.events and fnmatchcase(branch, row.shown.branch or "*")
    ]


# --- what they are told ----------------------------------------------------------------------------------------------


def about(commit: Commit) -> About:
    """What is told of a commit that is there."""
    return About(
        commit.id, commit.parent, commit.merged, commit.author, commit.message, dict(commit.metadata), commit.origin,
        _moment(commit.started), None if commit.finished is None else _moment(commit.finished), commit.objects,
        commit.size, commit.changes,
    )  # fmt: skip


def body(hook: Hook, occasion: Occasion, delivery_id: str, time: int, action: str = "") -> bytes:
    """What is sent, as JSON."""
    repo = _RepoName(occasion.repo.project, occasion.repo.name)
    return _encode(
        _Body(
            occasion.event, delivery_id, _moment(time), hook.name, repo, occasion.branch, occasion.commit,
            occasion.commit.merged, occasion.path, action or None,
        )
    )  # fmt: skip


def ask(tx: Transaction, repo_id: int, occasion: Occasion) -> None:
    """Raises ``UnaskedError`` unless each hook that can refuse this has agreed to it."""
    asked: Collection[tuple[int, str]] = tx.memo.get(ASKED, ())
    left = [
        row for row in matching(tx, repo_id, occasion.event, occasion.branch) if (row.id, occasion.mark) not in asked
    ]
    if left:
        raise UnaskedError(left, occasion)


def ask_to_finish(tx: Transaction, repo_id: int, commit: Commit) -> None:
    """As ``ask``, before an open commit is finished: as it is now, with what was written there so far."""
    mark = f"{commit.id}:{commit.changes}"
    ask(tx, repo_id, Occasion(HookEvent.PRE_COMMIT, commit.repo, commit.branch, about(commit), mark=mark))


def _moment(time: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time)
