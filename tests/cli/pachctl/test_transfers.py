"""``put file`` and ``get file``."""

from __future__ import annotations

import http.server
import io
import random
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.pachctl.command import PACHCTL, Pachctl
from tidegate.cli.pachctl.arguments import Target
from tidegate.cli.transport import Client
from tidegate.documents import File

MIB = 1024 * 1024


def write(folder: Path, **files: bytes) -> None:
    """Writes files; two underscores stand for a slash."""
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("path", "options", "names"),
    [
        ("", ["-f", "d/one"], ["/one"]),
        ("", ["-f", "d/one", "--full-path"], ["/d/one"]),
        (":/", ["-f", "d/one"], ["/one"]),
        (":/x", ["-f", "d/one"], ["/x"]),
        (":/x/", ["-f", "d/one"], ["/x/one"]),
        (":/x/", ["-f", "d/one", "--full-path"], ["/x/d/one"]),
        (":/x", ["-f", "d/one", "-f", "d/sub/two"], ["/x/one", "/x/two"]),
        ("", ["-f", "d/one", "-f", "d/sub/two"], ["/one", "/two"]),
        ("", ["-r", "-f", "d"], ["/d/one", "/d/sub/two"]),
        ("", ["-r", "-f", "d/"], ["/d/one", "/d/sub/two"]),
        (":/", ["-r", "-f", "d"], ["/one", "/sub/two"]),
        (":/x", ["-r", "-f", "d"], ["/x/one", "/x/sub/two"]),
        (":/x/", ["-r", "-f", "d"], ["/x/one", "/x/sub/two"]),
        (":/x", ["-r", "-f", "d", "-f", "top"], ["/x/d/one", "/x/d/sub/two", "/x/top"]),
        ("", ["-r", "-f", "."], ["/d/one", "/d/sub/two", "/list", "/top"]),
        (":/x", ["-f", "./d/../d/one", "--full-path"], ["/x"]),
        ("", ["-f", "./d/../d/one", "--full-path"], ["/d/one"]),
        ("", ["-i", "list"], ["/one", "/top"]),
        (":/x", ["-i", "list", "-f", "d/sub/two"], ["/x/one", "/x/top", "/x/two"]),
    ],
)
def test_targets(pachctl: Pachctl, repo: str, path: str, options: list[str], names: list[str]) -> None:
    """Where files go, by Pachyderm's rules; whatever is put at once is one commit."""
    write(pachctl.folder, d__one=b"1", d__sub__two=b"2", top=b"3", list=b"d/one\n\ntop\n")
    ran = pachctl("put", "file", f"{repo}@master{path}", *options)
    assert (ran.output, ran.error) == ("", "")
    assert pachctl.files(f"{repo}@master") == names
    assert len(pachctl("list", "commit", f"{repo}@master").rows) == 2


def test_standard_input(pachctl: Pachctl, repo: str) -> None:
    """What is piped in needs a name; what is piped out comes alone."""
    pachctl.put(f"{repo}@master:/x", b"piped")
    pachctl.put(f"{repo}@master:/y", b"piped too", "-f", "-")
    assert pachctl("get", "file", f"{repo}@master:/x").data == b"piped"
    assert pachctl("get", "file", f"{repo}@master:/x", "-o", "-").data == b"piped"
    for path in ("", ":/", ":/dir/"):
        said = pachctl.fails("put", "file", f"{repo}@master{path}", typed=b"x")
        assert said == "must specify filename when reading data from stdin"


def test_appending(pachctl: Pachctl, repo: str) -> None:
    """--append adds to the end, and makes a file that is not there; without it a file is replaced."""
    for content in (b"one", b"two"):
        pachctl.put(f"{repo}@master:/x", content, "-a")
    assert pachctl.read(f"{repo}@master:/x") == b"onetwo"
    pachctl.put(f"{repo}@master:/x", b"three", "--overwrite")
    assert pachctl.read(f"{repo}@master:/x") == b"three"
    assert "exclude" in pachctl.fails("put", "file", f"{repo}@master:/x", "-a", "--overwrite", typed=b"x")


