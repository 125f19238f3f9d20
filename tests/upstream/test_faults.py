"""What networks and servers do to requests, through a proxy that does it to them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress

import msgspec
import pytest

from tests.upstream import faults
from tests.upstream.faults import Proxy, Reply, Seen, proxy
from tests.upstream.remotes import IMPATIENT, Remote, free_port, pieces, read, run, s3_client
from tidegate import errors
from tidegate.names import BucketName
from tidegate.upstream import Patience, Upstream
from tidegate.upstream.threads import PIECE
from tidegate.upstream.upload import PART
from tidegate.upstream.wire import CONCURRENT

MIB = 1024 * 1024
QUICK = Patience(connect=5.0, read=0.3, long=5.0, place=20.0, attempts=3, pause=0.01, longest=0.02)

Story = Callable[[Proxy, Upstream], Awaitable[None]]


def through(remote: Remote, story: Story, patience: Patience = IMPATIENT, **more: str) -> BucketName:
    """Has a story told of a new bucket behind a proxy."""
    name = remote.new_bucket()

    async def main() -> None:
        async with proxy(remote.url) as between:
            upstream = remote.open(name, between.url, patience, **more)
            await story(between, upstream)
            await upstream.close()

    run(main)
    return name


async def drain(body: AsyncGenerator[bytes, None], got: list[bytes]) -> None:
    """Reads a body; what came before an error is in ``got``."""
    async with aclosing(body):
        async for piece in body:
            got.append(piece)  # noqa: PERF401 - an error may come


async def collect(upstream: Upstream, got: list[bytes]) -> None:
    """The same of the object ``key``."""
    _, body = await upstream.get("key")
    await drain(body, got)


def test_passing_failures_are_tried_again(s3_remote: Remote) -> None:
    """A read, a write and a listing survive answers of 500, 503 and 429, and a connection that is closed."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        between.plan = [faults.status(500), faults.status(503)]
        await upstream.put("key", pieces(b"content"), size=7)
        between.plan = [faults.status(429), faults.lose]
        assert await read(upstream, "key") == b"content"
        between.plan = [faults.lose, faults.status(502)]
        assert len((await upstream.list()).entries) == 1
        assert [seen.method for seen in between.seen] == ["PUT"] * 3 + ["GET"] * 6
        between.plan = [faults.cut(300)]
        assert len((await upstream.list()).entries) == 1
        assert len(between.seen) == 11

    through(s3_remote, story)


def test_lasting_failures_have_names(s3_remote: Remote) -> None:
    """After some attempts 5xx is RemoteUnavailable and 503 SlowDown; no answer and no server are RemoteUnavailable."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        for fault, kind in (
            (faults.status(500), errors.RemoteUnavailable),
            (faults.status(503), errors.SlowDown),
            (faults.status(429), errors.SlowDown),
            (faults.lose, errors.RemoteUnavailable),
        ):
            between.always, between.seen = fault, []
            for work in (upstream.head("key"), upstream.put("key", pieces(b"x")), upstream.list()):
                with pytest.raises(kind) as caught:
                    await work
                assert caught.value.status == 503
                assert upstream.uri in str(caught.value)
            assert len(between.seen) == 3 * IMPATIENT.attempts

    name = through(s3_remote, story)

    async def nobody() -> None:
        upstream = s3_remote.open(name, f"http://127.0.0.1:{free_port()}")
        with pytest.raises(errors.RemoteUnavailable, match="refused the connection"):
            await upstream.head("key")
        await upstream.close()

    run(nobody)


def test_the_remote_says_how_long_to_wait(s3_remote: Remote) -> None:
    """Retry-After is minded, up to the longest pause: an hour does not keep anybody waiting."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        between.plan = [faults.status(503, retry_after="3600"), faults.status(503, retry_after="soon")]
        await upstream.check()
        assert len(between.seen) == 3

    through(s3_remote, story)


