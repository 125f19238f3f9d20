"""How values and tables look: AIStore's sizes, times and columns.

Pure functions. Nothing here knows what it prints about.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from tidegate.cli.values import printable

Units = Literal["iec", "si", "raw"]

_STEPS: Final[Mapping[str, tuple[int, tuple[str, ...]]]] = MappingProxyType(
    {"iec": (1024, ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")), "si": (1000, ("KB", "MB", "GB", "TB", "PB", "EB"))}
)
# What stands in a cell that has nothing to show.
NOTHING: Final = "-"
# Between the columns of a table.
_GAP: Final = 3
# Go's zero time, which AIStore's JSON has where there is no time.
_ZERO_TIME: Final = "0001-01-01"


def size(number: int, units: Units = "iec") -> str:
    """Bytes as AIStore prints them: ``0B``, ``1.05KiB``, ``50.98MiB``; ``raw`` is the mere number."""
    if units == "raw":
        return str(number)
    step, names = _STEPS[units]
    if number < step:
        return f"{number}B"
    value = number / step
    for name in names[:-1]:
        if value < step:
            return f"{value:.2f}{name}"
        value /= step
    return f"{value:.2f}{names[-1]}"


def duration(seconds: float) -> str:
    """A time span, short: ``12ms``, ``3.4s``, ``2m5s``, ``1h0m5s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s".replace(".0s", "s")
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def moment(text: str | int) -> dt.datetime | None:
    """A time of AIStore's, in the local zone: RFC 3339, or Unix nanoseconds. None where there is none."""
    text = str(text).strip()
    if not text or text.startswith(_ZERO_TIME):
        return None
    if text.isascii() and text.isdigit():
        nanoseconds = int(text)
        return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC).astimezone() if nanoseconds else None
    try:
        return dt.datetime.fromisoformat(text).astimezone()
    except ValueError:
        return None


def rfc822(text: str | int) -> str:
    """A time as AIStore's tables show it: ``08 Dec 20 11:25 PST``. What is no time we know stays as it is."""
    known = moment(text)
    if known is None:
        return "" if not text or str(text).startswith(_ZERO_TIME) or str(text) == "0" else str(text)
    return known.strftime("%d %b %y %H:%M %Z")


def clock(text: str | int) -> str:
    """A time of today as jobs show it: ``15:04:05``; ``-`` for none."""
    known = moment(text)
    return NOTHING if known is None else known.strftime("%H:%M:%S")


def rfc3339(text: str | int) -> str:
    """A time with its date and zone, to the second: ``2022-08-22T13:04:00-04:00``; ``-`` for none."""
    known = moment(text)
    return NOTHING if known is None else known.isoformat(timespec="seconds")


def value(of: object) -> str:
    """A property's value: ``true``, ``false``, ``-`` for what is empty."""
    if isinstance(of, bool):
        return "true" if of else "false"
    if of is None or of == "":
        return NOTHING
    return str(of)


def document(value: object) -> str:
    """A value as JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(value), indent=4).decode()


class Table:
    """Rows in columns, padded with spaces. May come page by page: a page is as wide as those before it, or wider."""

    def __init__(self, header: Sequence[str], *, has_header: bool = True) -> None:
        self._header = header
        self._widths = [0] * len(header)
        self._has_header = has_header

    def lines(self, rows: Iterable[Sequence[str]]) -> list[str]:
        """The lines of more rows; before the first of them, the header."""
        wanted = [*([self._header] if self._has_header else []), *([printable(cell) for cell in row] for row in rows)]
        self._has_header = False
        self._widths = [
            max([width, *(len(row[column]) for row in wanted)]) for column, width in enumerate(self._widths)
        ]
        return [self._line(row) for row in wanted]

    def _line(self, row: Sequence[str]) -> str:
        padded = (cell.ljust(width + _GAP) for cell, width in zip(row, self._widths, strict=True))
        return "".join(padded).rstrip()


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, has_header: bool = True) -> str:
    """A whole table."""
    return "\n".join(Table(header, has_header=has_header).lines(rows))


def properties(values: Mapping[str, object], *, has_header: bool = True) -> str:
    """Names and values, in the order given: AIStore's ``PROPERTY VALUE``."""
    rows = [(name, value(of)) for name, of in values.items()]
    return table(("PROPERTY", "VALUE"), rows, has_header=has_header)
