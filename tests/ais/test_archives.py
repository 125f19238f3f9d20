"""Files in objects that are archives, read and added through the native API."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
import zlib
from typing import Any

import pytest
import requests
from aistore.sdk import Bucket
from aistore.sdk.archive_config import ArchiveConfig, ArchiveMode
from aistore.sdk.errors import AISError

from tests.ais.helpers import MIB, put, read, url_of
from tests.archives import FORMATS, archive, unpacked
from tidegate.testing import ServerProcess

BIG = random.Random(3).randbytes(2 * MIB)
FILES = {
    "readme": b"read me",
    "train/0001.jpg": b"\xff" * 1000,
    "train/0001.cls": b"1",
    "train/0002.jpg": b"\xfe" * 2000,
    "train/0002.cls": b"2",
    "train/big.bin": BIG,
    "train/empty": b"",
    "long/" + "n" * 300: b"long",
    "ünï/文件": b"names",
    "val/0001.jpg": b"\xfd" * 3000,
}


def status_of(bucket: Bucket, key: str, name: str) -> int:
    """The status with which reading a file is refused."""
    with pytest.raises(AISError) as caught:
        read(bucket, key, name)
    return caught.value.status_code


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_read_by_its_name(bucket: Bucket, kind: str) -> None:
    """The first and the last, small and large, with any name."""
    put(bucket, f"shard.{kind}", archive(kind, FILES))
    for name, content in FILES.items():
        assert read(bucket, f"shard.{kind}", name) == content
    assert read(bucket, f"shard.{kind}", "./train/0001.cls") == b"1"
    assert status_of(bucket, f"shard.{kind}", "train/0003.jpg") == 404
    assert status_of(bucket, f"shard.{kind}", "train") == 404


def test_a_small_archive_and_one_that_was_made_otherwise(bucket: Bucket, server: ServerProcess) -> None:
    """An archive is known by its name or by what the request says; names may begin with a dot, as tar likes them."""
    put(bucket, "a.tar.gz", gzip.compress(archive("tar", {"./x/y": b"1"})[:5000]) + gzip.compress(bytes(10240)))
    put(bucket, "no-ending", archive("tar", {"x": b"2"}))
    assert read(bucket, "a.tar.gz", "x/y") == b"1"
    url = f"{server.url}/v1/objects/{bucket.name}/no-ending"
    assert requests.get(url, params={"archpath": "x", "archmime": "application/x-tar"}).content == b"2"
    assert requests.get(url, params={"archpath": "x"}).status_code == 400
    assert requests.get(url, params={"archpath": "x", "archmime": ".tar.lz4"}).status_code == 501
    assert status_of(bucket, "other.tar.lz4", "x") == 501
    assert status_of(bucket, "missing.tar", "x") == 404


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("mode", "text", "expected"),
    [
        (ArchiveMode.PREFIX, "train/000", {"train/0001.jpg", "train/0001.cls", "train/0002.jpg", "train/0002.cls"}),
        (ArchiveMode.SUFFIX, ".jpg", {"train/0001.jpg", "train/0002.jpg", "val/0001.jpg"}),
        (ArchiveMode.SUBSTR, "big", {"train/big.bin"}),
        (ArchiveMode.WDSKEY, "train/0002", {"train/0002.jpg", "train/0002.cls"}),
        (ArchiveMode.REGEXP, r"^(train|val)/\d{3}1\.(jpg|png)$", {"train/0001.jpg", "val/0001.jpg"}),
    ],
)
def test_files_that_match_come_in_an_archive(
    bucket: Bucket, kind: str, mode: ArchiveMode, text: str, expected: set[str]
) -> None:
    """Whatever the format was, what matches comes as a tar archive."""
    put(bucket, f"shard.{kind}", archive(kind, FILES))
    found = bucket.object(f"shard.{kind}").get_reader(ArchiveConfig(regex=text, mode=mode)).read_all()
    assert dict(unpacked("tar", found)) == {name: FILES[name] for name in expected}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"archregx": "no-such", "archmode": "substr"}, 404),
        ({"archregx": "(", "archmode": "regexp"}, 400),
        ({"archregx": "(a)\\1"}, 400),
        ({"archregx": "x", "archmode": "glob"}, 400),
        ({"archmode": "prefix"}, 400),
        ({"archregx": "x", "archpath": "x"}, 400),
    ],
)
def test_a_selection_that_means_nothing_is_an_error(
    server: ServerProcess, bucket: Bucket, query: dict[str, str], status: int
) -> None:
    """Not an empty archive, which could not be told from a mistake."""
    put(bucket, "shard.tar", archive("tar", FILES))
    assert requests.get(f"{server.url}/v1/objects/{bucket.name}/shard.tar", params=query).status_code == status


def test_a_name_is_no_path(bucket: Bucket) -> None:
    """Names that would lead somewhere are only names: read as such, and harmless in the archive that we make."""
    files = {"../../etc/passwd": b"1", "/etc/passwd": b"2", "a/../../b": b"3", "..": b"4"}
    put(bucket, "a.tar", archive("tar", files))
    assert read(bucket, "a.tar", "../../etc/passwd") == b"1"
    assert read(bucket, "a.tar", "/etc/passwd") == b"2"
    found = bucket.object("a.tar").get_reader(ArchiveConfig(regex="", mode=None, archpath="")).read_all()
    assert dict(unpacked("tar", found)) == files  # the object itself is as it was
    made = bucket.object("a.tar").get_reader(ArchiveConfig(regex=".", mode=ArchiveMode.REGEXP)).read_all()
    assert dict(unpacked("tar", made)) == {"__/__/etc/passwd": b"1", "etc/passwd": b"2", "a/__/__/b": b"3", "__": b"4"}


def _damaged_zip() -> bytes:
    packed = bytearray(archive("zip", {"x": b"content"}))
    packed[packed.index(b"PK\1\2") + 16] ^= 1  # its checksum in the directory
    return bytes(packed)


def _lying_zip() -> bytes:
    packed = bytearray(archive("zip", {"x": bytes(MIB)}))
    at = packed.index(b"PK\1\2") + 24
    packed[at : at + 4] = (10).to_bytes(4, "little")
    return bytes(packed)


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a.tar", b""),
        ("a.tar", b"x" * 2000),
        ("a.tar", archive("tar", FILES)[:-11_000]),
        ("a.tgz", b"x" * 2000),
        ("a.tgz", archive("tgz", FILES)[:MIB]),
        ("a.zip", b""),
        ("a.zip", b"PK\5\6" + b"\xff" * 18),
        ("a.zip", archive("zip", FILES)[:-5]),
        ("a.zip", b"PK\5\6" * 1000),
    ],
    ids=["none", "noise", "cut", "no gzip", "cut gzip", "no zip", "numbers", "cut zip", "many ends"],
)
def test_what_is_no_archive_is_refused(bucket: Bucket, key: str, content: bytes) -> None:
    """So is one that was cut off. It is the client's object, and no fault of the server."""
    put(bucket, key, content)
    assert status_of(bucket, key, "no-such") == 400


