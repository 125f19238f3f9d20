"""Large objects, one stream: GET, PUT, a multipart upload and its completion, and CopyObject against that of 1 MiB."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import load
from benchmarks.arena import Arena, prepare
from benchmarks.s3 import AnswerError, Api
from benchmarks.values import MIB

if TYPE_CHECKING:
    from benchmarks.servers import Server

BUCKET = "large"
BLOCK = MIB
PART = 16 * MIB
SMALLEST_PART = 5 * MIB  # S3 takes no smaller part but the last
COPIES = 20


def _prepare(server: Server, small: str, block: bytes) -> None:
    with Api(server) as api:
        api.create_bucket(BUCKET)
        api.put(small, block)


def _etag(block: bytes, blocks: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for _ in range(blocks):
        digest.update(block)
    return digest.hexdigest()


def _put(api: Api, path: str, block: bytes, blocks: int, etag: str) -> None:
    answer = api.put(path, block, blocks)
    if answer.etag != etag:
        raise AnswerError(f"the ETag of {path} is {answer.etag}, not {etag}: what was stored is not what was sent")


def _get(api: Api, path: str, size: int) -> None:
    answer = api.get(path)
    if answer.size != size:
        raise AnswerError(f"{path} ended after {answer.size} of {size} bytes")


def _parts(api: Api, path: str, block: bytes, part: int, count: int) -> tuple[str, list[str]]:
    upload = api.create_upload(path)
    numbers = range(1, count + 1)
    queries = ({"partNumber": str(number), "uploadId": upload} for number in numbers)
    return upload, [api.put(path, block, part // len(block), query).etag for query in queries]


def _settle() -> None:
    """Has the disk take what is still in the page cache, and empties that where we may (as root): nobody is to pay for
    what others have left there, nor a virtual machine for memory that it has not used before.
    """
    os.sync()
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1")


def _multipart(arena: Arena, server: Server, api: Api, block: bytes, part: int, name: str) -> None:
    """Times the parts together, and their completion on its own."""
    path = f"/{BUCKET}/multipart"
    count = arena.options.large // PART
    uploads: list[tuple[str, list[str]]] = []
    _settle()
    sample = load.clock(server, lambda: uploads.append(_parts(api, path, block, part, count)), moved=part * count)
    arena.notebook.add(f"parts of {name}", server, sample)
    for upload, etags in uploads:
        sample = load.clock(server, partial(api.complete_upload, path, upload, etags))
        arena.notebook.add(f"complete parts of {name}", server, sample)


def run(arena: Arena) -> None:
    """Every upload's ETag and every download's length are checked; the bytes of a download are not."""
    options, add = arena.options, arena.notebook.add
    block = os.urandom(BLOCK)
    blocks = options.large // BLOCK
    etag = _etag(block, blocks)
    path, small = f"/{BUCKET}/whole", f"/{BUCKET}/small"
    for server in arena.servers:
        prepare(server, BUCKET, partial(_prepare, server, small, block))
    for _, servers in arena.rounds():
        for server in servers:
            with Api(server) as api:
                _settle()
                sample = load.clock(server, partial(_put, api, path, block, blocks, etag), moved=options.large)
                add("PUT large", server, sample)
                sample = load.clock(server, partial(_get, api, path, options.large), moved=options.large)
                add("GET large", server, sample)
    # What has been put together of parts is hashed later, which is not to be in the way of the uploads above.
    for _, servers in arena.rounds():
        for server in servers:
            with Api(server) as api:
                for source, name in ((path, "large"), (small, "1 MiB")):
                    copy = partial(api.copy, source, f"/{BUCKET}/copy")
                    add(f"copy {name}", server, load.clock(server, copy, times=COPIES, within=options.seconds))
        for server in servers:
            with Api(server) as api:
                _multipart(arena, server, api, block, PART, "16 MiB")
                _multipart(arena, server, api, block, SMALLEST_PART, "5 MiB")
