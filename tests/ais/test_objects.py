"""Objects through the native API: what the SDK writes, the SDK and S3 clients read, and the other way round."""

from __future__ import annotations

import hashlib
import io
import random
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import xxhash
from aistore.sdk import Bucket, Client
from aistore.sdk.blob_download_config import BlobDownloadConfig
from aistore.sdk.errors import AISError, ErrBckNotFound, ErrObjNotFound
from aistore.sdk.etl import ETLConfig

from tests.ais.conftest import MakeBucket, Url
from tests.ais.helpers import DIGITS, LARGE, MIB, put, read, set_properties
from tidegate.testing import ServerProcess

KEYS = (
    "plain",
    "a/b/c.jpg",
    "with space",
    "with+plus",
    "100%",
    "50%25",
    "a?b#c&d=e",
    "ünïcode/文件",
    "/leading",
    "double//slash",
    "trailing/",
    "line\nbreak",
    "line\n",
    "tab\there",
    "a;b,c:d@e",
)


def keys_of(s3: Any, bucket: Bucket) -> list[str]:
    """The objects that S3 clients see."""
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket.name).get("Contents", ())]


# --- reading and writing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"x", DIGITS, LARGE], ids=["empty", "one", "small", "large"])
def test_what_is_written_is_read_in_every_way(bucket: Bucket, s3: Any, content: bytes) -> None:
    """Every reader of the SDK, and an S3 client, see the bytes that were written."""
    put(bucket, "key", content)
    reader = bucket.object("key").get_reader(chunk_size=64 * 1024)
    assert reader.read_all() == content
    assert b"".join(reader) == content
    assert reader.raw().read() == content
    with reader.as_file() as file:
        assert file.read() == content
    written = io.BytesIO()
    bucket.object("key").get_reader(writer=written)
    assert written.getvalue() == content
    assert s3.get_object(Bucket=bucket.name, Key="key")["Body"].read() == content
    assert bucket.object("key").head().size == len(content)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the SDK forks
def test_a_large_object_is_read_by_several_processes_at_once(bucket: Bucket) -> None:
    """The SDK's parallel download puts ranges together to the same bytes."""
    put(bucket, "key", LARGE)
    reader = bucket.object("key").get_reader(num_workers=2, chunk_size=MIB)
    with reader.read_all() as whole:
        assert whole.tobytes() == LARGE
    assert b"".join(reader) == LARGE


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=1-5", b"12345"),
        ("bytes=4-", b"456789\n"),
        ("bytes=6-15", b"6789\n"),
        ("bytes=-7", b"456789\n"),
        ("bytes=0-0", b"0"),
    ],
)
def test_a_range_is_a_part_of_the_object(bucket: Bucket, url: Url, header: str, expected: bytes) -> None:
    """A range answers 206 with the bytes that it names."""
    put(bucket, "key", DIGITS)
    assert bucket.object("key").get_reader(byte_range=header).read_all() == expected
    answer = requests.get(url("key"), headers={"Range": header})
    assert (answer.status_code, answer.headers["Content-Length"]) == (206, str(len(expected)))


def test_a_range_in_a_large_object(bucket: Bucket) -> None:
    """A range that crosses blocks is exact to the byte."""
    put(bucket, "key", LARGE)
    found = bucket.object("key").get_reader(byte_range=f"bytes=262143-{2 * MIB}").read_all()
    assert found == LARGE[262143 : 2 * MIB + 1]


def test_a_range_past_the_end_cannot_be_satisfied(bucket: Bucket) -> None:
    """416, as HTTP has it."""
    put(bucket, "key", DIGITS)
    with pytest.raises(AISError) as caught:
        bucket.object("key").get_reader(byte_range="bytes=11-12").read_all()
    assert caught.value.status_code == 416


