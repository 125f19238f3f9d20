"""A server that hooks call: it takes down what comes, and answers as it is told to."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_SECONDS = 20.0


@dataclass
class Call:
    """A request as it came. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class Answer:
    """What is answered; ``before`` is called first."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None


class Receiver:
    """A server on a port of its own. The next calls get ``answers``, one each, and those after them ``otherwise``."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.calls: list[Call] = []
        self.answers: deque[Answer] = deque()
        self.otherwise = Answer()
        self._came = threading.Condition()

    def take(self, call: Call) -> Answer:
        with self._came:
            self.calls.append(call)
            self._came.notify_all()
            return self.answers.popleft() if self.answers else self.otherwise

    def wait_for(self, count: int) -> list[Call]:
        """The calls so far, when there are so many."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.calls) >= count, WAIT_SECONDS), self.calls
            return list(self.calls)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Event and message of the commit of each call."""
        return [(call.json["event"], call.json["commit"]["message"]) for call in self.calls]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver that listens while the context is open."""
    receivers: list[Receiver] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receivers[0].take(Call(self.path, headers, data))
            if answer.before is not None:
                answer.before()
            with suppress(OSError):
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receivers.append(Receiver(server.server_port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receivers[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
