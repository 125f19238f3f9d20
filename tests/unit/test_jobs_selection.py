"""Selections of objects: lists of names, templates and prefixes."""

from __future__ import annotations

from itertools import islice

import pytest
from aistore.sdk.utils import expand_braces
from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.gateway.selection import (
    MAX_NAMES,
    MAX_SELECTED,
    Names,
    Prefix,
    Ranges,
    parse,
    parse_template,
    renaming,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="{}\0\\,"), max_size=8)
BOUND = st.integers(0, 120)


@st.composite
def ranges(draw: st.DrawFn) -> str:
    """A range as bash has it, with or without zeros in front and a step."""
    first, last = sorted((draw(BOUND), draw(BOUND)))
    width = draw(st.integers(0, 4))
    step = draw(st.none() | st.integers(1, 40))
    text = f"{str(first).zfill(width)}..{str(last).zfill(width)}"
    return "{" + (text if step is None else f"{text}..{step}") + "}"


@given(st.lists(TEXT, min_size=2, max_size=4), st.data())
def test_templates_expand_as_in_the_sdk(texts: list[str], data: st.DataObject) -> None:
    """What a template stands for is what AIStore's SDK says that it does, in the same order."""
    template = texts[0] + "".join(data.draw(ranges()) + text for text in texts[1:])
    selection = parse_template(template)
    assert isinstance(selection, Ranges)
    assume(selection.count <= 5000)
    assert list(selection.part(0, selection.count)) == list(expand_braces(template))


@given(st.lists(ranges(), min_size=1, max_size=3), st.integers(1, 50))
def test_parts_make_the_whole(numbers: list[str], size: int) -> None:
    """Going through a selection some names at a time meets every name once, wherever one goes on."""
    selection = parse_template("-".join(numbers))
    assert isinstance(selection, Ranges)
    assume(selection.count <= 2000)
    found: list[str] = []
    while part := selection.part(len(found), size):
        found += part
    assert found == list(selection.part(0, selection.count))
    assert len(found) == selection.count


@given(st.text(max_size=40))
def test_any_template_is_understood_or_refused(template: str) -> None:
    """A template is a prefix, a bounded number of names, or an error of the client's."""
    try:
        selection = parse_template(template)
    except errors.InvalidArgument:
        return
    except UnicodeEncodeError:  # no text that JSON could carry
        return
    if isinstance(selection, Prefix):
        assert selection.prefix == template
        assert not set(template) & set("{}\0")
    else:
        assert 0 < selection.count <= MAX_SELECTED
        assert len(list(islice(selection.part(0, 10), 10))) == min(10, selection.count)


@pytest.mark.parametrize(
    "template",
    ["{", "}", "a{1..2", "{1..2}}", "{2..1}", "{1..2..0}", "{a..b}", "{1,2}", "{-1..2}", "{1..2.5}", "{}", "a\0b{1..2}",
     "{0..99999999}", "{0..9}" * 8, "{0..1}" * 11, "{0..9999999999999999}", "{0..999999999999999}" * 5, "x" * 1025],
)  # fmt: skip
def test_templates_that_make_no_sense_are_refused(template: str) -> None:
    """Braces that hold no range, ranges that go nowhere, and more names than anybody means."""
    with pytest.raises(errors.InvalidArgument):
        parse_template(template)


def test_a_range_may_be_large() -> None:
    """As many names as are allowed cost nothing to name one of."""
    selection = parse_template("a/{0000000..9999999}.x")
    assert isinstance(selection, Ranges)
    assert selection.count == MAX_SELECTED
    assert list(selection.part(MAX_SELECTED - 1, 5)) == ["a/9999999.x"]


def test_lists_have_limits() -> None:
    """A list is neither empty nor endless, and holds what can be called so, once."""
    assert parse(["b", "a", "b"], None) == Names(("b", "a"))
    for names in ([], [""], ["a\0"], ["a"] * (MAX_NAMES + 1)):
        with pytest.raises(errors.InvalidArgument):
            parse(names, None)
    with pytest.raises(errors.KeyTooLongError):
        parse(["ü" * 513], None)
    with pytest.raises(errors.InvalidArgument):
        parse(None, None)
    with pytest.raises(errors.InvalidArgument):
        parse(["a"], "b")


@pytest.mark.parametrize(
    ("key", "name"),
    [("a.jpg", "p-a.txt"), ("a.jpg.png", "p-a.jpg.png"), ("jpg", "p-jpg"), ("a.tar.gz", "p-a.tgz"), ("a.gz", "p-a.z"),
     ("x.jpg/y", "p-x.jpg/y")],
)  # fmt: skip
def test_copies_are_renamed(key: str, name: str) -> None:
    """The longest extension that fits is replaced, at the end only."""
    assert renaming("p-", {"jpg": "txt", ".tar.gz": ".tgz", "gz": "z"}).name(key) == name


@pytest.mark.parametrize("extensions", [{"": "a"}, {"a": ""}, {"a/b": "c"}, {"a": "b/c"}, {"a": "\0"}])
def test_extensions_are_extensions(extensions: dict[str, str]) -> None:
    """Nothing else is replaced."""
    with pytest.raises(errors.InvalidArgument):
        renaming("", extensions)
