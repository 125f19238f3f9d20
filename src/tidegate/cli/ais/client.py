"""AIStore's native API over HTTP: where the server is, who we are, and how it says no.

It knows transport only; ``calls`` knows the operations.

Environment: ``AIS_ENDPOINT``; ``AIS_AUTHN_TOKEN`` or ``AIS_AUTHN_TOKEN_FILE``, else the file that ``ais auth login``
writes; ``AIS_CLIENT_CA`` (a file of certificates to trust) and ``AIS_SKIP_VERIFY_CRT`` for HTTPS.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import urllib3

from tidegate.cli.failures import Failure, Refused
from tidegate.cli.transport import UNAUTHORIZED, Client, Voice, quoted

DEFAULT_ENDPOINT: Final = "http://localhost:8080"
# Where S3 clients are sent to.
S3_PATH: Final = "/s3"
TOKEN_FILE: Final = Path(".config/ais/cli/auth.token")

_LOGIN_HINT: Final = (
    "log in with AuthN (i.e. 'ais auth login USER_NAME -p USER_PASS') "
    "or provide a JWT using 'AIS_AUTHN_TOKEN' or 'AIS_AUTHN_TOKEN_FILE'"
)


class _Document(msgspec.Struct):
    """An error of the native API."""

    message: str = ""


class _TokenFile(msgspec.Struct):
    token: str = ""


def connect() -> Client:
    """The client that the environment asks for. Raises ``Failure``."""
    return client_of(endpoint(), token())


def client_of(url: str, token: str = "") -> Client:
    """A client of the server at an address. ``token`` is a JWT or empty."""
    skips = os.environ.get("AIS_SKIP_VERIFY_CRT", "").lower() in {"1", "true", "yes", "y", "on"}
    return Client(VOICE, url, token, certificates=os.environ.get("AIS_CLIENT_CA") or None, is_verified=not skips)


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
    """The path of an object."""
    return f"{bucket_path(bucket)}/{quoted(key)}".replace("/v1/buckets/", "/v1/objects/", 1)


def bucket_path(bucket: str) -> str:
    """The path of a bucket."""
    return f"/v1/buckets/{quote(bucket, safe='')}"


def names_bucket(refused: Refused) -> bool:
    """Whether a refusal is about a bucket, and not about an object in it."""
    return refused.message.startswith("bucket ")


def _refusal(method: str, response: urllib3.BaseHTTPResponse, otherwise: str) -> Refused:
    """What an answer that is an error says."""
    document = response.headers.get("Hdr-Error", "").encode() if method == "HEAD" else response.data
    try:
        message = msgspec.json.decode(document, type=_Document).message
    except msgspec.MsgspecError:
        message = ""
    hint = _LOGIN_HINT if response.status == UNAUTHORIZED else ""
    return Refused(response.status, message or otherwise, hint)


VOICE: Final = Voice(
    agent="ais/tidegate",
    variable="AIS_ENDPOINT",
    refusal=_refusal,
    stranger="the server did not answer as AIStore does",
    stranger_hint="is AIS_ENDPOINT the address of Tidegate or AIStore?",
    certificates_hint="AIS_CLIENT_CA names a file of certificates to trust",
)
