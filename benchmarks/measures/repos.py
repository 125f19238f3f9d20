"""Repositories: commits beside plain PUTs, reads of the present and the past, branches, diffs, merges, a large commit.

Ours only: the peer has none. The measures are named ``repo: …``.
"""

from __future__ import annotations

import random
import secrets
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import apsw
import msgspec

from benchmarks import client, load
from benchmarks.arena import FILL_CONNECTIONS, Arena, prepare, put_all, say
from benchmarks.load import Load
from benchmarks.measures.scale import LIST_CONNECTIONS, PAGE, PAGES, PREFIXES, RATE, READS, key
from benchmarks.repository import MASTER, Repository, log_in
from benchmarks.s3 import AnswerError, Api
from benchmarks.servers import Tidegate
from benchmarks.values import REPOSITORY, Outcome, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.servers import Server

SMALL = 1_000  # objects in the repository that the large one is compared with
CHANGES = 1_000
BRANCHES, DIFFS = 50, 20  # of each in a round
FORKS = 4  # logs below one another that a read may have to look into: with more, a chain is flattened
COUNTED = 5_000  # commits whose metadata is weighed
_BODY = b"a few bytes"


class _Subject:
    """A filled repository, with what is read of it: its first commit, with all objects, and the second, with changes.

    ``fork`` is a branch that has changed as many keys of the first commit; ``deep`` one at the end of a chain of them.
    """

    def __init__(self, arena: Arena, server: Server, repository: Repository, keys: int) -> None:
        self.arena = arena
        self.server = server
        self.repository = repository
        self.keys = keys
        self.first, self.second = repository.head(f"{MASTER}.1"), repository.head(f"{MASTER}.2")
        tag = secrets.token_hex(4)
        self.fork, self.deep = f"fork-{tag}", f"deep-{tag}-{FORKS - 1}"
        repository.branch(self.fork, self.first)
        self.change(self.fork)
        head = self.first
        for depth in range(FORKS):
            name = f"deep-{tag}-{depth}"
            repository.branch(name, head)
            self.change(name)
            head = name

    def add(self, measure: str, sample: Sample) -> None:
        self.arena.notebook.add(f"{REPOSITORY}{measure}", self.server, sample, self.keys)

    def change(self, branch: str) -> None:
        """Overwrites keys that are spread over all of them, in one commit."""
        _commit(self.server, self.repository, branch, _changed(self.keys))


def _commit(server: Server, repository: Repository, branch: str, keys: Iterable[str]) -> None:
    repository.start(branch)
    put_all(server, repository.bucket(branch), keys, secrets.token_bytes(len(_BODY)))
    repository.finish(branch)


def _changed(keys: int) -> list[str]:
    order = random.Random(secrets.randbits(32))
    return [key(number, keys) for number in order.sample(range(keys), CHANGES)]


def _fill(server: Server, repository: Repository, keys: int) -> None:
    say(f"  {keys:,} objects in a commit on {server.name}")
    repository.create()
    _commit(server, repository, MASTER, (key(number, keys) for number in range(keys)))
    _commit(server, repository, MASTER, _changed(keys))


# --- commits beside PUTs ---------------------------------------------------------------------------------------------


def _commits(arena: Arena, server: Server, token: str) -> None:
    """One key each, new ones, to a branch and to a plain bucket, in turns."""
    tag, seconds = secrets.token_hex(4), arena.options.seconds
    with Repository(server, token, f"commits-{tag}") as repository, Api(server) as api:
        repository.create()
        repository.branch(MASTER)
        api.create_bucket(plain := f"plain-{tag}")
        signer = server.signer()
        number = 0
        for connections in (1, arena.options.connections):
            for _ in arena.rounds():
                for measure, bucket in (("PUT", plain), ("commit", repository.bucket())):
                    number += 1
                    paths = (f"/{bucket}/{number:04d}-{count:07d}" for count in range(int(RATE * seconds)))
                    targets = [signer.target("PUT", path) for path in paths]
                    sample = load.run(server, Load("PUT", targets, connections, _BODY, once=True), seconds)
                    clients = "1 client" if connections == 1 else f"{connections} clients"
                    arena.notebook.add(f"{REPOSITORY}{measure}, {clients}", server, sample)


