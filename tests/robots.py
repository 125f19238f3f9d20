"""Tokens for robots of a running server, made beside it in its data folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tidegate.catalog.sqlite import SQLite
from tidegate.identity import Identity
from tidegate.identity.vault import Vault


def robot_token(data: Path, name: str, lifetime: int | None = None) -> str:
    """A new token for a robot, who may make buckets and repositories."""

    async def make() -> str:
        catalog = SQLite(data)
        try:
            return (await Identity(catalog, Vault(data)).logins.robots.issue(name, lifetime)).token
        finally:
            await catalog.close()

    return asyncio.run(make())
