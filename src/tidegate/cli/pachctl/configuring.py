"""``config``: the context that we work in. Its token is never shown."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tidegate.cli.failures import Failure
from tidegate.cli.pachctl import client, config, output
from tidegate.cli.pachctl.completion import complete_projects
from tidegate.cli.pachctl.grammar import group

config_ = group("Show and change where the server is, and the project that one works in.")
_get = group("Show the configuration.")
_update = group("Change the configuration.")
config_.add_typer(_get, name="get")
config_.add_typer(_update, name="update")


@_get.command("active-context")
def get_active_context() -> None:
    """Print the name of the context."""
    print(config.context()[0])


@_get.command("context")
def get_context() -> None:
    """Print the context."""
    _, found = config.context()
    shown = {"pachd_address": found.pachd_address or client.endpoint(), "project": found.project or "default"}
    output.documents([msgspec.json.encode(shown)], None)


@_update.command("context")
def update_context(
    address: Annotated[
        str | None, typer.Option("--pachd-address", metavar="URL", help="Where the server is.", show_default=False)
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            metavar="PROJECT",
            help="The project to work in.",
            show_default=False,
            autocompletion=complete_projects,
        ),
    ] = None,
) -> None:
    """Change the context. A token is of a server: with another address it is forgotten."""
    changes = {} if project is None else {"project": project}
    if address is not None:
        changes["pachd_address"] = client.normal(address) if address else ""
        if changes["pachd_address"] != config.context()[1].pachd_address:
            changes["session_token"] = ""
    if not changes:
        raise Failure("nothing to change", "--pachd-address URL, --project PROJECT")
    config.update(**changes)
