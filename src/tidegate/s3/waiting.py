"""Answers that take long: the connection is kept alive while they come about.

As Amazon does it, the answer begins with status 200 before it is known, goes on with blanks, and ends with the
document; what went wrong after it has begun is an error document in its place. SDKs look for that. An answer that comes
soon is as any other, with a status that says what happened.

Source: Amazon S3 API reference, "CompleteMultipartUpload" and "CopyObject".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from typing import Final

from tidegate import errors
from tidegate.s3 import faults, xml
from tidegate.s3.call import Call, Response, quote_key

logger = logging.getLogger(__name__)

# Clients and load balancers give up on a connection on which nothing happens for a minute or so.
SOON_SECONDS: Final = 10.0
BLANK_SECONDS: Final = 10.0

_DECLARATION: Final = xml.DECLARATION.encode()


async def kept_alive(call: Call, work: Coroutine[None, None, Response]) -> Response:
    """The answer that the work makes, which has to be a document; or one that has begun, and waits for it."""
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=SOON_SECONDS)
    except BaseException:
        task.cancel()
        raise
    if done:
        return task.result()
    return Response(200, [(b"content-type", b"application/xml")], _late(call, task))


async def _late(call: Call, task: asyncio.Task[Response]) -> AsyncGenerator[bytes, None]:
    try:
        yield _DECLARATION
        while not (await asyncio.wait({task}, timeout=BLANK_SECONDS))[0]:
            yield b" "
        yield _document(call, task).removeprefix(_DECLARATION)
    finally:
        task.cancel()


def _document(call: Call, task: asyncio.Task[Response]) -> bytes:
    path = f"/{call.bucket}/{quote_key(call.key)}".encode()
    try:
        body = task.result().body
    except errors.Error as error:
        logger.warning("request %s failed after its answer had begun: %s", call.request_id, error)
        return faults.document(error, call.request_id, path)
    except Exception:
        logger.exception("request %s failed after its answer had begun", call.request_id)
        return faults.document(errors.Error(), call.request_id, path)
    if not isinstance(body, bytes):
        raise TypeError(body)
    return body
