"""Where a bucket of Amazon's, or of any other S3, is and who we are to it.

Credentials are looked for by awscrt, as in every other SDK of Amazon's: access keys of the environment, the profiles of
``~/.aws`` (static keys, roles, ``credential_process``), web identities, containers and instances. It cannot do single
sign-on by itself: such a profile is told to use ``credential_process``. Where there are no credentials at all, requests
are anonymous, which is what public buckets ask for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from configparser import ConfigParser, Error
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tidegate import errors
from tidegate.passage import Style
from tidegate.properties.tree import ExtraAWS
from tidegate.upstream.s3_signing import Secret, signed
from tidegate.upstream.sockets import PORTS
from tidegate.upstream.wire import Origin, Request, encode, origin

if TYPE_CHECKING:
    from awscrt.auth import AwsCredentials, AwsCredentialsProvider

DEFAULT_REGION: Final = "us-east-1"

# Credentials that say nothing of their end are looked up again after this, as files change; none at all, sooner.
_KEEP_SECONDS: Final = 300.0
_NONE_SECONDS: Final = 60.0
# Before credentials end, new ones are fetched.
_MARGIN_SECONDS: Final = 120.0
# An instance's credentials come in milliseconds; a process that asks somebody may take a while.
_FETCH_SECONDS: Final = 60.0


class Account(msgspec.Struct, frozen=True):
    """How a bucket is reached: the region it is taken to be in, the endpoint if it is not Amazon's, the profile."""

    region: str
    endpoint: str
    profile: str


def account(extra: ExtraAWS, environment: Mapping[str, str]) -> Account:
    """From the bucket's properties, else the environment, else the profile.

    The environment's names are those of Amazon's SDKs, and ``S3_ENDPOINT``, which is AIStore's.
    """
    profile = extra.profile or environment.get("AWS_PROFILE", "")
    told = _profile(profile or "default", environment)
    region = (
        extra.cloud_region
        or environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or told.get("region")
        or DEFAULT_REGION
    )
    endpoint = (
        extra.endpoint
        or environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or environment.get("S3_ENDPOINT")
        or told.get("endpoint_url")
        or ""
    )
    return Account(region, endpoint, profile)


def place(account: Account, region: str, bucket: str) -> tuple[Origin, str]:
    """Where requests for a bucket go, and what comes before a key in their paths (``/bucket`` or nothing).

    A bucket without a name is the service, which lists buckets. Amazon's own buckets are virtual hosts, as far as its
    certificates go: a name with a dot has none.
    """
    root = f"/{encode(bucket)}" if bucket else ""
    if account.endpoint:
        return origin(account.endpoint), root
    domain = f"s3.{encode(region)}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    if not bucket or "." in bucket or "_" in bucket or bucket != bucket.lower():
        return Origin("https", domain, None), root
    return Origin("https", f"{bucket}.{domain}", None), ""


class Form(msgspec.Struct, frozen=True):
    """How a client may name a bucket's place: in the Host, and by what comes before a key in the path."""

    host: str
    root: str
    style: Style


def forms(account: Account, region: str, bucket: str) -> tuple[Form, ...]:
    """All names of the one place that a bucket has, the usual one first. None names another server's.

    Only of Amazon it is known that the Host chooses the bucket. A server that does not mind it takes the beginning of
    the key for the bucket: then what somebody else has in a bucket of their own would pass for an object of this one.
    """
    where, root = place(account, region, bucket)
    by_path = f"/{encode(bucket)}"
    if account.endpoint:
        if where.port == PORTS[where.scheme]:  # no client says it
            where = msgspec.structs.replace(where, port=None)
        return (Form(where.authority, root, "path"),)
    domains = [where.host if root else where.host.removeprefix(f"{bucket}.")]
    if region == DEFAULT_REGION:
        domains.append("s3.amazonaws.com")  # the older name, which boto3 still signs for
    found = [Form(f"{bucket}.{domain}", "", "virtual") for domain in domains]
    found += [Form(domain, by_path, "path") for domain in domains]
    return tuple(found)


