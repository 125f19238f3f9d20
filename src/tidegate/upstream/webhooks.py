"""Calls of URLs that users have given us: one POST, one short answer, and nothing else.

No redirect is followed, no proxy used, no cookie or credential sent, and nobody is called at an address that
``addresses`` refuses: names are resolved here, and what is checked is what is connected to. Each call has a connection
of its own, so that none fails over one which the other side has meanwhile given up. urllib3 speaks HTTP, in threads.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import msgspec
from urllib3 import Timeout, exceptions
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from tidegate import errors
from tidegate.upstream.addresses import may_be_called
from tidegate.upstream.sockets import PORTS, Sockets

MAX_URL: Final = 2000
# Calls under way at once, of one process: each holds a thread.
CONCURRENT: Final = 64
# What is read of an answer. Nobody needs more to see what is wrong.
MAX_ANSWER: Final = 1024

# What a URL is made of (RFC 3986): nothing that a reader of requests could take for the end of a line or of a word.
_URL: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


class Reply(msgspec.Struct, frozen=True):
    """An answer: its status, and how its body begins, as text that can be shown."""

    status: int
    text: str

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


class UnreachableError(Exception):
    """There is no answer. Says why, in words that may be shown to who has given the URL."""


class _Place(msgspec.Struct, frozen=True):
    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """As in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str) -> None:
    """Raises ``InvalidArgument`` for what is no URL that can be called."""
    _place(url)


def _place(url: str) -> _Place:
    if len(url) > MAX_URL or not _URL.fullmatch(url):
        raise errors.InvalidArgument(f"a URL has at most {MAX_URL} characters, all of them in ASCII, and no space")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise errors.InvalidArgument(f'"{url[:100]}" is not a URL') from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise errors.InvalidArgument(f'"{url[:100]}" is not a URL with http:// or https:// in front')
    if "@" in parts.netloc:
        raise errors.InvalidArgument("a URL may have no user or password in it: calls are signed with the secret")
    if parts.fragment:
        raise errors.InvalidArgument('a URL that is called has no "#"')
    if port == 0:
        raise errors.InvalidArgument("there is no port 0")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Place(parts.scheme, parts.hostname, port or PORTS[parts.scheme], target)


class Webhooks:
    """Calls, from one process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="hook")

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
        """The answer to a POST, whatever its status. Raises ``UnreachableError`` where there is none in time."""
        place = _place(url)
        sockets = Sockets()
        deadline = time.monotonic() + seconds
        try:
            future = self._threads.submit(_post, place, headers, body, deadline, sockets)
        except RuntimeError:
            raise UnreachableError("the server is ending") from None
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise UnreachableError(f"no answer within {seconds:g} s") from None
        finally:
            sockets.close()  # wakes a thread that nobody waits for any more

    def close(self) -> None:
        """Lets go of the threads. Calls that are under way end when those who wait for them do."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _post(place: _Place, headers: Mapping[str, str], body: bytes, deadline: float, sockets: Sockets) -> Reply:
    """As ``Webhooks.post``, in a thread."""

    class Connection(HTTPConnection):
        def connect(self) -> None:
            self.sock = _connected(place, deadline, sockets)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    left = _left(deadline)
    sent = {"Host": place.authority, "Connection": "close", "Accept-Encoding": "identity", **headers}
    try:
        with Pool(place.host, place.port, maxsize=1) as pool:
            response = pool.urlopen(
                "POST",
                place.target,
                body=body,
                headers=sent,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=Timeout(connect=left, read=left),
                preload_content=False,
                decode_content=False,
            )
            try:
                return Reply(response.status, _readable(response.read(MAX_ANSWER)))
            finally:
                response.close()
    except (exceptions.HTTPError, OSError) as error:
        raise _told(error) from None


def _connected(place: _Place, deadline: float, sockets: Sockets) -> socket.socket:
    """A connection to the first address of a host that takes one, and may be called. Raises ``UnreachableError``."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnreachableError("the host's name is not known") from None
    allowed = [each for each in found if may_be_called(str(each[4][0]))]
    if not allowed:
        raise UnreachableError("the host's address is one that may not be called")
    failure: Exception = UnreachableError("the host has no address")
    for family, kind, protocol, _, address in allowed:
        opened = socket.socket(family, kind, protocol)
        try:
            sockets.add(opened)
            opened.settimeout(_left(deadline))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.connect(address)
            if place.scheme == "http":
                return opened
            secured = _context().wrap_socket(opened, server_hostname=place.host)
        except OSError as error:
            opened.close()
            failure = error
        else:
            sockets.add(secured)
            return secured
    raise _told(failure)


def _left(deadline: float) -> float:
    """The seconds until a time. Raises ``UnreachableError`` when it is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise UnreachableError("no answer in time")
    return left


@cache
def _context() -> ssl.SSLContext:
    """The system's certificates, or those that ``SSL_CERT_FILE`` names."""
    return ssl.create_default_context()


def _told(error: Exception) -> UnreachableError:
    """What people are told of an error, which may have more in it than they should see."""
    match error:
        case UnreachableError():
            return error
        case ssl.SSLError() | exceptions.SSLError():
            return UnreachableError("its certificate is not good, or it speaks no TLS")
        case ConnectionRefusedError():
            return UnreachableError("it refused the connection")
        case TimeoutError() | exceptions.TimeoutError():
            return UnreachableError("no answer in time")
        case exceptions.ProtocolError() | ConnectionError():
            return UnreachableError("it broke off the connection")
        case exceptions.HTTPError():
            return UnreachableError("its answer is not HTTP")
        case _:
            return UnreachableError("it cannot be reached")


def _readable(data: bytes) -> str:
    """Text without what would disturb a terminal, a log or XML."""
    text = data.decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text).strip()
