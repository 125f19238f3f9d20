"""docs/ais.md: its commands run and print what it shows, and it tells of every command that there is."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from tests.cli.ais.command import environment, install
from tidegate.testing import serve

TEXT = (Path(__file__).parents[2] / "docs" / "ais.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)

# What no two runs have in common.
VARIABLE = ((r"\d\d \w{3} \d\d \d\d:\d\d UTC", "<time>"), (r"\b[0-9a-f]{16}\b", "<checksum>"))


def steps() -> Iterator[tuple[str, str]]:
    """The commands with what they print, in order."""
    for block in BLOCKS:
        for step in block.removeprefix("$ ").split("\n$ "):
            command, _, output = step.partition("\n")
            yield command, output


def same(text: str) -> str:
    """The text without spacing and what differs from run to run."""
    for pattern, name in VARIABLE:
        text = re.sub(pattern, name, text)
    return "".join(text.split())


def test_the_commands_print_what_is_shown(tmp_path: Path) -> None:
    """From the first command to the last, on a server as it starts by itself, but for its port."""
    install(tmp_path / "bin")
    work = tmp_path / "work"
    work.mkdir()
    (work / "README.md").write_bytes(random.Random(1).randbytes(10_689))
    with serve(repos_port=None) as server:
        variables = environment(None, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", HOME=str(tmp_path))
        for command, expected in steps():
            if command.startswith("export "):
                variables["AIS_ENDPOINT"] = command.partition("=")[2].replace("8080", str(server.port))
                continue
            done = subprocess.run(
                ["bash", "-c", f"{command} 2>&1"], capture_output=True, text=True, env=variables, cwd=work, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}"
            pattern = re.escape(same(expected)).replace(re.escape("..."), ".*?")
            assert re.fullmatch(pattern, same(done.stdout)), f"{command}\n{done.stdout}\ninstead of\n{expected}"


def commands(group: TyperGroup, path: str) -> Iterator[str]:
    """Every command below a group, by its full name."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}"


def test_every_command_is_told_of() -> None:
    """Each command is in the document by its full name; those of ``ais auth`` have one of their own."""
    from tidegate.cli.ais.app import app

    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = list(commands(group, "ais"))
    assert found
    told = [name for name in found if re.search(rf"\b{name}\b", TEXT)]
    assert [name for name in found if name not in told and not name.startswith("ais auth ")] == []


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"`(AIS_\w+)`", TEXT))))
def test_every_variable_is_read(variable: str) -> None:
    """The variables that the document names are those that the command line reads."""
    from tidegate.cli.ais import client

    assert variable in Path(str(client.__file__)).read_text(encoding="utf-8")
