"""The parent and its workers: how they start, share, die and end. The real command, real signals, real sockets."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.certificates import write_certificate
from tests.server.wire import connect
from tidegate.testing import ServerError, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.conftest import StartStandin
    from tidegate.testing import ServerProcess

# For what happens soon; a busy machine may take long.
SECONDS = 60.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for something that has to happen."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen")
        time.sleep(0.02)


def get(port: int, path: str) -> tuple[int, bytes]:
    """A GET on a connection of its own, which any worker may accept."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


def put(port: int, path: str) -> None:
    """A PUT without a body, such as of a bucket."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request("PUT", path)
        assert connection.getresponse().status == 200


def accepts(port: int) -> bool:
    """Whether anybody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except OSError:
        return False
    return True


def described(port: int, query: str = "") -> dict[str, Any]:
    """What the stand-in's door sees of a request."""
    value: dict[str, Any] = json.loads(get(port, f"/describe/x{query}")[1])
    return value


def workers(port: int, count: int) -> set[int]:
    """The process ids of all workers."""
    pids: set[int] = set()

    def all_answered() -> bool:
        pids.add(described(port)["pid"])
        return len(pids) == count

    until(all_answered, f"an answer from each of {count} workers")
    return pids


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return sys.platform != "linux"


def refused(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that is not to start."""
    command = [sys.executable, "-m", "tidegate", "serve", *arguments]
    source = str(Path(__file__).parents[2] / "src")
    return subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=False, env={**os.environ, "PYTHONPATH": source}
    )


# --- start -----------------------------------------------------------------------------------------------------------


def test_ready_line_names_the_endpoints(start_standin: StartStandin) -> None:
    """The first line on standard output begins with ``tidegate ready`` and has the ports that were taken."""
    server = start_standin()
    first, *examples = server.output.splitlines()
    assert first == f"tidegate ready: {server.url} (S3 at / and /s3), repos at {server.repos_url}"
    assert len(examples) == 2
    assert get(server.port, "/-/healthy")[0] == 200
    assert server.log == ""


def test_repos_port_can_be_off(start_standin: StartStandin) -> None:
    """Without a port for repositories the ready line names one endpoint."""
    server = start_standin(repos_port=None)
    assert server.repos_url is None
    assert server.output.startswith(f"tidegate ready: {server.url} (S3 at / and /s3)\n")


def test_repos_port_is_told_apart(start_standin: StartStandin) -> None:
    """The same server listens on both ports, and a door can tell by which one a request came."""
    server = start_standin()
    assert server.repos_url is not None
    repos_port = int(server.repos_url.rpartition(":")[2])
    assert described(server.port)["is_repos"] is False
    assert described(repos_port)["is_repos"] is True


@pytest.mark.parametrize("auth", ["off", "on"])
def test_printed_commands_work_as_they_are(tidegate_factory: Callable[..., ServerProcess], auth: str) -> None:
    """What the server prints to show its use can be pasted into a shell."""
    server = tidegate_factory(auth=auth)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    make, show = [line.removeprefix("try: ") for line in server.output.splitlines() if line.startswith("try: ")]
    assert (" aws " in make, show.partition(" ")[0]) == (True, "s3cmd")
    for example in (make, show):
        done = subprocess.run(
            ["sh", "-c", example],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, "PATH": path},
        )
        assert done.returncode == 0, done.stderr
        assert "demo" in done.stdout


def test_workers_load_no_command_line(start_standin: StartStandin) -> None:
    """A worker that is started from the installed script imports neither typer nor rich, nor an SDK."""
    modules = described(start_standin().port, "?modules")["modules"]
    assert "tidegate.server.front" in modules
    assert {"typer", "rich", "boto3", "botocore", "tidegate.cli.app"}.isdisjoint(modules)


def test_second_server_on_the_data_folder_is_refused(start_standin: StartStandin, tmp_path: Path) -> None:
    """The second is told in one line who is there, and leaves with 1; the first goes on."""
    first = start_standin(tmp_path)
    second = refused("--data", str(tmp_path), "--port", "0", "--repos-port", "0")
    assert second.returncode == 1
    assert second.stdout == ""
    expected = (
        f"tidegate: {tmp_path} is in use by another server: process {first.pid} at {first.url} and {first.repos_url}\n"
    )
    assert second.stderr == expected
    assert get(first.port, "/-/healthy")[0] == 200


@pytest.mark.parametrize("flag", ["--port", "--repos-port"])
def test_taken_port_is_a_clear_error(tmp_path: Path, flag: str) -> None:
    """A port that somebody else listens on is named, whichever of the two it is."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        other = "--repos-port" if flag == "--port" else "--port"
        done = refused("--data", str(tmp_path), flag, str(port), other, "0")
    assert done.returncode == 1
    assert done.stderr.startswith(f"tidegate: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert ("--repos-port takes another port" in done.stderr) is (flag == "--repos-port")
    assert done.stderr.count("\n") == 1


def test_taken_default_repos_port_is_a_clear_error(tmp_path: Path) -> None:
    """Also who never asked for the repositories' port hears that it is taken, and how to go without."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 30600))
            taken.listen()
        except OSError:  # somebody else has it, which does as well
            pass
        done = refused("--data", str(tmp_path), "--port", "0")
    assert done.returncode == 1
    assert "127.0.0.1:30600" in done.stderr
    assert "off" in done.stderr


def test_wrong_setting_is_a_usage_error(tmp_path: Path) -> None:
    """A contradiction is explained in one line, with exit code 2, before anything is made on disk."""
    done = refused("--data", str(tmp_path / "data"), "--host", "0.0.0.0")  # noqa: S104 - it is refused
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--allow-anonymous" in done.stderr
    assert not (tmp_path / "data").exists()


def test_worker_that_cannot_start_ends_the_server(start_standin: StartStandin, tmp_path: Path) -> None:
    """A fault that every worker would meet is told, with exit code 1, instead of being tried for ever."""
    (tmp_path / "broken").touch()
    with pytest.raises(ServerError, match=r"(?s)exit code 1.*the rooms are broken"):
        start_standin(tmp_path, workers=2)


def test_unusable_data_folder_is_a_clear_error(tmp_path: Path) -> None:
    """A data folder that cannot be made is named in one line."""
    (tmp_path / "file").touch()
    done = refused("--data", str(tmp_path / "file" / "data"), "--port", "0", "--repos-port", "0")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot use the data folder" in done.stderr


# --- deaths ----------------------------------------------------------------------------------------------------------


def test_killed_worker_is_replaced(start_standin: StartStandin) -> None:
    """After kill -9 of a worker there are as many as before, and the log says what happened."""
    server = start_standin(workers=2)
    before = workers(server.port, 2)
    victim = before.pop()
    os.kill(victim, signal.SIGKILL)
    until(lambda: not is_running(victim), "the death of the worker")
    after = workers(server.port, 2)
    assert before < after
    assert victim not in after
    assert re.search(rf"WARNING \S+ worker {victim} was ended by SIGKILL; starting another", server.log)


def test_worker_that_cannot_come_back_does_not_end_the_others(start_standin: StartStandin, tmp_path: Path) -> None:
    """While a replacement fails to start, the other workers serve; when it can start, it does."""
    server = start_standin(tmp_path, workers=2)
    (tmp_path / "broken").touch()
    victim, survivor = workers(server.port, 2)
    os.kill(victim, signal.SIGKILL)
    until(lambda: "the rooms are broken" in server.log, "an attempt to start a worker")
    assert described(server.port)["pid"] == survivor
    (tmp_path / "broken").unlink()
    assert survivor in workers(server.port, 2)


def test_killed_parent_takes_its_workers_along(start_standin: StartStandin, tmp_path: Path) -> None:
    """After kill -9 of the parent no worker is left, and a new server starts at once on the same folder and port."""
    first = start_standin(tmp_path, workers=2)
    pids = workers(first.port, 2)
    first.stop(signal.SIGKILL)
    second = start_standin(tmp_path, workers=2, port=first.port)
    assert not any(map(is_running, pids))
    assert workers(second.port, 2).isdisjoint(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_server_leaves_no_metrics_for_long(start_standin: StartStandin) -> None:
    """The next server, on whatever data folder, removes the memory files of a killed one, and in the end its own."""
    first = start_standin()
    left = metrics_folder(described(first.port)["pid"])
    first.stop(signal.SIGKILL)
    second = start_standin()
    assert not left.exists()
    own = metrics_folder(described(second.port)["pid"])
    assert own.exists()
    second.stop()
    assert not own.exists()


def metrics_folder(worker: int) -> Path:
    """Where a worker's metrics are, from what it has mapped."""
    maps = Path(f"/proc/{worker}/maps").read_text(encoding="utf-8")
    (folder,) = {Path(path).parent for path in re.findall(r"/\S*/tidegate-metrics-\S*\.db", maps)}
    return folder


def test_hanging_worker_is_replaced(start_standin: StartStandin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that no longer runs, though it is there, is killed and replaced."""
    server = start_standin(workers=2)
    before = workers(server.port, 2)
    victim = before.pop()
    os.kill(victim, signal.SIGSTOP)
    until(lambda: not is_running(victim), "the end of the worker that hangs")
    assert workers(server.port, 2) > before
    assert f"worker {victim} hung and was killed; starting another" in server.log


# --- end -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_lets_an_upload_finish(number: signal.Signals, tmp_path: Path) -> None:
    """An upload that is under way at the signal is completed and kept; then the server ends with 0."""
    if number == signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)  # where the tests run under nohup, a server does not hear it either
    body = b"x" * 200_000
    with serve(tmp_path, workers=2) as server:
        put(server.port, "/bucket")
        with connect(server.port) as connection:
            connection.send(
                f"PUT /bucket/key HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
            )
            assert connection.sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.send(body[:1000])
            os.kill(server.pid, number)
            until(lambda: not accepts(server.port), "the end of listening")
            connection.send(body[1000:])
            assert connection.answer()[0] == 200
        assert server.stop() == 0
    with serve(tmp_path) as server:
        assert get(server.port, "/bucket/key") == (200, body)


def test_idle_connections_do_not_delay_the_end(start_standin: StartStandin) -> None:
    """A pooled connection without a request is closed at once."""
    server = start_standin()
    with connect(server.port) as connection:
        connection.send("GET /describe/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.answer()[0] == 200
        assert server.stop() == 0
        assert connection.is_closed()


def test_second_interrupt_does_not_wait(start_standin: StartStandin, tmp_path: Path) -> None:
    """Who presses Ctrl-C again will not wait for requests in flight."""
    server = start_standin(tmp_path)
    with connect(server.port) as connection:
        connection.send("GET /sleep?seconds=3600 HTTP/1.1\r\nHost: a\r\n\r\n")
        until((tmp_path / "began").exists, "the beginning of the request")
        os.kill(server.pid, signal.SIGINT)
        until(lambda: not accepts(server.port), "the end of listening")
        os.kill(server.pid, signal.SIGINT)
        assert connection.is_closed()
    assert server.stop() == 0


# --- sharing ---------------------------------------------------------------------------------------------------------


def samples(port: int) -> dict[str, float]:
    """The samples of a scrape by name and labels."""
    lines = get(port, "/-/metrics")[1].decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_metrics_are_those_of_all_workers(start_standin: StartStandin) -> None:
    """Whichever worker is scraped adds up what all have counted, also what one had counted that has died since."""
    server = start_standin(workers=2)
    asked: dict[int, int] = {}
    while len(asked) < 2 or min(asked.values()) < 3:
        pid = described(server.port)["pid"]
        asked[pid] = asked.get(pid, 0) + 1
    name = 'tidegate_requests_total{operation="Describe",status="200"}'
    count = 'tidegate_request_duration_seconds_count{operation="Describe"}'
    until(lambda: samples(server.port).get(name) == sum(asked.values()), "the sum over both workers")
    assert samples(server.port)[count] == sum(asked.values())
    os.kill(next(iter(asked)), signal.SIGKILL)
    workers_again = workers(server.port, 2)
    assert len(workers_again) == 2
    assert samples(server.port)[name] >= sum(asked.values())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_requests_leak_no_descriptors(start_standin: StartStandin) -> None:
    """After many requests, finished and broken off, a worker has as many open files as before."""
    server = start_standin()
    folder = Path(f"/proc/{described(server.port)['pid']}/fd")
    get(server.port, "/-/metrics")

    def open_files() -> int:
        return len(list(folder.iterdir()))

    before = open_files()
    for _ in range(50):
        described(server.port)
        get(server.port, "/fail/x")
        with connect(server.port) as connection:
            connection.send("PUT /store/cut HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n12345")
        with connect(server.port) as connection:
            connection.send("rubbish\r\n\r\n")
            assert connection.answer()[0] == 400
    until(lambda: open_files() <= before, "the closing of every connection")


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine that nobody knows, and its key."""
    return write_certificate(tmp_path_factory.mktemp("certificate"))


def test_https_is_served_with_a_certificate(start_standin: StartStandin, certificate: tuple[Path, Path]) -> None:
    """With certificate and key both ports speak TLS, 1.2 at least, and nothing else."""
    cert, key = certificate
    server = start_standin(tls_cert=cert, tls_key=key)
    assert server.url.startswith("https://")
    assert server.repos_url is not None
    assert server.repos_url.startswith("https://")
    context = ssl.create_default_context(cafile=str(cert))
    with closing(HTTPSConnection("127.0.0.1", server.port, context=context, timeout=SECONDS)) as connection:
        connection.request("PUT", "/describe/x", body=b"hello")
        response = connection.getresponse()
        assert json.loads(response.read())["body"] == "hello"
        assert connection.sock.version() in {"TLSv1.2", "TLSv1.3"}
    old = ssl.create_default_context(cafile=str(cert))
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with connect(server.port) as raw, pytest.raises(ssl.SSLError):
        old.wrap_socket(raw.sock, server_hostname="127.0.0.1")
    with connect(server.port) as raw:
        raw.send("GET /describe/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not raw.rest().startswith(b"HTTP/1.1 200")


def test_key_that_does_not_fit_is_a_clear_error(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """A certificate that cannot be used is named in one line, before anything listens."""
    cert, _ = certificate
    for key in (cert, tmp_path / "missing.pem"):
        done = refused("--data", str(tmp_path), "--tls-cert", str(cert), "--tls-key", str(key))
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert str(key) in done.stderr