@pytest.mark.parametrize("content", [_damaged_zip(), _lying_zip()], ids=["checksum", "size"])
def test_a_file_that_is_not_what_its_archive_says_is_refused(bucket: Bucket, content: bytes) -> None:
    """Nothing of a small one goes out."""
    put(bucket, "a.zip", content)
    assert status_of(bucket, "a.zip", "x") == 400


def test_what_cannot_be_expanded_is_said(bucket: Bucket) -> None:
    """Methods of compression other than deflate."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_BZIP2) as packed:
        packed.writestr("x", b"content")
    put(bucket, "a.zip", held.getvalue())
    assert status_of(bucket, "a.zip", "x") == 501


def test_a_bomb_is_expanded_piece_by_piece(server: ServerProcess, bucket: Bucket) -> None:
    """A gigabyte of zeros in a megabyte: its first file is read without the rest, and the server lives on."""
    info = tarfile.TarInfo("bomb")
    info.size = 1024 * MIB
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = tarfile.TarInfo("first")
    first.size = 3
    pieces = [compressor.compress(first.tobuf() + b"abc".ljust(512, b"\0") + info.tobuf())]
    pieces += [compressor.compress(bytes(64 * MIB)) for _ in range(16)]
    pieces.append(compressor.compress(bytes(1024)) + compressor.flush())
    put(bucket, "a.tgz", b"".join(pieces))
    assert read(bucket, "a.tgz", "first") == b"abc"
    with requests.get(
        f"{server.url}/v1/objects/{bucket.name}/a.tgz", params={"archpath": "bomb"}, stream=True
    ) as answer:
        assert answer.headers["Content-Length"] == str(1024 * MIB)
        assert next(answer.iter_content(MIB)) == bytes(MIB)
    assert read(bucket, "a.tgz", "first") == b"abc"


# --- adding a file ---------------------------------------------------------------------------------------------------


def add(server: ServerProcess, bucket: Bucket, key: str, name: str, content: bytes) -> int:
    """Adds a file to an archive. Returns the status."""
    return requests.put(url_of(server, bucket, key, archpath=name), content).status_code


@pytest.mark.parametrize("files", [{"a": b"1"}, FILES, {}], ids=["small", "large", "empty"])
def test_files_are_added_to_a_tar_archive(
    server: ServerProcess, bucket: Bucket, s3: Any, files: dict[str, bytes]
) -> None:
    """Small ones and large ones, one after the other, behind those that are there."""
    put(bucket, "a.tar", archive("tar", files))
    more = {"new/one": b"x" * 100, "new/two": BIG, "new/" + "l" * 200: b"", "new/ü": b"last"}
    for name, content in more.items():
        assert add(server, bucket, "a.tar", name, content) == 200
    assert dict(unpacked("tar", s3.get_object(Bucket=bucket.name, Key="a.tar")["Body"].read())) == files | more
    assert read(bucket, "a.tar", "new/two") == BIG
    assert bucket.object("a.tar").props.obj_version == "5"


def test_files_are_added_to_archives_only(server: ServerProcess, bucket: Bucket) -> None:
    """To one that is there, that is a tar archive, and under a name."""
    put(bucket, "a.zip", archive("zip", FILES))
    put(bucket, "b.tar", b"no archive")
    put(bucket, "c.tar", archive("tar", FILES))
    for key, name, status in (("a.zip", "x", 501), ("b.tar", "x", 400), ("c.tar", "", 400), ("no.tar", "x", 404)):
        assert add(server, bucket, key, name, b"content") == status