def test_a_large_file(pachctl: Pachctl, repo: str) -> None:
    """What is larger than any buffer comes back as it went, whole or from an offset."""
    content = random.Random(1).randbytes(20 * MIB + 7)
    write(pachctl.folder, large=content)
    pachctl("put", "file", f"{repo}@master", "-f", "large")
    pachctl("get", "file", f"{repo}@master:/large", "-o", "copy")
    assert (pachctl.folder / "copy").read_bytes() == content
    tail = pachctl("get", "file", f"{repo}@master:/large", "--offset", str(20 * MIB)).data
    assert tail == content[20 * MIB :]
    assert pachctl("get", "file", f"{repo}@master:/large", "--offset", str(len(content)), code=1).data == b""


def test_a_branch_is_made(pachctl: Pachctl, repo: str) -> None:
    """Files go to a branch that is not there too; not to a commit, and not to a repo that is not there."""
    pachctl.put(f"{repo}@new:/x", b"x")
    assert pachctl.files(f"{repo}@new") == ["/x"]
    for ref in ("new^", pachctl.head(f"{repo}@new")):
        assert "cannot be changed" in pachctl.fails("put", "file", f"{repo}@{ref}:/x", typed=b"x")
    assert "repo default/nobody not found" in pachctl.fails("put", "file", "nobody@master:/x", typed=b"x")


def test_messages(pachctl: Pachctl, repo: str) -> None:
    """What is said of a put is kept with its commit, whether it is one file or many."""
    write(pachctl.folder, a=b"a", b=b"b")
    pachctl("put", "file", f"{repo}@master", "-f", "a", "-m", "one — ä\nand more")
    assert pachctl("inspect", "commit", f"{repo}@master", "--raw").json["message"] == "one — ä\nand more"
    pachctl("put", "file", f"{repo}@master", "-f", "a", "-f", "b", "--description", "two")
    assert pachctl("inspect", "commit", f"{repo}@master", "--raw").json["message"] == "two"


def test_into_an_open_commit(pachctl: Pachctl, repo: str) -> None:
    """Where a commit is open, files go into it, and it stays open; a message then has no place, which is said."""
    write(pachctl.folder, a=b"a", b=b"b")
    commit = pachctl("start", "commit", f"{repo}@master").output.strip()
    ran = pachctl("put", "file", f"{repo}@master", "-f", "a", "-f", "b", "-m", "said")
    assert ran.error.startswith(f"Warning: commit {commit} is open")
    assert pachctl.files(f"{repo}@master") == []
    pachctl("finish", "commit", f"{repo}@master")
    assert pachctl.files(f"{repo}@master") == ["/a", "/b"]


def test_all_or_none(pachctl: Pachctl, repo: str) -> None:
    """Where one of many files cannot be put, none is, no commit is left, and each that failed is told."""
    write(pachctl.folder, a=b"a", b=b"b")
    (pachctl.folder / ("n" * 250)).write_bytes(b"x")
    deep = "/".join(["d" * 200] * 5)
    ran = pachctl("put", "file", f"{repo}@master:/{deep}", "-f", "a", "-f", "b", "-f", "n" * 250, code=1)
    assert ran.error.startswith(f"Error: {'n' * 250}: ")
    assert ran.error.endswith("Error: 1 of 3 files could not be put, and none was\n")
    assert pachctl.files(f"{repo}@master") == []
    assert len(pachctl("list", "commit", f"{repo}@master").rows) == 1
    pachctl("start", "commit", f"{repo}@master")


