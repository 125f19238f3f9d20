"""Objects through the native API: what the SDK writes, the SDK and S3 clients read, and the other way round."""

from __future__ import annotations

import hashlib
import io
import json
import random
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import xxhash
from aistore.sdk import Bucket, Client
from aistore.sdk.blob_download_config import BlobDownloadConfig
from aistore.sdk.errors import AISError, ErrBckNotFound, ErrObjNotFound
from aistore.sdk.etl import ETLConfig
from hypothesis import example, given
from hypothesis import strategies as st

from tests.ais.conftest import MakeBucket
from tests.ais.helpers import set_properties
from tidegate import errors
from tidegate.ais import custom
from tidegate.ais.uname import parse_uname
from tidegate.testing import ServerProcess

MIB = 1024 * 1024
DIGITS = b"0123456789\n"
LARGE = random.Random(1).randbytes(3 * MIB + 17)
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

Url = Callable[..., str]


@pytest.fixture
def url(server: ServerProcess, bucket: Bucket) -> Url:
    """Makes the URL of an object in the bucket."""

    def make(key: str, **query: str) -> str:
        fields = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return f"{server.url}/v1/objects/{bucket.name}/{quote(key, safe='/')}?{fields}"

    return make


def put(bucket: Bucket, key: str, content: bytes) -> None:
    """Writes an object."""
    bucket.object(key).get_writer().put_content(content)


def read(bucket: Bucket, key: str) -> bytes:
    """Reads an object."""
    return bucket.object(key).get_reader().read_all()


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


# --- attributes ------------------------------------------------------------------------------------------------------


def test_head_tells_all_that_is_known(bucket: Bucket) -> None:
    """The SDK's properties have what AIStore tells of an object."""
    put(bucket, "key", DIGITS)
    props = bucket.object("key").props
    assert (props.name, props.bucket_name, props.bucket_provider) == ("key", bucket.name, "ais")
    assert (props.size, props.obj_version, props.checksum_value) == (11, "1", "05967d5390ac53b0")
    assert props.location.startswith("t[")
    assert "mp[" in props.location
    assert (props.mirror_copies, len(props.mirror_paths)) == (1, 1)
    assert props.present
    assert props.chunks is None
    assert int(props.access_time) > 0
    more = bucket.object("key").head("etag,last-modified")
    assert more.etag == "3749f52bb326ae96782b42dc0a97b4c1"
    assert more.last_modified.endswith("GMT")


def test_head_answers_what_it_is_asked(url: Url, bucket: Bucket) -> None:
    """Beside the size and that it is there, only the properties that the request names."""
    put(bucket, "key", DIGITS)
    chosen = requests.head(url("key", props="version,copies")).headers
    assert {"ais-version", "ais-mirror-copies", "ais-present", "content-length"} <= {name.lower() for name in chosen}
    assert not {"ais-checksum-value", "ais-location", "etag", "ais-name"} & {name.lower() for name in chosen}
    everything = requests.head(url("key")).headers
    shown = {name.lower() for name in everything}
    assert {"ais-name", "ais-location", "ais-mirror-paths", "ais-bucket-provider", "etag"} <= shown
    assert requests.head(url("key", props="all")).headers.get("Ais-Name") == "key"


def test_an_unknown_property_is_refused(url: Url, bucket: Bucket) -> None:
    """The error of a HEAD is in a header, for want of a body."""
    put(bucket, "key", DIGITS)
    answer = requests.head(url("key", props="size,colour"))
    assert answer.status_code == 400
    assert json.loads(answer.headers["Hdr-Error"])["message"] == 'invalid property "colour" in props list'


