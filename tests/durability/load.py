"""Writers that know what they were promised.

A writer has keys of its own, and a journal of each: what was acknowledged, and what was asked for and never answered.
Whatever happens to the server meanwhile, what it keeps has to be explained by the journal.
"""

from __future__ import annotations

import http.client
import random
import threading
from functools import partial
from typing import TYPE_CHECKING

from tests.durability.client import Client, element

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.durability.client import Answer, Listed

PLAIN = "plain"
KEPT = "kept"
KEYS = 6  # of each writer in each bucket
MIN_PART = 5 * 1024 * 1024

# Pieces of content, each a number and a size. The number is repeated all over: half of one write beside half of another
# shows.
Content = tuple[tuple[int, int], ...]

SEVERED = (OSError, http.client.HTTPException)


def content_bytes(content: Content) -> bytes:
    """The bytes that a content stands for."""
    return b"".join((number.to_bytes(8) * (size // 8 + 1))[:size] for number, size in content)


class LostError(Exception):
    """The answer never came: nobody knows what was done."""


class Plain:
    """The journal of a key that keeps one version: what it may hold now. None is no object."""

    def __init__(self) -> None:
        self.possible: list[Content | None] = [None]

    @property
    def certain(self) -> Content | None:
        return self.possible[0] if len(self.possible) == 1 else None

    def acknowledge(self, content: Content | None) -> None:
        self.possible = [content]

    def doubt(self, content: Content | None) -> None:
        self.possible.append(content)


class Event:
    """A version that was written, or perhaps was: then it has no version id yet."""

    def __init__(self, content: Content | None, version_id: str = "") -> None:
        self.content = content
        self.version_id = version_id
        self.may_be_gone = not version_id
        self.is_gone = False


class Kept:
    """The journal of a key that keeps all versions, oldest first."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def acknowledge(self, content: Content | None, version_id: str) -> None:
        assert version_id
        self.events.append(Event(content, version_id))

    def doubt(self, content: Content | None) -> None:
        self.events.append(Event(content))


class Writer:
    """Writes until told to stop, in a thread."""

    def __init__(self, number: int, seed: int) -> None:
        self.plain = {f"w{number}/k{index}": Plain() for index in range(KEYS)}
        self.kept = {f"w{number}/k{index}": Kept() for index in range(KEYS)}
        self.error: BaseException | None = None
        self.acknowledged = 0
        self.doubted = 0
        self._name = f"writer-{number}"
        self._random = random.Random(f"{seed} {number}")
        self._drawn = number << 32
        self._client: Client
        self._stop_wanted = threading.Event()

    def start_on(self, port: int) -> threading.Thread:
        """Begins to write, in a thread."""
        self._stop_wanted.clear()
        thread = threading.Thread(target=self._run, args=(port,), name=self._name, daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        self._stop_wanted.set()

    def _run(self, port: int) -> None:
        actions: list[tuple[Callable[[], None], int]] = [
            (self._put, 8),
            (self._put_if_absent, 2),
            (self._put_if_same, 3),
            (self._append, 2),
            (self._copy, 3),
            (self._delete, 2),
            (self._upload, 2),
            (self._put_version, 8),
            (self._copy_version, 2),
            (self._delete_version, 2),
            (self._add_marker, 2),
            (self._upload_version, 1),
        ]
        choices, weights = zip(*actions, strict=True)
        try:
            with Client(port) as self._client:
                while not self._stop_wanted.is_set():
                    action = self._random.choices(choices, weights)[0]
                    try:
                        action()
                        self.acknowledged += 1
                    except LostError:
                        self.doubted += 1
                        self._stop_wanted.wait(0.02)
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for this thread
            self.error = error

    # --- asking -------------------------------------------------------------------------------------------------------

    def _ask(self, ask: Callable[[], Answer], *wanted: int) -> Answer:
        """An answer of one of the statuses that can be. Raises LostError."""
        try:
            answer = ask()
        except SEVERED:
            raise LostError from None
        assert answer.status in wanted, (answer.status, answer.body)
        return answer

    def _new(self, *, is_large: bool | None = None) -> Content:
        self._drawn += 1
        large = self._random.random() < 0.15 if is_large is None else is_large
        size = self._random.randint(70_000, 900_000) if large else self._random.randint(0, 4000)
        return ((self._drawn, size),)

    def _pick_plain(self) -> tuple[str, Plain]:
        key = self._random.choice(list(self.plain))
        return key, self.plain[key]

    def _pick_kept(self) -> tuple[str, Kept]:
        key = self._random.choice(list(self.kept))
        return key, self.kept[key]

    # --- a bucket without versions ------------------------------------------------------------------------------------

    def _write(self, journal: Plain, content: Content | None, ask: Callable[[], Answer], *wanted: int) -> Answer:
        try:
            answer = self._ask(ask, *wanted)
        except LostError:
            journal.doubt(content)
            raise
        if answer.status < 300:
            journal.acknowledge(content)
        return answer

    def _put(self) -> None:
        key, journal = self._pick_plain()
        content = self._new()
        self._write(journal, content, lambda: self._client.put(f"{PLAIN}/{key}", content_bytes(content)), 200)

    def _put_if_absent(self) -> None:
        key, journal = self._pick_plain()
        content = self._new()
        before = list(journal.possible)
        answer = self._write(
            journal,
            content,
            lambda: self._client.put(f"{PLAIN}/{key}", content_bytes(content), if_none_match="*"),
            200,
            412,
        )
        if answer.status == 200:
            assert None in before, f"{key}: an object was there, and was replaced"
        else:
            assert before != [None], f"{key}: no object was there, and it was refused"
            journal.possible = [each for each in before if each is not None]

    def _put_if_same(self) -> None:
        key, journal = self._pick_plain()
        if journal.certain is None:
            return
        etag = self._ask(lambda: self._client.ask("HEAD", f"{PLAIN}/{key}"), 200).etag
        content = self._new()
        self._write(
            journal, content, lambda: self._client.put(f"{PLAIN}/{key}", content_bytes(content), if_match=etag), 200
        )

    def _append(self) -> None:
        key, journal = self._pick_plain()
        old = journal.certain
        if old is None or len(old) > 5:
            return
        added = self._new()
        offset = {"x-amz-write-offset-bytes": str(sum(size for _, size in old))}
        self._write(
            journal, old + added, lambda: self._client.put(f"{PLAIN}/{key}", content_bytes(added), **offset), 200
        )

    def _copy(self) -> None:
        source, from_journal = self._pick_plain()
        key, journal = self._pick_plain()
        content = from_journal.certain
        if content is None or source == key:
            return
        self._write(journal, content, lambda: self._client.copy(f"{PLAIN}/{source}", f"{PLAIN}/{key}"), 200)

    def _delete(self) -> None:
        key, journal = self._pick_plain()
        self._write(journal, None, lambda: self._client.ask("DELETE", f"{PLAIN}/{key}"), 204)

    def _upload(self) -> None:
        key, journal = self._pick_plain()
        content, ask = self._begin_upload(f"{PLAIN}/{key}")
        try:
            self._write(journal, content, ask, 200)
        except LostError:
            # The parts were acknowledged, and so they are there: asking again completes the upload, or says that it
            # was.
            self._stop_wanted.wait(0.1)
            self._write(journal, content, ask, 200)

    def _begin_upload(self, path: str) -> tuple[Content, Callable[[], Answer]]:
        """Uploads parts, and returns the content with the request that completes them."""
        client = self._client
        upload = element(self._ask(lambda: client.ask("POST", path, uploads=""), 200).body.decode(), "UploadId")
        parts = [self._new(is_large=True)]
        if self._random.random() < 0.15:
            self._drawn += 1
            parts.insert(0, ((self._drawn, MIN_PART),))
        etags = []
        for number, part in enumerate(parts, 1):
            body = content_bytes(part)
            put = partial(client.ask, "PUT", path, body, uploadId=upload, partNumber=str(number))
            etags.append(self._ask(put, 200).etag)
        return sum(parts, ()), lambda: client.complete(path, upload, etags)

    # --- a bucket with versions ---------------------------------------------------------------------------------------

    def _write_version(self, journal: Kept, content: Content | None, ask: Callable[[], Answer], status: int) -> None:
        try:
            answer = self._ask(ask, status)
        except LostError:
            journal.doubt(content)
            raise
        journal.acknowledge(content, answer.headers["x-amz-version-id"])

    def _put_version(self) -> None:
        key, journal = self._pick_kept()
        content = self._new()
        self._write_version(journal, content, lambda: self._client.put(f"{KEPT}/{key}", content_bytes(content)), 200)

    def _copy_version(self) -> None:
        source, from_journal = self._pick_plain()
        key, journal = self._pick_kept()
        content = from_journal.certain
        if content is not None:
            self._write_version(journal, content, lambda: self._client.copy(f"{PLAIN}/{source}", f"{KEPT}/{key}"), 200)

    def _add_marker(self) -> None:
        key, journal = self._pick_kept()
        self._write_version(journal, None, lambda: self._client.ask("DELETE", f"{KEPT}/{key}"), 204)

    def _delete_version(self) -> None:
        key, journal = self._pick_kept()
        there = [event for event in journal.events if event.version_id and not event.may_be_gone]
        if not there:
            return
        event = self._random.choice(there)
        event.may_be_gone = True
        self._ask(lambda: self._client.ask("DELETE", f"{KEPT}/{key}", versionId=event.version_id), 204)
        event.is_gone = True

    def _upload_version(self) -> None:
        key, journal = self._pick_kept()
        content, ask = self._begin_upload(f"{KEPT}/{key}")
        self._write_version(journal, content, ask, 200)

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def verify(self, client: Client, plain: dict[str, Listed], kept: dict[str, list[Listed]]) -> None:
        """Holds what the server lists and serves against the journals, and settles what was in doubt.

        ``kept`` has versions newest first.
        """
        for key, journal in self.plain.items():
            held = _read(client, f"{PLAIN}/{key}")
            matching = [each for each in journal.possible if _is(held, each)]
            assert matching, f"{key} holds {_described(held)}, but may only hold {journal.possible}"
            assert (held is None) == (key not in plain), f"{key} is listed and cannot be read, or the other way round"
            assert held is None or plain[key].size == len(held)
            journal.acknowledge(matching[0])
        for key, versions in self.kept.items():
            _verify_versions(client, key, versions, kept.get(key, []))


def _verify_versions(client: Client, key: str, journal: Kept, listed: list[Listed]) -> None:
    """Every version that is listed is one that was written, in the order in which they were, and none is missing."""
    position = 0
    events = journal.events
    known = {event.version_id for event in events}
    found: list[Event] = []
    for entry in reversed(listed):
        held = None if entry.is_delete_marker else _read(client, f"{KEPT}/{key}", versionId=entry.version_id)
        assert entry.is_delete_marker or held is not None, f"{key}: the version {entry.version_id} cannot be read"
        while True:
            assert position < len(events), f"{key}: nobody wrote the version {entry.version_id}: {_described(held)}"
            event = events[position]
            position += 1
            if event.version_id == entry.version_id:
                break
            if not event.version_id and entry.version_id not in known and _is(held, event.content):
                break
            assert event.may_be_gone, f"{key}: the version {event.version_id} is missing"
        assert not event.is_gone, f"{key}: the version {entry.version_id} was deleted"
        assert _is(held, event.content), (
            f"{key}: {entry.version_id} holds {_described(held)} instead of {event.content}"
        )
        found.append(Event(event.content, entry.version_id))
    for event in events[position:]:
        assert event.may_be_gone, f"{key}: the version {event.version_id} is missing"
    assert [entry.is_latest for entry in listed] == [index == 0 for index in range(len(listed))]
    newest = found[-1].content if found else None
    assert _is(_read(client, f"{KEPT}/{key}"), newest), f"{key}: what is read is not the newest version"
    journal.events = found


def _read(client: Client, path: str, **query: str) -> bytes | None:
    answer = client.get(path, **query)
    if answer.status == 404:
        return None
    return answer.expect().body


def _is(held: bytes | None, content: Content | None) -> bool:
    if held is None or content is None:
        return held is None and content is None
    return len(held) == sum(size for _, size in content) and held == content_bytes(content)


def _described(held: bytes | None) -> str:
    return "nothing" if held is None else f"{len(held)} bytes that begin with {held[:8].hex()}"
