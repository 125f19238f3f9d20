"""The Range header of a read, evaluated against an object's size. Pure.

Sources: RFC 9110 section 14.2; Amazon S3 API reference, "GetObject": one range at most; more, or a malformed one, are
ignored.
"""

from __future__ import annotations

import re

from tidegate import errors

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)
_COPY_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{1,19})", re.ASCII)
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


def parse_copy_range(header: str) -> tuple[int, int]:
    """First and last byte in ``x-amz-copy-source-range``. Raises ``InvalidArgument``."""
    match = _COPY_RANGE.fullmatch(header)
    if match is None or int(match[2]) < int(match[1]):
        raise errors.InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    return int(match[1]), int(match[2])
