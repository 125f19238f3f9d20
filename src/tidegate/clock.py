"""Times as all of Tidegate has them: microseconds since the Unix epoch, UTC."""

from __future__ import annotations

import time
from typing import Final

SECOND: Final = 1_000_000


def now() -> int:
    """The time."""
    return time.time_ns() // 1000
