"""``tidegate user`` and ``tidegate key``, beside a running server and without one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.cli.command import Ran, tidegate
from tidegate.testing import ServerProcess, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that a server has made."""
    data = tmp_path_factory.mktemp("users") / "data"
    with serve(data):
        pass
    return data


@pytest.fixture(scope="module")
def inhabited(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a user and a key."""
    data = shutil.copytree(template, tmp_path_factory.mktemp("inhabited") / "data")
    tidegate("user", "add", "alice", "--data", data)
    tidegate("key", "add", "alice", "--access-key", "MINE", "--data", data)
    return data


@pytest.fixture
def run(template: Path, tmp_path: Path) -> Callable[..., Ran]:
    """Runs a command on a new data folder."""
    data = shutil.copytree(template, tmp_path / "data")
    return lambda *arguments, **more: tidegate(*arguments, "--data", data, **more)


def test_users(run: Callable[..., Ran]) -> None:
    """Users are added, listed by name, and removed."""
    assert run("user", "ls").output == ""
    assert run("user", "add", "bob").code == 0
    assert run("user", "add", "alice", "--admin").code == 0
    assert [(user["name"], user["admin"]) for user in run("user", "ls", "--json").values] == [
        ("alice", True),
        ("bob", False),
    ]
    assert [line.split()[:2] for line in run("user", "ls").output.splitlines()] == [["alice", "admin"], ["bob", "user"]]
    assert run("user", "rm", "bob").code == 0
    assert [user["name"] for user in run("user", "ls", "--json").values] == ["alice"]


def test_keys(run: Callable[..., Ran]) -> None:
    """A key is printed with its secret once; listings never show a secret; removing its user removes it."""
    run("user", "add", "alice")
    run("user", "add", "bob")
    (made,) = run("key", "add", "alice", "--json").values
    assert set(made) == {"user", "access_key", "secret_key"}
    assert len(made["secret_key"]) == 40
    shown = run("key", "add", "bob").output
    listed = run("key", "ls").output + run("key", "ls", "--json").output
    assert made["access_key"] in listed
    assert made["secret_key"] not in listed
    assert "secret" not in listed
    assert shown.splitlines()[0].removeprefix("access key: ") in listed
    assert [key["access_key"] for key in run("key", "ls", "alice", "--json").values] == [made["access_key"]]
    assert run("key", "rm", made["access_key"]).code == 0
    assert run("key", "ls", "alice").output == ""
    run("user", "rm", "bob")
    assert run("key", "ls").output == ""


def test_given_keys(run: Callable[..., Ran]) -> None:
    """A key may be given, its secret also by standard input, where nobody sees it."""
    run("user", "add", "alice")
    made = run("key", "add", "alice", "--access-key", "MINE", "--secret-key", "my own secret", "--json").values
    assert made == [{"user": "alice", "access_key": "MINE", "secret_key": "my own secret"}]
    made = run(
        "key", "add", "alice", "--access-key", "TYPED", "--secret-key", "-", "--json", typed="typed secret\n"
    ).values
    assert made == [{"user": "alice", "access_key": "TYPED", "secret_key": "typed secret"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("user", "add", "alice"), "exists already"),
        (("user", "add", "no such name/"), "A user name has"),
        (("user", "rm", "nobody"), "does not exist"),
        (("key", "add", "nobody"), "does not exist"),
        (("key", "add", "alice", "--access-key", "MINE"), "exists already"),
        (("key", "add", "alice", "--access-key", "a b"), "An access key has"),
        (("key", "add", "alice", "--secret-key", "short"), "A secret key has"),
        (("key", "ls", "nobody"), "does not exist"),
        (("key", "rm", "NOTHING"), "does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_refusals(inhabited: Path, arguments: tuple[str, ...], message: str) -> None:
    """What cannot be done is said in one line, with exit code 1."""
    ran = tidegate(*arguments, "--data", inhabited)
    assert ran.code == 1
    assert ran.error.startswith("tidegate: ")
    assert message in ran.error
    assert ran.error.count("\n") == 1
    assert ran.output == ""


@pytest.mark.parametrize("command", [("user", "ls"), ("key", "ls"), ("fsck",), ("gc",), ("backup", "there")])
def test_no_data_folder(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A folder that is none is not made one by a slip of the finger."""
    ran = tidegate(*command, "--data", tmp_path / "typo")
    assert ran.code in {1, 3}
    assert "there is no data folder" in ran.error
    assert not (tmp_path / "typo").exists()


def test_data_folder_by_variable(template: Path) -> None:
    """TIDEGATE_DATA names the folder as it does for the server."""
    assert tidegate("user", "ls", TIDEGATE_DATA=str(template)).code == 0


def test_wrong_key_file(run: Callable[..., Ran], tmp_path: Path) -> None:
    """A key file that is none is refused, not used."""
    (tmp_path / "data" / "secret.key").write_bytes(b"short")
    ran = run("user", "ls")
    assert ran.code == 1
    assert "secret.key" in ran.error


def can_list(server: ServerProcess, access_key: str, secret_key: str) -> bool:
    """Whether a server knows a key."""
    client = server.boto3_client(aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    try:
        client.list_buckets()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidAccessKeyId"  # noqa: PT017 - the other way is no error
        return False
    finally:
        client.close()
    return True


def test_beside_a_server(tmp_path: Path) -> None:
    """A key that is added while the server runs works at once with every worker, and one that is removed no longer
    does.
    """
    data = tmp_path / "data"
    with serve(data, auth=True, workers=2) as server:
        assert tidegate("user", "add", "alice", "--data", data).code == 0
        (made,) = tidegate("key", "add", "alice", "--json", "--data", data).values
        pair = made["access_key"], made["secret_key"]
        assert all(can_list(server, *pair) for _ in range(6))
        assert tidegate("key", "rm", made["access_key"], "--data", data).code == 0
        assert not any(can_list(server, *pair) for _ in range(6))
        (made,) = tidegate("key", "add", "alice", "--json", "--data", data).values
        assert can_list(server, made["access_key"], made["secret_key"])
        assert tidegate("user", "rm", "alice", "--data", data).code == 0
        assert not can_list(server, made["access_key"], made["secret_key"])
        assert [user["name"] for user in tidegate("user", "ls", "--json", "--data", data).values] == ["admin"]
