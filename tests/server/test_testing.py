"""``tidegate.testing``: what it gives to tests, and what it says when a server does not do well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tidegate import settings
from tidegate.testing import ServerError, serve, serve_in_thread

if TYPE_CHECKING:
    from tidegate.testing import ServerProcess
    from tidegate.testing.plugin import Factory

pytest_plugins = ["pytester"]


def test_fixture_is_a_running_server(tidegate_server: ServerProcess) -> None:
    """One line gives a server on a free port, with a folder of its own, that boto3 can use."""
    client = tidegate_server.boto3_client()
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="key", Body=b"body")
    assert client.get_object(Bucket="bucket", Key="key")["Body"].read() == b"body"
    assert tidegate_server.url == f"http://127.0.0.1:{tidegate_server.port}"
    assert tidegate_server.data.is_dir()
    assert tidegate_server.log == ""


def test_factory_takes_settings(tidegate_factory: Factory) -> None:
    """Servers side by side, each as it is wanted: with authentication, with the administrator's keys at hand."""
    plain, strict = tidegate_factory(), tidegate_factory(auth=True, workers=2, access_log=True)
    assert plain.port != strict.port
    assert plain.data != strict.data
    strict.boto3_client().create_bucket(Bucket="bucket")
    strict.stop()  # a line is written after the answer
    assert "operation=CreateBucket" in strict.log
    assert plain.log == ""


def test_server_is_gone_after_the_context() -> None:
    """Process and temporary data folder end with the block."""
    with serve() as server:
        assert server.data.is_dir()
    assert server.process.returncode == 0
    assert not server.data.exists()


def test_data_folder_of_ones_own_is_kept(tmp_path: Path) -> None:
    """A folder that was given is there afterwards, for the next server."""
    with serve(tmp_path / "data") as server:
        server.boto3_client().create_bucket(Bucket="bucket")
    with serve(tmp_path / "data") as server:
        assert [bucket["Name"] for bucket in server.boto3_client().list_buckets()["Buckets"]] == ["bucket"]


def test_death_of_a_server_is_an_error_with_its_log() -> None:
    """A server that ends by itself does not go unnoticed."""
    with pytest.raises(ServerError, match="ended by itself with exit code -9"), serve() as server:  # noqa: PT012
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait()


def test_wanted_end_is_none() -> None:
    """A test may stop or kill its server itself."""
    with serve() as server:
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL


def test_server_that_does_not_start_is_an_error_with_its_log(tmp_path: Path) -> None:
    """What the server says why it does not start is in the error."""
    with serve(tmp_path), pytest.raises(ServerError, match="is in use by another server"), serve(tmp_path):
        pass
    with pytest.raises(settings.SettingsError, match="prot"), serve(prot=1):
        pass


def test_server_in_a_thread_is_in_this_process() -> None:
    """The same S3, with no process beside this one and its data folder gone afterwards."""
    with serve_in_thread(auth=True) as server:
        client = server.boto3_client()
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="key", Body=b"body")
        assert client.get_object(Bucket="bucket", Key="key")["Body"].read() == b"body"
        with urlopen(f"{server.url}/-/ready") as response:
            assert response.read() == b"ok\n"
    assert not server.data.exists()


def test_threads_can_serve_side_by_side() -> None:
    """Two servers in one process do not share a port, a folder or a bucket."""
    with serve_in_thread() as one, serve_in_thread(repos_port=None) as other:
        one.boto3_client().create_bucket(Bucket="bucket")
        assert other.boto3_client().list_buckets()["Buckets"] == []
        assert other.repos_url is None


def test_thread_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    """A failure to open the rooms reaches whoever asked for the server."""
    (tmp_path / "broken").touch()
    with (
        pytest.raises(ServerError, match="could not start"),
        serve_in_thread(tmp_path, house="tests.server.standin:open_house"),
    ):
        pass


def test_thread_leaks_no_descriptors() -> None:
    """Starting and stopping leaves no socket, lock or file open."""
    with serve_in_thread():
        pass  # what is loaded once is loaded now
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        with serve_in_thread() as server, urlopen(f"{server.url}/-/metrics") as response:
            response.read()
    assert len(list(Path("/dev/fd").iterdir())) <= before


def test_importing_it_loads_no_pytest_and_no_server() -> None:
    """Who does not test does not pay: neither pytest, nor an SDK, nor the server is imported."""
    code = (
        "import sys, tidegate.testing; "
        "print([name for name in ('pytest', 'boto3', 'uvicorn', 'tidegate.gateway', 'typer') if name in sys.modules])"
    )
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert done.stdout.strip() == "[]"