@pytest.mark.parametrize("fault", [faults.cut(PIECE + 100), faults.stall(PIECE + 100)], ids=["cut", "stall"])
def test_a_body_that_breaks_off_is_resumed(s3_remote: Remote, fault: faults.Fault) -> None:
    """What is missing of a body is asked for again, of the very same object, and the bytes are right."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        data = os.urandom(3 * PIECE)
        written = await upstream.put("key", pieces(data), size=len(data))
        between.seen, between.plan = [], [fault, faults.cut(7)]
        assert await read(upstream, "key") == data
        assert [seen.headers.get("range") for seen in between.seen] == [
            None,
            f"bytes={PIECE + 100}-{len(data) - 1}",
            f"bytes={PIECE + 107}-{len(data) - 1}",
        ]
        assert {seen.headers["if-match"] for seen in between.seen[1:]} == {f'"{written.etag}"'}
        between.seen, between.plan = [], [faults.cut(10)]
        assert await read(upstream, "key", start=100, stop=200) == data[100:200]

    through(s3_remote, story, QUICK)


def test_a_body_that_never_goes_on_is_an_error(s3_remote: Remote) -> None:
    """A body that breaks off again and again without a byte is RemoteUnavailable, not an end."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        await upstream.put("key", pieces(bytes(PIECE)))
        between.plan, between.always = [faults.cut(100)], faults.cut(0)
        got: list[bytes] = []
        with pytest.raises(errors.RemoteUnavailable):
            await collect(upstream, got)
        assert sum(map(len, got)) <= 100

    through(s3_remote, story)


@pytest.mark.parametrize("happens", ["overwritten", "removed", "shortened"])
def test_an_object_that_changes_while_it_is_read(s3_remote: Remote, happens: str) -> None:
    """If the rest of a body is another object's, or nobody's, that is said, and the bytes are never mixed."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        old, new = b"a" * PIECE, b"b" * (PIECE if happens == "overwritten" else 10)
        await upstream.put("key", pieces(old))
        between.plan = [faults.cut(1000)]
        _, body = await upstream.get("key")
        if happens == "removed":
            await upstream.delete("key")
        else:
            await upstream.put("key", pieces(new))
        got: list[bytes] = []
        with pytest.raises(errors.RemoteChanged):
            await drain(body, got)
        assert old.startswith(b"".join(got))

    through(s3_remote, story)


def test_an_object_that_was_changed_before(s3_remote: Remote) -> None:
    """Also a remote that ignores If-Match cannot give another object than was asked for."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        was = await upstream.put("key", pieces(b"old"))
        await upstream.put("key", pieces(b"new"))
        between.always = lambda reply: (
            reply if reply.status != 412 else Reply(200, {"etag": '"another"', "content-length": "3"}, b"new")
        )
        with pytest.raises(errors.RemoteChanged):
            await upstream.get("key", if_match=was.etag)

    through(s3_remote, story)


def test_a_rest_that_is_another_object_s(s3_remote: Remote) -> None:
    """A remote that ignores If-Match cannot put two objects together either; one without ranges gives all again."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        data = os.urandom(2 * PIECE)
        await upstream.put("key", pieces(data))
        between.plan = [faults.cut(PIECE), faults.header("etag", '"another"')]
        with pytest.raises(errors.RemoteChanged):
            await read(upstream, "key")
        replies: list[Reply] = []

        def first(reply: Reply) -> Reply:
            replies.append(reply)
            return msgspec.structs.replace(reply, body=reply.body[: PIECE + 10])

        between.plan = [first, lambda _: replies[0]]
        assert await read(upstream, "key") == data

    through(s3_remote, story)


@pytest.mark.parametrize("size", [10, PIECE, 3 * PIECE + 5])
@pytest.mark.parametrize("at", [0, -1])
def test_damage_is_found_before_the_end(s3_remote: Remote, size: int, at: int) -> None:
    """A bit that changed on its way is RemoteDamaged, and the last piece is not handed out."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        await upstream.put("key", pieces(bytes(size)), size=size)
        between.plan = [faults.damage(at)]
        got: list[bytes] = []
        with pytest.raises(errors.RemoteDamaged, match="checksum"):
            await collect(upstream, got)
        assert sum(map(len, got)) < size

    through(s3_remote, story)


def test_aistores_checksum_is_held_against_the_bytes(s3_remote: Remote) -> None:
    """The checksum in an object's metadata counts where the remote has no other, as with multipart objects."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        await upstream.put("right", pieces(b"x"), digest=("xxhash", "5c80c09683041123"))
        assert await read(upstream, "right") == b"x"
        await upstream.put("wrong", pieces(b"x"), digest=("xxhash", "0" * 16))
        with pytest.raises(errors.RemoteDamaged, match="xxhash"):
            await read(upstream, "wrong")
        await upstream.put("unknown", pieces(b"x"), digest=("blake9", "00"))
        assert await read(upstream, "unknown") == b"x"

    through(s3_remote, story)


def test_a_wrong_length_is_no_object(s3_remote: Remote) -> None:
    """A body that is shorter or longer than its head says is an error."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        await upstream.put("key", pieces(bytes(1000)))
        for length, kind in (("999", errors.RemoteDamaged), ("1001", errors.RemoteChanged)):
            between.plan = [faults.header("content-length", length)]
            with pytest.raises(kind):
                await read(upstream, "key")
        between.plan = [faults.header("content-range", "bytes 5-9/1000")]
        with pytest.raises(errors.RemoteUnavailable, match="another range"):
            await read(upstream, "key", start=0, stop=5)

        def without_length(reply: Reply) -> Reply:
            headers = {name: value for name, value in reply.headers.items() if name != "content-length"}
            return msgspec.structs.replace(reply, headers=headers)

        between.plan = [without_length]
        with pytest.raises(errors.RemoteUnavailable, match="how long"):
            await read(upstream, "key")

    through(s3_remote, story)


