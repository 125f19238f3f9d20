"""The sockets that a server listens on, bound once by the parent process and shared by its workers."""

from __future__ import annotations

import socket

# Connections that wait to be accepted. The kernel cuts it down to its own limit (net.core.somaxconn).
BACKLOG = 2048


class CannotListenError(Exception):
    """An address that cannot be listened on. Says which, and why."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. A client that comes before a worker is ready waits.

    Not with SO_REUSEPORT: a second server on the same port is to fail, not to get half of the connections.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CannotListenError(f"cannot listen on {host}: {error}") from None
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotListenError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return sock


def port_of(sock: socket.socket) -> int:
    """The port that a socket is bound to."""
    port: int = sock.getsockname()[1]
    return port


def url(scheme: str, host: str, port: int) -> str:
    """``http://127.0.0.1:8080``; an IPv6 address gets its brackets."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
