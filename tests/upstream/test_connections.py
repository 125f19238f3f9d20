"""Answers that are read on the event loop: a server's bytes as they may come, well-formed and not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import uvloop

from tests.certificates import write_certificate
from tests.upstream.serving import served
from tidegate import errors
from tidegate.upstream.connections import HELD, MAX_HEAD
from tidegate.upstream.threads import PIECE
from tidegate.upstream.wire import Answer, Patience, Request, Wire, origin

QUICK = Patience(connect=5.0, read=5.0, long=5.0, place=5.0, attempts=2, pause=0.0, longest=0.0)
MIB = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
# More than sockets hold on both sides.
MUCH = 64 * MIB


def run(story: Callable[[], Coroutine[None, None, None]]) -> None:
    """Has a story told in the event loop that servers have, and in asyncio's own."""
    uvloop.run(story())
    asyncio.run(story())


class Script:
    """A server: each request gets the next of its answers, and the connection is closed after one that ``ends``."""

    def __init__(self, *answers: bytes, ends: bool = False) -> None:
        self.answers = list(answers)
        self.ends = ends
        self.url = ""
        self.requests: list[bytes] = []
        self.connections = self.closed = 0
        self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.answers.pop(0)
                for start in range(0, len(answer), MIB):
                    writer.write(answer[start : start + MIB])
                    await writer.drain()
                    self.sent += MIB
                if self.ends:
                    break
            else:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.closed += 1
            writer.close()


@asynccontextmanager
async def wire_to(
    script: Script, patience: Patience = QUICK, certificate: tuple[Path, Path] | None = None, **environment: str
) -> AsyncIterator[Callable[..., Awaitable[Answer]]]:
    """A way to get things from the server, which speaks TLS if it has a certificate."""
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    wire = Wire("s3://bucket", environment, patience)

    async def get(**headers: str) -> Answer:
        return await wire.send(Request("GET", origin(script.url), "/bucket/key", headers=headers, is_stream=True))

    async with served(script.serve, context) as port:
        script.url = f"{'http' if context is None else 'https'}://127.0.0.1:{port}"
        try:
            yield get
        finally:
            await wire.close()


async def body_of(answer: Answer) -> bytes:
    """All of a body."""
    stream = answer.stream
    assert stream is not None
    pieces = []
    while piece := await stream.read():
        assert len(piece) <= PIECE
        pieces.append(piece)
    await stream.close()
    return b"".join(pieces)


def test_a_connection_serves_one_request_after_the_other() -> None:
    """As long as the remote keeps it, bodies are read to their ends, and nothing comes that was not asked for."""

    async def story() -> None:
        script = Script(OK, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", OK)
        async with wire_to(script) as get:
            assert await body_of(await get()) == b"body"
            assert (await get()).status == 404
            assert await body_of(await get(x="y")) == b"body"
            assert script.connections == 1
            assert b"\r\nx: y\r\n" in script.requests[2]
            assert script.requests[2].startswith(b"GET /bucket/key HTTP/1.1\r\nhost: 127.0.0.1:")

    run(story)


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbod\r\n1;x=y\r\ny\r\n0\r\nLink: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nbody",
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    ],
    ids=("length", "informational", "chunked", "until the end", "version 1.0"),
)
def test_bodies_of_any_form(answer: bytes) -> None:
    """However a remote says where its body ends, it is read to there."""

    async def story() -> None:
        async with wire_to(Script(answer, ends=True)) as get:
            found = await get()
            assert found.status == 200
            assert await body_of(found) == b"body"
            assert "link" not in found.headers

    run(story)


