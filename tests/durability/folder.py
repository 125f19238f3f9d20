"""A data folder with something of everything in it, and what a test does to one while no server runs."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.durability.client import Client, element
from tidegate.gateway import open_gateway
from tidegate.jobs.fsck import Finding, fsck
from tidegate.jobs.scrub import Scrubbed
from tidegate.testing import serve

if TYPE_CHECKING:
    from pathlib import Path

INLINE_LIMIT = 64 * 1024
MIB = 1024 * 1024

SMALL = b"small " * 100
LARGE = bytes(range(256)) * 1200  # beyond the inline limit
PART = b"multipart" * (5 * MIB // 9 + 1)


def fill(data: Path) -> None:
    """Makes the folder by way of a server: three buckets, one of each kind of keeping versions."""
    with serve(data) as server, Client(server.port) as client:
        client.make_bucket("plain")
        client.put("plain/small", SMALL).expect()
        client.put("plain/large", LARGE).expect()
        client.copy("plain/large", "plain/copy").expect()
        client.copy("plain/small", "plain/small-copy").expect()
        client.multipart("plain/parts", PART, SMALL).expect()
        client.put("plain/grown", LARGE).expect()
        client.put("plain/grown", SMALL, **{"x-amz-write-offset-bytes": str(len(LARGE))}).expect()
        client.put("plain/deleted", LARGE).expect()
        client.ask("DELETE", "plain/deleted").expect(204)

        client.make_bucket("kept")
        client.put("kept/null", SMALL).expect()
        client.set_versioning("kept", "Enabled")
        for key in ("null", "small", "small", "large", "large", "hidden"):
            client.put(f"kept/{key}", LARGE if key == "large" else SMALL).expect()
        client.ask("DELETE", "kept/hidden").expect(204)
        client.ask("DELETE", "kept/never").expect(204)

        client.make_bucket("paused", "Enabled")
        client.put("paused/both", SMALL).expect()
        client.set_versioning("paused", "Suspended")
        client.put("paused/both", LARGE).expect()
        client.put("paused/null", SMALL).expect()
        client.ask("DELETE", "paused/null").expect(204)

        upload = element(client.ask("POST", "plain/under way", uploads="").expect().body.decode(), "UploadId")
        client.ask("PUT", "plain/under way", LARGE, uploadId=upload, partNumber="1").expect()
        client.ask("PUT", "plain/under way", SMALL, uploadId=upload, partNumber="2").expect()
    asyncio.run(_add_user(data))


async def _add_user(data: Path) -> None:
    gateway = open_gateway(data, inline_limit=INLINE_LIMIT)
    try:
        await gateway.identity.add_user("alice")
        await gateway.identity.add_key("alice", "ALICEKEY", "alice's secret")
    finally:
        await gateway.close()


def check(data: Path, *, repairs: bool = True) -> list[Finding]:
    """What fsck finds."""

    async def run() -> list[Finding]:
        gateway = open_gateway(data, inline_limit=INLINE_LIMIT)
        try:
            await gateway.folders.open()
            return [finding async for finding in fsck(gateway.rooms, data, Scrubbed(), repairs=repairs)]
        finally:
            await gateway.close()

    return asyncio.run(run())


def execute(data: Path, *statements: str) -> None:
    """Changes the catalog behind Tidegate's back. Each statement has to change something."""
    with closing(sqlite3.connect(data / "catalog.db", isolation_level=None)) as connection:
        for statement in statements:
            changed = connection.execute(statement).rowcount
            assert changed or not statement.startswith(("UPDATE", "DELETE", "INSERT")), statement


def query(data: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with closing(sqlite3.connect(data / "catalog.db")) as connection:
        return connection.execute(sql).fetchall()


def file_of(data: Path, bucket: str, key: str) -> Path:
    """The file that an object's bytes are in."""
    ((name,),) = query(
        data,
        f"""SELECT b.file FROM blobs b JOIN head h ON h.blob = b.id JOIN buckets u ON u.log = h.log
            WHERE u.name = '{bucket}' AND h.key = CAST('{key}' AS BLOB)""",
    )
    return data / "blobs" / name.hex()[:2] / name.hex()


def files(data: Path) -> set[str]:
    """The names of all files that bytes are in."""
    return {path.name for path in (data / "blobs").glob("*/*")}


def flip(path: Path, offset: int) -> None:
    """Damages one byte."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
