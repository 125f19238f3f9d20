"""S3's XML: what goes out is built from strings; what comes in is parsed without entities, up to a size.

Outgoing documents are ``element`` inside ``group``; text is escaped by ``text``. Characters that XML 1.0 cannot have
(below U+0020) are written as character references, as Amazon writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from tidegate import errors

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

# The longest document a client has to send is a CompleteMultipartUpload with 10,000 parts and their checksums, some 3
# MiB.
MAX_DOCUMENT = 4 * 1024 * 1024

_SPECIAL = re.compile('[&<>"\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def text(value: str) -> str:
    """A string as element content."""
    if _SPECIAL.search(value) is None:
        return value
    return _SPECIAL.sub(lambda match: _NAMED.get(match[0]) or f"&#x{ord(match[0]):x};", value)


def element(name: str, content: str | int | None) -> str:
    """An element with text in it; nothing for None."""
    match content:
        case None:
            return ""
        case bool():
            return f"<{name}>{'true' if content else 'false'}</{name}>"
        case int():
            return f"<{name}>{content}</{name}>"
        case _:
            return f"<{name}>{text(content)}</{name}>"


def group(name: str, *children: str) -> str:
    """An element with elements in it."""
    return f"<{name}>{''.join(children)}</{name}>"


def document(name: str, *children: str) -> bytes:
    """A whole document, in S3's namespace."""
    return f'{DECLARATION}<{name} xmlns="{NAMESPACE}">{"".join(children)}</{name}>'.encode("utf-8", "replace")


def timestamp(microseconds: int) -> str:
    """A time as S3's documents have it: ISO 8601 with milliseconds.

    Amazon's are always 000. With ours ``aws s3 sync`` does not take a file for newer that it uploaded within the second
    in which it was written.
    """
    return f"{_iso_second(microseconds // 1_000_000)}.{microseconds // 1000 % 1000:03d}Z"


@lru_cache(maxsize=4096)  # the keys of a page were often written within a few seconds of each other
def _iso_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse(data: bytes, root: str) -> Element:
    """The root element of a document that came in, with namespaces taken off all names. Raises ``MalformedXML``."""
    if len(data) > MAX_DOCUMENT:
        raise errors.MalformedXML(f"The XML document is larger than {MAX_DOCUMENT} bytes.")
    try:
        parsed: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise errors.MalformedXML from None
    for node in parsed.iter():
        node.tag = node.tag.rpartition("}")[2]
    if parsed.tag != root:
        raise errors.MalformedXML
    return parsed


def required(parent: Element, name: str) -> str:
    """The text of a child that has to be there, once. Raises ``MalformedXML``."""
    value = optional(parent, name)
    if value is None:
        raise errors.MalformedXML
    return value


def optional(parent: Element, name: str) -> str | None:
    """The text of a child that may be there, once at most, with no element in it. Raises ``MalformedXML``."""
    node = child(parent, name)
    if node is None:
        return None
    if len(node):
        raise errors.MalformedXML
    return node.text or ""


def child(parent: Element, name: str) -> Element | None:
    """A child that may be there, once at most. Raises ``MalformedXML``."""
    found = parent.findall(name)
    if len(found) > 1:
        raise errors.MalformedXML
    return found[0] if found else None


def only(parent: Element, names: Iterable[str]) -> None:
    """Raises ``MalformedXML`` where an element has children of other names: they would ask for what is not done."""
    if not {child.tag for child in parent} <= set(names):
        raise errors.MalformedXML
