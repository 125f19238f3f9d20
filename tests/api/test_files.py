"""The content of files: written whole or not at all, read as it was written, in part and under conditions."""

from __future__ import annotations

import base64
import hashlib
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest
import requests

from tests.api.client import Api, Repo, succeed
from tidegate.testing import ServerProcess

MIB = 1024 * 1024
LARGE = random.Random(1).randbytes(3 * MIB + 17)
DIGITS = b"0123456789"

# Paths that something on the way might take for something else.
PATHS = [
    "a",
    "dir/a.txt",
    "/leading",
    "double//slash",
    "trailing/",
    "a b+c%41&d=e?f#g",
    "é/雪/😀",
    "�",
    "line\nbreak\t\x01\x7f",
    "{x}[y]*",
    "x" * 1024,
    "é" * 512,
]


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["empty", "one", "large"])
def test_what_is_written_is_read(repo: Repo, server: ServerProcess, content: bytes) -> None:
    """Every door reads the bytes that were written."""
    written = repo.write("dir/key", content)
    assert (written["path"], written["type"], written["size"]) == ("dir/key", "file", len(content))
    assert written["etag"] == hashlib.md5(content).hexdigest()
    assert repo.read("dir/key") == content
    s3 = server.boto3_client()
    assert s3.get_object(Bucket=f"master.{repo.name}", Key="dir/key")["Body"].read() == content
    s3.close()


def test_an_answer_describes_the_file(repo: Repo) -> None:
    """A GET and a HEAD say the same of it: its type as it was given, its ETag, time and commit."""
    headers = {"Content-Type": "text/csv", "Cache-Control": "no-cache", "Content-Language": "de"}
    written = repo.write("key", DIGITS, **headers)
    read = succeed(repo.api.request("GET", repo.file("key"))).headers
    head = succeed(repo.api.request("HEAD", repo.file("key"))).headers
    for answer in (read, head):
        assert {name: answer[name] for name in headers} == headers
        assert answer["ETag"] == f'"{written["etag"]}"'
        assert answer["X-Tidegate-Commit"] == written["commit"]
        assert answer["Content-Length"] == "10"
        assert answer["Accept-Ranges"] == "bytes"
        assert answer["X-Content-Type-Options"] == "nosniff"
    repo.write("other")
    assert repo.api.request("HEAD", repo.file("key")).headers["X-Tidegate-Commit"] == written["commit"]
    assert repo.api.request("HEAD", repo.file("other")).headers["Content-Type"] == "application/octet-stream"
    assert repo.api.request("HEAD", repo.file("missing")).status_code == 404


@pytest.mark.parametrize("path", PATHS)
def test_any_path_is_one_file(repo: Repo, server: ServerProcess, path: str) -> None:
    """What is written under a path is that path's, letter by letter."""
    assert repo.write(path)["path"] == path
    assert repo.paths(recursive=True) == [path]
    assert repo.read(path) == b"content"
    s3 = server.boto3_client()
    listed = s3.list_objects_v2(Bucket=f"master.{repo.name}", EncodingType="url")["Contents"]
    assert len(listed) == 1
    s3.close()
    assert repo.api.delete(repo.file(path))["deleted"] == 1
    assert repo.paths() == []


@pytest.mark.parametrize("path", ["..", "../up", "./here", "a/../b"])
def test_a_path_is_no_place_in_a_file_system(repo: Repo, server: ServerProcess, path: str) -> None:
    """Dots are letters, for clients that send them."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"PUT /v2{repo.file(path)} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
        connection.sendall(head.encode())
        assert connection.makefile("rb").readline().split()[1] == b"200"
    assert repo.paths(recursive=True) == [path]


@pytest.mark.parametrize("path", ["", "x" * 1025, "é" * 513, "nul%00", "%ff", "a/%c3"])
def test_what_no_file_can_be_called_is_refused(repo: Repo, path: str) -> None:
    """Such a path is the client's mistake."""
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        data = b"" if method == "PUT" else None
        assert repo.api.request(method, f"{repo.path}/files/master/{path}", data=data).status_code == 400


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "status", "expected"),
    [
        ("bytes=1-5", 206, DIGITS[1:6]),
        ("bytes=4-", 206, DIGITS[4:]),
        ("bytes=-3", 206, DIGITS[-3:]),
        ("bytes=0-99", 206, DIGITS),
        ("bytes=5-4", 200, DIGITS),
        ("bytes=0-1,3-4", 200, DIGITS),
        ("lines=1-2", 200, DIGITS),
    ],
)
def test_a_range_is_a_part_of_the_file(repo: Repo, header: str, status: int, expected: bytes) -> None:
    """One range is answered with its bytes; what is no range is ignored."""
    repo.write("key", DIGITS)
    answer = repo.api.request("GET", repo.file("key"), headers={"Range": header})
    assert (answer.status_code, answer.content) == (status, expected)
    if status == 206:
        start = DIGITS.index(expected)
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/10"


