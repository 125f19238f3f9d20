"""Tags of objects, as S3 writes them. Pure functions."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import urlencode

from tidegate.upstream import documents
from tidegate.upstream.documents import element


def parsed(uri: str, body: bytes) -> Mapping[str, str]:
    """The tags in a document. Raises ``RemoteUnavailable`` for what is none."""
    root = documents.parse(uri, body, "Tagging")
    return {
        documents.text(tag, "Key"): documents.text(tag, "Value")
        for group in documents.children(root, "TagSet")
        for tag in documents.children(group, "Tag")
    }


def written(tags: Mapping[str, str]) -> bytes:
    """The document that says the tags."""
    items = (f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in tags.items())
    return documents.written("Tagging", f"<TagSet>{''.join(items)}</TagSet>")


def header(tags: Mapping[str, str]) -> dict[str, str]:
    """The header that says the tags of an object that is written."""
    return {"x-amz-tagging": urlencode(tags)} if tags else {}


def md5(body: bytes) -> str:
    """What ``Content-MD5`` says of the document."""
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