def test_mistakes(pachctl: Pachctl, repo: str) -> None:
    """What cannot be put is told before anything is."""
    write(pachctl.folder, d__one=b"1")
    (pachctl.folder / "empty").mkdir()
    assert "is a directory" in pachctl.fails("put", "file", f"{repo}@master", "-f", "d")
    assert "none: No such file" in pachctl.fails("put", "file", f"{repo}@master", "-f", "d/one", "-f", "none")
    assert "none: No such file" in pachctl.fails("put", "file", f"{repo}@master", "-i", "none")
    assert "no files to put" in pachctl.fails("put", "file", f"{repo}@master", "-r", "-f", "empty")
    assert len(pachctl("list", "commit", f"{repo}@master").rows) == 1
    compressed = pachctl("put", "file", f"{repo}@master", "-c", "-f", "d/one")
    assert compressed.error == "Warning: --compress has no effect: what is put is sent as it is\n"


def test_a_device_is_a_file(pachctl: Pachctl, repo: str) -> None:
    """What is neither a file nor a directory is read to its end, and written as it is."""
    pachctl("put", "file", f"{repo}@master:/empty", "-f", "/dev/null")
    assert pachctl("list", "file", f"{repo}@master").rows[1:] == [["/empty", "file", "0B"]]
    pachctl("get", "file", f"{repo}@master:/empty", "-o", "/dev/null")


