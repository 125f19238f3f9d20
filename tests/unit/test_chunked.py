"""The decoder of aws-chunked bodies: every form that clients send, split anywhere, and nothing framed wrongly."""

from __future__ import annotations

import base64
import io
import zlib
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.s3 import chunked
from tidegate.s3.chunked import ChunkDecoder
from tidegate.s3.signature import ChunkSeed, ChunkSigner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

CRC32 = "x-amz-checksum-crc32"
SHA256 = "x-amz-checksum-sha256"
SEED = ChunkSeed(b"k" * 32, b"20260102T030405Z", b"20260102/us-east-1/s3/aws4_request", b"0" * 64)
GARBAGE = b"f" * 64


def crc32(data: bytes) -> str:
    """Return a checksum as it is written in a trailer."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def encode(
    chunks: Sequence[bytes],
    trailers: Mapping[str, str] | None = None,
    *,
    signer: ChunkSigner | None = None,
    line_end: bytes = b"\r\n",
) -> bytes:
    """Frame a body as SDKs do; with ``line_end`` LF CRLF, its trailer as minio-go does."""
    wire = b""
    for chunk in (*(chunk for chunk in chunks if chunk), b""):
        wire += b"%x" % len(chunk)
        if signer:
            wire += b";chunk-signature=" + signer.sign_chunk(sha256(chunk).hexdigest().encode())
        wire += b"\r\n" + (chunk + b"\r\n" if chunk else b"")
    lines = [f"{name}:{value}".encode() for name, value in (trailers or {}).items()]
    wire += b"".join(line + line_end for line in lines)
    if signer and lines:
        signature = signer.sign_trailers(b"".join(line + b"\n" for line in lines))
        wire += b"x-amz-trailer-signature:" + signature + b"\r\n"
    return wire + b"\r\n"


def decode(decoder: ChunkDecoder, pieces: Iterable[bytes]) -> bytes:
    """Return what comes of a body that arrives in these pieces."""
    data = b"".join(b"".join(decoder.feed(piece)) for piece in pieces)
    decoder.finish()
    assert decoder.size == len(data)
    return data


def refusal(wire: bytes, decoder: ChunkDecoder | None = None) -> errors.Error:
    """Return the error with which a body is refused."""
    if decoder is None:
        decoder = ChunkDecoder(5, frozenset({CRC32}))
    with pytest.raises(errors.Error) as caught:
        decode(decoder, [wire])
    return caught.value


def unsigned(length: int | None = 5, *names: str) -> ChunkDecoder:
    """Return a decoder of unsigned bodies with these trailers."""
    return ChunkDecoder(length, frozenset(names))


def signed(length: int | None = 5, *names: str) -> ChunkDecoder:
    """Return a decoder of bodies that are signed from SEED on, with these trailers."""
    return ChunkDecoder(length, frozenset(names), signed=True, signer=ChunkSigner(SEED))


HELLO = {CRC32: crc32(b"hello")}
BOTH = {CRC32: crc32(b"hello"), SHA256: base64.b64encode(sha256(b"hello").digest()).decode()}

# Each form with a decoder for it, and the trailers that come of it.
FORMS: dict[str, tuple[bytes, Callable[[], ChunkDecoder], Mapping[str, str]]] = {
    "unsigned": (encode([b"he", b"llo"]), unsigned, {}),
    "unsigned, trailer": (encode([b"he", b"llo"], HELLO), lambda: unsigned(5, CRC32), HELLO),
    "unsigned, two trailers": (encode([b"hello"], BOTH), lambda: unsigned(5, CRC32, SHA256), BOTH),
    "unsigned, minio-go": (encode([b"hello"], HELLO, line_end=b"\n\r\n"), lambda: unsigned(5, CRC32), HELLO),
    "unsigned, length unknown": (encode([b"hello"], HELLO), lambda: unsigned(None, CRC32), HELLO),
    "signed": (encode([b"he", b"llo"], signer=ChunkSigner(SEED)), signed, {}),
    "signed, trailer": (encode([b"he", b"llo"], HELLO, signer=ChunkSigner(SEED)), lambda: signed(5, CRC32), HELLO),
    "signed, two trailers": (
        encode([b"hello"], BOTH, signer=ChunkSigner(SEED)),
        lambda: signed(5, CRC32, SHA256),
        BOTH,
    ),
    "signed, minio-go": (
        encode([b"hello"], HELLO, signer=ChunkSigner(SEED), line_end=b"\n\r\n"),
        lambda: signed(5, CRC32),
        HELLO,
    ),
    "signed, not verified": (
        encode([b"hello"], HELLO, signer=ChunkSigner(SEED)),
        lambda: ChunkDecoder(5, frozenset({CRC32}), signed=True),
        HELLO,
    ),
}
form = pytest.mark.parametrize(("wire", "decoder", "trailers"), FORMS.values(), ids=FORMS.keys())


# --- what is accepted ------------------------------------------------------------------------------------------------


@form
def test_every_form_is_decoded_wherever_it_is_split(
    wire: bytes, decoder: Callable[[], ChunkDecoder], trailers: Mapping[str, str]
) -> None:
    """Two pieces, split at every boundary, and one byte at a time, give the same as the whole."""
    splits = [[wire[:at], wire[at:]] for at in range(len(wire) + 1)]
    splits.append([wire[at : at + 1] for at in range(len(wire))])
    for pieces in splits:
        fresh = decoder()
        assert decode(fresh, pieces) == b"hello"
        assert fresh.trailers == trailers


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    is_signed=st.booleans(),
    has_trailer=st.booleans(),
    cuts=st.lists(st.integers(0, 3000), max_size=12),
)
def test_any_body_is_decoded_however_it_is_split(
    *, chunks: list[bytes], is_signed: bool, has_trailer: bool, cuts: list[int]
) -> None:
    """Whatever the chunks and wherever the pieces end, the object's bytes and trailers come out."""
    data = b"".join(chunks)
    trailers = {CRC32: crc32(data)} if has_trailer else {}
    wire = encode(chunks, trailers, signer=ChunkSigner(SEED) if is_signed else None)
    decoder = (signed if is_signed else unsigned)(len(data), *trailers)
    bounds = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    assert decode(decoder, [wire[a:b] for a, b in pairwise(bounds)]) == data
    assert decoder.trailers == trailers


