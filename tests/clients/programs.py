"""Runs a client's command line as its user would, from the environment that the tests run in."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sysconfig
import termios
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tidegate.testing import Server

# Where pip put the clients' commands, which need not be on the PATH of who runs pytest.
SCRIPTS = sysconfig.get_path("scripts")
REGION = "us-east-1"


class Result(msgspec.Struct, frozen=True):
    """What a command said, and its exit code."""

    command: str
    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """The output as JSON; None where there is none."""
        return json.loads(self.output) if self.output.strip() else None

    @property
    def lines(self) -> list[str]:
        """The output as a terminal shows it: what a carriage return led back to is overwritten."""
        return [line.rpartition("\r")[2].rstrip() for line in self.output.rstrip("\n").split("\n") if line]


def environment(server: Server, **more: str) -> dict[str, str]:
    """This process's variables with the server's keys and region, as the AWS SDKs, s3cmd and rclone read them."""
    return {
        **os.environ,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        **more,
    }


def run(
    *command: str | Path, env: Mapping[str, str], cwd: Path | None = None, data: bytes = b"", code: int | None = 0
) -> Result:
    """Runs a command to its end. ``data`` is what it reads; ``code`` the exit code it must have, None for any."""
    arguments = [str(argument) for argument in command]
    program = shutil.which(arguments[0], path=env["PATH"])
    assert program is not None, f"{arguments[0]} is not installed"
    done = subprocess.run([program, *arguments[1:]], input=data, capture_output=True, env=env, cwd=cwd, check=False)
    result = Result(
        " ".join(arguments), done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    assert code is None or result.code == code, (
        f"{result.command} ended with {result.code}\n{result.output}{result.errors}"
    )
    return result


def run_on_terminal(line: str, env: Mapping[str, str], cwd: Path) -> Result:
    """Runs a shell's command line as a person would: on a terminal, where clients show their progress.

    Output and errors come together, as they show in the end: what a carriage return led back to is overwritten.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 200))
    try:
        shell = subprocess.Popen(
            ["sh", "-c", line], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=cwd, start_new_session=True
        )
    finally:
        os.close(theirs)
    with open(ours, "rb", buffering=0) as terminal, shell:  # noqa: PTH123 - a descriptor, not a path
        pieces = []
        with suppress(OSError):  # EIO: how Linux says that nobody is at the other end any more
            while piece := terminal.read(64 * 1024):
                pieces.append(piece)
        code = shell.wait()
    shown = b"".join(pieces).decode().replace("\r\n", "\n").split("\n")
    return Result(line, code, "\n".join(each.rpartition("\r")[2] for each in shown), "")
