"""The server itself: which it is, and whether what it holds is sound."""

from __future__ import annotations

import tidegate
from tidegate import errors
from tidegate.api.call import Call
from tidegate.api.routes import Route, route
from tidegate.documents import Version
from tidegate.model import EVERYONE


async def get_version(call: Call) -> Version:
    """Which server this is."""
    cluster = await call.gateway.system.identify()
    return Version(tidegate.__version__, cluster.uuid, call.principal != EVERYONE)


async def fsck(call: Call) -> None:
    """Check what is stored. Not implemented over HTTP: `tidegate fsck` does it on the server's machine."""
    del call
    raise errors.NotImplementedByServer("to check what is stored, run `tidegate fsck` on the server's machine")


ROUTES: tuple[Route, ...] = (
    route("GET", "/version", get_version, is_open=True),
    route("GET", "/fsck", fsck),
)
