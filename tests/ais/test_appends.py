"""Appending to objects through the native API, with handles."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
import requests
import xxhash
from aistore.sdk import Bucket
from aistore.sdk.errors import AISError

from tests.ais.conftest import Url
from tests.ais.helpers import DIGITS, LARGE, MIB, put, read


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
