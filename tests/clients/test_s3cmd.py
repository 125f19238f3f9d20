"""s3cmd as it comes, with every way to name the server that AIStore's guides show, and every request checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.clients.conftest import MIB, MakeBucket
from tests.clients.programs import Result, environment, run
from tidegate.testing import ServerProcess, serve

S3cmd = Callable[..., Result]

# --host and --host-bucket. The last two are as the guides have them, with a typo that s3cmd takes for a path.
HOSTS = {
    "root": ("{0}", "{0}"),
    "prefix": ("{0}/s3", "{0}/s3"),
    "prefix and bucket": ("{0}/s3", "{0}/s3/%(bucket)s"),
    "prefix, %(bucket)": ("{0}/s3", "{0}/s3/%(bucket)"),
    "root, %(bucket)": ("{0}", "{0}/s3/%(bucket)"),
}


def make(server: ServerProcess, folder: Path, hosts: tuple[str, str], *more: str) -> S3cmd:
    """Runs s3cmd in a folder. Fails if it has anything to complain about, unless another exit code is asked for."""
    host, host_bucket = (each.format(f"127.0.0.1:{server.port}") for each in hosts)
    options = ("--no-ssl", f"--host={host}", f"--host-bucket={host_bucket}", *more)
    env = environment(server)

    def call(*arguments: str | Path, code: int = 0, may_warn: bool = False, data: bytes = b"") -> Result:
        result = run("s3cmd", *options, *arguments, env=env, cwd=folder, code=code, data=data)
        if code == 0 and not may_warn:
            assert not re.search("WARNING|ERROR", result.output + result.errors), result
        return result

    return call


@pytest.fixture
def s3cmd(server: ServerProcess, tmp_path: Path) -> S3cmd:
    """s3cmd with ``host:port/s3``, as the guides recommend."""
    return make(server, tmp_path, HOSTS["prefix"])


@pytest.mark.parametrize("signature", [(), ("--signature-v2",)], ids=["v4", "v2"])
@pytest.mark.parametrize("hosts", HOSTS.values(), ids=HOSTS)
def test_everyday_commands(
    server: ServerProcess,
    tmp_path: Path,
    make_bucket: MakeBucket,
    s3: Any,
    hosts: tuple[str, str],
    signature: tuple[str, ...],
) -> None:
    """mb, put, ls, info, get, cp, mv, del and rb work with either signature, however the server is named."""
    s3cmd = make(server, tmp_path, hosts, *signature)
    bucket = make_bucket()
    s3.delete_bucket(Bucket=bucket)
    name = "a b+ü%41.txt"
    data = b"some text\n" * 1000
    (tmp_path / name).write_bytes(data)
    assert s3cmd("mb", f"s3://{bucket}").output == f"Bucket 's3://{bucket}/' created\n"
    assert s3cmd("put", name, f"s3://{bucket}/dir/").output.startswith(
        f"upload: '{name}' -> 's3://{bucket}/dir/{name}'"
    )
    assert s3cmd("ls", f"s3://{bucket}").output.split() == ["DIR", f"s3://{bucket}/dir/"]
    assert s3cmd("ls", f"s3://{bucket}/dir/").lines[0].endswith(f"  10000  s3://{bucket}/dir/{name}")
    assert f"s3://{bucket}" in s3cmd("ls").output.split()
    info = s3cmd("info", f"s3://{bucket}/dir/{name}").output
    assert re.search(r"File size: +10000\n", info)
    assert f"MD5 sum:   {hashlib.md5(data).hexdigest()}" in info
    s3cmd("get", f"s3://{bucket}/dir/{name}", "fetched")
    assert (tmp_path / "fetched").read_bytes() == data
    s3cmd("cp", f"s3://{bucket}/dir/{name}", f"s3://{bucket}/copy")
    s3cmd("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    assert s3cmd("del", f"s3://{bucket}/dir/{name}").output == f"delete: 's3://{bucket}/dir/{name}'\n"
    assert s3cmd("ls", f"s3://{bucket}").output.split()[3:] == [f"s3://{bucket}/moved"]
    s3cmd("rm", f"s3://{bucket}/moved")
    assert s3cmd("rb", f"s3://{bucket}").output == f"Bucket 's3://{bucket}/' removed\n"


@pytest.mark.parametrize("signature", [(), ("--signature-v2",)], ids=["v4", "v2"])
@pytest.mark.parametrize("hosts", HOSTS.values(), ids=HOSTS)
def test_large_files_go_in_parts(
    server: ServerProcess,
    tmp_path: Path,
    bucket: str,
    s3: Any,
    large_bytes: bytes,
    hosts: tuple[str, str],
    signature: tuple[str, ...],
) -> None:
    """A large file is uploaded in chunks and fetched again, and nothing is left of the upload."""
    s3cmd = make(server, tmp_path, hosts, *signature)
    data = large_bytes[: 12 * MIB]
    (tmp_path / "large").write_bytes(data)
    s3cmd("put", "large", f"s3://{bucket}", "--multipart-chunk-size-mb=5")
    assert s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-3"')
    s3cmd("get", f"s3://{bucket}/large", "fetched")
    assert (tmp_path / "fetched").read_bytes() == data
    assert len(s3cmd("multipart", f"s3://{bucket}").lines) == 2  # the bucket's name and a heading


def test_uploads_are_listed_and_aborted(s3cmd: S3cmd, s3: Any, bucket: str) -> None:
    """multipart lists uploads, listmp their parts, abortmp ends one."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="dir/large")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="dir/large", UploadId=upload, PartNumber=3, Body=b"12345")
    assert s3cmd("multipart", f"s3://{bucket}").lines[-1].split()[1:] == [f"s3://{bucket}/dir/large", upload]
    part = s3cmd("listmp", f"s3://{bucket}/dir/large", upload).lines[-1].split()
    assert part[1:] == ["3", f'"{hashlib.md5(b"12345").hexdigest()}"', "5"]
    assert s3cmd("abortmp", f"s3://{bucket}/dir/large", upload).output == f"s3://{bucket}/dir/large\n"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_an_upload_that_was_interrupted_goes_on(
    s3cmd: S3cmd, s3: Any, bucket: str, tmp_path: Path, large_bytes: bytes
) -> None:
    """--continue-put sends only the parts that are not there yet."""
    data = large_bytes[: 12 * MIB]
    (tmp_path / "large").write_bytes(data)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=1, Body=data[: 5 * MIB])
    options = ("--multipart-chunk-size-mb=5", "--continue-put", f"--upload-id={upload}")
    put = s3cmd("put", "large", f"s3://{bucket}", *options, may_warn=True)
    assert put.errors == f"WARNING: MultiPart: size and md5sum match for s3://{bucket}/large part 1, skipping.\n"
    s3cmd("get", f"s3://{bucket}/large", "fetched")
    assert (tmp_path / "fetched").read_bytes() == data


