"""Listings through the native API: what is on a page, in which order, and how one page follows another."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
import pytest
import requests
from aistore.sdk import ArchiveConfig, Bucket, ListObjectFlag
from aistore.sdk.errors import AISError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ais.conftest import connect, disconnect
from tests.ais.helpers import act
from tests.archives import archive
from tidegate.ais import entries as entries_module
from tidegate.ais import gotime, listing
from tidegate.testing import Server, serve_in_thread

IS_CACHED, IS_IN_ARCHIVE, IS_DIRECTORY, IS_ARCHIVE = 64, 128, 256, 512
KEYS = sorted(
    ["a", "a/", "a/b", "a/b/c", "a//", "b/x", "b/y/1", "b/y/2", "c", "~", "é", "é/ü", "z%2F", "z+ ", "𝄞", "\ue000"]
    + [f"n/{number:02}" for number in range(12)],
    key=str.encode,
)
FLAGS = [ListObjectFlag.NO_RECURSION, ListObjectFlag.NO_DIRS, ListObjectFlag.NAME_ONLY, ListObjectFlag.CACHED]


def put(s3: Any, bucket: Bucket, *keys: str, data: bytes = b"data", **options: Any) -> None:
    """Stores objects."""
    for key in keys:
        s3.put_object(Bucket=bucket.name, Key=key, Body=data, **options)


def ask(server: Server, bucket: Bucket, **value: Any) -> requests.Response:
    """A listing in JSON, whatever its message says."""
    return act(server, "GET", bucket.name, "list", value, provider="ais")


def entries(server: Server, bucket: Bucket, **value: Any) -> list[dict[str, Any]]:
    """The entries of a listing in JSON."""
    answer = ask(server, bucket, **value)
    assert answer.status_code == 200, answer.text
    return answer.json()["entries"]


# --- what an entry says ----------------------------------------------------------------------------------------------


def test_an_entry_has_what_was_asked_for(bucket: Bucket, server: Server, http: requests.Session) -> None:
    """Each property is there if it was asked for, and only then; by default these are name, size and cached."""
    headers = {"x-amz-meta-color": b"blue", "x-amz-meta-animal": "ünicorn".encode()}
    http.put(f"{server.url}/s3/{bucket.name}/key", data=b"0123456789\n", headers=headers)
    target = next(iter(http.get(f"{server.url}/v1/daemon?what=smap").json()["tmap"]))
    always: dict[str, object] = {"name": "key", "flags": IS_CACHED}
    expected: dict[str, dict[str, object]] = {
        "": {"size": "11"},
        "name": {},
        "name,size,cached": {"size": "11"},
        "checksum": {"checksum": "05967d5390ac53b0"},
        "version, Copies": {"version": "1", "copies": 1},
        "location": {"location": f"t[{target}]:mp[data]"},
        "target_url": {"location": server.url},
        "custom": {"custom-md": "animal=ünicorn, color=blue"},
        "etag,status,ec,node,chunked": {"custom-md": 'ETag="3749f52bb326ae96782b42dc0a97b4c1"'},
    }
    for props, more in expected.items():
        assert entries(server, bucket, props=props) == [{**always, **more}]
    (everything,) = entries(server, bucket, props="all")
    assert everything.keys() == {
        "name", "flags", "size", "checksum", "version", "copies", "location", "custom-md", "atime",
    }  # fmt: skip


def test_the_sdk_reads_the_same_from_messagepack(bucket: Bucket, s3: Any) -> None:
    """The SDK asks for MessagePack and understands it."""
    put(s3, bucket, "key", data=b"0123456789\n")
    page = bucket.list_objects(props="all")
    (entry,) = page.entries
    assert (entry.name, entry.size, entry.checksum, entry.version) == ("key", 11, "05967d5390ac53b0", "1")
    assert entry.copies == 1
    assert entry.is_cached()
    assert entry.is_ok()
    assert entry.location.startswith("t[t")
    assert (page.continuation_token, page.flags) == ("", 0)
    assert entry.object.get_reader().read_all() == b"0123456789\n"
    assert [each.name for each in bucket.list_all_objects_iter(props="all")] == ["key"]


def test_messagepack_is_what_it_is_called(bucket: Bucket, s3: Any, server: Server, http: requests.Session) -> None:
    """The content type is exactly what clients compare with, and an entry's names are AIStore's short ones."""
    put(s3, bucket, "key", data=b"")
    answer = http.get(
        f"{server.url}/v1/buckets/{bucket.name}",
        json={"action": "list", "value": None},
        headers={"Accept": "application/msgpack"},
    )
    assert answer.headers["content-type"] == "application/msgpack"
    page = msgspec.msgpack.decode(answer.content)
    assert page.pop("UUID")
    assert page == {"ContinuationToken": "", "Entries": [{"n": "key", "f": IS_CACHED}], "Flags": 0}


def test_times_are_written_as_asked(bucket: Bucket, s3: Any, server: Server) -> None:
    """The access time is RFC 822 by default, and otherwise as the layout of Go's that the client sends has it."""
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    put(s3, bucket, "key")

    def atime(**message: str) -> str:
        (entry,) = entries(server, bucket, props="atime", **message)
        return entry["atime"]

    exact = dt.datetime.fromisoformat(atime(time_format="2006-01-02T15:04:05.999999Z07:00"))
    assert before <= exact <= dt.datetime.now(dt.UTC)
    assert atime() == exact.strftime("%d %b %y %H:%M UTC")
    assert atime(time_format="no elements") == "no elements"


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("02 Jan 06 15:04 MST", "05 Feb 24 03:07 UTC"),
        ("02 Jan 06 15:04 -0700", "05 Feb 24 03:07 +0000"),
        ("Monday, 02-Jan-06 15:04:05 MST", "Monday, 05-Feb-24 03:07:09 UTC"),
        ("Mon, 02 Jan 2006 15:04:05 MST", "Mon, 05 Feb 2024 03:07:09 UTC"),
        ("2006-01-02T15:04:05Z07:00", "2024-02-05T03:07:09Z"),
        ("2006-01-02T15:04:05.999999999Z07:00", "2024-02-05T03:07:09.01234Z"),
        ("2006-01-02 15:04:05.000", "2024-02-05 03:07:09.012"),
        ("05.000000000 05.0000000000", "09.012340000 09.0123400000"),
        ("Mon Jan _2 15:04:05 2006", "Mon Feb  5 03:07:09 2024"),
        ("3:04PM 3pm 1/2 January 002 _2006 -07 -07:00 4 5", "3:07AM 3am 2/5 February 036 _2024 +00 +00:00 7 9"),
        ("", ""),
    ],
)
def test_layouts_mean_what_they_mean_in_go(layout: str, expected: str) -> None:
    """The standard layouts, and their elements alone."""
    time_of = int(dt.datetime(2024, 2, 5, 3, 7, 9, tzinfo=dt.UTC).timestamp()) * 1_000_000 + 12_340
    assert gotime.write(layout, time_of) == expected