class Signer:
    """Signs requests with the credentials of a profile, or those that the environment has."""

    def __init__(self, uri: str, account: Account, environment: Mapping[str, str]) -> None:
        self._uri = uri
        self._profile = account.profile
        self._environment = environment
        self._secret: Secret | None = None
        self._until = 0.0
        self._fetching = asyncio.Lock()

    async def sign(self, request: Request, region: str) -> Request:
        """The request with a signature (version 4), or as it is where there are no credentials.

        The hash of a body is taken from ``x-amz-content-sha256`` if it is there. Raises ``RemoteDenied`` where a
        profile has no credentials.
        """
        if time.time() >= self._until:
            await self._look()
        return request if self._secret is None else signed(request, region, self._secret)

    async def _look(self) -> None:
        """Looks for credentials, unless somebody has just done so."""
        async with self._fetching:
            if time.time() < self._until:
                return
            found = await asyncio.to_thread(self._fetch)
            self._secret = None
            if found is not None:
                self._secret = Secret(found.access_key_id, found.secret_access_key, found.session_token or "")
            self._until = _until(found)

    def _fetch(self) -> AwsCredentials | None:
        # It costs 27 ms and 5 MB to import, so it waits for the first bucket that is Amazon's.
        from awscrt.auth import AwsCredentials, AwsCredentialsProvider  # noqa: PLC0415

        environment = self._environment
        if not self._profile and environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
            return AwsCredentials(  # type: ignore[no-untyped-call]
                environment["AWS_ACCESS_KEY_ID"],
                environment["AWS_SECRET_ACCESS_KEY"],
                environment.get("AWS_SESSION_TOKEN") or None,
            )
        config, keys = _files(environment)
        name = self._profile or "default"
        providers: list[Callable[[], AwsCredentialsProvider]] = [
            partial(
                AwsCredentialsProvider.new_profile,
                profile_name=name,
                config_filepath=str(config),
                credentials_filepath=str(keys),
            )
        ]
        if not self._profile:
            providers.append(AwsCredentialsProvider.new_default_chain)
        for provider in providers:
            try:
                future = provider().get_credentials()  # type: ignore[no-untyped-call]
                found: AwsCredentials = future.result(_FETCH_SECONDS)
            except Exception:  # noqa: BLE001, S112 - awscrt raises RuntimeError and Exception; the next one may have some
                continue
            return found
        if self._profile:
            raise errors.RemoteDenied(f"{self._uri}: {_why(name, environment)}")
        return None


def _until(credentials: AwsCredentials | None) -> float:
    """When to look for credentials again, in seconds since the epoch."""
    now = time.time()
    if credentials is None:
        return now + _NONE_SECONDS
    ends: datetime | None = credentials.expiration
    return now + _KEEP_SECONDS if ends is None else ends.astimezone(UTC).timestamp() - _MARGIN_SECONDS


def _why(name: str, environment: Mapping[str, str]) -> str:
    told = _profile(name, environment)
    if not told:
        return f'the server\'s AWS configuration has no profile "{name}"'
    if any(key.startswith("sso_") for key in told):
        return (
            f'the AWS profile "{name}" needs single sign-on: make one with '
            f'"credential_process = aws configure export-credentials --profile {name} --format process"'
        )
    return f'the AWS profile "{name}" gives no credentials'


def _files(environment: Mapping[str, str]) -> tuple[Path, Path]:
    """The configuration and the file of keys."""
    home = Path(environment.get("HOME") or Path.home()) / ".aws"
    return (
        Path(environment.get("AWS_CONFIG_FILE") or home / "config"),
        Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"),
    )


def _profile(name: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    """What the files say of a profile; nothing where they do not know it."""
    config, keys = _files(environment)
    told: dict[str, str] = {}
    for path, section in ((keys, name), (config, name if name == "default" else f"profile {name}")):
        parser = ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (Error, OSError, UnicodeDecodeError):
            continue
        if parser.has_section(section):
            told.update(parser.items(section))
    return told