@pytest.mark.parametrize("size", [0, 1, 65536, 1048576, 2500000])
def test_botocores_bodies_are_decoded(size: int) -> None:
    """What botocore's wrapper sends over HTTPS, with its own checksum behind it."""
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    wrapper = AwsChunkedWrapper(io.BytesIO(data), checksum_cls=Crc32Checksum, checksum_name=CRC32)
    decoder = unsigned(size, CRC32)
    assert decode(decoder, iter(lambda: wrapper.read(10000), b"")) == data
    assert decoder.trailers == {CRC32: crc32(data)}


def test_bytes_come_out_at_once_and_are_not_copied() -> None:
    """A chunk need not be complete for its bytes to come out, and they are views of what was fed."""
    decoder = unsigned(1000000)
    assert decoder.feed(b"f4240\r") == []
    piece = b"\n" + b"x" * 1000
    (view,) = decoder.feed(piece)
    assert view.obj is piece
    assert len(view) == decoder.size == 1000
    assert [bytes(view) for view in decoder.feed(b"y" * 10)] == [b"y" * 10]


@pytest.mark.parametrize("digits", [b"a", b"A", b"0a", b"000000000000000A"])
def test_sizes_may_be_padded_and_in_either_case(digits: bytes) -> None:
    """Hex digits are hex digits."""
    assert decode(unsigned(10), [digits + b"\r\n0123456789\r\n0\r\n\r\n"]) == b"0123456789"
    assert decode(unsigned(0), [b"000\r\n\r\n"]) == b""


@pytest.mark.parametrize(
    "line", [f"{CRC32}:AAAAAA==", f"{CRC32}: AAAAAA==", f"{CRC32}:AAAAAA== \t", f"{CRC32.upper()}:AAAAAA=="]
)
def test_trailers_are_headers(line: str) -> None:
    """Their names are in either case, and blanks around their values do not count."""
    decoder = unsigned(0, CRC32)
    decode(decoder, [f"0\r\n{line}\r\n\r\n".encode()])
    assert decoder.trailers == {CRC32: "AAAAAA=="}


# --- attacks: framing ------------------------------------------------------------------------------------------------

