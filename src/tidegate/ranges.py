"""The Range header of a read, evaluated against an object's size. Pure.

Sources: RFC 9110 section 14.2; Amazon S3 API reference, "GetObject": one range at most; more, or a malformed one, are
ignored.
"""

from __future__ import annotations

import re

from tidegate import errors

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)
_MAX_DIGITS = 40  # longer numbers are past the end of any object; int() of a very long one would be work for nothing


def evaluate(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the number of bytes that a Range header selects; None if it is to be ignored.

    Raises ``InvalidRange`` where the object has no byte in the range.
    """
    match = _RANGE.fullmatch(header)
    if match is None or max(len(match[1]), len(match[2])) > _MAX_DIGITS:
        return None
    if match[1]:
        first = int(match[1])
        last = int(match[2]) if match[2] else size - 1
        if match[2] and last < first:
            return None
        last = min(last, size - 1)
    elif match[2]:
        first, last = max(0, size - int(match[2])), size - 1
    else:
        return None
    if first > last:
        raise errors.InvalidRange(ActualObjectSize=str(size), RangeRequested=header)
    return first, last - first + 1


def expected(header: str) -> tuple[int | None, int | None]:
    """What a Range header selects of an object whose size is not known: from which byte to before which, None for the
    end. The first is None where that depends on the size.
    """
    match = _RANGE.fullmatch(header)
    if match is None or max(len(match[1]), len(match[2])) > _MAX_DIGITS:
        return 0, None
    if not match[1]:
        return (None if match[2] else 0), None
    first, stop = int(match[1]), int(match[2]) + 1 if match[2] else None
    return (0, None) if stop is not None and stop <= first else (first, stop)
