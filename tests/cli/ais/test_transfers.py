"""``ais put`` and ``ais get``."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import tarfile

import pytest

from tests.cli.ais.command import _MAIN, Ais, environment
from tidegate import checksums
from tidegate.cli import progress
from tidegate.cli.failures import Failure

MIB = 1024 * 1024


def test_one_file(ais: Ais, bucket: str) -> None:
    """A file goes to an object of its name, or of another, and comes back; sizes are told as the guides tell them."""
    content = random.Random(1).randbytes(10_689)
    (ais.folder / "README.md").write_bytes(content)
    assert ais("put", "README.md", bucket).output == f'PUT "README.md" => {bucket}/README.md\n'
    assert ais("object", "put", "README.md", f"{bucket}/dir/").output == f'PUT "README.md" => {bucket}/dir/README.md\n'
    assert ais("put", "README.md", f"{bucket}/obj").output == f'PUT "README.md" => {bucket}/obj\n'
    assert ais("get", f"{bucket}/obj", "file").output == f"GET obj from {bucket} as file (10.44KiB)\n"
    assert (ais.folder / "file").read_bytes() == content
    assert ais("get", f"{bucket}/dir/README.md").output == f"GET dir/README.md from {bucket} as README.md (10.44KiB)\n"
    (ais.folder / "out").mkdir()
    assert ais("object", "get", f"{bucket}/obj", "out").output == f"GET obj from {bucket} as out/obj (10.44KiB)\n"
    assert ais("get", f"{bucket}/obj", "/dev/null").output == f"GET and discard obj from {bucket} (10.44KiB)\n"


def test_a_large_file(ais: Ais, bucket: str) -> None:
    """What is larger than any buffer comes back as it went, and can be appended to."""
    content = random.Random(2).randbytes(20 * MIB + 7)
    (ais.folder / "large").write_bytes(content)
    ais("put", "large", bucket, "--compute-checksum")
    ais("get", f"{bucket}/large", "copy", "--checksum")
    assert (ais.folder / "copy").read_bytes() == content
    ais("put", "-", f"{bucket}/large", "--append", typed=b"more")
    assert ais("object", "cat", f"{bucket}/large", "--offset", str(20 * MIB + 5), "--length", "100").data == (
        content[-2:] + b"more"
    )


def test_an_empty_file(ais: Ais, bucket: str) -> None:
    """Nothing is a content like any other."""
    (ais.folder / "empty").touch()
    ais("put", "empty", bucket)
    assert ais("ls", bucket, "-H").rows == [["empty", "0B"]]
    assert ais("get", f"{bucket}/empty", "copy").output == f"GET empty from {bucket} as copy (0B)\n"
    assert (ais.folder / "copy").read_bytes() == b""


def test_a_device_is_a_file(ais: Ais, bucket: str) -> None:
    """What is neither a regular file nor a directory is read to its end, and is one object."""
    assert ais("put", "/dev/null", f"{bucket}/empty").output == f'PUT "/dev/null" => {bucket}/empty\n'
    assert ais("ls", bucket, "-H").rows == [["empty", "0B"]]
    assert "need a file" in ais.fails("put", "/dev/null", f"{bucket}/empty", "--compute-checksum")


def test_a_directory_that_is_missing(ais: Ais, bucket: str) -> None:
    """A file goes to a directory that is there; one that is not is named."""
    ais("put", "-", f"{bucket}/obj", typed=b"x")
    assert ais.fails("get", f"{bucket}/obj", "none/file") == 'directory "none" does not exist'
    assert ais.fails("get", f"{bucket}/obj", "none/") == 'directory "none" does not exist'


def test_standard_input_and_output(ais: Ais, bucket: str) -> None:
    """What is piped in has a name; what is piped out comes alone."""
    assert ais("put", "-", f"{bucket}/x", "-y", typed=b"piped").output == f"PUT (standard input) => {bucket}/x\n"
    piped = ais("get", f"{bucket}/x", "-")
    assert piped.data == b"piped"
    assert piped.error == f"GET x from {bucket} to standard output (5B)\n"
    assert "has no name" in ais.fails("put", "-", bucket, typed=b"x")


def test_ranges(ais: Ais, bucket: str) -> None:
    """A range needs an offset and a length, and ends where the object ends."""
    ais("put", "-", f"{bucket}/x", typed=b"0123456789")
    told = ais("get", f"{bucket}/x", "part", "--offset", "2", "--length", "3").output
    assert told == "Read range (length 3 at offset 2) as part\n"
    assert (ais.folder / "part").read_bytes() == b"234"
    assert ais("get", f"{bucket}/x", "--offset", "0", "--length", "10").output == (
        "Read range (length 10 at offset 0) as x\n"
    )
    assert ais("object", "cat", f"{bucket}/x", "--offset", "8", "--length", "1KiB").data == b"89"
    both = '"length" and "offset" flags both need to be set'
    assert both in ais.fails("get", f"{bucket}/x", "--offset", "1")
    assert both in ais.fails("get", f"{bucket}/x", "--length", "1")
    assert "invalid size" in ais.fails("get", f"{bucket}/x", "--offset", "-1", "--length", "1")
    ais.fails("get", f"{bucket}/x", "--offset", "10", "--length", "1")


@pytest.mark.parametrize("kind", sorted(checksums.DIGESTS))
def test_checksums_that_are_given(ais: Ais, bucket: str, kind: str) -> None:
    """A checksum that is right is taken; one that is wrong keeps the object out."""
    (ais.folder / "file").write_bytes(b"content")
    digest = checksums.new(checksums.DIGESTS[kind])
    digest.update(b"content")
    ais("put", "file", f"{bucket}/good", f"--{kind}", digest.digest().hex().upper())
    wrong = bytes(len(digest.digest())).hex()
    assert "BAD DATA CHECKSUM" in ais.fails("put", "file", f"{bucket}/bad", f"--{kind}", wrong)
    assert ais("ls", bucket, "--name-only", "-H").output == "good\n"


def test_computed_checksums(ais: Ais, bucket: str) -> None:
    """The bucket's own type is computed, and --checksum holds it against what comes."""
    (ais.folder / "file").write_bytes(b"content")
    for kind in ("md5", "crc32c", "xxhash"):
        ais("bucket", "props", bucket, f"checksum.type={kind}")
        ais("put", "file", f"{bucket}/{kind}", "--compute-checksum")
        assert ais("get", f"{bucket}/{kind}", "copy", "--checksum").error == ""
    ais("bucket", "props", bucket, "checksum.type=none")
    assert "nothing to compute" in ais.fails("put", "file", bucket, "--compute-checksum")
    assert "one checksum" in ais.fails("put", "file", bucket, "--md5", "0", "--sha256", "0")


