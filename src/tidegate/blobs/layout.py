"""How a blob lies on a disk, and what the disk's refusals mean.

A file is the blob's bytes followed by a *footer*: the XXH3 checksum (64 bits, big-endian) of each block of ``BLOCK``
bytes. The catalog keeps the checksum of the footer together with the blob's name. So every byte is verified when it is
read, also in a range, and a file cannot stand in for another. All copies of a blob are the same file.
"""

from __future__ import annotations

import errno

import xxhash

from tidegate import errors

# What a small read from a large blob must read to be verified: 256 KiB take some 50 µs from the page cache.
BLOCK = 256 * 1024
CHECKSUM_SIZE = 8
# Bytes go to a thread and come from one in pieces of this size, so that the hop costs little beside the work.
PIECE = 1024 * 1024
# Dirty pages of a long upload are written back every so often, so that the last fsync is short and memory stays clean.
WRITEBACK = 32 * 1024 * 1024

# Folders that the files are spread over, by the first byte of their names.
SHARDS = 256
NAME_SIZE = 16


def digest(name: bytes, footer: bytes) -> bytes:
    """What the catalog keeps of a footer."""
    return xxhash.xxh3_64_digest(name + footer)


def block_count(size: int) -> int:
    """How many blocks that many bytes lie in."""
    return -(-size // BLOCK)


def stored_size(size: int) -> int:
    """The length of the file of a blob of ``size`` bytes."""
    return size + block_count(size) * CHECKSUM_SIZE


def means_full(error: OSError) -> bool:
    """Whether there was no room."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def storage_error(error: OSError) -> errors.Error:
    """What an operating system error of the disk means to a client."""
    if means_full(error):
        return errors.InsufficientStorage()
    if isinstance(error, FileNotFoundError):
        return errors.DamagedBlob()
    return errors.ServiceUnavailable()


class Footer:
    """The block checksums of bytes that come one piece after the other."""

    def __init__(self) -> None:
        self.size = 0
        self._ended = bytearray()
        self._block = xxhash.xxh3_64()
        self._in_block = 0

    def update(self, piece: bytes) -> None:
        """Takes in the next bytes."""
        self.size += len(piece)
        view = memoryview(piece)
        while view:
            part = view[: BLOCK - self._in_block]
            self._block.update(part)
            self._in_block += len(part)
            if self._in_block == BLOCK:
                self._end_block()
            view = view[len(part) :]

    def end(self) -> bytes:
        """The footer, once all bytes are in."""
        if self._in_block:
            self._end_block()
        return bytes(self._ended)

    def _end_block(self) -> None:
        self._ended += self._block.digest()
        self._block.reset()
        self._in_block = 0
