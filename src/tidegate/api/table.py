"""All routes of the door, and the description that is made of them."""

from __future__ import annotations

from functools import cache

import msgspec
from starlette.responses import Response

from tidegate.api import (
    accounts,
    branches,
    changes,
    commits,
    files,
    hooks,
    imports,
    listing,
    projects,
    repos,
    system,
    tags,
)
from tidegate.api.call import JSON, Call
from tidegate.api.openapi import describe
from tidegate.api.routes import Route, route


async def get_description(call: Call) -> Response:
    """This description."""
    del call
    return Response(_description(), media_type=JSON)


@cache
def _description() -> bytes:
    return msgspec.json.encode(describe(ROUTES))


ROUTES: tuple[Route, ...] = (
    *system.ROUTES,
    route("GET", "/openapi.json", get_description, is_open=True, media=JSON),
    *accounts.ROUTES,
    *projects.ROUTES,
    *repos.ROUTES,
    *branches.ROUTES,
    *commits.ROUTES,
    *tags.ROUTES,
    *changes.ROUTES,
    *listing.ROUTES,
    *files.ROUTES,
    *imports.ROUTES,
    *hooks.ROUTES,
)