def test_many_files(ais: Ais, bucket: str) -> None:
    """Directories, patterns, templates and lists are put after a question, and come back as they were."""
    files = {f"d/{number:03}.txt": bytes([number]) * number for number in range(3)} | {"d/sub/x.bin": b"x", "d/y": b""}
    for name, content in files.items():
        path = ais.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    refused = ais("put", "d", bucket, code=1)
    assert refused.rows == [
        *([["Files", "to", "upload:"], ["EXTENSION", "COUNT", "SIZE"]]),
        *([["1", "0B"], [".txt", "3", "3B"], ["TOTAL", "4", "3B"]]),
    ]
    assert "-r puts them too" in refused.error
    assert "--yes" in refused.error
    assert ais("ls", bucket).output == f"No objects in {bucket}\n"

    assert ais("put", "d", bucket, "-r", "-y").output.endswith(f'5 objects put into "{bucket}" bucket\n')
    assert ais("get", bucket, "back", "-y").output == f"GET 5 objects from {bucket} to back (4B)\n"
    back = ais.folder / "back"
    got = {f"d/{path.relative_to(back)}": path.read_bytes() for path in back.rglob("*") if path.is_file()}
    assert got == files
    ais("put", "d", f"{bucket}/1/", "-y", "--include-src-dir")
    ais("put", "d/*.txt", f"{bucket}/2/", "-y")
    ais("put", "d/{001..002}.txt", f"{bucket}/3/", "-y")
    ais("put", "d", f"{bucket}/4/", "--list", "y,sub/x.bin", "-y")
    ais("put", f"{bucket}/5/", "--template", "d/{000..001}.txt", "-y")
    ais("put", "d/y", "d/sub", f"{bucket}/6/", "-y")
    for number, names in enumerate(
        [
            ["d/000.txt", "d/001.txt", "d/002.txt", "d/y"],
            ["000.txt", "001.txt", "002.txt"],
            ["001.txt", "002.txt"],
            ["x.bin", "y"],
            ["000.txt", "001.txt"],
            ["x.bin", "y"],
        ],
        1,
    ):
        listed = ais("ls", f"{bucket}/{number}/", "--name-only", "-H").output.splitlines()
        assert listed == [f"{number}/{name}" for name in names]


