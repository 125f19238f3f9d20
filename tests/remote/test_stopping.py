"""A server that is told to end while a remote does not answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import requests

from tests.ais.helpers import act
from tests.remote.conftest import new_name
from tidegate import testing
from tidegate.testing import serve

# Half of what a remote is given to answer: time-outs are not what ends the server.
SOON_SECONDS = 15
HEAD = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 100000000\r\n\r\n'


@contextmanager
def stalled(answer: bytes) -> Iterator[tuple[str, threading.Semaphore]]:
    """A remote that sends the beginning of an answer to a GET and then nothing, and a semaphore that counts how often.
    To any other request it has no object.
    """
    is_asked = threading.Semaphore(0)
    listener = socket.create_server(("127.0.0.1", 0))
    with ExitStack() as stack:
        stack.enter_context(listener)

        def serve_one(connection: socket.socket) -> None:
            with connection:
                while request := connection.recv(65536):
                    if request.startswith(b"GET /") and b"?" not in request.split(b"\r\n", 1)[0]:
                        connection.sendall(answer)
                        is_asked.release()
                        connection.recv(1)
                        return
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", is_asked


@pytest.mark.parametrize("answer", [b"", HEAD, HEAD + b"x" * 1000], ids=("nothing", "head", "some"))
def test_a_stalled_remote_does_not_keep_the_server(answer: bytes) -> None:
    """SIGTERM ends a server whose job and whose client wait for a remote, well before the remote is given up. The
    client is told.
    """
    with pytest.MonkeyPatch.context() as patch, stalled(answer) as (endpoint, is_asked), ThreadPoolExecutor(1) as other:
        patch.setattr(testing, "STOP_SECONDS", SOON_SECONDS)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLEEXAMPLE01")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "SECRETEXAMPLESECRETEXAMPLESECRETEXAMPLE1")
        with serve(repos_port=None) as server:
            name = new_name()
            properties = {"extra": {"aws": {"endpoint": endpoint}}}
            act(server, "POST", name, "create-bck", properties, provider="aws", dont_head_remote_bck="true")
            selected = {"objnames": ["key"]}
            assert act(server, "POST", name, "prefetch-listrange", selected, provider="aws").status_code == 200
            waiting = other.submit(requests.get, f"{server.url}/{name}/other")
            assert is_asked.acquire(timeout=SOON_SECONDS)
            assert is_asked.acquire(timeout=SOON_SECONDS)
            assert server.stop() == 0
            if len(answer) > len(HEAD):
                with pytest.raises(requests.exceptions.ChunkedEncodingError):
                    waiting.result()
            else:
                assert waiting.result().status_code == 503
