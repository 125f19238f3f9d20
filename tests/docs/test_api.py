"""docs/api.md tells what there is: its commands run, its tables are complete, its numbers are those of the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tidegate import documents
from tidegate.api import call, changes, globs, listing, words
from tidegate.api.table import ROUTES
from tidegate.gateway.multipart import MAX_OBJECT_SIZE
from tidegate.gateway.repos import directories
from tidegate.testing import serve

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
(STORY,) = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
REPO = "/v2/projects/{project}/repos/{repo}"


def test_the_commands_print_what_is_shown() -> None:
    """From the first to the last, on a server as it starts by itself, but for its port."""
    script, expected = "", ""
    for line in STORY.splitlines(keepends=True):
        if line.startswith("$ "):
            script += line.removeprefix("$ ")
        else:
            expected += line
    with serve(repos_port=None) as server:
        script = script.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
        done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


def test_the_table_of_paths_is_complete() -> None:
    """Every route is told once, and no other."""
    told = [
        (method, path.replace("…", REPO))
        for method, path in re.findall(r"^\| `([A-Z]+) (\S+?)` \|", TEXT, re.MULTILINE)
    ]
    assert len(told) == len(set(told))
    assert set(told) == {(route.method, route.path.replace("...", "")) for route in ROUTES}


def test_every_field_is_told() -> None:
    """The fields of a body are those in its row, the optional ones with a question mark."""
    import msgspec

    rows = dict(re.findall(r"^\| `([A-Z]+ \S+?)` \|(.*)\|$", TEXT, re.MULTILINE))
    for route in ROUTES:
        if route.body is None:
            continue
        row = rows[f"{route.method} {route.path.replace(REPO, '…')}"]
        told = {(name, mark == "?") for name, mark in re.findall(r'"(\w+)"(\??)', row)}
        fields = msgspec.structs.fields(route.body)
        if route.name == "revoke_token":  # two forms, of which either
            assert {name for name, _ in told} == {field.name for field in fields}
            continue
        assert told == {(field.encode_name, not field.required) for field in fields}, route.name


def test_the_limits_are_those_of_the_code() -> None:
    """Numbers in the text are numbers in the code."""
    mib = 1024 * 1024
    for told in (
        f"{call.MAX_BODY // mib} MiB; {call.MAX_OPEN_BODY // 1024} KiB of a login",
        f"a file | {MAX_OBJECT_SIZE // mib // mib} TiB",
        f"{documents.MAX_PAGE} commits or versions, {documents.MAX_FILES:,} files or changes",
        f"; {listing.MAX_SUMMED} files with",
        f"{words.MAX_PATTERN} characters, {globs.MAX_ALTERNATIVES} alternatives",
        f"{globs.MAX_DEPTH} directories down; {listing.MAX_SCANNED:,} names",
        f"{words.MAX_MESSAGE} and {words.MAX_METADATA} characters",
        f"a description | {words.MAX_DESCRIPTION} characters",
        f"choices of a merge | {changes.MAX_CHOICES:,}",
        f"({documents.MAX_WAIT} at most)",
        f"one transaction | {directories.STEP};",
    ):
        assert told in TEXT, told
