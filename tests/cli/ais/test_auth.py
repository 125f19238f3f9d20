"""``ais auth``: what it prints, where it keeps a token, and that other commands find it."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.ais.command import Ais
from tidegate.testing import ServerProcess, serve

ADMIN = "the administrator's"


@pytest.fixture(scope="module")
def guarded() -> Iterator[ServerProcess]:
    """A server with authentication on, whose cluster is registered as ``home``."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIS_AUTHN_SU_PASS", ADMIN)
            server = stack.enter_context(serve(auth=True, repos_port=None))
        yield server


@pytest.fixture(scope="module")
def admin(guarded: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Ais:
    """The administrator's command line, logged in."""
    folder = tmp_path_factory.mktemp("admin")
    ais = Ais(guarded, folder, {"HOME": str(folder)})
    ais("auth", "login", "admin", "-p", ADMIN)
    ais("auth", "add", "cluster", "home", guarded.url)
    return ais


@pytest.fixture
def user(guarded: ServerProcess, admin: Ais, tmp_path: Path) -> Ais:
    """The command line of a new user without roles, logged in. See ``name_of``."""
    name = f"user-{abs(hash(tmp_path))}"
    admin("auth", "add", "user", name, "-p", name)
    ais = Ais(guarded, tmp_path, {"HOME": str(tmp_path), "USER": name})
    ais("auth", "login", name, "-p", name)
    return ais


def name_of(ais: Ais) -> str:
    """The user's name, who is their own password."""
    return ais.variables["USER"]


def test_login_and_logout(user: Ais) -> None:
    """A login keeps a token where other commands find it, for its owner alone; a logout ends it and takes it away."""
    file = user.folder / ".config/ais/cli/auth.token"
    assert (
        user("auth", "login", name_of(user), "-p", name_of(user)).output == "Logged in (~/.config/ais/cli/auth.token)\n"
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    token = json.loads(file.read_text())["token"]
    assert user("auth", "whoami").rows[1] == ["User", name_of(user)]
    assert user("auth", "logout").output == "Logged out (~/.config/ais/cli/auth.token)\n"
    assert not file.exists()
    assert user.fails("auth", "whoami") == "not logged in"
    assert user.fails("auth", "logout") == "not logged in"
    assert user.fails("ls", "ais:", AIS_AUTHN_TOKEN=token).startswith("token revoked")


def test_without_a_token(user: Ais) -> None:
    """Who is not logged in is told how to."""
    user("auth", "logout")
    assert user.fails("ls", "ais:") == (
        "token required\n(Hint: log in with AuthN (i.e. 'ais auth login USER_NAME -p USER_PASS') "
        "or provide a JWT using 'AIS_AUTHN_TOKEN' or 'AIS_AUTHN_TOKEN_FILE')"
    )


def test_a_wrong_password(user: Ais) -> None:
    """It is said once, without a hint to log in, and no file is written."""
    file = user.folder / ".config/ais/cli/auth.token"
    before = file.read_text()
    assert user.fails("auth", "login", name_of(user), "-p", "wrong") == "invalid credentials"
    assert user.fails("auth", "login", "nobody", typed=b"wrong\n") == "invalid credentials"
    assert file.read_text() == before


def test_where_a_token_comes_from(user: Ais) -> None:
    """A file that is named, a password that is typed, a variable: each does."""
    name = name_of(user)
    ran = user("auth", "login", name, "-f", "here.token", "-e", "1h", typed=f"{name}\n".encode())
    assert ran.output == "Logged in (here.token)\n"
    user("auth", "logout")
    assert user("auth", "whoami", AIS_AUTHN_TOKEN_FILE="here.token").rows[1] == ["User", name]
    token = json.loads((user.folder / "here.token").read_text())["token"]
    assert user("auth", "whoami", AIS_AUTHN_TOKEN=token).rows[1] == ["User", name]
    assert user.fails("auth", "whoami", AIS_AUTHN_TOKEN_FILE="no-such-file").startswith(
        "there is no token at no-such-file"
    )
    assert user.server is not None
    there = user.server.url
    ran = user("auth", "whoami", AIS_AUTHN_TOKEN=token, AIS_ENDPOINT="http://127.0.0.1:1", AIS_AUTHN_URL=there)
    assert ran.rows[1] == ["User", name]
    assert user("auth", "logout", "-f", "here.token").output == "Logged out (here.token)\n"
    assert user.fails("auth", "logout", "-f", "here.token").startswith("there is no token at here.token")


def test_who_one_is(admin: Ais, user: Ais) -> None:
    """Identity, roles and access, as the token has them; a warning where the roles have changed since."""
    shown = user("auth", "whoami").output
    assert [line.rstrip() for line in shown.splitlines() if not line.startswith("  Expires")] == [
        "Identity",
        f"  User      {name_of(user)}",
        "Roles",
        "  (none)",
        "Access",
        "  (none)",
    ]
    admin("auth", "add", "role", f"r-{name_of(user)}", "GET", "PUT", "--bucket", "ais://b", "--desc", "for b")
    admin("auth", "set", "user", name_of(user), "Guest-home", f"r-{name_of(user)}")
    stale = user("auth", "whoami")
    assert "Access\n  (none)\n" in stale.output
    assert stale.error == (
        "Warning: your roles have been updated and are not reflected in your token's access list shown above.\n"
        "Log in again to refresh your token.\n"
    )
    user("auth", "login", name_of(user), "-p", name_of(user))
    fresh = user("auth", "whoami")
    assert fresh.error == ""
    assert ["ais://b", "GET,PUT"] in fresh.rows
    assert any(row[:1] == ["cluster"] and "LIST-BUCKETS" in row[-1] for row in fresh.rows)
    assert [f"r-{name_of(user)}", "for", "b"] in fresh.rows
    assert user("auth", "whoami", "--json").json["roles"] == ["Guest-home", f"r-{name_of(user)}"]
    assert ["Full", "admin", "access"] in admin("auth", "whoami").rows


def test_a_token_that_is_over_or_none(user: Ais) -> None:
    """An expired token, and what is none, are told apart."""
    claims = base64.urlsafe_b64encode(b'{"sub": "x", "exp": 1}').decode()
    assert user.fails("auth", "whoami", AIS_AUTHN_TOKEN=f"x.{claims}.y").startswith("token expired\n")
    assert user.fails("auth", "whoami", AIS_AUTHN_TOKEN="x.y.z").startswith("invalid token")
    assert user.fails("ls", "ais:", AIS_AUTHN_TOKEN="x.y.z").startswith("invalid token")


def test_users(admin: Ais, user: Ais) -> None:
    """Users are added, shown with their roles, changed and removed."""
    name = f"{name_of(user)}-2"
    assert admin("auth", "add", "user", name, "Guest-home", "-p", "x").output == f'user "{name}" added\n'
    assert [name, "Guest-home"] in admin("auth", "show", "user").rows
    assert [name_of(user), "-"] in admin("auth", "show", "user").rows
    assert admin("auth", "show", "user").rows[0] == ["NAME", "ROLES"]
    verbose = admin("auth", "show", "user", name, "-v").rows
    assert verbose[:3] == [["Name", name], ["Roles", "Guest-home"], ["CLUSTER", "ID", "ALIAS", "PERMISSIONS"]]
    assert verbose[3][1] == "home"
    assert admin("auth", "update", "user", name, "BucketOwner-home").output == f'user "{name}" updated\n'
    assert admin("auth", "show", "user", name, "-H").rows == [[name, "BucketOwner-home"]]
    admin("auth", "set", "user", name, "-p", "y")
    assert admin("auth", "show", "user", name, "--json").json[0]["roles"][0]["name"] == "BucketOwner-home"
    user("auth", "login", name, "-p", "y", "-f", "other.token")
    assert admin("auth", "rm", "user", name, "-y").output == f'user "{name}" removed\n'
    assert admin.fails("auth", "show", "user", name) == f'user "{name}" does not exist'
    assert admin.fails("auth", "rm", "user", name).startswith("not confirmed: ")
    assert user.fails("auth", "show", "user") == "http error code 'Forbidden'"


def test_roles(admin: Ais, user: Ais) -> None:
    """Roles are added for the cluster or a bucket, shown, changed and removed."""
    name = f"role-{name_of(user)}"
    admin("auth", "add", "role", name, "ro", "--cluster", "home", "--desc", "reads")
    assert [name, "reads"] in admin("auth", "show", "role").rows
    assert admin("auth", "show", "role").rows[0] == ["ROLE", "DESCRIPTION"]
    assert {"Admin", "ClusterOwner-home", "BucketOwner-home", "Guest-home"} <= {
        row[0] for row in admin("auth", "show", "role", "--cluster", "home").rows
    } | {"Admin"}
    admin("auth", "update", "role", name, "GET,LIST-OBJECTS", "--bucket", "ais://b")
    rows = admin("auth", "show", "role", name).rows
    assert rows[:2] == [["Name", name], ["Description", "reads"]]
    assert rows[3][1:] == ["home", "GET,HEAD-OBJECT,HEAD-BUCKET,LIST-OBJECTS,LIST-BUCKETS,SHOW-CLUSTER"]
    assert rows[4:] == [["BUCKET", "PERMISSIONS"], ["ais://b", "GET,LIST-OBJECTS"]]
    admin("auth", "update", "role", name, "0", "--bucket", "ais://b")
    assert "ais://b" not in admin("auth", "show", "role", name).output
    assert admin("auth", "rm", "role", name, "-y").output == f'role "{name}" removed\n'
    assert admin.fails("auth", "show", "role", name) == f'role "{name}" does not exist'
    assert admin.fails("auth", "add", "role", name, "--cluster", "home").startswith("no permissions")
    assert admin.fails("auth", "add", "role", name, "ro", "--cluster", "other") == 'cluster "other" does not exist'
    assert "none of" in admin.fails("auth", "add", "role", name, "everything")


def test_the_cluster(admin: Ais) -> None:
    """The one cluster is shown, and changed."""
    assert admin.server is not None
    header, row = admin("auth", "show", "cluster").rows
    assert header == ["CLUSTER", "ID", "ALIAS", "URLs"]
    assert row[1:] == ["home", admin.server.url]
    assert admin("auth", "show", "cluster", "home", "--json").json[0]["id"] == row[0]
    admin("auth", "update", "cluster", "home", "http://one", "http://two")
    assert admin("auth", "show", "cluster", "-H").rows[0][2] == "http://one,http://two"
    assert admin.fails("auth", "add", "cluster", "again") == f'cluster "{row[0]}" is already registered'
    admin("auth", "update", "cluster", "home", admin.server.url)


def test_the_configuration(admin: Ais) -> None:
    """How long tokens live is shown and set."""
    assert admin("auth", "show", "config", "auth.exp").rows == [["PROPERTY", "VALUE"], ["auth.expiration_time", "24h"]]
    assert admin("auth", "set", "config", "auth.expiration_time=48h").output == "config updated\n"
    assert admin("auth", "show", "config", "--json").json["auth"]["expiration_time"] == "48h"
    admin("auth", "set", "config", "auth.expiration_time", "24h")
    assert admin.fails("auth", "set", "config", "auth.secret=x") == "only auth.expiration_time can be set"
    assert admin.fails("auth", "set", "config", "x").startswith("invalid property name")
    assert admin.fails("auth", "show", "config", "x").startswith("invalid property name")


def test_a_token_is_ended(admin: Ais, user: Ais) -> None:
    """A token is revoked by its user or by an administrator, after a question."""
    assert user.fails("auth", "rm", "token").startswith("not confirmed: ")
    token = json.loads((user.folder / ".config/ais/cli/auth.token").read_text())["token"]
    assert admin("auth", "rm", "token", token, "-y").output == "token revoked\n"
    assert user.fails("auth", "whoami").startswith("token revoked")
    user("auth", "login", name_of(user), "-p", name_of(user))
    assert user("auth", "rm", "token", "-y").output == "token revoked\n"
    assert user.fails("auth", "whoami").startswith("token revoked")


def test_a_server_without_authentication(ais: Ais) -> None:
    """It has no users, and says so."""
    assert ais.fails("auth", "login", "admin", "-p", "x").startswith("authentication is off")
