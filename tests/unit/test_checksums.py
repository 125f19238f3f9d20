"""The ten checksums of S3: their values, spelling, and what becomes of them when parts are joined."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import botocore.httpchecksum
import botocore.session
import pytest
from awscrt import checksums as awscrt
from hypothesis import given
from hypothesis import strategies as st

from tidegate import checksums, errors

NAMES = list(checksums.ALGORITHMS)
FULL_OBJECT = [name for name in NAMES if checksums.ALGORITHMS[name].full_object]
COMPOSITE = [name for name in NAMES if checksums.ALGORITHMS[name].composite]

# Of "123456789": the CRC catalogue's check values, and those of the tools of each name.
CHECK_VALUES = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "SHA512": (
        "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
        "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85"
    ),
    "MD5": "25f9e794323b453885f5181f1b624d0b",
    "XXHASH64": "8cb841db40e6ae83",
}


def digest(name: str, data: bytes) -> bytes:
    """Return the digest of some bytes."""
    hasher = checksums.new(name)
    hasher.update(data)
    return hasher.digest()


def test_algorithms_are_those_of_the_s3_model() -> None:
    """Names and headers are the ones in botocore's model of S3."""
    shapes = botocore.session.get_session().get_service_model("s3")
    assert set(NAMES) == set(shapes.shape_for("ChecksumAlgorithm").enum)
    members = shapes.shape_for("PutObjectRequest").members
    headers = {name.removeprefix("Checksum"): shape.serialization.get("name") for name, shape in members.items()}
    for name, algorithm in checksums.ALGORITHMS.items():
        assert algorithm.name == name
        assert algorithm.header == headers[name]
        assert checksums.BY_HEADER[algorithm.header] is algorithm


@pytest.mark.parametrize("name", NAMES)
def test_digests_have_their_size(name: str) -> None:
    """A digest has as many bytes as its algorithm says, also that of nothing."""
    assert len(checksums.new(name).digest()) == checksums.ALGORITHMS[name].size
    assert len(digest(name, b"x" * 10000)) == checksums.ALGORITHMS[name].size


@pytest.mark.parametrize("name", CHECK_VALUES)
def test_digests_are_the_known_ones(name: str) -> None:
    """The published check values come out, in big-endian order."""
    assert digest(name, b"123456789").hex() == CHECK_VALUES[name]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "MD5"])
@given(st.binary(max_size=2000))
def test_digests_are_those_of_botocore(name: str, data: bytes) -> None:
    """Each is what botocore would send for the same bytes."""
    theirs = botocore.httpchecksum._CHECKSUM_CLS[name.lower()]()
    assert theirs.handle(data) == checksums.encode(digest(name, data))


@pytest.mark.parametrize("name", NAMES)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_data_may_come_in_pieces_of_any_kind(name: str, pieces: list[bytes]) -> None:
    """Buffers of any kind and number give the digest of the whole, which may be asked for at any time."""
    hasher = checksums.new(name)
    for number, piece in enumerate(pieces):
        hasher.update((bytes, bytearray, memoryview)[number % 3](piece))
        hasher.digest()
    assert hasher.digest() == digest(name, b"".join(pieces))


@pytest.mark.parametrize("name", NAMES)
def test_encoding_is_reversed_by_decoding(name: str) -> None:
    """What is written can be read."""
    value = digest(name, b"data")
    assert checksums.decode(name, checksums.encode(value)) == value


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_digest_is_refused(name: str) -> None:
    """Anything but the one base64 spelling of a digest of the right size is InvalidRequest."""
    right = digest(name, b"data")
    value = checksums.encode(right)
    for wrong in (
        *("", "bad", "====", "é" + value, "AAAA" + value, " " + value),
        *(value[:-1], value + "=", value + "\n", value + "-2"),
        *(checksums.encode(right[:-1]), checksums.encode(right + b"x"), right.hex()),
        base64.urlsafe_b64encode(b"\xff" * len(right)).decode(),
    ):
        with pytest.raises(errors.InvalidRequest) as caught:
            checksums.decode(name, wrong)
        assert caught.value.message == f"Value for {checksums.ALGORITHMS[name].header} header is invalid."


def test_other_spellings_of_the_same_bytes_are_refused() -> None:
    """Bits behind the last byte must be zero: else two texts would stand for one checksum."""
    assert checksums.decode("CRC32", "AAAAAA==") == bytes(4)
    for value in ("AAAAAB==", "AAAAAP==", "AAAAA==="):
        with pytest.raises(errors.InvalidRequest):
            checksums.decode("CRC32", value)


