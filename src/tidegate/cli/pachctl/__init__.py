"""The command ``pachctl``: Pachyderm's command line for Tidegate's repositories, over ``/v2``.

This module is what the installed script imports: it stays empty of imports, and ``app`` has the commands. Nothing in
this package imports a room of the server: it is a client, and may run where no server is.
"""

from __future__ import annotations


def main() -> None:
    """Runs the command line."""
    from tidegate.cli.pachctl.app import run

    raise SystemExit(run())