# GHSA-v2ch-c8v8-fgr7: a chunk's size that lies, in any spelling, is refused and breaks nothing.
BAD_SIZES = [
    b"",
    b" 5",
    b"5 ",
    b"+5",
    b"-5",
    b"0x5",
    b"0X5",
    b"5h",
    b"5_0",
    b"_5",
    b"5.",
    b"\t5",
    b"5\x00",
    b"\xd9\xa5",
    b"5,5",
    b"5;",
    b"5;a=b",
    b"5;chunk-signature=" + GARBAGE,
    b"0" * 17,
    b"1" + b"0" * 16,
    b"ffffffffffffffff",
    b"7fffffffffffffff",
    b"140000001",
    b"5" * 10000,
]


@pytest.mark.parametrize("digits", BAD_SIZES)
@pytest.mark.parametrize("length", [5, None])
def test_ghsa_v2ch_c8v8_fgr7_chunk_sizes_that_lie(digits: bytes, length: int | None) -> None:
    """Only hex digits make a size: no sign, prefix, blank, underscore or extension, and nothing beyond 5 GiB."""
    error = refusal(digits + b"\r\nhello\r\n0\r\n\r\n", unsigned(length))
    assert isinstance(error, errors.InvalidChunkSize)


@pytest.mark.parametrize(
    "wire",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r\n0\n\r\n",
        b"5\r\nhello\r\n0\n\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\rhello\r\n0\r\n\r\n",
        b"5\n\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\nhello\n\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"hello",
        b"\x00" * 500,
    ],
)
def test_only_crlf_ends_a_line(wire: bytes) -> None:
    """A bare LF, a bare CR, and bytes where a line should end are refused."""
    assert isinstance(refusal(wire, unsigned()), errors.InvalidChunkSize | errors.IncompleteBody)


def test_line_that_does_not_end_is_refused_early() -> None:
    """No more than a line's worth is kept while its end is waited for."""
    decoder = unsigned()
    decoder.feed(b"0" * chunked.MAX_CHUNK_LINE)
    with pytest.raises(errors.InvalidChunkSize):
        decoder.feed(b"0" * 2)
    trailing = unsigned(0, CRC32)
    trailing.feed(b"0\r\n" + b"x" * chunked.MAX_TRAILER_BYTES)
    with pytest.raises(errors.MalformedTrailer):
        trailing.feed(b"x" * 2)


@form
def test_body_that_stops_early_is_incomplete(
    wire: bytes, decoder: Callable[[], ChunkDecoder], trailers: Mapping[str, str]
) -> None:
    """However much of a body is there, without its last byte it is not complete."""
    assert trailers is not None
    for length in range(len(wire)):
        assert isinstance(refusal(wire[:length], decoder()), errors.IncompleteBody)


@form
@pytest.mark.parametrize("rest", [b"\r\n", b"\n", b"0\r\n\r\n", b"x", b"5\r\nworld\r\n0\r\n\r\n"])
def test_nothing_may_follow_the_end(
    wire: bytes, decoder: Callable[[], ChunkDecoder], trailers: Mapping[str, str], rest: bytes
) -> None:
    """Bytes behind the end are refused, in the same piece or in another."""
    assert trailers is not None
    assert isinstance(refusal(wire + rest, decoder()), errors.InvalidChunkSize)
    fresh = decoder()
    fresh.feed(wire)
    with pytest.raises(errors.InvalidChunkSize):
        fresh.feed(rest)


@pytest.mark.parametrize("promised", [0, 1, 4, 6, 5000])
@pytest.mark.parametrize("chunks", [[b"hello"], [b"he", b"llo"], [b"h", b"e", b"l", b"l", b"o"]])
def test_decoded_length_must_be_the_promised_one(promised: int, chunks: list[bytes]) -> None:
    """More bytes than x-amz-decoded-content-length says are refused, and fewer."""
    assert isinstance(refusal(encode(chunks), unsigned(promised)), errors.IncompleteBody)


def test_chunk_beyond_the_promised_length_is_refused_before_its_bytes() -> None:
    """The size of a chunk is enough to know that it cannot be right."""
    decoder = unsigned(5)
    with pytest.raises(errors.IncompleteBody):
        decoder.feed(b"6\r\n")


@given(wire=st.binary(max_size=300), is_signed=st.booleans())
def test_nothing_but_an_s3_error_comes_of_any_bytes(*, wire: bytes, is_signed: bool) -> None:
    """Whatever is fed, it is decoded or refused, and the decoder does not break."""
    for length in (0, 5, None):
        decoder = (signed if is_signed else unsigned)(length, CRC32)
        with pytest.raises(errors.Error):
            decode(decoder, [wire])


