"""The key of AWS Signature Version 4, for those who sign and those who verify. Pure functions.

Source: Amazon S3 API reference, "Authenticating requests (AWS Signature Version 4)", "Calculating a signature".
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import Final

SIGNING_KEYS_REMEMBERED: Final = 1024  # one a secret, day and region; bounded, as clients choose region and day


@lru_cache(maxsize=SIGNING_KEYS_REMEMBERED)
def signing_key(secret: str, day: bytes, region: bytes) -> bytes:
    """Return the key that signs the requests of one day (``YYYYMMDD``) in one region."""
    key = b"AWS4" + secret.encode()
    for part in (day, region, b"s3", b"aws4_request"):
        key = hmac.digest(key, part, "sha256")
    return key


@lru_cache(maxsize=SIGNING_KEYS_REMEMBERED)
def keyed(key: bytes) -> hmac.HMAC:
    """Return the start of every HMAC with this key, to be copied."""
    return hmac.new(key, digestmod="sha256")
