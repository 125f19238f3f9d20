"""``ais config``: the system's configuration, and this command line's own."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.cli import say
from tidegate.cli.ais import assignments, calls, compact, text
from tidegate.cli.ais import client as connection
from tidegate.cli.ais.client import connect
from tidegate.cli.ais.grammar import JsonOption, NoHeaderOption, YesOption
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.transport import Client
from tidegate.properties import flatten, nest
from tidegate.properties.change import is_absent

FEATURES = "features"

WordsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY | KEY=VALUE... | KEY VALUE | JSON | features NAME...]", show_default=False),
]


def cluster(words: WordsArgument = None, no_headers: NoHeaderOption = False, as_json: JsonOption = False) -> None:
    """Show the configuration or a part of it; change it where values are given."""
    client, words = connect(), words or []
    if len(words) > 1 and words[0] == FEATURES and "=" not in words[1]:
        _set(client, {FEATURES: ",".join(words[1:])})
    elif assignments.is_assignment(words):
        _set(client, assignments.parse(words))
    else:
        _show(client, "".join(words), no_headers=no_headers, as_json=as_json)


def show_cluster(
    section: Annotated[str, typer.Argument(metavar="[SECTION]", show_default=False)] = "",
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the configuration or a part of it."""
    _show(connect(), section, no_headers=no_headers, as_json=as_json)


def reset(yes: YesOption = False) -> None:
    """Set the whole configuration back to its defaults."""
    client = connect()
    if say.confirm("Proceed to reset the configuration?", yes=yes):
        restart = calls.reset_configuration(client)
        print("config successfully reset")
        _announce(client, restart)


def cli(
    words: Annotated[list[str] | None, typer.Argument(metavar="[show]", show_default=False)] = None,
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show how this command line finds its server and who it speaks for."""
    if words not in (None, [], ["show"]):
        raise Failure(
            "the command line has no file to set things in",
            "AIS_ENDPOINT, AIS_AUTHN_TOKEN, AIS_AUTHN_TOKEN_FILE, AIS_CLIENT_CA and AIS_SKIP_VERIFY_CRT do",
        )
    shown = {
        "endpoint": connection.endpoint(),
        "token": "set" if connection.token() else "none",
        "token_file": str(connection.token_file()),
    }
    print(text.document(shown) if as_json else text.properties(shown, has_header=not no_headers))


def _show(client: Client, section: str, *, no_headers: bool, as_json: bool) -> None:
    tree = calls.configuration(client)
    flat: dict[str, object] = dict(flatten(tree))
    wanted = assignments.below(flat, section) if section else flat
    if not wanted and is_absent(section):
        raise Failure(f'"{section}" is a setting of AIStore that this system does not have')
    if not wanted:
        raise Failure(f'invalid property name "{section}"', assignments.similar(section, assignments.names(flat)))
    if as_json:
        shown = nest(wanted) if section else tree
        print(text.document(shown))
    else:
        print(text.properties(compact.readable(wanted), has_header=not no_headers))


def _set(client: Client, changes: dict[str, object]) -> None:
    before: dict[str, object] = dict(flatten(calls.configuration(client)))
    try:
        restart = calls.set_configuration(client, nest(changes))
    except Refused as refused:
        raise Failure(refused.message, refused.hint or assignments.meant(refused.message, changes, before)) from None
    print(text.document({name: str(value) for name, value in changes.items()}))
    # For who reads along: a program gets the JSON alone, as the guide shows it.
    say.note("\ncluster config updated")
    _announce(client, restart)


def _announce(client: Client, restart: list[str]) -> None:
    """Says what has changed and waits for the server's next start."""
    after = flatten(calls.configuration(client)) if restart else {}
    for name in restart:
        shown = text.value(after.get(name))
        say.warning(f"cluster restart required for the change '{name}={shown}' to take an effect.")
