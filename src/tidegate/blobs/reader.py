"""An open blob file: bytes come out verified, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import xxhash

from tidegate import errors
from tidegate.blobs import layout
from tidegate.blobs.layout import CHECKSUM_SIZE, block_count


class Reader:
    """One copy of a blob, used by one thread at a time. Raises ``errors.DamagedBlob`` and ``OSError``."""

    def __init__(self, path: Path, name: bytes, size: int, digest: bytes) -> None:
        self._path = path
        self._name = name
        self._size = size
        self._expected = digest
        self._file = -1
        self._footer = b""

    def open(self) -> None:
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        length = block_count(self._size) * CHECKSUM_SIZE
        self._footer = os.pread(self._file, length, self._size)
        if len(self._footer) != length or layout.digest(self._name, self._footer) != self._expected:
            raise errors.DamagedBlob

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``, or fewer: up to a block that is damaged. The blocks that they lie in are read
        whole and verified.
        """
        block_size = layout.BLOCK
        first = start // block_size
        begin = first * block_size
        end = min(self._size, block_count(stop) * block_size)
        data = os.pread(self._file, end - begin, begin)
        if len(data) != end - begin:
            raise errors.DamagedBlob
        view = memoryview(data)
        for index in range(block_count(end - begin)):
            at = (first + index) * CHECKSUM_SIZE
            block = view[index * block_size : (index + 1) * block_size]
            if xxhash.xxh3_64_digest(block) != self._footer[at : at + CHECKSUM_SIZE]:
                if index == 0:
                    raise errors.DamagedBlob
                return data[start - begin : index * block_size]
        return data if (start, stop) == (begin, end) else data[start - begin : stop - begin]
