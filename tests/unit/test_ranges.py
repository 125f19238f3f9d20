"""A Range header selects the bytes that RFC 9110 says, and what it does not say is ignored, never guessed."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.s3.ranges import evaluate, parse_copy_range

sizes = st.integers(0, 30) | st.integers(0, 2**63 - 1)


@pytest.mark.parametrize(
    ("header", "selected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 10)),
        ("bytes=9-", (9, 1)),
        ("bytes=3-5", (3, 3)),
        ("bytes=3-99", (3, 7)),
        ("bytes=-1", (9, 1)),
        ("bytes=-10", (0, 10)),
        ("bytes=-99", (0, 10)),
        ("Bytes = 3 - 5", (3, 3)),
        ("bytes=00003-000005", (3, 3)),
        (f"bytes=3-{'9' * 40}", (3, 7)),
        (f"bytes=-{'9' * 40}", (0, 10)),
    ],
)
def test_a_range_selects_its_bytes(header: str, selected: tuple[int, int]) -> None:
    """Of an object with ten bytes, first and last byte are both inclusive, and the end is cut off at the object's."""
    assert evaluate(header, 10) == selected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=0x0-0x5",
        "bytes=-1-2",
        "bytes=+1-2",
        "bytes=1-2,4-5",
        "bytes=1-2;4-5",
        "bytes=1.0-2",
        "bytes=١-٢",
        "items=0-1",
        "0-1",
        f"bytes=3-{'9' * 41}",
        f"bytes=-{'9' * 100_000}",
    ],
)
def test_what_is_no_single_range_is_ignored(header: str) -> None:
    """A malformed Range, another unit and several ranges leave the whole object to be answered, as S3 does."""
    assert evaluate(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=0-0", 0), ("bytes=-5", 0)],
)
def test_a_range_without_a_byte_cannot_be_satisfied(header: str, size: int) -> None:
    """A range that begins behind the object, or selects nothing, is 416 with the object's size in it."""
    with pytest.raises(errors.InvalidRange) as raised:
        evaluate(header, size)
    assert raised.value.fields == {"ActualObjectSize": str(size), "RangeRequested": header}


@given(size=sizes, first=sizes, last=sizes)
def test_first_and_last_select_what_a_slice_does(size: int, first: int, last: int) -> None:
    """``bytes=first-last`` is ``object[first : last + 1]``, ignored where turned round, refused where empty."""
    expected = range(size)[first : last + 1]
    if last < first:
        assert evaluate(f"bytes={first}-{last}", size) is None
    elif not expected:
        with pytest.raises(errors.InvalidRange):
            evaluate(f"bytes={first}-{last}", size)
    else:
        assert evaluate(f"bytes={first}-{last}", size) == (expected[0], len(expected))


@given(size=sizes, count=sizes)
def test_a_suffix_selects_the_last_bytes(size: int, count: int) -> None:
    """``bytes=-count`` is the last ``count`` bytes, or all of them where the object has fewer."""
    if not min(size, count):
        with pytest.raises(errors.InvalidRange):
            evaluate(f"bytes=-{count}", size)
    else:
        length = min(size, count)
        assert evaluate(f"bytes=-{count}", size) == (size - length, length)


@given(header=st.text() | st.text("bytes=0123456789-, \t"), size=sizes)
@example(header="bytes=\n0-1\n", size=5)
def test_no_header_selects_what_is_not_there(header: str, size: int) -> None:
    """Whatever the header is, it is ignored, refused with 416, or selects at least one byte within the object."""
    try:
        selected = evaluate(header, size)
    except errors.InvalidRange:
        return
    if selected is not None:
        start, length = selected
        assert 0 <= start < start + length <= size


def test_a_copy_range_has_both_ends() -> None:
    """``x-amz-copy-source-range`` gives the first and the last byte."""
    assert parse_copy_range("bytes=0-9") == (0, 9)
    assert parse_copy_range("bytes=7-7") == (7, 7)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes=0-",
        "bytes=-5",
        "bytes=5-4",
        "0-9",
        "bytes=0-9,11-12",
        "bytes = 0-9",
        "BYTES=0-9",
        "bytes=0-" + "9" * 20,
    ],
)
def test_any_other_copy_range_is_refused(header: str) -> None:
    """A copy range is never ignored: a part of other bytes than were meant would be stored."""
    with pytest.raises(errors.InvalidArgument):
        parse_copy_range(header)
