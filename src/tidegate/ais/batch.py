"""Get-Batch (``/v1/ml/moss``): many objects, or files of archives, in one archive and in the order that was asked for.

As a stream, the answer is the archive. Else it has two parts: a JSON document that says what became of each entry, and
then the archive, which for that is put together before anything is sent.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import IO, TYPE_CHECKING

import msgspec
from starlette.responses import Response

from tidegate import errors
from tidegate.ais.call import Call, decode
from tidegate.ais.streams import Stream, unless_gone
from tidegate.ais.uname import parse_uname
from tidegate.asgi import begun
from tidegate.gateway.assignments import ArchiveFormat
from tidegate.gateway.batch import TO_THE_END, Entry, Outcome, Request
from tidegate.gateway.jobs import archive_format
from tidegate.gateway.packing import PIECE
from tidegate.gateway.selection import check_key
from tidegate.names import AIS, BucketName, parse_namespace, provider_of

if TYPE_CHECKING:
    from tidegate.ais.app import Handler

# One message has some ten MB at that; who wants more asks again.
MAX_ENTRIES = 100_000
# Entries that are checked before others get their turn.
STEP = 1000
# What one answer that is no stream takes of the disk for temporary files, and of memory before it goes there.
MAX_BUFFERED = 1024 * 1024 * 1024
MAX_IN_MEMORY = 4 * 1024 * 1024

_MEDIA_TYPES = {ArchiveFormat.TAR: "application/x-tar", ArchiveFormat.ZIP: "application/zip"}
_COMPRESSED = "application/gzip"


class _In(msgspec.Struct, frozen=True):
    objname: str = ""
    bucket: str = ""
    provider: str = ""
    uname: str = ""
    opaque: str | None = None
    archpath: str = ""
    start: int = 0
    length: int = 0


class _Out(msgspec.Struct, frozen=True, omit_defaults=True):
    objname: str
    bucket: str
    provider: str
    size: int
    archpath: str = ""
    opaque: str | None = None
    err_msg: str = ""


class _Message(msgspec.Struct, frozen=True, rename={"entries": "in"}):
    """``coer``: continue on errors; ``onob``: names without the bucket; ``strm``: as a stream."""

    entries: list[_In] = []
    mime: str = ""
    coer: bool = False
    onob: bool = False
    strm: bool = False
    coloc: int = 0  # where things are, which is one place here


class _Answer(msgspec.Struct, frozen=True):
    out: Sequence[_Out]
    uuid: str = ""


async def get_batch(call: Call) -> Response:
    """The bucket in the path, if there is one, is that of entries that name none."""
    message = decode(await call.body(), _Message)
    if not message.entries:
        raise errors.InvalidArgument("the batch is empty")
    if len(message.entries) > MAX_ENTRIES:
        raise errors.InvalidArgument(f"a batch has at most {MAX_ENTRIES} entries")
    kind = archive_format("", message.mime or ArchiveFormat.TAR)
    request = Request(await _entries(call, message.entries), kind, message.coer, not message.onob)
    media = _MEDIA_TYPES.get(kind, _COMPRESSED)
    if message.strm:
        archive = await call.gateway.batches.read(call.principal, request)
        return Stream(await unless_gone(call.request, begun(archive)), 200, [("content-type", media)])
    return await unless_gone(call.request, _buffered(call, message, request, media))


async def _entries(call: Call, given: Sequence[_In]) -> list[Entry]:
    """What the message asks for. Raises ``InvalidArgument`` and its kin for what nothing can be called."""
    query = call.request.query_params
    names: dict[tuple[str, str], BucketName] = {}
    default = call.request.path_params.get("bucket", "")
    provider = query.get("provider") or AIS
    namespace = parse_namespace(query.get("namespace", ""))
    entries = []
    for number, each in enumerate(given):
        if number % STEP == 0:
            await asyncio.sleep(0)
        if each.uname:
            bucket, key = parse_uname(each.uname)
        else:
            found = each.bucket or default, each.provider or provider
            if found not in names:
                if not found[0]:
                    raise errors.InvalidArgument(f'"{each.objname}" is in no bucket: neither it nor the URL names one')
                names[found] = BucketName(found[0], provider_of(found[1]), "" if each.bucket else namespace)
            bucket, key = names[found], each.objname
            check_key(key)
        length = each.length or TO_THE_END
        if each.start < 0 or length < TO_THE_END or (each.start and not each.length):
            raise errors.InvalidArgument(f'invalid range of "{key}": start {each.start}, length {each.length}')
        entries.append(Entry(bucket, key, each.archpath, each.start, length))
    return entries


# --- in two parts ----------------------------------------------------------------------------------------------------


async def _buffered(call: Call, message: _Message, request: Request, media: str) -> Response:
    outcomes: list[Outcome] = []
    archive = await call.gateway.batches.read(call.principal, request, outcomes)
    file = tempfile.SpooledTemporaryFile(MAX_IN_MEMORY)  # noqa: SIM115 - whoever sends it closes it
    try:
        size = 0
        async with aclosing(archive):
            async for piece in archive:
                size += len(piece)
                if size > MAX_BUFFERED:
                    raise errors.EntityTooLarge(
                        f"the batch makes more than {MAX_BUFFERED} bytes: ask for it as a stream (strm)"
                    )
                await asyncio.to_thread(file.write, piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    boundary = secrets.token_hex(24)
    document = msgspec.json.encode(_Answer([_out(*pair) for pair in zip(message.entries, outcomes, strict=True)]))
    head = (
        f"--{boundary}\r\nContent-Type: application/json\r\n\r\n".encode()
        + document
        + f"\r\n--{boundary}\r\nContent-Type: {media}\r\n\r\n".encode()
    )
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = [
        ("content-type", f"multipart/mixed; boundary={boundary}"),
        ("content-length", str(len(head) + size + len(tail))),
    ]
    return Stream(_sent(head, file, tail), 200, headers)


def _out(entry: _In, outcome: Outcome) -> _Out:
    return _Out(entry.objname, entry.bucket, entry.provider, outcome.size, entry.archpath, entry.opaque, outcome.error)


async def _sent(head: bytes, file: IO[bytes], tail: bytes) -> AsyncGenerator[bytes, None]:
    with file:
        yield head
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
        yield tail


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v1/ml/moss", get_batch),
    ("GET", "/v1/ml/moss/{bucket}", get_batch),
)
