"""The ranges in S3's headers. Pure.

Source: Amazon S3 API reference, "UploadPartCopy".
"""

from __future__ import annotations

import re

from tidegate import errors
from tidegate.ranges import evaluate, expected

__all__ = ["evaluate", "expected", "parse_copy_range"]

_COPY_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{1,19})", re.ASCII)


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
