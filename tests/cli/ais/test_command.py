"""The command as a whole: starting, help, mistakes, servers that are not there, and what shells complete."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.certificates import write_certificate
from tests.cli.ais.command import Ais, environment, install
from tidegate.cli.ais import client
from tidegate.cli.failures import Failure
from tidegate.testing import serve


@pytest.fixture
def alone(tmp_path: Path) -> Ais:
    """A command without a server."""
    return Ais(None, tmp_path, {"HOME": str(tmp_path)})


def test_it_is_a_client_alone() -> None:
    """No room of the server is imported: it would be slow, and is not there on a client's machine."""
    done = subprocess.run(
        [sys.executable, "-c", "import tidegate.cli.ais.app, sys; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(None),
    )
    loaded = set(done.stdout.split())
    rooms = {f"tidegate.{room}" for room in ("server", "s3", "ais", "gateway", "catalog", "blobs", "identity", "jobs")}
    assert {name for name in loaded if ".".join(name.split(".")[:2]) in rooms} == set()
    # What takes long to load waits until it is needed.
    assert loaded.isdisjoint({"rich.progress", "starlette", "uvicorn", "apsw", "awscrt", "xxhash", "pydantic"})


@pytest.mark.parametrize(
    "group",
    [[], ["bucket"], ["bucket", "props"], ["object"], ["show"], ["config"], ["job"], ["start"], ["stop"], ["wait"]],
)
def test_help(alone: Ais, group: list[str]) -> None:
    """A group says what it has when it is asked, and also when it is not."""
    asked = alone(*group, "--help")
    assert asked.output.startswith("Usage: ais")
    assert alone(*group).output == asked.output
    assert "\n  -  " not in asked.output


def test_version(alone: Ais) -> None:
    """The version is that of the package."""
    from tidegate import __version__

    assert __version__ in alone("--version").output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["buket", "ls"], "Did you mean 'bucket'?"),
        (["bucket", "creat", "ais://x"], "Did you mean 'create'?"),
        (["ls", "--prof", "x"], "--props"),
        (["create"], "Missing argument"),
        (["create"], "ais create --help tells how it is used"),
        (["bucket", "props", "--nope"], "ais bucket props --help tells how it is used"),
        (["ls", "--limit", "many"], "Invalid value for '--limit'"),
        (["show", "object", "ais://x", "y"], "unexpected extra argument"),
    ],
)
def test_wrong_usage(alone: Ais, command: list[str], said: str) -> None:
    """A mistake in the command is told with what may have been meant, and the exit code is 1."""
    assert said in alone.fails(*command)


