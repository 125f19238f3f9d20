"""Where a request ends and whom it is for must have one reading. Every probe goes to the real server over a real
socket.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.wire import Connection, connect, exchange
from tidegate.server import guard, protocol

if TYPE_CHECKING:
    from tidegate.testing import Server

GOOD = "GET /describe/good HTTP/1.1\r\nHost: localhost\r\n\r\n"


def head(response: bytes) -> tuple[int, bytes]:
    """The status and body of what should be one response and no more."""
    status_line, _, rest = response.partition(b"\r\n")
    headers, _, body = rest.partition(b"\r\n\r\n")
    (length,) = [line.split(b":")[1] for line in headers.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    assert len(body) == int(length), response
    return int(status_line.split()[1]), body


def seen(connection: Connection) -> dict[str, Any]:
    """What the door saw of the request that it answers next."""
    status, body = connection.answer()
    assert status == 200
    described: dict[str, Any] = json.loads(body)
    return described


CHUNKED = "PUT /describe/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"

REFUSED = {
    "content-length and transfer-encoding": CHUNKED + "Content-Length: 5\r\n\r\n0\r\n\r\n",
    "transfer-encoding and content-length": "PUT /describe/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two different content-lengths": "PUT /describe/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    "Content-Length: 6\r\n\r\n123456",
    "two equal content-lengths": "PUT /describe/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    "Content-Length: 5\r\n\r\n12345",
    "unknown transfer coding": "PUT /describe/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "transfer coding after chunked": "PUT /describe/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"
    "0\r\n\r\n",
    "transfer-encoding twice": CHUNKED + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding in HTTP/1.0": "PUT /describe/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "0\r\n\r\n",
    "bare line feeds": "GET /describe/x HTTP/1.1\nHost: a\n\n",
    "bare line feed after a header": "GET /describe/x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "bare carriage return in a header": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "line feed after a chunk size": CHUNKED + "\r\n5\nhello\r\n0\r\n\r\n",
    "chunk size with a sign": CHUNKED + "\r\n+5\r\nhello\r\n0\r\n\r\n",
    "chunk size in C's notation": CHUNKED + "\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": CHUNKED + "\r\n10000000000000000\r\nhello\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + "\r\n5\r\nhello world\r\n0\r\n\r\n",
    "space before the colon": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    "space before the first header": "GET /describe/x HTTP/1.1\r\n Host: a\r\n\r\n",
    "folded header": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "header without a name": "GET /describe/x HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
    "header without a colon": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "NUL in a header name": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n",
    "NUL in a header value": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "control character in a header value": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n",
    "delete character in a header value": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n",
    "separator in a header name": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX(: y\r\n\r\n",
    "no host": "GET /describe/x HTTP/1.1\r\n\r\n",
    "no host in HTTP/1.0": "GET /describe/x HTTP/1.0\r\n\r\n",
    "two hosts": "GET /describe/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same host twice": "GET /describe/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "empty host": "GET /describe/x HTTP/1.1\r\nHost:\r\n\r\n",
    "host with user": "GET /describe/x HTTP/1.1\r\nHost: user@a\r\n\r\n",
    "host with path": "GET /describe/x HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with space": "GET /describe/x HTTP/1.1\r\nHost: a b\r\n\r\n",
    "two hosts in one": "GET /describe/x HTTP/1.1\r\nHost: a,b\r\n\r\n",
    "host with a port that is none": "GET /describe/x HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "host that is not ASCII": "GET /describe/x HTTP/1.1\r\nHost: b\xfcro\r\n\r\n",
    "authorization twice": "GET /describe/x HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nAuthorization: y\r\n\r\n",
    "target for another host": "GET http://b/describe/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "target for another port": "GET http://a:81/describe/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with user": "GET http://u@a/describe/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "target of another scheme": "GET ftp://a/describe/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "target without a path": "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    "target that is no path": "GET describe/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "target for the whole server": "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with a fragment": "GET /describe/x#y HTTP/1.1\r\nHost: a\r\n\r\n",
    "tunnel": "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    "raw UTF-8 in the path": b"GET /describe/\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "control character in the path": "GET /describe/\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the path": "GET /describe/a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": "GET /describe/x\r\n\r\n",
    "HTTP/1.2": "GET /describe/x HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/2.0 by name": "GET /describe/x HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "method that is no word": "G(T /describe/x HTTP/1.1\r\nHost: a\r\n\r\n",
    **{
        f"content-length {value!r}": f"PUT /describe/x HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\n12345"
        for value in ("+5", "-5", "5 5", "5,5", "0x5", "5.0", "5e0", "", "\xb2", str(2**63), str(2**64), "9" * 40)
    },
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
def test_ambiguous_or_malformed_request_is_refused_and_the_connection_closed(
    server: Server, request_bytes: bytes | str
) -> None:
    """Whatever two readers could read differently gets 400 in XML, and nothing after it on the connection is read."""
    if isinstance(request_bytes, str):
        request_bytes = request_bytes.encode("latin-1")
    status, body = head(exchange(server.port, request_bytes + GOOD.encode()))
    assert status == 400
    assert body.startswith(b"<?xml")
    assert b"<Error><Code>" in body


def test_transfer_coding_that_is_not_done_is_not_implemented(server: Server) -> None:
    """A coding that ends in chunked can be framed, but not undone: 501, as S3 answers."""
    request = "PUT /describe/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + GOOD
    status, body = head(exchange(server.port, request))
    assert (status, b"<Code>NotImplemented</Code>" in body) == (501, True)


ACCEPTED = {
    "a name": "GET /describe/x HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "a name with an underscore": "GET /describe/x HTTP/1.1\r\nHost: my_host.local:8080\r\n\r\n",
    "an IPv6 address": "GET /describe/x HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    "absolute form for its host": "GET http://A:80/describe/x HTTP/1.1\r\nHost: a:80\r\n\r\n",
    "no content": "PUT /describe/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "chunked in capitals": "PUT /describe/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
    "chunk extension": CHUNKED + "\r\n5;name=value\r\nhello\r\n0\r\n\r\n",
    "tab and latin-1 in a header": "GET /describe/x HTTP/1.1\r\nHost: a\r\nX: a\tb\xfc\r\n\r\n",
    "an offer to switch protocols": "GET /describe/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
}


@pytest.mark.parametrize("request_text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_unusual_but_clear_request_is_served(server: Server, request_text: str) -> None:
    """The guard is no stricter than RFC 9112, and the connection can be used again."""
    with connect(server.port) as connection:
        connection.send(request_text)
        assert seen(connection)["raw_path"] == "/describe/x"
        connection.send(GOOD)
        assert seen(connection)["raw_path"] == "/describe/good"


def test_http_1_0_with_a_host_is_answered_and_closed(server: Server) -> None:
    """An HTTP/1.0 client gets its answer and an end of the connection, whatever it asks for."""
    status, _ = head(exchange(server.port, "GET /describe/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"))
    assert status == 200


def test_the_raw_path_reaches_the_door_as_it_came(server: Server) -> None:
    """A signature covers the path as it was sent: nothing is decoded, merged or resolved."""
    path = "/describe/a%2Fb//./..//%2e%2e/c%20d+e;f=g,%C3%A9/"
    with connect(server.port) as connection:
        connection.send(f"GET {path}?x=%2F HTTP/1.1\r\nHost: a\r\n\r\n")
        assert seen(connection)["raw_path"] == path


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_header_section_up_to_the_limit_is_served(server: Server) -> None:
    """The limit is what it says: a header section just below it passes, also in one packet with a large body."""
    filler = "X" * (protocol.MAX_HEADER_SECTION - 200)
    body = "b" * 100_000
    with connect(server.port) as connection:
        connection.send(
            f"PUT /describe/x HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\nX: {filler}\r\n\r\n{body}"
        )
        assert seen(connection)["body"] == body


OVERSIZED = {
    "one header of 64 KiB": f"GET /describe/x HTTP/1.1\r\nHost: a\r\nX: {'x' * 65536}\r\n\r\n",
    "many headers": "GET /describe/x HTTP/1.1\r\nHost: a\r\n"
    + "".join(f"X{i}: {'x' * 90}\r\n" for i in range(200))
    + "\r\n",
    "more headers than counted": "GET /describe/x HTTP/1.1\r\nHost: a\r\n"
    + "".join(f"X{i}: y\r\n" for i in range(guard.MAX_HEADER_COUNT))
    + "\r\n",
    "long target": f"GET /describe/{'x' * 20000} HTTP/1.1\r\nHost: a\r\n\r\n",
    "long query": f"GET /describe/x?{'x' * 20000} HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("request_text", OVERSIZED.values(), ids=OVERSIZED.keys())
def test_oversized_header_section_is_refused(server: Server, request_text: str) -> None:
    """More than a client can need is refused with S3's own code."""
    status, body = head(exchange(server.port, request_text))
    assert (status, b"<Code>RequestHeaderSectionTooLarge</Code>" in body) == (400, True)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param("GET /describe/", "x" * 1000, id="target"),
        pytest.param("GET /describe/x HTTP/1.1\r\nHost: a\r\nX: ", "x" * 1000, id="header"),
        pytest.param("GET /describe/x HTTP/1.1\r\nHost: a\r\n", "X: y\r\n" * 100, id="headers"),
        pytest.param(CHUNKED + "\r\n0\r\nX: ", "x" * 1000, id="trailer"),
        pytest.param(CHUNKED + "\r\n0\r\n", "X: y\r\n" * 100, id="trailers"),
        pytest.param(CHUNKED + "\r\n5;", "x" * 1000, id="chunk extension"),
    ],
)
def test_endless_header_is_cut_off(server: Server, start: str, piece: str) -> None:
    """A section that never ends is refused when it has become too large, not held until it does."""
    with connect(server.port) as connection:
        connection.send(start)
        sent = 0
        try:
            while sent < 64 * 1024 * 1024:  # far more than sockets hold
                connection.send(piece)
                sent += len(piece)
        except OSError:  # the server has hung up
            pass
        else:
            pytest.fail(f"{sent} bytes were taken")