def test_folders_are_synchronised(s3cmd: S3cmd, bucket: str, make_bucket: MakeBucket, tmp_path: Path) -> None:
    """sync copies what is new or has changed, in both directions and between buckets, and deletes if it is told to."""
    here, there, other = tmp_path / "here", tmp_path / "there", make_bucket()
    names = {"a.txt", "b/c.txt", "b/d e+ü.txt", "empty"}
    for name in names:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("" if name == "empty" else name)
    there.mkdir()
    assert s3cmd("sync", "here/", f"s3://{bucket}/x/").output.count("upload: ") == 4
    assert s3cmd("sync", "here/", f"s3://{bucket}/x/").output.count("upload: ") == 0
    assert s3cmd("sync", f"s3://{bucket}/x/", f"s3://{other}/y/").output.count("remote copy: ") == 4
    s3cmd("sync", f"s3://{other}/y/", "there/")
    assert {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()} == names
    assert (there / "b/d e+ü.txt").read_text() == "b/d e+ü.txt"
    (here / "a.txt").unlink()
    (here / "b/c.txt").write_text("changed")
    output = s3cmd("sync", "--delete-removed", "here/", f"s3://{bucket}/x/").output
    assert (output.count("upload: "), output.count("delete: ")) == (1, 1)
    assert s3cmd("ls", "--recursive", f"s3://{bucket}").output.count(f"s3://{bucket}/x/") == 3
    assert s3cmd("du", f"s3://{bucket}").output.split()[1:3] == ["3", "objects"]
    assert s3cmd("del", "--recursive", "--force", f"s3://{bucket}").output.count("delete: ") == 3
    s3cmd("rb", "--recursive", f"s3://{other}", may_warn=True)  # that it is not empty
    s3cmd("rb", f"s3://{bucket}")