def test_a_server_that_is_not_there(alone: Ais) -> None:
    """An address that nobody listens at is told, with what may be wrong."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = alone.fails("ls", AIS_ENDPOINT=f"127.0.0.1:{port}")
    assert said.startswith(f"cannot reach the server at http://127.0.0.1:{port}: Connection refused\n(Hint: ")
    assert "AIS_ENDPOINT" in said
    assert "cannot reach" in alone.fails("ls", AIS_ENDPOINT="http://nobody.invalid:1")
    assert "cannot reach" in alone.fails("ls", AIS_ENDPOINT="http://[::1")


def test_a_server_that_breaks_off(alone: Ais) -> None:
    """A connection that ends in the middle is told, and no traceback."""
    import threading

    answers = {
        b"": "broke off: the server closed it\n(Hint: if the server speaks HTTPS: AIS_ENDPOINT=https://",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort": "broke off after 5 of 100 bytes",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n": "broke off after 5 bytes",
        b"nonsense\r\n\r\n": "broke off: what came is no HTTP",
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for start in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(start)
                    connection.shutdown(socket.SHUT_WR)
                    # What is closed with bytes unread is a reset, and that is another end.
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=answer)
        thread.start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for said in answers.values():
            assert alone.fails("ls", AIS_ENDPOINT=endpoint).startswith(f"the connection to {endpoint} {said}")
        thread.join()


def test_a_server_that_is_another(alone: Ais) -> None:
    """Who does not speak the native API is not taken for a server that does."""
    import http.server
    import threading

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/daemon" in self.path:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<html>")
            else:
                self.send_error(404)

        def log_message(self, *arguments: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        assert f"{endpoint} answered 404 (Not Found)" in alone.fails("ls", AIS_ENDPOINT=endpoint)
        assert "did not answer as AIStore does" in alone.fails("show", "cluster", AIS_ENDPOINT=endpoint)
        server.shutdown()
        thread.join()


def test_https(alone: Ais) -> None:
    """A certificate that nobody knows is refused, unless it is named or nobody is to look."""
    certificate, key = write_certificate(alone.folder)
    with serve(repos_port=None, tls_cert=certificate, tls_key=key) as server:
        url = f"https://127.0.0.1:{server.port}"
        assert "cannot speak HTTPS" in alone.fails("ls", AIS_ENDPOINT=url)
        assert alone("ls", "ais://", AIS_ENDPOINT=url, AIS_CLIENT_CA=str(certificate)).output == "AIS Buckets (0)\n"
        skipped = alone("ls", "ais://", AIS_ENDPOINT=url, AIS_SKIP_VERIFY_CRT="true")
        assert (skipped.output, skipped.error) == ("AIS Buckets (0)\n", "")
        said = alone.fails("ls", AIS_ENDPOINT=f"http://127.0.0.1:{server.port}")
        assert f"AIS_ENDPOINT={url}" in said


def test_the_address_for_s3_clients(alone: Ais) -> None:
    """Who names the path for S3 clients is told the right address."""
    said = alone.fails("ls", AIS_ENDPOINT="localhost:1/s3/")
    assert said == (
        "http://localhost:1/s3 is the address for S3 clients\n"
        "(Hint: AIS_ENDPOINT=http://localhost:1 is the one for ais)"
    )


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        (None, "http://localhost:8080"),
        ("", "http://localhost:8080"),
        ("10.10.0.1:51080", "http://10.10.0.1:51080"),
        ("https://ais.example/", "https://ais.example"),
    ],
)
def test_endpoints(given: str | None, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AIS_ENDPOINT is an address with or without its scheme."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    if given is not None:
        monkeypatch.setenv("AIS_ENDPOINT", given)
    assert client.endpoint() == endpoint


def test_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is in a variable, in a file that a variable names, or where login keeps it; or there is none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert client.token() == ""
    kept = tmp_path / ".config/ais/cli/auth.token"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"token": "kept"}', encoding="utf-8")
    assert client.token() == "kept"
    monkeypatch.setenv("AIS_AUTHN_TOKEN_FILE", str(tmp_path / "other"))
    with pytest.raises(Failure, match="no token"):
        client.token()
    (tmp_path / "other").write_text("plain\n", encoding="utf-8")
    assert client.token() == "plain"
    (tmp_path / "other").write_text("{broken", encoding="utf-8")
    with pytest.raises(Failure, match="holds no token"):
        client.token()
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "given")
    assert client.token() == "given"


def bash(ais: Ais, *lines: str) -> list[list[str]]:
    """What bash itself completes lines to."""
    install(ais.folder / "bin")
    script = f'PATH={ais.folder}/bin:$PATH; eval "$(ais --show-completion bash)"\n'
    for line in lines:
        words = " ".join(f"'{word}'" for word in line.replace(":", " : ").split(" "))
        script += f"""
            COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _ais_completion ais
            echo "${{COMPREPLY[@]}}"
        """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env=environment(ais.server)
    )
    return [line.split() for line in done.stdout.splitlines()]


def test_shells_complete_commands_and_buckets(ais: Ais, bucket: str) -> None:
    """Commands by their beginning; buckets as the server has them, where bash divides words at colons too."""
    commands, listed, props = bash(ais, "ais buck", "ais ls ais://bucket-", "ais bucket props ais://bucket-")
    assert commands == ["bucket"]
    assert bucket.removeprefix("ais:") in listed
    assert bucket.removeprefix("ais:") in props
    zsh = ais("", _AIS_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=f"ais rmb {bucket}").output
    assert bucket.replace(":", "\\\\:") in zsh


def test_completion_without_a_server(alone: Ais) -> None:
    """Where there is no server there is nothing to complete, and nothing is said."""
    variables = {"_AIS_COMPLETE": "complete_bash", "COMP_WORDS": "ais\nls\nais", "COMP_CWORD": "2"}
    alone.variables |= variables
    ran = alone(AIS_ENDPOINT="http://127.0.0.1:1")
    assert (ran.output.strip(), ran.error) == ("", "")


def test_the_script_that_is_installed() -> None:
    """The entry point that the package declares is the command."""
    import tomllib

    declared = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared["project"]["scripts"]["ais"] == "tidegate.cli.ais:main"
