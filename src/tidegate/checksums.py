"""The checksums that S3 knows: computing them, spelling them in headers, and joining those of parts.

Pure functions and small hash objects. It must never decide which checksum a request ought to have; the doors and the
gateway do. Byte order is big-endian throughout, as every AWS SDK sends it.

Source: Amazon S3 user guide, "Checking object integrity", and botocore's ``httpchecksum``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import msgspec
import xxhash
from isal import isal_zlib

from tidegate import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

Data: TypeAlias = bytes | bytearray | memoryview

MD5_SIZE: Final = 16


class Hasher(Protocol):
    """A checksum being computed. ``update`` releases the GIL while it works on a large buffer."""

    def update(self, data: Data, /) -> None: ...

    def digest(self) -> bytes: ...


class Algorithm(msgspec.Struct, frozen=True):
    """One of S3's checksum algorithms.

    ``name`` is as S3 spells it, ``header`` the lower-case header or trailer that carries it, ``size`` the bytes of a
    digest. ``full_object`` and ``composite`` say which checksum types a multipart object may have: the value of the
    whole object, put together from those of the parts (CRCs only), or a hash of the parts' digests.
    """

    name: str
    header: str
    size: int
    full_object: bool
    composite: bool


def _algorithm(name: str, size: int, *, full_object: bool = False, composite: bool = True) -> Algorithm:
    return Algorithm(name, f"x-amz-checksum-{name.lower()}", size, full_object, composite)


ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            _algorithm("CRC32", 4, full_object=True),
            _algorithm("CRC32C", 4, full_object=True),
            _algorithm("CRC64NVME", 8, full_object=True, composite=False),
            _algorithm("SHA1", 20),
            _algorithm("SHA256", 32),
            _algorithm("SHA512", 64),
            _algorithm("MD5", MD5_SIZE),
            _algorithm("XXHASH64", 8),
            _algorithm("XXHASH3", 8),
            _algorithm("XXHASH128", 16),
        )
    }
)
BY_HEADER: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {algorithm.header: algorithm for algorithm in ALGORITHMS.values()}
)


# The checksums that a bucket's property ``checksum.type`` names, written in lower-case hexadecimal, and what S3 calls
# them. XXH64 has seed 0.
DIGESTS: Final[Mapping[str, str]] = MappingProxyType(
    {"xxhash": "XXHASH64", "md5": "MD5", "crc32c": "CRC32C", "sha256": "SHA256", "sha512": "SHA512"}
)


@cache
def _awscrt() -> ModuleType:
    """awscrt costs 27 ms and 5 MB to import, so it waits for the first object that has one of its two checksums."""
    from awscrt import checksums  # noqa: PLC0415

    return checksums


class _Crc:
    """A CRC as a Hasher, over a function that continues from the value so far."""

    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: Callable[[Data, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Data, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


_HASHERS: Final[Mapping[str, Callable[[], Hasher]]] = MappingProxyType(
    {
        "CRC32": lambda: _Crc(isal_zlib.crc32, 4),
        "CRC32C": lambda: _Crc(_awscrt().crc32c, 4),
        "CRC64NVME": lambda: _Crc(_awscrt().crc64nvme, 8),
        "SHA1": partial(hashlib.sha1, usedforsecurity=False),
        "SHA256": hashlib.sha256,
        "SHA512": hashlib.sha512,
        "MD5": partial(hashlib.md5, usedforsecurity=False),
        "XXHASH64": xxhash.xxh64,
        "XXHASH3": xxhash.xxh3_64,
        "XXHASH128": xxhash.xxh3_128,
    }
)

# (CRC of A, CRC of B, bytes in B) -> CRC of A followed by B
_COMBINERS: Final[Mapping[str, Callable[[int, int, int], int]]] = MappingProxyType(
    {
        "CRC32": isal_zlib.crc32_combine,
        "CRC32C": lambda a, b, length: int(_awscrt().combine_crc32c(a, b, length)),
        "CRC64NVME": lambda a, b, length: int(_awscrt().combine_crc64nvme(a, b, length)),
    }
)


def new(name: str) -> Hasher:
    """Return a hasher for the algorithm that S3 calls ``name``. Raises KeyError for any other name."""
    return _HASHERS[name]()


def encode(digest: bytes) -> str:
    """Return a digest as S3 writes it: base64."""
    return binascii.b2a_base64(digest, newline=False).decode("ascii")


def decode(name: str, value: str) -> bytes:
    """Return the digest that an ``x-amz-checksum-*`` header, trailer or XML element gives.

    Raises InvalidRequest where ``value`` is not the base64 of a digest of the algorithm's size. A composite value's
    ``-N`` is for the caller to take off first.
    """
    algorithm = ALGORITHMS[name]
    digest = _from_base64(value, algorithm.size)
    if digest is None:
        raise errors.InvalidRequest(f"Value for {algorithm.header} header is invalid.")
    return digest


def decode_content_md5(value: str) -> bytes:
    """Return the digest in a Content-MD5 header (RFC 1864). Raises InvalidDigest where it is none."""
    digest = _from_base64(value, MD5_SIZE)
    if digest is None:
        raise errors.InvalidDigest
    return digest


def _from_base64(value: str, size: int) -> bytes | None:
    try:
        digest = base64.b64decode(value, validate=True)
    except ValueError:
        return None
    # Encoded again it must be the same: base64 has other spellings of the same bytes, which compare unequal as text.
    return digest if len(digest) == size and encode(digest) == value else None


def combine(name: str, parts: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the digest of a whole object from its parts' ``(digest, length in bytes)``, in order.

    Only for algorithms with ``full_object``: KeyError for others.
    """
    join = _COMBINERS[name]
    value = 0  # the CRC of nothing
    for digest, length in parts:
        value = join(value, int.from_bytes(digest, "big"), length)
    return value.to_bytes(ALGORITHMS[name].size, "big")


def composite(name: str, digests: Iterable[bytes]) -> bytes:
    """Return the checksum of type COMPOSITE: the hash of the parts' digests, one after the other.

    S3 writes it in base64 with ``-`` and the number of parts behind it, which the caller appends. Only for algorithms
    with ``composite``: ValueError for others.
    """
    if not ALGORITHMS[name].composite:
        raise ValueError(f"{name} has no composite checksums")
    hasher = new(name)
    for digest in digests:
        hasher.update(digest)
    return hasher.digest()