def test_custom_metadata_is_merged_or_replaced(bucket: Bucket, s3: Any) -> None:
    """It is the same that S3 clients call user metadata, and setting it makes no new version."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=DIGITS, Metadata={"from": "s3"})
    thing = bucket.object("key")
    assert thing.props.custom_metadata == {"from": "s3"}
    thing.get_writer().set_custom_props({"one": "1", "two": "zwei, drei"})
    thing.get_writer().set_custom_props({"One": "eins"})
    assert s3.head_object(Bucket=bucket.name, Key="key")["Metadata"] | {"One": ""} == {
        "from": "s3",
        "One": "",
        "two": "zwei, drei",
    }
    assert thing.props.custom_metadata["One"] == "eins"
    thing.get_writer().set_custom_props({"only": "this"}, replace_existing=True)
    assert thing.props.custom_metadata == {"only": "this"}
    assert thing.props.obj_version == "1"


def test_custom_metadata_comes_with_a_put(bucket: Bucket, s3: Any, url: Url) -> None:
    """In a header, in the same form in which answers have it."""
    headers = {"Ais-Custom-Md": "color=red, size=10,5"}
    assert requests.put(url("key"), DIGITS, headers=headers).status_code == 200
    assert s3.head_object(Bucket=bucket.name, Key="key")["Metadata"] == {"color": "red", "size": "10,5"}


@pytest.mark.parametrize(
    "values",
    [
        {"bad name": "x"},
        {"": "x"},
        {"a:b": "x"},
        {"a": "x\r\ny"},
        {"a": "1", "A": "2"},
        {"a": "x" * 2048},
        {"a": 1},
        ["a"],
    ],
)
def test_custom_metadata_that_no_header_can_have_is_refused(bucket: Bucket, url: Url, values: object) -> None:
    """Neither door could show it."""
    put(bucket, "key", DIGITS)
    assert requests.patch(url("key"), data=json.dumps({"action": "", "value": values})).status_code == 400
    assert bucket.object("key").props.custom_metadata == {}


_names = st.text("abcXYZ019-_.", min_size=1, max_size=8)
_values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=",="), max_size=8)


@given(st.dictionaries(_names, _values).filter(lambda pairs: len({name.lower() for name in pairs}) == len(pairs)))
def test_custom_metadata_is_read_as_it_is_written(pairs: Mapping[str, str]) -> None:
    """One pair a line, or all of them in one."""
    lines = custom.lines(pairs)
    assert custom.parse_headers(lines) == pairs
    assert custom.parse_headers([", ".join(lines)] if lines else []) == pairs


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=40), max_size=3))
@example(["a=1, b"])
@example(["=x"])
@example(["a=\x00"])
def test_a_header_of_custom_metadata_is_parsed_or_refused(lines: list[str]) -> None:
    """Whatever it has in it, what comes of it can be stored and shown."""
    try:
        pairs = custom.parse_headers(lines)
    except errors.InvalidArgument:
        return
    assert custom.checked(pairs) == pairs
    assert all("\n" not in line for line in custom.lines(pairs))


@given(
    provider=st.sampled_from(["ais", "s3", "aws", "gs", "az"]),
    namespace=st.text("abc09_-", max_size=5),
    name=st.text("abc09.-", min_size=1, max_size=8),
    key=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40),
)
def test_a_full_name_is_parsed(provider: str, namespace: str, name: str, key: str) -> None:
    """Whatever the object is called, slashes and all."""
    bucket, found = parse_uname(f"{provider}/@#{namespace}/{name}/{key}")
    assert (bucket.namespace, bucket.name, found) == (namespace, name, key)


@given(st.text("ais/@#b.\0é", max_size=20))
def test_any_full_name_is_parsed_or_refused(text: str) -> None:
    """No other error comes of it."""
    try:
        bucket, key = parse_uname(text)
    except (errors.InvalidArgument, errors.NotImplementedByServer):
        return
    assert bucket.name
    assert key


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


# --- appending -------------------------------------------------------------------------------------------------------


def test_what_is_appended_is_seen_after_the_flush(bucket: Bucket, s3: Any) -> None:
    """Not before; and then all of it at once, behind what the object had."""
    put(bucket, "key", b"begin ")
    writer = bucket.object("key").get_writer()
    handle = writer.append_content(b"one ")
    handle = writer.append_content(b"two ", handle)
    assert read(bucket, "key") == b"begin "
    writer.append_content(b"", handle, flush=True)
    assert read(bucket, "key") == b"begin one two "
    assert s3.head_object(Bucket=bucket.name, Key="key")["ETag"] == f'"{hashlib.md5(b"begin one two ").hexdigest()}"'
    assert bucket.object("key").props.checksum_value == xxhash.xxh64_hexdigest(b"begin one two ")


@pytest.mark.parametrize("size", [1000, 40_000, 300_000])
def test_many_pieces_make_one_object(bucket: Bucket, size: int) -> None:
    """Small pieces and large ones, in a new object and behind an old one."""
    pieces = [random.Random(number).randbytes(size) for number in range(7)]
    for expected in (b"".join(pieces), b"".join(pieces) * 2):
        writer, handle = bucket.object("key").get_writer(), ""
        for piece in pieces:
            handle = writer.append_content(piece, handle)
        writer.append_content(b"", handle, flush=True)
        assert read(bucket, "key") == expected


def test_a_file_of_the_sdk_appends(bucket: Bucket) -> None:
    """In mode w from nothing, in mode a behind what is there."""
    put(bucket, "key", b"old")
    with bucket.object("key").get_writer().as_file("w") as file:
        file.write(b"new ")
        file.flush()
        file.write(b"and more")
    with bucket.object("key").get_writer().as_file("a") as file:
        file.write(b".")
    assert read(bucket, "key") == b"new and more."


def test_an_append_that_is_repeated_is_done_once(bucket: Bucket) -> None:
    """A client that did not hear the answer asks again, and nothing is there twice."""
    writer = bucket.object("key").get_writer()
    handle = writer.append_content(b"one")
    for piece in (b"two", LARGE[:MIB]):
        newest = writer.append_content(piece, handle)
        assert writer.append_content(piece, handle) == newest
        handle = newest
    for _ in range(2):
        writer.append_content(b"", handle, flush=True)
    assert read(bucket, "key") == b"onetwo" + LARGE[:MIB]


def test_two_writers_with_one_handle_are_told(bucket: Bucket) -> None:
    """A handle after which something else was appended is refused: nothing is lost or mixed silently."""
    writer = bucket.object("key").get_writer()
    handle = writer.append_content(b"one")
    newest = writer.append_content(b"two", handle)
    for flush in (False, True):
        with pytest.raises(AISError) as caught:
            writer.append_content(b"" if flush else b"other", handle, flush=flush)
        assert caught.value.status_code == 409
    writer.append_content(b"", newest, flush=True)
    assert read(bucket, "key") == b"onetwo"


def test_a_handle_is_good_for_its_object_only(bucket: Bucket, s3: Any) -> None:
    """Another object's, a made-up one, one that was flushed, and an S3 upload's id are no handles."""
    handle = bucket.object("key").get_writer().append_content(b"one")
    upload = s3.create_multipart_upload(Bucket=bucket.name, Key="other")["UploadId"]
    writer = bucket.object("other").get_writer()
    made_up = f"append-{'0' * 32}.0.0"
    for other, status in ((handle, 404), (made_up, 404), (upload, 400), (f"{upload}.0.0", 400), ("../x", 400)):
        for flush in (False, True):
            with pytest.raises(AISError) as caught:
                writer.append_content(b"" if flush else b"x", other, flush=flush)
            assert caught.value.status_code == status
    bucket.object("key").get_writer().append_content(b"", handle, flush=True)
    with pytest.raises(AISError):
        bucket.object("key").get_writer().append_content(b"more", handle)


def test_a_flush_verifies_the_whole(bucket: Bucket, url: Url) -> None:
    """The checksum that comes with a flush is that of the object that comes of it, small or large."""
    for before, piece in ((b"", DIGITS), (LARGE, LARGE[:MIB])):
        put(bucket, "key", before)
        handle = bucket.object("key").get_writer().append_content(piece)
        flush = url("key", append_type="flush", append_handle=handle)
        right = hashlib.sha256(before + piece).hexdigest()
        wrong = hashlib.sha256(piece + b"x").hexdigest()
        for value, status in ((wrong, 400), (right, 200)):
            headers = {"Ais-Checksum-Type": "sha256", "Ais-Checksum-Value": value}
            assert requests.put(flush, headers=headers).status_code == status
        assert read(bucket, "key") == before + piece


def test_a_flush_may_bring_the_last_piece(bucket: Bucket) -> None:
    """With a handle, or as the only one."""
    writer = bucket.object("key").get_writer()
    writer.append_content(b"two", writer.append_content(b"one "), flush=True)
    bucket.object("other").get_writer().append_content(b"only", flush=True)
    assert (read(bucket, "key"), read(bucket, "other")) == (b"one two", b"only")
    with pytest.raises(AISError) as caught:
        writer.append_content(b"", flush=True)
    assert caught.value.status_code == 400


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
