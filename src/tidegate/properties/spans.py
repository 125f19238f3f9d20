"""Spans of time as properties have them, not negative: ``2h``, ``1h30m``, ``300ms``, ``0``.

Source: Go, https://pkg.go.dev/time#ParseDuration.
"""

from __future__ import annotations

import re

_MICROSECONDS = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_STEP = rf"(\d+(?:\.\d*)?|\.\d+)({'|'.join(_MICROSECONDS)})"
_STEPS = re.compile(_STEP, re.ASCII)
_SPAN = re.compile(rf"0|({_STEP})+", re.ASCII)


def is_span(text: str) -> bool:
    """Whether a text is one."""
    return _SPAN.fullmatch(text) is not None


def microseconds(span: str) -> int:
    """How long a span is."""
    return int(sum(float(number) * _MICROSECONDS[unit] for number, unit in _STEPS.findall(span)))
