"""AIStore's native API over HTTP: where the server is, who we are, requests, and what can go wrong with them.

It knows transport only; ``calls`` knows the operations. Requests are never sent twice: whoever runs a command sees what
happened to it.

Environment: ``AIS_ENDPOINT``; ``AIS_AUTHN_TOKEN`` or ``AIS_AUTHN_TOKEN_FILE``, else the file that ``ais auth login``
writes; ``AIS_CLIENT_CA`` (a file of certificates to trust) and ``AIS_SKIP_VERIFY_CRT`` for HTTPS.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead
from pathlib import Path
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

T = TypeVar("T")

MSGPACK: Final = "application/msgpack"
DEFAULT_ENDPOINT: Final = "http://localhost:8080"
# Where S3 clients are sent to.
S3_PATH: Final = "/s3"
TOKEN_FILE: Final = Path(".config/ais/cli/auth.token")
# A server that is there accepts at once; one that is far away within a few round trips.
CONNECT_SECONDS: Final = 10.0
# The longest that an answer takes to begin: destroying a large bucket, completing a large upload.
READ_SECONDS: Final = 600.0
# What goes to the socket at once; urllib3's 16 KiB costs a third of the speed of a large upload.
BLOCK: Final = 1024 * 1024

# A redirect too: Tidegate has none, and what followed it would go to nobody knows whom.
FAILED: Final = 300
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404

_LOGIN_HINT: Final = (
    "log in with AuthN (i.e. 'ais auth login USER_NAME -p USER_PASS') "
    "or provide a JWT using 'AIS_AUTHN_TOKEN' or 'AIS_AUTHN_TOKEN_FILE'"
)


class Failure(Exception):  # noqa: N818 - what it is for its user
    """A command cannot go on: what the user is told, and what may help."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Refused(Failure):
    """The server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, _LOGIN_HINT if status == UNAUTHORIZED else "")
        self.status = status

    @property
    def names_bucket(self) -> bool:
        """Whether it is about a bucket, and not about an object in it."""
        return self.message.startswith("bucket ")


class Readable(Protocol):
    """A body that is read in pieces."""

    def read(self, size: int = -1, /) -> bytes: ...


Body = bytes | Readable | Iterable[bytes] | None


class _Document(msgspec.Struct):
    """An error of the native API."""

    message: str = ""


class _TokenFile(msgspec.Struct):
    token: str = ""


class Client:
    """A connection to a server. ``endpoint`` has a scheme; ``token`` is a JWT or empty."""

    def __init__(self, endpoint: str, token: str = "") -> None:
        self.endpoint = endpoint.rstrip("/")
        self._headers = {"User-Agent": "ais/tidegate"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        skips = os.environ.get("AIS_SKIP_VERIFY_CRT", "").lower() in {"1", "true", "yes", "y", "on"}
        if skips:
            urllib3.disable_warnings()
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=False,
            maxsize=64,
            blocksize=BLOCK,
            cert_reqs="CERT_NONE" if skips else "CERT_REQUIRED",
            ca_certs=os.environ.get("AIS_CLIENT_CA") or None,
        )

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
                    raise _refusal(method, self.endpoint, response)
                yield response
            finally:
                response.close()  # what was read to its end has given its connection back

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what goes wrong on the way into a ``Failure``."""
        try:
            yield
        except HTTPError as error:
            raise _unreachable(self.endpoint, error) from None


def decode(response: urllib3.BaseHTTPResponse, kind: type[T]) -> T:
    """What an answer holds, in JSON or MessagePack. Raises ``Failure`` where it is something else."""
    try:
        if response.headers.get("Content-Type") == MSGPACK:
            return msgspec.msgpack.decode(response.data, type=kind, strict=False)
        return msgspec.json.decode(response.data, type=kind, strict=False)
    except msgspec.MsgspecError:
        raise Failure(
            f"the server did not answer as AIStore does ({response.headers.get('Content-Type', 'no type')})",
            "is AIS_ENDPOINT the address of Tidegate or AIStore?",
        ) from None


def connect() -> Client:
    """The client that the environment asks for. Raises ``Failure``."""
    return Client(endpoint(), token())


def endpoint() -> str:
    """The server's address with its scheme, from ``AIS_ENDPOINT``. Raises ``Failure`` for that of S3 clients."""
    given = os.environ.get("AIS_ENDPOINT", "").strip() or DEFAULT_ENDPOINT
    address = (given if "://" in given else f"http://{given}").rstrip("/")
    if address.partition("://")[2].endswith(S3_PATH):
        root = address.removesuffix(S3_PATH)
        raise Failure(f"{address} is the address for S3 clients", f"AIS_ENDPOINT={root} is the one for ais")
    return address


