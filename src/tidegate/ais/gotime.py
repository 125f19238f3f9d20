"""Times written by a layout of Go's: an example that shows how 2 January 2006, 15:04:05, would be written.

Source: the documentation of Go's package ``time``, "Constants".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from tidegate.clock import SECOND

RFC822: Final = "02 Jan 06 15:04 MST"

# Longer than any layout that makes sense.
MAX_LAYOUT = 128

# All times are UTC. What strftime says differently on other systems is put together here.
_ELEMENTS: Final[Mapping[str, Callable[[datetime], str]]] = MappingProxyType(
    {
        "2006": lambda time: f"{time.year:04}",
        "06": lambda time: f"{time.year % 100:02}",
        "January": lambda time: time.strftime("%B"),
        "Jan": lambda time: time.strftime("%b"),
        "01": lambda time: f"{time.month:02}",
        "1": lambda time: str(time.month),
        "Monday": lambda time: time.strftime("%A"),
        "Mon": lambda time: time.strftime("%a"),
        "002": lambda time: f"{time.timetuple().tm_yday:03}",
        "02": lambda time: f"{time.day:02}",
        "_2006": lambda time: f"_{time.year:04}",
        "_2": lambda time: f"{time.day:2}",
        "2": lambda time: str(time.day),
        "15": lambda time: f"{time.hour:02}",
        "03": lambda time: f"{time.hour % 12 or 12:02}",
        "3": lambda time: str(time.hour % 12 or 12),
        "04": lambda time: f"{time.minute:02}",
        "4": lambda time: str(time.minute),
        "05": lambda time: f"{time.second:02}",
        "5": lambda time: str(time.second),
        "PM": lambda time: "AM" if time.hour < 12 else "PM",
        "pm": lambda time: "am" if time.hour < 12 else "pm",
        "MST": lambda _: "UTC",
        "Z07:00": lambda _: "Z",
        "Z0700": lambda _: "Z",
        "-07:00": lambda _: "+00:00",
        "-0700": lambda _: "+0000",
        "-07": lambda _: "+00",
    }
)
_FRACTION = re.compile(r"[.,](?:0+|9+)(?!\d)")
_ELEMENT = re.compile("|".join([_FRACTION.pattern, *map(re.escape, sorted(_ELEMENTS, key=len, reverse=True))]))


def write(layout: str, microseconds: int) -> str:
    """A time, in microseconds since the epoch, as the layout has it."""
    seconds, fraction = divmod(microseconds, SECOND)
    time = datetime.fromtimestamp(seconds, UTC).replace(microsecond=fraction)
    return _ELEMENT.sub(lambda found: _element(found[0], time), layout)


def _element(element: str, time: datetime) -> str:
    known = _ELEMENTS.get(element)
    if known is not None:
        return known(time)
    digits = f"{time.microsecond:06}000"[: len(element) - 1].ljust(len(element) - 1, "0")
    if element[1] == "0":
        return element[0] + digits
    digits = digits.rstrip("0")
    return element[0] + digits if digits else ""
