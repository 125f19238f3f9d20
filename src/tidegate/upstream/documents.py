"""The XML that S3 and Azure answer with, parsed without entities, and the little that is sent."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from tidegate import errors
from tidegate.upstream.faults import Refusal


def parse(uri: str, body: bytes, name: str = "") -> Element:
    """A document's root. Raises ``RemoteUnavailable`` for what is no XML, or not the document that it should be."""
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise errors.RemoteUnavailable(f"{uri}: the remote's answer is not the XML that it should be") from None
    if name and local(root) != name:
        raise errors.RemoteUnavailable(f"{uri}: the remote's answer is not the XML that it should be")
    return root


def refusal(status: int, body: bytes) -> Refusal:
    """What an error document says; only the status where there is none."""
    try:
        root = parse("", body)
    except errors.RemoteUnavailable:
        return Refusal(status)
    return Refusal(status, text(root, "Code"), text(root, "Message"))


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """The children of a name, in any namespace."""
    return (child for child in element if local(child) == name)


def text(element: Element, *path: str) -> str:
    """The text of a child, or of a child's child; empty where there is none."""
    for name in path:
        found = next(children(element, name), None)
        if found is None:
            return ""
        element = found
    return element.text or ""


def written(name: str, *items: str) -> bytes:
    """A document of our own; the items are XML already."""
    return f'<?xml version="1.0" encoding="utf-8"?><{name}>{"".join(items)}</{name}>'.encode()


def element(name: str, content: str) -> str:
    """An element with text in it."""
    return f"<{name}>{escape(content)}</{name}>"