@given(st.text(max_size=30), st.integers(0, 4_000_000_000_000_000))
def test_any_text_is_a_layout(layout: str, at: int) -> None:
    """Whatever a client sends as a layout, something is written."""
    assert isinstance(gotime.write(layout, at), str)


def test_the_time_of_a_read_is_shown(bucket: Bucket, s3: Any, server: Server) -> None:
    """An object that was not read since it was written has the time of the write."""
    put(s3, bucket, "key")
    written = s3.head_object(Bucket=bucket.name, Key="key")["LastModified"]
    (entry,) = entries(server, bucket, props="atime", time_format="2006-01-02T15:04:05Z07:00")
    assert dt.datetime.fromisoformat(entry["atime"]) == written
    assert time.time() >= written.timestamp()


def test_a_composed_object_is_where_its_parts_are(bucket: Bucket, s3: Any, server: Server) -> None:
    """An object that was uploaded in parts has a location and a copy as any other."""
    upload = s3.create_multipart_upload(Bucket=bucket.name, Key="key")["UploadId"]
    name = {"Bucket": bucket.name, "Key": "key", "UploadId": upload}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**name, PartNumber=number, Body=b"part")["ETag"]}
        for number in (1, 2)
    ]
    s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
    (entry,) = entries(server, bucket, props="copies,location,size")
    assert (entry["copies"], entry["size"]) == (1, "8")
    assert entry["location"].endswith(":mp[data]")


# --- which entries there are -----------------------------------------------------------------------------------------