def test_a_write_whose_answer_is_lost(s3_remote: Remote) -> None:
    """A plain write is done again; one with a condition is not, as the first may have been done: nobody knows."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        between.plan = [faults.lose]
        await upstream.put("plain", pieces(b"x"))
        await upstream.put("warm", pieces(b"x"), if_none_match=True)  # asks once whether there are conditions
        between.seen, between.plan = [], [faults.lose]
        with pytest.raises(errors.RemoteUnavailable):
            await upstream.put("conditional", pieces(b"x"), if_none_match=True)
        assert [seen.method for seen in between.seen] == ["PUT"]
        assert await read(upstream, "conditional") == b"x"

    through(s3_remote, story)


def _is_completion(seen: Seen) -> bool:
    return seen.method == "POST" and "uploadId=" in seen.target


def test_a_completion_whose_answer_is_lost(s3_remote: Remote) -> None:
    """An upload that was completed by a request whose answer was lost is found to be so."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        lost: list[Seen] = []

        async def before(seen: Seen) -> None:
            if _is_completion(seen) and not lost:
                lost.append(seen)
                between.always = _once(between, faults.lose)

        between.before = before
        written = await upstream.put("key", pieces(*[bytes(MIB)] * (PART // MIB + 2)))
        assert lost
        assert (await upstream.head("key")).etag == written.etag
        assert written.size == PART + 2 * MIB

    through(s3_remote, story)


def _once(between: Proxy, fault: faults.Fault) -> faults.Fault:
    def run_once(reply: Reply) -> Reply | None:
        between.always = faults.sound
        return fault(reply)

    return run_once


def test_what_comes_to_nothing_is_given_up(s3_remote: Remote) -> None:
    """After a failed, broken or cancelled upload the remote has neither an object nor parts of one."""
    body = [bytes(MIB)] * (3 * PART // MIB)

    async def endless() -> AsyncIterator[bytes]:
        for piece in body:
            yield piece
        await asyncio.Event().wait()

    async def story(between: Proxy, upstream: Upstream) -> None:
        async def fails(seen: Seen) -> None:
            between.always = faults.status(500) if "partNumber=2" in seen.target else faults.sound

        between.before = fails
        with pytest.raises(errors.RemoteUnavailable):
            await upstream.put("failed", pieces(*body))
        between.always = faults.sound

        async def late(seen: Seen) -> None:
            if _is_completion(seen):
                between.always = _once(between, faults.status(200, b"<Error><Code>InternalError</Code></Error>"))

        between.before = late
        with pytest.raises(errors.RemoteUnavailable, match="InternalError"):
            await upstream.put("late", pieces(*body))

        sent = asyncio.Event()

        async def count(seen: Seen) -> None:
            if "partNumber=2" in seen.target:
                sent.set()

        between.before = count
        task = asyncio.create_task(upstream.put("cancelled", endless()))
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    name = through(s3_remote, story)
    environment = s3_remote.environment
    client = s3_client(s3_remote.url, environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    assert "Uploads" not in client.list_multipart_uploads(Bucket=name.name)
    # The late one was completed in truth, by a remote that said otherwise.
    assert {entry["Key"] for entry in client.list_objects_v2(Bucket=name.name).get("Contents", [])} <= {"late"}
    client.close()


def test_redirects_are_not_followed(s3_remote: Remote) -> None:
    """A redirect to another host is an error, and that host hears nothing, signed or not (attack group 24)."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        async with proxy(s3_remote.url) as trap:
            for code in (301, 302, 303, 307, 308):
                between.always = faults.status(code, location=f"{trap.url}/bucket/key")
                for work in (upstream.head("key"), upstream.get("key"), upstream.put("key", pieces(b"x"))):
                    with pytest.raises(errors.RemoteUnavailable, match="redirects"):
                        await work
            assert trap.seen == []

    through(s3_remote, story)


def test_nothing_that_was_told_in_confidence_is_in_an_error(s3_remote: Remote) -> None:
    """A remote that echoes our credentials does not get them into our errors."""
    token = "SESSIONtoken" * 8

    async def story(between: Proxy, upstream: Upstream) -> None:
        for code in (400, 403, 404, 409, 500):

            def echo(_: Reply, code: int = code) -> Reply:
                told = "\n".join(f"{name}={value}" for name, value in between.seen[-1].headers.items())
                body = f"<Error><Code>Odd</Code><Message>{told.replace('<', '')}</Message></Error>".encode()
                line = f"<Error><Code>{token}</Code><Message>{told.replace(chr(10), ' ')}</Message></Error>".encode()
                both = body if between.seen[-1].method == "GET" else line
                return Reply(code, {"content-length": str(len(both)), "etag": token}, both)

            between.always = echo
            for work in (upstream.get("key"), upstream.put("key", pieces(b"x")), upstream.check()):
                with pytest.raises(errors.Error) as caught:
                    await work
                told = f"{caught.value} {caught.value!r} {caught.value.fields}"
                signature = between.seen[-1].headers["authorization"].rpartition("=")[2]
                for secret in (*s3_remote.environment.values(), token, signature):
                    assert secret not in told

    through(s3_remote, story, AWS_SESSION_TOKEN=token)


BOMB = b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><ListBucketResult>&d;</ListBucketResult>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"<html/>",
        BOMB,
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>\x01</Key></Contents></ListBucketResult>",
        b"\xff\xfe<",
    ],
)
def test_an_answer_that_is_no_listing(s3_remote: Remote, body: bytes) -> None:
    """What is not the document that it should be is RemoteUnavailable, never an empty listing."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        between.always = faults.status(200, body)
        with pytest.raises(errors.RemoteUnavailable):
            await upstream.list()

    through(s3_remote, story)


def test_requests_under_way_are_limited(s3_remote: Remote) -> None:
    """However many tasks ask, the remote sees no more than the limit at once, and all are served."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        await upstream.put("key", pieces(b"x"))
        between.always = faults.slow(0.05)
        found = await asyncio.gather(*(upstream.head("key") for _ in range(2 * CONCURRENT + 10)))
        assert {remote_object.size for remote_object in found} == {1}
        assert between.most <= CONCURRENT

    through(s3_remote, story)


def test_bodies_that_are_not_read_give_their_places_back(s3_remote: Remote) -> None:
    """A body holds a place until it is closed, read or not; who finds no place hears SlowDown."""
    patience = msgspec.structs.replace(IMPATIENT, place=0.2)

    async def story(between: Proxy, upstream: Upstream) -> None:
        await upstream.put("key", pieces(bytes(PIECE)))
        for _ in range(CONCURRENT + 1):
            _, body = await upstream.get("key")
            await body.aclose()
        held = [body for _, body in await asyncio.gather(*(upstream.get("key") for _ in range(CONCURRENT)))]
        with pytest.raises(errors.SlowDown):
            await upstream.head("key")
        await _close(held[:1])
        await upstream.head("key")
        await _close(held)
        for _ in range(CONCURRENT + 1):
            with pytest.raises(errors.NoSuchKey):
                await upstream.get("absent")

    through(s3_remote, story, patience)


async def _close(bodies: Sequence[AsyncGenerator[bytes, None]]) -> None:
    for body in bodies:
        await body.aclose()


def test_a_cancelled_read_leaves_nothing_behind(s3_remote: Remote) -> None:
    """Whoever goes away while waiting for an answer, or for bytes, gives the place back."""

    async def story(between: Proxy, upstream: Upstream) -> None:
        await upstream.put("key", pieces(bytes(2 * PIECE)))
        for fault in (faults.slow(0.2), faults.stall(PIECE)):
            between.always = fault
            tasks = [asyncio.create_task(read(upstream, "key")) for _ in range(CONCURRENT)]
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
        between.always = faults.sound
        assert await read(upstream, "key") == bytes(2 * PIECE)
        found = await asyncio.gather(*(upstream.head("key") for _ in range(CONCURRENT)))
        assert len(found) == CONCURRENT

    through(s3_remote, story)


def test_a_closed_upstream_says_so(s3_remote: Remote) -> None:
    """After closing, requests fail with an error of ours."""

    async def story() -> None:
        upstream = s3_remote.open(s3_remote.new_bucket())
        await upstream.check()
        await upstream.close()
        with pytest.raises(errors.RemoteUnavailable, match="closed"):
            await upstream.check()

    run(story)
