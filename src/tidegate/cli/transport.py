"""Requests of the command lines to a server, and what can go wrong with them on the way.

It knows HTTP only; what is asked and answered, and how a refusal is worded, a ``Voice`` and the modules above know.
Requests are never sent twice: whoever runs a command sees what happened to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead
from typing import Final, Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    MaxRetryError,
    NewConnectionError,
    SSLError,
)

from tidegate.cli.failures import Failure, Refused

T = TypeVar("T")

MSGPACK: Final = "application/msgpack"
# A server that is there accepts at once; one that is far away within a few round trips.
CONNECT_SECONDS: Final = 10.0
# The longest that an answer takes to begin: destroying a large bucket, completing a large upload.
READ_SECONDS: Final = 600.0
# What goes to the socket at once; urllib3's 16 KiB costs a third of the speed of a large upload.
BLOCK: Final = 1024 * 1024
# Connections kept to a server: more than files that are sent at a time.
_CONNECTIONS: Final = 64

# A redirect too: Tidegate has none, and what followed it would go to nobody knows whom.
FAILED: Final = 300
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404


class Readable(Protocol):
    """A body that is read in pieces."""

    def read(self, size: int = -1, /) -> bytes: ...


Body = bytes | Readable | Iterable[bytes] | None


class Voice(msgspec.Struct, frozen=True):
    """How a command line speaks with its server and of it.

    ``variable`` holds the address. ``refusal`` makes what the user is told of an answer that is an error, from the
    request's method, the answer, and what to say where it says nothing. ``stranger`` tells of an answer that was not
    understood.
    """

    agent: str
    variable: str
    refusal: Callable[[str, urllib3.BaseHTTPResponse, str], Refused]
    stranger: str
    stranger_hint: str
    certificates_hint: str


class Client:
    """A connection to a server. ``endpoint`` has a scheme; ``token`` goes with every request, unless it is empty.

    ``certificates`` is a file of those to trust, besides the usual; without ``is_verified`` any is.
    """

    def __init__(
        self, voice: Voice, endpoint: str, token: str = "", *, certificates: str | None = None, is_verified: bool = True
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._voice = voice
        self._headers = {"User-Agent": voice.agent}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if not is_verified:
            urllib3.disable_warnings()
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=False,
            maxsize=_CONNECTIONS,
            blocksize=BLOCK,
            cert_reqs="CERT_REQUIRED" if is_verified else "CERT_NONE",
            ca_certs=certificates,
        )

    @property
    def sends_token(self) -> bool:
        """Whether the server is told who we are."""
        return "Authorization" in self._headers

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        action: Mapping[str, object] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """One request and its whole answer. ``action`` is a JSON document, sent instead of a body.

        Raises ``Refused`` for an answer that is an error, ``Failure`` where there is none.
        """
        with self.stream(
            method, path, query=query, action=action, body=body, headers=headers, timeout=timeout
        ) as response:
            response.data  # noqa: B018 - reads it
            return response

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        action: Mapping[str, object] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """As ``request``, with the answer's body not yet read."""
        sent = {**self._headers, **(headers or {})}
        if action is not None:
            body = msgspec.json.encode(action)
            sent["Content-Type"] = "application/json"
        url = f"{self.endpoint}{path}{'?' + urlencode(query, quote_via=quote) if query else ''}"
        with self._told():
            response = self._pool.request(
                method,
                url,
                body=body,  # type: ignore[arg-type]  # urllib3 wants a whole file, and calls read alone
                headers=sent,
                preload_content=False,
                redirect=False,
                timeout=self._pool.connection_pool_kw["timeout"] if timeout is None else timeout,
            )
            try:
                if response.status >= FAILED:
                    raise self._refusal(method, response)
                yield response
            finally:
                response.close()  # what was read to its end has given its connection back

    def decode(self, response: urllib3.BaseHTTPResponse, kind: type[T]) -> T:
        """What an answer holds, in JSON or MessagePack. Raises ``Failure`` where it is something else."""
        try:
            if response.headers.get("Content-Type") == MSGPACK:
                return msgspec.msgpack.decode(response.data, type=kind, strict=False)
            return msgspec.json.decode(response.data, type=kind, strict=False)
        except msgspec.MsgspecError:
            kind_of = response.headers.get("Content-Type", "no type")
            raise Failure(f"{self._voice.stranger} ({kind_of})", self._voice.stranger_hint) from None

    def _refusal(self, method: str, response: urllib3.BaseHTTPResponse) -> Refused:
        """What an answer that is an error says."""
        reason = response.reason or "no reason given"
        return self._voice.refusal(method, response, f"{self.endpoint} answered {response.status} ({reason})")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what goes wrong on the way into a ``Failure``."""
        try:
            yield
        except HTTPError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Failure:
        where, variable = self.endpoint, self._voice.variable
        cause: BaseException | None = error
        while isinstance(cause, MaxRetryError) and cause.reason is not None:
            cause = cause.reason
        if isinstance(cause, SSLError):
            return Failure(
                f"cannot speak HTTPS with {where}: {_reason(cause)}",
                f"an address with http:// is for plain HTTP; {self._voice.certificates_hint}",
            )
        if isinstance(cause, (NewConnectionError, urllib3.exceptions.TimeoutError, LocationValueError)):
            hint = f"is the server running, and is {variable} its address? To start one here: tidegate serve"
            return Failure(f"cannot reach the server at {where}: {_reason(cause)}", hint)
        deeper = next((each for each in error.args if isinstance(each, Exception)), None)
        if isinstance(deeper, IncompleteRead):  # urllib3's own is one too, with a number instead of what came
            got = len(deeper.partial) if isinstance(deeper.partial, bytes) else deeper.partial
            of = "" if deeper.expected is None else f" of {got + deeper.expected}"
            return Failure(f"the connection to {where} broke off after {got}{of} bytes")
        secure = where.replace("http://", "https://", 1)
        hint = f"if the server speaks HTTPS: {variable}={secure}" if where != secure else ""
        if isinstance(deeper, HTTPException) and not isinstance(deeper, ConnectionError):
            return Failure(f"the connection to {where} broke off: what came is no HTTP", hint)
        reason = deeper.strerror if isinstance(deeper, OSError) else ""
        return Failure(f"the connection to {where} broke off: {reason or 'the server closed it'}", hint)


def quoted(key: str) -> str:
    """A key as a path. A segment ``..`` is a name like any other, which no URL library may resolve."""
    segments = (quote(part, safe="") for part in key.split("/"))
    return "/".join(part.replace(".", "%2E") if part in {".", ".."} else part for part in segments)


def _reason(error: BaseException | None) -> str:
    """The end of an error's story, without the objects that urllib3 prints before it."""
    deeper = error.__cause__ or error.__context__ if error is not None else None
    if isinstance(deeper, OSError) and deeper.strerror:
        return deeper.strerror
    return str(error).rpartition(": ")[2] or type(error).__name__