def token_file() -> Path:
    """Where the token is kept, if it is not in the environment."""
    given = os.environ.get("AIS_AUTHN_TOKEN_FILE", "")
    return Path(given) if given else Path.home() / TOKEN_FILE


def token() -> str:
    """The token, or nothing. Raises ``Failure`` for a file that was named and cannot be read."""
    if given := os.environ.get("AIS_AUTHN_TOKEN", "").strip():
        return given
    path = token_file()
    if not path.exists() and not os.environ.get("AIS_AUTHN_TOKEN_FILE"):
        return ""
    return read_token(path)


def read_token(path: Path) -> str:
    """The token in a file. Raises ``Failure`` where there is none."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        hint = "AIS_AUTHN_TOKEN_FILE names it" if os.environ.get("AIS_AUTHN_TOKEN_FILE") else ""
        raise Failure(f"there is no token at {path}", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read the token at {path}: {getattr(error, 'strerror', None) or error}") from None
    if not text.startswith("{"):
        return text
    try:
        return msgspec.json.decode(text, type=_TokenFile).token
    except msgspec.MsgspecError:
        raise Failure(f"{path} holds no token", "log in again: ais auth login USER_NAME -p USER_PASS") from None


def object_path(bucket: str, key: str) -> str:
    """The path of an object. A segment ``..`` is a name like any other, which no URL library may resolve."""
    segments = (quote(part, safe="") for part in key.split("/"))
    quoted = "/".join(part.replace(".", "%2E") if part in {".", ".."} else part for part in segments)
    return f"{bucket_path(bucket)}/{quoted}".replace("/v1/buckets/", "/v1/objects/", 1)


def bucket_path(bucket: str) -> str:
    """The path of a bucket."""
    return f"/v1/buckets/{quote(bucket, safe='')}"


def _refusal(method: str, where: str, response: urllib3.BaseHTTPResponse) -> Failure:
    """What an answer that is an error says."""
    document = response.headers.get("Hdr-Error", "").encode() if method == "HEAD" else response.data
    try:
        message = msgspec.json.decode(document, type=_Document).message
    except msgspec.MsgspecError:
        message = ""
    if not message:
        reason = response.reason or "no reason given"
        message = f"{where} answered {response.status} ({reason})"
    return Refused(response.status, message)


def _unreachable(where: str, error: Exception) -> Failure:
    cause: BaseException | None = error
    while isinstance(cause, MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    hint = "is the server running, and is AIS_ENDPOINT its address? To start one here: tidegate serve"
    if isinstance(cause, SSLError):
        return Failure(
            f"cannot speak HTTPS with {where}: {_reason(cause)}",
            "an address with http:// is for plain HTTP; AIS_CLIENT_CA names a file of certificates to trust",
        )
    if isinstance(cause, (NewConnectionError, urllib3.exceptions.TimeoutError, LocationValueError)):
        return Failure(f"cannot reach the server at {where}: {_reason(cause)}", hint)
    deeper = next((each for each in error.args if isinstance(each, Exception)), None)
    if isinstance(deeper, IncompleteRead):  # urllib3's own is one too, with a number instead of what came
        got = len(deeper.partial) if isinstance(deeper.partial, bytes) else deeper.partial
        of = "" if deeper.expected is None else f" of {got + deeper.expected}"
        return Failure(f"the connection to {where} broke off after {got}{of} bytes")
    secure = where.replace("http://", "https://", 1)
    hint = f"if the server speaks HTTPS: AIS_ENDPOINT={secure}" if where != secure else ""
    if isinstance(deeper, HTTPException) and not isinstance(deeper, ConnectionError):
        return Failure(f"the connection to {where} broke off: what came is no HTTP", hint)
    reason = deeper.strerror if isinstance(deeper, OSError) else ""
    return Failure(f"the connection to {where} broke off: {reason or 'the server closed it'}", hint)


def _reason(error: BaseException | None) -> str:
    """The end of an error's story, without the objects that urllib3 prints before it."""
    deeper = error.__cause__ or error.__context__ if error is not None else None
    if isinstance(deeper, OSError) and deeper.strerror:
        return deeper.strerror
    return str(error).rpartition(": ")[2] or type(error).__name__