def test_all_buckets(tmp_path: Path) -> None:
    """la lists what is in all buckets, ls the buckets."""
    with serve(auth=True, repos_port=None) as server:
        s3cmd = make(server, tmp_path, HOSTS["prefix"])
        for name in "one", "two":
            (tmp_path / name).write_bytes(b"data")
            s3cmd("mb", f"s3://{name}")
            s3cmd("put", name, f"s3://{name}")
        assert [line.split()[2:] for line in s3cmd("la").lines] == [["4", "s3://one/one"], ["4", "s3://two/two"]]
        assert [line.split()[2:] for line in s3cmd("ls").lines] == [["s3://one"], ["s3://two"]]


def test_info_says_none_for_what_there_is_not(s3cmd: S3cmd, bucket: str, s3: Any) -> None:
    """info of a bucket and of an object: what is not implemented is shown as none, without a warning or a retry."""
    s3.put_object(Bucket=bucket, Key="object", Body=b"data", ContentType="text/plain")
    of_bucket = dict(re.findall(r"^ +([\w ]+): *(.*)$", s3cmd("info", f"s3://{bucket}").output, re.MULTILINE))
    of_object = dict(re.findall(r"^ +([\w ]+): *(.*)$", s3cmd("info", f"s3://{bucket}/object").output, re.MULTILINE))
    for found in of_bucket, of_object:
        assert [found[name] for name in ("Policy", "CORS", "ACL")] == ["none", "none", "none"]
    assert of_bucket["Location"] == "us-east-1"
    assert of_bucket["Payer"] == "none"
    assert of_bucket["Expiration rule"] == "none"
    assert of_object["MIME type"] == "text/plain"
    assert of_object["Storage"] == "STANDARD"
    assert of_object["MD5 sum"] == hashlib.md5(b"data").hexdigest()


def test_headers_are_set_and_modified(s3cmd: S3cmd, bucket: str, s3: Any, tmp_path: Path) -> None:
    """put stores headers, metadata and the file's attributes; modify changes them in place."""
    (tmp_path / "file").write_bytes(b"data")
    s3cmd("put", "file", f"s3://{bucket}", "--add-header=x-amz-meta-a:1", "--mime-type=text/plain")
    head = s3.head_object(Bucket=bucket, Key="file")
    assert (head["ContentType"], head["Metadata"]["a"]) == ("text/plain", "1")
    assert "md5:8d777f385d3dfec8815d20f7496026dc" in head["Metadata"]["s3cmd-attrs"]
    s3cmd("modify", f"s3://{bucket}/file", "--add-header=Cache-Control:max-age=5", "--mime-type=text/html")
    head = s3.head_object(Bucket=bucket, Key="file")
    assert (head["ContentType"], head["CacheControl"]) == ("text/html", "max-age=5")
    assert head["Metadata"]["a"] == "1"


def test_streams_and_empty_files(s3cmd: S3cmd, bucket: str, s3: Any, tmp_path: Path) -> None:
    """put reads standard input, get writes standard output and resumes, an empty file is an object too."""
    s3cmd("put", "-", f"s3://{bucket}/stream", data=b"from a stream")
    assert s3cmd("get", f"s3://{bucket}/stream", "-").output == "from a stream"
    (tmp_path / "half").write_bytes(b"from ")
    s3cmd("get", "--continue", f"s3://{bucket}/stream", "half")
    assert (tmp_path / "half").read_bytes() == b"from a stream"
    (tmp_path / "empty").touch()
    s3cmd("put", "empty", f"s3://{bucket}")
    s3cmd("get", f"s3://{bucket}/empty", "fetched")
    assert (tmp_path / "fetched").read_bytes() == b""


def test_what_is_not_there(s3cmd: S3cmd, server: ServerProcess, bucket: str) -> None:
    """s3cmd tells a missing bucket from a missing object and from keys that are wrong."""
    assert "ERROR: Bucket 's3cmd-missing' does not exist" in s3cmd("ls", "s3://s3cmd-missing", code=12).errors
    assert "404" in s3cmd("info", f"s3://{bucket}/missing", code=12).errors
    assert "does not exist" in s3cmd("get", f"s3://{bucket}/missing", code=64).errors
    wrong = s3cmd(f"--access_key={server.access_key}", "--secret_key=wrong", "ls", f"s3://{bucket}", code=77)
    assert "SignatureDoesNotMatch" in wrong.errors


def test_signed_urls(s3cmd: S3cmd, bucket: str, s3: Any) -> None:
    """signurl makes URLs that anybody can use."""
    s3.put_object(Bucket=bucket, Key="a b", Body=b"data")
    url = s3cmd("signurl", f"s3://{bucket}/a b", "+60").output.strip()
    with urllib3.PoolManager(retries=False) as pool:
        assert pool.request("GET", url).data == b"data"
