"""Get-Batch: many objects, or files of archives, in one archive and in order."""

from __future__ import annotations

import io
import json
import random
import tarfile
import time
import zipfile
from typing import Any

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, ErrBckNotFound, ErrObjNotFound

from tests.ais.conftest import MakeBucket
from tests.ais.helpers import MIB, put, set_properties
from tests.archives import FORMATS, archive, unpacked
from tidegate.testing import ServerProcess

LARGE = random.Random(4).randbytes(2 * MIB + 3)
OUTPUTS = (".tar", ".tgz", ".tar.gz", ".zip")
OBJECTS = {f"dir/{number:03d}": random.Random(number).randbytes(number * 37) for number in range(300)}


@pytest.fixture(scope="session")
def filled(client: Client) -> Bucket:
    """A bucket with many small objects, a large one, and archives."""
    bucket = client.bucket("batch-objects").create(exist_ok=True)
    for key, content in OBJECTS.items():
        put(bucket, key, content)
    put(bucket, "large", LARGE)
    for kind in FORMATS:
        put(bucket, f"shard.{kind}", archive(kind, {"a/1": b"one", "a/2": b"two", "a/3": LARGE, "a/4": b""}))
    return bucket


def moss(server: ServerProcess, message: object, bucket: str = "", query: str = "") -> requests.Response:
    """The answer to a batch that the SDK would not send."""
    url = f"{server.url}/v1/ml/moss" + (f"/{bucket}" if bucket else "")
    return requests.get(f"{url}?{query}", data=json.dumps(message) if not isinstance(message, bytes) else message)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "parts"])
def test_a_batch_is_read_in_the_order_that_was_asked_for(
    client: Client, filled: Bucket, output: str, *, streaming: bool
) -> None:
    """Objects small and large, some of them twice, and files of archives, in any format that the SDK reads."""
    keys = [*reversed(OBJECTS), "large", "dir/001", "large"]
    batch = client.batch(keys, bucket=filled, output_format=output, streaming_get=streaming)
    for kind in FORMATS:
        for name in ("a/3", "a/1", "a/2", "a/4", "a/1"):
            batch.add(f"shard.{kind}", archpath=name)
    found = list(batch.get())
    in_archive = {"a/1": b"one", "a/2": b"two", "a/3": LARGE, "a/4": b""}
    everything = {**OBJECTS, "large": LARGE}
    assert [out.obj_name for out, _ in found[: len(keys)]] == keys
    assert [content for _, content in found[: len(keys)]] == [everything[key] for key in keys]
    assert [content for _, content in found[len(keys) :]] == [
        in_archive[name] for _ in FORMATS for name in ("a/3", "a/1", "a/2", "a/4", "a/1")
    ]
    assert all(out.err_msg is None and out.size == len(content) for out, content in found)


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "parts"])
def test_what_is_missing_is_marked_and_the_rest_comes(client: Client, filled: Bucket, *, streaming: bool) -> None:
    """An object, a file of an archive, an archive that is none, and a range that is not there."""
    batch = client.batch(["dir/002"], bucket=filled, streaming_get=streaming)
    batch.add("no/such").add("shard.tar", archpath="no").add("large", archpath="x").add("none.tar", archpath="a")
    batch.add("dir/002", start=70, length=10).add("large", start=1, length=len(LARGE)).add("shard.zip", archpath="/a/1")
    batch.add("dir/003", opaque=b"\x00mine")
    found = list(batch.get())
    assert [content for _, content in found] == [OBJECTS["dir/002"], *[b""] * 6, b"one", OBJECTS["dir/003"]]
    assert [bool(out.err_msg) for out, _ in found] == [False, *[True] * 6, False, False]
    assert found[-1][0].opaque == b"\x00mine"
    if not streaming:
        assert found[1][0].err_msg == f"ais://{filled.name}/no/such does not exist"