# --- reads -----------------------------------------------------------------------------------------------------------


def _reads(subject: _Subject) -> dict[str, Load]:
    """The same keys each time: as they are, as they were at the first commit by either name for that, and through
    forks.
    """
    repository, signer, keys = subject.repository, subject.server.signer(), subject.keys
    order = random.Random(keys)
    chosen = [key(order.randrange(keys), keys) for _ in range(READS)]
    starts = [key(order.randrange(max(1, keys - PAGE)), keys) for _ in range(PAGES)]
    head, old = repository.bucket(), repository.bucket(commit=subject.first)
    fork, deep = repository.bucket(subject.fork), repository.bucket(subject.deep)
    version = {"versionId": subject.first}
    connections = subject.arena.options.connections

    def gets(bucket: str, query: dict[str, str]) -> Load:
        return Load("GET", [signer.target("GET", f"/{bucket}/{name}", query) for name in chosen], connections)

    def pages(bucket: str) -> Load:
        query = {"list-type": "2", "max-keys": str(PAGE)}
        targets = [signer.target("GET", f"/{bucket}", {**query, "start-after": start}) for start in starts]
        return Load("GET", targets, LIST_CONNECTIONS)

    return {
        "GET at HEAD": gets(head, {}),
        "GET by a commit's versionId": gets(head, version),
        "GET from a commit's bucket": gets(old, {}),
        "GET from a fork": gets(fork, {}),
        f"GET through {FORKS} forks": gets(deep, {}),
        "LIST at HEAD": pages(head),
        "LIST of a commit's bucket": pages(old),
        "LIST of a fork": pages(fork),
    }


def _check(server: Server, loads: dict[str, Load]) -> None:
    """Raises AnswerError where what is read is not what the measure's name says."""
    with Api(server) as api:
        for measure, each in loads.items():
            body = api.call("GET", each.targets[0]).body
            if len(body) != len(_BODY) if measure.startswith("GET") else body.count(b"<Contents>") != PAGE:
                raise AnswerError(f"{measure} on {server.name} answered {body[:1000].decode(errors='replace')}")


# --- branches, diffs, merges -----------------------------------------------------------------------------------------


def _one_by_one(subject: _Subject) -> None:
    repository, server, tag = subject.repository, subject.server, secrets.token_hex(4)
    numbers = iter(range(BRANCHES + 1))

    def branch() -> None:
        repository.branch(f"branch-{tag}-{next(numbers)}", MASTER)

    def merge() -> None:
        _expect(repository.merge(source, into))

    def diff(old: str, new: str) -> None:
        _expect(repository.diff(old, new, 2 * CHANGES), old, new)

    branch()  # opens the connection
    subject.add("branch", load.clock(server, branch, times=BRANCHES))
    for measure, new in (("diff of commits", subject.second), ("diff of branches", subject.fork)):
        subject.add(measure, load.clock(server, partial(diff, subject.first, new), times=DIFFS))
    source, into = f"source-{tag}", f"into-{tag}"
    repository.branch(source, subject.first)
    subject.change(source)
    repository.branch(into, subject.first)
    put_all(server, repository.bucket(into), ["beside"], _BODY)  # so that it is a merge of three states
    subject.add("merge", load.clock(server, merge))


def _expect(count: int, *where: str) -> None:
    if count != CHANGES:
        raise AnswerError(f"{count:,} of {CHANGES:,} changes: {where}")


# --- what a commit leaves in the catalog -----------------------------------------------------------------------------


