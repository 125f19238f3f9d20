"""Runs ``tidegate`` as a user does, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tidegate import testing

if TYPE_CHECKING:
    from pathlib import Path


class Ran:
    """What a command did."""

    def __init__(self, code: int, output: str, error: str) -> None:
        self.code = code
        self.output = output
        self.error = error

    @property
    def values(self) -> list[Any]:
        """What it printed with ``--json``."""
        return [json.loads(line) for line in self.output.splitlines()]


def tidegate(*arguments: str | Path, typed: str = "", **variables: str) -> Ran:
    """Runs a command to its end. ``typed`` is its standard input, ``variables`` are added to its environment."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", *map(str, arguments)],
        input=typed,
        capture_output=True,
        text=True,
        env={**testing._environment(), **variables},
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)