def test_an_answer_tells_of_the_object(bucket: Bucket, url: Url) -> None:
    """A GET has AIStore's headers, and S3's ETag."""
    put(bucket, "key", DIGITS)
    put(bucket, "key", DIGITS)
    answer = requests.get(url("key"))
    assert answer.headers["Ais-Checksum-Type"] == "xxhash"
    assert answer.headers["Ais-Checksum-Value"] == "05967d5390ac53b0"
    assert answer.headers["Ais-Version"] == "2"
    assert int(answer.headers["Ais-Atime"]) > 1_700_000_000_000_000_000
    assert answer.headers["ETag"] == '"3749f52bb326ae96782b42dc0a97b4c1"'
    assert answer.headers["Content-Type"] == "application/octet-stream"
    attributes = bucket.object("key").get_reader().attributes
    assert (attributes.checksum_type, attributes.checksum_value) == ("xxhash", "05967d5390ac53b0")
    assert attributes.present


def test_files_are_put(bucket: Bucket, tmp_path: Path) -> None:
    """A file, and all files of a folder, become objects."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "sub" / "b.bin").write_bytes(LARGE)
    bucket.object("file").get_writer().put_file(tmp_path / "sub" / "b.bin")
    names = bucket.put_files(tmp_path, recursive=True, prepend="up/", verbose=False)
    assert sorted(names) == ["up/a.txt", "up/sub/b.bin"]
    assert read(bucket, "file") == read(bucket, "up/sub/b.bin") == LARGE
    assert read(bucket, "up/a.txt") == b"a"


def test_a_body_may_come_in_chunks(bucket: Bucket, url: Url) -> None:
    """A body without a declared length is stored whole."""
    answer = requests.put(url("key"), data=iter([LARGE[:MIB], LARGE[MIB:]]))
    assert answer.status_code == 200
    assert read(bucket, "key") == LARGE


@pytest.mark.parametrize("query", ["", "?append_type=append"])
def test_a_body_that_nobody_announced_is_refused(server: ServerProcess, bucket: Bucket, query: str) -> None:
    """Without a length and without chunks there is no body for HTTP: that replaces no object by an empty one."""
    put(bucket, "key", b"content")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"PUT /v1/objects/{bucket.name}/key{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        received = connection.makefile("rb").read()
    assert received.split()[1] == b"411"
    assert b"Content-Length" in received
    assert read(bucket, "key") == b"content"


@pytest.mark.parametrize("sent", [b"short", LARGE[:MIB]], ids=["small", "large"])
def test_a_body_that_stops_early_stores_nothing(server: ServerProcess, bucket: Bucket, s3: Any, sent: bytes) -> None:
    """A client that goes away in the middle of a PUT leaves no object."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"PUT /v1/objects/{bucket.name}/key HTTP/1.1\r\nHost: x\r\nContent-Length: {len(sent) + 1}\r\n\r\n"
        connection.sendall(head.encode() + sent)
    put(bucket, "other", b"")
    assert keys_of(s3, bucket) == ["other"]


@pytest.mark.parametrize("key", KEYS)
def test_any_key_is_one_object(bucket: Bucket, s3: Any, url: Url, key: str) -> None:
    """What is put under a key is that key's, letter by letter, for both doors."""
    assert requests.put(url(key), data=b"content").status_code == 200
    assert keys_of(s3, bucket) == [key]
    assert requests.get(url(key)).content == b"content"
    assert requests.head(url(key)).status_code == 200
    assert requests.delete(url(key)).status_code == 200
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513, "nul\0"])
def test_what_no_object_can_be_called_is_refused(url: Url, key: str) -> None:
    """Such a name is the client's mistake."""
    for method in ("GET", "PUT", "DELETE"):
        assert requests.request(method, url(key), data=b"" if method == "PUT" else None).status_code == 400


def test_a_missing_object_is_named_in_the_error(bucket: Bucket, client: Client) -> None:
    """The SDK finds out from the message what is missing: the object or the bucket."""
    missing = bucket.object("no/such")
    with pytest.raises(ErrObjNotFound, match=f"ais://{bucket.name}/no/such does not exist"):
        missing.get_reader().read_all()
    with pytest.raises(ErrObjNotFound):
        missing.delete()
    with pytest.raises(AISError) as caught:
        missing.head()
    assert caught.value.status_code == 404
    with pytest.raises(ErrBckNotFound):
        client.bucket("no-such-bucket").object("x").get_reader().read_all()


