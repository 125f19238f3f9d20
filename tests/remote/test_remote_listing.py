"""Listings of a remote bucket: what the remote has, page by page, with a mark for what is kept here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.ais.command import Ais
from tests.remote.conftest import Pair, new_name

KEYS = (
    "a", "a.txt", "a/1", "a/2", "a/b/1", "a/b/2", "a0", "b//x", "b/", "b/1", "c d", "c+d", "d%20e", "e\x01f", "é/1",
    "é/2", "\uffee", "\U0001f600", "z/z/z/z",
)  # fmt: skip
# Bits of AIStore's flags.
CACHED, NOT_CACHED = 1 << 0, 1 << 9


@pytest.fixture(scope="module")
def full(pair: Pair) -> str:
    """A bucket with keys of all sorts, none of them cached. Nobody changes it."""
    bucket = pair.create(new_name())
    for number, key in enumerate(KEYS):
        pair.s3_there.put_object(Bucket=bucket, Key=key, Body=b"x" * number)
    return bucket


def pages(client: Any, operation: str, **message: Any) -> Iterator[dict[str, Any]]:
    """All pages of a listing."""
    yield from client.get_paginator(operation).paginate(**message)


def shown(page: dict[str, Any]) -> dict[str, Any]:
    """What a page shows, without what only says how it was asked for."""
    objects = [(each["Key"], each["Size"], each["ETag"], each["LastModified"]) for each in page.get("Contents", ())]
    prefixes = [each["Prefix"] for each in page.get("CommonPrefixes", ())]
    return {"objects": objects, "prefixes": prefixes, "more": page["IsTruncated"]}


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@given(
    prefix=st.sampled_from(["", "a", "a/", "b/", "é/", "none", "c "]),
    delimiter=st.sampled_from(["", "/", " ", "b/"]),
    size=st.integers(1, 8),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_listing_is_the_remotes(
    pair: Pair, full: str, operation: str, prefix: str, delimiter: str, size: int
) -> None:
    """Page by page, with either version of the operation, it is what the remote itself would have answered."""
    message = {"Bucket": full, "Prefix": prefix, "PaginationConfig": {"PageSize": size}}
    if delimiter:
        message["Delimiter"] = delimiter
    here = [shown(page) for page in pages(pair.s3, operation, **message)]
    there = [shown(page) for page in pages(pair.s3_there, operation, **message)]
    assert here == there


def test_a_listing_goes_on_after_any_key(pair: Pair, full: str) -> None:
    """StartAfter and markers begin where the remote would begin, and a limit of 0 shows nothing."""
    for after in ("", "a/b/1", "a/b0", "b/", "zz"):
        here, there = (client.list_objects_v2(Bucket=full, StartAfter=after) for client in (pair.s3, pair.s3_there))
        assert shown(here) == shown(there)
        here, there = (client.list_objects(Bucket=full, Marker=after) for client in (pair.s3, pair.s3_there))
        assert shown(here) == shown(there)
    assert shown(pair.s3.list_objects_v2(Bucket=full, MaxKeys=0)) == {"objects": [], "prefixes": [], "more": False}


def test_marks_tell_what_is_cached(pair: Pair, bucket: str) -> None:
    """A native listing shows all that the remote has, and marks what was written or read through us."""
    pair.s3_there.put_object(Bucket=bucket, Key="read", Body=b"1")
    pair.s3_there.put_object(Bucket=bucket, Key="theirs", Body=b"22")
    pair.s3.put_object(Bucket=bucket, Key="written", Body=b"333")
    assert not pair.is_cached(bucket, "read")
    pair.s3.get_object(Bucket=bucket, Key="read")["Body"].read()
    pair.wait_until_cached(bucket, "read")
    marks = {key: (entry["size"], entry.get("flags", 0) >> 6 & 1) for key, entry in pair.listed(bucket).items()}
    assert marks == {"read": ("1", 1), "theirs": ("2", 0), "written": ("3", 1)}
    assert set(pair.listed(bucket, flags=CACHED)) == {"read", "written"}
    assert set(pair.listed(bucket, flags=NOT_CACHED)) == {"theirs"}
    pair.s3_there.delete_object(Bucket=bucket, Key="read")
    assert set(pair.listed(bucket)) == {"theirs", "written"}
    assert {entry.name for entry in pair.sdk.bucket(bucket, provider="aws").list_objects_iter()} == {
        "theirs",
        "written",
    }


def test_all_properties_of_a_listing(pair: Pair, bucket: str) -> None:
    """What is cached shows its checksum and access time; what is not shows what the remote's listing says."""
    pair.s3_there.put_object(Bucket=bucket, Key="theirs", Body=b"22")
    etag = pair.s3.put_object(Bucket=bucket, Key="written", Body=b"333")["ETag"]
    entries = pair.listed(bucket, props="all")
    assert entries["written"]["checksum"]
    assert entries["written"]["atime"]
    assert "source=aws" in entries["written"]["custom-md"]
    assert etag in entries["written"]["custom-md"]
    assert "checksum" not in entries["theirs"]
    assert "atime" not in entries["theirs"]
    assert "ETag=" in entries["theirs"]["custom-md"]


def test_native_pages_go_on_where_they_ended(pair: Pair, full: str) -> None:
    """Pages of any size, with and without directories, show each name once."""
    for flags, expected in ((0, set(KEYS)), (1 << 11, {key for key in KEYS if "/" not in key})):
        found: list[str] = []
        token, is_first = "", True
        while token or is_first:
            is_first = False
            message = {"pagesize": 4, "continuation_token": token, "flags": flags}
            answer = pair.act("GET", full, "list", message).json()
            found += [entry["name"] for entry in answer["entries"] if not entry.get("flags", 0) >> 8 & 1]
            token = answer["continuation_token"]
        assert sorted(found) == sorted(expected)