def test_ranges_of_objects_and_of_files(client: Client, filled: Bucket) -> None:
    """From a position so many bytes, or to the end."""
    batch = client.batch(bucket=filled)
    batch.add("dir/010", start=5, length=7).add("dir/010", start=5, length=-1).add("dir/010", length=3)
    batch.add("large", start=MIB - 1, length=MIB).add("large", start=MIB, length=-1)
    for kind in FORMATS:
        batch.add(f"shard.{kind}", archpath="a/3", start=MIB - 5, length=100)
    small, part = OBJECTS["dir/010"], LARGE[MIB - 5 : MIB + 95]
    expected = [small[5:12], small[5:], small[:3], LARGE[MIB - 1 : 2 * MIB - 1], LARGE[MIB:], part, part, part]
    assert [content for _, content in batch.get()] == expected


def test_names_have_the_bucket_or_have_not(client: Client, s3: Any, filled: Bucket, make_bucket: MakeBucket) -> None:
    """A batch may go over several buckets, and over names of any length and script."""
    other = make_bucket()
    long = "l" * 200 + "/ü/" + "n" * 400
    put(other, long, b"long")
    s3.put_object(Bucket=other.name, Key="../up", Body=b"up")  # a path that other clients would shorten
    for bare in (False, True):
        batch = client.batch(["dir/001"], bucket=filled, only_obj_name=bare)
        batch.add(long, bck=other.name, provider="ais").add(other.object("../up"))
        batch.add("shard.tar", archpath="a/1").add("gone")
        before = ("", "") if bare else (f"{filled.name}/", f"{other.name}/")
        assert dict(unpacked("tar", batch.get(raw=True).read())) == {
            f"{before[0]}dir/001": OBJECTS["dir/001"],
            f"{before[1]}{long}": b"long",
            f"{before[1]}__/up": b"up",
            f"{before[0]}shard.tar/a/1": b"one",
            f"__404__/{before[0]}gone": b"",
        }


def test_a_batch_that_does_not_go_on_ends_with_an_error(client: Client, filled: Bucket) -> None:
    """Before anything was sent, wherever in the batch the missing object is."""
    for keys in (["no/such"], [*OBJECTS, "no/such"], ["large", "no/such"]):
        for streaming in (True, False):
            batch = client.batch(keys, bucket=filled, cont_on_err=False, streaming_get=streaming)
            with pytest.raises(ErrObjNotFound, match="no/such"):
                batch.get()
    with pytest.raises(AISError):
        client.batch(bucket=filled, cont_on_err=False).add("shard.tar", archpath="no").get()


def test_a_bucket_that_is_not_there_ends_every_batch(client: Client, filled: Bucket) -> None:
    """It is no object that may be missing."""
    with pytest.raises(ErrBckNotFound):
        client.batch(["dir/001"], bucket=filled).add("x", bck="no-such-bucket", provider="ais").get()


def test_a_bucket_that_may_not_be_read_ends_every_batch(
    server: ServerProcess, client: Client, filled: Bucket, make_bucket: MakeBucket
) -> None:
    """Who may not read it learns nothing of it, in company or alone."""
    secret = make_bucket()
    put(secret, "key", b"secret")
    set_properties(server, secret, {"access": "PUT,HEAD-OBJECT,LIST-OBJECTS"})
    with pytest.raises(AISError) as caught:
        client.batch(["dir/001"], bucket=filled).add(secret.object("key")).get()
    assert caught.value.status_code == 403


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"", 400),
        (b"{", 400),
        ({"in": []}, 400),
        ({"in": "x"}, 400),
        ({"in": [{}]}, 400),
        ({"in": [{"objname": ""}]}, 400),
        ({"in": [{"objname": "x" * 1025}]}, 400),
        ({"in": [{"objname": "x", "start": -1}]}, 400),
        ({"in": [{"objname": "x", "length": -2}]}, 400),
        ({"in": [{"objname": "x", "start": 1}]}, 400),
        ({"in": [{"objname": "x", "start": 2**70}]}, 400),
        ({"in": [{"objname": "x", "provider": "who"}]}, 400),
        ({"in": [{"uname": "x"}]}, 400),
        ({"in": [{"uname": "ais/@#/bucket/"}]}, 400),
        ({"in": [{"objname": "x"}], "mime": ".rar"}, 501),
        ({"in": [{"objname": "x"}], "mime": ".tar.lz4"}, 501),
        ({"in": [{"objname": "x"}] * 100_001}, 400),
    ],
    ids=range(17),
)
def test_a_message_that_means_nothing_is_refused(
    server: ServerProcess, filled: Bucket, message: object, status: int
) -> None:
    """With the reason, and before anything is read."""
    assert moss(server, message, filled.name).status_code == status


