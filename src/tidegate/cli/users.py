"""``tidegate user`` and ``tidegate key``: who may use a data folder, with which passwords, roles and keys. A running
server knows of a change at its next request.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tidegate.cli.folder import DEFAULT_DATA, DataOption, JsonOption, folder

if TYPE_CHECKING:
    from tidegate.identity import Identity

T = TypeVar("T")

users = typer.Typer(help="Add, list and remove users; set their passwords and roles.", no_args_is_help=True)
keys = typer.Typer(help="Add, list and remove access keys.", no_args_is_help=True)

UserName = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.", show_default=False)]

# Given instead of a secret, which would stand in the shell's history and in the list of processes.
FROM_STANDARD_INPUT = "-"

PasswordOption = Annotated[
    bool,
    typer.Option(
        "--password", help="Ask for a password to log in with; what is no terminal is read to the end of a line."
    ),
]


@users.command("add")
def add_user(
    name: UserName,
    admin: Annotated[bool, typer.Option("--admin", help="The user may do everything, to everybody's buckets.")] = False,
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE",
            help="A role that the user has; may be repeated. Without any, the user may make buckets of their own.",
            show_default=False,
        ),
    ] = None,
    password: PasswordOption = False,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Add a user, who needs a key next, or a password."""
    secret = _read_password() if password else None
    _with_identity(
        data, lambda identity: identity.add_user(name, is_admin=admin, password=secret, role_names=role or None)
    )
    print(f"added {name}; a key for them: tidegate key add {name}")


@users.command("password")
def set_password(name: UserName, data: DataOption = DEFAULT_DATA) -> None:
    """Set a user's password, asked for or read from standard input. It ends the tokens that they have."""
    secret = _read_password()
    _with_identity(data, lambda identity: identity.change_user(name, password=secret))
    print(f"set the password of {name}")


@users.command("roles")
def set_roles(
    name: UserName,
    roles: Annotated[
        list[str] | None, typer.Argument(metavar="[ROLE]...", help="All roles of the user; none takes them away.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Give a user exactly these roles. What they do not say, the user may not do, except to their own buckets."""
    _with_identity(data, lambda identity: identity.change_user(name, role_names=roles or []))
    print(f"{name} has the roles {', '.join(roles)}" if roles else f"{name} has no roles")


@users.command("ls")
def list_users(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """List the users."""
    for user in _with_identity(data, lambda identity: identity.users()):
        values: dict[str, object] = {
            "name": user.name,
            "admin": user.is_admin,
            "id": user.id,
            "created": _moment(user.created),
            "roles": user.roles,
        }
        words = [user.name, "admin" if user.is_admin else "user", _moment(user.created), *(user.roles or ())]
        _print(values, "  ".join(words), as_json=as_json)


@users.command("rm")
def remove_user(name: UserName, data: DataOption = DEFAULT_DATA) -> None:
    """Remove a user and their keys. Their buckets stay, for administrators."""
    _with_identity(data, lambda identity: identity.remove_user(name))
    print(f"removed {name}")


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(metavar="USER", help="Whom the key speaks for.", show_default=False)],
    access_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The access key (default: a random one).", show_default=False)
    ] = None,
    secret_key: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET",
            help=f"The secret key (default: a random one); {FROM_STANDARD_INPUT} reads it from standard input.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Add an access key, and print it with its secret key, which is never shown again."""
    secret = sys.stdin.readline().rstrip("\r\n") if secret_key == FROM_STANDARD_INPUT else secret_key
    new = _with_identity(data, lambda identity: identity.add_key(name, access_key, secret))
    values = {"user": name, "access_key": new.access_key, "secret_key": new.secret_key}
    text = f"access key: {new.access_key}\nsecret key: {new.secret_key}  (shown only now)"
    _print(values, text, as_json=as_json)


@keys.command("ls")
def list_keys(
    name: Annotated[
        str | None, typer.Argument(metavar="[USER]", help="Only this user's keys.", show_default=False)
    ] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """List the access keys."""
    for key in _with_identity(data, lambda identity: identity.keys(name)):
        values = {"access_key": key.id, "user": key.user.name, "created": _moment(key.created)}
        _print(values, "  ".join(values.values()), as_json=as_json)


@keys.command("rm")
def remove_key(
    access_key: Annotated[str, typer.Argument(metavar="KEY", help="The access key.", show_default=False)],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Remove an access key."""
    _with_identity(data, lambda identity: identity.remove_key(access_key))
    print(f"removed {access_key}")


def _read_password() -> str:
    """A password: asked for twice where somebody types, else the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed: str = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    return typed


def _with_identity(data: Path, work: Callable[[Identity], Awaitable[T]]) -> T:
    """Does something to the users of a data folder."""
    import asyncio

    async def run() -> T:
        async with _identity(data) as identity:
            return await work(identity)

    with folder(data):
        return asyncio.run(run())


@asynccontextmanager
async def _identity(data: Path) -> AsyncIterator[Identity]:
    from tidegate.catalog.sqlite import SQLite
    from tidegate.identity import Identity
    from tidegate.identity.vault import Vault

    catalog = SQLite(data)
    try:
        yield Identity(catalog, Vault(data))
    finally:
        await catalog.close()


def _print(values: dict[str, object] | dict[str, str], text: str, *, as_json: bool) -> None:
    import msgspec

    print(msgspec.json.encode(values).decode() if as_json else text)


def _moment(microseconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
