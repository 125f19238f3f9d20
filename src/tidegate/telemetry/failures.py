"""Lines about requests that the server could not serve, for whoever runs it.

What is known to go wrong (a full disk, a folder that is missing, a remote that is down) is one line that says which
request and which object; only what nobody expected has a traceback. Nothing that a client sent makes a second line.
"""

from __future__ import annotations

import logging
import random
from typing import Final

from tidegate import errors

# Characters of a name or a message in a line: a key is not longer, but may take more once it is escaped.
_MAX: Final = 1024
_DAMAGE: Final = (errors.DamagedBlob, errors.DamagedCatalog)


def new_request_id() -> str:
    """What a client quotes and the access log shows: 16 hexadecimal digits. No secret, so it needs no system call."""
    return f"{random.getrandbits(64):016X}"


def is_known(error: BaseException) -> bool:
    """Whether an error says itself what has happened."""
    return isinstance(error, errors.Error) and type(error) is not errors.Error


def log(
    logger: logging.Logger,
    error: Exception,
    request_id: str,
    bucket: str | None,
    key: str | None,
    *,
    has_started: bool = False,
) -> None:
    """Takes down that a request failed, where that is the server's fault. One that ``has_started`` to be answered was
    broken off, which needs a line whoever's fault it is.
    """
    if not is_known(error):
        logger.error("request %s for %s failed", request_id, _named(bucket, key), exc_info=error)
        return
    if not isinstance(error, errors.Error) or isinstance(error, errors.NotImplementedByServer):
        return
    if not (error.is_ours or has_started):
        return
    level = logging.ERROR if isinstance(error, _DAMAGE) else logging.WARNING
    outcome = "broken off" if has_started else f"refused with {error.status}"
    cause = "" if error.__cause__ is None else f", because of {_bounded(error.__cause__)}"
    named, what = _named(bucket, key), f"{type(error).__name__}: {_bounded(error.message)}{cause}"
    logger.log(level, "request %s for %s %s: %s", request_id, named, outcome, what)


def _named(bucket: str | None, key: str | None) -> str:
    """The bucket and the key, each of bounded length and in one line."""
    return "/".join(_bounded(name) for name in (bucket, key) if name is not None) or "no bucket"


def _bounded(value: object) -> str:
    return repr(value)[:_MAX]
