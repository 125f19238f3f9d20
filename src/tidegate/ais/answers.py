"""What answers have in common."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from tidegate.names import BucketName


def as_json(document: object) -> Response:
    """An answer with a document."""
    return Response(msgspec.json.encode(document), media_type="application/json")


def identity(bucket: BucketName) -> dict[str, object]:
    """Which bucket it is, as documents say it."""
    return {"name": bucket.name, "provider": bucket.provider, "namespace": {"uuid": "", "name": bucket.namespace}}