def test_a_summary_counts_both_sides(pair: Pair, bucket: str) -> None:
    """How much is here, and how much the remote has."""
    pair.s3_there.put_object(Bucket=bucket, Key="theirs", Body=b"22")
    pair.s3.put_object(Bucket=bucket, Key="written", Body=b"333")
    asked = pair.act("GET", bucket, "summary-bck", {"prefix": ""})
    assert asked.status_code == 202
    (found,) = pair.act("GET", bucket, "summary-bck", {"uuid": asked.text, "prefix": ""}).json()
    assert found["ObjCount"] == {"obj_count_present": "1", "obj_count_remote": "2"}
    assert found["TotalSize"]["size_all_remote_objs"] == "5"


def test_a_remote_that_fails_is_said_to(pair: Pair) -> None:
    """A listing that cannot be had is an error with the cause, not an empty page."""
    with pair.between() as way:
        bucket = pair.create(new_name(), way.url)
        pair.s3_there.delete_bucket(Bucket=bucket)
        answer = pair.act("GET", bucket, "list", {})
        assert answer.status_code == 404
        assert f"s3://{bucket} does not exist" in answer.text
        with pytest.raises(pair.s3.exceptions.NoSuchBucket):
            pair.s3.list_objects_v2(Bucket=bucket)


def test_access_is_held_to(pair: Pair, bucket: str) -> None:
    """The bucket's own ``access`` property binds what is elsewhere as it binds what is here."""
    assert pair.act("PATCH", bucket, "set-bprops", {"access": "GET,HEAD-OBJECT"}).status_code == 200
    for act in (
        lambda: pair.s3.list_objects_v2(Bucket=bucket),
        lambda: pair.s3.put_object(Bucket=bucket, Key="key", Body=b"content"),
        lambda: pair.s3.delete_object(Bucket=bucket, Key="key"),
    ):
        with pytest.raises(ClientError) as caught:
            act()
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert pair.there(bucket, "key") is None


# --- comparing -------------------------------------------------------------------------------------------------------

DIFF = 1 << 12
CHANGED, GONE, IS_CACHED, IS_DIRECTORY = 1 << 10, 1 << 11, 1 << 6, 1 << 8


@pytest.fixture
def diverged(pair: Pair) -> str:
    """A bucket of which some is cached that is the same at the remote, some that has changed, and some that is gone."""
    bucket = pair.create(new_name())
    for key in ("changed", "gone/1", "gone/2", "same", "x/same"):
        pair.s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    pair.s3_there.put_object(Bucket=bucket, Key="changed", Body=b"Content")
    for key in ("gone/1", "gone/2"):
        pair.s3_there.delete_object(Bucket=bucket, Key=key)
    pair.s3_there.put_object(Bucket=bucket, Key="new", Body=b"new")
    return bucket


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_bucket_is_compared_with_its_remote(pair: Pair, diverged: str, size: int) -> None:
    """Whatever the size of pages, each object is there once: the same, changed, gone, or not cached."""
    found: list[tuple[str, int]] = []
    token = ""
    while True:
        message = {"flags": str(DIFF), "pagesize": size, "continuation_token": token, "props": "name,size,cached"}
        page = pair.act("GET", diverged, "list", message).json()
        found += [(entry["name"], entry.get("flags", 0)) for entry in page["entries"] or ()]
        token = page["continuation_token"]
        if not token:
            break
    assert found == [
        ("changed", IS_CACHED | CHANGED), ("gone/1", IS_CACHED | GONE), ("gone/2", IS_CACHED | GONE), ("new", 0),
        ("same", IS_CACHED), ("x/same", IS_CACHED),
    ]  # fmt: skip


def test_a_comparison_is_narrowed(pair: Pair, diverged: str) -> None:
    """A prefix, directories, and what is cached or not, leave out what they do in any listing."""
    assert set(pair.listed(diverged, flags=str(DIFF), prefix="g")) == {"gone/1", "gone/2"}
    assert set(pair.listed(diverged, flags=str(DIFF | CACHED))) == {"changed", "gone/1", "gone/2", "same", "x/same"}
    assert set(pair.listed(diverged, flags=str(DIFF | NOT_CACHED))) == {"new"}
    flat = pair.listed(diverged, flags=str(DIFF | 1 << 11))
    assert {name: entry.get("flags", 0) for name, entry in flat.items() if name.endswith("/")} == {"x/": IS_DIRECTORY}
    mine = new_name()
    pair.s3.create_bucket(Bucket=mine)
    answer = pair.act("GET", mine, "list", {"flags": str(DIFF)}, "ais")
    assert (answer.status_code, "nothing to be compared" in answer.json()["message"]) == (400, True)


def test_ls_diff_prints_what_differs(pair: Pair, diverged: str, tmp_path: Path) -> None:
    """``ais ls --diff`` says of each object whether it is cached, and in STATUS how that compares."""
    ais = Ais(pair.ours, tmp_path, {})
    lines = ais("ls", f"s3://{diverged}", "--diff").output.splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "SIZE", "CACHED", "STATUS"],
        ["changed", "7B", "yes", "version-changed"],
        ["gone/1", "7B", "yes", "deleted"],
        ["gone/2", "7B", "yes", "deleted"],
        ["new", "3B", "no", "ok"],
        ["same", "7B", "yes", "ok"],
        ["x/same", "7B", "yes", "ok"],
    ]
