"""``version`` and ``fsck``."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tidegate import __version__
from tidegate.cli.pachctl import calls, output, text
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.output import OutputOption, RawOption
from tidegate.documents import Version


def version(
    is_client_only: Annotated[bool, typer.Option("--client-only", help="Do not ask the server.")] = False,
    raw: RawOption = False,
    encoding: OutputOption = None,
) -> None:
    """Print the versions of the command line and of the server."""
    is_raw = output.is_raw(raw, encoding)
    if is_raw and not is_client_only:
        output.documents([calls.fetch(connect(), "/v2/version")], encoding)
        return
    found = [("pachctl", __version__)]
    if is_raw:
        output.documents([msgspec.json.encode({"version": __version__})], encoding)
        return
    if not is_client_only:
        client = connect()
        found.append(("pachd", client.decode(client.request("GET", "/v2/version"), Version).version))
    for line in text.table(("COMPONENT", "VERSION"), found):
        print(line)


def fsck() -> None:
    """Check that what is stored is whole."""
    connect().request("GET", "/v2/fsck")
    print("No errors found.")