def test_a_dry_run(ais: Ais, bucket: str) -> None:
    """Nothing is written, and what would be is told."""
    (ais.folder / "file").write_bytes(b"x")
    assert ais("put", "file", bucket, "--dry-run").output == (
        f'[DRY RUN] with no modifications to the cluster\nPUT "file" => {bucket}/file\n'
    )
    assert ais("ls", bucket, "--count-only").output == "0\n"


def test_names_that_lead_out_of_a_directory(ais: Ais, bucket: str) -> None:
    """An object's name never leads to a file outside of the directory that was named; the others come."""
    for name in ("../evil", "a/../../evil", "/evil", "good"):
        ais("put", "-", f"{bucket}/{name}", typed=b"x")
    (ais.folder / "deep").mkdir()
    told = ais("get", bucket, "deep/out", "-y", code=1).error
    assert told.count("no name for a file") == 3
    assert [str(path.relative_to(ais.folder)) for path in ais.folder.rglob("*") if path.is_file()] == ["deep/out/good"]
    assert "no name for a file" in ais.fails("get", f"{bucket}/a/../..", "deep")


def test_a_get_that_fails_leaves_the_file_as_it_was(ais: Ais, bucket: str) -> None:
    """A file is replaced by a whole object, or not at all."""
    (ais.folder / "file").write_bytes(b"old")
    assert ais.fails("get", f"{bucket}/none", "file") == f'"{bucket}/none" does not exist'
    assert ais.fails("get", "ais://nobody/none", "file") == 'bucket "ais://nobody" does not exist'
    assert (ais.folder / "file").read_bytes() == b"old"
    assert [path.name for path in ais.folder.iterdir()] == ["file"]


def test_selected_objects(ais: Ais, bucket: str) -> None:
    """Objects are gotten by prefix, list and template; one that is missing is told."""
    for name in ("a1", "a2", "b1"):
        ais("put", "-", f"{bucket}/{name}", typed=name.encode())
    ais("get", bucket, "p", "--prefix", "a", "-y")
    ais("get", bucket, "l", "--list", "a1,b1", "-y")
    ais("get", bucket, "t", "--template", "a{1..2}", "-y")
    ais("get", bucket, "n", "--limit", "1", "-y")
    found = {each: sorted(path.name for path in (ais.folder / each).iterdir()) for each in "pltn"}
    assert found == {"p": ["a1", "a2"], "l": ["a1", "b1"], "t": ["a1", "a2"], "n": ["a1"]}
    assert ais.fails("get", bucket, "x", "--list", "nope", "-y") == f'"{bucket}/nope" does not exist'
    assert "no objects" in ais.fails("get", bucket, "x", "--prefix", "z", "-y")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("put", "ais://x"), "what to put is missing"),
        (("put", "nope", "ais://x"), '"nope" does not exist'),
        (("put", "nope", "somewhere"), "the last argument says where to put"),
        (("put", "--list", "nope", "ais://x", "-y"), "nope: No such file or directory"),
        (("get", "ais://x/", "-", "-y"), 'bucket "ais://x" does not exist'),
        (("get", "x"), "backend provider cannot be empty"),
    ],
)
def test_mistakes(ais: Ais, command: tuple[str, ...], said: str) -> None:
    """A mistake is told in a line."""
    assert said in ais.fails(*command)


