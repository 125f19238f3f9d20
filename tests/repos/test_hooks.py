"""Hooks: who is told of commits and merges, in which order and how; who is asked before, and that nothing is written
past them.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from tests.repos.conftest import MakeRepository, new_name
from tests.repos.receiver import Answer, Call, Receiver, receiving
from tests.repos.repository import MASTER, Repository, saying
from tests.unit.store import check
from tidegate import errors
from tidegate.catalog import deliveries, hooks
from tidegate.gateway import Gateway, asking
from tidegate.gateway.body import body_of
from tidegate.gateway.objects import NewObject
from tidegate.gateway.repos import changes
from tidegate.jobs.hooks import PAUSES, Deliveries, forget
from tidegate.model import EVERYONE, Delivery, DeliveryState, Hook, HookEvent, Principal
from tidegate.refs import RepoName
from tidegate.testing import ServerProcess, serve

SECRET = "a secret of some length"
REFUSAL = Answer(422, b"the labels are not sorted\nline 7\n")
BEFORE = (HookEvent.PRE_COMMIT, HookEvent.PRE_MERGE)
AFTER = (HookEvent.POST_COMMIT, HookEvent.POST_MERGE)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server for hooks to call."""
    with receiving() as running:
        yield running


class Hooks:
    """The hooks of a repository, straight through the gateway, and their deliveries without any pause."""

    def __init__(self, repo: Repository, pauses: Sequence[float] = (0,) * 7) -> None:
        self.repo = repo
        self._jobs = Deliveries(repo.gateway.rooms, pauses)

    def add(self, name: str, url: str, *events: HookEvent, as_: Principal = EVERYONE, **more: Any) -> tuple[Hook, str]:
        """Makes a hook, with a secret unless told otherwise."""
        options = {"secret": SECRET, **more}
        create = self.repo.gateway.hooks.create
        return self.repo.run(create(as_, self.repo.name, name, url=url, events=events, **options))

    def trail(self, name: str) -> list[Delivery]:
        """What was sent and is to be sent, the oldest first; read in pages."""
        found: list[Delivery] = []
        after: str | None = ""
        while after is not None:
            page, after = self.repo.run(
                self.repo.gateway.hooks.deliveries(EVERYONE, self.repo.name, name, limit=2, after=after)
            )
            found += page
        return found[::-1]

    def states(self, name: str) -> list[tuple[DeliveryState, int, int | None]]:
        """State, attempts and status of each."""
        return [(each.state, each.attempts, each.status) for each in self.trail(name)]

    def deliver(self) -> None:
        """Makes every delivery that waits, over and over until it is over."""

        async def run() -> None:
            catalog = self.repo.gateway.rooms.catalog
            while turns := await catalog.read(deliveries.waiting):
                await asyncio.gather(*(self._jobs.deliver_next(hook) for hook, _, _ in turns))

        self.repo.run(run())


@pytest.fixture
def hooked(repo: Repository) -> Iterator[Hooks]:
    """The hooks of a repository. What is left of them is sent to nobody."""
    yield Hooks(repo)
    repo.delete_all()


def is_signed(call: Call, secret: str) -> bool:
    """Whether a call is from somebody who knows the secret, as the documentation says it."""
    mac = HMAC(secret.encode(), hashes.SHA256())
    mac.update(call.headers["x-tidegate-timestamp"].encode() + b"." + call.data)
    return call.headers["x-tidegate-signature"] == "sha256=" + mac.finalize().hex()


# --- told after ------------------------------------------------------------------------------------------------------


