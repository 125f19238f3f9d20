"""Bringing in what a bucket has, by reference (``…/repos/{repo}/import``)."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidegate.api import shapes
from tidegate.api.call import ON_HEAD, Call
from tidegate.api.listing import check_text
from tidegate.api.repos import REPO
from tidegate.api.routes import Route, route
from tidegate.api.words import Message, Metadata, Name
from tidegate.documents import Commit
from tidegate.names import MAX_KEY_BYTES

# A scheme, a namespace, a bucket and a prefix that is as long as a key.
MAX_URI: Final = 1500


class Import(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be brought in, and where to."""

    uri: Annotated[str, Meta(min_length=1, max_length=MAX_URI, description="`s3://bucket/prefix`, `ais://bucket`.")]
    branch: Name
    path: Annotated[str, Meta(max_length=MAX_KEY_BYTES, description="What their paths begin with.")] = ""
    message: Message = ""
    metadata: Metadata = {}


async def import_bucket(call: Call, body: Import) -> Commit:
    """Bring in the objects of a bucket in one commit. They are called `path` and what comes after the last slash of the
    prefix. No byte is copied.
    """
    check_text(body.path)
    principal = call.noted(body.message, body.metadata)
    commit, _ = await call.gateway.imports.bring_in(principal, call.repo, body.branch, body.uri, body.path)
    return shapes.commit(commit)


ROUTES: tuple[Route, ...] = (route("POST", REPO + "/import", import_bucket, headers=(ON_HEAD,)),)
