"""The sockets of the connections to a remote, so that threads which wait on them can be woken when the server ends."""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress
from typing import Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

#: Where a scheme's servers listen, unless a URL says otherwise.
PORTS: Final = {"http": 80, "https": 443}


class Sockets:
    """Those that are open. May be used by any thread."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._is_closed = False

    def add(self, opened: socket.socket | None) -> None:
        """Takes down a socket that a connection has opened. Where all were closed, this one is too."""
        if opened is None:
            return
        with self._lock:
            self._open.add(opened)
            is_closed = self._is_closed
        if is_closed:
            _end(opened)

    def close(self) -> None:
        """Ends all: who reads or writes gets an error at once. Their files are closed by whoever has them."""
        with self._lock:
            self._is_closed = True
            left = list(self._open)
        for opened in left:
            _end(opened)

    def pools(self) -> dict[str, type]:
        """What urllib3 is to make connections of, by scheme, so that their sockets are known here."""
        add = self.add

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                add(self.sock)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                add(self.sock)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        return {"http": PlainPool, "https": SecurePool}


def _end(opened: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)  # TLS's own would take the state from under its reader
