"""``port-forward``: what it prints, what it checks, and that connections come through."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

from tests.cli.pachctl.command import PACHCTL, Pachctl
from tidegate.cli.pachctl.forwarder import Port


@contextmanager
def forwarded(pachctl: Pachctl, *options: str) -> Iterator[list[str]]:
    """Forwards, until it is interrupted; the lines that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", PACHCTL.main, "port-forward", *options],
        env=PACHCTL.environment(pachctl.server, **pachctl.variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("CTRL-C"):
                break
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    assert (process.returncode, error) in {(0, ""), (130, "")}


def test_forwarding(pachctl: Pachctl, repo: str) -> None:
    """The API and the port for S3 clients are reached at the ports that are printed, as Pachyderm prints them."""
    assert pachctl.server is not None
    assert pachctl.server.repos_url is not None
    repos = pachctl.server.repos_url.rpartition(":")[2]
    options = ("--port", "0", "--s3gateway-port", "0", "--remote-s3gateway-port", repos)
    with forwarded(pachctl, *options) as lines:
        assert re.fullmatch(
            r"Forwarding the pachd \(Pachyderm daemon\) port\.\.\.\nlistening on port (\d+)\n"
            r"Forwarding the s3gateway port\.\.\.\nlistening on port (\d+)\nCTRL-C to exit",
            "\n".join(lines),
        )
        api, s3 = (int(line.split()[-1]) for line in lines if line.startswith("listening"))
        through = Pachctl(None, pachctl.folder, {**pachctl.variables, "PACHD_ADDRESS": f"http://127.0.0.1:{api}"})
        content = bytes(1_000_000)
        through.put(f"{repo}@master:/x", content)
        assert through.read(f"{repo}@master:/x") == content
        assert urllib3.request("GET", f"http://127.0.0.1:{s3}/master.{repo}/x").data == content
        for _ in range(3):  # whoever leaves in the middle disturbs nobody
            socket.create_connection(("127.0.0.1", api)).close()
        through("list", "repo")


def test_a_server_that_is_here(pachctl: Pachctl) -> None:
    """Where the port is the server's own there is nothing to forward, and that it listens is all there is to see."""
    assert pachctl.server is not None
    assert pachctl.server.repos_url is not None
    repos = pachctl.server.repos_url.rpartition(":")[2]
    with forwarded(pachctl, "-p", "0", "-s", repos, "--remote-s3gateway-port", repos) as lines:
        assert lines[2:4] == ["Forwarding the s3gateway port...", f"listening on port {repos}"]


def test_nothing_to_forward_to(pachctl: Pachctl) -> None:
    """Where nobody listens that is told, with what may be wrong; so is a port that is taken."""
    assert pachctl.server is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    said = pachctl.fails("port-forward", "--remote-s3gateway-port", port)
    assert said.startswith(f"nothing listens on 127.0.0.1:{port}: Connection refused\n(Hint: the server's --repos-port")
    away = pachctl.fails("port-forward", PACHD_ADDRESS=f"http://127.0.0.1:{port}")
    assert "is PACHD_ADDRESS its address?" in away
    assert "has no port" in pachctl.fails("port-forward", PACHD_ADDRESS="http://127.0.0.1:99999")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_port = str(taken.getsockname()[1])
        said = pachctl.fails("port-forward", "-p", taken_port, "--remote-s3gateway-port", str(pachctl.server.port))
        assert said.startswith(f"cannot listen on port {taken_port}: ")
        assert said.endswith("(Hint: --port PORT)")


@pytest.mark.parametrize(
    ("port", "is_here"),
    [
        (Port("s3gateway", "-s", 30600, "127.0.0.1", 30600), True),
        (Port("s3gateway", "-s", 30600, "localhost", 30600), True),
        (Port("s3gateway", "-s", 30600, "::1", 30600), True),
        (Port("s3gateway", "-s", 30601, "127.0.0.1", 30600), False),
        (Port("s3gateway", "-s", 30600, "10.0.0.1", 30600), False),
        (Port("s3gateway", "-s", 30600, "far.example", 30600), False),
    ],
)
def test_what_is_here(port: Port, *, is_here: bool) -> None:
    """Only a port of this machine with the same number is the server's own."""
    assert port.is_here is is_here
