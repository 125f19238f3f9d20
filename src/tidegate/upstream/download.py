"""Reading an object from a remote: never short, never changed under us, and held against its checksums.

Providers say how to ask for a range (``Ask``) and how to read an answer's head (``Describe``); what they have in common
is here. A body that breaks off is asked for again from where it broke, if the object has an ETag to prove that it is
still the same one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

import msgspec

from tidegate import checksums, errors
from tidegate.telemetry.remotes import meter_of
from tidegate.upstream.abc import RemoteObject
from tidegate.upstream.wire import Answer, Stream

# How often in a row a body may break off without a byte having come.
RESUMES: Final = 4

_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_MD5: Final = re.compile(r"[0-9a-f]{32}")


class Ask(Protocol):
    """Asks the remote for the bytes from ``start`` to before ``stop`` (None for the end) of an object, as a stream.

    ``start`` is 0 and ``stop`` None for all of it, which must not be asked for as a range. Raises ``NoSuchKey``,
    ``InvalidRange``, and ``PreconditionFailed`` or ``RemoteChanged`` where the object's ETag is not ``if_match``.
    """

    async def __call__(self, start: int, stop: int | None, if_match: str | None) -> Answer: ...


# What an answer, 200 or 206, says of the object. Its size is added here.
Describe: TypeAlias = Callable[[Answer, int], RemoteObject]


class Check(msgspec.Struct, frozen=True):
    """A checksum that all of an object must have: its S3 name, the digest, and what people know it by."""

    algorithm: str
    digest: bytes
    name: str


# What all of an object can be held against, from its head and the answer's headers.
Promises: TypeAlias = Callable[[RemoteObject, Mapping[str, str]], tuple[Check, ...]]


def checks(remote: RemoteObject, *, etag_is_md5: bool = False) -> tuple[Check, ...]:
    """What the bytes of an object can be held against, each algorithm once. What cannot be read is no promise."""
    found: dict[str, Check] = {}
    for algorithm, value in remote.checksums.items():
        if algorithm in checksums.ALGORITHMS:
            with suppress(errors.InvalidRequest):
                found[algorithm] = Check(algorithm, checksums.decode(algorithm, value), algorithm)
    if etag_is_md5 and _MD5.fullmatch(remote.etag):
        found.setdefault("MD5", Check("MD5", bytes.fromhex(remote.etag), "ETag"))
    if remote.digest is not None:
        kind, value = remote.digest
        algorithm = checksums.DIGESTS.get(kind, "")
        if algorithm and len(value) == 2 * checksums.ALGORITHMS[algorithm].size:
            with suppress(ValueError):
                found.setdefault(algorithm, Check(algorithm, bytes.fromhex(value), kind))
    return tuple(found.values())


def _checks_of_all(remote: RemoteObject, _: Mapping[str, str]) -> tuple[Check, ...]:
    return checks(remote)


def asked(start: int, stop: int | None, if_match: str | None, *, name: str = "range") -> dict[str, str]:
    """The headers that ask for a range of the object with an ETag. ``name`` is that of the provider's Range."""
    headers = {}
    if start or stop is not None:
        headers[name] = f"bytes={start}-{'' if stop is None else stop - 1}"
    if if_match is not None:
        headers["if-match"] = f'"{if_match}"'
    return headers


def size_of(uri: str, answer: Answer, **fields: str) -> int:
    """How long the object is that an answer tells of. Raises ``RemoteUnavailable``, with ``fields``, where it does not
    say.
    """
    length = answer.headers.get("content-length", "")
    if not length.isdecimal():
        raise errors.RemoteUnavailable(f"{uri}: the remote does not say how long the object is", **fields)
    return int(length)


async def download(
    uri: str,
    key: str,
    ask: Ask,
    describe: Describe,
    promises: Promises = _checks_of_all,
    *,
    start: int,
    stop: int | None,
    if_match: str | None,
) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
    """As ``Upstream.get``."""
    if start < 0 or (stop is not None and stop <= start):
        raise errors.InvalidRange(Key=key)
    ask = _of_same(key, ask)
    try:
        answer = await ask(start, stop, if_match)
    except errors.InvalidRange:
        if start:
            raise
        answer = await ask(0, None, if_match)  # no range of an object without bytes can be asked for
    stream = _stream(answer)
    try:
        first, end, size = _placed(uri, answer, start, stop)
        remote = describe(answer, size)
        if if_match is not None and remote.etag != if_match:
            raise errors.RemoteChanged(Key=key)  # by a remote that does not mind If-Match
        if start and start >= size:
            raise errors.InvalidRange(Key=key)
        wanted = min(size, stop if stop is not None else size)
        hold = promises(remote, answer.headers) if start == 0 and wanted == size else ()
        body = _Body(uri, ask, describe, remote, hold)
        pieces = body.pieces(stream, skip=start - first, start=start, stop=wanted, came=end)
    except BaseException:
        await stream.close()
        raise
    await anext(pieces)  # begun, so that closing it closes the stream
    return remote, pieces


def _of_same(key: str, ask: Ask) -> Ask:
    """As ``ask``, where an object that has not the ETag has changed."""

    async def asked_of_same(start: int, stop: int | None, if_match: str | None) -> Answer:
        try:
            return await ask(start, stop, if_match)
        except errors.PreconditionFailed:
            raise errors.RemoteChanged(Key=key) from None

    return asked_of_same


