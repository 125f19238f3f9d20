"""A client of ``/v2`` that holds every answer against what the description says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import requests

from tidegate.api.routes import Router
from tidegate.api.table import ROUTES
from tidegate.documents import Failure

ROUTER = Router(ROUTES)


class Api:
    """Requests to one server, as somebody with a token, or nobody."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = f"{url}/v2"
        self.session = requests.Session()
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        """Any request. Whatever comes of it has the shape that is described."""
        answer = self.session.request(method, self.url + path, **more)
        check(method, answer)
        return answer

    def get(self, path: str, /, **query: str | int | bool) -> Any:
        """A document."""
        return succeed(self.request("GET", path, params=spelt(query))).json()

    def post(self, path: str, body: object = None, /, **query: str | int | bool) -> Any:
        """What comes of a POST; None for no content."""
        answer = succeed(self.request("POST", path, json=body, params=spelt(query)))
        return answer.json() if answer.content else None

    def put(self, path: str, body: object) -> Any:
        """What comes of a PUT of a document."""
        return succeed(self.request("PUT", path, json=body)).json()

    def delete(self, path: str, /, **query: str | int | bool) -> Any:
        """What comes of a DELETE; None for no content."""
        answer = succeed(self.request("DELETE", path, params=spelt(query)))
        return answer.json() if answer.content else None

    def fails(self, method: str, path: str, status: int, code: str, **more: Any) -> Any:
        """Asserts that a request is refused so. Returns the document."""
        answer = self.request(method, path, **more)
        document = answer.json()
        assert (answer.status_code, document["error"]["code"]) == (status, code), answer.text
        return document


class Repo:
    """A repository, and what is done in it."""

    def __init__(self, api: Api, name: str, project: str = "default") -> None:
        self.api = api
        self.name = name
        self.project = project
        self.path = f"/projects/{project}/repos/{name}"

    def file(self, path: str, ref: str = "master") -> str:
        """The path of a file's content."""
        return f"{self.path}/files/{quote(ref, safe='')}/{quote(path, safe='/')}"

    def write(self, path: str, content: bytes = b"content", ref: str = "master", **headers: str) -> Any:
        """Writes a file. Returns what is said of it."""
        return succeed(self.api.request("PUT", self.file(path, ref), data=content, headers=headers)).json()

    def read(self, path: str, ref: str = "master") -> bytes | None:
        """A file's content; None where there is none."""
        answer = self.api.request("GET", self.file(path, ref))
        if answer.status_code == 404:
            assert answer.json()["error"]["code"] == "NoSuchFile"
            return None
        return succeed(answer).content

    def contents(self, ref: str = "master") -> dict[str, bytes | None]:
        """All files with their content."""
        return {path: self.read(path, ref) for path in self.paths(ref, recursive=True)}

    def paths(self, ref: str = "master", **query: str | int | bool) -> list[str]:
        """The paths of a listing, all pages of it."""
        return [item["path"] for item in self.items("files", ref=ref, **query)]

    def items(self, what: str, **query: str | int | bool) -> list[Any]:
        """The items of all pages of a list."""
        found: list[Any] = []
        while True:
            page = self.api.get(f"{self.path}/{what}", **query)
            found += page["items"]
            if page["next"] is None:
                return found
            assert page["next"] > str(query.get("after", "")) or what == "commits"
            query["after"] = page["next"]

    def commits(self, ref: str = "master") -> list[Any]:
        """The commits of a branch, the newest first."""
        return self.items("commits", ref=ref)

    def head(self, ref: str = "master") -> str:
        """The id of a branch's newest commit."""
        return str(self.api.get(f"{self.path}/branches/{ref}")["head"]["id"])

    def branch(self, name: str, **changes: object) -> Any:
        """Makes or changes a branch."""
        return self.api.put(f"{self.path}/branches/{name}", changes)


def succeed(answer: requests.Response) -> requests.Response:
    """The answer, which is no error."""
    assert answer.ok, answer.text
    return answer


def check(method: str, answer: requests.Response) -> None:
    """Asserts what holds for every answer: its request id, and a body of the type that is described."""
    assert len(answer.headers["X-Request-Id"]) == 16
    assert answer.status_code < 500 or answer.status_code == 501, answer.text
    if method == "HEAD" or answer.status_code in {204, 304}:
        assert answer.content == b""
        return
    if answer.status_code >= 400:
        failure = msgspec.json.decode(answer.content, type=Failure)
        assert failure.error.request_id == answer.headers["X-Request-Id"]
        assert failure.error.message
        return
    route, _ = ROUTER.find(method, urlsplit(str(answer.request.url)).path.encode())
    assert answer.status_code in {route.status, 200, 206}
    if route.answer is not None:
        assert answer.headers["Content-Type"] == "application/json"
        value: object = msgspec.json.decode(answer.content, type=route.answer)
        assert msgspec.json.decode(msgspec.json.encode(value)) == msgspec.json.decode(answer.content)


def spelt(query: Mapping[str, str | int | bool]) -> dict[str, str]:
    """Parameters as text."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items()}
