"""Request bodies that are read while they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from tests.upstream.faults import Seen
from tests.upstream.serving import served
from tidegate import errors
from tidegate.upstream.feed import Feed
from tidegate.upstream.wire import Patience, Request, Wire, origin

QUICK = Patience(connect=2, read=2, attempts=3, pause=0.001)
PIECE = b"p" * 65_536


class Body:
    """A body of some pieces, which takes down how it was read."""

    def __init__(self, pieces: int, fails_at: int | None = None) -> None:
        self.opened = self.closed = 0
        self._pieces = pieces
        self._fails_at = fails_at

    @property
    def feed(self) -> Feed:
        return Feed(self._pieces * len(PIECE), self._read)

    async def _read(self) -> AsyncGenerator[bytes, None]:
        self.opened += 1
        try:
            for number in range(self._pieces):
                if number == self._fails_at:
                    raise errors.DamagedBlob
                await asyncio.sleep(0)
                yield PIECE
        finally:
            self.closed += 1


class Remote:
    """A server that reads a request's body and answers as it is told, one status after the other."""

    def __init__(self, *statuses: int, reads: bool = True) -> None:
        self.statuses = list(statuses)
        self.bodies: list[bytes] = []
        self.seen: list[Seen] = []
        self.reads = reads
        self.is_asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            self.seen.append(Seen(first.split(" ")[0], first.split(" ")[1], headers))
            self.is_asked.set()
            if not self.reads:
                await asyncio.sleep(60)
            self.bodies.append(await reader.readexactly(int(headers["content-length"])))
            status = self.statuses.pop(0)
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def run(
    remote: Callable[[], Remote], act: Callable[[Wire, Remote, Callable[[Feed], Request]], Awaitable[None]]
) -> None:
    """Does something with a wire to a remote."""

    async def main() -> None:
        server_side = remote()
        wire = Wire("s3://bucket", {}, QUICK)
        async with served(server_side.serve) as port:
            place = origin(f"http://127.0.0.1:{port}")

            def request(feed: Feed) -> Request:
                return Request("PUT", place, "/bucket/key", feed=feed, raw_query="a=%2F&b", repeats=False)

            try:
                await act(wire, server_side, request)
            finally:
                await wire.close()

    asyncio.run(main())


@pytest.mark.parametrize("pieces", [0, 1, 40])
def test_a_body_is_sent_piece_by_piece(pieces: int) -> None:
    """It has its length in front, arrives whole, and the target is as it was given."""

    async def act(wire: Wire, remote: Remote, request: Callable[[Feed], Request]) -> None:
        body = Body(pieces)
        answer = await wire.send(request(body.feed))
        assert answer.status == 200
        assert remote.bodies == [PIECE * pieces]
        assert remote.seen[0].target == "/bucket/key?a=%2F&b"
        assert "transfer-encoding" not in remote.seen[0].headers
        assert body.opened == body.closed

    run(lambda: Remote(200), act)


def test_a_body_is_read_again_where_the_request_is_sent_again() -> None:
    """A remote that has not begun is asked once more, with all of it."""

    async def act(wire: Wire, remote: Remote, request: Callable[[Feed], Request]) -> None:
        body = Body(3)
        assert (await wire.send(request(body.feed))).status == 200
        assert remote.bodies == [PIECE * 3] * 2
        assert body.opened == body.closed == 2

    run(lambda: Remote(503, 200), act)


def test_a_body_that_cannot_be_read_ends_the_request() -> None:
    """What went wrong is raised, and no short body passes for a whole one."""

    async def act(wire: Wire, remote: Remote, request: Callable[[Feed], Request]) -> None:
        body = Body(40, fails_at=20)
        with pytest.raises(errors.DamagedBlob):
            await wire.send(request(body.feed))
        assert body.opened == body.closed == 1
        assert remote.bodies == []

    run(lambda: Remote(200), act)


def test_a_request_that_is_given_up_lets_go_of_its_body() -> None:
    """Nothing reads on for who has gone away."""

    async def act(wire: Wire, remote: Remote, request: Callable[[Feed], Request]) -> None:
        body = Body(1000)
        task = asyncio.create_task(wire.send(request(body.feed)))
        await remote.is_asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert body.opened == body.closed

    run(lambda: Remote(reads=False), act)