# --- attacks: trailers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [SHA256],
        [CRC32, CRC32],
        [CRC32, CRC32.upper()],
        [CRC32, SHA256],
        [SHA256, CRC32],
        [CRC32, "x-amz-trailer-signature"],
        ["x-amz-meta-a"],
        ["content-length"],
    ],
    ids=", ".join,
)
def test_trailers_must_be_exactly_those_declared(lines: list[str]) -> None:
    """A declared trailer that is missing, one that was not declared, and one that comes twice are refused."""
    value = "a" * 64
    wire = "5\r\nhello\r\n0\r\n" + "".join(f"{name}:{value}\r\n" for name in lines) + "\r\n"
    assert isinstance(refusal(wire.encode(), unsigned(5, CRC32)), errors.MalformedTrailer)


def test_undeclared_trailer_is_refused_where_none_was_declared() -> None:
    """In a body without trailers there is no line behind the last chunk."""
    assert isinstance(refusal(encode([b"hello"], HELLO), unsigned(5)), errors.MalformedTrailer)
    wire = encode([b"hello"], HELLO, signer=ChunkSigner(SEED))
    assert isinstance(refusal(wire, signed(5)), errors.MalformedTrailer)


@pytest.mark.parametrize(
    "line",
    [
        b"x-amz-checksum-crc32",
        b"x-amz-checksum-crc32 :AAAAAA==",
        b" x-amz-checksum-crc32:AAAAAA==",
        b":AAAAAA==",
        b"x-amz-checksum-crc32:AA\nAAAA==",
        b"x-amz-checksum-crc32:AAAAAA==\n\n",
        b"x-amz-checksum-crc32:AA\rAAAA==",
        b"x-amz-checksum-crc32:AA\x00AAAA==",
        b"x-amz-checksum-crc32:\xffAAAAA==",
        b"x-amz-checksum-crc32:AAAAAA==\nx-amz-checksum-sha256:a",
        b"x-amz-checksum-crc32:" + b"A" * chunked.MAX_TRAILER_BYTES,
    ],
)
def test_malformed_trailer_is_refused(line: bytes) -> None:
    """A trailer is a name, a colon and printable text."""
    assert isinstance(refusal(b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n"), errors.MalformedTrailer)


def test_trailers_are_bounded_together() -> None:
    """Many trailers are no way around the limit of one."""
    names = [f"x-amz-checksum-{number}" for number in range(100)]
    wire = "0\r\n" + "".join(f"{name}:{'A' * 60}\r\n" for name in names) + "\r\n"
    assert isinstance(refusal(wire.encode(), unsigned(0, *names)), errors.MalformedTrailer)


# --- attacks: signatures ---------------------------------------------------------------------------------------------


def test_every_signature_of_the_chain_is_verified() -> None:
    """A wrong signature of any chunk, of the last one or of the trailers is refused."""
    wire = encode([b"he", b"llo"], HELLO, signer=ChunkSigner(SEED))
    starts = [at for at in range(len(wire)) if wire.startswith(b"-signature", at)]
    assert len(starts) == 4
    for start in starts:
        at = start + len("-signature=")
        broken = wire[:at] + GARBAGE + wire[at + 64 :]
        assert isinstance(refusal(broken, signed(5, CRC32)), errors.SignatureDoesNotMatch)


def test_signed_chunks_cannot_be_changed_swapped_dropped_or_repeated() -> None:
    """Each signature covers its chunk's bytes and all that came before."""
    wire = encode([b"ab", b"cd"], signer=ChunkSigner(SEED))
    length = len(b"2;chunk-signature=") + 64 + len(b"\r\nab\r\n")
    one, two, last = wire[:length], wire[length : 2 * length], wire[2 * length :]
    assert decode(signed(4), [one, two, last]) == b"abcd"
    for broken in (
        two + one + last,
        one + one + last,
        one + last,
        two + last,
        last,
        one.replace(b"ab", b"aB") + two + last,
        one + two.replace(b"cd", b"cc") + last,
    ):
        assert isinstance(refusal(broken, signed(None)), errors.SignatureDoesNotMatch)


def test_chain_starts_from_the_requests_signature() -> None:
    """Chunks that were signed for another request are refused."""
    other = ChunkSeed(SEED.key, SEED.timestamp, SEED.scope, b"1" * 64)
    for stranger in (other, ChunkSeed(b"K" * 32, SEED.timestamp, SEED.scope, SEED.signature)):
        wire = encode([b"hello"], signer=ChunkSigner(stranger))
        assert isinstance(refusal(wire, signed(5)), errors.SignatureDoesNotMatch)


@pytest.mark.parametrize(
    "extension",
    [
        b"",
        b";",
        b";chunk-signature=",
        b";chunk-signature=" + GARBAGE[:-1],
        b";chunk-signature=" + GARBAGE + b"f",
        b";chunk-signature=" + GARBAGE.upper(),
        b"; chunk-signature=" + GARBAGE,
        b";chunk-signature=" + GARBAGE + b";a=b",
        b";a=b;chunk-signature=" + GARBAGE,
        b";Chunk-Signature=" + GARBAGE,
    ],
)
def test_every_chunk_of_a_signed_body_must_carry_a_signature(extension: bytes) -> None:
    """A chunk without a well-formed signature is refused, also where it cannot be verified."""
    wire = b"5" + extension + b"\r\nhello\r\n0;chunk-signature=" + GARBAGE + b"\r\n\r\n"
    for decoder in (signed(5), ChunkDecoder(5, signed=True)):
        assert isinstance(refusal(wire, decoder), errors.InvalidChunkSize)
    last = b"0" + extension + b"\r\n\r\n"
    for decoder in (signed(0), ChunkDecoder(0, signed=True)):
        assert isinstance(refusal(last, decoder), errors.InvalidChunkSize)


@pytest.mark.parametrize(
    "ending",
    [
        f"{CRC32}:{HELLO[CRC32]}\r\n",
        f"{CRC32}:{HELLO[CRC32]}\r\nx-amz-trailer-signature:\r\n",
        f"{CRC32}:{HELLO[CRC32]}\r\nx-amz-trailer-signature:{'F' * 64}\r\n",
        f"{CRC32}:{HELLO[CRC32]}\r\nx-amz-trailer-signature:{'f' * 64}\r\nx-amz-trailer-signature:{'f' * 64}\r\n",
        f"x-amz-trailer-signature:{'f' * 64}\r\n{CRC32}:{HELLO[CRC32]}\r\n",
        f"x-amz-trailer-signature:{'f' * 64}\r\n",
    ],
)
def test_signed_trailers_must_end_with_their_signature(ending: str) -> None:
    """It comes once, behind the trailers, and is well-formed, also where it cannot be verified."""
    wire = b"0;chunk-signature=" + GARBAGE + b"\r\n" + ending.encode() + b"\r\n"
    decoder = ChunkDecoder(0, frozenset({CRC32}), signed=True)
    assert isinstance(refusal(wire, decoder), errors.MalformedTrailer)


@given(st.data())
def test_no_change_of_a_signed_body_goes_unnoticed(data: st.DataObject) -> None:
    """Whatever byte is changed, added or taken away, the body is refused or decodes to what was signed."""
    wire = encode([b"hello, ", b"world"], {CRC32: "AAAAAA=="}, signer=ChunkSigner(SEED))
    at = data.draw(st.integers(0, len(wire) - 1))
    added = data.draw(st.binary(max_size=3))
    removed = data.draw(st.integers(0, 3))
    decoder = signed(None, CRC32)
    try:
        decoded = decode(decoder, [wire[:at] + added + wire[at + removed :]])
    except errors.Error:
        return
    assert decoded == b"hello, world"
    assert decoder.trailers == {CRC32: "AAAAAA=="}


@given(st.data())
def test_no_change_of_an_unsigned_body_breaks_its_framing(data: st.DataObject) -> None:
    """Whatever byte is changed, added or taken away, the body is refused or has the promised length and trailers."""
    wire = encode([b"hello, ", b"world"], {CRC32: "AAAAAA=="})
    at = data.draw(st.integers(0, len(wire) - 1))
    added = data.draw(st.binary(max_size=3))
    removed = data.draw(st.integers(0, 3))
    decoder = unsigned(12, CRC32)
    try:
        decoded = decode(decoder, [wire[:at] + added + wire[at + removed :]])
    except errors.Error:
        return
    assert len(decoded) == 12
    assert decoder.trailers.keys() == {CRC32}
