"""docs/authn.md tells what there is: its commands run, its tables are complete, its numbers are those of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import typer

from tests.cli.ais.command import environment, install
from tidegate.ais.authn import ROUTES
from tidegate.cli.ais.auth import auth
from tidegate.identity import passwords, roles, tokens
from tidegate.testing import serve

TEXT = (Path(__file__).parents[2] / "docs" / "authn.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)


def test_the_commands_run(tmp_path: Path) -> None:
    """From nothing to a token, line by line as it is printed."""
    install(tmp_path / "bin")
    password, story = BLOCKS
    assert password.strip() == "tidegate user password admin"
    with serve(auth=True, repos_port=None) as server:
        variables = environment(server, HOME=str(tmp_path), PASSWORD="the password", TIDEGATE_DATA=str(server.data))
        variables["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{variables['PATH']}"
        set_password = f"{sys.executable} -m tidegate user password admin <<< 'the password'"
        done = subprocess.run(
            ["bash", "-ec", f"{set_password}\n{story}"], env=variables, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "ais://images" in done.stdout
    assert done.stdout.splitlines()[-1] == "Logged out (~/.config/ais/cli/auth.token)"


def test_the_table_of_paths_is_complete() -> None:
    """Every path of AuthN's is told, and no other."""
    told = set(re.findall(r"^\| `([A-Z]+) (/v1/\S+?)`", TEXT, re.MULTILINE))
    assert told == {(method, path) for method, path, _ in ROUTES} | {("GET", "/v1/daemon")}


def test_the_table_of_commands_is_complete() -> None:
    """Every command of ``ais auth`` is told, and no other."""
    told = re.findall(r"^\| `ais auth ([a-z ]+?)(?: USER)?` \|", TEXT, re.MULTILINE)
    assert len(told) == len(set(told))
    assert set(told) == set(names(auth))


def names(app: typer.Typer) -> list[str]:
    """The commands of an application, with those of its groups."""
    own = [str(command.name) for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        own += [f"{group.name} {name}" for name in names(group.typer_instance)]
    return own


def test_the_limits_are_those_of_the_code() -> None:
    """Numbers in the text are numbers in the code."""
    for told in (
        f"1 to {passwords.MAX_PASSWORD} bytes",
        f"({passwords.MEMORY_KIB // 1024} MiB, {passwords.PASSES} passes)",
        f"{passwords.MAX_FAILURES} a minute",
        f"{passwords.MAX_WAITING} wait",
        f"{tokens.MAX_LENGTH // 1024} KiB, {tokens.MAX_LIFETIME // 86400} days",
        f"lives {tokens.DEFAULT_LIFETIME // 3600} hours",
        f"{roles.MAX_RULES} rules",
    ):
        assert told in TEXT, told
