"""A Tidegate for tests: a running server on a free port, with a data folder of its own, in one line.

``serve`` starts the real thing, ``tidegate serve`` with its worker processes; ``serve_in_thread`` runs one worker's
part inside this process, where a debugger reaches it. With pytest, the fixtures of ``tidegate.testing.plugin`` do the
same. Nothing here imports pytest or an S3 client unless it is asked for.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tidegate
from tidegate import settings as all_settings

if TYPE_CHECKING:
    import uvicorn

    from tidegate.server.front import House

# Half a second on an idle machine; a busy one may take much longer.
START_SECONDS = 60.0
# More than the server takes for requests in flight.
STOP_SECONDS = 40.0
_POLL_SECONDS = 0.01

# With authentication off, any key does.
ANY_KEY = "any"

# The ready line, and the first of the two examples, with keys that work as they are printed.
_READY = re.compile(
    r"^tidegate ready: (?P<url>\S+) \(.*?\)(?:, repos at (?P<repos>\S+))?\n(?:.*\n)??"
    r"try: AWS_ACCESS_KEY_ID=(?P<access>\S+) AWS_SECRET_ACCESS_KEY=(?P<secret>\S+) .*\n.*\n",
)

_COMMAND = (sys.executable, "-m", "tidegate", "serve")
_DEFAULTS: Mapping[str, object] = {"port": 0, "repos_port": 0, "workers": 1}


class ServerError(Exception):
    """A server that did not become ready, or ended by itself. Has its log."""


class Server:
    """A running server.

    ``url`` is its S3 endpoint, ``repos_url`` the one that sees repositories (None if there is none), ``data`` its
    folder. The keys are the administrator's; with authentication off they are just any, which is accepted.
    """

    def __init__(self, url: str, repos_url: str | None, data: Path, keys: tuple[str, str]) -> None:
        self.url = url
        self.repos_url = repos_url
        self.port = int(url.rpartition(":")[2])
        self.data = data
        self.access_key, self.secret_key = keys

    def boto3_client(self, service: str = "s3", **options: Any) -> Any:  # noqa: ANN401 - boto3's are
        """A boto3 client of this server; ``options`` are those of ``boto3.client``."""
        import boto3  # noqa: PLC0415 - not everybody has it

        defaults = {
            "endpoint_url": self.url,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region_name": "us-east-1",
        }
        return boto3.client(service, **(defaults | options))


class Files:
    """Where a server's output goes."""

    def __init__(self, folder: Path) -> None:
        self.standard_output = folder / "output"
        self.standard_error = folder / "log"

    @property
    def output(self) -> str:
        return self.standard_output.read_text(encoding="utf-8", errors="replace")

    @property
    def log(self) -> str:
        return self.standard_error.read_text(encoding="utf-8", errors="replace")


class ServerProcess(Server):
    """A server in a process of its own, as ``serve`` gives it."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        files: Files,
        url: str,
        repos_url: str | None,
        data: Path,
        keys: tuple[str, str],
    ) -> None:
        super().__init__(url, repos_url, data, keys)
        self.process = process
        self._files = files
        self._is_wanted = True

    @property
    def pid(self) -> int:
        """The parent process; its children are the workers."""
        return self.process.pid

    @property
    def output(self) -> str:
        """What the server has written to standard output: the ready line and what follows it."""
        return self._files.output

    @property
    def log(self) -> str:
        """What the server has written to standard error so far: its log lines."""
        return self._files.log

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Ends the server and returns its exit code. SIGTERM lets requests in flight finish, SIGKILL does not."""
        self._is_wanted = False
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ServerError(f"the server did not end in {STOP_SECONDS} s:\n{self.log}") from None

    def check(self) -> None:
        """Raises ServerError if the server has ended without being told to."""
        if self._is_wanted and self.process.poll() is not None:
            raise ServerError(f"the server ended by itself with exit code {self.process.returncode}:\n{self.log}")


