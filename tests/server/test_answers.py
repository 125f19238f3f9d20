"""What the application says of an answer is what goes over the wire, with no header that it did not mean."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest

from tests.server.wire import connect, exchange
from tidegate import asgi
from tidegate.server.front import House
from tidegate.testing import serve_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tidegate.settings import Settings
    from tidegate.testing import Server

BODY = b"the body"


async def echo(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Answers with the status in the path, the headers in the query, and the body in two pieces; under ``/whole``, in
    one message with the headers.
    """
    del receive
    pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True, encoding="latin-1")
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    place, _, number = scope["raw_path"].rpartition(b"/")
    status = int(number)
    body = b"" if status in {204, 304} else BODY
    task = asyncio.current_task()
    if place == b"/ended" and task is not None:
        task.cancel()  # as uvicorn does with what is under way when the server has waited long enough to end
        await asyncio.sleep(0)
    if place == b"/whole":
        await send({"type": asgi.ANSWER, "status": status, "headers": headers, "body": body})
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body[:3], "more_body": True})
    await send({"type": "http.response.body", "body": body[3:]})


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Rooms behind a door that answers what it is told to."""
    del settings

    async def check() -> None:
        pass

    async def stats() -> dict[str, int]:
        return {}

    yield House(echo, echo, echo, check, stats)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose door is ``echo``."""
    with serve_in_thread(house=f"{__name__}:open_house") as running:
        yield running


def asked(target: str, method: str = "GET", version: str = "1.1") -> str:
    """A request for an answer."""
    return f"{method} {target} HTTP/{version}\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("place", ["", "/whole"])
@pytest.mark.parametrize("name", ["a%20b", "a:b", "a%0D%0Ab", "a%00", "a%09", "%E9", 'a"', "(a)"])
def test_a_name_that_no_header_can_have_is_not_sent(server: Server, name: str, place: str) -> None:
    """Nothing is sent of an answer with such a header, and the connection ends."""
    assert exchange(server.port, asked(f"{place}/200?content-length=8&{name}=value")) == b""


@pytest.mark.parametrize("place", ["", "/whole"])
@pytest.mark.parametrize("value", ["a%0D%0AX-Evil:%201", "%0D", "%0A", "a%00b", "a%01", "a%7F", "%0D%0A%0D%0Abody"])
def test_attack_a_value_never_becomes_another_header_or_a_body(server: Server, value: str, place: str) -> None:
    """Nothing is sent of an answer with a control character in a header, and the connection ends."""
    assert exchange(server.port, asked(f"{place}/200?content-length=8&x-a={value}")) == b""


def test_headers_arrive_as_they_were_given(server: Server) -> None:
    """Tabs, bytes beyond ASCII, empty values and repetitions are kept, and the connection can be used again."""
    with connect(server.port) as connection:
        for _ in range(2):
            connection.send(asked("/200?content-length=8&x-a=1&x-a=2&x-b=a%09%E9&x-c="))
            response = connection.response()
            assert [value for name, value in response.getheaders() if name == "x-a"] == ["1", "2"]
            assert response.getheader("x-b") == "a\t\xe9"
            assert response.getheader("x-c") == ""
            assert response.getheader("connection") is None
            assert response.body() == BODY


def test_a_body_of_unknown_length_is_chunked(server: Server) -> None:
    """Where the length is not said, the body is framed in chunks and the connection can be used again."""
    with connect(server.port) as connection:
        for _ in range(2):
            connection.send(asked("/200"))
            response = connection.response()
            assert response.getheader("transfer-encoding") == "chunked"
            assert response.read() == BODY


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_in_one_message_is_as_one_in_pieces(server: Server, method: str) -> None:
    """Headers and body arrive, HEAD has no body, and the connection can be used again."""
    with connect(server.port) as connection:
        for _ in range(2):
            connection.send(asked("/whole/200?content-length=8&x-a=1", method))
            response = connection.response(method)
            assert (response.status, response.getheader("x-a")) == (200, "1")
            assert response.getheader("content-length") == "8"
            assert response.body() == (BODY if method == "GET" else b"")


def test_an_answer_in_one_message_keeps_step_with_a_body_that_was_not_read(server: Server) -> None:
    """What is left of the request's body is not taken for the next request."""
    with connect(server.port) as connection:
        connection.send("PUT /whole/200?content-length=8 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        response = connection.response("PUT")
        assert response.body() == BODY
        connection.send("GET /" + asked("/whole/200?content-length=8"))
        assert connection.response().body() == BODY


@pytest.mark.parametrize("place", ["", "/whole"])
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_has_no_framing(server: Server, method: str, status: int, place: str) -> None:
    """HEAD, 204 and 304 have no body and say of none how it is framed."""
    with connect(server.port) as connection:
        for _ in range(2):
            connection.send(asked(f"{place}/{status}", method))
            response = connection.response(method)
            assert response.status == status
            assert response.getheader("transfer-encoding") is None
            assert response.getheader("content-length") is None
            assert response.body() == b""


@pytest.mark.parametrize(
    ("target", "version"), [("/200?content-length=8&connection=Close", "1.1"), ("/200?content-length=8", "1.0")]
)
def test_a_connection_that_ends_says_so(server: Server, target: str, version: str) -> None:
    """The connection is closed after an answer that says so, and after any to HTTP/1.0, which then says so once."""
    head, _, body = exchange(server.port, asked(target, version=version)).partition(b"\r\n\r\n")
    assert head.lower().count(b"\r\nconnection: close") == 1
    assert body == BODY


@pytest.mark.parametrize("place", ["", "/whole"])
@pytest.mark.parametrize("length", [7, 9])
def test_a_body_of_another_length_than_announced_breaks_the_connection(server: Server, length: int, place: str) -> None:
    """A client cannot take what it got for the whole, nor the rest for the next answer."""
    received = exchange(server.port, asked(f"{place}/200?content-length={length}"))
    assert len(received.partition(b"\r\n\r\n")[2]) != length


def test_a_request_that_the_end_of_the_server_cuts_off_has_no_answer(server: Server) -> None:
    """Nobody knows what has become of it, so no status may say so: the connection breaks."""
    assert exchange(server.port, asked("/ended/200?content-length=8")) == b""
