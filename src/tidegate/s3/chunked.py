"""Decoder of ``aws-chunked`` bodies: the object's bytes in chunks, with checksums behind them and perhaps signatures.

    body      = *( chunk ) last [ trailers ] CRLF
    chunk     = size [ signature ] CRLF  <size bytes>  CRLF
    last      = "0" [ signature ] CRLF
    size      = 1*16HEXDIG
    signature = ";chunk-signature=" 64 lower-case HEXDIG        in signed bodies, in every chunk and the last
    trailers  = *( name ":" value CRLF ) [ "x-amz-trailer-signature:" 64 lower-case HEXDIG CRLF ]

minio-go ends a trailer's line with LF CRLF; nothing else may be ended by anything but CRLF.

The decoder is a state machine over bytes: it does no I/O and holds back no more than a line. A chunk's bytes are given
out before its signature can be checked, so nothing may be committed before ``finish`` has returned. What is framed
wrongly is refused, never repaired: a server that guesses where an object ends stores something that nobody sent.

Source: Amazon S3 API reference, "Transferring payload in multiple chunks" and "Using trailing checksums".
"""

from __future__ import annotations

import hmac
from enum import Enum, auto
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tidegate import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidegate.s3.signature import ChunkSigner

MAX_SIZE_DIGITS: Final = 16  # as many as 64 bits have; some encoders pad with zeros
MAX_CHUNK_SIZE: Final = 5 * 1024**3  # bytes; S3's largest single upload
MAX_CHUNK_LINE: Final = 128  # bytes; the longest valid one has 97
MAX_TRAILER_BYTES: Final = 4096  # all of them together; the ten checksums and a signature have about 600

_SIGNATURE_PREFIX: Final = b"chunk-signature="
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"
_SIGNATURE_LENGTH: Final = 64
_HEX: Final = b"0123456789abcdefABCDEF"
_LOWER_HEX: Final = b"0123456789abcdef"


class _State(Enum):
    CHUNK_LINE = auto()
    DATA = auto()
    DATA_END = auto()  # the CRLF behind a chunk's bytes
    TRAILERS = auto()
    DONE = auto()


