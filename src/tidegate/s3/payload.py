"""The body of a request: taken off the wire, out of its framing, and held against all that the client said of it.

``open_payload`` finds out from the headers how the body is framed and what it has to match. Nothing is trusted
because authentication is off: only signatures cannot be verified then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from tidegate import checksums, errors
from tidegate.asgi import Receive
from tidegate.model import ANONYMOUS
from tidegate.s3.call import SIZE_DIGITS, Call, whole_number
from tidegate.s3.chunked import ChunkDecoder
from tidegate.s3.signature import UNSIGNED_PAYLOAD, ChunkSigner

# Amazon's limit is 5 GiB; a framed body may be longer by its framing. What is longer than any of that is not even
# begun.
MAX_CONTENT_LENGTH = 2**63 - 1

_STREAMING = "STREAMING-"
_STREAMING_FORMS = {
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": (False, True),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (True, False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (True, True),
}
# The headers of these hold the checksum of the object that is to come, not of the document that asks for it.
_CHECKSUM_IS_NOT_OF_BODY = frozenset({"CompleteMultipartUpload"})
_TRAILER_NAMES_LIMIT = 8  # a client declares one; each more would be one more to hash


class Payload:
    """Implements ``gateway.body.Body`` for one request. Read it once."""

    def __init__(
        self,
        receive: Receive,
        size: int | None,
        decoder: ChunkDecoder | None,
        expected: Mapping[str, bytes],
        trailers: Sequence[str],
        sha256: str | None,
    ) -> None:
        self.size = size
        self._receive = receive
        self._decoder = decoder
        self._expected = expected
        self._trailers = trailers
        self._sha256 = sha256
        self._md5: bytes | None = None
        self._watch: Callable[[bytes], Awaitable[None]] | None = None
        self.algorithms: Sequence[str] = [*expected, *trailers, *(["SHA256"] if sha256 else ())]

    @property
    def is_framed(self) -> bool:
        """Whether more comes over the wire than the bytes of the object."""
        return self._decoder is not None

    def watch(self, watch: Callable[[bytes], Awaitable[None]]) -> None:
        """Has somebody told of all that comes over the wire."""
        self._watch = watch

    def expect_md5(self, md5: bytes) -> None:
        """Has ``verify`` compare the body's MD5, as Content-MD5 asks."""
        self._md5 = md5
        self.algorithms = [*self.algorithms, "MD5"]

    async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        left = self.size
        if self._decoder is None and left == 0:
            return
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise errors.ClientDisconnected
            data: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            if self._watch is not None:
                await self._watch(data)
            if self._decoder is not None:
                for piece in self._decoder.feed(data):
                    yield piece
            elif data:
                if left is not None:
                    left -= len(data)
                yield data
        if self._decoder is not None:
            self._decoder.finish()
        elif left:
            raise errors.IncompleteBody

    def verify(self, digests: Mapping[str, bytes]) -> Mapping[str, str]:
        if self._md5 is not None and digests["MD5"] != self._md5:
            raise errors.BadDigest("The Content-MD5 you specified did not match what we received.")
        if self._sha256 is not None and digests["SHA256"].hex() != self._sha256:
            raise errors.XAmzContentSHA256Mismatch(
                ClientComputedContentSHA256=self._sha256, S3ComputedContentSHA256=digests["SHA256"].hex()
            )
        expected = dict(self._expected)
        if self._decoder is not None:
            for name in self._trailers:
                value = self._decoder.trailers[checksums.ALGORITHMS[name].header]
                expected[name] = checksums.decode(name, value)
        for name, digest in expected.items():
            if digests[name] != digest:
                raise errors.BadDigest(f"The {name} you specified did not match the calculated checksum.")
        return {name: checksums.encode(digest) for name, digest in expected.items()}


def open_payload(call: Call, *, may_be_missing: bool = False) -> Payload:
    """The body of a request that carries an object, a part or a document. Where nothing says that there is one it is
    empty, if it may be missing: Amazon stores no object that nobody has sent.

    Raises ``MissingContentLength``, ``InvalidRequest``, ``InvalidArgument``, ``InvalidDigest``,
    ``NotImplementedByServer``.
    """
    headers = call.headers
    content_sha256 = headers.get("x-amz-content-sha256", "")
    if call.authenticated is not None:
        content_sha256 = call.authenticated.payload_hash
    expected = {} if call.operation.name in _CHECKSUM_IS_NOT_OF_BODY else _declared(headers)
    if content_sha256.startswith(_STREAMING) or _is_framed_unsaid(headers, content_sha256):
        payload = _framed(call, content_sha256, expected)
    else:
        size = _length(headers, "content-length")
        if size is None:
            if headers.get("transfer-encoding") or not may_be_missing:
                raise errors.MissingContentLength
            size = 0
        payload = Payload(call.receive, size, None, expected, (), _sha256(content_sha256))
    algorithm = headers.get("x-amz-sdk-checksum-algorithm")
    if algorithm is not None:
        _check_sdk_algorithm(algorithm.upper(), payload)
    md5 = headers.get("content-md5")
    if md5 is not None:
        payload.expect_md5(checksums.decode_content_md5(md5))
    return payload


