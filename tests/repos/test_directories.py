"""Deleting directories of a branch: in one commit, beside the branch where it takes several transactions."""

from __future__ import annotations

import asyncio

import pytest

from tests.repos.conftest import MakeRepository
from tests.repos.repository import MASTER, Repository, collect, saying
from tidegate import errors
from tidegate.catalog import repos
from tidegate.gateway import Gateway
from tidegate.gateway.repos import aside, directories
from tidegate.model import EVERYONE, Merged

KEYS = ["d", "d.txt", "d/", "d/a", "d/b/c", *(f"d/n/{number}" for number in range(9)), "d0", "other"]
BELOW = [key for key in KEYS if key == "d" or key.startswith("d/")]


@pytest.fixture(params=[1000, 3, 1])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How much is deleted in one transaction: all of it, or little."""
    monkeypatch.setattr(directories, "STEP", request.param)
    return int(request.param)


@pytest.fixture
def full(make_repository: MakeRepository) -> Repository:
    """A repository with a directory, and what is called alike."""
    repo = make_repository()
    repo.start(MASTER)
    for key in KEYS:
        repo.put(MASTER, key, b"1")
    repo.finish(MASTER)
    return repo


def delete(repo: Repository, path: str, ref: str = MASTER) -> Merged:
    """Deletes a directory."""
    return repo.run(repo.gateway.directories.delete(EVERYONE, repo.name, ref, path))


def keys(repo: Repository, ref: str = MASTER) -> list[str]:
    """The keys of a state."""
    return repo.page(ref)[0]


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("d", BELOW),
        ("d/", BELOW[1:]),
        ("d/n", BELOW[4:]),
        ("", KEYS),
        ("other", ["other"]),
        ("d.txt", ["d.txt"]),
        ("missing", []),
        ("d/b/", ["d/b/c"]),
        ("oth", []),
    ],
)
def test_what_is_deleted(full: Repository, step: int, path: str, gone: list[str]) -> None:
    """The object of the name and all below, in one commit; nothing makes none."""
    before = full.head(MASTER)
    merged = delete(full, path)
    assert merged.changes == len(gone)
    assert keys(full) == [key for key in sorted(KEYS) if key not in gone]
    assert keys(full, str(before)) == sorted(KEYS)
    if not gone:
        assert (merged.commit, full.head(MASTER)) == (None, before)
        return
    assert merged.commit == full.commit(MASTER)
    assert (merged.commit.parent, merged.commit.changes) == (before, len(gone))
    assert merged.commit.objects == merged.commit.size == len(KEYS) - len(gone)
    assert len(full.commits()) == len(full.commits(None)) == 2
    assert full.run(full.begun_beside()) == 0


def test_a_branch_that_has_forked(full: Repository, step: int) -> None:
    """What a branch has from another one is gone from it, and stays there."""
    full.branch("dev", head=MASTER)
    full.put("dev", "d/mine", b"1")
    assert delete(full, "d", "dev").changes == len(BELOW) + 1
    assert keys(full, "dev") == ["d.txt", "d0", "other"]
    assert keys(full) == sorted(KEYS)


def test_what_is_said_of_the_commit(full: Repository, step: int) -> None:
    """The message is the caller's, and a wrong HEAD refuses it."""
    run, remove = full.run, full.gateway.directories.delete
    with pytest.raises(errors.PreconditionFailed):
        run(remove(saying(if_head="0" * 12 + "4" + "0" * 3 + "8" + "0" * 15), full.name, MASTER, "d"))
    assert keys(full) == sorted(KEYS)
    said = saying("all gone", {"run": "7"}, full.head(MASTER) or "")
    commit = run(remove(said, full.name, MASTER, "d")).commit
    assert commit is not None
    assert (commit.message, commit.metadata) == ("all gone", {"run": "7"})