# --- several requests on one connection ------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Requests that come in one packet are answered one after the other."""
    with connect(server.port) as connection:
        connection.send(*(f"PUT /describe/{i} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{i}" for i in range(5)))
        assert [seen(connection)["body"] for _ in range(5)] == ["0", "1", "2", "3", "4"]


def test_rubbish_after_a_good_request_does_not_take_its_answer(server: Server) -> None:
    """The good request is answered as itself, and the connection closed after it."""
    with connect(server.port) as connection:
        connection.send(GOOD, "rubbish\r\n\r\n")
        assert seen(connection)["raw_path"] == "/describe/good"
        assert connection.is_closed()


def test_rubbish_during_an_answer_is_not_answered_inside_it(server: Server) -> None:
    """What cannot be read while a large answer is under way never adds a byte to that answer."""
    size = 64 * 1024 * 1024  # more than the sockets hold: the answer is not finished before it is read
    with connect(server.port) as connection:
        connection.send(f"GET /large?size={size} HTTP/1.1\r\nHost: a\r\n\r\n")
        response = connection.response()
        connection.send("rubbish\r\n\r\n")
        assert response.body() == bytes(size)
        assert connection.is_closed()


def test_malformed_chunk_after_the_answer_began_breaks_the_connection(server: Server) -> None:
    """A body that turns out malformed after an early answer ends the connection, without a second answer."""
    with connect(server.port) as connection:
        connection.send("PUT /refuse/x?after HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        assert connection.answer()[0] == 403
        connection.send("rubbish\r\n")
        assert connection.is_closed()


def test_trailers_are_not_taken_for_headers(server: Server) -> None:
    """A field after the body changes nothing that a door or the guard sees among the headers."""
    with connect(server.port) as connection:
        connection.send(CHUNKED, "\r\n5\r\nhello\r\n0\r\nHost: b\r\nAuthorization: evil\r\nX-Amz-Meta-A: b\r\n\r\n")
        described = seen(connection)
        assert described["body"] == "hello"
        assert described["headers"] == [["host", "a"], ["transfer-encoding", "chunked"]]
        connection.send(GOOD)
        assert seen(connection)["raw_path"] == "/describe/good"


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_a_body_that_ends_early_is_no_body(server: Server) -> None:
    """A client that hangs up in the middle of a body has stored nothing."""
    with connect(server.port) as connection:
        connection.send("PUT /store/cut HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n12345")
    with connect(server.port) as connection:
        connection.send("PUT /store/whole HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345")
        assert connection.answer() == (200, b"stored")
    assert not (server.data / b"/store/cut".hex()).exists()
    assert (server.data / b"/store/whole".hex()).read_bytes() == b"12345"


def test_expected_body_is_asked_for_when_the_door_wants_it(server: Server) -> None:
    """100 Continue is sent when the body is first read, and the answer after it."""
    with connect(server.port) as connection:
        connection.send("PUT /describe/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert connection.sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send("hello", GOOD)
        assert seen(connection)["body"] == "hello"
        assert seen(connection)["raw_path"] == "/describe/good"


def test_refused_expected_body_closes_the_connection(server: Server) -> None:
    """Nobody knows whether a body that was never asked for still comes: after the error the connection is closed."""
    with connect(server.port) as connection:
        connection.send("PUT /refuse/x HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\nExpect: 100-continue\r\n\r\n")
        response = connection.response()
        assert (response.status, response.body()) == (403, b"denied")
        assert response.headers["connection"] == "close"
        assert connection.is_closed()


@pytest.mark.parametrize("query", ["", "?after"], ids=["nothing was read", "something was read"])
def test_connection_stays_in_step_after_an_early_answer(server: Server, query: str) -> None:
    """What is left of a body of moderate size is dropped, and the next request is read from where it begins."""
    body = (GOOD * 20000).encode()
    assert len(body) < guard.MAX_DISCARDED
    with connect(server.port) as connection:
        connection.send(f"PUT /refuse/x{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n")
        sender = threading.Thread(target=connection.send, args=(body,))
        sender.start()
        response = connection.response()
        assert (response.status, response.body()) == (403, b"denied")
        assert "connection" not in response.headers
        sender.join()
        connection.send("GET /describe/next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert seen(connection)["raw_path"] == "/describe/next"


@pytest.mark.parametrize(
    "framing", ["Content-Length: 1000000000", "Transfer-Encoding: chunked"], ids=["declared", "chunked"]
)
def test_early_answer_reaches_a_client_that_is_still_sending(server: Server, framing: str) -> None:
    """A body too large to be dropped, or of unknown size, ends the connection once the client could read the answer."""
    piece = b"x" * 65536
    chunk = piece if "Length" in framing else b"%x\r\n%b\r\n" % (len(piece), piece)
    with connect(server.port) as connection:
        connection.send(f"PUT /refuse/x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")
        for _ in range(16):
            connection.send(chunk)
        response = connection.response()
        assert (response.status, response.body()) == (403, b"denied")
        assert response.headers["connection"] == "close"
        with pytest.raises(OSError):  # noqa: PT012 - broken pipe or reset, after some of them
            while True:
                connection.send(chunk)


# --- silence ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections made in this test are given up after a fraction of a second of silence."""
    monkeypatch.setattr(protocol, "STALL_SECONDS", 0.1)


@pytest.mark.parametrize("start", ["", "GET /desc", "GET /describe/x HTTP/1.1\r\nHost: a\r\nX: "])
def test_connection_that_never_finishes_a_header_section_is_closed(server: Server, impatient: None, start: str) -> None:
    """A client that connects, or begins a request, and then says nothing is given up."""
    with connect(server.port) as connection:
        connection.send(start)
        assert connection.is_closed()


def test_header_section_that_trickles_is_given_up(server: Server, impatient: None) -> None:
    """A byte now and then does not keep a connection: the section as a whole has to end."""
    with connect(server.port) as connection, pytest.raises(OSError):  # noqa: PT012 - after some of them
        connection.send("GET /describe/x HTTP/1.1\r\nHost: a\r\nX: ")
        connection.sock.settimeout(0.02)
        while True:
            connection.send("x")
            try:
                if connection.sock.recv(1) == b"":
                    raise ConnectionResetError
            except TimeoutError:
                pass


def test_body_that_stops_coming_is_given_up(server: Server, impatient: None) -> None:
    """A silent body is answered with S3's RequestTimeout, and the connection closed."""
    with connect(server.port) as connection:
        connection.send("PUT /store/silent HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n12345")
        status, body = head(connection.rest())
        assert (status, b"<Code>RequestTimeout</Code>" in body) == (400, True)


def test_slow_door_is_no_silent_client(server: Server, impatient: None) -> None:
    """A client that has said all it had to say waits for its answer as long as it takes."""
    with connect(server.port) as connection:
        connection.send("PUT /sleep?seconds=0.5 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        assert connection.answer() == (200, b"slept")
        connection.send(
            "PUT /sleep?seconds=0.5 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.answer() == (200, b"slept")


def test_idle_connection_between_requests_is_kept(server: Server, impatient: None) -> None:
    """A pooled connection that waits for its next request is not taken for a stalled one."""
    with connect(server.port) as connection:
        for _ in range(2):
            connection.send(GOOD)
            assert seen(connection)["raw_path"] == "/describe/good"
            threading.Event().wait(0.5)
        connection.send(GOOD)
        assert seen(connection)["raw_path"] == "/describe/good"


def test_connection_without_requests_is_closed_in_the_end(
    server: Server, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooled connection that nobody uses any more is not kept for ever."""
    monkeypatch.setattr(protocol, "KEEP_ALIVE_SECONDS", 0.2)
    with connect(server.port) as connection:
        connection.send(GOOD)
        assert seen(connection)["raw_path"] == "/describe/good"
        assert connection.is_closed()


def test_silence_before_an_answer_is_not_idle(server: Server, impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long an answer takes, its connection is not taken for one that nobody uses."""
    monkeypatch.setattr(protocol, "KEEP_ALIVE_SECONDS", 0.1)
    with connect(server.port) as connection:
        connection.send("PUT /sleep?seconds=0.8 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        assert connection.answer() == (200, b"slept")


# --- packets ---------------------------------------------------------------------------------------------------------


def test_packet_boundaries_make_no_difference(server: Server) -> None:
    """However a request is cut into packets, it is read as the same request, and so is the one after it."""
    request = CHUNKED + "X-Test: value\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n" + GOOD
    for cut in range(1, len(request)):
        with connect(server.port) as connection:
            connection.send(request[:cut])
            connection.send(request[cut:])
            described = seen(connection)
            assert (described["body"], described["headers"][-1]) == ("hello world", ["x-test", "value"]), cut
            assert seen(connection)["raw_path"] == "/describe/good", cut