def test_no_progress_in_a_pipe(ais: Ais, bucket: str) -> None:
    """Standard error has nothing but what was said; a bar that is over in no time is not shown to anybody."""
    (ais.folder / "file").write_bytes(bytes(MIB))
    assert ais("put", "file", bucket).error == ""
    assert ais.on_terminal("put", "file", bucket).output == f'PUT "file" => {bucket}/file\n'


def test_progress_on_a_terminal(ais: Ais, bucket: str) -> None:
    """Work that takes its time has a bar, which is gone when it is done; --no-progress does without."""
    (ais.folder / "file").write_bytes(bytes(8 * MIB))
    slowly = "from tidegate.cli import progress; progress.SHOW_AFTER_SECONDS = 0"
    shown = ais.on_terminal("put", "file", bucket, before=slowly).output
    assert "/8.0 MiB" in shown
    assert shown.rstrip().endswith(f'PUT "file" => {bucket}/file')
    assert "MiB" not in ais.on_terminal("put", "file", bucket, "--no-progress", before=slowly).output
    assert "MiB" in ais.on_terminal("get", f"{bucket}/file", "copy", before=slowly).output.split("\x1b", 1)[1]


def test_an_interrupt(ais: Ais, bucket: str) -> None:
    """Who interrupts a command ends it at once, without a traceback, and nothing half is there."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, "put", "-", f"{bucket}/x"],
        env=environment(ais.server),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(bytes(4 * MIB))  # more than a pipe holds: the command is at work when it has taken it
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert (process.returncode, error) == (130, b"")
    assert ais("ls", bucket, "--count-only").output == "0\n"


def test_work_that_was_cancelled() -> None:
    """What still runs when a command is interrupted ends with its next block."""
    with progress.bar("x", None, "bytes") as bar:
        bar.advance(1)
        bar.cancel()
        with pytest.raises(Failure, match="interrupted"):
            bar.advance(1)


def test_files_in_archives(ais: Ais, bucket: str) -> None:
    """A file of an archive is gotten by its path in it, and added under one."""
    (ais.folder / "in").write_bytes(b"inner")
    with tarfile.open(ais.folder / "shard.tar", "w") as archive:
        archive.add(ais.folder / "in", "dir/in")
    ais("put", "shard.tar", bucket)
    told = ais("get", f"{bucket}/shard.tar", "out", "--archpath", "dir/in").output
    assert told == f"GET shard.tar/dir/in from {bucket} as out (5B)\n"
    assert (ais.folder / "out").read_bytes() == b"inner"
    ais("put", "in", f"{bucket}/shard.tar", "--archpath", "more")
    assert ais("object", "cat", f"{bucket}/shard.tar", "--archpath", "more").data == b"inner"
    missing = f'the archive {bucket}/shard.tar has no file "none"'
    assert ais.fails("object", "cat", f"{bucket}/shard.tar", "--archpath", "none") == missing
    assert ais.fails("get", f"{bucket}/shard.tar", "out", "--archpath", "none") == missing


def test_checking_what_is_here(ais: Ais, bucket: str) -> None:
    """--check-cached only says whether it is here."""
    ais("put", "-", f"{bucket}/x", typed=b"x")
    assert ais("get", f"{bucket}/x", "--check-cached").output == "Cached: true\n"
    assert list(ais.folder.iterdir()) == []


def test_a_checksum_that_differs(ais: Ais, bucket: str) -> None:
    """What came otherwise than it was stored is no file: the digest is the content's own, not the server's word."""
    from tidegate.cli.ais import digests

    (ais.folder / "file").write_bytes(b"content")
    assert digests.of_file(ais.folder / "file", "md5") == hashlib.md5(b"content").hexdigest()
    assert digests.of_file(ais.folder / "file", "xxhash2") == digests.of_file(ais.folder / "file", "xxhash")
