"""Sizes and time spans as they are typed, and texts that a terminal may print."""

from __future__ import annotations

import pytest

from tidegate import errors
from tidegate.cli import values


@pytest.mark.parametrize(
    ("given", "bytes"),
    [("10", 10), ("0", 0), ("1KiB", 1024), ("1kb", 1000), ("1.5MiB", 1_572_864), ("2G", 2_000_000_000), (" 7B ", 7)],
)
def test_sizes_are_read(given: str, bytes: int) -> None:
    """Sizes are written as people write them."""
    assert values.parse_size(given) == bytes


@pytest.mark.parametrize("given", ["", "x", "-1", "1iB", "1 2", "1e3", "KiB"])
def test_no_sizes_are_refused(given: str) -> None:
    """What is no size is said to be none."""
    with pytest.raises(errors.InvalidArgument, match="invalid size"):
        values.parse_size(given)


@pytest.mark.parametrize(
    ("given", "seconds"), [("10s", 10), ("1h30m", 5400), ("250ms", 0.25), ("7", 7), ("1m1.5s", 61.5)]
)
def test_durations_are_read(given: str, seconds: float) -> None:
    """Time spans are read as Go writes them; a mere number is seconds."""
    assert values.parse_duration(given) == pytest.approx(seconds)


@pytest.mark.parametrize("given", ["", "x", "10x", "1h-"])
def test_no_durations_are_refused(given: str) -> None:
    """What is no time span is said to be none."""
    with pytest.raises(errors.InvalidArgument, match="invalid duration"):
        values.parse_duration(given)


def test_what_a_terminal_would_obey() -> None:
    """Control characters are shown, not sent."""
    assert values.printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\x0ac"
