"""A repository under random operations is what a model in plain Python says, at every commit that there still is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.repos.repository import MASTER, Repository, check_repos, collect, rewrite
from tests.unit.store import by_bytes, common_prefix
from tidegate import errors
from tidegate.catalog import flattening, rewriting
from tidegate.gateway import Gateway, open_gateway
from tidegate.gateway.repos import changes
from tidegate.jobs import tidying
from tidegate.model import EVERYONE

BRANCHES = [MASTER, "dev", "other"]
KEYS = ["a", "a/", "a/b", "b", "é z+%", "c/d/e"]

branches = st.sampled_from(BRANCHES)
keys = st.sampled_from(KEYS)
contents = st.sampled_from([b"1", b"2", b"three, which is more than a row holds inline"])
indexes = st.integers(0, 30)
# Keys with what becomes of them: None deletes.
writes = st.lists(st.tuples(keys, st.none() | contents), min_size=1, max_size=5)

State = dict[str, bytes]
Written = list[tuple[str, bytes | None]]


@dataclass
class Made:
    """A commit in the model. ``wrote`` has the version that it wrote of each key: its id, and bytes or None.

    ``order`` says when it was finished, 0 while it is open.
    """

    id: str
    branch: str
    parent: Made | None
    state: State
    wrote: dict[str, tuple[str, bytes | None]] = field(default_factory=dict)
    merged: str | None = None
    order: int = 0
    finished: int = 0


@dataclass
class Line:
    """A branch in the model."""

    head: Made | None = None
    open: Made | None = None


class Repositories(RuleBasedStateMachine):
    """The rules: each does something to the repository and to the model, and compares what came of it."""

    make: ClassVar[Callable[[], Repository]]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self.repo = type(self).make()
        self.commits: dict[str, Made] = {}
        self.lines: dict[str, Line] = {MASTER: Line()}
        self.tags: dict[str, str] = {}
        self.orders = itertools.count(1)

    # --- helpers ---

    def any_commit(self, index: int) -> Made | None:
        """A finished commit."""
        finished = [made for made in self.commits.values() if made.order]
        return finished[index % len(finished)] if finished else None

    def done(self, made: Made) -> None:
        """Takes a commit that was finished into the model."""
        made.order = next(self.orders)
        found = self.repo.commit(made.id)
        assert found.finished is not None
        made.finished = found.finished
        assert (found.parent, found.merged) == (made.parent.id if made.parent else None, made.merged)
        assert (found.objects, found.size) == (len(made.state), sum(map(len, made.state.values())))
        assert found.changes == len(made.wrote)

    def apply(self, made: Made, key: str, data: bytes | None) -> None:
        if data is not None:
            made.state[key] = data
            made.wrote[key] = (made.id, data)
        elif made.state.pop(key, None) is not None:
            made.wrote[key] = (made.id, None)

    def wrote(self, branch: str, commit_id: str, written: Written) -> None:
        """Takes the writes of one request into the model."""
        line = self.lines[branch]
        if line.open is not None:
            assert commit_id == line.open.id
            for key, data in written:
                self.apply(line.open, key, data)
            return
        assert commit_id not in self.commits
        made = Made(commit_id, branch, line.head, dict(line.head.state) if line.head else {})
        for key, data in written:
            self.apply(made, key, data)
        self.commits[commit_id] = made
        line.head = made
        self.done(made)
        self.compare_head(branch)

    def past(self, made: Made | None) -> list[Made]:
        """A commit and all that it goes back to in a row, the newest first."""
        found = []
        while made is not None:
            found.append(made)
            made = made.parent
        return found

    def ancestors(self, made: Made | None) -> dict[str, Made]:
        """A commit and all that has come into it, by merges too."""
        found: dict[str, Made] = {}
        left = [made]
        while left:
            each = left.pop()
            if each is not None and each.id not in found:
                found[each.id] = each
                left += [each.parent, self.commits.get(each.merged or "")]
        return found

    def compare_head(self, branch: str) -> None:
        head = self.lines[branch].head
        assert self.repo.head(branch) == (head.id if head else None)
        assert self.repo.page(branch)[0] == by_bytes(head.state if head else ())

    def refuses(self, error: type[errors.Error] | tuple[type[errors.Error], ...], act: Callable[[], object]) -> None:
        with pytest.raises(error):
            act()

    # --- writing ---

    @rule(branch=branches, key=keys, data=contents)
    def put(self, branch: str, key: str, data: bytes) -> None:
        if branch in self.lines:
            self.wrote(branch, self.repo.put(branch, key, data), [(key, data)])

    @rule(branch=branches, wanted=st.lists(keys, min_size=1, max_size=4, unique=True))
    def delete(self, branch: str, wanted: list[str]) -> None:
        if branch not in self.lines:
            return
        line = self.lines[branch]
        seen = line.open or line.head
        there = [key for key in wanted if seen is not None and key in seen.state]
        made = self.repo.delete(branch, *wanted)
        assert [bool(each) for each in made] == [key in there for key in wanted]
        if there:
            (commit_id,) = {each for each in made if each}
            self.wrote(branch, commit_id, [(key, None) for key in there])

    @rule(branch=branches)
    def start(self, branch: str) -> None:
        line = self.lines.get(branch, Line())
        if line.open is not None:
            self.refuses(errors.ParentNotFinished, lambda: self.repo.start(branch))
            return
        if branch in self.tags:
            self.refuses(errors.RefExists, lambda: self.repo.start(branch))
            return
        self.lines[branch] = line
        made = self.repo.start(branch)
        line.open = Made(made, branch, line.head, dict(line.head.state) if line.head else {})
        self.commits[made] = line.open

    @rule(branch=branches)
    def finish(self, branch: str) -> None:
        line = self.lines.get(branch)
        if line is None or line.open is None:
            return
        self.compare_head(branch)
        made, line.open, line.head = line.open, None, line.open
        self.repo.finish(branch)
        self.done(made)
        self.compare_head(branch)

    @rule(branch=branches, written=writes)
    def commit(self, branch: str, written: Written) -> None:
        """An open commit from its beginning to its end."""
        line = self.lines.get(branch)
        if line is None or line.open is not None:
            return
        self.start(branch)
        for key, data in written:
            if data is None:
                self.delete(branch, [key])
            else:
                self.put(branch, key, data)
        self.finish(branch)

    @initialize(first=writes, second=writes, third=writes)
    def begin(self, first: Written, second: Written, third: Written) -> None:
        """There is something to begin with, as what is worth finding needs a past."""
        for written in (first, second, third):
            self.commit(MASTER, written)
        self.branch("dev", 1)

    # --- branches and tags ---

    @rule(branch=branches, index=indexes)
    def branch(self, branch: str, index: int) -> None:
        """Makes a branch at some commit, or moves it there."""
        at, line = self.any_commit(index), self.lines.get(branch)
        if at is None:
            return
        if line is not None and line.open is not None:
            self.refuses(errors.ParentNotFinished, lambda: self.repo.branch(branch, head=at.id))
        elif branch in self.tags:
            self.refuses(errors.RefExists, lambda: self.repo.branch(branch, head=at.id))
        else:
            self.repo.branch(branch, head=at.id)
            self.lines[branch] = Line(at)
            self.compare_head(branch)

    @rule(branch=branches)
    def remove(self, branch: str) -> None:
        line = self.lines.pop(branch, None)
        if line is None:
            self.refuses(errors.NoSuchBranch, lambda: self.repo.remove(branch))
            return
        self.repo.remove(branch, force=line.open is not None)
        if line.open is not None:
            del self.commits[line.open.id]

    @rule(name=st.sampled_from(["v1", "v2", "dev"]), index=indexes)
    def tag(self, name: str, index: int) -> None:
        at = self.any_commit(index)
        if at is None:
            return
        if name in self.tags or name in self.lines:
            self.refuses(errors.RefExists, lambda: self.repo.tag(name, at.id))
        else:
            self.repo.tag(name, at.id)
            self.tags[name] = at.id

    @rule(name=st.sampled_from(["v1", "v2", "dev"]))
    def untag(self, name: str) -> None:
        if self.tags.pop(name, None):
            self.repo.run(self.repo.gateway.tags.delete(EVERYONE, self.repo.name, name))

    # --- merging ---

    @rule(source=branches, into=branches, side=st.sampled_from([None, "ours", "theirs"]))
    def merge(self, source: str, into: str, side: str | None) -> None:
        if source not in self.lines or into not in self.lines:
            return
        theirs, line = self.lines[source].head, self.lines[into]
        if line.open is not None:
            self.refuses(errors.ParentNotFinished, lambda: self.repo.merge(source, into))
            return
        ours = line.head
        come = self.ancestors(ours)
        common = [made for id, made in self.ancestors(theirs).items() if id in come]
        base = max(common, key=lambda made: made.order, default=None)
        before, mine, yours = (made.state if made else {} for made in (base, ours, theirs))
        state, conflicts = dict(mine), []
        for key in KEYS:
            values = before.get(key), mine.get(key), yours.get(key)
            if values[2] in (values[0], values[1]):
                continue
            if values[1] != values[0] and side is None:
                conflicts.append(key)
            elif values[1] == values[0] or side == "theirs":
                _set(state, key, values[2])
        merged = self.repo.merge(source, into, prefer=side)
        assert [each.path for each in merged.conflicts] == by_bytes(conflicts)
        if conflicts:
            assert merged.commit is None
            self.compare_head(into)
            return
        if theirs is None or (state == mine and theirs.id in come):
            assert (merged.commit, merged.changes) == (None, 0)
            return
        assert merged.commit is not None
        made = Made(merged.commit.id, into, ours, state, merged=theirs.id)
        for key in KEYS:
            if state.get(key) != mine.get(key):
                made.wrote[key] = (made.id, state.get(key))
        assert merged.changes == len(made.wrote)
        self.commits[made.id] = made
        line.head = made
        self.done(made)
        self.compare_head(into)

    @rule(one=indexes, other=indexes)
    def diff(self, one: int, other: int) -> None:
        old, new = self.any_commit(one), self.any_commit(other)
        if old is None or new is None:
            return
        expected = []
        for key in by_bytes(KEYS):
            before, after = old.state.get(key), new.state.get(key)
            if before != after:
                expected.append((key, "added" if before is None else "removed" if after is None else "changed"))
        assert self.repo.diff(old.id, new.id) == expected

    # --- rewriting ---

    @rule(index=indexes)
    def squash(self, index: int) -> None:
        made = self.any_commit(index)
        if made is None:
            return
        children = [each for each in self.commits.values() if each.parent is made]
        if any(each.merged == made.id for each in self.commits.values()) or made.id in self.tags.values():
            self.refuses(errors.Error, lambda: self.repo.squash(made.id))
            return
        try:
            self.repo.squash(made.id)
        except (errors.CommitInUse, errors.ParentNotFinished):
            # Something else stands on it.
            stands = [name for name, line in self.lines.items() if line.head is made]
            is_fork = len(children) == 1 and children[0].branch != made.branch
            was_moved = len(children) == 1 and self.is_apart(made, children[0])
            two_merges = len(children) == 1 and None not in (made.merged, children[0].merged)
            assert stands or len(children) != 1 or is_fork or was_moved or two_merges or not children[0].order
            return
        assert not [name for name, line in self.lines.items() if line.head is made]
        (child,) = children
        child.wrote = {key: (child.id, data) for key, (_, data) in made.wrote.items()} | child.wrote
        child.parent = made.parent
        child.merged = child.merged or made.merged
        del self.commits[made.id]
        assert self.repo.commit(child.id).parent == (child.parent.id if child.parent else None)

    def is_apart(self, made: Made, child: Made) -> bool:
        """Whether a commit is in another log than the one before it."""
        return self.repo.commit(made.id).log != self.repo.commit(child.id).log

    @rule(index=indexes)
    def drop(self, index: int) -> None:
        every = list(self.commits.values())
        if not every:
            return
        made = every[index % len(every)]
        standing = [line for line in self.lines.values() if line.head is made]
        children = [each for each in every if each.parent is made]
        try:
            self.repo.drop(made.id)
        except errors.CommitInUse:
            assert children or made.id in self.tags.values() or standing
            return
        assert not children
        assert made.id not in self.tags.values()
        assert len(standing) <= 1
        for line in self.lines.values():
            if line.head is made:
                line.head = made.parent
            if line.open is made:
                line.open = None
        del self.commits[made.id]
        for branch in self.lines:
            self.compare_head(branch)

    @rule(step=st.booleans())
    def tidy(self, step: bool) -> None:  # noqa: FBT001 - drawn
        """What is done in the background, all of it or a step."""
        if step:
            rewrite(self.runner, self.repo.gateway)
        else:
            self.repo.run(tidying.tidy(self.repo.gateway.rooms))
        self.repo.run(self.repo.gateway.rooms.catalog.read(check_repos))

    # --- reading ---

    def compare(self, made: Made) -> None:
        """All of the state at a commit."""
        assert self.repo.contents(made.id) == made.state
        for key in KEYS:
            assert self.repo.get(made.id, key) == made.state.get(key)

    @rule(index=indexes)
    def read(self, index: int) -> None:
        every = list(self.commits.values())
        if every:
            self.compare(every[index % len(every)])

    @rule(branch=branches, index=indexes, key=keys)
    def read_version(self, branch: str, index: int, key: str) -> None:
        """An object as it was at a commit in the branch's past, or that some commit there wrote."""
        past = self.past(self.lines[branch].head) if branch in self.lines else []
        if past:
            made = past[index % len(past)]
            assert self.repo.get(branch, key, made.id) == made.state.get(key)
            others = [
                each for each in self.commits.values() if each not in past and each is not self.lines[branch].open
            ]
            if others:
                with pytest.raises(errors.NoSuchVersion):
                    self.repo.get(branch, key, others[index % len(others)].id)

    @rule(branch=branches, index=indexes)
    def read_at_time(self, branch: str, index: int) -> None:
        past = self.past(self.lines[branch].head) if branch in self.lines else []
        if past:
            time = past[index % len(past)].finished
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
            expected = next(made for made in past if made.finished <= time)
            assert self.repo.contents(f"{branch}@{moment:at-%Y%m%dT%H%M%S%fZ}") == expected.state

    @rule(
        index=indexes,
        at_head=st.booleans(),
        prefix=st.sampled_from(["", "a", "a/", "é", "x"]),
        delimiter=st.sampled_from(["", "/", "b"]),
        after=st.just("") | keys,
        limit=st.integers(1, 4),
    )
    def list_keys(self, index: int, at_head: bool, prefix: str, delimiter: str, after: str, limit: int) -> None:  # noqa: FBT001 - drawn
        made = self.any_commit(index)
        ref = made.id if made else MASTER
        if at_head:
            ref = sorted(self.lines)[index % len(self.lines)] if self.lines else ref
            made = self.lines[ref].head if ref in self.lines else made
        if made is None:
            return
        items: dict[str, bool] = {}
        for key in by_bytes(made.state):
            group = common_prefix(key, prefix, delimiter)
            if key.startswith(prefix) and key.encode() > after.encode() and (group is None or group != after):
                items[key if group is None else group] = group is None
        page = list(items)[:limit]
        assert self.repo.page(ref, prefix=prefix, delimiter=delimiter, after=after, limit=limit) == (
            [item for item in page if items[item]],
            [item for item in page if not items[item]],
            page[-1] if len(items) > limit else None,
        )

    @rule(branch=branches)
    def list_versions(self, branch: str) -> None:
        catalog = self.repo.gateway.rooms.catalog
        if branch not in self.lines or self.repo.run(catalog.read(rewriting.next_rewrite)) is not None:
            return  # what is squashed has its old ids until it has its new ones
        found = []
        for made in self.past(self.lines[branch].head):
            found += [(key, *wrote) for key, wrote in made.wrote.items()]
        expected = []
        for key in by_bytes(KEYS):
            versions = [(version_id, data) for name, version_id, data in found if name == key]
            expected += [
                (key, version_id, number == 0, data is None) for number, (version_id, data) in enumerate(versions)
            ]
        assert self.repo.versions(branch) == expected
        for key, version_id, data in found:
            if data is not None:
                assert self.repo.get(branch, key, version_id) is not None

    @rule(branch=branches)
    def list_commits(self, branch: str) -> None:
        if branch in self.lines:
            line = self.lines[branch]
            expected = [made.id for made in self.past(line.open or line.head)]
            assert self.repo.commits(branch) == expected

    # --- the end ---

    def teardown(self) -> None:
        """Everything is there and as it should be, before and after tidying up; nothing is left of a repository."""
        try:
            self.compare_all()
            self.repo.run(tidying.tidy(self.repo.gateway.rooms))
            self.repo.run(self.repo.gateway.rooms.catalog.read(check_repos))
            self.compare_all()
        finally:
            self.repo.delete_all()
            left = collect(self.runner, self.repo.gateway)
        assert left == 0

    def compare_all(self) -> None:
        """Every state, every branch and every tag."""
        for made in self.commits.values():
            self.compare(made)
        for branch in self.lines:
            self.compare_head(branch)
            self.list_versions(branch)
        for name, commit_id in self.tags.items():
            assert self.repo.contents(name) == self.commits[commit_id].state
        assert sorted(self.repo.commits(None)) == sorted(self.commits)


def _set(state: State, key: str, data: bytes | None) -> None:
    if data is None:
        state.pop(key, None)
    else:
        state[key] = data


def test_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random operations on repositories whose limits are small, with catalog and files checked behind each."""

    async def opened() -> Gateway:
        return open_gateway(tmp_path, inline_limit=8, durable=False)

    monkeypatch.setattr(changes, "STEP", 2)
    monkeypatch.setattr(rewriting, "AT_ONCE", 2)
    monkeypatch.setattr(tidying, "STEP", 2)
    monkeypatch.setattr(flattening, "MAX_DEPTH", 1)
    with asyncio.Runner() as runner:
        gateway = runner.run(opened())
        monkeypatch.setattr(Repositories, "make", staticmethod(lambda: Repository(runner, gateway)), raising=False)
        monkeypatch.setattr(Repositories, "runner", runner, raising=False)
        run_state_machine_as_test(
            Repositories,
            # Whatever is found is to be told before the test's time is over.
            settings=settings(
                max_examples=120,
                stateful_step_count=50,
                suppress_health_check=list(HealthCheck),
                phases=set(Phase) - {Phase.explain},
            ),
        )
        runner.run(gateway.close())