async def follow(
    uri: str,
    answer: Answer,
    ask: Ask,
    describe: Describe,
    promises: Promises,
) -> tuple[RemoteObject, int, AsyncGenerator[bytes, None]]:
    """As ``download``, of an answer that is here already: the bytes that it has, and from where in the object."""
    stream = _stream(answer)
    try:
        first, end, size = _told(uri, answer)
        remote = describe(answer, size)
        hold = promises(remote, answer.headers) if (first, end) == (0, size) else ()
        body = _Body(uri, ask, describe, remote, hold)
        pieces = body.pieces(stream, skip=0, start=first, stop=end, came=end)
    except BaseException:
        await stream.close()
        raise
    await anext(pieces)  # as above
    return remote, first, pieces


class _Body:
    """The bytes of an object that is being read."""

    def __init__(self, uri: str, ask: Ask, describe: Describe, remote: RemoteObject, hold: tuple[Check, ...]) -> None:
        self._uri = uri
        self._ask = ask
        self._describe = describe
        self._remote = remote
        self._meter = meter_of(uri)
        self._checks = [(check, checksums.new(check.algorithm)) for check in hold]

    async def pieces(
        self, stream: Stream, *, skip: int, start: int, stop: int, came: int
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` to before ``stop``, after an empty piece.

        ``skip`` is what comes before them in the stream, which ends at ``came``.
        """
        at, tries, held = start, 0, b""
        try:
            yield b""
            while at < stop:
                try:
                    data = await stream.read(None if skip else self._update)
                    if not data:
                        self._meter.fail("lost")
                        raise errors.RemoteUnavailable(f"{self._uri}: the remote broke off the connection")
                except errors.RemoteUnavailable:
                    tries += 1
                    if tries > RESUMES or not self._remote.etag:
                        raise
                    await stream.close()
                    stream, skip, came = await self._resume(at, stop)
                    continue
                tries = 0
                if skip:
                    data, skip = data[skip:], max(0, skip - len(data))
                    self._update(data)
                data = data[: stop - at]
                at += len(data)
                if at == stop:
                    held = data
                elif data:
                    yield data
            if came == stop and not stream.is_over and await stream.read():
                self._meter.fail("damaged")
                raise errors.RemoteDamaged(f"{self._uri}: the remote sent more than it announced")
            self._verify()
            if held:
                yield held
        finally:
            await stream.close()

    def _update(self, data: bytes) -> None:
        for _, hasher in self._checks:
            hasher.update(data)

    def _verify(self) -> None:
        for check, hasher in self._checks:
            if hasher.digest() != check.digest:
                self._meter.fail("damaged")
                raise errors.RemoteDamaged(
                    f"{self._uri}: what the remote sent does not have the checksum that it announced ({check.name})",
                    Key=self._remote.key,
                )

    async def _resume(self, at: int, stop: int) -> tuple[Stream, int, int]:
        """The rest of the body, what is to be skipped in it, and where it ends."""
        whole = at == 0 and stop == self._remote.size
        try:
            answer = await self._ask(at, None if whole else stop, self._remote.etag)
        except (errors.NoSuchKey, errors.InvalidRange):
            raise errors.RemoteChanged(Key=self._remote.key) from None
        stream = _stream(answer)
        try:
            first, end, size = _placed(self._uri, answer, at, stop)
            now = self._describe(answer, size)
            if (now.etag, now.size) != (self._remote.etag, self._remote.size):
                raise errors.RemoteChanged(Key=self._remote.key)
        except BaseException:
            await stream.close()
            raise
        return stream, at - first, end


def _placed(uri: str, answer: Answer, start: int, stop: int | None) -> tuple[int, int, int]:
    """Which bytes an answer has: from, to before, and of how many. Raises ``RemoteUnavailable`` for others than asked.

    A server that knows no ranges answers with all of the object.
    """
    first, end, size = _told(uri, answer)
    is_all = answer.status == 200 and (first, end) == (0, size)
    if not is_all and (first != start or end != min(size, stop if stop is not None else size)):
        raise errors.RemoteUnavailable(f"{uri}: the remote sent another range than was asked for")
    return first, end, size


def _told(uri: str, answer: Answer) -> tuple[int, int, int]:
    """Which bytes an answer says that it has: from, to before, and of how many."""
    said = answer.headers.get("content-range", "")  # rclone has it in answers with status 200
    if answer.status == 200 and not said:
        size = size_of(uri, answer)
        return 0, size, size
    matched = _RANGE.fullmatch(said)
    if matched is None:
        raise errors.RemoteUnavailable(f"{uri}: the remote's answer has no range that can be understood")
    first, last, size = (int(number) for number in matched.groups())
    end = last + 1
    if not first < end <= size and (first, end) != (size, size):  # which Azurite says of what begins at the end
        raise errors.RemoteUnavailable(f"{uri}: the remote's answer has a range that cannot be")
    return first, end, size


def _stream(answer: Answer) -> Stream:
    assert answer.stream is not None, "asked for as a stream"  # noqa: S101 - narrows the type
    return answer.stream