def test_within_a_commit_that_is_open(full: Repository, step: int) -> None:
    """What was written into it goes too; the branch shows it when it is finished."""
    opened = full.start(MASTER)
    full.put(MASTER, "d/new", b"1")
    merged = delete(full, "d")
    assert merged.changes == len(BELOW) + 1
    assert merged.commit is not None
    assert merged.commit.id == opened
    assert keys(full) == sorted(KEYS)
    full.finish(MASTER)
    assert keys(full) == ["d.txt", "d0", "other"]
    assert len(full.commits(None)) == 2


def test_a_branch_that_takes_no_writes(full: Repository, step: int) -> None:
    """A protected branch, a past state and a branch that is not there are refused."""
    for ref in ("master^", full.head(MASTER) or "", "missing"):
        with pytest.raises(errors.NoSuchBranch):
            delete(full, "d", ref)
    full.protect(MASTER)
    with pytest.raises(errors.BranchProtected):
        delete(full, "d")
    assert keys(full) == sorted(KEYS)


@pytest.mark.parametrize(("key", "is_refused"), [("new", False), ("d/new", False), ("d", True), ("d/n/8", True)])
def test_writes_meanwhile(
    full: Repository,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    is_refused: bool,  # noqa: FBT001 - a parameter
) -> None:
    """What others write while a large directory is deleted is a commit of theirs, which stays. Where it is of what is
    being deleted, nothing is.
    """
    monkeypatch.setattr(directories, "STEP", 1)

    async def both() -> Merged:
        deleting = asyncio.ensure_future(full.gateway.directories.delete(EVERYONE, full.name, MASTER, "d"))
        while not deleting.done() and not await full.begun_beside():  # noqa: ASYNC110
            await asyncio.sleep(0)
        await full.putting(MASTER, key, b"2")
        found = await full.gateway.branches.get(EVERYONE, full.name, MASTER)
        assert not deleting.done()
        assert found.open is None
        return await deleting

    if is_refused:
        with pytest.raises(errors.ConditionalRequestConflict):
            full.run(both())
        assert keys(full) == sorted(KEYS)
    else:
        assert full.run(both()).changes == len(BELOW)
        assert keys(full) == sorted({"d.txt", "d0", "other", key})
        assert keys(full, "master^") == sorted({*KEYS, key})
    assert full.get(MASTER, key) == b"2"
    assert len(full.commits(None)) == (2 if is_refused else 3)


def test_a_commit_that_is_finished_meanwhile(full: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large directory goes into the commit that was open when that began, and into no other."""
    monkeypatch.setattr(directories, "STEP", 1)
    opened = full.start(MASTER)

    async def both() -> None:
        deleting = asyncio.ensure_future(full.gateway.directories.delete(EVERYONE, full.name, MASTER, "d"))
        while not (await full.gateway.commits.get(EVERYONE, full.name, opened)).changes:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await full.gateway.commits.finish(EVERYONE, full.name, opened)
        await deleting

    with pytest.raises(errors.ConditionalRequestConflict):
        full.run(both())
    assert full.head(MASTER) == opened
    assert len(full.commits(None)) == 2
    assert "d/n/8" in keys(full)


def test_a_crash_in_between(
    full: Repository, runner: asyncio.Runner, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sees anything of what was not finished, nor waits for it; and it goes when something large comes after."""
    monkeypatch.setattr(directories, "STEP", 2)
    step = aside._step
    steps = iter(range(3))

    def broken(*given: object, **named: object) -> int:
        if next(steps, None) is None:
            raise InterruptedError
        return step(*given, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aside, "_step", broken)
        patch.setattr(repos, "drop_log", lambda *_: None)  # nobody is there to do it
        with pytest.raises(InterruptedError):
            delete(full, "d")
    assert full.run(full.begun_beside()) == 1
    assert keys(full) == sorted(KEYS)
    assert len(full.commits(None)) == 1
    full.put(MASTER, "d/n/0", b"2")
    monkeypatch.setattr(aside, "ABANDONED_AFTER", -1)
    assert delete(full, "d").changes == len(BELOW)
    assert keys(full) == ["d.txt", "d0", "other"]
    assert full.run(full.begun_beside()) == 0
    collect(runner, gateway)
