"""The rooms behind the doors, opened for one worker. Imported by workers only: it pulls in everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tidegate import errors, jobs
from tidegate.ais import app as ais
from tidegate.api import app as api
from tidegate.gateway import Gateway, open_gateway
from tidegate.jobs.runner import server_started
from tidegate.s3 import app as s3
from tidegate.server.ending import when_told_to_end
from tidegate.server.front import House
from tidegate.settings import administrator_password
from tidegate.telemetry.metrics import observe_group_commit

if TYPE_CHECKING:
    from tidegate.settings import Settings


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Opens the data folder and what works on it, and closes both in the end."""
    gateway = open_gateway(
        settings.home,
        inline_limit=settings.inline_limit,
        min_part_size=settings.smallest_part,
        durable=settings.durability == "full",
        promote_from=settings.promote_from,
        started=server_started(settings.home),
        on_group=observe_group_commit,
    )
    try:
        await gateway.folders.open(settings.data[1:])
        new_key = await _administrator(gateway) if settings.auth else None
        with when_told_to_end(gateway.rooms.upstreams.hurry):
            async with gateway.rooms.accesses.kept(), gateway.folders.kept(), jobs.run(gateway, settings):
                yield House(
                    s3.create(gateway, settings),
                    ais.create(gateway, settings),
                    api.create(gateway, settings),
                    gateway.check,
                    gateway.stats,
                    new_key,
                )
    finally:
        await gateway.close()


async def _administrator(gateway: Gateway) -> tuple[str, str] | None:
    try:
        key = await gateway.identity.make_administrator(administrator_password())
    except errors.UserAlreadyExists:  # another worker was faster
        return None
    return None if key is None else (key.access_key, key.secret_key)
