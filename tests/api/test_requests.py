"""What holds for every request: who may ask, what is refused, how errors look, and what is taken down of it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest
import requests

from tests.api.client import Api, Repo
from tidegate.testing import ServerProcess


def test_which_server_it_is(api: Api) -> None:
    """Its version, its id, and whether it asks for tokens."""
    import tidegate

    found = api.get("/version")
    assert found["version"] == tidegate.__version__
    assert found["auth"] is False
    assert api.get("/version") == found


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/projects/", "/projects/default/", "/version/x", "//version"])
def test_a_path_of_nothing_is_not_found(api: Api, path: str) -> None:
    """No path is taken for another."""
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        api.fails(method, path, 404, "NoSuchPath")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/version", "GET, HEAD"),
        ("PUT", "/projects", "GET, HEAD, POST"),
        ("POST", "/projects/default", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/auth/login", "POST"),
        ("HEAD", "/auth/login", "POST"),
        ("OPTIONS", "/projects", "GET, HEAD, POST"),
        ("POST", "/projects/default/repos/r/files/master/key", "DELETE, GET, HEAD, PUT"),
    ],
)
def test_a_method_that_is_not_there_is_told(api: Api, method: str, path: str, allowed: str) -> None:
    """405, with the methods that are (RFC 9110 section 15.5.6)."""
    answer = api.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


def test_head_is_get_without_a_body(api: Api, repo: Repo) -> None:
    """Wherever there is a GET."""
    for path in ("/version", "/projects", repo.path, f"{repo.path}/files?ref=master", "/openapi.json"):
        answer = api.request("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Type"] == "application/json"
        assert int(answer.headers["Content-Length"]) == len(api.request("GET", path).content)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"name": "x", "colour": "red"}', "colour"),
        (b'{"name": 1}', "name"),
        (b'{"description": "x"}', "name"),
        (b'{"name": null}', "name"),
        (b'{"name": "x", "description": "' + b"x" * 4097 + b'"}', "description"),
        (b'["x"]', "object"),
        (b'"x"', "object"),
        (b"{", "truncated"),
        (b'{"name": "\xff"}', "utf-8"),
        (b'{"name": "\\ud800"}', ""),
        (b"[" * 100_000, ""),
        (b"", "name"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(api: Api, body: bytes, words: str) -> None:
    """A field that is unknown, missing or of another type, and what is no JSON: the message says what it is."""
    headers = {"Content-Type": "application/json"}
    document = api.fails("POST", "/projects", 400, "InvalidArgument", data=body, headers=headers)
    assert words in document["error"]["message"]


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_a_body_that_is_not_json_is_refused(api: Api, media: str | None) -> None:
    """A form of another site's is no JSON, whatever it says."""
    headers = {} if media is None else {"Content-Type": media}
    api.fails("POST", "/projects", 415, "UnsupportedMediaType", data=b'{"name": "x"}', headers=headers)
    answer = api.request(
        "POST", "/projects", data=b'{"name": ""}', headers={"Content-Type": "Application/JSON; charset=utf-8"}
    )
    assert answer.status_code == 400


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    """413, also where it does not say how large it is; before a login the limit is small."""
    headers = {"Content-Type": "application/json"}
    for path, size in (("/projects", 16 * 1024 * 1024 + 1), ("/auth/login", 16 * 1024 + 1)):
        for body in (b" " * size, iter([b" " * size])):
            answer = requests.post(api.url + path, data=body, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "ContentTooLarge")


def test_a_body_where_none_is_taken_is_refused(api: Api, repo: Repo) -> None:
    """What would be ignored is not sent for nothing."""
    repo.write("key")
    for method, path in (
        ("GET", "/projects"),
        ("DELETE", repo.file("key")),
        ("POST", f"{repo.path}/commits/master/squash"),
    ):
        api.fails(method, path, 400, "InvalidRequest", json={"key": "value"})
    assert repo.read("key") == b"content"


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Head-Commit"])
def test_a_condition_that_would_not_be_looked_at_is_refused(api: Api, repo: Repo, header: str) -> None:
    """Nobody is made to believe that something was checked."""
    repo.write("key")
    for method, path, more in (
        ("PATCH", repo.path, {"json": {"description": "x"}}),
        ("DELETE", repo.path, {}),
        ("PUT", f"{repo.path}/tags/v1", {"json": {"ref": "master"}}),
        ("POST", f"{repo.path}/commits/master/squash", {}),
    ):
        document = api.fails(method, path, 400, "InvalidRequest", headers={header: '"x"'}, **more)
        assert header.lower() in document["error"]["message"]
    assert repo.read("key") == b"content"


@pytest.mark.parametrize("path", ["/projects?x=1", "/version?limit=1", "/version?v", "/projects/default?%ff=1"])
def test_a_parameter_that_is_not_there_is_refused(api: Api, path: str) -> None:
    """A misspelt one is never ignored."""
    api.fails("GET", path, 400, "InvalidArgument")


def test_an_error_can_be_found_in_the_log(api: Api, server: ServerProcess, repo: Repo) -> None:
    """By its request id, with the operation, the status and the code."""
    api.fails("GET", repo.file("missing"), 404, "NoSuchFile")
    failed = api.fails("GET", f"{repo.path}/files/nothing/x", 404, "NoSuchBranch")["error"]["request_id"]
    api.get("/version")
    (line,) = [line for line in server.log.splitlines() if failed in line]
    for word in ("api.get_file", "404", "NoSuchBranch", "/files/nothing/x"):
        assert word in line


def test_requests_are_counted(api: Api, server: ServerProcess, repo: Repo) -> None:
    """By operation and status, with their bytes."""

    def counted() -> float:
        text = requests.get(f"{server.url}/-/metrics").text
        found = re.search(r'^tidegate_request_body_bytes_total\{operation="api\.put_file"\} (\S+)', text, re.MULTILINE)
        return 0.0 if found is None else float(found[1])

    before = counted()
    repo.write("key", b"x" * 1000)
    until(lambda: counted() >= before + 1000)
    text = requests.get(f"{server.url}/-/metrics").text
    assert 'tidegate_requests_total{operation="api.put_file",status="200"}' in text


def until(holds: Callable[[], bool]) -> None:
    """Waits for what comes soon or never: the test's own time limit ends it."""
    while not holds():
        pass


def test_a_bucket_with_such_a_name_is_s3s(server: ServerProcess) -> None:
    """Only ``/v2`` itself is the door; a bucket whose name begins so is a bucket."""
    s3 = server.boto3_client()
    s3.create_bucket(Bucket="v2x")
    s3.put_object(Bucket="v2x", Key="key", Body=b"content")
    assert s3.get_object(Bucket="v2x", Key="key")["Body"].read() == b"content"
    s3.close()


def test_a_connection_goes_on_after_a_refusal(server: ServerProcess) -> None:
    """A body that was not read does not become the next request."""
    body = b"GET /v2/version HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"PUT /v2/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    last = b"GET /v2/projects HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + body + last)
        received = connection.makefile("rb").read()
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"404", b"200"]