def test_flags_choose_what_is_listed(bucket: Bucket, s3: Any) -> None:
    """Names only; names and sizes; one level of directories, or without them; and nothing that is not here."""
    put(s3, bucket, "a/b/c", "a/d", "e")

    def listed(*flags: ListObjectFlag, **options: Any) -> list[tuple[str, int, int]]:
        return [(entry.name, entry.size, entry.flags) for entry in bucket.list_all_objects(flags=flags, **options)]

    everything = [("a/b/c", 4, IS_CACHED), ("a/d", 4, IS_CACHED), ("e", 4, IS_CACHED)]
    assert listed() == listed(ListObjectFlag.NAME_SIZE, props="all") == listed(ListObjectFlag.CACHED) == everything
    assert listed(ListObjectFlag.NAME_ONLY, props="all") == [(name, 0, flags) for name, _, flags in everything]
    nested = [("a/", 0, IS_DIRECTORY), ("e", 4, IS_CACHED)]
    assert listed(ListObjectFlag.NO_RECURSION) == listed(ListObjectFlag.NO_RECURSION, props="all") == nested
    assert listed(ListObjectFlag.NO_RECURSION, ListObjectFlag.NO_DIRS) == nested[1:]
    assert listed(ListObjectFlag.NO_RECURSION, prefix="a/") == [("a/b/", 0, IS_DIRECTORY), everything[1]]
    assert listed(ListObjectFlag.NOT_CACHED) == []


def test_a_listing_may_be_of_one_target(bucket: Bucket, s3: Any, client: Any) -> None:
    """The one target there is has everything; of another nobody has heard."""
    put(s3, bucket, "key")
    (target,) = client.cluster().get_info().tmap
    assert [entry.name for entry in bucket.list_objects(target=target).entries] == ["key"]
    with pytest.raises(AISError, match="there is no target") as caught:
        bucket.list_objects(target="another")
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ({"props": "name,colour"}, 400),
        ({"pagesize": -1}, 400),
        ({"pagesize": "many"}, 400),
        ({"flags": "-1"}, 400),
        ({"flags": str(1 << 16)}, 400),
        ({"flags": str(1 << 70)}, 400),
        ({"flags": str(1 << 0 | 1 << 9)}, 400),
        ({"flags": str(1 << 2)}, 501),
        ({"flags": str(1 << 15)}, 501),
        ({"prefix": 1}, 400),
        ({"time_format": "x" * 1000}, 400),
        ({"uuid": "x" * 1000}, 400),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(bucket: Bucket, server: Server, value: dict[str, Any], status: int) -> None:
    """A message with an unknown property, flag or number is a client's error; what is not done says so."""
    answer = ask(server, bucket, **value)
    assert answer.status_code == status
    assert answer.json()["message"]


# --- archives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "data"),
    [
        (".tar", archive("tar", {"b": b"b", "./a/ü": b"four"})),
        (".tgz", archive("tgz", {"b": b"b", "a/ü": b"four"})),
        (".zip", archive("zip", {"b": b"b", "a/ü": b"four"})),
    ],
    ids=["tar", "tgz", "zip"],
)
def test_archives_are_listed_as_directories(bucket: Bucket, s3: Any, ending: str, data: bytes) -> None:
    """The SDK's list_archive has the files of an archive with their sizes, and the archive itself if told so."""
    key = f"shard{ending}"
    put(s3, bucket, key, data=data)
    files = [(f"{key}/b", 1, IS_CACHED | IS_IN_ARCHIVE), (f"{key}/a/ü", 4, IS_CACHED | IS_IN_ARCHIVE)]

    def shown(found: list[Any]) -> list[tuple[str, int, int]]:
        return [(entry.name, entry.size, entry.flags) for entry in found]

    assert shown(bucket.list_archive(key)) == files
    assert shown(bucket.list_archive(key, include_archive_obj=True, props="all")) == [
        (key, len(data), IS_CACHED | IS_ARCHIVE),
        *files,
    ]
    names = bucket.list_all_objects(flags=[ListObjectFlag.ARCH_DIR, ListObjectFlag.NAME_ONLY])
    assert [entry.size for entry in names] == [0, 0, 0]
    assert bucket.object(key).get_reader(archive_config=ArchiveConfig(archpath="a/ü")).read_all() == b"four"


def test_archives_keep_their_files_on_their_page(bucket: Bucket, s3: Any) -> None:
    """Pages end after an archive, never within; what only has an archive's name is an object as any other."""
    put(s3, bucket, "1.tar", data=archive("tar", dict.fromkeys("abc", b"x")))
    put(s3, bucket, "2.tar", data=b"no archive")
    put(s3, bucket, "3.tar", data=archive("tar", {}))
    put(s3, bucket, "4", "5.zip", "6.tgz", data=b"")
    everything = ["1.tar", "1.tar/a", "1.tar/b", "1.tar/c", "2.tar", "3.tar", "4", "5.zip", "6.tgz"]
    for size in (1, 2, 4, 5, 9, 0):
        pages: list[list[str]] = []
        token = ""
        while not pages or token:
            page = bucket.list_objects(page_size=size, continuation_token=token, flags=[ListObjectFlag.ARCH_DIR])
            pages.append([entry.name for entry in page.entries])
            token = page.continuation_token
            assert pages[-1]
        assert list(chain.from_iterable(pages)) == everything
        assert pages[0][:4] == everything[:4]


