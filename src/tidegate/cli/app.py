"""The commands of ``tidegate``, put together.

A command is a module of its own, and imports what it needs when it runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate import __version__
from tidegate.cli import folders, maintenance, serve, users

app = typer.Typer(
    help="One S3 endpoint for machine-learning data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show the values of variables, secrets among them
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="serve")(serve.serve)
app.add_typer(users.users, name="user")
app.add_typer(users.keys, name="key")
app.add_typer(folders.folders, name="folder")
for command in (maintenance.fsck, maintenance.gc, maintenance.backup, maintenance.restore, folders.recover):
    app.command()(command)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"tidegate {__version__}")
        raise typer.Exit


@app.callback()
def _tidegate(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version
