"""What a server prints when it is ready: where it is, and two commands that use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.server.listen import url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidegate.settings import Settings

# Listening on every address is nothing to connect to.
_LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not to listen on


def endpoints(settings: Settings) -> tuple[str, ...]:
    """The URLs of the S3 endpoint and, where there is one, of the port that sees repositories."""
    ports = [settings.port] if settings.repos_port is None else [settings.port, settings.repos_port]
    return tuple(url(settings.scheme, settings.host, port) for port in ports)


def announcement(settings: Settings, new_key: tuple[str, str] | None) -> Sequence[str]:
    """The ready line, a new administrator's key if there is one, and how to use the server."""
    main, *repos = endpoints(settings)
    first = f"tidegate ready: {main} (S3 at / and /s3)" + "".join(f", repos at {each}" for each in repos)
    lines = [first]
    if new_key is not None:
        lines.append(f"administrator: access key {new_key[0]} secret key {new_key[1]} (shown only now)")
    return [*lines, *_examples(settings, new_key)]


def _examples(settings: Settings, new_key: tuple[str, str] | None) -> Sequence[str]:
    """With authentication off any key does. Where only their owners know the keys, they have to fill them in."""
    access, secret = new_key or (("ACCESS_KEY", "SECRET_KEY") if settings.auth else ("any", "any"))
    host = _LOCAL.get(settings.host, settings.host)
    endpoint = url(settings.scheme, host, settings.port)
    authority = endpoint.partition("://")[2]
    ssl = "--ssl" if settings.tls_cert is not None else "--no-ssl"
    credentials = f"AWS_ACCESS_KEY_ID={access} AWS_SECRET_ACCESS_KEY={secret}"
    return [
        f"try: {credentials} aws --region us-east-1 --endpoint-url {endpoint} s3 mb s3://demo",
        f"try: s3cmd --access_key={access} --secret_key={secret} {ssl} --host={authority} --host-bucket={authority} ls",
    ]
