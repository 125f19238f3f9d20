"""The command ``ais``: AIStore's command line for Tidegate, over AIStore's native API.

This module is what the installed script imports: it stays empty of imports, and ``app`` has the commands. Nothing in
this package imports a room of the server: it is a client, and may run where no server is.
"""

from __future__ import annotations


def main() -> None:
    """Runs the command line."""
    from tidegate.cli.ais.app import run

    raise SystemExit(run())
