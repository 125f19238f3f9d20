"""Who we are to Azure Storage, and how its requests are signed.

A connection string, or an account with its key, a shared access signature, or a token of Microsoft Entra's for an
application, a workload or the machine that we run on.

Sources: Azure Storage, "Authorize with Shared Key", "Create an account SAS"; Microsoft identity platform, "OAuth 2.0
client credentials flow"; "Managed identities: use the IMDS endpoint".
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from tidegate import errors
from tidegate.upstream import tokens
from tidegate.upstream.tokens import Token
from tidegate.upstream.wire import Origin, Request, Wire, origin

# The version of the API that we speak.
VERSION: Final = "2021-12-02"

# Azurite's and the older emulator's account, which everybody knows: Azure Storage, "Use the Azurite emulator".
_EMULATED: Final = (
    "AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1"
)
_AUTHORITY: Final = "https://login.microsoftonline.com"
_RESOURCE: Final = "https://storage.azure.com/"
_IMDS: Final = Origin("http", "169.254.169.254", None)
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# The headers whose values are signed, in this order. The length of nothing is written as nothing. The date is in
# x-ms-date.
_SIGNED: Final = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


class Account(msgspec.Struct, frozen=True):
    """A storage account: where it is, and its key or signature, if it is not a token that opens it."""

    name: str
    origin: Origin
    key: bytes = b""
    signature: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Account(name={self.name!r})"


def account(uri: str, environment: Mapping[str, str]) -> Account:
    """The account that the environment names. Raises ``RemoteDenied`` where it names none, or not as it should be."""
    told = _connection(environment.get("AZURE_STORAGE_CONNECTION_STRING", ""))
    name = told.get("AccountName") or _first(environment, "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
    key = told.get("AccountKey") or _first(
        environment, "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY"
    )
    signature = told.get("SharedAccessSignature") or environment.get("AZURE_STORAGE_SAS_TOKEN", "")
    endpoint = told.get("BlobEndpoint") or _first(environment, "AZURE_STORAGE_ENDPOINT", "AIS_AZURE_URL")
    if not endpoint and name:
        protocol = told.get("DefaultEndpointsProtocol", "https")
        endpoint = f"{protocol}://{name}.blob.{told.get('EndpointSuffix', 'core.windows.net')}"
    if not endpoint:
        raise errors.RemoteDenied(
            f"{uri}: the server's environment names no storage account: set AZURE_STORAGE_CONNECTION_STRING, or "
            "AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY"
        )
    try:
        secret = b64decode(key, validate=True)
    except ValueError:
        raise errors.RemoteDenied(f"{uri}: the storage account's key is not one") from None
    place = origin(endpoint)
    return Account(name or place.host.partition(".")[0], place, secret, tuple(parse_qsl(signature.lstrip("?"))))


def _connection(text: str) -> dict[str, str]:
    if "usedevelopmentstorage=true" in text.lower():
        text = _EMULATED
    return {
        name.strip(): value.strip() for name, _, value in (item.partition("=") for item in text.split(";")) if value
    }


def _first(environment: Mapping[str, str], *names: str) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


class Signer:
    """Signs requests to an account, by whichever way it is opened."""

    def __init__(self, uri: str, wire: Wire, account: Account, environment: Mapping[str, str]) -> None:
        self._uri = uri
        self._wire = wire
        self._account = account
        self._environment = environment
        self._tokens = tokens.Tokens(self._fetch)

    async def sign(self, request: Request) -> Request:
        """The request with all that the API wants in every request. Raises ``RemoteDenied`` where there is no token."""
        headers = {**request.headers, "x-ms-version": VERSION, "x-ms-date": formatdate(usegmt=True)}
        mine = self._account
        if mine.key:
            headers["authorization"] = f"SharedKey {mine.name}:{_signature(mine, request, headers)}"
            return msgspec.structs.replace(request, headers=headers)
        if mine.signature:
            return msgspec.structs.replace(request, headers=headers, query=request.query + mine.signature)
        if token := await self._tokens.get():
            headers["authorization"] = f"Bearer {token}"
        return msgspec.structs.replace(request, headers=headers)

    async def _fetch(self) -> Token:
        told = self._environment
        client, tenant = told.get("AZURE_CLIENT_ID", ""), told.get("AZURE_TENANT_ID", "")
        secret, file = told.get("AZURE_CLIENT_SECRET", ""), told.get("AZURE_FEDERATED_TOKEN_FILE", "")
        if not (client and tenant and (secret or file)):
            return await self._of_machine(client)
        form = {"client_id": client, "grant_type": "client_credentials", "scope": f"{_RESOURCE}.default"}
        if secret:
            form["client_secret"] = secret
        else:
            try:
                assertion = (await asyncio.to_thread(Path(file).read_text, encoding="ascii")).strip()
            except (OSError, UnicodeDecodeError):
                raise errors.RemoteDenied(f"{self._uri}: AZURE_FEDERATED_TOKEN_FILE cannot be read") from None
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
        server = origin(told.get("AZURE_AUTHORITY_HOST") or _AUTHORITY)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await self._ask(
            Request("POST", server, f"/{tenant}/oauth2/v2.0/token", headers=headers, body=urlencode(form).encode())
        )

    async def _of_machine(self, client: str) -> Token:
        query = (("api-version", "2018-02-01"), ("resource", _RESOURCE), *((("client_id", client),) if client else ()))
        try:
            return await self._ask(
                Request("GET", _IMDS, "/metadata/identity/oauth2/token", query, {"metadata": "true"})
            )
        except (errors.RemoteUnavailable, errors.RemoteDenied):
            return tokens.NOBODY  # not one of Azure's machines: public containers only

    async def _ask(self, request: Request) -> Token:
        refusal = f"{self._uri}: Azure gave no token for the server's identity"
        return await tokens.ask(self._wire, request, refusal, is_strict=False)  # machines' tokens end in a text


def _signature(mine: Account, request: Request, headers: Mapping[str, str]) -> str:
    values = {**headers, "content-length": str(len(request.body)) if request.body else ""}
    lines = [request.method, *(values.get(name, "") for name in _SIGNED)]
    lines += [f"{name}:{value.strip()}" for name, value in sorted(headers.items()) if name.startswith("x-ms-")]
    resource = [f"/{mine.name}{request.origin.path}{request.path}"]
    resource += [f"{name.lower()}:{value}" for name, value in sorted(request.query)]
    text = "\n".join(lines).encode("latin-1") + b"\n" + "\n".join(resource).encode()  # headers are Latin-1 for bytes
    return b64encode(hmac.digest(mine.key, text, hashlib.sha256)).decode()
