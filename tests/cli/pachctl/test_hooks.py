"""Hooks: made, listed with what they were sent, and removed; and what a refusal looks like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.pachctl.command import Pachctl
from tests.repos.receiver import Answer, Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server for hooks to call."""
    with receiving() as running:
        yield running


def test_a_hook(pachctl: Pachctl, repo: str, receiver: Receiver, tmp_path: Path) -> None:
    """It is listed as it was made, told of commits, and is gone when it is deleted."""
    (tmp_path / "secret").write_text("a secret of some length\n")
    options = ("--url", receiver.url, "--event", "post-commit", "--branch", "mas*", "--secret-file", "secret")
    assert pachctl("create", "hook", repo, "ci", *options).output == ""
    made = pachctl(
        "create", "hook", repo, "merges", "--url", receiver.url, "--event", "pre-merge", "--event", "post-merge"
    )
    assert len(made.output.strip()) >= 32
    assert "not shown again" in made.error
    assert [row[:3] for row in pachctl("list", "hook", repo).rows] == [
        ["HOOK", "EVENTS", "BRANCHES"],
        ["ci", "post-commit", "mas*"],
        ["merges", "pre-merge,post-merge", "*"],
    ]
    pachctl.put(f"{repo}@master:/a", b"a", "-m", "first")
    (call,) = receiver.wait_for(1)
    assert call.json["commit"]["message"] == "first"
    rows = pachctl("list", "delivery", repo, "ci").rows
    assert rows[1][1:3] == ["post-commit", "master"]
    assert rows[1][0] == call.json["id"]
    pachctl("retry", "delivery", repo, "ci", rows[1][0])
    assert receiver.wait_for(2)[1].data == call.data
    pachctl("delete", "hook", repo, "ci")
    assert pachctl.fails("list", "deliveries", repo, "ci") == f'hook "ci" not found in repo default/{repo}'


def test_a_refusal(pachctl: Pachctl, repo: str, receiver: Receiver, tmp_path: Path) -> None:
    """A command whose commit is refused says why, and leaves no commit open."""
    (tmp_path / "files").mkdir()
    for name in ("a", "b"):
        (tmp_path / "files" / name).write_text(name)
    pachctl("create", "hook", repo, "ci", "--url", receiver.url, "--event", "pre-commit")
    receiver.answers.append(Answer(400, b"no\n"))
    put = ("put", "file", f"{repo}@master:/", "-r", "-f", "files")
    assert pachctl.fails(*put) == 'the pre-commit hook "ci" refused: no'
    assert pachctl.files(f"{repo}@master") == []
    assert "Open Commit" not in pachctl("inspect", "branch", f"{repo}@master").output
    pachctl(*put)
    assert pachctl.files(f"{repo}@master") == ["/a", "/b"]


def test_what_cannot_be_a_hook(pachctl: Pachctl, repo: str, tmp_path: Path) -> None:
    """Unknown events, files without a secret, and what is no URL."""
    make = ("create", "hook", repo, "ci", "--url")
    assert "is no event" in pachctl.fails(*make, "http://host/", "--event", "push")
    assert "cannot read the secret" in pachctl.fails(
        *make, "http://host/", "--event", "pre-merge", "--secret-file", "x"
    )
    (tmp_path / "empty").write_text("\n")
    assert "no secret" in pachctl.fails(*make, "http://host/", "--event", "pre-merge", "--secret-file", "empty")
    assert "not a URL" in pachctl.fails(*make, "ftp://host/", "--event", "pre-merge")