def test_an_entry_says_where_it_is(server: ServerProcess, filled: Bucket) -> None:
    """By its own bucket, by its full name, or by the bucket of the URL; without any it is nowhere."""
    entries = [{"objname": "dir/001", "bucket": filled.name}, {"uname": f"ais/@#/{filled.name}/dir/002"}]
    answer = moss(server, {"in": entries, "strm": True, "mime": "tar"})
    assert answer.headers["Content-Type"] == "application/x-tar"
    assert [content for _, content in unpacked("tar", answer.content)] == [OBJECTS["dir/001"], OBJECTS["dir/002"]]
    assert moss(server, {"in": [{"objname": "dir/001"}], "strm": True}, filled.name).status_code == 200
    assert moss(server, {"in": [{"objname": "dir/001"}]}).status_code == 400


def test_without_stream_there_are_two_parts(server: ServerProcess, filled: Bucket) -> None:
    """What became of each entry, then the archive; the length is known."""
    answer = moss(
        server, {"in": [{"objname": "dir/001"}, {"objname": "no"}], "coer": True, "mime": ".zip"}, filled.name
    )
    kind, _, boundary = answer.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/mixed"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    _, document, packed, end = answer.content.split(b"--" + boundary.encode())
    assert end == b"--\r\n"
    assert [entry["size"] for entry in json.loads(document.partition(b"\r\n\r\n")[2])["out"]] == [37, 0]
    with zipfile.ZipFile(io.BytesIO(packed.partition(b"\r\n\r\n")[2])) as files:
        assert files.namelist() == [f"{filled.name}/dir/001", f"__404__/{filled.name}/no"]


def test_the_sdk_reads_the_parts_as_a_stream_too(client: Client, filled: Bucket) -> None:
    """Its decoder that does not hold everything finds the same."""
    batch = client.batch(["dir/004", "large"], bucket=filled, streaming_get=False)
    assert [content for _, content in batch.get(decode_as_stream=True)] == [OBJECTS["dir/004"], LARGE]


def test_a_bucket_that_validates_is_read_too(server: ServerProcess, client: Client, make_bucket: MakeBucket) -> None:
    """Where reads are held against the bucket's checksum, batches are as well."""
    bucket = make_bucket()
    set_properties(server, bucket, {"checksum": {"validate_warm_get": True}})
    put(bucket, "small", b"small")
    put(bucket, "large", LARGE)
    assert [content for _, content in client.batch(["small", "large"], bucket=bucket).get()] == [b"small", LARGE]


def test_a_client_that_goes_away_is_no_trouble(server: ServerProcess, client: Client, filled: Bucket) -> None:
    """The work stops, and the server goes on."""
    for output in OUTPUTS:
        batch = client.batch(["large"] * 50, bucket=filled, output_format=output)
        stream: Any = batch.get(raw=True)
        assert stream.read(1000)
        stream.close()
    assert [content for _, content in client.batch(["dir/005"], bucket=filled).get()] == [OBJECTS["dir/005"]]
    assert "Traceback" not in server.log


def test_members_tell_when_they_were_modified(client: Client, filled: Bucket) -> None:
    """The time of the object's writing."""
    with tarfile.open(fileobj=io.BytesIO(client.batch(["dir/001"], bucket=filled).get(raw=True).read())) as found:
        modified = found.getmembers()[0].mtime
    assert abs(modified - time.time()) < 3600
