"""``auth login|logout|whoami|get-robot-token|use-auth-token|revoke|activate``: the token of who is at the keyboard."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Final

import typer

from tidegate import errors
from tidegate.cli import say
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.pachctl import client as connection
from tidegate.cli.pachctl import config
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.grammar import group
from tidegate.cli.transport import UNAUTHORIZED
from tidegate.cli.values import parse_duration
from tidegate.documents import Revoked, Token, Who

auth = group("Log in and out; tokens.")

_NOBODY: Final = "not logged in"
# How users begin that are programs.
_ROBOT: Final = "robot:"

TtlOption = Annotated[
    float | None,
    typer.Option(
        "--ttl", metavar="TIME", help="How long the token is good, as 1h.", parser=parse_duration, show_default=False
    ),
]


@auth.command()
def login(
    user: Annotated[str, typer.Argument(metavar="[USER]", show_default=False)] = "",
    password: Annotated[
        str | None,
        typer.Option("--password", metavar="PASSWORD", help="Without it, it is asked for.", show_default=False),
    ] = None,
    ttl: TtlOption = None,
) -> None:
    """Log in: get a token and keep it in the configuration, where other commands find it."""
    name = user or str(typer.prompt("User", err=True))
    message = {"user": name, "password": _read_secret("Password", password)} | ({"ttl": int(ttl)} if ttl else {})
    client = connection.client_of(connection.endpoint())
    try:
        answer = client.request("POST", "/v2/auth/login", action=message)
    except Refused as refused:
        if refused.status == UNAUTHORIZED:  # who is just doing it needs no hint to log in
            raise Failure(refused.message) from None
        raise
    _keep(client.decode(answer, Token).token)
    say.note(f"Logged in as {name}.")


@auth.command()
def logout() -> None:
    """Log out: forget the token. It is good as long as before; to end it: revoke."""
    if not config.context()[1].session_token:
        raise Failure(_NOBODY)
    config.update(session_token="")
    say.note("Logged out.")


@auth.command()
def whoami() -> None:
    """Show who the token speaks for, and until when."""
    client = connect()
    who = client.decode(client.request("GET", "/v2/auth/whoami"), Who)
    print(f'You are "{"" if who.user.startswith(_ROBOT) else "user:"}{who.user}"')
    if who.expires is not None:
        print(f"session expires: {who.expires.astimezone():%d %b %y %H:%M %Z}")


@auth.command("get-robot-token")
def get_robot_token(
    name: Annotated[str, typer.Argument(metavar="ROBOT", help="A name for the program.", show_default=False)],
    is_quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the token and nothing else.")] = False,
    ttl: TtlOption = None,
) -> None:
    """Get a token for a program."""
    client = connect()
    message = {"name": name} | ({"ttl": int(ttl)} if ttl else {})
    token = client.decode(client.request("POST", "/v2/auth/robot-token", action=message), Token).token
    print(token if is_quiet else f"Token: {token}")


@auth.command("use-auth-token")
def use_auth_token() -> None:
    """Keep a token that one has, and use it."""
    print("Please paste your Pachyderm auth token:", file=sys.stderr, flush=True)
    token = sys.stdin.readline().strip()
    if not token:
        raise Failure("no token was given")
    _keep(token)


@auth.command()
def revoke(
    token: Annotated[
        str, typer.Option("--token", metavar="TOKEN", help="Another than the one in use.", show_default=False)
    ] = "",
    user: Annotated[
        str, typer.Option("--user", metavar="robot:NAME", help="All tokens of this robot.", show_default=False)
    ] = "",
) -> None:
    """End a token for good: the one in use, the one that is given, or all of a robot."""
    if user and (token or not user.startswith(_ROBOT)):
        raise errors.InvalidArgument("either --token TOKEN, or --user robot:NAME for all tokens of a robot")
    action = {"robot": user.removeprefix(_ROBOT)} if user else {"token": token} if token else {}
    client = connect()
    revoked = client.decode(client.request("POST", "/v2/auth/revoke", action=action), Revoked).revoked
    if not action and config.context()[1].session_token:
        config.update(session_token="")
    print(f"{revoked} auth token(s) revoked")


@auth.command()
def activate() -> None:
    """Say how a server is told to ask who one is."""
    raise Failure(
        "authentication is a setting of the server, and cannot be changed from here",
        "start it with tidegate serve --auth on",
    )


def _keep(token: str) -> None:
    """Keeps a token, and for which server it is."""
    config.update(session_token=token, pachd_address=connection.endpoint())
    given = os.environ.get("PACH_CONFIG")
    if given:
        say.note(f"The token is kept in {given}.")


def _read_secret(what: str, given: str | None) -> str:
    """A secret: as given, or asked for, or the first line of standard input."""
    if given is not None:
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt(what, hide_input=True, err=True))