def test_damage_in_the_middle_breaks_the_connection(server: ServerProcess, bucket: Bucket) -> None:
    """An object that cannot be read to its end never looks as if it had been."""
    content = random.Random(2).randbytes(4 * MIB + 4321)
    put(bucket, "key", content)
    stored = next(
        path for path in (server.data / "blobs").rglob("*") if path.is_file() and content in path.read_bytes()
    )
    damaged = bytearray(stored.read_bytes())
    damaged[3 * MIB] ^= 1
    stored.write_bytes(damaged)
    with pytest.raises(requests.RequestException):
        read(bucket, "key")


def test_a_blob_download_is_a_read(bucket: Bucket) -> None:
    """The headers that ask AIStore to fetch a remote object in pieces are no hindrance."""
    put(bucket, "key", LARGE)
    config = BlobDownloadConfig(chunk_size="1MiB", num_workers="2")
    assert bucket.object("key").get_reader(blob_download_config=config).read_all() == LARGE


def test_what_is_not_done_is_said(bucket: Bucket, url: Url) -> None:
    """Transformations and unknown actions answer 501 with a sentence, and change nothing."""
    put(bucket, "key", DIGITS)
    with pytest.raises(AISError, match="not implemented") as caught:
        bucket.object("key").get_reader(etl=ETLConfig(name="etl")).read_all()
    assert caught.value.status_code == 501
    for method in ("POST", "DELETE"):
        assert requests.request(method, url("key"), json={"action": "explode"}).status_code == 501
    assert requests.delete(url("key"), json={"action": "evict-listrange"}).status_code == 400
    assert read(bucket, "key") == DIGITS


# --- checksums -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("xxhash", xxhash.xxh64_hexdigest(DIGITS)),
        ("xxhash2", xxhash.xxh64_hexdigest(DIGITS)),
        ("md5", hashlib.md5(DIGITS).hexdigest()),
        ("crc32c", "0767345f"),
        ("sha256", hashlib.sha256(DIGITS).hexdigest()),
        ("sha512", hashlib.sha512(DIGITS).hexdigest()),
    ],
)
def test_a_declared_checksum_is_verified(bucket: Bucket, s3: Any, url: Url, kind: str, value: str) -> None:
    """A right one is taken, a wrong one refused as AIStore words it, and then nothing is stored."""
    wrong = value[:-1] + ("0" if value[-1] != "0" else "1")
    refused = requests.put(url("key"), DIGITS, headers={"Ais-Checksum-Type": kind, "Ais-Checksum-Value": wrong})
    assert refused.status_code == 400
    name = kind.removesuffix("2") if kind == "xxhash2" else kind
    assert refused.json()["message"] == f"BAD DATA CHECKSUM: {name}({wrong} != {value})"
    assert keys_of(s3, bucket) == []
    taken = requests.put(url("key"), DIGITS, headers={"Ais-Checksum-Type": kind, "Ais-Checksum-Value": value.upper()})
    assert taken.status_code == 200
    assert read(bucket, "key") == DIGITS


@pytest.mark.parametrize(("kind", "value"), [("md4", "00"), ("md5", "00"), ("md5", ""), ("", "00"), ("md5", "zz" * 16)])
def test_a_checksum_that_cannot_be_one_is_refused(url: Url, kind: str, value: str) -> None:
    """It is not taken for none."""
    headers = {"Ais-Checksum-Type": kind, "Ais-Checksum-Value": value}
    assert requests.put(url("key"), DIGITS, headers=headers).status_code == 400


# --- copying, renaming, deleting -------------------------------------------------------------------------------------


