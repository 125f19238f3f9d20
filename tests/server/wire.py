"""HTTP by hand: what goes over a socket is what a test writes, byte for byte."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from http.client import HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# For what comes at once or never; a test that waits for nothing waits this long.
SECONDS = 20.0


class Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, *pieces: bytes | str) -> None:
        self.sock.sendall(b"".join(piece.encode("latin-1") if isinstance(piece, str) else piece for piece in pieces))

    def response(self, method: str = "GET") -> Response:
        """The next response, up to its body."""
        response = Response(self.sock, method)
        response.begin()
        return response

    def answer(self, method: str = "GET") -> tuple[int, bytes]:
        """The status and body of the next response."""
        response = self.response(method)
        return response.status, response.body()

    def is_closed(self) -> bool:
        """Whether the server closes the connection without another byte."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        received = b""
        while True:
            try:
                piece = self.sock.recv(65536)
            except ConnectionResetError:
                return received
            if not piece:
                return received
            received += piece


class Response(HTTPResponse):
    """A response that takes nothing from the socket of what comes after it."""

    def __init__(self, sock: socket.socket, method: str) -> None:
        super().__init__(sock, method=method)
        self.fp.close()
        self.fp = sock.makefile("rb", buffering=0)  # type: ignore[assignment]

    def body(self) -> bytes:
        """All of the body; raises IncompleteRead where the connection ends before it does."""
        pieces = []
        while piece := self.read(65536):
            pieces.append(piece)
        if self.length:
            raise IncompleteRead(b"".join(pieces), self.length)
        return b"".join(pieces)


@contextmanager
def connect(port: int) -> Iterator[Connection]:
    """A connection to a server on this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Connection(sock)


def exchange(port: int, request: bytes | str) -> bytes:
    """Sends bytes and returns everything that comes back until the server closes the connection."""
    with connect(port) as connection:
        connection.send(request)
        return connection.rest()