def test_headers_that_come_twice_are_one() -> None:
    """Their values are joined, in order; names are lower-case."""

    async def story() -> None:
        async with wire_to(Script(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:  2 \r\nContent-Length: 0\r\n\r\n")) as get:
            found = await get()
            assert found.headers == {"x-a": "1, 2", "content-length": "0"}
            assert await body_of(found) == b""

    run(story)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(2 * MAX_HEAD // 1000)),
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
    ids=("no HTTP", "two lengths", "no length", "no header", "upgrade", "endless", "cut", "nothing"),
)
def test_what_is_no_answer(answer: bytes) -> None:
    """It is asked for again, as anything that is lost, and then it is an error."""

    async def story() -> None:
        script = Script(answer, answer, ends=True)
        async with wire_to(script) as get:
            with pytest.raises(errors.RemoteUnavailable):
                await get()
            assert script.connections == len(script.requests) == 2

    run(story)


def test_a_body_that_breaks_off() -> None:
    """What has come is given, and then it is an error rather than an end."""

    async def story() -> None:
        async with wire_to(Script(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody", ends=True)) as get:
            stream = (await get()).stream
            assert stream is not None
            assert await stream.read() == b"body"
            assert not stream.is_over
            with pytest.raises(errors.RemoteUnavailable, match="broke off"):
                await stream.read()
            await stream.close()

    run(story)


@pytest.mark.parametrize("more", [b"x", b"HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nevil"])
def test_what_was_not_asked_for_is_no_answer(more: bytes) -> None:
    """Bytes after a body belong to no request: the next one goes over another connection, and gets its own answer."""

    async def story() -> None:
        script = Script(OK + more, OK)
        async with wire_to(script) as get:
            first = await get()
            assert await body_of(first) == b"body"
            second = await get()
            assert await body_of(second) == b"body"
            assert first.headers == second.headers == {"content-length": "4"}
            assert script.connections == 2

    run(story)


def test_a_connection_that_the_remote_has_closed_is_not_used() -> None:
    """It is noticed when it happens, and the next request is sent once, over a new one."""

    async def story() -> None:
        script = Script(OK, OK, ends=True)
        async with wire_to(script, msgspec.structs.replace(QUICK, attempts=1)) as get:
            assert await body_of(await get()) == b"body"
            while not script.closed:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            assert await body_of(await get()) == b"body"
            assert len(script.requests) == script.connections == 2

    run(story)


def test_a_body_that_is_not_read_to_its_end_ends_its_connection() -> None:
    """What is left of it is nobody's answer."""

    async def story() -> None:
        script = Script(OK.replace(b"4", b"4194304", 1) + bytes(4 * MIB), OK)
        async with wire_to(script) as get:
            stream = (await get()).stream
            assert stream is not None
            assert await stream.read()
            await stream.close()
            assert await body_of(await get()) == b"body"
            assert script.connections == 2

    run(story)


def test_a_slow_reader_holds_the_remote_back() -> None:
    """What comes is taken in as far as there is room; all of it arrives in the end."""

    async def story() -> None:
        script = Script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH + bytes(MUCH))
        async with wire_to(script) as get:
            answer = await get()
            before = -1
            while script.sent != before:
                before = script.sent
                await asyncio.sleep(0.1)
            assert HELD < script.sent < MUCH
            assert len(await body_of(answer)) == MUCH

    run(story)


def test_a_silent_remote_is_not_waited_for() -> None:
    """Neither for an answer nor for the rest of a body."""

    async def story() -> None:
        patience = msgspec.structs.replace(QUICK, read=0.05, attempts=1)
        async with wire_to(Script(b"HTTP/1.1 200 OK\r\n"), patience) as get:
            with pytest.raises(errors.RemoteUnavailable, match="stopped answering"):
                await get()
        async with wire_to(Script(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody"), patience) as get:
            stream = (await get()).stream
            assert stream is not None
            assert await stream.read() == b"body"
            with pytest.raises(errors.RemoteUnavailable, match="stopped answering"):
                await stream.read()
            await stream.close()

    run(story)


def test_only_a_certificate_that_is_known_is_trusted(tmp_path: Path) -> None:
    """Of the system's authorities, or those that the environment names."""
    certificate = write_certificate(tmp_path)

    async def story() -> None:
        script = Script(OK, OK)
        async with wire_to(script, QUICK, certificate) as get:
            with pytest.raises(errors.RemoteUnavailable, match="certificate"):
                await get()
        assert script.requests == []
        async with wire_to(script, QUICK, certificate, AWS_CA_BUNDLE=str(certificate[0])) as get:
            assert [await body_of(await get()) for _ in range(2)] == [b"body"] * 2
        assert len(script.requests) == 2
        async with wire_to(script, QUICK, certificate, AWS_CA_BUNDLE="/nowhere") as get:
            with pytest.raises(errors.RemoteUnavailable, match="certificate"):
                await get()

    run(story)


class Tunnel:
    """A proxy that makes a tunnel for who asks for one."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")[0]
        method, place, _ = line.split(" ")
        self.asked.append(f"{method} {place}")
        host, _, port = place.partition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            back.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(MIB):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_https_goes_through_the_environment_s_proxy(tmp_path: Path) -> None:
    """What is read too, in pieces as without one; what has no place in it does not."""
    certificate = write_certificate(tmp_path)
    data = bytes(range(256)) * (3 * MIB // 256)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data

    async def story() -> None:
        tunnel = Tunnel()
        async with served(tunnel.serve) as port:
            await through(tunnel, f"http://127.0.0.1:{port}")

    async def through(tunnel: Tunnel, proxy: str) -> None:
        script = Script(answer, answer, answer)
        named = {"AWS_CA_BUNDLE": str(certificate[0]), "HTTPS_PROXY": proxy}
        async with wire_to(script, QUICK, certificate, **named) as get:
            seen: list[bytes] = []
            stream = (await get()).stream
            assert stream is not None
            while piece := await stream.read(seen.append):
                assert piece == seen[-1]
                assert len(piece) <= PIECE
            assert b"".join(seen) == data
            assert stream.is_over
            await stream.close()
            assert await body_of(await get()) == data
            assert tunnel.asked == [f"CONNECT {script.url.removeprefix('https://')}"]
        async with wire_to(script, QUICK, certificate, **named, NO_PROXY="127.0.0.1") as get:
            assert await body_of(await get()) == data
        assert len(tunnel.asked) == 1

    run(story)


def test_a_place_where_nobody_is() -> None:
    """It is said that nobody listens, or that there is no such place: nothing was sent."""

    async def story() -> None:
        wire = Wire("s3://bucket", {}, QUICK)
        for url, words in (("http://127.0.0.1:1", "refused"), ("http://nowhere.invalid", "not known")):
            with pytest.raises(errors.RemoteUnavailable, match=words):
                await wire.send(Request("GET", origin(url), "/bucket/key", is_stream=True, repeats=False))
        await wire.close()

    run(story)


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0b", "\N{SNOWMAN}"])
def test_a_header_cannot_become_two(value: str) -> None:
    """What would be another request than was meant is never sent."""

    async def story() -> None:
        script = Script(OK)
        async with wire_to(script) as get:
            with pytest.raises(errors.InvalidArgument):
                await get(x=value)
            assert script.requests == []

    run(story)


def test_a_closed_upstream_asks_nobody() -> None:
    """What is under way fails at once, and nothing is begun."""

    async def story() -> None:
        script = Script(b"")
        wire = Wire("s3://bucket", {}, Patience())
        async with served(script.serve) as port:
            request = Request("GET", origin(f"http://127.0.0.1:{port}"), "/bucket/key", is_stream=True)
            waiting = asyncio.create_task(wire.send(request))
            while not script.requests:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.001)
            await wire.close()
            for task in (waiting, asyncio.create_task(wire.send(request))):
                with pytest.raises(errors.RemoteUnavailable):
                    await task
        assert len(script.requests) == 1

    run(story)
