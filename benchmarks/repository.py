"""The few requests of ``/v2`` that a benchmark makes of a repository, one at a time, over one connection."""

from __future__ import annotations

import http.client
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from benchmarks import native
from benchmarks.s3 import TIMEOUT, AnswerError
from benchmarks.servers import USER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.servers import Server

MASTER = "master"
_IDLE = 5.0  # seconds after which a server may have hung up


class _Commit(msgspec.Struct, frozen=True):
    """What is read of a commit."""

    id: str


class _Page(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]


class _Merged(msgspec.Struct, frozen=True):
    changes: int


def log_in(server: Server) -> str:
    """A token of the user who signs the benchmark's requests. The ones before are no good any more."""
    server.signer()  # makes the user
    return native.log_in(server, USER)


class Repository:
    """A repository of the user who signs the benchmark's requests, from ``with`` to the end of the block.

    Each method raises AnswerError unless it is answered with 2xx.
    """

    def __init__(self, server: Server, token: str, name: str) -> None:
        self.name = name
        self._connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=TIMEOUT)
        self._used = time.monotonic()
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def bucket(self, branch: str = MASTER, commit: str = "") -> str:
        """How S3 clients call a branch, or a commit on it."""
        return ".".join(filter(None, (commit, branch, self.name)))

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> bytes:
        data = None if body is None else msgspec.json.encode(body)
        if time.monotonic() - self._used > _IDLE:
            self._connection.close()  # the next request opens it again
        self._connection.request(method, f"/v2/projects/default/repos{path}", data, self._headers)
        response = self._connection.getresponse()
        content = response.read()
        self._used = time.monotonic()
        if not 200 <= response.status < 300:
            raise AnswerError(f"{method} {path}: {response.status} {content[:1000].decode(errors='replace')}")
        return content

    def create(self) -> None:
        self._call("POST", "", {"name": self.name})

    def branch(self, name: str, head: str | None = None) -> None:
        """Makes a branch of a state, or an empty one."""
        self._call("PUT", f"/{self.name}/branches/{name}", {"head": head})

    def head(self, ref: str = MASTER) -> str:
        """The id of the commit that a ref stands for."""
        return msgspec.json.decode(self._call("GET", f"/{self.name}/commits/{quote(ref)}"), type=_Commit).id

    def start(self, branch: str = MASTER) -> str:
        """Starts a commit, and returns its id."""
        return msgspec.json.decode(self._call("POST", f"/{self.name}/commits", {"branch": branch}), type=_Commit).id

    def finish(self, ref: str = MASTER) -> None:
        self._call("POST", f"/{self.name}/commits/{ref}/finish", {})

    def diff(self, old: str, new: str, limit: int) -> int:
        """How many paths differ between two states, of those that fit into a page."""
        query = urlencode({"from": old, "to": new, "limit": limit})
        return len(msgspec.json.decode(self._call("GET", f"/{self.name}/diff?{query}"), type=_Page).items)

    def merge(self, source: str, into: str) -> int:
        """Merges one state into a branch, and returns how many paths that has changed."""
        answer = self._call("POST", f"/{self.name}/merge", {"source": source, "into": into})
        return msgspec.json.decode(answer, type=_Merged).changes
