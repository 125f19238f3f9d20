"""What is asked under ``/-/``, and that it never stands in the way of a bucket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.server.wire import connect

if TYPE_CHECKING:
    from tidegate.testing import Server


def ask(server: Server, path: str, *, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, bytes]:
    """The status and body of an answer."""
    with connect(server.port) as connection:
        connection.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        return connection.answer(method)


def test_healthy_says_that_the_process_runs(server: Server) -> None:
    """A liveness probe needs neither credentials nor a catalog."""
    assert ask(server, "/-/healthy") == (200, b"ok\n")
    assert ask(server, "/-/healthy", method="HEAD") == (200, b"")


def test_ready_says_whether_the_catalog_can_be_used(server: Server) -> None:
    """A readiness probe fails while the catalog cannot be read and written, and recovers with it."""
    assert ask(server, "/-/ready") == (200, b"ok\n")
    (server.data / "unready").touch()
    try:
        status, text = ask(server, "/-/ready")
        assert (status, b"cannot" in text) == (503, True)
        assert ask(server, "/-/healthy")[0] == 200
    finally:
        (server.data / "unready").unlink()
    assert ask(server, "/-/ready")[0] == 200


def test_metrics_tell_what_was_done_and_what_is_stored(server: Server) -> None:
    """A scrape has requests by operation and status, latencies, bytes both ways, what is stored, and the version."""
    with connect(server.port) as connection:
        connection.send("PUT /store/metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        assert connection.answer() == (200, b"stored")
        connection.send("GET /missing/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.answer() == (404, b"missing")
        connection.send("GET /fail/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.answer()[0] == 500
    with connect(server.port) as connection:
        connection.send("GET /-/metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        response = connection.response()
        assert response.headers["content-type"].startswith("text/plain; version=")
        text = response.body().decode()
    for sample in (
        'tidegate_requests_total{operation="Store",status="200"} 1.0',
        'tidegate_requests_total{operation="Missing",status="404"} 1.0',
        'tidegate_requests_total{operation="Fail",status="500"} 1.0',
        'tidegate_request_body_bytes_total{operation="Store"} 5.0',
        'tidegate_response_body_bytes_total{operation="Store"} 6.0',
        'tidegate_request_duration_seconds_count{operation="Store"} 1.0',
        'tidegate_request_duration_seconds_bucket{le="+Inf",operation="Store"} 1.0',
        "tidegate_buckets 1.0",
        "tidegate_objects 2.0",
        "tidegate_object_bytes 3.0",
    ):
        assert sample in text.splitlines()
    assert "tidegate_build_info{" in text
    assert "AKIATEST" not in text


def test_everything_else_there_is_not_found(server: Server) -> None:
    """No door answers under the prefix, and the probes only read."""
    for path in ("/-/", "/-/x", "/-/healthy/", "/-/healthy/x", "/-/%68ealthy"):
        assert ask(server, path)[0] == 404
    assert ask(server, "/-/healthy?x=y")[0] == 200
    for method in ("POST", "PUT", "DELETE"):
        assert ask(server, "/-/healthy", method=method)[0] == 405


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready", "/-/metrics", "/-/x"])
def test_probe_hides_no_key_of_a_bucket_that_the_host_names(server: Server, path: str) -> None:
    """In virtual-host style the whole path is a key, whatever it begins with: the S3 door gets it."""
    assert ask(server, path, host="bucket.localhost") == (404, b"missing")
    assert ask(server, path, host="localhost")[0] != 404 or path == "/-/x"


@pytest.mark.parametrize("path", ["/describe/-/healthy", "//-/healthy", "/-", "/-a/healthy"])
def test_only_the_prefix_itself_is_special(server: Server, path: str) -> None:
    """A path that merely looks like it goes to the S3 door as it is."""
    status, body = ask(server, path)
    assert (status, body) == (404, b"missing") or json.loads(body)["raw_path"] == path


def test_server_names_itself_and_not_its_parts(server: Server) -> None:
    """One Server header, ours."""
    with connect(server.port) as connection:
        connection.send("GET /describe/x HTTP/1.1\r\nHost: a\r\n\r\n")
        response = connection.response()
        assert response.headers.get_all("server") == ["Tidegate"]
        response.body()


def test_fault_in_a_door_is_a_500_and_closes_the_connection(server: Server) -> None:
    """An exception that a door lets through tells the client nothing of itself."""
    with connect(server.port) as connection:
        connection.send("GET /fail/x HTTP/1.1\r\nHost: a\r\n\r\n")
        status, body = connection.answer()
        assert (status, b"broken" in body) == (500, False)
        assert connection.is_closed()
