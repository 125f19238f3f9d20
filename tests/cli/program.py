"""Runs a command line that is a client as a user does, against a server, or none."""

from __future__ import annotations

import importlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tidegate
from tidegate import testing

# What shells tell commands that are to complete words.
_AMBIENT = ("COMP_", "_TYPER_")


class Kind(msgspec.Struct, frozen=True):
    """Which command line. ``prefix`` is that of its variables, ``address`` the one with the server's address."""

    name: str
    prefix: str
    address: str

    @property
    def main(self) -> str:
        """Python that runs it."""
        return f"from tidegate.cli.{self.name} import main; main()"

    def environment(self, server: testing.Server | None, **variables: str) -> dict[str, str]:
        """The variables that a command runs with."""
        address = {self.address: server.url} if server else {}
        inherited = testing._environment()
        kept = {name: value for name, value in inherited.items() if not name.startswith(self.ambient)}
        return {**kept, "TZ": "UTC", "LC_ALL": "C.UTF-8", **address, **variables}

    @property
    def ambient(self) -> tuple[str, ...]:
        """How variables begin that would lead a command away from the server under test."""
        return (*_AMBIENT, self.prefix, f"_{self.name.upper()}_COMPLETE")

    def install(self, folder: Path) -> None:
        """Puts the command into a folder, for shells, whether or not the package is installed."""
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / self.name
        here = str(Path(tidegate.__file__).parents[1])
        lines = f"#!{sys.executable}\nimport sys; sys.path.insert(0, {here!r}); {self.main}\n"
        script.write_text(lines, encoding="utf-8")
        script.chmod(0o755)


class Ran(msgspec.Struct, frozen=True):
    """What a command did."""

    code: int
    data: bytes
    error: str

    @property
    def output(self) -> str:
        return self.data.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def rows(self) -> list[list[str]]:
        """A table's words, line by line."""
        return [line.split() for line in self.output.splitlines()]


class Program:
    """The command line of a server, in a folder: ``program("ls", "ais:")``."""

    def __init__(self, kind: Kind, server: testing.Server | None, folder: Path, variables: Mapping[str, str]) -> None:
        self.kind = kind
        self.server = server
        self.folder = folder
        self.variables = dict(variables)

    def __call__(self, *arguments: str | Path, typed: bytes = b"", code: int = 0, **variables: str) -> Ran:
        """Runs a command to its end. ``typed`` is its standard input, ``code`` the exit code that it must have.

        The command runs in this process, with its own arguments, variables, folder and streams: starting a process for
        each takes ten times as long.
        """
        app = importlib.import_module(f"tidegate.cli.{self.kind.name}.app")
        output, error = io.BytesIO(), io.BytesIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [self.kind.name, *map(str, arguments)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
            patch.setattr(sys, "stdout", stdout := io.TextIOWrapper(output, write_through=True))
            patch.setattr(sys, "stderr", stderr := io.TextIOWrapper(error, write_through=True))
            patch.chdir(self.folder)
            for name in [name for name in os.environ if name.startswith(self.kind.ambient)]:
                patch.delenv(name)
            for name, value in self.kind.environment(self.server, **{**self.variables, **variables}).items():
                patch.setenv(name, value)
            ended = app.run()
            stdout.flush()
            stderr.flush()
        ran = Ran(ended, output.getvalue(), error.getvalue().decode())
        assert ran.code == code, f"{arguments}: {ran.code}\n{ran.data!r}\n{ran.error}"
        return ran

    def fails(self, *arguments: str | Path, typed: bytes = b"", **variables: str) -> str:
        """Runs a command that has to fail. What it says, without the ``Error:`` that it has to begin with."""
        ran = self(*arguments, typed=typed, code=1, **variables)
        assert ran.error.startswith("Error: "), ran.error
        return ran.error.removeprefix("Error: ").rstrip("\n")

    def on_terminal(self, *arguments: str | Path, typed: bytes = b"", before: str = "") -> Ran:
        """Runs a command in a process of its own, on a terminal, where output and errors come together.

        ``before`` is Python to run first.
        """
        ours, theirs = pty.openpty()
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", f"{before}\n{self.kind.main}", *map(str, arguments)],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=self.kind.environment(self.server, **self.variables),
                cwd=self.folder,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        with open(ours, "r+b", buffering=0) as terminal, process:  # noqa: PTH123 - a descriptor, not a path
            terminal.write(typed)
            pieces = []
            with suppress(OSError):  # EIO: how Linux says that nobody is at the other end any more
                while piece := terminal.read(64 * 1024):
                    pieces.append(piece)
            code = process.wait()
        return Ran(code, b"".join(pieces).replace(b"\r\n", b"\n"), "")