def test_what_a_hook_is_told(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """Which repository, branch and commit, in a body that is signed together with its time."""
    hooked.add("ci", receiver.url + "?key=1", HookEvent.POST_COMMIT)
    first = repo.put(MASTER, "a", b"1")
    second = repo.put(MASTER, "b", b"22", as_=saying("Second.", {"run": "7"}))
    hooked.deliver()
    assert len(receiver.calls) == 2
    call = receiver.calls[1]
    assert (call.path, call.headers["content-type"]) == ("/hook?key=1", "application/json")
    assert is_signed(call, SECRET)
    assert not is_signed(call, SECRET + "!")
    body = call.json
    assert abs(int(call.headers["x-tidegate-timestamp"]) - time.time()) < 3600
    assert (call.headers["x-tidegate-event"], call.headers["x-tidegate-delivery"]) == ("post-commit", body["id"])
    assert body["repo"] == {"project": "default", "name": repo.name.name}
    assert (body["event"], body["hook"], body["branch"], body["source"]) == ("post-commit", "ci", MASTER, None)
    commit = body["commit"]
    assert (commit["id"], commit["parent"], commit["merged"]) == (second, first, None)
    assert (commit["message"], commit["metadata"]) == ("Second.", {"run": "7"})
    assert (commit["files"], commit["size"], commit["changes"]) == (2, 3, 1)
    assert commit["started"]
    assert commit["finished"]
    assert [each.commit for each in hooked.trail("ci")] == [first, second]
    assert hooked.states("ci") == [(DeliveryState.DELIVERED, 1, 200)] * 2


def test_a_secret_is_made_where_none_is_given(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """It is told once, signs the calls, and is in the catalog in no readable form."""
    _, secret = hooked.add("ci", receiver.url, HookEvent.POST_COMMIT, secret=None)
    assert len(secret) >= 32
    repo.put(MASTER, "a", b"1")
    hooked.deliver()
    assert is_signed(receiver.calls[0], secret)
    row = repo.run(repo.gateway.rooms.catalog.read(lambda tx: tx.one("SELECT secret FROM hooks")))
    assert row is not None
    assert secret.encode() not in row[0]


def test_every_way_to_commit_is_told_once(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """One request is one call: also a delete of many keys, an open commit, a merge, and a revert."""
    repo.branch("dev", head=MASTER)
    hooked.add("all", receiver.url, *AFTER)
    hooked.add("merges", receiver.url + "/merges", HookEvent.POST_MERGE)
    repo.put(MASTER, "a", b"1", as_=saying("put"))
    repo.put(MASTER, "b", b"1", as_=saying("put"))
    repo.delete(MASTER, "a", "b", "nope")
    assert repo.delete(MASTER, "nope") == [""]
    open_id = repo.start(MASTER, message="open")
    repo.put(MASTER, "a", b"2", as_=saying("not a commit"))
    repo.put(MASTER, "b", b"2", as_=saying("not a commit"))
    repo.finish(open_id)
    repo.put("dev", "c", b"1", as_=saying("put on dev"))
    repo.merge("dev", MASTER)
    repo.run(repo.gateway.changes.revert(saying("revert"), repo.name, MASTER, open_id))
    hooked.deliver()
    calls = [call for call in receiver.calls if not call.path.endswith("/merges")]
    assert [(call.json["event"], call.json["commit"]["message"]) for call in calls] == [
        ("post-commit", "put"),
        ("post-commit", "put"),
        ("post-commit", ""),
        ("post-commit", "open"),
        ("post-commit", "put on dev"),
        ("post-merge", "Merge dev into master"),
        ("post-commit", "revert"),
    ]
    merge = next(call.json for call in receiver.calls if call.path.endswith("/merges"))
    assert merge["source"] == merge["commit"]["merged"] == repo.head("dev")
    assert calls[3].json["commit"]["changes"] == 2


def test_a_large_merge_is_told(
    repo: Repository, hooked: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes several transactions is asked about once before, and told of once after."""
    monkeypatch.setattr(changes, "STEP", 2)
    repo.branch("dev", head=MASTER)
    for key in "abcde":
        repo.put("dev", key, b"1")
    hooked.add("all", receiver.url, *BEFORE, *AFTER)
    receiver.answers.append(REFUSAL)
    with pytest.raises(errors.HookRefused, match="the labels are not sorted"):
        repo.merge("dev", MASTER)
    assert repo.contents(MASTER) == {}
    assert repo.merge("dev", MASTER).changes == 5
    hooked.deliver()
    assert [event for event, _ in receiver.told] == ["pre-merge", "pre-merge", "post-merge"]
    assert receiver.calls[0].json["source"] == repo.head("dev")


def test_only_the_branches_that_match(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """A pattern is of the whole name, letter by letter."""
    hooked.add("releases", receiver.url, HookEvent.POST_COMMIT, branch="release-[0-9]*")
    for branch in ("release-1", "release-x", "Release-1", "a-release-1"):
        repo.branch(branch)
        repo.put(branch, "a", b"1", as_=saying(branch))
    hooked.deliver()
    assert receiver.told == [("post-commit", "release-1")]


def test_order_is_kept_and_failures_are_tried_again(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """What comes later waits until what came before was taken, or was given up; another hook does not."""
    hooked.add("slow", receiver.url, HookEvent.POST_COMMIT)
    hooked.add("other", receiver.url + "/other", HookEvent.POST_COMMIT)
    receiver.answers += [Answer(500), Answer(200)]  # who comes first gets the first
    for message in ("1", "2", "3"):
        repo.put(MASTER, "a", b"1", as_=saying(message))
    hooked.deliver()
    for path in ("/hook", "/hook/other"):
        told = [call.json["commit"]["message"] for call in receiver.calls if call.path == path]
        assert [message for number, message in enumerate(told) if message not in told[:number]] == ["1", "2", "3"]
        assert told == sorted(told)
    assert len(receiver.calls) == 7
    same = [call for call in receiver.calls if call.json["commit"]["message"] == "1"]
    assert len({(call.data, call.headers["x-tidegate-delivery"]) for call in same}) == 2  # one of each hook
    assert sorted(attempts for name in ("slow", "other") for _, attempts, _ in hooked.states(name)) == [
        1,
        1,
        1,
        1,
        1,
        2,
    ]


def test_what_fails_too_often_is_given_up(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """Eight tries within about an hour; then the next one has its turn. It can be sent again by hand."""
    assert len(PAUSES) == 7
    assert 50 * 60 < sum(PAUSES) <= 60 * 60
    hooked.add("ci", receiver.url, HookEvent.POST_COMMIT)
    receiver.answers += [Answer(503, b"busy " * 1000)] * 8
    repo.put(MASTER, "a", b"1", as_=saying("1"))
    repo.put(MASTER, "a", b"1", as_=saying("2"))
    hooked.deliver()
    assert receiver.told == [("post-commit", "1")] * 8 + [("post-commit", "2")]
    assert hooked.states("ci") == [(DeliveryState.FAILED, 8, 503), (DeliveryState.DELIVERED, 1, 200)]
    failed = hooked.trail("ci")[0]
    assert failed.answer.startswith("busy busy")
    assert len(failed.answer) <= 1024
    assert failed.due is None
    again = repo.run(repo.gateway.hooks.retry(EVERYONE, repo.name, "ci", failed.id))
    assert (again.state, again.attempts) == (DeliveryState.WAITING, 0)
    hooked.deliver()
    assert receiver.told[-1] == ("post-commit", "1")
    assert hooked.states("ci")[0] == (DeliveryState.DELIVERED, 1, 200)


def test_a_pause_lets_it_wait(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """After a failure the next try has a time, until which nothing is sent to the hook."""
    del hooked
    patient = Hooks(repo, (3600,) * 7)
    patient.add("ci", receiver.url, HookEvent.POST_COMMIT)
    receiver.otherwise = Answer(500)
    before = time.time()
    repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "b", b"1")
    (turn,) = repo.run(repo.gateway.rooms.catalog.read(deliveries.waiting))
    step = Deliveries(repo.gateway.rooms, (3600,) * 7).deliver_next
    assert [repo.run(step(turn[0])) for _ in range(3)] == [False, False, False]
    assert len(receiver.calls) == 1
    first, second = patient.trail("ci")
    assert first.due is not None
    assert before + 3600 * 0.7 < first.due / 1_000_000 < time.time() + 3600 * 1.3
    assert (first.attempts, second.attempts) == (1, 0)
    repo.run(repo.gateway.hooks.retry(EVERYONE, repo.name, "ci", first.id))  # by hand, at once
    assert repo.run(step(turn[0])) is False
    assert (len(receiver.calls), patient.trail("ci")[0].attempts) == (2, 2)


def test_nobody_who_is_gone_is_a_failure(repo: Repository, hooked: Hooks) -> None:
    """A receiver that is not there is in the trail with what kept it from answering."""
    with receiving() as gone:
        url = gone.url
    hooked.add("ci", url, HookEvent.POST_COMMIT)
    repo.put(MASTER, "a", b"1")
    hooked.deliver()
    (delivery,) = hooked.trail("ci")
    assert (delivery.state, delivery.status, delivery.answer) == (
        DeliveryState.FAILED,
        None,
        "it refused the connection",
    )


def test_redirects_are_not_followed(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """A hook that sends us elsewhere has failed, or refused; nobody is called there."""
    with receiving() as elsewhere:
        for number, status in enumerate((301, 302, 303, 307, 308)):
            hooked.add(f"after-{number}", receiver.url, HookEvent.POST_COMMIT)
            hooked.add(f"before-{number}", receiver.url, HookEvent.PRE_COMMIT, branch="guarded")
            receiver.otherwise = Answer(status, headers={"Location": elsewhere.url})
            repo.put(MASTER, "a", b"1")
            hooked.deliver()
            assert hooked.states(f"after-{number}") == [(DeliveryState.FAILED, 8, status)]
            repo.run(repo.gateway.hooks.delete(EVERYONE, repo.name, f"after-{number}"))
        repo.branch("guarded")
        with pytest.raises(errors.HookRefused, match="HTTP status 308"):
            repo.put("guarded", "a", b"1")
        assert elsewhere.calls == []


def test_a_commit_that_did_not_happen_is_not_told(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """The outbox is written with the commit: what the transaction refuses leaves nothing there."""
    hooked.add("ci", receiver.url, HookEvent.POST_COMMIT)
    with pytest.raises(errors.PreconditionFailed):
        repo.put(MASTER, "a", b"1", as_=saying(if_head="0" * 32))
    assert repo.run(repo.gateway.rooms.catalog.read(deliveries.waiting)) == []


def test_the_trail_is_bounded(
    repo: Repository, hooked: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest that are over are remembered, and of those that wait only so many do."""
    monkeypatch.setattr(deliveries, "KEPT", 3)
    monkeypatch.setattr(deliveries, "MAX_WAITING", 4)
    monkeypatch.setattr("tidegate.jobs.hooks.STEP", 2)
    hooked.add("ci", receiver.url, HookEvent.POST_COMMIT)
    rooms = repo.gateway.rooms
    made = [repo.put(MASTER, "a", b"1") for _ in range(6)]
    repo.run(forget(rooms))
    assert [each.state for each in hooked.trail("ci")] == [DeliveryState.FAILED] * 2 + [DeliveryState.WAITING] * 4
    assert hooked.trail("ci")[0].answer == deliveries.GIVEN_UP
    hooked.deliver()
    repo.run(forget(rooms))
    assert [each.commit for each in hooked.trail("ci")] == made[-3:]
    assert len(receiver.calls) == 4


# --- asked before ----------------------------------------------------------------------------------------------------


def test_a_refused_write_writes_nothing(repo: Repository, hooked: Hooks, receiver: Receiver, gateway: Gateway) -> None:
    """The refusal names the hook and the first line of its answer; neither the object nor its bytes stay."""
    repo.put(MASTER, "a", b"1", as_=saying("before"))
    files = set(gateway.rooms.blobs.names())
    hooked.add("sorted", receiver.url, HookEvent.PRE_COMMIT)
    receiver.otherwise = REFUSAL
    for act in (
        lambda: repo.put(MASTER, "a", b"2" * 100, as_=saying("Mine.", {"x": "1"})),
        lambda: repo.delete(MASTER, "a"),
        lambda: repo.run(gateway.objects.set_tags(EVERYONE, repo.ref(MASTER), "a", "", {"x": "1"})),
    ):
        with pytest.raises(errors.HookRefused) as caught:
            act()
        assert caught.value.message == 'the pre-commit hook "sorted" refused: the labels are not sorted'
        assert (caught.value.status, caught.value.code) == (403, "AccessDenied")
    assert repo.contents(MASTER) == {"a": b"1"}
    assert len(repo.commits(MASTER)) == 1
    assert set(gateway.rooms.blobs.names()) == files
    asked = receiver.calls[0].json
    assert is_signed(receiver.calls[0], SECRET)
    assert (asked["event"], asked["branch"], asked["path"], asked["action"]) == (
        "pre-commit", MASTER, "a", "s3:PutObject"
    )  # fmt: skip
    assert (asked["commit"]["id"], asked["commit"]["parent"]) == (None, repo.head(MASTER))
    assert (asked["commit"]["message"], asked["commit"]["metadata"]) == ("Mine.", {"x": "1"})
    assert hooked.states("sorted") == [(DeliveryState.REFUSED, 1, 422)] * 3
    assert hooked.trail("sorted")[0].answer == "the labels are not sorted\nline 7"
    receiver.otherwise = Answer(204)
    repo.put(MASTER, "a", b"2" * 100)
    assert repo.contents(MASTER) == {"a": b"2" * 100}
    assert hooked.states("sorted")[-1] == (DeliveryState.DELIVERED, 1, 204)
    with pytest.raises(errors.InvalidRequest, match="is not asked again"):
        repo.run(gateway.hooks.retry(EVERYONE, repo.name, "sorted", hooked.trail("sorted")[0].id))


def test_nobody_is_asked_about_what_is_no_commit(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """What fails by itself, deletes nothing, reads, or only begins something, calls no hook."""
    repo.put(MASTER, "a", b"1")
    hooked.add("ci", receiver.url, *BEFORE)
    with pytest.raises(errors.PreconditionFailed):
        repo.put(MASTER, "a", b"2", as_=saying(if_head="0" * 32))
    with pytest.raises(errors.AccessDenied):
        repo.put(MASTER, "a", b"2", as_=Principal("nobody", "nobody"))
    repo.delete(MASTER, "nope")
    repo.get(MASTER, "a")
    repo.branch("dev", head=MASTER)
    repo.merge("dev", MASTER)
    repo.merge("dev", MASTER, dry_run=True)
    repo.start("dev")
    repo.put("dev", "b", b"1")
    assert receiver.calls == []


def test_a_refused_finish_leaves_the_commit_open(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """The branch shows what was before; what is wrong can be set right, and the commit finished then."""
    hooked.add("ci", receiver.url, HookEvent.PRE_COMMIT)
    receiver.answers.append(REFUSAL)
    open_id = repo.start(MASTER, message="Several.")
    repo.put(MASTER, "a", b"1")
    repo.put(MASTER, "b", b"1")
    with pytest.raises(errors.HookRefused):
        repo.finish(MASTER)
    assert (repo.contents(MASTER), repo.head(MASTER)) == ({}, None)
    assert repo.commit(open_id).finished is None
    asked = receiver.calls[0].json["commit"]
    assert (asked["id"], asked["message"], asked["files"], asked["finished"]) == (open_id, "Several.", 2, None)
    repo.delete(MASTER, "b")
    repo.finish(MASTER)
    assert repo.contents(MASTER) == {"a": b"1"}
    assert hooked.states("ci") == [(DeliveryState.REFUSED, 1, 422), (DeliveryState.DELIVERED, 1, 200)]


def test_what_changes_while_it_is_looked_at_is_asked_about_again(
    repo: Repository, hooked: Hooks, receiver: Receiver
) -> None:
    """Nobody slips something into an open commit behind the back of a hook that looks at it."""
    hooked.add("ci", receiver.url, HookEvent.PRE_COMMIT)
    repo.start(MASTER)
    repo.put(MASTER, "a", b"1")
    put = partial(repo.gateway.objects.put, EVERYONE, repo.ref(MASTER))

    def slip_in(key: str, running: asyncio.AbstractEventLoop) -> None:
        asyncio.run_coroutine_threadsafe(put(key, body_of(b"x"), NewObject()), running).result()

    async def finish() -> None:
        running = asyncio.get_running_loop()
        receiver.answers.append(Answer(before=lambda: slip_in("b", running)))
        await repo.gateway.commits.finish(EVERYONE, repo.name, MASTER)

    repo.run(finish())
    assert [call.json["commit"]["files"] for call in receiver.calls] == [1, 2]
    repo.start(MASTER)

    async def never() -> None:
        running = asyncio.get_running_loop()
        receiver.otherwise = Answer(before=lambda: slip_in(f"c{len(receiver.calls)}", running))
        await repo.gateway.commits.finish(EVERYONE, repo.name, MASTER)

    with pytest.raises(errors.ConditionalRequestConflict):
        repo.run(never())
    assert len(receiver.calls) == 2 + asking.MAX_ROUNDS


def test_a_refused_merge_merges_nothing(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """A pre-merge hook is asked about merges, with the commit that is merged, and about nothing else."""
    repo.branch("dev", head=MASTER)
    source = repo.put("dev", "a", b"1")
    repo.put("dev", "b", b"1")
    hooked.add("review", receiver.url, HookEvent.PRE_MERGE, branch=MASTER)
    receiver.answers.append(REFUSAL)
    with pytest.raises(errors.HookRefused, match='the pre-merge hook "review" refused'):
        repo.merge(source, MASTER)
    assert (repo.contents(MASTER), repo.head(MASTER)) == ({}, None)
    asked = receiver.calls[0].json
    assert (asked["source"], asked["commit"]["origin"], asked["branch"]) == (source, "MERGE", MASTER)
    repo.put(MASTER, "c", b"1")
    assert len(receiver.calls) == 1
    assert repo.merge(source, MASTER).changes == 1
    assert repo.contents(MASTER) == {"a": b"1", "c": b"1"}


def test_a_refused_import_leaves_no_commit(
    repo: Repository, hooked: Hooks, receiver: Receiver, make_repository: MakeRepository
) -> None:
    """What was brought in goes with its commit, and the branch can be written."""
    other = make_repository()
    other.put(MASTER, "x", b"1")
    hooked.add("ci", receiver.url, HookEvent.PRE_COMMIT)
    receiver.answers.append(REFUSAL)
    uri = f"ais://{MASTER}.{other.name.name}"
    with pytest.raises(errors.HookRefused):
        repo.run(repo.gateway.imports.bring_in(EVERYONE, repo.name, MASTER, uri))
    assert repo.contents(MASTER) == {}
    assert repo.run(repo.gateway.branches.get(EVERYONE, repo.name, MASTER)).open is None
    repo.run(repo.gateway.imports.bring_in(EVERYONE, repo.name, MASTER, uri))
    assert repo.contents(MASTER) == {"x": b"1"}


def test_all_have_to_agree(repo: Repository, hooked: Hooks, receiver: Receiver) -> None:
    """Of several hooks each is asked once, and one is enough to refuse."""
    with receiving() as other:
        hooked.add("a", receiver.url, HookEvent.PRE_COMMIT)
        hooked.add("b", other.url, HookEvent.PRE_COMMIT)
        other.answers.append(Answer(400))
        with pytest.raises(errors.HookRefused, match='"b" refused: HTTP status 400'):
            repo.put(MASTER, "x", b"1")
        repo.put(MASTER, "x", b"1")
        assert (len(receiver.calls), len(other.calls)) == (2, 2)


def test_a_hook_that_does_not_answer_lets_nothing_through(
    repo: Repository, hooked: Hooks, receiver: Receiver, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that is gone nor one that is too slow: it is told so, and is worth another try (503)."""
    files = set(gateway.rooms.blobs.names())
    with receiving() as gone:
        url = gone.url
    hooked.add("gone", url, HookEvent.PRE_COMMIT, branch="one")
    hooked.add("slow", receiver.url, HookEvent.PRE_COMMIT, branch="other")
    repo.branch("one")
    repo.branch("other")
    with pytest.raises(errors.HookUnavailable, match='"gone" does not answer: it refused the connection') as caught:
        repo.put("one", "x", b"1" * 100)
    assert caught.value.status == 503
    monkeypatch.setattr(asking, "ASK_SECONDS", 0.2)
    released = threading.Event()

    def wait() -> None:
        released.wait(20)

    receiver.otherwise = Answer(before=wait)
    with pytest.raises(errors.HookUnavailable, match=r"no answer within 0\.2 s"):
        repo.put("other", "x", b"1" * 100)
    released.set()
    assert repo.contents("one") == repo.contents("other") == {}
    assert set(gateway.rooms.blobs.names()) == files
    assert [each.state for name in ("gone", "slow") for each in hooked.trail(name)] == [DeliveryState.FAILED] * 2


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "fd00:ec2::254",
        "0.0.0.1",
        "224.0.0.1",
    ],
)
def test_nobody_is_called_where_machines_keep_their_credentials(
    repo: Repository, hooked: Hooks, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the address, and not by a name that leads there, whatever else it leads to."""
    written = f"[{address}]" if ":" in address else address
    hooked.add("direct", f"http://{written}/latest/meta-data/", HookEvent.PRE_COMMIT, branch="direct")
    hooked.add("named", "http://rebound.example/", HookEvent.PRE_COMMIT, branch="named")
    resolve = socket.getaddrinfo

    def rebound(host: str, port: int, **more: Any) -> Any:
        return resolve(address if host == "rebound.example" else host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    connected: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _self, to: connected.append(to))
    for branch in ("direct", "named"):
        repo.branch(branch)
        with pytest.raises(errors.HookUnavailable, match="may not be called"):
            repo.put(branch, "a", b"1")
    assert connected == []


# --- making and removing them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "ftp://host/", "file:///etc/passwd", "http://", "http:///x", "//host/", "http://user@host/", "http://a:b@host/",
        "http://host:0/", "http://host:99999/", "http://host/ x", "http://host/\r\nX: y", "http://höst/", "http://host/#x",
        "http://[::1/", "http://host/" + "x" * 2000, "gopher://127.0.0.1:6379/_",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(hooked: Hooks, url: str) -> None:
    """Only http and https, no credentials, and nothing that could be more than one line of a request."""
    with pytest.raises(errors.InvalidArgument):
        hooked.add("ci", url, HookEvent.POST_COMMIT)


def test_names_secrets_and_numbers_have_limits(hooked: Hooks, receiver: Receiver) -> None:
    """A name is there once in a repository, a hook has an event, a secret its length, a repository so many hooks."""
    hooked.add("ci", receiver.url, HookEvent.POST_COMMIT)
    with pytest.raises(errors.HookExists):
        hooked.add("ci", receiver.url, HookEvent.POST_COMMIT)
    with pytest.raises(errors.InvalidArgument):
        hooked.add("none", receiver.url)
    for secret in ("", "short", "x" * 1000):
        with pytest.raises(errors.InvalidArgument):
            hooked.add("other", receiver.url, HookEvent.POST_COMMIT, secret=secret)
    with pytest.raises(errors.InvalidBucketName):
        hooked.add("a/b", receiver.url, HookEvent.POST_COMMIT)
    for number in range(1, hooks.MAX_HOOKS):
        hooked.add(f"ci-{number}", receiver.url, HookEvent.POST_COMMIT)
    with pytest.raises(errors.InvalidRequest, match="at most"):
        hooked.add("more", receiver.url, HookEvent.POST_COMMIT)


def test_only_owners_see_and_make_hooks(runner: asyncio.Runner, gateway: Gateway, receiver: Receiver) -> None:
    """Who may not change a repository sees neither its hooks nor what they were sent."""
    alice, bob = Principal("alice", "alice"), Principal("bob", "bob")
    name = RepoName(new_name())
    runner.run(gateway.repos.create(alice, name))
    act = gateway.hooks
    create = partial(act.create, repo=name, name="ci", url=receiver.url, events=AFTER)
    with pytest.raises(errors.AccessDenied):
        runner.run(create(bob))
    hook, _ = runner.run(create(alice))
    assert (hook.creator, hook.events) == ("alice", AFTER)
    calls: list[Callable[[Principal], Any]] = [
        lambda who: act.list(who, name),
        lambda who: act.get(who, name, "ci"),
        lambda who: act.deliveries(who, name, "ci", limit=1),
        lambda who: act.retry(who, name, "ci", "x"),
        lambda who: act.delete(who, name, "ci"),
    ]
    for call in calls:
        with pytest.raises(errors.AccessDenied):
            runner.run(call(bob))
    assert runner.run(act.list(alice, name)) == [hook]
    with pytest.raises(errors.NoSuchDelivery):
        runner.run(act.retry(alice, name, "ci", "x"))
    runner.run(act.delete(alice, name, "ci"))
    with pytest.raises(errors.NoSuchHook):
        runner.run(act.get(alice, name, "ci"))
    runner.run(gateway.repos.delete(alice, name))


def test_hooks_go_with_their_repository(
    repo: Repository, hooked: Hooks, receiver: Receiver, make_repository: MakeRepository
) -> None:
    """Nothing of them is left, and what they were not told yet is told to nobody."""
    hooked.add("ci", receiver.url, *AFTER)
    other = make_repository()
    for _ in range(3):
        other.put(MASTER, "a", b"1")
        repo.put(MASTER, "a", b"1")
    Hooks(other).add("ci", receiver.url, *AFTER)
    other.put(MASTER, "a", b"1", as_=saying("other"))
    repo.run(repo.gateway.hooks.delete(EVERYONE, repo.name, "ci"))
    hooked.deliver()
    assert receiver.told == [("post-commit", "other")]
    other.delete_all()
    catalog, rooms = repo.gateway.rooms.catalog, repo.gateway.rooms
    repo.run(forget(rooms))
    counts = "SELECT (SELECT count(*) FROM hooks), (SELECT count(*) FROM deliveries)"
    assert repo.run(catalog.read(lambda tx: tx.one(counts))) == (0, 0)
    repo.run(catalog.read(check))


def test_what_waits_beside_many(repo: Repository, hooked: Hooks, make_repository: MakeRepository) -> None:
    """Whose turn it is, is found among the deliveries of many hooks, those that are over and those that wait."""
    del hooked
    made = {}
    dice = random.Random(1)
    for number in range(8):
        some = make_repository()
        Hooks(some).add("ci", "http://127.0.0.1:1/", HookEvent.POST_COMMIT)
        commits = [some.put(MASTER, "a", b"%d" % number) for _ in range(dice.randint(0, 4))]
        row = repo.run(repo.gateway.rooms.catalog.read(lambda tx: tx.one("SELECT max(id) FROM hooks")))
        assert row is not None
        if commits:
            made[row[0]] = commits[0]
    turns = repo.run(repo.gateway.rooms.catalog.read(deliveries.waiting))
    orders = {hook: repo.run(repo.gateway.rooms.catalog.read(partial(_order, hook=hook))) for hook, _, _ in turns}
    assert {hook: commit for hook, commit in orders.items() if hook in made} == made
    for hook in made:
        repo.run(repo.gateway.rooms.catalog.write(partial(hooks.delete, hook_id=hook)))


def _order(tx: Any, hook: int) -> str | None:
    order = deliveries.next_order(tx, hook, 2**62)
    return None if order is None else deliveries.page(tx, hook, "", 100)[-1].commit


# --- a server --------------------------------------------------------------------------------------------------------


class Remote:
    """A repository of a running server, over ``/v2``."""

    def __init__(self, server: ServerProcess) -> None:
        self.name = new_name()
        self.url = f"{server.url}/v2/projects/default/repos/{self.name}"
        self._make = f"{server.url}/v2/projects/default/repos"

    def make(self) -> Remote:
        assert requests.post(self._make, json={"name": self.name}, timeout=30).status_code == 201
        assert requests.put(f"{self.url}/branches/master", json={}, timeout=30).status_code == 200
        return self

    def hook(self, name: str, url: str, *events: str, **more: str) -> Any:
        answer = requests.post(
            f"{self.url}/hooks", json={"name": name, "url": url, "events": events, **more}, timeout=30
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    def deliveries(self, name: str) -> Any:
        return requests.get(f"{self.url}/hooks/{name}/deliveries", timeout=30).json()["items"]


def test_a_put_of_an_s3_client_is_refused(s3: Any, server: ServerProcess, receiver: Receiver) -> None:
    """It gets 403 with the hook's words, and nothing is there; what is agreed to is there at once, and told of."""
    repo = Remote(server).make()
    made = repo.hook("ci", receiver.url, "pre-commit", "post-commit")
    bucket = f"master.{repo.name}"
    receiver.answers.append(REFUSAL)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 100_000)
    told = caught.value.response
    assert (told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"]) == (403, "AccessDenied")
    assert told["Error"]["Message"] == 'the pre-commit hook "ci" refused: the labels are not sorted'
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)
    commit = s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 100_000)["VersionId"]
    calls = receiver.wait_for(3)
    assert [call.headers["x-tidegate-event"] for call in calls] == ["pre-commit", "pre-commit", "post-commit"]
    assert all(is_signed(call, made["secret"]) for call in calls)
    assert calls[2].json["commit"]["id"] == commit
    upload = s3.create_multipart_upload(Bucket=bucket, Key="b")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="b", UploadId=upload, PartNumber=1, Body=b"x")
    receiver.answers.append(REFUSAL)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    with pytest.raises(ClientError, match="not sorted"):
        s3.complete_multipart_upload(Bucket=bucket, Key="b", UploadId=upload, MultipartUpload=parts)
    s3.complete_multipart_upload(Bucket=bucket, Key="b", UploadId=upload, MultipartUpload=parts)
    receiver.wait_for(6)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}, {"Key": "c"}]})
    assert receiver.wait_for(8)[6].json["action"] == "s3:DeleteObject"


def test_over_the_api(server: ServerProcess, receiver: Receiver) -> None:
    """Made, shown without its secret, listed with what it was sent, and removed; errors say what is wrong."""
    repo = Remote(server).make()
    made = repo.hook("ci", receiver.url, "post-commit", "pre-merge", branch="main*", secret=SECRET)
    assert made["secret"] == SECRET
    shown = requests.get(f"{repo.url}/hooks/ci", timeout=30).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert shown["events"] == ["post-commit", "pre-merge"]
    assert requests.get(f"{repo.url}/hooks", timeout=30).json() == {"items": [shown], "next": None}
    requests.put(f"{repo.url}/branches/main", json={}, timeout=30)
    for number in range(3):
        assert requests.put(f"{repo.url}/files/main/a", data=b"%d" % number, timeout=30).status_code == 200
    receiver.wait_for(3)
    seen = requests.get(f"{repo.url}/hooks/ci/deliveries?limit=2", timeout=30).json()
    rest = requests.get(f"{repo.url}/hooks/ci/deliveries?after={seen['next']}", timeout=30).json()
    assert (len(seen["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)
    assert [call.json["id"] for call in receiver.calls] == [each["id"] for each in [*seen["items"], *rest["items"]]][
        ::-1
    ]
    again = requests.post(f"{repo.url}/hooks/ci/deliveries/{rest['items'][0]['id']}/retry", timeout=30)
    assert (again.status_code, again.json()["id"]) == (200, rest["items"][0]["id"])
    assert receiver.wait_for(4)[3].data == receiver.calls[0].data
    assert requests.delete(f"{repo.url}/hooks/ci", timeout=30).status_code == 204
    for method, path, status, code in (
        ("GET", "hooks/ci", 404, "NoSuchHook"),
        ("GET", "hooks/ci/deliveries", 404, "NoSuchHook"),
        ("POST", "hooks/ci/deliveries/x/retry", 404, "NoSuchHook"),
    ):
        answer = requests.request(method, f"{repo.url}/{path}", timeout=30)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    bad = {"name": "x", "url": receiver.url, "events": ["post-push"]}
    assert requests.post(f"{repo.url}/hooks", json=bad, timeout=30).status_code == 400


def test_a_refused_delete_of_a_large_directory_leaves_no_commit(
    server: ServerProcess, receiver: Receiver, s3: Any
) -> None:
    """What takes several transactions is dropped as a whole."""
    repo = Remote(server).make()
    start = requests.post(f"{repo.url}/commits", json={"branch": "master"}, timeout=30)
    session = requests.Session()
    for number in range(1001):
        assert session.put(f"{repo.url}/files/master/d/{number}", data=b"").status_code == 200
    session.post(f"{repo.url}/commits/{start.json()['id']}/finish", json={})
    session.close()
    repo.hook("ci", receiver.url, "pre-commit")
    receiver.answers.append(REFUSAL)
    refused = requests.delete(f"{repo.url}/files/master/d?recursive=true", timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "HookRefused")
    assert requests.get(f"{repo.url}/branches/master", timeout=30).json()["open"] is None
    assert len(s3.list_objects_v2(Bucket=f"master.{repo.name}")["Contents"]) == 1000
    done = requests.delete(f"{repo.url}/files/master/d?recursive=true", timeout=60)
    assert done.json()["deleted"] == 1001


def test_jobs_ask_and_tell_too(server: ServerProcess, main_s3: Any, receiver: Receiver) -> None:
    """A copy of a bucket into a branch is no way around a hook; its author is who started it."""
    repo = Remote(server).make()
    source = f"source-{repo.name}".replace("_", "-")
    main_s3.create_bucket(Bucket=source)
    main_s3.put_object(Bucket=source, Key="a", Body=b"1")
    repo.hook("ci", receiver.url, "pre-commit", "post-commit")
    receiver.answers.append(REFUSAL)

    def copy() -> None:
        job = requests.post(
            f"{server.url}/v1/buckets/{source}?bck_to=ais/@%23/master.{repo.name}/&provider=ais",
            json={"action": "copy-bck", "value": {"prepend": "", "ext": None}},
            timeout=30,
        )
        assert job.status_code == 200, job.text

    copy()
    receiver.wait_for(1)
    while not (trail := repo.deliveries("ci")):
        time.sleep(0.02)
    assert (trail[0]["state"], receiver.calls[0].json["path"]) == ("refused", "a")
    assert "Contents" not in main_s3.list_objects_v2(Bucket=f"master.{repo.name}")
    copy()
    told = receiver.wait_for(3)[2].json
    assert told["commit"]["author"] == receiver.calls[0].json["commit"]["author"]
    assert (told["event"], told["commit"]["files"]) == ("post-commit", 1)
    assert main_s3.get_object(Bucket=f"master.{repo.name}", Key="a")["Body"].read() == b"1"


def test_what_waits_survives_the_server(tmp_path: Path) -> None:
    """A server that is killed while its receiver is gone tells of all commits, in order, when both are back."""
    with receiving() as gone:
        url, port = gone.url, int(gone.url.split(":")[2].split("/")[0])
    data = tmp_path / "data"
    with serve(data, repos_port=None) as server:
        repo = Remote(server).make()
        repo.hook("ci", url, "post-commit", secret=SECRET)
        for number in range(3):
            requests.put(f"{repo.url}/files/master/{number}", data=b"x", timeout=30)
        server.stop(9)
    with receiving(port) as back, serve(data, repos_port=None) as server:
        repo.url = f"{server.url}/v2/projects/default/repos/{repo.name}"
        for each in repo.deliveries("ci"):
            if each["attempts"]:  # its next try may be some seconds away
                requests.post(f"{repo.url}/hooks/ci/deliveries/{each['id']}/retry", timeout=30)
        calls = back.wait_for(3)
        while len(files := dict.fromkeys(call.json["commit"]["files"] for call in calls)) < 3:
            calls = back.wait_for(len(calls) + 1)  # one that was told of before we asked for it comes twice
        assert list(files) == [1, 2, 3]
        assert all(is_signed(call, SECRET) for call in calls)
