"""What goes out is well-formed whatever is in it; what comes in is a small plain document or is refused."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.s3 import xml

# What XML 1.0 can have, as a parser of clients reads it back.
xml_text = st.text(
    st.characters(codec="utf-8", categories=["L", "M", "N", "P", "S", "Zs"]) | st.sampled_from("<>&\"'\t\n")
)
any_text = st.text(st.characters(codec="utf-8"))


def local(node: ET.Element) -> str:
    """An element's name without its namespace."""
    return node.tag.rpartition("}")[2]


@given(xml_text)
def test_text_is_read_back_as_it_was(value: str) -> None:
    """A key with any character that XML has comes out of a client's parser unchanged."""
    root = ET.fromstring(xml.document("Root", xml.element("Key", value)))  # noqa: S314 - our own
    assert [local(child) for child in root] == ["Key"]
    assert (root[0].text or "") == value


@given(any_text)
def test_no_text_can_break_out_of_its_element(value: str) -> None:
    """Whatever a key is made of, it adds no markup of its own: only references and text."""
    written = xml.text(value)
    assert not set('<>"') & set(written)
    assert written.count("&") == written.count(";") - value.count(";")


def test_control_characters_are_written_as_references() -> None:
    """Characters that XML 1.0 has no way to carry are written as Amazon writes them."""
    assert xml.text("a\x01\r\x7f\uffff") == "a&#x1;&#xd;&#x7f;&#xffff;"


def test_elements_show_what_they_are_given() -> None:
    """Numbers and truth values have S3's spelling, None leaves no element, an empty string leaves an empty one."""
    assert xml.element("A", None) == ""
    assert xml.element("A", "") == "<A></A>"
    assert xml.element("A", 5) == "<A>5</A>"
    assert xml.element("A", True) == "<A>true</A>"  # noqa: FBT003 - it is the content
    assert xml.element("A", False) == "<A>false</A>"  # noqa: FBT003 - same


@given(st.integers(0, 253_402_300_799_999_999))
def test_timestamps_have_milliseconds(microseconds: int) -> None:
    """Times are ISO 8601 with three digits of a second, cut off, never rounded into the future."""
    shown = xml.timestamp(microseconds)
    assert len(shown) == len("2026-01-31T12:00:00.000Z")
    assert shown.endswith(f".{microseconds // 1000 % 1000:03d}Z")


def test_a_document_is_parsed_with_and_without_its_namespace() -> None:
    """Some clients leave S3's namespace out; names are compared without it."""
    for attribute in (f' xmlns="{xml.NAMESPACE}"', "", ' xmlns:a="urn:b"'):
        root = xml.parse(f"<Delete{attribute}><Object><Key>k</Key></Object></Delete>".encode(), "Delete")
        assert [child.tag for child in root.iter()] == ["Delete", "Object", "Key"]


BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE Delete [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>
<Delete><Object><Key>&d;</Key></Object></Delete>"""


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"Delete", id="no markup"),
        pytest.param(b"<Delete>", id="not closed"),
        pytest.param(b"<Delete></delete>", id="closed by another name"),
        pytest.param(b"<Other/>", id="another root"),
        pytest.param(b"<Delete/><Delete/>", id="two roots"),
        pytest.param(b"<Delete/>trailing", id="trailing text"),
        pytest.param(b"<Delete>\0</Delete>", id="NUL"),
        pytest.param(b"<Delete>&#0;</Delete>", id="NUL by reference"),
        pytest.param(b"<Delete>&#xD800;</Delete>", id="surrogate by reference"),
        pytest.param(b"<Delete>\xff</Delete>", id="not UTF-8"),
        pytest.param(b"<Delete>&unknown;</Delete>", id="unknown entity"),
        pytest.param(b'<Delete a="1" a="2"/>', id="attribute twice"),
        pytest.param(b'<?xml version="1.0" encoding="no-such"?><Delete/>', id="unknown encoding"),
        pytest.param(b'<?xml version="1.0" encoding="utf-7"?><Delete/>', id="odd encoding"),
        pytest.param(b"<!DOCTYPE Delete><Delete/>", id="DTD"),
        pytest.param(b'<!DOCTYPE Delete SYSTEM "file:///etc/passwd"><Delete/>', id="external DTD"),
        pytest.param(BOMB, id="billion laughs"),
        pytest.param(
            b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>',
            id="external entity",
        ),
        pytest.param(b'<!DOCTYPE d [<!ENTITY % x SYSTEM "http://127.0.0.1:9/">%x;]><Delete/>', id="parameter entity"),
        pytest.param(b"<Delete>" + b"<a>" * 300_000, id="deep and not closed"),
        pytest.param(b"<Delete>" + b" " * xml.MAX_DOCUMENT + b"</Delete>", id="too large"),
    ],
)
def test_what_is_no_plain_document_is_refused(document: bytes) -> None:
    """Entities, DTDs, malformed and oversized documents are MalformedXML; nothing is fetched or expanded."""
    with pytest.raises(errors.MalformedXML):
        xml.parse(document, "Delete")


def test_deep_nesting_is_no_danger() -> None:
    """A document nested two hundred thousand deep is read and let go of without exhausting any stack."""
    depth = 200_000
    root = xml.parse(b"<Delete>" + b"<a>" * depth + b"</a>" * depth + b"</Delete>", "Delete")
    with pytest.raises(errors.MalformedXML):
        xml.only(root, ("Object",))
    del root


@given(st.binary(max_size=300) | st.text("<>/&;!?[]=\"' DeletOBJCa\n").map(str.encode))
def test_any_bytes_are_a_document_or_malformed(data: bytes) -> None:
    """Nothing that comes in raises anything but MalformedXML."""
    try:
        root = xml.parse(data, "Delete")
    except errors.MalformedXML:
        return
    assert root.tag == "Delete"


def test_children_are_wanted_once() -> None:
    """A child that is given twice is refused, rather than one of the two believed."""
    twice = xml.parse(b"<Object><Key>a</Key><Key>b</Key></Object>", "Object")
    with pytest.raises(errors.MalformedXML):
        xml.required(twice, "Key")
    with pytest.raises(errors.MalformedXML):
        xml.optional(twice, "Key")
    once = xml.parse(b"<Object><Key/></Object>", "Object")
    assert xml.required(once, "Key") == ""
    assert xml.optional(once, "VersionId") is None
    with pytest.raises(errors.MalformedXML):
        xml.required(once, "VersionId")
