"""What the native API tells of objects in headers: what is known, custom metadata, and full names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import requests
from aistore.sdk import Bucket
from hypothesis import example, given
from hypothesis import strategies as st

from tests.ais.conftest import Url
from tests.ais.helpers import DIGITS, put
from tidegate import errors
from tidegate.ais import custom
from tidegate.ais.uname import parse_uname


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
