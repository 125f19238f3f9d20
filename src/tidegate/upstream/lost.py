"""Requests that have no answer, and what people are told of that."""

from __future__ import annotations

from typing import Final

# Before anything was sent.
UNKNOWN_HOST: Final = "the remote's host name is not known"
REFUSED: Final = "the remote refused the connection"
NOT_ACCEPTED: Final = "the remote did not accept a connection in time"
NO_PROXY: Final = "the proxy in front of the remote does not answer"
BAD_CERTIFICATE: Final = "the remote's certificate is not good, or it speaks no TLS"
# When it may have been.
STOPPED: Final = "the remote stopped answering"
BROKEN_OFF: Final = "the remote broke off the connection"
GIVEN_UP: Final = "the remote is silent, and the server is ending"


class LostError(Exception):
    """A request has no answer, or not all of it. ``is_sent``: the remote may have seen the request."""

    def __init__(self, cause: str, *, is_sent: bool = True) -> None:
        super().__init__(cause)
        self.is_sent = is_sent