@pytest.mark.parametrize("compression", ["", "gz", "xz"])
def test_archives(pachctl: Pachctl, repo: str, compression: str) -> None:
    """The files in an archive become files, in one commit; what leads out of it is refused, and nothing is put."""
    with tarfile.open(pachctl.folder / "x.tar", f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, content in (("./a", b"a" * 100_000), ("d/b", b""), ("d/c", b"c")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        archive.addfile(_directory("d"))
    pachctl("put", "file", f"{repo}@master:/in", "--untar", "-f", "x.tar", "-m", "an archive")
    assert pachctl.files(f"{repo}@master") == ["/in/a", "/in/d/b", "/in/d/c"]
    assert pachctl.read(f"{repo}@master:/in/a") == b"a" * 100_000
    assert len(pachctl("list", "commit", f"{repo}@master").rows) == 2
    pachctl("put", "file", f"{repo}@piped", "--untar", typed=(pachctl.folder / "x.tar").read_bytes())
    assert pachctl.files(f"{repo}@piped") == ["/a", "/d/b", "/d/c"]


def _directory(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    return member


def test_archives_that_are_none(pachctl: Pachctl, repo: str) -> None:
    """What is no archive, or leads out of itself, is refused, and no commit is left open."""
    with tarfile.open(pachctl.folder / "evil.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("good"))
        archive.addfile(tarfile.TarInfo("a/../../evil"))
    assert "leads out" in pachctl.fails("put", "file", f"{repo}@master", "--untar", "-f", "evil.tar")
    assert "is no tar archive" in pachctl.fails("put", "file", f"{repo}@master", "--untar", typed=b"no archive")
    assert pachctl.files(f"{repo}@master") == []
    pachctl("start", "commit", f"{repo}@master")


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A web server with one file, ``/dir/a%20file``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_there = self.path.startswith("/dir/a%20file")
            self.send_response(200 if is_there else 404)
            self.end_headers()
            self.wfile.write(b"from the web" if is_there else b"nothing")

        def log_message(self, *arguments: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_urls(pachctl: Pachctl, repo: str, web: str) -> None:
    """A URL's content is put under the last part of its path; one that gives nothing is refused."""
    pachctl("put", "file", f"{repo}@master", "-f", f"{web}/dir/a%20file?x=1")
    pachctl("put", "file", f"{repo}@master", "-f", f"{web}/dir/a%20file", "--full-path")
    assert pachctl.read(f"{repo}@master:/a file") == b"from the web"
    assert pachctl.read(f"{repo}@master:/dir/a file") == b"from the web"
    assert "answered 404" in pachctl.fails("put", "file", f"{repo}@master", "-f", f"{web}/none")
    assert "has no name" in pachctl.fails("put", "file", f"{repo}@master", "-f", web)


# --- getting ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(pachctl: Pachctl, repo: str) -> str:
    """A repo with ``/a.csv``, ``/d/b.csv``, ``/d/c.txt`` and ``/d/sub/e.csv``, each with its own name in it."""
    for name in ("a.csv", "d/b.csv", "d/c.txt", "d/sub/e.csv"):
        pachctl.put(f"{repo}@master:/{name}", name.encode())
    return repo


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", {"a.csv", "d/b.csv", "d/c.txt", "d/sub/e.csv"}),
        ("", {"a.csv", "d/b.csv", "d/c.txt", "d/sub/e.csv"}),
        ("/d", {"b.csv", "c.txt", "sub/e.csv"}),
        ("/d/", {"b.csv", "c.txt", "sub/e.csv"}),
        ("/d/b.csv", {"b.csv"}),
        ("/*.csv", {"a.csv"}),
        ("/**.csv", {"a.csv", "d/b.csv", "d/sub/e.csv"}),
        ("/d/*", {"b.csv", "c.txt", "sub/e.csv"}),
        ("/d/{b,c}.*", {"b.csv", "c.txt"}),
    ],
)
def test_many_files(pachctl: Pachctl, tree: str, path: str, names: set[str]) -> None:
    """All below a directory, or all that a pattern means, under their names from there on."""
    ran = pachctl("get", "file", f"{tree}@master:{path}", "-r", "-o", "out")
    assert (ran.output, ran.error) == ("", "")
    out = pachctl.folder / "out"
    found = {str(each.relative_to(out)): each for each in out.rglob("*") if each.is_file()}
    assert set(found) == names
    assert all(each.read_text().endswith(name) for name, each in found.items())


def test_one_file(pachctl: Pachctl, tree: str) -> None:
    """A file goes to a file, or into a directory; a pattern is fine where it means one file."""
    pachctl("get", "file", f"{tree}@master:/d/b.csv", "-o", "copy")
    (pachctl.folder / "dir").mkdir()
    pachctl("get", "file", f"{tree}@master:/d/b.csv", "-o", "dir")
    assert (pachctl.folder / "copy").read_text() == (pachctl.folder / "dir/b.csv").read_text() == "d/b.csv"
    assert pachctl.read(f"{tree}@master:/d/*.txt") == b"d/c.txt"
    assert "matches 2 files" in pachctl.fails("get", "file", f"{tree}@master:/d/*")


def test_a_name_before_a_pattern(pachctl: Pachctl, repo: str) -> None:
    """A file that is called like a pattern is that file."""
    pachctl.put(f"{repo}@master:/a*", b"star")
    pachctl.put(f"{repo}@master:/ab", b"letter")
    assert pachctl.read(f"{repo}@master:/a*") == b"star"


def test_a_get_that_fails(pachctl: Pachctl, tree: str) -> None:
    """A file is replaced by a whole one, or not at all; a mistake is told."""
    write(pachctl.folder, copy=b"old")
    missing = pachctl.fails("get", "file", f"{tree}@master:/none", "-o", "copy")
    assert missing == f"file /none not found in repo default/{tree} at commit master"
    assert [path.name for path in pachctl.folder.iterdir()] == ["copy"]
    assert (pachctl.folder / "copy").read_bytes() == b"old"
    assert "not found" in pachctl.fails("get", "file", f"{tree}@master:/none*")
    assert "not found" in pachctl.fails("get", "file", f"{tree}@master:/none", "-r", "-o", "out")
    assert "directory" in pachctl.fails("get", "file", f"{tree}@master:/a.csv", "-o", "none/x")
    assert "an output path needs to be specified" in pachctl.fails("get", "file", f"{tree}@master:/d", "-r")
    assert "names no file" in pachctl.fails("get", "file", f"{tree}@master")
    assert "for one file" in pachctl.fails("get", "file", f"{tree}@master:/d", "-r", "-o", "x", "--offset", "1")


def test_names_that_lead_out_of_a_directory(pachctl: Pachctl, repo: str) -> None:
    """A file's name never leads out of the directory that was named; the others come."""
    for name in ("../evil", "a/../../evil", "/evil", "good"):
        pachctl.put(f"{repo}@master:/{name}", b"x")
    (pachctl.folder / "deep").mkdir()
    told = pachctl("get", "file", f"{repo}@master:/", "-r", "-o", "deep/out", code=1).error
    assert told.count("no name for a file") == 3
    assert told.endswith("Error: 3 of 4 files could not be gotten\n")
    found = [str(path.relative_to(pachctl.folder)) for path in pachctl.folder.rglob("*") if path.is_file()]
    assert found == ["deep/out/good"]


def test_a_moment(pachctl: Pachctl, tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory is gotten as it is at one moment, whatever is written meanwhile."""
    from tidegate.cli.pachctl import calls

    every_file = calls.every_file

    def meddling(client: Client, target: Target) -> list[File]:
        found = every_file(client, target)
        pachctl.api("PUT", f"{tree}/files/master/a.csv", b"changed")
        return found

    monkeypatch.setattr(calls, "every_file", meddling)
    pachctl("get", "file", f"{tree}@master:/", "-r", "-o", "out")
    assert (pachctl.folder / "out/a.csv").read_bytes() == b"a.csv"
    assert pachctl.read(f"{tree}@master:/a.csv") == b"changed"


def test_retries(pachctl: Pachctl, repo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --retry a transfer that breaks off goes on where it was; without it, it is told where it broke."""
    from tidegate.cli.pachctl import getting

    monkeypatch.setattr(getting, "_PAUSE_SECONDS", 0.0)
    content = b"0123456789" * 1000
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            """Breaks off after 4,000 bytes, each time but the last."""
            while (position := int((asked[-1:] or ["0"])[0])) < len(content):
                connection, _ = listener.accept()
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(65536)
                    position = int(head.partition(b"bytes=")[2].partition(b"-")[0] or 0)
                    asked.append(str(position + 4000))
                    rest = content[position:]
                    connection.sendall(
                        b'HTTP/1.1 %d OK\r\nETag: "x"\r\nContent-Length: %d\r\n\r\n'
                        % (206 if position else 200, len(rest))
                    )
                    connection.sendall(rest[:4000])

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ran = pachctl("get", "file", f"{repo}@master:/x", "--retry", PACHD_ADDRESS=address)
        thread.join()
    assert ran.data == content
    assert [line.rpartition("; ")[2] for line in ran.error.splitlines()] == [
        "going on at byte 4000",
        "going on at byte 8000",
    ]


# --- while it goes on ------------------------------------------------------------------------------------------------


def test_an_interrupt(pachctl: Pachctl, repo: str) -> None:
    """Who interrupts a put of many files ends it without a traceback, and leaves no commit open."""
    process = subprocess.Popen(
        [sys.executable, "-c", PACHCTL.main, "put", "file", f"{repo}@master", "--untar", "-f", "-"],
        env=PACHCTL.environment(pachctl.server, **pachctl.variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number in range(2):
            member = tarfile.TarInfo(f"file-{number}")
            member.size = 4 * MIB  # more than a pipe holds: the command is at work when it has taken it
            archive.addfile(member, io.BytesIO(bytes(4 * MIB)))
    process.stdin.write(packed.getvalue()[: 6 * MIB])
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert (process.returncode, error) == (130, b"")
    assert pachctl.files(f"{repo}@master") == []
    pachctl("start", "commit", f"{repo}@master")


def test_progress(pachctl: Pachctl, repo: str) -> None:
    """On a terminal, work that takes its time has a bar; in a pipe there is none."""
    write(pachctl.folder, file=bytes(8 * MIB))
    slowly = "from tidegate.cli import progress; progress.SHOW_AFTER_SECONDS = 0"
    assert "/8.0 MiB" in pachctl.on_terminal("put", "file", f"{repo}@master", "-f", "file", before=slowly).output
    assert pachctl("put", "file", f"{repo}@master", "-f", "file", "-f", "file").error == ""
    got = pachctl.on_terminal("get", "file", f"{repo}@master:/file", "-o", "copy", before=slowly).output
    assert "MiB" in got
    quiet = pachctl.on_terminal("get", "file", f"{repo}@master:/file", "-o", "copy", "--no-progress", before=slowly)
    assert quiet.output == ""
