"""The answer to a request that reaches no door: S3's error document, since nearly every client here speaks S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.asgi import Send
from tidegate.s3.faults import document

if TYPE_CHECKING:
    from tidegate.errors import Error

CONTENT_TYPE = b"application/xml"


async def refuse(error: Error, request_id: str, send: Send) -> None:
    """Answers with the error and closes the connection: what follows on it cannot be trusted."""
    body = document(error, request_id)
    headers = [
        (b"content-type", CONTENT_TYPE),
        (b"content-length", b"%d" % len(body)),
        (b"x-amz-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
