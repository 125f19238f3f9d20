"""Patterns of clients match what Python's would, and cost no more than their length times that of the text."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.gateway.matching import Mode, matcher, sample_key
from tidegate.gateway.regexp import MAX_PATTERN, Pattern

_atoms = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        ".",
        "^",
        "$",
        "[ab]",
        "[^a]",
        "[a-c1]",
        r"\.",
        r"\d",
        r"\W",
        r"[\w.]",
        r"[^\d]",
        r"\b",
        r"\B",
        "-",
        "é",
    ]
)
_repeats = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "{0,1}?"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(st.sampled_from(["({})", "(?:{})", "(?P<n>{})"]), inner, _repeats).map(
            lambda made: made[0].format(made[1]) + made[2]
        ),
    )


_patterns = st.recursive(
    st.tuples(_atoms, _repeats).map(lambda pair: pair[0] if pair[0] in {"^", "$", r"\b", r"\B"} else "".join(pair)),
    _grow,
    max_leaves=8,
)
_texts = st.text("aab1c.-_ é\n", max_size=12)


@given(_patterns, _texts)
@example("(a*)*b", "aaaab")
@example("(|a)+", "b")
@example(r"(?i)[^A]", "a")
@example("", "")
@example("x{0}", "y")
def test_a_pattern_matches_as_in_python(pattern: str, text: str) -> None:
    """For what both of them know."""
    assume(text or r"\B" not in pattern)  # Python's finds no place in nothing, before 3.14
    try:
        # $ is the end here, as in RE2, not also the place before a last line break; names of groups may not repeat
        expected = re.compile(pattern.replace("$", r"\Z").replace("?P<n>", ""), re.ASCII)
    except re.error:
        assume(False)  # noqa: FBT003
        raise
    assert Pattern(pattern).search(text) == (expected.search(text) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("(?i)jpe?g$", "A.JPG", True),
        ("(?s)a.b", "a\nb", True),
        ("a.b", "a\nb", False),
        (r"\x41\x{42}", "AB", True),
        (r"[\x41-\x{43}]", "C", True),
        ("[]a]+$", "a]", True),
        ("[a-]$", "-", True),
        (r"\Aa\z", "a", True),
        (r"(?i)\D", "5", False),
        ("a{,2}", "a{,2}", True),
    ],
)
def test_syntax_of_re2(pattern: str, text: str, *, expected: bool) -> None:
    """What is not written as in Python, or means something else."""
    assert Pattern(pattern).search(text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "(", ")", "[", "[a", "a\\", "*", "a**", "a{2}{3}", "(?=a)", "(?<!a)", r"(a)\1", "[b-a]", "a{3,2}", "a{9999}",
        "(a{1000}){1000}", "((((){1000}){1000}){1000}){1000}", "(" * 60 + ")" * 60, "a" * (MAX_PATTERN + 1), r"\pL",
        "[[:alpha:]]", r"\x{110000}", "(?x)a",
    ],
)  # fmt: skip
def test_what_cannot_be_matched_in_linear_time_is_refused(pattern: str) -> None:
    """So is what is malformed or too large, at once."""
    with pytest.raises(errors.InvalidArgument):
        Pattern(pattern)


@given(st.text(r"ab(|)[]{}*+?.^$\\d1,-:<P!=", max_size=30), _texts)
def test_any_pattern_is_taken_or_refused(pattern: str, text: str) -> None:
    """No other error comes of it."""
    try:
        compiled = Pattern(pattern)
    except errors.InvalidArgument:
        return
    assert compiled.search(text) in {True, False}


def test_a_pattern_that_would_take_python_for_ever_is_matched() -> None:
    """It would take longer than the world exists, if it went back to try again."""
    assert not Pattern("(a+)+(a+)+(a+)+$").search("a" * 1000 + "b")
    assert not Pattern("(a|aa)+" * 50 + "$").search("a" * 1000 + "b")


@pytest.mark.parametrize(
    ("name", "key"),
    [("a/b.tar.gz", "a/b"), ("a.b/c.d.e", "a.b/c"), ("plain", "plain"), (".hidden", ""), ("a/", "a/")],
)
def test_the_key_of_a_sample(name: str, key: str) -> None:
    """All before the first dot of the file's name, folders with dots notwithstanding."""
    assert sample_key(name) == key
    assert matcher(Mode.WDSKEY, key)(name)
