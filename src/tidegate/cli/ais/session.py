"""``ais auth login``, ``logout``, ``whoami`` and ``rm token``: the token of who is at the keyboard."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from tidegate.cli import say, secrets, values
from tidegate.cli.ais import client as connection
from tidegate.cli.ais import text
from tidegate.cli.ais.authn import (
    NANOSECONDS,
    ClusterOption,
    PasswordOption,
    Rules,
    User,
    authn_url,
    claims_of,
    path_of,
    read_password,
    spelt,
)
from tidegate.cli.ais.grammar import JsonOption, YesOption
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.transport import UNAUTHORIZED

NOBODY: Final = "not logged in"
STALE: Final = (
    "your roles have been updated and are not reflected in your token's access list shown above.\n"
    "Log in again to refresh your token."
)


class _Token(msgspec.Struct):
    token: str


FileOption = Annotated[
    Path | None, typer.Option("-f", "--file", metavar="FILE", help="The file of the token.", show_default=False)
]


def login(
    name: Annotated[str, typer.Argument(metavar="USER", show_default=False)],
    password: PasswordOption = None,
    file: FileOption = None,
    expires: Annotated[
        str,
        typer.Option(
            "-e", "--expire", metavar="TIME", help="How long the token is good; 0: longest.", show_default=False
        ),
    ] = "",
    cluster: ClusterOption = "",
) -> None:
    """Log in: get a token and keep it in a file, where other commands find it."""
    message: dict[str, object] = {"password": read_password(password)}
    if expires:
        message["expires_in"] = int(values.parse_duration(expires) * NANOSECONDS)
    if cluster:
        message["cluster_id"] = cluster
    try:
        answer = connection.client_of(authn_url()).request("POST", path_of("users", name), action=message)
    except Refused as error:
        if error.status == UNAUTHORIZED:
            raise Failure(error.message) from None
        raise
    token = msgspec.json.decode(answer.data, type=_Token).token
    path = connection.token_file() if file is None else file
    secrets.keep(path, msgspec.json.encode({"token": token}))
    print(f"Logged in ({_shown(path)})")
    if os.environ.get("AIS_AUTHN_TOKEN"):
        say.warning("AIS_AUTHN_TOKEN is set, and counts before the file")


def logout(file: FileOption = None) -> None:
    """Log out: end the token, and remove its file."""
    path = connection.token_file() if file is None else file
    token = _token(file)
    if not token:
        raise Failure(NOBODY)
    _revoke(token)
    path.unlink(missing_ok=True)
    print(f"Logged out ({_shown(path)})")


def whoami(as_json: JsonOption = False) -> None:
    """Show who the token speaks for, until when, and what it gives."""
    token = _token(None)
    if not token:
        raise Failure(NOBODY)
    claims = claims_of(token)
    if claims.exp <= time.time():
        raise Failure("token expired", "log in again: ais auth login USER_NAME -p USER_PASS")
    client = connection.client_of(authn_url(), token)
    answer = client.request("GET", path_of("users", claims.sub))
    user = msgspec.json.decode(answer.data, type=User)
    is_stale = (claims.merged(), claims.admin) != (user.rules.merged(), user.rules.admin)
    if as_json:
        print(
            text.document(
                {"user": claims.sub, "expires": claims.exp, "roles": [role.name for role in user.roles or ()]}
            )
        )
    else:
        seconds = int(claims.exp - time.time())
        _section("Identity", [("User", claims.sub), ("Expires", f"{_moment(claims.exp)} (in {_span(seconds)})")])
        _section("Roles", [(role.name, role.desc) for role in user.roles or ()])
        _section("Access", _access(claims))
    if is_stale:
        say.warning(STALE)


def remove_token(
    token: Annotated[str, typer.Argument(metavar="TOKEN", show_default=False)] = "",
    yes: YesOption = False,
    file: FileOption = None,
) -> None:
    """End a token for good: the one in a file, or the one that is given."""
    ended = token or _token(file)
    if not ended:
        raise Failure(NOBODY)
    if say.confirm("Proceed to revoke the token?", yes=yes):
        _revoke(ended, by=connection.token() or ended)
        print("token revoked")


def _token(file: Path | None) -> str:
    """The token in use, or the one in a file; nothing where there is none. Raises ``Failure``."""
    if file is None:
        return connection.token()
    return connection.read_token(file)


def _revoke(token: str, *, by: str = "") -> None:
    """Ends a token. One that the server no longer takes is ended already."""
    try:
        connection.client_of(authn_url(), by or token).request("DELETE", "/v1/tokens", action={"token": token})
    except Refused as error:
        if error.status != UNAUTHORIZED:
            raise


def _shown(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _access(rules: Rules) -> list[tuple[str, str]]:
    if rules.admin:
        return [("Full admin access", "")]
    clusters, buckets = rules.merged()
    return [
        *((f"cluster {cluster}" if cluster else "any cluster", spelt(perm)) for cluster, perm in clusters.items()),
        *((bucket.uri, spelt(perm)) for bucket, perm in buckets.items()),
    ]


def _section(heading: str, rows: Sequence[tuple[str, str]]) -> None:
    """A heading, and two columns below it."""
    print(heading)
    lines = text.table(("", ""), rows, has_header=False).splitlines() if rows else ["(none)"]
    for line in lines:
        print(f"  {line}")


def _moment(seconds: int) -> str:
    return text.rfc3339(str(seconds * NANOSECONDS))


def _span(seconds: int) -> str:
    """About how long: the largest unit that fits."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
