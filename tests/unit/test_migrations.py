"""An older catalog is brought up to date when it is opened, with all that is in it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from pathlib import Path

import apsw
import pytest

from tidegate.catalog import buckets, configuration, schema, versions
from tidegate.catalog.sqlite import CATALOG_FILE, SQLite
from tidegate.properties import BucketProperties, Configuration

_FIRST_ROWS = """
    INSERT INTO logs (id, objects, bytes) VALUES (2, 1, 5);
    INSERT INTO buckets (id, provider, namespace, name, log, owner, created) VALUES (1, 'ais', '', 'old', 2, 'me', 7);
    UPDATE counters SET value = 9;
    INSERT INTO blobs (id, size, refs, kind, digest) VALUES (4, 5, 1, 0, x'00');
    INSERT INTO small_blobs VALUES (4, x'68656C6C6F');
    INSERT INTO head (log, key, seq, size, etag, modified, blob) VALUES (2, x'6B', 5, 5, 'etag', 8, 4);
    PRAGMA user_version = 1;
"""


def test_a_catalog_of_the_first_release_is_read(tmp_path: Path) -> None:
    """Buckets and objects of the first schema are there, with the properties and counters that they never had."""
    with closing(apsw.Connection(str(tmp_path / CATALOG_FILE))) as connection:
        connection.execute(schema.MIGRATIONS[0])
        connection.execute(_FIRST_ROWS)

    async def look() -> None:
        catalog = SQLite(tmp_path)
        try:
            bucket = await catalog.read(partial(buckets.get, name="old"))
            assert bucket.properties == BucketProperties()
            version = await catalog.read(partial(versions.get, bucket=bucket, key="k"))
            assert (version.size, version.modified, version.accessed, version.writes) == (5, 8, 8, None)
            assert await catalog.read(configuration.get) == Configuration()
        finally:
            await catalog.close()

    asyncio.run(look())


def test_a_newer_catalog_is_left_alone(tmp_path: Path) -> None:
    """A catalog that a newer release has written is not opened, and nothing is added to it."""
    newer = len(schema.MIGRATIONS) + 1
    with closing(apsw.Connection(str(tmp_path / CATALOG_FILE))) as connection:
        connection.pragma("user_version", newer)
    with pytest.raises(schema.CatalogTooNew):
        SQLite(tmp_path)
    with closing(apsw.Connection(str(tmp_path / CATALOG_FILE))) as connection:
        assert connection.pragma("user_version") == newer
        assert not list(connection.execute("SELECT name FROM sqlite_schema"))
