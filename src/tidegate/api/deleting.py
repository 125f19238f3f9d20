"""Deleting all that is below a path, in one commit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from tidegate import errors
from tidegate.api.call import Call
from tidegate.api.listing import Walk
from tidegate.gateway.objects import Deletion
from tidegate.model import NO_NOTE, Principal
from tidegate.refs import RefName

# Files that are deleted in one transaction, some 60 ms of the writer's time. For more a commit is open meanwhile.
STEP: Final = 1000


class Deleted(msgspec.Struct, frozen=True):
    """How many files were deleted, and in which commit: none where there was nothing."""

    deleted: int
    commit: str | None


async def delete_below(call: Call, principal: Principal, branch: str, path: str) -> Deleted:
    """Deletes a file, and all that is in the directory of that name. ``principal`` says what of the commit.

    What is written into a commit that is open on the branch is deleted too. Where it takes several transactions and
    anything goes wrong, nothing is deleted.
    """
    opened = (await call.gateway.branches.get(principal, call.repo, branch)).open
    steps = _steps(call, call.at(branch if opened is None else opened.id), path)
    async with aclosing(steps):
        step: list[str] = await anext(steps, [])
        if len(step) < STEP or opened is not None:
            done = await _delete(call, principal, branch, step)
            async for step in steps:
                done = _sum(done, await _delete(call, principal, branch, step))
            return done
        commits, plain = call.gateway.commits, msgspec.structs.replace(principal, note=NO_NOTE)
        commit = await commits.start(principal, call.repo, branch)
        try:
            done = await _delete(call, plain, branch, step)
            async for step in steps:
                done = _sum(done, await _delete(call, plain, branch, step))
        except BaseException:
            await commits.drop(plain, call.repo, commit.id)
            raise
        try:
            await commits.finish(plain, call.repo, commit.id)
        except (errors.HookRefused, errors.HookUnavailable):
            await commits.drop(plain, call.repo, commit.id)
            raise
        return done


async def _steps(call: Call, name: RefName, path: str) -> AsyncGenerator[list[str], None]:
    """The paths of all files, some at a time. The state does not change while its files are deleted from the branch."""
    paths: list[str] = []
    async with aclosing(Walk(call, name).at(path, "", "")) as looked:
        async for found, _ in looked:
            paths.append(found)
            if len(paths) == STEP:
                yield paths
                paths = []
    if paths:
        yield paths


async def _delete(call: Call, principal: Principal, branch: str, paths: Sequence[str]) -> Deleted:
    if not paths:
        return Deleted(0, None)
    outcomes = await call.gateway.objects.delete_many(principal, call.at(branch), [Deletion(path) for path in paths])
    commits = []
    for outcome in outcomes:
        if isinstance(outcome, errors.Error):
            raise outcome
        if outcome.version_id:
            commits.append(outcome.version_id)
    return Deleted(len(commits), commits[0] if commits else None)


def _sum(one: Deleted, other: Deleted) -> Deleted:
    return Deleted(one.deleted + other.deleted, one.commit or other.commit)