def _weigh(server: Server) -> tuple[int, int]:
    """Bytes that the catalog's tables and indexes use, without content; and those of all pages that they have."""
    connection = apsw.Connection(str(server.data / "catalog.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        sql = "SELECT sum(pgsize - unused), sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name <> 'small_blobs'"
        ((used, pages),) = connection.execute(sql)
    finally:
        connection.close()
    return int(used), int(pages)


def _weights(subject: _Subject) -> None:
    """What a commit of one key adds to the catalog: a new key, and one that was there. Where keys were put in order
    their pages are full, and the first commits among them split those: that is in the second number.
    """
    server, repository, tag = subject.server, subject.repository, secrets.token_hex(4)
    order = random.Random(tag)
    new = [f"{order.randrange(PREFIXES):05d}/new-{tag}-{number:06d}" for number in range(COUNTED)]
    over = [key(order.randrange(subject.keys), subject.keys) for _ in range(COUNTED)]
    for measure, keys in (("a new key", new), ("a key once more", over)):
        before, pages = _weigh(server)
        sample = load.clock(server, partial(put_all, server, repository.bucket(), keys, _BODY))
        after, grown = _weigh(server)
        sample = msgspec.structs.replace(sample, requests=COUNTED, p50=0.0, p99=0.0)
        for what, count in (("metadata", after - before), ("pages", grown - pages)):
            subject.add(f"{what}, commit of {measure}", msgspec.structs.replace(sample, moved=count))


# --- one large commit ------------------------------------------------------------------------------------------------


def _large_commit(arena: Arena, server: Server, token: str) -> None:
    """Many objects in one commit that is open meanwhile: putting them, finishing it, and all of it."""
    count, tag = arena.options.commit, secrets.token_hex(4)
    signer = server.signer()
    with Repository(server, token, f"large-{tag}") as repository:
        repository.create()
        bucket = repository.bucket()
        targets = [signer.target("PUT", f"/{bucket}/{key(number, count)}") for number in range(count)]

        def put(targets: Sequence[str]) -> Outcome:
            outcome = client.drive(server.endpoint, "PUT", iter(targets), _BODY, FILL_CONNECTIONS)
            if outcome.errors or outcome.requests != len(targets):
                raise AnswerError(f"{outcome.errors} of {outcome.requests} PUTs failed: {outcome.problem}")
            return outcome

        parts: dict[str, Sample] = {}

        def part(name: str, action: Callable[[], object]) -> None:
            parts[name] = load.clock(server, action)

        began = time.perf_counter()
        part("start", repository.start)
        part("put", partial(put, targets))
        part("finish", repository.finish)
        whole = time.perf_counter() - began - len(parts) * load.SETTLE
    cpu = sum(each.cpu for each in parts.values())
    for measure, sample in (
        ("PUT into an open commit", msgspec.structs.replace(parts["put"], requests=count, p50=0.0, p99=0.0)),
        ("finish of a large commit", parts["finish"]),
        ("large commit, all of it", Sample(1, whole, cpu, parts["put"].rss, p50=whole, p99=whole)),
    ):
        arena.notebook.add(f"{REPOSITORY}{measure}", server, sample, count)


def run(arena: Arena) -> None:
    """A small repository takes part to show that size does not matter."""
    for server in arena.servers:
        if server.name != Tidegate.name:
            continue
        token = log_in(server)
        _commits(arena, server, token)
        with ExitStack() as stack:
            subjects = []
            for keys in (SMALL, max(arena.options.keys)):
                repository = stack.enter_context(Repository(server, token, f"repo-{keys}"))
                prepare(server, repository.name, partial(_fill, server, repository, keys))
                subjects.append(_Subject(arena, server, repository, keys))
            large = subjects[-1]
            loads = _reads(large)
            _check(server, loads)
            for number, _ in arena.rounds():  # who is first brings the pages of the file into memory
                measures = [*loads]
                for measure in measures[number:] + measures[:number]:
                    large.add(measure, load.run(server, loads[measure], arena.options.seconds))
            for _ in arena.rounds():
                for subject in subjects:
                    _one_by_one(subject)
            for subject in subjects:
                _weights(subject)
        _large_commit(arena, server, token)
