"""Every command in the README runs, and does what it is said to do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.testing import serve

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, re.DOTALL)

# Commands that would run this very test again, or serve on the port that everybody uses; another test checks them.
MAKE = next(text for _, text in BLOCKS if text.startswith("make run"))
ADMINISTRATION = next(text for _, text in BLOCKS if text.startswith("tidegate user add"))
CLIENTS = [(language, text) for language, text in BLOCKS if text not in {MAKE, ADMINISTRATION}]


def run(script: str, folder: Path, **variables: str) -> str:
    """Runs a script as a person would, in bash with aliases; its output."""
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", **variables}
    done = subprocess.run(
        ["bash", "-e", "-c", f"shopt -s expand_aliases\n{script}"],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(
    ("language", "text"), CLIENTS, ids=[text.split()[0] + str(i) for i, (_, text) in enumerate(CLIENTS)]
)
def test_client_examples_work_as_printed(language: str, text: str, tmp_path: Path) -> None:
    """What the README shows of a client works against a server as it starts by itself, but for the port."""
    shutil.copy(ROOT / "README.md", tmp_path)
    with serve() as server:
        example = text.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
        if language == "python":
            (tmp_path / "example.py").write_text(example, encoding="utf-8")
            assert run("python example.py", tmp_path) == "b'hello'\n"
        elif "ais " in example:
            assert run(example, tmp_path).splitlines()[-1].split()[0] == "readme.md"
        elif "aws" in example:
            assert "README.md" in run(example, tmp_path).splitlines()[-1]
        else:
            run(example, tmp_path)
            assert (tmp_path / "copy.md").read_bytes() == (ROOT / "README.md").read_bytes()


@pytest.mark.parametrize("line", [line for line in ADMINISTRATION.splitlines() if line])
def test_administration_commands_work(line: str, tmp_path: Path) -> None:
    """The commands for administrators run on the data folder of a server that is up."""
    command = line.partition("#")[0].strip()
    with serve() as server:
        place = {"TIDEGATE_DATA": str(server.data)}
        if "key" in command:
            run("tidegate user add NAME", tmp_path, **place)
        if command == "tidegate backup, restore":
            run(f"tidegate backup --data {server.data} copy && tidegate restore copy --data again", tmp_path)
            return
        run(command.replace("DIR", str(server.data)), tmp_path, **place)


def test_make_has_the_two_commands() -> None:
    """`make run` and `make test` are there, and know what to do."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for target in re.findall(r"^make (\w+)", MAKE, re.MULTILINE):
        done = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr


def test_every_flag_in_the_readme_exists() -> None:
    """The README's table of flags names flags that `tidegate serve` has."""
    told = set(re.findall(r"`(--[a-z-]+)", README.partition("## Set it up")[2].partition("```")[0]))
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "serve", "--help"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )
    assert told
    assert {flag for flag in told if flag not in done.stdout} == set()