def test_a_copy_is_an_object_of_its_own(bucket: Bucket, make_bucket: MakeBucket) -> None:
    """Under any name, in any bucket, with the metadata of its source."""
    put(bucket, "key", LARGE)
    bucket.object("key").get_writer().set_custom_props({"a": "1"})
    other = make_bucket()
    for target in (bucket.object("copy/of"), other.object("ünï"), other.object("key")):
        bucket.object("key").copy(target)
    bucket.object("key").delete()
    assert read(bucket, "copy/of") == read(other, "ünï") == read(other, "key") == LARGE
    assert other.object("key").props.custom_metadata == {"a": "1"}


def test_a_copy_needs_a_source_and_a_name(bucket: Bucket, url: Url) -> None:
    """What is missing or malformed is told, and nothing is made."""
    with pytest.raises(ErrObjNotFound):
        bucket.object("nothing").copy(bucket.object("copy"))
    put(bucket, "key", DIGITS)
    for target in ("", "copy", f"ais/@#/{bucket.name}/", f"ais//{bucket.name}/x", f"who/@#/{bucket.name}/x"):
        assert requests.put(url("key", object_to=target)).status_code == 400
    assert requests.put(url("key", object_to="ais/@#/no-such-bucket/x")).status_code == 404
    assert requests.put(url("key", object_to=f"ais/@other#/{bucket.name}/x")).status_code == 501


def test_a_rename_moves_an_object(bucket: Bucket, s3: Any, url: Url) -> None:
    """It has the new name and no longer the old one."""
    put(bucket, "old", DIGITS)
    assert requests.post(url("old"), json={"action": "rename-obj", "name": "new"}).status_code == 200
    assert keys_of(s3, bucket) == ["new"]
    assert requests.post(url("old"), json={"action": "rename-obj", "name": "new"}).status_code == 404
    assert requests.post(url("new"), json={"action": "rename-obj", "name": ""}).status_code == 400
    assert read(bucket, "new") == DIGITS


def test_nobody_finds_an_object_locked(url: Url) -> None:
    """What the SDK asks while it waits for a slow read is answered at once."""
    assert requests.post(url("key"), json={"action": "check-lock"}).status_code == 200


def test_a_deleted_object_is_gone(bucket: Bucket, s3: Any) -> None:
    """For both doors; where S3 keeps versions the old ones stay."""
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    put(bucket, "key", DIGITS)
    bucket.object("key").delete()
    with pytest.raises(ErrObjNotFound):
        read(bucket, "key")
    with pytest.raises(ErrObjNotFound):
        bucket.object("key").delete()
    assert len(s3.list_object_versions(Bucket=bucket.name)["Versions"]) == 1


# --- permissions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def restricted(server: ServerProcess, make_bucket: MakeBucket) -> Callable[[str], Bucket]:
    """Makes a bucket with an object ``key``, whose property ``access`` is then set."""

    def make(access: str) -> Bucket:
        bucket = make_bucket()
        put(bucket, "key", DIGITS)
        set_properties(server, bucket, {"access": access})
        return bucket

    return make


OPERATIONS: Mapping[str, tuple[str, str, str, bytes | str]] = {
    "GET": ("GET", "key", "", b""),
    "HEAD-OBJECT": ("HEAD", "key", "", b""),
    "PUT": ("PUT", "new", "", b"x"),
    "APPEND": ("PUT", "key", "append_type=append", b"x"),
    "DELETE-OBJECT": ("DELETE", "key", "", b""),
    "MOVE-OBJECT": ("POST", "key", "", '{"action":"rename-obj","name":"new"}'),
    "UPDATE-OBJECT": ("PATCH", "key", "", '{"action":"","value":{"a":"b"}}'),
}


@pytest.mark.parametrize("needed", OPERATIONS)
def test_each_operation_needs_its_permission(
    server: ServerProcess, restricted: Callable[[str], Bucket], needed: str
) -> None:
    """With it alone the operation is done, with all others it is refused."""
    method, key, query, body = OPERATIONS[needed]
    others = ",".join(name for name in OPERATIONS if name != needed)
    for access, status in ((others, 403), (needed, 200)):
        bucket = restricted(access)
        answer = requests.request(method, f"{server.url}/v1/objects/{bucket.name}/{key}?{query}", data=body)
        assert answer.status_code == status
