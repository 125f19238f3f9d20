"""Runs ``ais`` as a user does, in a process of its own."""

from __future__ import annotations

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

_MAIN = "from tidegate.cli.ais import main; main()"
# What would lead a command away from the server under test.
_AMBIENT = ("AIS_", "COMP_", "_AIS_COMPLETE")


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


def environment(server: testing.Server | None, **variables: str) -> dict[str, str]:
    """The variables that a command runs with."""
    kept = {name: value for name, value in testing._environment().items() if not name.startswith(_AMBIENT)}
    endpoint = {"AIS_ENDPOINT": server.url} if server else {}
    return {**kept, "TZ": "UTC", "LC_ALL": "C.UTF-8", **endpoint, **variables}


def install(folder: Path) -> None:
    """Puts the command ``ais`` into a folder, for shells, whether or not the package is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "ais"
    here = str(Path(tidegate.__file__).parents[1])
    script.write_text(f"#!{sys.executable}\nimport sys; sys.path.insert(0, {here!r}); {_MAIN}\n", encoding="utf-8")
    script.chmod(0o755)


class Ais:
    """``ais`` of a server, in a folder: ``ais("ls", "ais:")``."""

    def __init__(self, server: testing.Server | None, folder: Path, variables: Mapping[str, str]) -> None:
        self.server = server
        self.folder = folder
        self.variables = dict(variables)

    def __call__(self, *arguments: str | Path, typed: bytes = b"", code: int = 0, **variables: str) -> Ran:
        """Runs a command to its end. ``typed`` is its standard input, ``code`` the exit code that it must have.

        The command runs in this process, with its own arguments, variables, folder and streams: starting a process for
        each takes ten times as long.
        """
        from tidegate.cli.ais import app

        output, error = io.BytesIO(), io.BytesIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["ais", *map(str, arguments)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
            patch.setattr(sys, "stdout", stdout := io.TextIOWrapper(output, write_through=True))
            patch.setattr(sys, "stderr", stderr := io.TextIOWrapper(error, write_through=True))
            patch.chdir(self.folder)
            for name in [name for name in os.environ if name.startswith(_AMBIENT)]:
                patch.delenv(name)
            for name, value in environment(self.server, **{**self.variables, **variables}).items():
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
                [sys.executable, "-c", f"{before}\n{_MAIN}", *map(str, arguments)],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=environment(self.server, **self.variables),
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
