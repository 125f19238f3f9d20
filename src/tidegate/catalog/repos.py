"""Projects, repositories, branches and tags: which there are, and what a ref means.

A branch is a bucket with a log of the repository's. Moving a branch gives it another log; the one that it was on stays
with the repository, with its commits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tidegate import errors
from tidegate.catalog import commits, hooks
from tidegate.catalog.abc import Reader, Row, Transaction
from tidegate.catalog.commits import Point
from tidegate.model import NEWEST, Branch, BranchRef, Layer, Place, Project, Repo, Trigger
from tidegate.refs import MASTER, RefName, RepoName, bucket_name, is_commit_id, parse_ref

_encode = msgspec.msgpack.Encoder().encode
_decode_trigger = msgspec.msgpack.Decoder(Trigger).decode

_REPOS = """SELECT r.id, r.name, p.name, r.owner, r.created, r.description
            FROM repos r JOIN projects p ON p.id = r.project"""


class BranchRow(msgspec.Struct, frozen=True):
    """A branch as it is stored: ``log`` is its bucket's, ``open`` the place of the commit that is open."""

    bucket: int
    repo: int
    name: str
    creator: str
    open: int | None
    is_protected: bool
    trigger: Trigger | None
    log: int
    created: int


class State(msgspec.Struct, frozen=True):
    """What a ref means: the layers to read, and the branch that it is or is named after, if any.

    ``home`` is the name of that branch; for a tag or a commit, of the one that this was made on, which may be gone.
    ``point`` is the newest commit, None where there is none.
    """

    repo: Repo
    branch: BranchRow | None
    home: str
    layers: tuple[Layer, ...]
    point: Point | None
    is_snapshot: bool


# --- projects --------------------------------------------------------------------------------------------------------


def projects(tx: Reader, after: str = "") -> Iterator[Project]:
    """The projects after a name, by name."""
    sql = "SELECT id, name, description, created FROM projects WHERE name > ? ORDER BY name"
    return (Project(*row) for row in tx.rows(sql, (after,)))


def project(tx: Reader, name: str) -> Project:
    """Raises ``NoSuchProject``."""
    row = tx.one("SELECT id, name, description, created FROM projects WHERE name = ?", (name,))
    if row is None:
        raise errors.NoSuchProject(f'project "{name}" not found')
    return Project(*row)


def create_project(tx: Transaction, name: str, description: str, now: int) -> Project:
    """Raises ``ProjectExists``."""
    if tx.one("SELECT 1 FROM projects WHERE name = ?", (name,)) is not None:
        raise errors.ProjectExists(f'project "{name}" already exists')
    made = Project(tx.sequence(), name, description, now)
    tx.execute(
        "INSERT INTO projects (id, name, description, created) VALUES (?, ?, ?, ?)", msgspec.structs.astuple(made)
    )
    return made


def describe_project(tx: Transaction, found: Project, description: str) -> None:
    """Replaces what is said of it."""
    tx.execute("UPDATE projects SET description = ? WHERE id = ?", (description, found.id))


def delete_project(tx: Transaction, found: Project) -> None:
    """Raises ``ProjectNotEmpty``."""
    if tx.one("SELECT 1 FROM repos WHERE project = ? LIMIT 1", (found.id,)) is not None:
        raise errors.ProjectNotEmpty(f'project "{found.name}" still has repos')
    tx.execute("DELETE FROM projects WHERE id = ?", (found.id,))


# --- repositories ----------------------------------------------------------------------------------------------------


def _repo(row: Row) -> Repo:
    number, name, of, owner, created, description = row
    return Repo(number, RepoName(name, of), owner, created, description)


def repos(tx: Reader, before: int = NEWEST) -> Iterator[Repo]:
    """The repositories that were made before that of a number, the newest first, without what is in them."""
    return (_repo(row) for row in tx.rows(f"{_REPOS} WHERE r.id < ? ORDER BY r.id DESC", (before,)))


def repo(tx: Reader, name: RepoName) -> Repo:
    """A repository, without what is in it. Raises ``NoSuchRepo``."""
    row = tx.one(f"{_REPOS} WHERE r.name = ? AND p.name = ?", (name.name, name.project))
    if row is None:
        raise errors.NoSuchRepo(f"repo {name.project}/{name.name} not found")
    return _repo(row)


def repo_of(tx: Reader, number: int) -> Repo:
    """The repository of that number. Raises ``NoSuchRepo``."""
    row = tx.one(f"{_REPOS} WHERE r.id = ?", (number,))
    if row is None:
        raise errors.NoSuchRepo
    return _repo(row)