def test_content_md5_is_judged_by_itself() -> None:
    """A Content-MD5 that is none is InvalidDigest."""
    value = digest("MD5", b"data")
    assert checksums.decode_content_md5(checksums.encode(value)) == value
    for wrong in ("", "bad", "YWJyYWNhZGFicmE=", value.hex(), checksums.encode(value) + " "):
        with pytest.raises(errors.InvalidDigest):
            checksums.decode_content_md5(wrong)


@pytest.mark.parametrize("name", FULL_OBJECT)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_full_object_digest_comes_from_those_of_the_parts(name: str, parts: list[bytes]) -> None:
    """Combined, the parts' digests are the digest of the whole, empty parts and no parts included."""
    pieces = [(digest(name, part), len(part)) for part in parts]
    assert checksums.combine(name, pieces) == digest(name, b"".join(parts))


@pytest.mark.parametrize("name", FULL_OBJECT)
def test_parts_may_be_of_any_size(name: str) -> None:
    """Lengths beyond 32 bits are right too: a part has up to 5 GiB, an object 5 TiB."""
    zeros = digest(name, bytes(1 << 20))
    part = checksums.combine(name, [(zeros, 1 << 20)] * (5 << 10))  # 5 GiB of zeros
    tail = digest(name, b"tail")
    one_by_one = checksums.combine(name, [*([(part, 5 << 30)] * 3), (tail, 4)])
    whole = checksums.combine(name, [(part, 5 << 30)] * 3)
    assert one_by_one == checksums.combine(name, [(whole, 15 << 30), (tail, 4)])
    head = digest(name, b"head")
    behind_head = checksums.combine(name, [(head, 4), (whole, 15 << 30)])
    assert behind_head == checksums.combine(name, [(head, 4), *([(zeros, 1 << 20)] * (15 << 10))])


def test_isal_and_awscrt_combine_alike() -> None:
    """Two libraries agree on the combination that one of them does here."""
    for length in (1, 1000, 5 << 30, 5 << 40):
        ours = checksums.combine("CRC32", [(b"\x12\x34\x56\x78", 1), (b"\x9a\xbc\xde\xf0", length)])
        assert int.from_bytes(ours, "big") == awscrt.combine_crc32(0x12345678, 0x9ABCDEF0, length)


def test_only_crcs_have_full_object_checksums_of_multipart_objects() -> None:
    """Hashes cannot be combined, and CRC64NVME is nothing but full-object."""
    assert set(FULL_OBJECT) == {"CRC32", "CRC32C", "CRC64NVME"}
    assert set(COMPOSITE) == set(NAMES) - {"CRC64NVME"}
    for name in NAMES:
        if name not in FULL_OBJECT:
            with pytest.raises(KeyError):
                checksums.combine(name, [])
    with pytest.raises(ValueError, match="CRC64NVME"):
        checksums.composite("CRC64NVME", [])


@pytest.mark.parametrize("name", COMPOSITE)
def test_composite_checksum_is_the_hash_of_the_parts_digests(name: str) -> None:
    """The digests themselves are hashed, one after the other, not their text."""
    digests = [digest(name, part) for part in (b"one", b"two", b"three")]
    assert checksums.composite(name, digests) == digest(name, b"".join(digests))


def test_composite_checksum_is_the_one_that_amazon_computes() -> None:
    """A value that was seen from Amazon S3, of an upload in three parts."""
    parts = [
        "lcKa6Boe7a167tUCN5C4OaFygGSYD8MBnBARTrdL+1w=",
        "gHjhbUT4oo2tSCtSZJdlKi+jeNXJT+VImqdPXsXvkOc=",
        "4l9PQ3zOPZ0oGFvknFX+J4zZwE4WMzO+l3r8XrbWOeM=",
    ]
    whole = checksums.composite("SHA256", [checksums.decode("SHA256", part) for part in parts])
    assert checksums.encode(whole) == "rVWtNbadtsaKXJAcgWPWjifHzJaXde/iV4jaJAOdivc="


def test_unknown_algorithm_is_a_key_error() -> None:
    """Callers look a client's word up in ALGORITHMS first."""
    with pytest.raises(KeyError):
        checksums.new("CRC16")


def test_awscrt_is_not_loaded_before_it_is_needed() -> None:
    """It would cost every worker time and memory at its start."""
    script = """
import json, sys
from tidegate import checksums
for name in checksums.ALGORITHMS:
    if name not in {"CRC32C", "CRC64NVME"}:
        checksums.new(name).update(b"x")
before = "_awscrt" in sys.modules
checksums.new("CRC32C")
print(json.dumps([before, "_awscrt" in sys.modules]))
"""
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout
    assert json.loads(output) == [False, True]