def test_a_range_in_a_large_file(repo: Repo) -> None:
    """A range that crosses blocks is exact to the byte."""
    repo.write("key", LARGE)
    answer = repo.api.request("GET", repo.file("key"), headers={"Range": f"bytes=262143-{2 * MIB}"})
    assert answer.content == LARGE[262143 : 2 * MIB + 1]


def test_a_range_past_the_end_cannot_be_satisfied(repo: Repo) -> None:
    """416, with the size that there is."""
    repo.write("key", DIGITS)
    answer = repo.api.request("GET", repo.file("key"), headers={"Range": "bytes=10-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */10")


def test_conditions_of_reads(repo: Repo) -> None:
    """A file is read only if it is, or is not, what the client knows."""
    etag = f'"{repo.write("key", DIGITS)["etag"]}"'
    path = repo.file("key")
    past, future = formatdate(0, usegmt=True), formatdate(4_000_000_000, usegmt=True)
    for headers, status in (
        ({"If-Match": etag}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-None-Match": etag}, 304),
        ({"If-Modified-Since": past}, 200),
        ({"If-Modified-Since": future}, 304),
        ({"If-Unmodified-Since": past}, 412),
        ({"If-Range": etag, "Range": "bytes=0-0"}, 206),
        ({"If-Range": '"other"', "Range": "bytes=0-0"}, 200),
    ):
        for method in ("GET", "HEAD"):
            answer = repo.api.request(method, path, headers=headers)
            assert answer.status_code == (200 if (method, status) == ("HEAD", 206) else status), headers
            if status == 304:
                assert answer.headers["ETag"] == etag


def test_every_state_is_read(repo: Repo) -> None:
    """By branch, tag, commit, ancestor and time; what was written later is not in it."""
    first = repo.write("key", b"one")["commit"]
    repo.api.put(f"{repo.path}/tags/v1", {"ref": "master"})
    finished = repo.commits()[0]["finished"]
    repo.write("key", b"two")
    for ref in (first, f"master={first}", "master^", "master~1", "master.-1", "master.1", "v1", f"master@{finished}"):
        assert repo.read("key", ref) == b"one", ref
    assert repo.read("key") == b"two"
    repo.api.fails("GET", repo.file("key", "master^^"), 404, "NoSuchCommit")


@pytest.mark.parametrize("ref", ["v1", "master^", "commit"])
def test_what_was_committed_is_not_written(repo: Repo, ref: str) -> None:
    """A state of the past refuses to be changed."""
    first = repo.write("key", b"one")["commit"]
    repo.write("key", b"two")
    repo.api.put(f"{repo.path}/tags/v1", {"ref": "master"})
    path = repo.file("key", ref.replace("commit", first))
    repo.api.fails("PUT", path, 403, "AccessDenied", data=b"three")
    repo.api.fails("DELETE", path, 403, "AccessDenied")
    assert repo.read("key") == b"two"


def test_damage_in_the_middle_breaks_the_connection(repo: Repo, server: ServerProcess) -> None:
    """A file that cannot be read to its end never looks as if it had been."""
    content = random.Random(2).randbytes(4 * MIB + 4321)
    repo.write("key", content)
    blobs: list[Path] = [path for path in (server.data / "blobs").rglob("*") if path.is_file()]
    stored = next(path for path in blobs if content in path.read_bytes())
    damaged = bytearray(stored.read_bytes())
    damaged[3 * MIB] ^= 1
    stored.write_bytes(damaged)
    with pytest.raises(requests.RequestException):
        repo.read("key")


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_body_may_come_in_chunks(repo: Repo) -> None:
    """A body without a declared length is stored whole."""
    answer = repo.api.request("PUT", repo.file("key"), data=iter([LARGE[:MIB], LARGE[MIB:]]))
    assert answer.json()["size"] == len(LARGE)
    assert repo.read("key") == LARGE


@pytest.mark.parametrize("query", ["", "?append=true"])
def test_a_body_that_nobody_announced_is_refused(repo: Repo, server: ServerProcess, query: str) -> None:
    """Without a length and without chunks there is no body for HTTP: that replaces no file by an empty one."""
    repo.write("key")
    head = f"PUT /v2{repo.file('key')}{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    for framing, status in (("", b"411"), ("Content-Length: 0\r\n", b"200")):
        assert repo.read("key") == b"content"
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(f"{head}{framing}\r\n".encode())
            received = connection.makefile("rb").read()
        assert received.split()[1] == status
        assert (b'"MissingContentLength"' in received) == (not framing)
    assert repo.read("key") == (b"content" if query else b"")


@pytest.mark.parametrize("sent", [b"short", LARGE[:MIB]], ids=["small", "large"])
@pytest.mark.parametrize("framing", ["Content-Length: 2000000", "Transfer-Encoding: chunked"])
def test_a_body_that_stops_early_stores_nothing(repo: Repo, server: ServerProcess, sent: bytes, framing: str) -> None:
    """A client that goes away in the middle of a PUT makes no commit."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"PUT /v2{repo.file('key')} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
        chunk = b"" if "Length" in framing else b"%x\r\n" % (len(sent) + 1)
        connection.sendall(head.encode() + chunk + sent)
    repo.write("other")
    assert repo.paths() == ["other"]
    assert len(repo.commits()) == 1


def test_conditions_of_writes(repo: Repo) -> None:
    """A file is written, or deleted, only over what the client knows."""
    path = repo.file("key")
    new = {"If-None-Match": "*"}
    etag = repo.write("key", b"one", **new)["etag"]
    repo.api.fails("PUT", path, 412, "PreconditionFailed", data=b"two", headers=new)
    repo.api.fails("PUT", path, 412, "PreconditionFailed", data=b"two", headers={"If-Match": '"other"'})
    repo.api.fails("PUT", repo.file("missing"), 404, "NoSuchFile", data=b"", headers={"If-Match": f'"{etag}"'})
    repo.api.fails("DELETE", path, 412, "PreconditionFailed", headers={"If-Match": '"other"'})
    assert repo.read("key") == b"one"
    repo.write("key", b"two", **{"If-Match": f'"{etag}"'})
    assert len(repo.commits()) == 2


def test_what_the_headers_promise_is_verified(repo: Repo) -> None:
    """Digests of several kinds; what does not hold stores nothing, and what is unknown is ignored."""
    sha256 = base64.b64encode(hashlib.sha256(DIGITS).digest()).decode()
    sha512 = base64.b64encode(hashlib.sha512(DIGITS).digest()).decode()
    md5 = base64.b64encode(hashlib.md5(DIGITS).digest()).decode()
    for headers in (
        {"Content-MD5": md5},
        {"Content-Digest": f"sha-256=:{sha256}:, sha-512=:{sha512}:"},
        {"Repr-Digest": f"sha-512=:{sha512}:"},
    ):
        repo.write("good", DIGITS, **headers)
        for content in (b"", DIGITS[:-1], LARGE):
            repo.api.fails("PUT", repo.file("bad"), 400, "BadDigest", data=content, headers=headers)
    assert repo.read("bad") is None
    repo.write("good", DIGITS, **{"Content-Digest": "unixsum=:AAA=:"})


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-MD5": "x"},
        {"Content-MD5": "AAAA"},
        {"Content-Digest": "sha-256"},
        {"Content-Digest": "sha-256=:AAAA:"},
        {"Content-Digest": "sha-256=AAAA"},
        {"Repr-Digest": ",,"},
    ],
)
def test_a_digest_that_is_none_is_refused(repo: Repo, headers: dict[str, str]) -> None:
    """A promise that cannot be held makes no sense."""
    repo.api.fails("PUT", repo.file("key"), 400, "InvalidDigest", data=DIGITS, headers=headers)
    assert repo.read("key") is None


def test_a_part_of_a_file_is_not_written(repo: Repo) -> None:
    """Content-Range on a PUT is refused (RFC 9110 section 14.5): it would put a part in the place of the whole."""
    repo.write("key", DIGITS)
    headers = {"Content-Range": "bytes 0-0/10"}
    repo.api.fails("PUT", repo.file("key"), 400, "InvalidRequest", data=b"x", headers=headers)
    assert repo.read("key") == DIGITS


def test_append(repo: Repo) -> None:
    """The body is put behind what is there, or makes the file; each time in one commit."""
    path = repo.file("log") + "?append=true"
    content = b""
    for piece in (b"one ", b"", LARGE, b" three"):
        answer = succeed(repo.api.request("PUT", path, data=piece))
        content += piece
        assert answer.json()["size"] == len(content)
    assert repo.read("log") == content
    assert repo.read("log", "master^") == content[: -len(b" three")]
    etag = repo.api.request("HEAD", repo.file("log")).headers["ETag"]
    repo.api.fails("PUT", path, 412, "PreconditionFailed", data=b"x", headers={"If-None-Match": etag})


def test_appends_at_once_all_count(repo: Repo) -> None:
    """Nobody has to know where the file ends: no append is lost, and none goes into another."""
    repo.write("log", b"")

    def append(number: int) -> None:
        api = Api(repo.api.url.removesuffix("/v2"))
        succeed(api.request("PUT", repo.file("log") + "?append=true", data=b"<%02d>" % number))
        api.session.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(24)))
    content = repo.read("log") or b""
    assert sorted(content[at : at + 4] for at in range(0, len(content), 4)) == [b"<%02d>" % n for n in range(24)]


# --- deleting and copying --------------------------------------------------------------------------------------------


def test_what_is_not_there_is_deleted_without_a_commit(repo: Repo) -> None:
    """It is no error, and makes nothing."""
    repo.write("key")
    for path in ("missing", "missing?recursive=true", "ke?recursive=true"):
        assert repo.api.delete(f"{repo.path}/files/master/{path}") == {"deleted": 0, "commit": None}
    assert len(repo.commits()) == 1


def test_a_directory_is_deleted_in_one_commit(repo: Repo) -> None:
    """The file of the name and all below, and not what only begins like it."""
    for path in ("dir", "dir/a", "dir/b/c", "dir2", "di"):
        repo.write(path)
    done = repo.api.delete(repo.file("dir"), recursive=True)
    assert done["deleted"] == 3
    assert repo.paths() == ["di", "dir2"]
    assert repo.head() == done["commit"]
    assert repo.api.delete(repo.file(""), recursive=True)["deleted"] == 2
    assert repo.paths() == []
    headers = {"If-Match": "*"}
    repo.api.fails("DELETE", repo.file("x") + "?recursive=true", 400, "InvalidRequest", headers=headers)


def test_many_files_are_deleted_in_one_commit(repo: Repo, server: ServerProcess) -> None:
    """Also where it takes several transactions: readers see all of it at once, and it is one commit."""
    bucket = f"{repo.name}-many"
    s3 = server.boto3_client()
    s3.create_bucket(Bucket=bucket)
    for number in range(110):
        s3.put_object(Bucket=bucket, Key=f"{number:03}", Body=b"x")
    s3.close()
    for number in range(10):
        body = {"uri": f"ais://{bucket}", "branch": "master", "path": f"many/{number}/"}
        repo.api.post(f"{repo.path}/import", body)
    repo.write("kept")
    before = repo.head()
    note = {"X-Tidegate-Commit-Message": "all gone", "If-Head-Commit": before}
    done = succeed(repo.api.request("DELETE", repo.file("many") + "?recursive=true", headers=note)).json()
    assert done["deleted"] == 1100
    newest = repo.commits()[0]
    assert (newest["id"], newest["parent"], newest["message"]) == (done["commit"], before, "all gone")
    assert newest["finished"] is not None
    assert repo.paths(recursive=True) == ["kept"]
    repo.api.fails("DELETE", repo.file("", "master^") + "?recursive=true", 404, "NoSuchBranch")


def test_a_directory_is_deleted_within_an_open_commit(repo: Repo) -> None:
    """What was written into the commit goes too; the branch shows it when the commit is finished."""
    repo.write("dir/old")
    opened = repo.api.post(f"{repo.path}/commits", {"branch": "master"})["id"]
    repo.write("dir/new")
    assert repo.api.delete(repo.file("dir"), recursive=True) == {"deleted": 2, "commit": opened}
    assert repo.paths(recursive=True) == ["dir/old"]
    repo.api.post(f"{repo.path}/commits/{opened}/finish", {})
    assert repo.paths() == []


def test_copy(repo: Repo) -> None:
    """A file of any state, of this repository or another, with what is known of it and what is said of the commit."""
    repo.write("a", LARGE, **{"Content-Type": "text/csv"})
    repo.api.put(f"{repo.path}/tags/v1", {"ref": "master"})
    repo.api.delete(repo.file("a"))
    other = Repo(repo.api, f"{repo.name}-copy")
    repo.api.post("/projects/default/repos", {"name": other.name})
    other.branch("master")
    body = {"source_ref": "v1", "source_path": "a", "ref": "master", "path": "dir/b", "message": "copied"}
    for target, source in ((repo, {}), (other, {"source_repo": repo.name})):
        copied = repo.api.post(f"{target.path}/copy", {**body, **source})
        assert (copied["path"], copied["size"]) == ("dir/b", len(LARGE))
        assert target.read("dir/b") == LARGE
        assert target.api.request("HEAD", target.file("dir/b")).headers["Content-Type"] == "text/csv"
        assert target.commits()[0]["message"] == "copied"
    missing = {**body, "source_path": "nothing"}
    document = repo.api.fails("POST", f"{repo.path}/copy", 404, "NoSuchFile", json=missing)
    assert "nothing" in document["error"]["message"]
    repo.api.fails("POST", f"{repo.path}/copy", 412, "PreconditionFailed", json=body, headers={"If-None-Match": "*"})
    repo.api.fails("POST", f"{repo.path}/copy", 400, "InvalidArgument", json={**body, "path": "nul\0"})
    repo.api.fails("POST", f"{repo.path}/copy", 404, "NoSuchRepo", json={**body, "source_repo": "nothing"})


def test_what_is_not_done_is_said(repo: Repo) -> None:
    """What is not implemented answers 501 with a sentence."""
    assert "tidegate fsck" in repo.api.fails("GET", "/fsck", 501, "NotImplemented")["error"]["message"]


def test_a_bucket_is_imported(repo: Repo, server: ServerProcess) -> None:
    """What is below a prefix of a bucket is in the branch, in one commit, as if it had been written there."""
    bucket = f"{repo.name}-source"
    s3 = server.boto3_client()
    s3.create_bucket(Bucket=bucket)
    for key in ("train/1", "train/2", "test/1"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.close()
    body = {"uri": f"ais://{bucket}/train/", "branch": "master", "path": "data/", "message": "from elsewhere"}
    made = repo.api.post(f"{repo.path}/import", body)
    assert (made["message"], made["changes"], made["id"]) == ("from elsewhere", 2, repo.head())
    assert repo.contents() == {"data/1": b"train/1", "data/2": b"train/2"}
    repo.api.fails("POST", f"{repo.path}/import", 404, "NoSuchBucket", json={**body, "uri": "ais://no-such-bucket"})
    repo.api.fails("POST", f"{repo.path}/import", 404, "NoSuchBranch", json={**body, "branch": "nothing"})
    repo.api.fails("POST", f"{repo.path}/import", 400, "InvalidArgument", json={**body, "uri": "ftp://bucket"})
    repo.api.fails("POST", f"{repo.path}/import", 400, "InvalidArgument", json={**body, "uri": "ais://"})
    assert len(repo.commits()) == 1