def filled(tx: Reader, found: Repo) -> Repo:
    """A repository with its branches and its size."""
    names = tuple(branch.name for branch in branches(tx, found.id))
    head = None
    if MASTER in names:
        head = resolve(tx, RefName(found.name)).point
    return msgspec.structs.replace(found, branches=names, size=0 if head is None else head.size)


def create_repo(tx: Transaction, name: RepoName, owner: str, description: str, now: int) -> Repo:
    """Makes a repository without branches. Raises ``RepoExists``, ``NoSuchProject``."""
    of = project(tx, name.project)
    if tx.one("SELECT 1 FROM repos WHERE project = ? AND name = ?", (of.id, name.name)) is not None:
        raise errors.RepoExists(f"repo {name.project}/{name.name} already exists")
    made = Repo(tx.sequence(), name, owner, now, description)
    tx.touch_names()
    tx.execute(
        "INSERT INTO repos (id, project, name, owner, created, description) VALUES (?, ?, ?, ?, ?, ?)",
        (made.id, of.id, name.name, owner, now, description),
    )
    return made


def describe_repo(tx: Transaction, found: Repo, description: str) -> None:
    """Replaces what is said of it."""
    tx.execute("UPDATE repos SET description = ? WHERE id = ?", (description, found.id))


def delete_repo(tx: Transaction, found: Repo) -> None:
    """Removes a repository with all that is in it, in time that grows with its branches: its logs are emptied later."""
    tx.touch_names()
    for branch in branches(tx, found.id):
        forget_branch(tx, branch)
    hooks.delete_all(tx, found.id)
    tx.execute("DELETE FROM tags WHERE repo = ?", (found.id,))
    tx.execute("UPDATE logs SET dropped = 1, objects = 0, bytes = 0, repo = NULL WHERE repo = ?", (found.id,))
    tx.execute("DELETE FROM repos WHERE id = ?", (found.id,))


# --- branches --------------------------------------------------------------------------------------------------------

_BRANCHES = """SELECT n.bucket, n.repo, n.name, n.creator, n.open, n.is_protected, n.trigger, b.log, b.created
               FROM branches n JOIN buckets b ON b.id = n.bucket"""


def _branch(row: Row) -> BranchRow:
    bucket, of, name, creator, is_open, is_protected, trigger, log, created = row
    decoded = None if trigger is None else _decode_trigger(trigger)
    return BranchRow(bucket, of, name, creator, is_open, bool(is_protected), decoded, log, created)


def branches(tx: Reader, repo_id: int) -> list[BranchRow]:
    """The branches of a repository, by name."""
    return list(branches_after(tx, repo_id, ""))


def branches_after(tx: Reader, repo_id: int, after: str) -> Iterator[BranchRow]:
    """Those after a name."""
    sql = f"{_BRANCHES} WHERE n.repo = ? AND n.name > ? ORDER BY n.name"
    return (_branch(row) for row in tx.rows(sql, (repo_id, after)))


def followers(tx: Reader, repo_id: int) -> list[BranchRow]:
    """The branches of a repository that have a trigger."""
    return [_branch(row) for row in tx.rows(f"{_BRANCHES} WHERE n.repo = ? AND n.trigger IS NOT NULL", (repo_id,))]


def find_branch(tx: Reader, repo_id: int, name: str) -> BranchRow | None:
    """The branch of that name."""
    row = tx.one(f"{_BRANCHES} WHERE n.repo = ? AND n.name = ?", (repo_id, name))
    return None if row is None else _branch(row)


def branch_of(tx: Reader, bucket: int) -> BranchRow:
    """The branch that a bucket is. Raises ``NoSuchBranch``."""
    row = tx.one(f"{_BRANCHES} WHERE n.bucket = ?", (bucket,))
    if row is None:
        raise errors.NoSuchBranch
    return _branch(row)


def branch_on(tx: Reader, log: int) -> BranchRow | None:
    """The branch that writes a log, if one still does."""
    row = tx.one(f"{_BRANCHES} WHERE b.log = ?", (log,))
    return None if row is None else _branch(row)


def branch(tx: Reader, of: Repo, name: str) -> BranchRow:
    """Raises ``NoSuchBranch``."""
    found = find_branch(tx, of.id, name)
    if found is None:
        raise errors.NoSuchBranch(f'branch "{name}" not found in repo {of.name.project}/{of.name.name}')
    return found


