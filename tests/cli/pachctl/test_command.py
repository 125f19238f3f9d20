"""The command as a whole: starting, help, mistakes, servers that are not there, and what shells complete."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from tests.certificates import write_certificate
from tests.cli.pachctl.command import PACHCTL, Pachctl
from tidegate.cli.pachctl import completion
from tidegate.testing import serve


def test_it_is_a_client_alone() -> None:
    """No room of the server is imported: it would be slow, and is not there on a client's machine."""
    done = subprocess.run(
        [sys.executable, "-c", "import tidegate.cli.pachctl.app, sys; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        env=PACHCTL.environment(None),
    )
    loaded = set(done.stdout.split())
    names = ("server", "s3", "ais", "api", "gateway", "catalog", "blobs", "identity", "jobs", "upstream")
    rooms = {f"tidegate.{name}" for name in names}
    assert {name for name in loaded if ".".join(name.split(".")[:2]) in rooms} == set()
    # What takes long to load waits until it is needed.
    assert loaded.isdisjoint(
        {"asyncio", "rich.progress", "starlette", "uvicorn", "apsw", "awscrt", "xxhash", "pydantic"}
    )


def groups(group: TyperGroup, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every group of commands, by its words."""
    found = [path]
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            found += groups(command, (*path, name))
    return found


def test_help(alone: Pachctl) -> None:
    """A group says what it has when it is asked, and also when it is not."""
    from tidegate.cli.pachctl.app import app

    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    found = groups(root)
    assert ("list",) in found
    for group in found:
        asked = alone(*group, "--help")
        assert asked.output.startswith("Usage: pachctl")
        assert alone(*group).output == asked.output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["lst"], "Did you mean 'list'?"),
        (["list", "repository"], "No such command 'repository'"),
        (["list", "brunch"], "Did you mean 'branch'?"),
        (["create", "repo"], "Missing argument"),
        (["create", "repo"], "pachctl create repo --help tells how it is used"),
        (["list", "commit", "x", "-n", "many"], "Invalid value for '--number'"),
        (["list", "repo", "x"], "unexpected extra argument"),
        (["start", "commit", "images"], "names no branch"),
        (["finish", "commit", "images@a/b"], "names no branch"),
        (["squash", "commit", "0123456789ab4cdef89abcdef0123456"], "expected repo@branch-or-commit"),
        (["wait", "commit", "x@y", "--timeout", "soon"], "invalid duration"),
        (["create", "branch", "x@y", "-t", "z", "--trigger-size", "big"], "invalid size"),
        (["config", "update", "context"], "nothing to change"),
    ],
)
def test_wrong_usage(alone: Pachctl, command: list[str], said: str) -> None:
    """A mistake in the command is told with what may have been meant, and the exit code is 1."""
    assert said in alone.fails(*command)


def test_versions(pachctl: Pachctl) -> None:
    """The versions of both ends, or of the command line alone."""
    from tidegate import __version__

    assert pachctl("version").rows == [["COMPONENT", "VERSION"], ["pachctl", __version__], ["pachd", __version__]]
    assert pachctl("version", "--client-only").rows[1:] == [["pachctl", __version__]]
    assert pachctl("version", "--raw").json["version"] == __version__
    assert pachctl("version", "--client-only", "--raw").json == {"version": __version__}


def test_checking_what_is_stored(pachctl: Pachctl) -> None:
    """Where the server does not check itself, it says who does."""
    assert "tidegate fsck" in pachctl.fails("fsck")


def test_bringing_in_a_bucket(pachctl: Pachctl, repo: str) -> None:
    """What is below a prefix of a bucket comes into a branch, which is made, in one commit, whose id is printed."""
    assert pachctl.server is not None
    s3 = pachctl.server.boto3_client()
    s3.create_bucket(Bucket=f"{repo}-bucket")
    for key in ("in/a", "in/d/b", "out"):
        s3.put_object(Bucket=f"{repo}-bucket", Key=key, Body=key.encode())
    commit = pachctl("import", f"ais://{repo}-bucket/in/", f"{repo}@new:/here", "-m", "brought in").output.strip()
    assert pachctl.files(f"{repo}@new") == ["/here/a", "/here/d/b"]
    assert pachctl.read(f"{repo}@new:/here/d/b") == b"in/d/b"
    shown = pachctl("inspect", "commit", f"{repo}@new", "--raw").json
    assert (shown["id"], shown["message"]) == (commit, "brought in")
    assert "nobody" in pachctl.fails("import", "ais://nobody/x", f"{repo}@new")


def test_a_server_that_is_not_there(alone: Pachctl) -> None:
    """An address that nobody listens at is told, with what may be wrong."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = alone.fails("list", "repo", PACHD_ADDRESS=f"127.0.0.1:{port}")
    assert said.startswith(f"cannot reach the server at http://127.0.0.1:{port}: Connection refused\n(Hint: ")
    assert "PACHD_ADDRESS" in said


def test_a_server_that_is_another(alone: Pachctl) -> None:
    """Who does not speak the API is not taken for a server that does."""
    import http.server
    import threading

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *arguments: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert "did not answer as Tidegate does" in alone.fails("list", "repo", PACHD_ADDRESS=address)
        assert f"{address} answered 404" in alone.fails("create", "repo", "x", PACHD_ADDRESS=address)
        server.shutdown()
        thread.join()


def test_https(alone: Pachctl) -> None:
    """A certificate that nobody knows is refused, unless OpenSSL's variable names it."""
    certificate, key = write_certificate(alone.folder)
    with serve(repos_port=None, tls_cert=certificate, tls_key=key) as server:
        url = f"https://127.0.0.1:{server.port}"
        refused = alone.fails("list", "repo", PACHD_ADDRESS=url)
        assert "cannot speak HTTPS" in refused
        assert "SSL_CERT_FILE" in refused
        assert alone("list", "repo", PACHD_ADDRESS=url, SSL_CERT_FILE=str(certificate)).error == ""
        assert f"PACHD_ADDRESS={url}" in alone.fails("list", "repo", PACHD_ADDRESS=f"http://127.0.0.1:{server.port}")


def test_the_script_that_is_installed() -> None:
    """The entry point that the package declares is the command."""
    declared = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared["project"]["scripts"]["pachctl"] == "tidegate.cli.pachctl:main"


# --- completion ------------------------------------------------------------------------------------------------------


def typed(pachctl: Pachctl, line: str) -> str:
    """What an interactive bash makes of a line, once its user has pressed the tabulator."""
    PACHCTL.install(pachctl.folder / "bin")
    path = f"{pachctl.folder / 'bin'}:{os.environ['PATH']}"
    environment = PACHCTL.environment(pachctl.server, **pachctl.variables, PATH=path, PS1="", TERM="dumb")
    process, terminal = pty.fork()
    if not process:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)  # noqa: S606
    os.write(terminal, b'eval "$(pachctl completion bash)"; bind "set bell-style none"; echo READY\n')
    _until(terminal, b"READY\r\n", b"READY\r\n")
    # The line is not run: with a # before it, it is printed as it then is.
    os.write(terminal, f"{line}\t\x01echo 'GOT \x05'\n".encode())
    shown = _until(terminal, b"\r\nGOT ", b"\r\n")
    os.write(terminal, b"exit\n")
    os.close(terminal)
    os.waitpid(process, 0)
    return shown.decode()


def _until(terminal: int, begin: bytes, end: bytes) -> bytes:
    """What comes between two marks, the second after the first."""
    seen = b""
    while begin not in seen or (begin != end and end not in seen.split(begin, 1)[1]):
        if not select.select([terminal], [], [], 60)[0]:
            raise AssertionError(seen)
        seen += os.read(terminal, 65536)
    return seen.split(begin, 1)[1].split(end, 1)[0]


def test_bash_completes(pachctl: Pachctl, repo: str) -> None:
    """Commands, repos, branches and files are completed, though bash divides words at ``@`` and ``:``."""
    pachctl.put(f"{repo}@master:/directory/file", b"x")
    for line, whole in (
        ("pachctl glo", "pachctl glob "),
        (f"pachctl inspect repo {repo[:-1]}", f"pachctl inspect repo {repo[:-1]}"),
        (f"pachctl inspect branch {repo}@ma", f"pachctl inspect branch {repo}@master "),
        (f"pachctl list file {repo}@ma", f"pachctl list file {repo}@master:/"),
        (f"pachctl get file {repo}@master:/dir", f"pachctl get file {repo}@master:/directory/"),
        (f"pachctl get file {repo}@master:/directory/", f"pachctl get file {repo}@master:/directory/file "),
    ):
        assert typed(pachctl, line).startswith(whole), line


def test_other_shells(alone: Pachctl) -> None:
    """There is a script for each, and it names the command."""
    for shell in ("zsh", "fish"):
        assert "_PACHCTL_COMPLETE" in alone("completion", shell).output
    assert "bash|zsh|fish" in alone.fails("completion")


def test_completion_without_a_server(alone: Pachctl) -> None:
    """Where there is no server there is nothing to complete, and nothing is said."""
    line = "pachctl inspect repo im"
    alone.variables |= {completion.VARIABLE: "complete_bash", completion.LINE: line, completion.WORD: "im"}
    ran = alone(PACHD_ADDRESS="http://127.0.0.1:1")
    assert (ran.output.strip(), ran.error) == ("", "")


@pytest.mark.parametrize(
    ("whole", "word", "kept"),
    [
        ("images@ma", "ma", 6),
        ("images@", "@", 6),
        ("ima", "ima", 0),
        ("a@b:/c", "/c", 4),
        ("a@b:", ":", 4),
        ("", "", 0),
    ],
)
def test_what_bash_keeps(whole: str, word: str, kept: int) -> None:
    """bash replaces what it takes for the word; the rest stays."""
    assert completion.kept(whole, word) == kept
