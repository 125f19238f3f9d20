"""``auth``: logging in, where a token is kept, and what servers with and without authentication say."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.cli.pachctl.command import Pachctl
from tidegate.testing import ServerProcess, serve

ADMIN = "the administrator's"


@pytest.fixture(scope="module")
def guarded() -> Iterator[ServerProcess]:
    """A server with authentication on."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIS_AUTHN_SU_PASS", ADMIN)
            server = stack.enter_context(serve(auth=True))
        yield server


@pytest.fixture
def stranger(guarded: ServerProcess, tmp_path: Path) -> Pachctl:
    """The command line of somebody who is not logged in."""
    return Pachctl(guarded, tmp_path, {"HOME": str(tmp_path)})


@pytest.fixture
def admin(stranger: Pachctl) -> Pachctl:
    """The administrator's, logged in."""
    stranger("auth", "login", "admin", "--password", ADMIN)
    return stranger


def token_of(pachctl: Pachctl) -> str:
    """The token that is kept."""
    kept = json.loads((pachctl.folder / ".pachyderm/config.json").read_bytes())
    token: str = kept["v2"]["contexts"]["tidegate"]["session_token"]
    return token


def test_logging_in_and_out(stranger: Pachctl) -> None:
    """A login keeps a token for its owner alone, where other commands find it; a logout forgets it."""
    hint = "(Hint: log in with pachctl auth login, or give a token: pachctl auth use-auth-token)"
    assert stranger.fails("list", "repo").endswith(hint)
    ran = stranger("auth", "login", "admin", typed=f"{ADMIN}\n".encode())
    assert (ran.output, ran.error) == ("", "Logged in as admin.\n")
    file = stranger.folder / ".pachyderm/config.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    stranger("list", "repo")
    shown = stranger("auth", "whoami").output
    assert re.fullmatch(r'You are "user:admin"\nsession expires: \d\d \w{3} \d\d \d\d:\d\d UTC\n', shown)
    assert stranger("auth", "logout").error == "Logged out.\n"
    assert stranger.fails("list", "repo").endswith(hint)
    assert stranger.fails("auth", "logout") == "not logged in"


def test_a_wrong_password(stranger: Pachctl) -> None:
    """Nothing is kept of a login that fails."""
    assert stranger.fails("auth", "login", "admin", "--password", "wrong") == "invalid credentials"
    assert not (stranger.folder / ".pachyderm").exists()


def test_a_role_for_one_branch(admin: Pachctl, guarded: ServerProcess, tmp_path: Path) -> None:
    """Who may read one branch reads its commits and differences, and is refused those of another."""
    headers = {"Authorization": f"Bearer {token_of(admin)}", "Content-Type": "application/json"}
    for path, body in (
        ("roles", {"name": "reads", "buckets": [{"bck": {"name": "master.plans", "provider": "ais"}, "perm": "771"}]}),
        ("users", {"id": "carol", "pass": "carol", "roles": [{"name": "reads"}]}),
    ):
        urlopen(Request(f"{guarded.url}/v1/{path}", json.dumps(body).encode(), headers)).close()
    admin("create", "repo", "plans")
    admin.put("plans@master:/a", b"1")
    admin("create", "branch", "plans@secret", "--head", "master")
    admin.put("plans@secret:/b", b"2")
    commit = admin.head("plans@secret")
    (tmp_path / "carols").mkdir()
    carol = Pachctl(guarded, tmp_path / "carols", {"HOME": str(tmp_path / "carols")})
    carol("auth", "login", "carol", "--password", "carol")
    assert "/a" in carol("diff", "file", "plans@master").output
    assert carol("list", "branch", "plans").output.split() == ["BRANCH", "HEAD", "master", admin.head("plans@master")]
    assert commit not in carol("list", "commit", "plans").output
    for refused in (
        ("diff", "file", "plans@secret:/", "plans@master:/"),
        ("diff", "file", f"plans@{commit}"),
        ("log", "plans@secret:/b"),
        ("find", "commit", f"plans@{commit}:/b"),
        ("inspect", "commit", f"plans@{commit}"),
        ("list", "commit", "plans@secret"),
        ("get", "file", f"plans@{commit}:/b"),
    ):
        assert carol.fails(*refused) == "access to ais://secret.plans is denied", refused


def test_a_token_that_one_has(admin: Pachctl, guarded: ServerProcess, tmp_path: Path) -> None:
    """A token is pasted into another configuration, and is good there; a revoked one is good nowhere."""
    token = token_of(admin)
    other = Pachctl(guarded, tmp_path, {"HOME": str(tmp_path), "PACH_CONFIG": str(tmp_path / "other.json")})
    assert other("auth", "use-auth-token", typed=f"{token}\n".encode()).error.startswith("Please paste your Pachyderm")
    other("list", "repo")
    assert other("auth", "revoke").output == "1 auth token(s) revoked\n"
    other("list", "repo", code=1)
    admin("list", "repo", code=1)
    assert "no token was given" in other("auth", "use-auth-token", code=1).error


def test_revoking_another_token(admin: Pachctl) -> None:
    """The token in use stays, where another is ended."""
    first = token_of(admin)
    admin("auth", "login", "admin", "--password", ADMIN, "--ttl", "1h")
    assert admin("auth", "revoke", "--token", first).output == "1 auth token(s) revoked\n"
    admin("list", "repo")


def test_a_token_stays_with_its_server(admin: Pachctl, server: ServerProcess) -> None:
    """Another server is not shown the token; with a new address it is forgotten."""
    admin("list", "repo", PACHD_ADDRESS=server.url)
    admin("config", "update", "context", "--pachd-address", server.url)
    assert "session_token" not in (admin.folder / ".pachyderm/config.json").read_text(encoding="utf-8")
    assert admin("config", "get", "context").json == {"pachd_address": server.url, "project": "default"}


def test_what_commits_know_of_their_author(admin: Pachctl) -> None:
    """With authentication on a commit has an author, and a branch a creator."""
    admin("create", "repo", "authored")
    admin("create", "branch", "authored@master")
    admin.put("authored@master:/x", b"x")
    assert "Author: admin\n" in admin("inspect", "commit", "authored@master").output
    assert "Created by: admin\n" in admin("inspect", "branch", "authored@master").output
    assert admin("log", "authored@master:/x").rows[1][-1] == "admin"


def test_authentication_that_is_off(pachctl: Pachctl) -> None:
    """A server that asks nobody says so in Pachyderm's words; turning it on is not for a client."""
    for command in (["whoami"], ["login", "x", "--password", "y"], ["revoke"]):
        assert pachctl.fails("auth", *command).startswith("the auth service is not activated\n(Hint: ")
    assert "tidegate serve --auth on" in pachctl.fails("auth", "activate")


def test_robots(admin: Pachctl) -> None:
    """A token for a program is printed, alone with -q, and is good for who pastes it."""
    assert admin("auth", "get-robot-token", "robot").output.startswith("Token: ")
    token = admin("auth", "get-robot-token", "robot", "-q", "--ttl", "1h").output
    assert "robot:NAME" in admin.fails("auth", "revoke", "--user", "alice")
    other = Pachctl(admin.server, admin.folder, {**admin.variables, "PACH_CONFIG": str(admin.folder / "other.json")})
    other("auth", "use-auth-token", typed=token.encode())
    assert other("auth", "whoami").output.startswith('You are "robot:robot"\n')
    assert admin("auth", "revoke", "--user", "robot:robot").output == "2 auth token(s) revoked\n"
    other("auth", "whoami", code=1)
