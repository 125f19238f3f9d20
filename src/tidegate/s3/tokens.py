"""Continuation tokens: where a listing goes on, opaque to the client."""

from __future__ import annotations

import base64

from tidegate import errors


def encode(position: str) -> str:
    """The token for a position."""
    return base64.urlsafe_b64encode(position.encode()).decode()


def decode(token: str) -> str:
    """The position in a token. Raises ``InvalidArgument`` for one that we did not make."""
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise errors.InvalidArgument(
            "The continuation token provided is incorrect", ArgumentName="continuation-token"
        ) from None
