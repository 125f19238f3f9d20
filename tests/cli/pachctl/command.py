"""Runs ``pachctl`` as a user does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import urllib3

from tests.cli.program import Kind, Program
from tidegate import testing

PACHCTL = Kind("pachctl", "PACH", "PACHD_ADDRESS")

# How long ago something was that a test has just done.
AGE = r"(Less than a second|\d+ seconds?|About a minute) ago"


class Pachctl(Program):
    """``pachctl`` of a server, in a folder: ``pachctl("list", "repo")``."""

    def __init__(self, server: testing.Server | None, folder: Path, variables: Mapping[str, str]) -> None:
        super().__init__(PACHCTL, server, folder, variables)

    def api(self, method: str, path: str, body: bytes = b"") -> None:
        """A request to the repositories of the default project, past the command line."""
        assert self.server is not None
        url = f"{self.server.url}/v2/projects/default/repos/{path}"
        assert urllib3.request(method, url, body=body).status < 300

    def put(self, target: str, content: bytes, *options: str) -> None:
        """Writes a file."""
        ran = self("put", "file", target, *options, typed=content)
        assert (ran.output, ran.error) == ("", "")

    def read(self, target: str) -> bytes:
        """What is in a file."""
        return self("get", "file", target).data

    def head(self, target: str) -> str:
        """The id of a commit."""
        found: str = self("inspect", "commit", target, "--raw").json["id"]
        return found

    def files(self, target: str) -> list[str]:
        """The paths of all files."""
        rows = self("glob", "file", f"{target}:/**").rows[1:]
        return [name for name, kind, _ in rows if kind == "file"]


def ageless(text: str) -> str:
    """The text without what depends on when it was printed: ages, spans and the widths that come of them."""
    text = re.sub(AGE, "<age>", text)
    return re.sub(r" +", " ", re.sub(r"Less than a second|\d+ seconds?", "<span>", text))