def add_branch(tx: Transaction, of: Repo, name: str, bucket: int, creator: str) -> None:
    """Makes a bucket, which exists, a branch. Its name has to be no tag's."""
    tx.touch_names()
    tx.execute("UPDATE buckets SET repo = ?, versioning = 'Enabled' WHERE id = ?", (of.id, bucket))
    tx.execute("UPDATE logs SET repo = ? WHERE id = (SELECT log FROM buckets WHERE id = ?)", (of.id, bucket))
    tx.execute("INSERT INTO branches (bucket, repo, name, creator) VALUES (?, ?, ?, ?)", (bucket, of.id, name, creator))


def check_no_tag(tx: Reader, of: Repo, name: str) -> None:
    """Raises ``RefExists`` for the name of a tag."""
    if tx.one("SELECT 1 FROM tags WHERE repo = ? AND name = ?", (of.id, name)) is not None:
        raise errors.RefExists(f'tag "{name}" already exists in repo {of.name.project}/{of.name.name}')


def forget_branch(tx: Transaction, found: BranchRow) -> None:
    """Removes a branch. Its log stays with the repository."""
    tx.touch_names()
    for sql in (
        "DELETE FROM branches WHERE bucket = ?",
        "DELETE FROM buckets WHERE id = ?",
        "DELETE FROM provenance WHERE branch = ?",
        "DELETE FROM provenance WHERE source = ?",
    ):
        tx.execute(sql, (found.bucket,))


def fork(tx: Transaction, repo_id: int, at: Point | None) -> int:
    """Makes a log that begins as another one was at a commit; an empty one without."""
    log = tx.sequence()
    parent, place = (None, None) if at is None else (at.log, at.seq)
    tx.execute(
        """INSERT INTO logs (id, repo, parent, fork, depth)
           VALUES (?1, ?2, ?3, ?4, coalesce((SELECT depth + 1 FROM logs WHERE id = ?3), 0))""",
        (log, repo_id, parent, place),
    )
    return log


def move(tx: Transaction, found: BranchRow, at: Point | None) -> int:
    """Puts a branch onto a commit, or onto nothing. Returns its log. What nobody can reach any more is dropped."""
    log = fork(tx, found.repo, at)
    put_onto(tx, found, log)
    return log


def put_onto(tx: Transaction, found: BranchRow, log: int) -> None:
    """Puts a branch onto a log of its repository. What nobody can reach any more is dropped."""
    tx.touch_names()
    tx.execute("UPDATE buckets SET log = ? WHERE id = ?", (log, found.bucket))
    drop_if_unused(tx, found.log)


def set_fork(tx: Transaction, log: int, at: Point | None) -> None:
    """Has a log begin at another commit, or at nothing. What is in it has to make sense there."""
    parent, place = (None, None) if at is None else (at.log, at.seq)
    tx.execute(
        """UPDATE logs SET parent = ?1, fork = ?2, depth = coalesce((SELECT p.depth + 1 FROM logs p WHERE p.id = ?1), 0)
           WHERE id = ?3""",
        (parent, place, log),
    )


def drop_log(tx: Transaction, log: int) -> None:
    """Gives up a log that no branch is on, with its commits: it is emptied later."""
    tx.touch_names()
    tx.execute("UPDATE logs SET dropped = 1, objects = 0, bytes = 0, repo = NULL WHERE id = ?", (log,))


def drop_abandoned(tx: Transaction, repo_id: int, before: int) -> None:
    """Gives up what was begun beside a repository's branches before a time, and never finished."""
    for (log,) in list(tx.rows(
        """SELECT c.log FROM commits c JOIN logs l ON l.id = c.log
           WHERE c.finished IS NULL AND c.started < ? AND l.repo = ?
           AND NOT EXISTS (SELECT 1 FROM buckets b WHERE b.log = c.log)""",
        (before, repo_id),
    )):  # fmt: skip
        drop_log(tx, log)


def drop_if_unused(tx: Transaction, log: int) -> None:
    """Drops a log without commits that no branch is on and no log forked from."""
    for sql in (
        "SELECT 1 FROM buckets WHERE log = ?",
        "SELECT 1 FROM logs WHERE parent = ? AND dropped = 0",
        "SELECT 1 FROM commits WHERE log = ?",
    ):
        if tx.one(f"{sql} LIMIT 1", (log,)) is not None:
            return
    drop_log(tx, log)


def set_open(tx: Transaction, bucket: int, seq: int | None) -> None:
    """Takes down which commit is open on a branch."""
    tx.touch_names()
    tx.execute("UPDATE branches SET open = ? WHERE bucket = ?", (seq, bucket))