def test_too_many_files_are_not_listed(paged: tuple[Server, Bucket], monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive with more files than a listing shows is a clear error, rather than part of them."""
    monkeypatch.setattr(entries_module, "MAX_MEMBERS", 2)
    _, other = paged
    other.object("~/three.tar").get_writer().put_content(archive("tar", dict.fromkeys("abc", b"x")))
    with pytest.raises(AISError, match="has more than 2 files") as caught:
        other.list_archive("~/three.tar")
    assert caught.value.status_code == 400
    other.object("~/three.tar").delete()


# --- pages -----------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other(bucket: Bucket, s3: Any) -> None:
    """A page has as many names as was asked for and the last as its token; an id keeps pages together."""
    put(s3, bucket, "a", "b", "c")
    first = bucket.list_objects(page_size=2)
    assert ([entry.name for entry in first.entries], first.continuation_token) == (["a", "b"], "b")
    assert first.uuid
    second = bucket.list_objects(page_size=2, uuid=first.uuid, continuation_token="b")
    assert ([entry.name for entry in second.entries], second.continuation_token) == (["c"], "")
    assert second.uuid == first.uuid
    whole = bucket.list_objects(page_size=3)
    assert (len(whole.entries), whole.continuation_token) == (3, "")
    assert [entry.name for entry in bucket.list_all_objects(start_after="a", page_size=1)] == ["b", "c"]
    assert [entry.name for entry in bucket.list_objects_iter(start_after="b")] == ["c"]


def test_an_empty_bucket_ends_at_once(bucket: Bucket) -> None:
    """The SDK's iterator and its lists come to an end where there is nothing."""
    assert list(bucket.list_objects_iter()) == []
    assert bucket.list_all_objects() == []
    assert bucket.list_objects(page_size=1).entries == []


@pytest.fixture(scope="module")
def paged() -> Iterator[tuple[Server, Bucket]]:
    """A server that reads a page in steps of three names, and a bucket with all keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "STEP", 3)
        patch.setattr(listing, "MAX_PAGE", 20)
        with serve_in_thread(repos_port=None) as server:
            client, s3 = connect(server.url), server.boto3_client()
            bucket = client.bucket("paged").create()
            put(s3, bucket, *KEYS)
            s3.close()
            yield server, bucket
            disconnect(client)


def expected(prefix: str, after: str, flags: list[ListObjectFlag]) -> list[str]:
    """What a listing of all keys should have, by the simplest rules."""
    names: list[str] = []
    for key in KEYS:
        if not key.startswith(prefix):
            continue
        name = key
        if ListObjectFlag.NO_RECURSION in flags and "/" in key[len(prefix) :]:
            name = key[: key.index("/", len(prefix)) + 1]
            if ListObjectFlag.NO_DIRS in flags:
                continue
        if name.encode() > after.encode() and name not in names:
            names.append(name)
    return names


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    prefix=st.sampled_from(["", "a", "a/", "a/b", "b/", "é", "n/0", "zz"]),
    after=st.sampled_from(["", "a", "a/b/c", "b", "n/05", "é", "𝄞"]),
    size=st.integers(0, 30),
    flags=st.lists(st.sampled_from(FLAGS), unique=True),
    props=st.sampled_from(["", "all"]),
)
def test_all_pages_together_are_the_bucket(
    paged: tuple[Server, Bucket], prefix: str, after: str, size: int, flags: list[ListObjectFlag], props: str
) -> None:
    """Whatever the page size, in order of bytes and without a page that is empty but for the last."""
    _, bucket = paged
    if ListObjectFlag.NO_RECURSION in flags:
        after = ""  # a marker within a group is a key, and goes on within it
    found: list[str] = []
    token = ""
    while True:
        page = bucket.list_objects(
            prefix, props, size, continuation_token=token, flags=flags, start_after="" if token else after
        )
        assert len(page.entries) <= min(size or 20, 20)
        found += [entry.name for entry in page.entries]
        token = page.continuation_token
        if not token:
            break
        assert page.entries
        # Where directories are left out, the next page may go on after one of them.
        assert token == found[-1] or ListObjectFlag.NO_DIRS in flags
    assert found == expected(prefix, after, flags)
