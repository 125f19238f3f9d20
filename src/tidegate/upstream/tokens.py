"""Access tokens (RFC 6749): asking for one, and keeping it until it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from tidegate import errors
from tidegate.upstream.wire import Request, Wire

_MARGIN_SECONDS: Final = 120.0  # before a token ends, a new one is fetched
_NONE_SECONDS: Final = 60.0  # a machine without an identity is asked again after this


class Token(msgspec.Struct):
    """A token, and in how many seconds it ends. An empty one says that there is none: requests are anonymous."""

    access_token: str
    expires_in: float = 0.0


NOBODY: Final = Token("", _NONE_SECONDS + _MARGIN_SECONDS)


class Tokens:
    """The token of one identity, which ``fetch`` gets a new one of."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]]) -> None:
        self._fetch = fetch
        self._token = ""
        self._until = 0.0
        self._fetching = asyncio.Lock()

    async def get(self) -> str:
        """A token that counts for some time yet; empty for none. Raises as ``fetch``."""
        async with self._fetching:
            if time.time() >= self._until:
                token = await self._fetch()
                self._token = token.access_token
                self._until = time.time() + max(1.0, token.expires_in - _MARGIN_SECONDS)
        return self._token


async def ask(wire: Wire, request: Request, refusal: str, *, is_strict: bool = True) -> Token:
    """What a token server answers; without ``is_strict`` its number may be a text. Raises ``RemoteDenied`` with the
    text, and the status, where that is no token.
    """
    answer = await wire.send(request)
    if answer.status == 200:
        try:
            return msgspec.json.decode(answer.body, type=Token, strict=is_strict)
        except msgspec.MsgspecError:
            pass
    raise errors.RemoteDenied(f"{refusal} ({answer.status})")
