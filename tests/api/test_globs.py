"""Patterns mean what they are said to mean, and take no longer than they may."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.api.globs import Glob

# Few letters, so that something matches.
PATHS = st.text("ab/.-", min_size=1, max_size=12)
PIECES = ["a", "b", "/", ".", "-", "*", "**", "?", "[ab]", "[!a]", "[a-b.]", "{a,b/}", "{,*}", "\\*"]
PATTERNS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)

_EXPRESSIONS = {
    "*": "[^/]*",
    "**": ".*",
    "?": "[^/]",
    "[ab]": "[ab]",
    "[!a]": "[^a/]",
    "[a-b.]": "[a-b.]",
    "{a,b/}": "(?:a|b/)",
    "{,*}": "(?:|[^/]*)",
    "\\*": "\\*",
}


def expression(pattern: str) -> str:
    """The regular expression that means the same. ``***`` is ``**`` and ``*``."""
    pieces = re.findall(r"\*\*|\{[^}]*\}|\[[^\]]*\]|\\.|.", pattern)
    return "".join(_EXPRESSIONS.get(piece) or re.escape(piece) for piece in pieces)


@given(PATTERNS, PATHS)
@example("{,*}{,*}a", "/a")
@example("*{,*}*a", "b/a")
@example("\\*{,*}", "*b")
@example("{,*}**", "a/b")
def test_a_pattern_means_what_a_regular_expression_would(pattern: str, path: str) -> None:
    """Letter by letter, for files."""
    path = path.rstrip("/") or "a"
    alternatives = [pattern.replace("{a,b/}", one).replace("{,*}", two) for one in ("a", "b/") for two in ("", "*")]
    if not any(each.endswith("/") or not each for each in alternatives):
        assert Glob(pattern).matches(path) == bool(re.fullmatch(expression(pattern), path, re.DOTALL))


@given(PATTERNS, PATHS)
def test_nothing_is_missed_on_the_way(pattern: str, path: str) -> None:
    """What matches is below where matches begin, and in directories where a match may be."""
    glob = Glob(pattern)
    if glob.matches(path):
        assert path.startswith(glob.start)
        for cut in (position for position, letter in enumerate(path[:-1]) if letter == "/"):
            assert glob.may_be_in(path[: cut + 1])
        if not glob.is_deep:
            assert path.rstrip("/").count("/") <= pattern.replace("{a,b/}", "/").count("/")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("dir", "dir/", True),
        ("dir/", "dir/", True),
        ("dir/", "dir", False),
        ("*", "/", True),
        ("?", "/", False),
        ("[]]", "]", True),
        ("[a]]", "a]", True),
        ("[^a]", "b", True),
        ("[\\]]", "]", True),
        ("[*]", "*", True),
        ("[!a]", "/", False),
        ("[+-0]", "/", False),
        ("{a,{b,c}}d", "cd", True),
        ("{a}", "a", True),
        ("a,b", "a,b", True),
        ("\\{a,b\\}", "{a,b}", True),
        ("(a)", "(a)", True),
        ("\\@(a)", "@(a)", True),
        ("a\nb?", "a\nb\n", True),
        ("?", "😀", True),
    ],
)
def test_what_is_easily_got_wrong(pattern: str, path: str, expected: bool) -> None:  # noqa: FBT001
    """One by one."""
    assert Glob(pattern).matches(path) is expected


@given(st.text("*?[]{}!^-,\\/@+(ab", max_size=20))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    """It never fails otherwise."""
    with suppress(errors.InvalidArgument):
        Glob(pattern).matches("a/b")


def test_no_pattern_takes_forever() -> None:
    """Work grows with the lengths of both, not with the ways there are to match."""
    pattern, path = "*a" * 300 + "b", "a" * 1024
    assert not Glob(pattern).matches(path)  # for which a matcher that tries one way after the other has no time
    assert not Glob("**a" * 200 + "b").matches(path)
