"""The few requests of AIStore's API that a benchmark makes, with a token of a user of the store's."""

from __future__ import annotations

import http.client
import secrets
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from benchmarks.s3 import TIMEOUT, AnswerError

if TYPE_CHECKING:
    from benchmarks.servers import Server

_POLL = 0.05  # seconds between looks at a job


class _Token(msgspec.Struct, frozen=True):
    token: str


class _Snapshot(msgspec.Struct, frozen=True):
    """What is read of AIStore's: how many objects a job has done, and what came of it."""

    stats: dict[str, str]
    err: str = ""


class _Status(msgspec.Struct, frozen=True):
    end_time: int = 0
    err: str = ""


def call(server: Server, method: str, path: str, message: object, token: str = "") -> http.client.HTTPResponse:
    """One request with an action message. Raises AnswerError unless it is answered with 200."""
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=TIMEOUT)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request(method, path, msgspec.json.encode(message), headers)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise AnswerError(f"{method} {path}: {answer.status} {answer.read(1000).decode(errors='replace')}")
    return answer


def log_in(server: Server, user: str) -> str:
    """A token of a user who is there, and who gets a new password."""
    password = secrets.token_hex()
    command = [sys.executable, "-m", "tidegate", "user", "password", user, "--data", str(server.data)]
    subprocess.run(command, input=f"{password}\n", capture_output=True, text=True, check=True)
    with call(server, "POST", f"/v1/users/{user}", {"password": password}) as answer:
        return msgspec.json.decode(answer.read(), type=_Token).token


def finish(server: Server, job: str, token: str) -> int:
    """Waits for a job, and tells how many objects it has done. Raises AnswerError where it failed."""
    while True:
        with call(server, "GET", "/v1/cluster?what=status", {"ID": job}, token) as answer:
            status = msgspec.json.decode(answer.read(), type=_Status)
        if status.end_time:
            break
        time.sleep(_POLL)
    if status.err:
        raise AnswerError(f"job {job}: {status.err}")
    with call(server, "GET", "/v1/cluster?what=qryxstats", {"ID": job}, token) as answer:
        found = msgspec.json.decode(answer.read(), type=dict[str, list[_Snapshot]])
    return sum(int(each.stats["loc-objs"]) for snapshots in found.values() for each in snapshots)
