"""The command ``tidegate``.

This module is what the installed script imports, in every worker process too: it stays empty of imports, and ``app``
has the commands.
"""

from __future__ import annotations


def main() -> None:
    """Runs the command line."""
    from tidegate.cli.app import app

    app(prog_name="tidegate")