def set_protected(tx: Transaction, bucket: int, is_protected: bool) -> None:  # noqa: FBT001
    """Whether a branch takes changes by merges only."""
    tx.touch_names()
    tx.execute("UPDATE branches SET is_protected = ? WHERE bucket = ?", (is_protected, bucket))


def set_trigger(tx: Transaction, bucket: int, trigger: Trigger | None) -> None:
    """When a branch follows another one."""
    tx.touch_names()
    tx.execute(
        "UPDATE branches SET trigger = ? WHERE bucket = ?", (None if trigger is None else _encode(trigger), bucket)
    )


def set_provenance(tx: Transaction, bucket: int, sources: Sequence[int]) -> None:
    """Which branches a branch is made of. Without any it is no output."""
    tx.touch_names()
    tx.execute("DELETE FROM provenance WHERE branch = ?", (bucket,))
    tx.execute_many("INSERT INTO provenance (branch, source) VALUES (?, ?)", [(bucket, source) for source in sources])


def provenance(tx: Reader, bucket: int) -> list[BranchRow]:
    """The branches that a branch is made of."""
    return [_branch(row) for row in tx.rows(
        f"{_BRANCHES} JOIN provenance v ON v.source = n.bucket WHERE v.branch = ? ORDER BY n.bucket", (bucket,)
    )]  # fmt: skip


def made_of(tx: Reader, bucket: int) -> list[BranchRow]:
    """The branches that are made of a branch."""
    return [_branch(row) for row in tx.rows(
        f"{_BRANCHES} JOIN provenance v ON v.branch = n.bucket WHERE v.source = ? ORDER BY n.bucket", (bucket,)
    )]  # fmt: skip


def shown(tx: Reader, of: Repo, found: BranchRow) -> Branch:
    """A branch with all that is known of it."""
    layers = readable(tx, found)
    head = commits.last(tx, layers)
    return Branch(
        found.bucket,
        of.name,
        found.name,
        None if head is None else commits.get(tx, head.seq, of.name),
        None if found.open is None else commits.get(tx, found.open, of.name),
        tuple(BranchRef(repo_of(tx, source.repo).name, source.name) for source in provenance(tx, found.bucket)),
        found.trigger,
        found.is_protected,
        found.created,
        found.creator,
    )


# --- tags ------------------------------------------------------------------------------------------------------------


def tags(tx: Reader, of: Repo, after: str = "") -> Iterator[tuple[str, int]]:
    """The names of a repository's tags after one, by name, and the places of their commits."""
    sql = "SELECT name, seq FROM tags WHERE repo = ? AND name > ? ORDER BY name"
    return ((name, seq) for name, seq in tx.rows(sql, (of.id, after)))


def tag(tx: Reader, of: Repo, name: str) -> int:
    """The place of a tag's commit. Raises ``NoSuchTag``."""
    row = tx.one("SELECT seq FROM tags WHERE repo = ? AND name = ?", (of.id, name))
    if row is None:
        raise errors.NoSuchTag(f'tag "{name}" not found in repo {of.name.project}/{of.name.name}')
    return int(row[0])


def add_tag(tx: Transaction, of: Repo, name: str, seq: int, now: int) -> None:
    """Names a commit. Raises ``RefExists`` also where a plain bucket is called as the tag's would be."""
    bucket = bucket_name(of.name, name)
    if tx.one("SELECT 1 FROM buckets WHERE name = ? AND repo IS NULL", (bucket,)) is not None:
        raise errors.RefExists(f'a bucket "{bucket}" already exists')
    if find_branch(tx, of.id, name) is not None or tx.one(
        "SELECT 1 FROM tags WHERE repo = ? AND name = ?", (of.id, name)
    ):
        raise errors.RefExists(f'"{name}" already exists in repo {of.name.project}/{of.name.name}')
    tx.touch_names()
    tx.execute("INSERT INTO tags (repo, name, seq, created) VALUES (?, ?, ?, ?)", (of.id, name, seq, now))


def delete_tag(tx: Transaction, of: Repo, name: str) -> None:
    """Raises ``NoSuchTag``."""
    tag(tx, of, name)
    tx.touch_names()
    tx.execute("DELETE FROM tags WHERE repo = ? AND name = ?", (of.id, name))


# --- what a ref means ------------------------------------------------------------------------------------------------