@contextmanager
def serve(
    data: Path | Sequence[Path] | None = None, command: Sequence[str] = _COMMAND, **settings: object
) -> Iterator[ServerProcess]:
    """A server in a process of its own, with one worker unless told otherwise. ``data`` defaults to a temporary folder;
    several are the home folder and further ones.

    ``settings`` are those of ``tidegate serve`` by name: ``serve(auth=True, workers=2)``. Raises ServerError if it does
    not become ready, or has ended by itself when it is to be stopped.
    """
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-")))
        folders = _folders(data, scratch)
        files = Files(scratch)
        arguments = all_settings.arguments({**_DEFAULTS, **settings, "data": folders})
        with files.standard_output.open("wb") as output, files.standard_error.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=log, env=_environment()
            )
        try:
            server = _wait_until_ready(process, files, folders[0])
            yield server
            server.check()
            server.stop()
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _folders(data: Path | Sequence[Path] | None, scratch: Path) -> tuple[Path, ...]:
    if data is None:
        return (scratch / "data",)
    return (data,) if isinstance(data, Path) else tuple(data)


def _environment() -> dict[str, str]:
    """This process's variables without any setting, and with the way to this very package."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(all_settings.PREFIX)}
    here = str(Path(tidegate.__file__).parent.parent)
    paths = [path for path in (here, os.environ.get("PYTHONPATH")) if path]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


def _wait_until_ready(process: subprocess.Popen[bytes], files: Files, data: Path) -> ServerProcess:
    deadline = time.monotonic() + START_SECONDS
    while True:
        has_ended = process.poll() is not None
        ready = _READY.search(files.output)
        if ready is not None:
            keys = ready["access"], ready["secret"]
            return ServerProcess(process, files, ready["url"], ready["repos"], data, keys)
        if has_ended:
            raise ServerError(f"the server ended with exit code {process.returncode} before it was ready:\n{files.log}")
        if time.monotonic() > deadline:
            raise ServerError(f"the server was not ready in {START_SECONDS} s:\n{files.log}")
        time.sleep(_POLL_SECONDS)


@contextmanager
def serve_in_thread(
    data: Path | Sequence[Path] | None = None, house: str | None = None, **settings: object
) -> Iterator[Server]:
    """A server in a thread of this process: no worker processes, no signals, and log lines go where this process's go.

    ``house`` names another function than ``tidegate.server.house.open_house`` to open the rooms with.
    """
    # Here, so that who only wants ``serve`` does not load a server.
    import uvicorn  # noqa: PLC0415

    from tidegate.server import locks, supervisor, worker  # noqa: PLC0415
    from tidegate.server.ready import endpoints  # noqa: PLC0415
    from tidegate.telemetry import folder  # noqa: PLC0415

    with ExitStack() as stack:
        folders = _folders(data, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-"))))
        folders[0].mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = {name: "off" if value is None else value for name, value in settings.items()}
        wanted = all_settings.load({**_DEFAULTS, **flags, "data": folders}, environment={})
        stack.enter_context(locks.hold(folders[0]))
        sockets, wanted = supervisor.open_sockets(wanted, stack)
        metrics = stack.enter_context(folder.shared(1))
        houses: list[House] = []
        app = partial(worker.application, wanted, house or worker.HOUSE, metrics, on_ready=houses.append)
        server = uvicorn.Server(worker.configuration(wanted, app, None))

        def run() -> None:
            with suppress(SystemExit):  # how uvicorn says that it could not start, which is seen below
                server.run(sockets)

        thread = threading.Thread(target=run, name="tidegate", daemon=True)
        thread.start()
        stack.callback(_stop_thread, thread, server)
        while not server.started:
            if not thread.is_alive():
                raise ServerError("the server could not start; its log lines say why")
            time.sleep(_POLL_SECONDS)
        keys = houses[0].new_key or (ANY_KEY, ANY_KEY)
        main, *repos = endpoints(wanted)
        yield Server(main, repos[0] if repos else None, folders[0], keys)


def _stop_thread(thread: threading.Thread, server: uvicorn.Server) -> None:
    server.should_exit = True
    thread.join(STOP_SECONDS)
    if thread.is_alive():
        raise ServerError(f"the server did not end in {STOP_SECONDS} s")
