"""Conditional requests are decided in the order of RFC 9110 section 13.2.2, for reads, copies and writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.clock import SECOND
from tidegate.model import EMPTY, Attributes, Version
from tidegate.preconditions import NONE, Preconditions, parse_etags

NOW = 1_700_000_000 * SECOND
ETAG, OTHER = "0123", "4567"

tags = st.none() | st.lists(st.sampled_from([ETAG, OTHER, "*"]), max_size=3).map(tuple)
times = st.none() | st.integers(-2, 2).map(lambda seconds: NOW + seconds * SECOND)
conditions = st.builds(Preconditions, tags, tags, times, times, st.none() | st.sampled_from([4, 5]), times)


def version(modified: int = NOW, etag: str = ETAG) -> Version:
    """An object of this age and ETag."""
    return Version("key", 1, "", 5, etag, modified, "STANDARD", 1, Attributes(), EMPTY)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"abc"', ("abc",)),
        ("abc", ("abc",)),
        ("*", ("*",)),
        ('"abc", "def"', ("abc", "def")),
        ('W/"abc"', ("abc",)),
        ('"abc-2",,', ("abc-2",)),
        ("", ()),
        (" ", ()),
    ],
)
def test_etags_are_read_with_and_without_quotes(value: str, expected: tuple[str, ...]) -> None:
    """Clients write entity tags in several ways; all name the same object."""
    assert parse_etags(value) == expected


@given(st.text())
def test_any_text_is_a_list_of_etags(value: str) -> None:
    """No If-Match field breaks the reader, and no tag in it keeps blanks around it."""
    assert all(tag == tag.strip() or tag != "" for tag in parse_etags(value))


def outcome_of_read(condition: Preconditions, found: Version) -> str:
    """The status of a read."""
    try:
        condition.check_read(found)
    except errors.PreconditionFailed:
        return "412"
    except errors.NotModified:
        return "304"
    return "200"


def expected_of_read(condition: Preconditions, found: Version) -> str:
    """RFC 9110 section 13.2.2, step by step."""
    modified = found.modified // SECOND

    def matches(tags: tuple[str, ...]) -> bool:
        return any(tag in ("*", found.etag) for tag in tags)

    if condition.if_match is not None:  # 1
        if not matches(condition.if_match):
            return "412"
    elif condition.if_unmodified_since is not None and modified > condition.if_unmodified_since // SECOND:  # 2
        return "412"
    if condition.if_none_match is not None:  # 3
        if matches(condition.if_none_match):
            return "304"
    elif condition.if_modified_since is not None and modified <= condition.if_modified_since // SECOND:  # 4
        return "304"
    return "200"


@given(conditions, st.integers(-SECOND, SECOND - 1))
def test_reads_follow_the_rfc(condition: Preconditions, microseconds: int) -> None:
    """Entity tags take precedence over times, failures over "not modified", and times count in whole seconds."""
    found = version(NOW + microseconds)
    assert outcome_of_read(condition, found) == expected_of_read(condition, found)


@given(conditions, st.integers(-SECOND, SECOND - 1))
def test_a_copy_has_no_not_modified(condition: Preconditions, microseconds: int) -> None:
    """What a read answers with 304, a copy refuses with 412."""
    found = version(NOW + microseconds)
    if expected_of_read(condition, found) == "200":
        condition.check_copy_source(found)
    else:
        with pytest.raises(errors.PreconditionFailed):
            condition.check_copy_source(found)


def test_not_modified_names_the_object() -> None:
    """A 304 carries the ETag of what the client has (RFC 9110 section 15.4.5)."""
    with pytest.raises(errors.NotModified) as raised:
        Preconditions(if_none_match=(ETAG,)).check_read(version())
    assert raised.value.fields == {"etag": ETAG}


def outcome_of_write(condition: Preconditions, current: Version | None) -> str:
    """The status of a write or delete."""
    try:
        condition.check_write(current)
    except errors.PreconditionFailed:
        return "412"
    except errors.NoSuchKey:
        return "404"
    return "200"


@pytest.mark.parametrize(
    ("condition", "there", "absent"),
    [
        (NONE, "200", "200"),
        (Preconditions(if_none_match=("*",)), "412", "200"),
        (Preconditions(if_none_match=(ETAG,)), "412", "200"),
        (Preconditions(if_none_match=(OTHER,)), "200", "200"),
        (Preconditions(if_match=(ETAG,)), "200", "404"),
        (Preconditions(if_match=("*",)), "200", "404"),
        (Preconditions(if_match=(OTHER,)), "412", "404"),
        (Preconditions(if_match=()), "412", "404"),
        (Preconditions(if_match_size=5), "200", "404"),
        (Preconditions(if_match_size=4), "412", "404"),
        (Preconditions(if_match_modified=NOW), "200", "404"),
        (Preconditions(if_match_modified=NOW + SECOND), "412", "404"),
        (Preconditions(if_match_modified=NOW - SECOND), "412", "404"),
        (Preconditions(if_match=(ETAG,), if_match_size=4), "412", "404"),
    ],
)
def test_writes_depend_on_what_they_replace(condition: Preconditions, there: str, absent: str) -> None:
    """A write that names what it replaces goes on only if that is what is there; 404 where nothing is."""
    assert outcome_of_write(condition, version(NOW + SECOND - 1)) == there
    assert outcome_of_write(condition, None) == absent


@given(conditions)
def test_a_write_passes_only_if_every_condition_holds(condition: Preconditions) -> None:
    """No combination of conditions lets a write through that one of them alone would refuse."""
    alone = [
        Preconditions(if_match=condition.if_match),
        Preconditions(if_none_match=condition.if_none_match),
        Preconditions(if_match_size=condition.if_match_size),
        Preconditions(if_match_modified=condition.if_match_modified),
    ]
    for current in (version(), None):
        every = all(outcome_of_write(one, current) == "200" for one in alone)
        assert (outcome_of_write(condition, current) == "200") is every
