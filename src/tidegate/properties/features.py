"""Feature flags: names of bits.

Source: AIStore's list of feature flags, in the order of their bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from tidegate import errors

FEATURES: Final = (
    "Enforce-IntraCluster-Access",
    "Skip-Loading-VersionChecksum-MD",
    "Do-not-Auto-Detect-FileShare",
    "S3-API-via-Root",
    "Fsync-PUT",
    "LZ4-Block-1MB",
    "LZ4-Frame-Checksum",
    "Do-not-Allow-Passing-FQN-to-ETL",
    "Ignore-LimitedCoexistence-Conflicts",
    "S3-Presigned-Request",
    "Do-not-Optimize-Listing-Virtual-Dirs",
    "Disable-Cold-GET",
    "Streaming-Cold-GET",
    "S3-Reverse-Proxy",
    "S3-Use-Path-Style",
    "Do-not-Delete-When-Rebalancing",
    "Do-not-Set-Control-Plane-ToS",
    "Trust-Crypto-Safe-Checksums",
    "S3-ListObjectVersions",
    "Enable-Detailed-Prom-Metrics",
    "Force-Container-CPU-Mem",
    "Resume-Interrupted-MPU",
    "Keep-Unknown-FQN",
    "Load-Balance-GET",
    "Count-Object-NotFound-Stats",
    "Enable-Go-Runtime-Metrics",
    "Dload-Allow-Private-Egress",
    "S3-Redirect-Rebuild",
)
# Those that may be set for one bucket; the others are the whole cluster's.
BUCKET: Final = sum(1 << bit for bit in (1, 4, 9, 11, 12, 14, 18, 21, 24))
# What this system does in any case: setting one of them is granted, and changes nothing.
ALWAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "S3-API-via-Root": "S3 is served at the root and at /s3",
        "Fsync-PUT": "a PUT is answered after fsync, unless write_policy.data is delayed",
        "S3-Reverse-Proxy": "requests are answered directly, never redirected",
        "Resume-Interrupted-MPU": "multipart uploads survive a restart",
        "Load-Balance-GET": "reads spread over the copies of a mirrored bucket",
        "S3-ListObjectVersions": "ListObjectVersions is served",
    }
)

# What this system does only if it is told to.
S3_PRESIGNED_REQUEST: Final = "S3-Presigned-Request"
ACTING: Final = frozenset({S3_PRESIGNED_REQUEST})


def has(value: str, name: str) -> bool:
    """Whether a mask, which is kept as decimal text, has the flag of that name."""
    return bool(int(value) >> FEATURES.index(name) & 1)


def parse(value: str | int | Iterable[str]) -> int:
    """The mask that a number (also ``0x342``), names (in a list, with commas or spaces), bits (``F3``) or ``none`` say.

    Raises ``InvalidArgument`` for a flag that is none, or that this system does not act on.
    """
    mask = 0
    if isinstance(value, int):
        mask = value
    else:
        for word in value.replace(",", " ").split() if isinstance(value, str) else value:
            mask |= _bits(word.strip())
    if mask < 0 or mask >> len(FEATURES):
        raise errors.InvalidArgument(f'invalid feature flag "{value}"')
    for name in names(mask):
        if name not in ALWAYS and name not in ACTING:
            raise errors.InvalidArgument(f'feature flag "{name}" is not implemented')
    return mask


def names(mask: int) -> list[str]:
    """The names of the bits of a mask."""
    return [name for bit, name in enumerate(FEATURES) if mask >> bit & 1]


def _bits(word: str) -> int:
    if word.lower() in {"", "none", "0"}:
        return 0
    for bit, name in enumerate(FEATURES):
        if word.lower() in {name.lower(), f"f{bit}"}:
            return 1 << bit
    try:
        return int(word, 0)
    except ValueError:
        raise errors.InvalidArgument(f'invalid feature flag "{word}"') from None
