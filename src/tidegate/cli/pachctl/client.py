"""Where the server is, who we are, and how ``/v2`` says no.

It knows transport only; ``calls`` knows the operations.

Environment: ``PACHD_ADDRESS``; ``PACH_CONFIG`` names another configuration file. Certificates of one's own are named
with ``SSL_CERT_FILE``, as OpenSSL has it.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec
import urllib3

from tidegate import documents
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.pachctl import config
from tidegate.cli.transport import UNAUTHORIZED, Client, Voice

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:8080"
_LOGIN_HINT: Final = "log in with pachctl auth login, or give a token: pachctl auth use-auth-token"


def connect() -> Client:
    """The client that the environment asks for. Raises ``Failure``."""
    address = endpoint()
    _, context = config.context()
    # A token is shown to the server that it is from, and to no other.
    is_ours = not context.pachd_address or normal(context.pachd_address) == address
    return client_of(address, context.session_token if is_ours else "")


def client_of(address: str, token: str = "") -> Client:
    """A client of the server at an address."""
    return Client(VOICE, address, token)


def endpoint() -> str:
    """The server's address with its scheme: from ``PACHD_ADDRESS``, else the configuration. Raises ``Failure``."""
    given = os.environ.get("PACHD_ADDRESS", "").strip()
    if not given:
        _, context = config.context()
        given = context.pachd_address or DEFAULT_ENDPOINT
    return normal(given)


def normal(address: str) -> str:
    """An address with its scheme, and nothing behind its port. Raises ``Failure`` for what is not HTTP."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "http", address
    if scheme not in {"http", "https"}:
        raise Failure(
            f"PACHD_ADDRESS={address}: Tidegate speaks HTTP, not {scheme}",
            f"PACHD_ADDRESS=http://{rest or 'host:port'}",
        )
    return f"{scheme}://{rest.rstrip('/')}"


def _refusal(method: str, response: urllib3.BaseHTTPResponse, otherwise: str) -> Refused:
    """What an answer that is an error says."""
    document = b"" if method == "HEAD" else response.data
    try:
        told = msgspec.json.decode(document, type=documents.Failure).error
    except msgspec.MsgspecError:
        told = documents.Fault("", "", "")
    hint = _LOGIN_HINT if response.status == UNAUTHORIZED else ""
    if told.code == "AuthenticationIsOff":  # in Pachyderm's words, which clients look for
        told, hint = msgspec.structs.replace(told, message="the auth service is not activated"), told.message
    return Refused(response.status, told.message or otherwise, hint, code=told.code, document=document)


VOICE: Final = Voice(
    agent="pachctl/tidegate",
    variable="PACHD_ADDRESS",
    refusal=_refusal,
    stranger="the server did not answer as Tidegate does",
    stranger_hint="is PACHD_ADDRESS the address of Tidegate?",
    certificates_hint="SSL_CERT_FILE names a file of certificates to trust",
)
