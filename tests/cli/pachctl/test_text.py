"""How values look: sizes, ages, tables."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.pachctl import repos, text

MIB = 1024 * 1024
HOUR, DAY = 3600, 86_400
NOW = dt.datetime(2019, 7, 18, 21, 40, tzinfo=dt.UTC)

# The guide's, but for the indentation.
SEED = """\
NAME               CREATED                    SIZE (MASTER)
test               About an hour ago          0B
train              6 days ago                 68.57MiB
pre_process        6 days ago                 1.18MiB
split              6 days ago                 1.019MiB
raw_data           6 days ago                 2.561MiB"""


def test_the_table_of_the_guide() -> None:
    """``list repo`` prints the guide's table, to the byte."""
    made = [
        ("test", 3900, 0),
        ("train", 6 * DAY, round(68.57 * MIB)),
        ("pre_process", 6 * DAY, round(1.18 * MIB)),
        ("split", 6 * DAY, round(1.019 * MIB)),
        ("raw_data", 6 * DAY, 2_685_061),
    ]
    rows = [(name, text.age(NOW - dt.timedelta(seconds=ago), now=NOW), text.size(size)) for name, ago, size in made]
    assert "\n".join(text.table(repos.HEADER, rows, repos.SEED_WIDTHS)) == SEED


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0B"),
        (62, "62B"),
        (999, "999B"),
        (1000, "1000B"),
        (1023, "1023B"),
        (1024, "1KiB"),
        (1536, "1.5KiB"),
        (2_685_061, "2.561MiB"),
        (1024**2 - 1, "1024KiB"),
        (5 * 1024**4, "5TiB"),
        (2**80, "1YiB"),
    ],
)
def test_sizes(number: int, shown: str) -> None:
    """Bytes are shown by 1024 with four digits."""
    assert text.size(number) == shown


@given(st.integers(0, 2**80))
def test_sizes_are_short(number: int) -> None:
    """A size of any file or repository fits a column, and has no exponent."""
    shown = text.size(number)
    assert len(shown) <= 9
    assert "e" not in shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(100_000_000, "100M"), (64 * MIB, "64MiB"), (1024, "1KiB"), (1025, "1025B"), (3_000_000_000, "3G"), (0, "0B")],
)
def test_sizes_that_somebody_typed(number: int, shown: str) -> None:
    """A trigger's size is shown as it was typed, and never rounded."""
    assert text.exact(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (12, "12 seconds"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (300, "5 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (1.49 * HOUR, "About an hour"),
        (1.5 * HOUR, "2 hours"),
        (7 * HOUR, "7 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (6 * DAY, "6 days"),
        (13 * DAY, "13 days"),
        (21 * DAY, "3 weeks"),
        (60 * DAY, "2 months"),
        (120 * DAY, "4 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_spans(seconds: float, shown: str) -> None:
    """Spans are in words, as docker's go-units has them."""
    assert text.span(seconds) == shown


def test_ages() -> None:
    """An age says how long ago, or with --full-timestamps when, in UTC; what was not is a dash."""
    moment = dt.datetime(2019, 7, 18, 13, 32, 44, 500_000, tzinfo=dt.timezone(dt.timedelta(hours=-7)))
    assert text.age(moment, now=NOW) == "About an hour ago"
    assert text.age(moment, is_full=True) == "2019-07-18T20:32:44Z"
    assert text.age(None) == "-"


def test_columns() -> None:
    """A column is as wide as its longest cell and a space, and lines have no spaces at their ends."""
    assert list(text.table(("NAME", "TYPE", "SIZE"), [("/a", "file", "1B"), ("/longer", "dir", "")])) == [
        "NAME    TYPE SIZE",
        "/a      file 1B",
        "/longer dir",
    ]


def test_a_long_table() -> None:
    """After each 50 lines the header comes again, and columns are as wide as the next 50 need."""
    lines = list(text.table(("NUMBER", "X"), ((str(number) + "-" * (number == 60) * 10, "x") for number in range(100))))
    assert [index for index, line in enumerate(lines) if line.startswith("NUMBER")] == [0, 50, 100]
    assert len(lines) == 103
    assert lines[49] == "48     x"
    assert lines[51] == "49           x"


def test_an_empty_table() -> None:
    """Where there is nothing the header says of what."""
    assert list(text.table(("NAME", "TYPE"), [])) == ["NAME TYPE"]


def test_names_that_a_terminal_would_obey() -> None:
    """Control characters in a name are shown, not sent."""
    assert list(text.table(("NAME",), [("a\x1b[2Jb\nc",)]))[1] == "a\\x1b[2Jb\\x0ac"
    assert text.details({"Name": "a\nb", "Left out": None, "Empty": ""}) == "Name: a\\x0ab\nEmpty:"
