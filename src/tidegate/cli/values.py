"""Sizes and time spans as people type them, and texts that a terminal may print. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from tidegate import errors

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgtpe]?)(?P<iec>i?)b?", re.IGNORECASE)
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ns|us|µs|ms|s|m|h)")
_SECONDS: Final[Mapping[str, float]] = MappingProxyType(
    {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
)
# Names may have these, and a terminal would obey them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def parse_size(text: str) -> int:
    """Bytes from ``10``, ``10KiB``, ``1.5GB``: with an i by 1024, without it by 1000. Raises ``InvalidArgument``."""
    matched = _SIZE.fullmatch(text.strip())
    if matched is None or (matched["iec"] and not matched["unit"]):
        raise errors.InvalidArgument(f'invalid size "{text}": a number of bytes, or for instance 10KiB, 1.5GB')
    step = 1024 if matched["iec"] else 1000
    return int(Fraction(matched["number"]) * step ** (" kmgtpe".index(matched["unit"].lower() or " ")))


def parse_duration(text: str) -> float:
    """Seconds from ``10s``, ``1h30m``, or a mere number of seconds. Raises ``InvalidArgument``."""
    try:
        return float(text)
    except ValueError:
        pass
    if not text or _DURATION.sub("", text):
        raise errors.InvalidArgument(f'invalid duration "{text}": for instance 10s, 1m30s')
    return sum(float(found["number"]) * _SECONDS[found["unit"]] for found in _DURATION.finditer(text))


def printable(text: str) -> str:
    """The text with control characters, line breaks among them, as escapes."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
