"""How values and tables look."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli import values
from tidegate.cli.ais import text


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0B"),
        (11, "11B"),
        (1023, "1023B"),
        (1024, "1.00KiB"),
        (1075, "1.05KiB"),
        (10_689, "10.44KiB"),
        (71_671, "69.99KiB"),
        (384_000, "375.00KiB"),
        (53_452_800, "50.98MiB"),
        (81_472_612, "77.70MiB"),
        (3 * 1024**4, "3.00TiB"),
        (2**64, "16.00EiB"),
    ],
)
def test_sizes_as_the_guides_show_them(number: int, shown: str) -> None:
    """Bytes are shown by 1024 with two decimals, below that as they are."""
    assert text.size(number) == shown


def test_sizes_in_other_units() -> None:
    """--units si counts by 1000, raw shows the mere number."""
    assert text.size(10_689, "si") == "10.69KB"
    assert text.size(999, "si") == "999B"
    assert text.size(10_689, "raw") == "10689"


@given(st.integers(0, 2**63))
def test_raw_sizes_are_read_as_they_are_shown(number: int) -> None:
    """A number of bytes survives being shown and read."""
    assert values.parse_size(text.size(number, "raw")) == number


@given(st.integers(0, 2**62))
def test_shown_sizes_are_close(number: int) -> None:
    """A shown size is right to two decimals of its unit."""
    assert abs(values.parse_size(text.size(number)) - number) <= max(number * 0.006, 1)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.012, "12ms"), (3.4, "3.4s"), (3.0, "3s"), (125, "2m5s"), (3605, "1h0m5s")]
)
def test_durations(seconds: float, shown: str) -> None:
    """Time spans are short."""
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2020-12-08T11:25:30Z", "08 Dec 20 11:25 UTC"),
        ("1607426730000000000", "08 Dec 20 11:25 UTC"),
        ("", ""),
        ("0", ""),
        ("0001-01-01T00:00:00Z", ""),
        ("08 Dec 20 11:25 PST", "08 Dec 20 11:25 PST"),
    ],
)
def test_times_in_tables(given: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time is shown as AIStore does, in the local zone; a zero time is nothing, and what is none stays as it is."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        assert text.rfc822(given) == shown
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_table_pads_its_columns() -> None:
    """Columns are as wide as their widest cell, and lines have no spaces at their ends."""
    assert text.table(("NAME", "SIZE"), [("a", "1B"), ("longer", "")]).split("\n") == [
        "NAME     SIZE",
        "a        1B",
        "longer",
    ]


def test_a_table_without_heading() -> None:
    """--no-headers leaves the rows."""
    assert text.table(("NAME", "SIZE"), [("a", "1B")], has_header=False) == "a   1B"


def test_a_table_that_comes_in_pages() -> None:
    """The heading comes once, and a later page is never narrower than those before it."""
    table = text.Table(("NAME", "SIZE"))
    assert table.lines([("longer", "1B")]) == ["NAME     SIZE", "longer   1B"]
    assert table.lines([("a", "2B")]) == ["a        2B"]


def test_names_that_a_terminal_would_obey() -> None:
    """Control characters in a name are shown, not sent."""
    assert text.table(("NAME",), [("a\x1b[2Jb\nc",)], has_header=False) == "a\\x1b[2Jb\\x0ac"


def test_values_of_properties() -> None:
    """Truth is written in lower case, and what is empty as a dash."""
    shown = text.properties({"a.b": True, "c": "", "d": 3, "e": None})
    assert [line.split() for line in shown.splitlines()] == [
        ["PROPERTY", "VALUE"],
        ["a.b", "true"],
        ["c", "-"],
        ["d", "3"],
        ["e", "-"],
    ]
