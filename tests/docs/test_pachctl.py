"""docs/pachctl.md: its commands run and print what it shows, and it tells of every command that there is."""

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

from tests.cli.pachctl.command import PACHCTL
from tidegate.testing import serve

TEXT = (Path(__file__).parents[2] / "docs" / "pachctl.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)

# What no two runs have in common.
VARIABLE = (
    (r"Less than a second|\d+ seconds?|About a minute", "<span>"),
    (r"\b[0-9a-f]{12}4[0-9a-f]{19}\b", "<commit>"),
)


def steps() -> Iterator[tuple[str, str]]:
    """The commands with what they print, in order."""
    for block in BLOCKS:
        for step in block.removeprefix("$ ").split("\n$ "):
            command, _, output = step.partition("\n")
            yield command, output


def same(text: str) -> str:
    """The text without the widths of columns and what differs from run to run."""
    for pattern, name in VARIABLE:
        text = re.sub(pattern, name, text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def test_the_commands_print_what_is_shown(tmp_path: Path) -> None:
    """From the first command to the last, on a server as it starts by itself, but for its ports."""
    PACHCTL.install(tmp_path / "bin")
    work = tmp_path / "work"
    work.mkdir()
    (work / "github_issues_medium.csv").write_bytes(random.Random(1).randbytes(2_685_061))
    with serve() as server:
        variables = PACHCTL.environment(None, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", HOME=str(tmp_path))
        for command, expected in steps():
            if command.startswith("export "):
                variables["PACHD_ADDRESS"] = command.partition("=")[2].replace("8080", str(server.port))
                continue
            done = subprocess.run(
                ["bash", "-c", f"{command} 2>&1"], capture_output=True, text=True, env=variables, cwd=work, check=False
            )
            assert done.returncode == ("Error: " in expected), f"{command}\n{done.stdout}"
            assert same(done.stdout) == same(expected), f"{command}\n{done.stdout}\ninstead of\n{expected}"


def commands(group: TyperGroup, path: str) -> Iterator[str]:
    """Every command below a group, by its full name."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def test_every_command_is_told_of() -> None:
    """Each command is in the document by its full name."""
    from tidegate.cli.pachctl.app import app

    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = list(commands(group, "pachctl"))
    assert found
    assert [name for name in found if not re.search(rf"\b{name}\b", TEXT)] == []


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"`(PACH\w+)`", TEXT))))
def test_every_variable_is_read(variable: str) -> None:
    """The variables that the document names are those that the command line reads."""
    from tidegate.cli.pachctl import client, config

    texts = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (client, config)]
    assert any(f'environ.get("{variable}"' in text for text in texts)


def test_every_option_is_there() -> None:
    """The long options that the document names are known to some command."""
    from tidegate.cli.pachctl.app import app

    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)

    def options(group: TyperGroup) -> Iterator[str]:
        for command in group.commands.values():
            if isinstance(command, TyperGroup):
                yield from options(command)
            for parameter in command.params:
                yield from parameter.opts

    server = {"--auth", "--repos-port"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", TEXT)) - set(options(root)) - server == set()