def readable(tx: Reader, found: BranchRow) -> tuple[Layer, ...]:
    """What readers of a branch see: not what is in a commit that is open."""
    return commits.chain(tx, found.log, NEWEST if found.open is None else found.open - 1)


def place(tx: Reader, of: Repo, found: BranchRow) -> Place:
    """What a branch's bucket has to know of it."""
    is_open = None
    if found.open is not None:
        row = tx.one("SELECT id FROM commits WHERE seq = ?", (found.open,))
        is_open = None if row is None else (found.open, row[0])
    is_output = tx.one("SELECT 1 FROM provenance WHERE branch = ? LIMIT 1", (found.bucket,)) is not None
    newest = commits.chain(tx, found.log)
    has_hooks = hooks.is_any(tx, of.id)
    return Place(
        of.id, of.name, found.name, is_open, newest, is_output, found.is_protected, has_hooks=has_hooks
    )  # fmt: skip


def resolve(tx: Reader, name: RefName) -> State:
    """What a ref means. Raises ``NoSuchRepo``, ``NoSuchBranch``, ``NoSuchCommit``, ``InvalidArgument``."""
    of, ref = repo(tx, name.repo), parse_ref(name.ref)
    branch_row, layers = _base(tx, of, ref.base)
    home = _made_on(tx, layers) if branch_row is None else branch_row.name
    if ref.commit:
        layers = _past(tx, of, _writable(tx, branch_row, layers), ref.commit)
    for kind, number in ref.steps:
        layers = _step(tx, of, layers, kind, number, name.ref)
    if ref.time is not None:
        at = commits.at_time(tx, layers, ref.time)
        if at is None:
            raise errors.NoSuchCommit(f"{name.uri}: there was nothing yet")
        layers = commits.within(layers, at.log, at.seq)
    is_snapshot = branch_row is None or name.ref != branch_row.name
    return State(of, branch_row, home, layers, commits.last(tx, layers), is_snapshot)


def _base(tx: Reader, of: Repo, base: str) -> tuple[BranchRow | None, tuple[Layer, ...]]:
    found = find_branch(tx, of.id, base)
    if found is not None:
        return found, readable(tx, found)
    row = tx.one("SELECT seq FROM tags WHERE repo = ? AND name = ?", (of.id, base))
    if row is not None:
        at = tx.one("SELECT log FROM commits WHERE seq = ?", row)
        if at is not None:
            return None, commits.chain(tx, at[0], row[0])
    if is_commit_id(base):
        return None, commits_of_repo(tx, of, base)
    raise errors.NoSuchBranch(f'branch "{base}" not found in repo {of.name.project}/{of.name.name}')


def _made_on(tx: Reader, layers: tuple[Layer, ...]) -> str:
    """The branch that the newest commit of a past state was made on."""
    row = tx.one("SELECT branch FROM commits WHERE seq = ?", (layers[0].until,))
    return MASTER if row is None else row[0]


def commits_of_repo(tx: Reader, of: Repo, commit_id: str) -> tuple[Layer, ...]:
    """The state at a commit, wherever in the repository it is. Raises ``NoSuchCommit``."""
    found = commits.point(tx, commit_id)
    if found is None or tx.one("SELECT 1 FROM logs WHERE id = ? AND repo = ?", (found.log, of.id)) is None:
        raise errors.NoSuchCommit(f"commit {commit_id} not found in repo {of.name.project}/{of.name.name}")
    return commits.chain(tx, found.log, found.seq)


def _writable(tx: Reader, found: BranchRow | None, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    return layers if found is None or found.open is None else commits.chain(tx, found.log)


def _past(tx: Reader, of: Repo, layers: tuple[Layer, ...], commit_id: str) -> tuple[Layer, ...]:
    """The state at a commit in the past of another state."""
    found = commits.point(tx, commit_id)
    past = () if found is None else commits.within(layers, found.log, found.seq)
    if not past:
        raise errors.NoSuchCommit(f"commit {commit_id} not found in repo {of.name.project}/{of.name.name}")
    return past


def _step(tx: Reader, of: Repo, layers: tuple[Layer, ...], kind: str, number: int, text: str) -> tuple[Layer, ...]:
    places = commits.places(tx, layers)
    if kind == "from root":
        every = list(places)
        at = every[-number] if 1 <= number <= len(every) else None
    else:
        at = next((each for count, each in enumerate(places) if count == number), None)
    if at is None:
        raise errors.NoSuchCommit(f'"{text}" goes beyond the first commit of repo {of.name.project}/{of.name.name}')
    return commits.within(layers, *at)