class ChunkDecoder:
    """Takes an ``aws-chunked`` body apart, in pieces of any size.

    ``decoded_length`` is what ``x-amz-decoded-content-length`` promises, None where it was not sent. ``trailers`` are
    the names declared in ``x-amz-trailer``: each must come, once, and no other may. In a ``signed`` body each chunk
    carries a signature; ``signer`` verifies them, and None reads but does not verify them (authentication is off).

    After an error a decoder is of no more use.
    """

    __slots__ = (
        "_chunk_hash",
        "_chunk_signature",
        "_declared",
        "_decoded_length",
        "_line",
        "_remaining",
        "_room",
        "_signed",
        "_signer",
        "_state",
        "_trailers",
        "size",
    )

    def __init__(
        self,
        decoded_length: int | None,
        trailers: frozenset[str] = frozenset(),
        *,
        signed: bool = False,
        signer: ChunkSigner | None = None,
    ) -> None:
        self.size = 0  # bytes of the object so far
        self._decoded_length = decoded_length
        self._declared = trailers
        self._signed = signed
        self._signer = signer
        self._state = _State.CHUNK_LINE
        self._line = b""  # the beginning of a line whose end has yet to come
        self._remaining = 0  # bytes of the chunk that have yet to come
        self._room = MAX_TRAILER_BYTES
        self._trailers: dict[str, str] = {}
        self._chunk_signature = b""
        self._chunk_hash = sha256()

    @property
    def trailers(self) -> Mapping[str, str]:
        """The trailers by lower-case name, without their signature. Complete once ``finish`` has returned."""
        return MappingProxyType({name: value for name, value in self._trailers.items() if name in self._declared})

    def feed(self, data: bytes) -> list[memoryview]:
        """Return the object's bytes that are in the next piece of the body, as views of it: nothing is copied.

        Raises InvalidChunkSize, IncompleteBody, MalformedTrailer or SignatureDoesNotMatch as soon as it shows.
        """
        pieces: list[memoryview] = []
        view = memoryview(data)
        position, end = 0, len(data)
        while position < end:
            if self._state is _State.DATA:
                piece = view[position : position + self._remaining]
                pieces.append(piece)
                position += len(piece)
                self._take(piece)
            elif self._state is _State.DONE:
                raise errors.InvalidChunkSize("The chunked body goes on after its end.")
            else:
                position = self._take_line(data, position)
        return pieces

    def finish(self) -> None:
        """Say that the body has ended. Raises IncompleteBody where it has stopped early."""
        if self._state is not _State.DONE:
            raise errors.IncompleteBody("The body ended before its last chunk and trailers were complete.")

    # --- bytes ---

    def _take(self, piece: memoryview) -> None:
        self.size += len(piece)
        self._remaining -= len(piece)
        if self._signer is not None:
            self._chunk_hash.update(piece)
        if not self._remaining:
            self._verify_chunk()
            self._state = _State.DATA_END

    def _verify_chunk(self) -> None:
        if self._signer is not None:
            expected = self._signer.sign_chunk(self._chunk_hash.hexdigest().encode("ascii"))
            if not hmac.compare_digest(expected, self._chunk_signature):
                raise errors.SignatureDoesNotMatch
            self._chunk_hash = sha256()

    # --- lines ---

    def _take_line(self, data: bytes, position: int) -> int:
        """Handle the line that ends in ``data``, or keep what there is of it; return where it ended."""
        limit = self._line_limit()
        held = len(self._line)
        line = self._line + data[position : position + limit + 2 - held]
        length = line.find(b"\r\n")
        if length >= 0:
            self._line = b""
            self._handle_line(line[:length])
            return position + length + 2 - held
        if len(line) >= limit + 2:
            raise self._malformed()
        self._line = line
        return len(data)

    def _line_limit(self) -> int:
        match self._state:
            case _State.CHUNK_LINE:
                return MAX_CHUNK_LINE
            case _State.TRAILERS:
                return self._room
            case _:
                return 0

    def _handle_line(self, line: bytes) -> None:
        match self._state:
            case _State.CHUNK_LINE:
                self._begin_chunk(line)
            case _State.DATA_END:
                self._state = _State.CHUNK_LINE  # the limit has seen to it that the line is empty
            case _State.TRAILERS if line:
                self._room -= len(line)
                self._add_trailer(line)
            case _:
                self._end()

    def _malformed(self) -> errors.Error:
        return errors.MalformedTrailer() if self._state is _State.TRAILERS else errors.InvalidChunkSize()

    def _begin_chunk(self, line: bytes) -> None:
        digits, semicolon, extension = line.partition(b";")
        if not 0 < len(digits) <= MAX_SIZE_DIGITS or digits.translate(None, _HEX):
            raise errors.InvalidChunkSize
        size = int(digits, 16)
        if size > MAX_CHUNK_SIZE:
            raise errors.InvalidChunkSize
        if self._signed:
            self._chunk_signature = extension.removeprefix(_SIGNATURE_PREFIX)
            if not extension.startswith(_SIGNATURE_PREFIX) or not _is_signature(self._chunk_signature):
                raise errors.InvalidChunkSize("Each chunk of a signed body must carry a chunk-signature.")
        elif semicolon:
            raise errors.InvalidChunkSize
        expected = None if self._decoded_length is None else self._decoded_length - self.size
        if expected is not None and (size > expected or (size == 0 and expected > 0)):
            raise errors.IncompleteBody("The body does not have the length that x-amz-decoded-content-length promises.")
        self._remaining = size
        if size:
            self._state = _State.DATA
        else:
            self._verify_chunk()
            self._state = _State.TRAILERS

    def _add_trailer(self, line: bytes) -> None:
        name_bytes, colon, value_bytes = line.removesuffix(b"\n").partition(b":")
        if not colon or not line.isascii():
            raise errors.MalformedTrailer
        name, value = name_bytes.decode("ascii").lower(), value_bytes.decode("ascii").strip(" \t")
        expects_signature = self._signed and self._declared
        if _TRAILER_SIGNATURE in self._trailers or name in self._trailers or not value.isprintable():
            raise errors.MalformedTrailer
        if name not in self._declared and not (expects_signature and name == _TRAILER_SIGNATURE):
            raise errors.MalformedTrailer
        self._trailers[name] = value

    def _end(self) -> None:
        if self.trailers.keys() != self._declared:
            raise errors.MalformedTrailer
        if self._signed and self._declared:
            signature = self._trailers.get(_TRAILER_SIGNATURE, "").encode("ascii")
            if not _is_signature(signature):
                raise errors.MalformedTrailer
            if self._signer is not None:
                lines = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
                if not hmac.compare_digest(self._signer.sign_trailers(lines.encode("ascii")), signature):
                    raise errors.SignatureDoesNotMatch
        self._state = _State.DONE


def _is_signature(value: bytes) -> bool:
    return len(value) == _SIGNATURE_LENGTH and not value.translate(None, _LOWER_HEX)
