"""What AIStore's guides show of ais, s3cmd, aws and curl, and Pachyderm's of mc, aws and s3cmd, works here as they show
it: see data/transcripts.toml.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.ais.command import install
from tests.cli.pachctl.command import PACHCTL
from tests.clients.programs import Result, environment, run_on_terminal
from tests.robots import robot_token
from tidegate.testing import ServerProcess, serve

# The guides' names of the server, and the folders whose files are those of the test's own folder.
HOSTS = ("localhost:8080", "localhost:51080", "10.10.0.1:51080")
REPOS_HOST = "localhost:30600"
# Where Go puts programs that are installed for a user, and how MinIO's client tells itself from others of its name.
GO_PROGRAMS = Path.home() / "go/bin"
MINIO = "MinIO"
FOLDERS = re.compile("/go/bin/|/tmp/")
UPLOAD_ID = "uu3DuXsJG"

# What no two runs have in common.
VARIABLE = [
    (r"\b\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "<time>"),
    (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00| [A-Z]{3}\b)?", "<time>"),
    (r"\b\d\d \w{3} \d\d \d\d:\d\d [A-Z]{3}\b", "<time>"),
    (r"\bin\s+\d+s\s+[\d.]+ \w?B/s", "in <speed>"),
    (r"\b(Less than a|About an?|\d+) (second|minute|hour|day)s? ago\b", "<age>"),
]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command of a guide. ``output`` is the guide's; ``instead`` and ``prints`` are ours, for a reason."""

    command: str
    output: str | None = None
    why: str = ""
    instead: str | None = None
    prints: str | None = None
    fails: bool = False
    writes: dict[str, str] = {}


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Commands that belong together, on a server of their own. ``setup`` are commands that the guide does not show.

    ``amazon`` has buckets that are Amazon's, with the sizes of what is in them: there is another server for them. With
    ``repos`` clients sign in at the port of repositories, with a token. Without the program ``needs`` it is not played.
    """

    name: str
    guides: list[str]
    step: list[Step]
    s3cfg: str = "http"
    tls: bool = False
    files: dict[str, int] = {}
    setup: list[str] = []
    amazon: dict[str, dict[str, int]] = {}
    repos: bool = False
    needs: str = ""

    def uses(self, path: str) -> bool:
        """Whether a command names a file."""
        commands = [*self.setup, *(step.instead or step.command for step in self.step)]
        return any(Path(path).name in command for command in commands)

    @property
    def uses_ais(self) -> bool:
        """Whether a command is one of AIStore's own, which the guides use without a token."""
        return any("ais " in (step.instead or step.command) for step in self.step) or any(
            command.startswith("ais ") for command in self.setup
        )


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Commands that are not run, and why."""

    guides: list[str]
    commands: list[str]
    why: str


class Transcripts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table. ``md5`` says of which files a checksum in the guides is; several make a multipart upload's ETag.

    ``guides`` has every command of each guide.
    """

    files: dict[str, int]
    md5: dict[str, list[str]]
    story: list[Story]
    left_out: list[LeftOut]
    guides: dict[str, list[str]]


TABLE = msgspec.toml.decode((Path(__file__).parent / "data/transcripts.toml").read_bytes(), type=Transcripts)


