"""Conditional writes and deletes of an S3 that may not have them.

Amazon has both. Who does not know a condition ignores it, and then an object is gone that should have stayed; so any
other server is asked first, once, with a condition that fails.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from tidegate import errors
from tidegate.upstream import s3_tags
from tidegate.upstream.s3_parts import Ask

_PROBE: Final = ".tidegate-probe-"
_NO_TAGS: Final = s3_tags.written({})
_NO_ETAG: Final = {"if-match": '"00000000000000000000000000000000"'}


class Conditions:
    """What a remote minds. ``is_known`` says that it minds everything."""

    def __init__(self, uri: str, ask: Ask, *, is_known: bool) -> None:
        self._uri = uri
        self._ask = ask
        self._writes: bool | None = True if is_known else None
        self._deletes: bool | None = True if is_known else None
        self._tags: bool | None = True if is_known else None
        self._probing = asyncio.Lock()

    async def of_write(self, if_match: str | None, *, is_new: bool) -> dict[str, str]:
        """The headers of a conditional write. Raises ``NotImplementedByServer`` where the remote ignores them."""
        if if_match is None and not is_new:
            return {}
        async with self._probing:
            if self._writes is None:
                self._writes = await self._minds(self._probe_write)
        if not self._writes:
            raise errors.NotImplementedByServer(f"{self._uri}: the remote has no conditional writes")
        return {"if-none-match": "*"} if is_new else {"if-match": f'"{if_match}"'}

    async def of_delete(self, if_match: str | None) -> dict[str, str]:
        """The headers of a conditional delete. Raises as ``of_write``."""
        if if_match is None:
            return {}
        async with self._probing:
            if self._deletes is None:
                self._deletes = await self._minds(self._probe_delete)
        if not self._deletes:
            raise errors.NotImplementedByServer(f"{self._uri}: the remote has no conditional deletes")
        return {"if-match": f'"{if_match}"'}

    async def check_tags(self) -> None:
        """Raises ``NotImplementedByServer`` where a request for tags is taken for one for the object itself."""
        async with self._probing:
            if self._tags is None:
                self._tags = await self._minds(self._probe_tags)
        if not self._tags:
            raise errors.NotImplementedByServer(f"{self._uri}: the remote has no tags of objects")

    async def _minds(self, probe: Callable[[str], Awaitable[object]]) -> bool:
        try:
            await probe(_PROBE + secrets.token_hex(8))
        except (errors.PreconditionFailed, errors.NoSuchKey):
            return True
        except errors.NotImplementedByServer:
            pass
        return False

    async def _probe_write(self, key: str) -> None:
        """The object that is made where conditions are ignored, empty and with a name of its own, goes at once."""
        await self._ask("PUT", key, headers=_NO_ETAG, repeats=False)
        await self._ask("DELETE", key, headers={}, repeats=True)

    async def _probe_tags(self, key: str) -> None:
        """There is no object of the name: to tag it fails, unless the document becomes one, which goes at once."""
        headers = {"content-type": "application/xml", "content-md5": s3_tags.md5(_NO_TAGS)}
        await self._ask("PUT", key, query={"tagging": ""}, headers=headers, body=_NO_TAGS, repeats=False)
        await self._ask("DELETE", key, headers={}, repeats=True)

    async def _probe_delete(self, key: str) -> None:
        """There is no object of the name: to delete it succeeds, unless it has to have an ETag."""
        await self._ask("DELETE", key, headers=_NO_ETAG, repeats=False)