def _is_framed_unsaid(headers: Mapping[str, str], content_sha256: str) -> bool:
    """Whether a body is framed although ``x-amz-content-sha256`` does not say so: boto3 without credentials sends none.

    A Content-Encoding of aws-chunked alone says nothing: users write it too.
    """
    return not content_sha256 and ("x-amz-decoded-content-length" in headers or "x-amz-trailer" in headers)


def _framed(call: Call, content_sha256: str, expected: Mapping[str, bytes]) -> Payload:
    """A body in aws-chunked framing, in any of its forms."""
    headers = call.headers
    form = content_sha256 if content_sha256.startswith(_STREAMING) else "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    if form not in _STREAMING_FORMS:
        raise errors.NotImplementedByServer(f"The payload form {form[:64]} is not implemented.")
    signed, has_trailers = _STREAMING_FORMS[form]
    size = _length(headers, "x-amz-decoded-content-length")
    if size is None:
        raise errors.MissingContentLength
    names = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()]
    if names and not has_trailers:
        raise errors.InvalidRequest("x-amz-trailer needs a payload form with trailers.")
    if len(names) > _TRAILER_NAMES_LIMIT:
        raise errors.InvalidRequest("Too many trailers are declared.")
    unknown = [name for name in names if name not in checksums.BY_HEADER]
    if unknown:
        raise errors.InvalidRequest("The value specified in the x-amz-trailer header is not supported")
    seed = call.authenticated.seed if call.authenticated is not None else None
    signer = ChunkSigner(seed) if signed and seed is not None else None
    if signed and signer is None and (call.authenticated is not None or call.principal == ANONYMOUS):
        raise errors.InvalidRequest(f"The payload form {form} needs a request that is signed with version 4.")
    decoder = ChunkDecoder(size, frozenset(names), signed=signed, signer=signer)
    algorithms = [checksums.BY_HEADER[name].name for name in names]
    if len(algorithms) + len(expected) > 1:
        raise errors.InvalidRequest(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    return Payload(call.receive, size, decoder, expected, algorithms, None)


def _declared(headers: Mapping[str, str]) -> dict[str, bytes]:
    """The checksum that is in the headers."""
    if checksums.BY_HEADER.keys().isdisjoint(headers):
        return {}
    found = {
        algorithm.name: checksums.decode(algorithm.name, headers[name])
        for name, algorithm in checksums.BY_HEADER.items()
        if name in headers
    }
    if len(found) > 1:
        raise errors.InvalidRequest(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    return found


def _check_sdk_algorithm(algorithm: str, payload: Payload) -> None:
    """SDKs say which checksum they are going to send; Amazon insists on it."""
    if algorithm not in checksums.ALGORITHMS:
        raise errors.InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if algorithm not in payload.algorithms:
        raise errors.InvalidRequest(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found."
        )


def _sha256(value: str) -> str | None:
    """The hash that a body has to have; None where the client did not say."""
    if value in {"", UNSIGNED_PAYLOAD}:
        return None
    if len(value) != 64 or not all(digit in "0123456789abcdef" for digit in value):
        raise errors.InvalidArgument(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.",
            ArgumentName="x-amz-content-sha256",
            ArgumentValue=value[:128],
        )
    return value


def _length(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    length = whole_number(value, SIZE_DIGITS)
    if length is None or length > MAX_CONTENT_LENGTH:
        raise errors.InvalidArgument(f"The {name} header is not a valid length.", ArgumentName=name)
    return length


async def read_document(call: Call, limit: int, action: str | None = None) -> bytes:
    """The whole of a body that is a document, verified.

    ``action`` is what it asks to be done in the bucket: who may not do that has no document read, let alone parsed.
    Raises ``MalformedXML`` where it is longer than ``limit`` bytes, ``NoSuchBucket``, ``AccessDenied``.
    """
    if action is not None:
        await call.gateway.buckets.get(call.principal, call.name, action)
    payload = open_payload(call, may_be_missing=True)
    if payload.size is not None and payload.size > limit:
        raise errors.MalformedXML(f"The XML document is larger than {limit} bytes.")
    pieces = []
    size = 0
    async for piece in payload:
        size += len(piece)
        if size > limit:
            raise errors.MalformedXML(f"The XML document is larger than {limit} bytes.")
        pieces.append(bytes(piece))
    data = b"".join(pieces)
    digests = {}
    for name in payload.algorithms:
        hasher = checksums.new(name)
        hasher.update(data)
        digests[name] = hasher.digest()
    payload.verify(digests)
    return data