class Stage:
    """A folder and a server, and how the guides' names of things are translated to theirs and back."""

    def __init__(self, story: Story, server: ServerProcess, folder: Path, authority: Path) -> None:
        self.folder = folder
        self._here = f"localhost:{server.port}"
        self._repos = "" if server.repos_url is None else f"localhost:{server.repos_url.rpartition(':')[2]}"
        self._upload_id = UPLOAD_ID
        files = {name: size for name, size in (TABLE.files | story.files).items() if story.uses(name)}
        self._make_files(files)
        self._values = {value: self._md5(*names) for value, names in TABLE.md5.items() if files.keys() >= set(names)}
        self._env = environment(server, HOME=str(folder / "home"), AIS_ENDPOINT=self._here)
        install(folder / "bin")
        self._env["PATH"] = f"{folder / 'bin'}:{GO_PROGRAMS}:{self._env['PATH']}:{folder / 'go/bin'}"
        if story.repos:
            self._sign_in(server)
        else:
            self._write_s3cfg(story, server, authority)

    def _make_files(self, sizes: Mapping[str, int]) -> None:
        for name, size in sizes.items():
            path = self.folder / name.removeprefix("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.Random(name).randbytes(size))
            path.chmod(0o755)
        for name in "home", "tmp":
            (self.folder / name).mkdir()

    def _md5(self, *names: str) -> str:
        digests = [hashlib.md5((self.folder / name.removeprefix("/")).read_bytes()) for name in names]
        if len(digests) == 1:
            return digests[0].hexdigest()
        return f"{hashlib.md5(b''.join(each.digest() for each in digests)).hexdigest()}-{len(digests)}"

    def _write_s3cfg(self, story: Story, server: ServerProcess, authority: Path) -> None:
        lines = {
            "access_key": server.access_key,
            "secret_key": server.secret_key,
            "host_base": f"{self._here}/s3",
            "host_bucket": f"{self._here}/s3",
            "use_https": str(story.s3cfg == "https"),
            "ca_certs_file": str(authority) if story.tls else "",
        }
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        (self.folder / "home/.s3cfg").write_text(f"[default]\n{text}", encoding="utf-8")

    def _sign_in(self, server: ServerProcess) -> None:
        """Configures all clients as Pachyderm's guide does: a token is access key and secret key."""
        PACHCTL.install(self.folder / "bin")
        token = robot_token(server.data, "guide")
        self._env |= {"AWS_ACCESS_KEY_ID": token, "AWS_SECRET_ACCESS_KEY": token, "PACHD_ADDRESS": server.url}
        s3cmd = {
            "access_key": token,
            "secret_key": token,
            "bucket_location": "US",
            "host_base": self._repos,
            "host_bucket": f"{self._repos}/%(bucket)",
            "use_https": "False",
        }
        mc = {
            "url": f"http://{self._repos}",
            "accessKey": token,
            "secretKey": token,
            "api": "S3v4",
            "path": "auto",
        }
        self._env["MC_NO_COLOR"] = "1"
        context = {"pachd_address": server.url, "session_token": token}
        pachctl = {"v2": {"active_context": "local", "contexts": {"local": context}}}
        files = {
            ".s3cfg": "[default]\n" + "".join(f"{name} = {value}\n" for name, value in s3cmd.items()),
            ".mc/config.json": json.dumps({"version": "10", "aliases": {"local": mc}}),
            ".pachyderm/config.json": json.dumps(pachctl),
        }
        for name, text in files.items():
            path = self.folder / "home" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def ours(self, text: str) -> str:
        """The guides' text with our port, folders, checksums and upload id."""
        for host in HOSTS:
            text = text.replace(host, self._here)
        text = text.replace(REPOS_HOST, self._repos or REPOS_HOST)
        text = FOLDERS.sub(lambda found: f"{self.folder}{found[0]}", text)
        for value, actual in self._values.items():
            text = text.replace(value, actual)
        return text.replace(UPLOAD_ID, self._upload_id)

    def run(self, command: str) -> Result:
        return run_on_terminal(self.ours(command), self._env, self.folder)

    def play(self, step: Step) -> Result:
        """Runs a step, and takes note of an upload's id, as its reader has to."""
        for name, text in step.writes.items():
            (self.folder / name).write_text(self.ours(text), encoding="utf-8")
        result = self.run(step.instead or step.command)
        if found := re.search(r'"UploadId": "(\w+)"', result.output):
            self._upload_id = found[1]
        return result


@pytest.fixture(params=TABLE.story, ids=lambda story: story.name)
def story(request: pytest.FixtureRequest) -> Story:
    """Each story of the table."""
    found: Story = request.param
    return found


@pytest.fixture
def stage(story: Story, tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[Stage]:
    """A stage for a story, set up."""
    tls: dict[str, Any] = {"tls_cert": certificate[0], "tls_key": certificate[1]} if story.tls else {}
    if story.needs == "mc" and not has_mc():
        pytest.skip("MinIO's client is not installed: go install github.com/minio/mc@latest")
    # Where no command comes without credentials they are verified, which the guides' servers do not do. Parts may be
    # small, as they are there.
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            amazon = play_amazon(story, stack, patch) if story.amazon else None
            repos: dict[str, Any] = {} if story.repos else {"repos_port": None}
            server = stack.enter_context(serve(auth=not story.uses_ais, min_part_size=0, **repos, **tls))
        stage = Stage(story, server, tmp_path, certificate[0])
        if amazon is not None:
            write_as_amazon(tmp_path / "bin", amazon)
        for command in story.setup:
            result = stage.run(command)
            assert result.code == 0, result
        yield stage


def has_mc() -> bool:
    """Whether MinIO's client is installed. There are other programs of the name."""
    program = shutil.which("mc", path=f"{GO_PROGRAMS}:{os.environ['PATH']}")
    if program is None:
        return False
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return MINIO in said.stdout


def write_as_amazon(folder: Path, amazon: ServerProcess) -> None:
    """Makes ``as-amazon``, a command that runs another one with the keys and the address of Amazon's."""
    variables = {
        "AWS_ENDPOINT_URL": f"{amazon.url}/s3",
        "AWS_ACCESS_KEY_ID": amazon.access_key,
        "AWS_SECRET_ACCESS_KEY": amazon.secret_key,
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    path = folder / "as-amazon"
    path.write_text(f'#!/bin/sh\nexec env {words} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def play_amazon(story: Story, stack: ExitStack, patch: pytest.MonkeyPatch) -> ServerProcess:
    """Starts a server that the next one takes for Amazon."""
    amazon = stack.enter_context(serve(auth=True, repos_port=None))
    client = amazon.boto3_client()
    for bucket, files in story.amazon.items():
        client.create_bucket(Bucket=bucket)
        for key, size in files.items():
            client.put_object(Bucket=bucket, Key=key, Body=b"x" * size)
    client.close()
    patch.setenv("AWS_ENDPOINT_URL", f"{amazon.url}/s3")
    patch.setenv("AWS_ACCESS_KEY_ID", amazon.access_key)
    patch.setenv("AWS_SECRET_ACCESS_KEY", amazon.secret_key)
    return amazon


def test_guides(story: Story, stage: Stage) -> None:
    """Each command of a story succeeds and prints what the guide shows, or else what the table says and why."""
    for step in story.step:
        result = stage.play(step)
        assert (result.code != 0) == step.fails, f"$ {result.command}\n{result.output}"
        expected = step.output if step.prints is None else step.prints
        if expected is not None:
            compare(stage.ours(expected), result)


def compare(expected: str, result: Result) -> None:
    """Fails unless the output is what was expected, as far as it can be the same."""
    assert "WARNING" not in result.output, f"$ {result.command}\n{result.output}"
    if expected.strip().startswith("{") and expected.strip().endswith("}"):
        assert_has(json.loads(expected), json.loads(result.output), result.command)
        return
    pattern = re.escape("".join(same(expected).split())).replace(re.escape("..."), ".*?")
    assert re.fullmatch(pattern, "".join(same(result.output).split()), re.DOTALL), (
        f"$ {result.command}\n{result.output}\ninstead of\n{expected}"
    )


def same(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, name in VARIABLE:
        text = re.sub(pattern, name, text)
    return text


def assert_has(expected: Any, actual: Any, where: str) -> None:
    """Fails unless ``actual`` has all that ``expected`` has; it may have more fields."""
    if isinstance(expected, dict):
        for name, value in expected.items():
            assert name in actual, f"{where}: {name} is missing in {actual}"
            assert_has(value, actual[name], f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(expected) == len(actual), f"{where}: {actual}"
        for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
            assert_has(one, other, f"{where}[{index}]")
    elif where.endswith(".ETag"):
        assert actual == f'"{expected}"', where
    elif where.endswith(".LastModified"):
        assert actual, where
    else:
        assert actual == expected, where


def test_the_table_gives_its_reasons() -> None:
    """Whatever is not run, or does not print what a guide shows, has its reason beside it."""
    for story in TABLE.story:
        for step in story.step:
            departs = step.instead is not None or step.fails or None not in {step.output, step.prints}
            assert bool(step.why) == departs, step.command
    assert all(each.why and each.commands for each in TABLE.left_out)


@pytest.mark.parametrize("guide", sorted(TABLE.guides))
def test_every_command_of_the_guides_is_in_the_table(guide: str) -> None:
    """Each command of a guide is played as it is written, or has its reason for not being played."""
    played = {step.command for story in TABLE.story if guide in story.guides for step in story.step}
    left_out = {command for each in TABLE.left_out if guide in each.guides for command in each.commands}
    assert set(TABLE.guides[guide]) - played - left_out == set()
    assert played & left_out == set()
