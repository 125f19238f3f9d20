"""How values and tables look: Pachyderm's sizes, ages and columns.

Pure functions. Nothing here knows what it prints about.

There are two editions of Pachyderm's tables. That of 1.9, in which the guide to its S3 gateway is written (seed 004),
knows no projects; the later one (2.x) has columns for project, creator and description. We print the first where nobody
named a project, and the second where somebody did (``--project``, ``-A``).

Source: docker's go-units (HumanDuration, BytesSize) and Go's text/tabwriter, as Pachyderm uses them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from tidegate.cli.values import printable

# What stands in a cell that has nothing to show; for a commit's parent Pachyderm has a word.
NOTHING: Final = "-"
NO_PARENT: Final = "<none>"
# A column is as wide as its longest cell and this.
_PADDING: Final = 1
# After so many lines of a table, its header is one of them again.
_LINES: Final = 50

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_STEP: Final = 1024

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24
_WEEK: Final = 7 * _DAY
_MONTH: Final = 30 * _DAY
_YEAR: Final = 365 * _DAY


def size(number: int) -> str:
    """Bytes with four digits, by 1024: ``0B``, ``62B``, ``1.019MiB``, ``68.57MiB``."""
    value, unit = float(number), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value /= _STEP
        unit += 1
    return f"{value:.4g}{_UNITS[unit]}"


def exact(number: int) -> str:
    """Bytes as somebody may have typed them, and nothing rounded: ``100M``, ``64MiB``, ``1025B``."""
    for step, suffix in ((1000, ""), (1024, "iB")):
        for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
            if number and not number % step**power:
                return f"{number // step**power}{letter}{suffix}"
    return f"{number}B"


def span(seconds: float) -> str:
    """A time span in words: ``Less than a second``, ``12 seconds``, ``About an hour``, ``6 days``."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < _MINUTE:
        return _several(whole, "second")
    if whole < _HOUR:
        return "About a minute" if whole < 2 * _MINUTE else _several(whole // _MINUTE, "minute")
    hours = int(seconds / _HOUR + 0.5)
    if hours < 2 * _DAY:
        return "About an hour" if hours == 1 else _several(hours, "hour")
    for longest, unit, name in ((2 * _WEEK, _DAY, "day"), (2 * _MONTH, _WEEK, "week"), (2 * _YEAR, _MONTH, "month")):
        if hours < longest:
            return _several(hours // unit, name)
    return _several(whole // _HOUR // _YEAR, "year")


def _several(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def age(moment: dt.datetime | None, *, is_full: bool = False, now: dt.datetime | None = None) -> str:
    """How long ago something was, in words; with ``is_full`` when, in RFC 3339. ``-`` for what was not."""
    if moment is None:
        return NOTHING
    if is_full:
        return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{span(((now or dt.datetime.now(dt.UTC)) - moment).total_seconds())} ago"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], minimal: Sequence[int] = ()) -> Iterator[str]:
    """The lines of a table, as rows come: columns are as wide as they must be within each 50 lines, after which the
    header comes again. ``minimal`` are the widths that columns have at least.
    """
    block: list[Sequence[str]] = [header]
    for row in rows:
        if len(block) == _LINES:
            yield from _lines(block, minimal)
            block = [header]
        block.append([printable(cell) for cell in row])
    yield from _lines(block, minimal)


def _lines(block: Sequence[Sequence[str]], minimal: Sequence[int]) -> Iterator[str]:
    widths = [max(map(len, column)) + _PADDING for column in zip(*block, strict=True)]
    for index, least in enumerate(minimal):
        widths[index] = max(widths[index], least)
    for row in block:
        yield "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def details(values: Mapping[str, str | None]) -> str:
    """What ``inspect`` shows: a line for each value that is there."""
    return "\n".join(f"{name}: {printable(value)}".rstrip() for name, value in values.items() if value is not None)
