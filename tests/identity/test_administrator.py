"""The first administrator, and the password that it has from the environment, or from ``tidegate user password``."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.cli.command import tidegate
from tidegate import settings
from tidegate.testing import ServerProcess, serve

VARIABLE = "AIS_AUTHN_SU_PASS"


def status(server: ServerProcess, password: str, name: str = "admin") -> int:
    """What becomes of a login."""
    return requests.post(f"{server.url}/v1/users/{name}", json={"password": password}).status_code


def test_the_environment_gives_the_first_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts for who has no password yet, and never brings an old one back."""
    data = tmp_path / "data"
    monkeypatch.setenv(VARIABLE, "one")
    with serve(data, auth=True, repos_port=None) as server:
        assert (status(server, "one"), status(server, "")) == (200, 401)
        assert "one" not in server.log
    monkeypatch.setenv(VARIABLE, "two")
    with serve(data, auth=True, repos_port=None) as server:
        assert (status(server, "one"), status(server, "two")) == (200, 401)
        assert tidegate("user", "password", "admin", "--data", data, typed="three\n").code == 0
        assert (status(server, "one"), status(server, "three")) == (401, 200)
        assert tidegate("user", "rm", "admin", "--data", data).code == 0
        assert status(server, "three") == 401


def test_without_one_nobody_logs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator without a password has no token, until a password is set. A later start may bring one."""
    data = tmp_path / "data"
    with serve(data, auth=True, repos_port=None) as server:
        assert [status(server, word) for word in ("", " ", "admin", "password")] == [401] * 4
    assert tidegate("user", "add", "alice", "--data", data).code == 0
    assert tidegate("user", "rm", "admin", "--data", data).code == 0
    monkeypatch.setenv(VARIABLE, "one")
    with serve(data, auth=True, repos_port=None) as server:
        assert status(server, "one") == 200


def test_both_names_of_the_variable() -> None:
    """Ours and AIStore's: ours first; neither is an unknown setting."""
    ours, theirs = settings.ADMINISTRATOR_PASSWORD
    assert settings.administrator_password({ours: "a", theirs: "b"}) == "a"
    assert settings.administrator_password({ours: "", theirs: "b"}) == "b"
    assert settings.administrator_password({}) == ""
    assert settings.load(environment={ours: "a", theirs: "b"}) == settings.load(environment={})


def test_roles_and_passwords_by_command(tmp_path: Path) -> None:
    """``tidegate user`` gives roles and passwords, beside a running server or without one."""
    data = tmp_path / "data"
    with serve(data, auth=True, repos_port=None) as server:
        assert tidegate("user", "add", "bob", "--role", "Admin", "--password", "--data", data, typed="pw\n").code == 0
        assert status(server, "pw", "bob") == 200
    (bob,) = (user for user in tidegate("user", "ls", "--json", "--data", data).values if user["name"] == "bob")
    assert (bob["admin"], bob["roles"]) == (False, ["Admin"])
    assert tidegate("user", "ls", "--data", data).output.splitlines()[1].split()[-1] == "Admin"
    assert tidegate("user", "roles", "bob", "--data", data).output == "bob has no roles\n"
    assert tidegate("user", "roles", "bob", "Admin", "--data", data).output == "bob has the roles Admin\n"
    for refused, message in (
        (("user", "roles", "bob", "no-such-role"), 'role "no-such-role" does not exist'),
        (("user", "roles", "nobody"), "does not exist"),
        (("user", "password", "nobody"), "does not exist"),
        (("user", "password", "bob"), "a password has"),
        (("user", "add", "carol", "--role", "no-such-role"), "does not exist"),
        (("user", "add", "carol", "--password"), "a password has"),
    ):
        ran = tidegate(*refused, "--data", data, typed="x\n" if "nobody" in refused else "\n")
        assert (ran.code, ran.output) == (1, "")
        assert message in ran.error
    assert "carol" not in tidegate("user", "ls", "--data", data).output
