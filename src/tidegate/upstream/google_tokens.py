"""Tokens for Google's APIs: from a service account's key, a user's login, or the machine that we run on.

Sources: RFC 7523 (a signed JWT for a token), RFC 6749 section 6 (a refresh token for a token), Google's "Application
Default Credentials" for where files are looked for, and Compute Engine's metadata server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tidegate import errors
from tidegate.upstream import tokens
from tidegate.upstream.tokens import Token
from tidegate.upstream.wire import Origin, Request, Wire, origin

SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_METADATA_HOST: Final = "metadata.google.internal"
_METADATA: Final = "/computeMetadata/v1/instance/service-accounts/default/token"
_FORM: Final = "application/x-www-form-urlencoded"

_JWT_SECONDS: Final = 3600  # Google's longest


class Credentials(msgspec.Struct, frozen=True):
    """A file of credentials, of either type."""

    type: str = ""
    client_email: str = ""
    private_key: str = ""
    private_key_id: str = ""
    token_uri: str = _TOKEN_URI
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""
    project_id: str = ""
    quota_project_id: str = ""

    def __repr__(self) -> str:
        return f"Credentials(type={self.type!r})"


def credentials(uri: str, path: str, environment: Mapping[str, str]) -> Credentials | None:
    """What the file says that the bucket or the environment names, or gcloud has left; None without one.

    Raises ``RemoteDenied`` for a file that was named and cannot be used.
    """
    named = path or environment.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    folder = environment.get("CLOUDSDK_CONFIG") or Path(environment.get("HOME") or Path.home()) / ".config" / "gcloud"
    file = Path(named) if named else Path(folder) / "application_default_credentials.json"
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Credentials)
    except OSError:
        if not named:
            return None
        raise errors.RemoteDenied(f"{uri}: the file of Google credentials cannot be read") from None
    except msgspec.MsgspecError:
        raise errors.RemoteDenied(f"{uri}: the file of Google credentials is not one") from None
    if found.type not in {"service_account", "authorized_user"}:
        raise errors.RemoteDenied(
            f'{uri}: Google credentials of type "{found.type[:40]}" are not implemented: use a service account\'s key'
        )
    return found


class Signer:
    """Puts a token into requests: an access token that is fetched when it is needed, and kept until it ends."""

    def __init__(self, uri: str, wire: Wire, path: str, environment: Mapping[str, str], *, is_anonymous: bool) -> None:
        self._uri = uri
        self._wire = wire
        self._path = path
        self._environment = environment
        self._tokens = None if is_anonymous else tokens.Tokens(self._fetch)

    async def sign(self, request: Request) -> Request:
        """The request with a token, or as it is where there are no credentials. Raises ``RemoteDenied``."""
        token = "" if self._tokens is None else await self._tokens.get()
        if not token:
            return request
        return msgspec.structs.replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})

    async def _fetch(self) -> Token:
        mine = await asyncio.to_thread(credentials, self._uri, self._path, self._environment)
        if mine is None:
            return await self._of_machine()
        if mine.type == "service_account":
            form = {"grant_type": _GRANT, "assertion": _assertion(self._uri, mine)}
        else:
            form = {
                "grant_type": "refresh_token",
                "client_id": mine.client_id,
                "client_secret": mine.client_secret,
                "refresh_token": mine.refresh_token,
            }
        server = origin(mine.token_uri)
        body = urlencode(form).encode()
        request = Request("POST", server, "", headers={"content-type": _FORM}, body=body)
        return await self._ask(request)

    async def _of_machine(self) -> Token:
        host = self._environment.get("GCE_METADATA_HOST") or _METADATA_HOST
        server = origin(f"http://{host}")
        try:
            return await self._ask(Request("GET", server, _METADATA, headers={"metadata-flavor": "Google"}))
        except (errors.RemoteUnavailable, errors.RemoteDenied):
            return tokens.NOBODY  # not one of Google's machines: public buckets only

    async def _ask(self, request: Request) -> Token:
        return await tokens.ask(self._wire, request, f"{self._uri}: Google gave no token for the server's credentials")


def _assertion(uri: str, mine: Credentials) -> str:
    now = int(time.time())
    claims = {
        "iss": mine.client_email,
        "scope": SCOPE,
        "aud": mine.token_uri,
        "iat": now,
        "exp": now + _JWT_SECONDS,
    }
    try:
        key = RSAKey.import_key(mine.private_key)
        return jwt.encode({"alg": "RS256", "kid": mine.private_key_id}, claims, key)
    except (JoseError, ValueError):
        raise errors.RemoteDenied(f"{uri}: the service account's key is not one") from None


def emulator(environment: Mapping[str, str]) -> Origin | None:
    """Where an emulator is, if there is to be one."""
    host = environment.get("STORAGE_EMULATOR_HOST", "")
    if not host:
        return None
    return origin(host if "://" in host else f"http://{host}")
