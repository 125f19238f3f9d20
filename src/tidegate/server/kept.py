"""Settings that the catalog keeps: what ``ais config cluster`` set and a server reads once, when it starts.

Flags, variables and the file win over them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tidegate.settings import Settings


def with_kept(settings: Settings) -> Settings:
    """The settings, with HTTPS as ``net.http`` has it where no certificate was given."""
    from tidegate.catalog import configuration, sqlite_files  # noqa: PLC0415 - the parent needs them here only
    from tidegate.catalog.sqlite import CATALOG_FILE  # noqa: PLC0415

    path = settings.home / CATALOG_FILE
    if settings.tls_cert is not None or not path.exists():
        return settings
    with sqlite_files.reading(path) as reader:
        if reader.one("SELECT 1 FROM sqlite_schema WHERE name = 'configuration'") is None:
            return settings  # an older catalog, which the first worker brings up to date
        http = configuration.get(reader).net.http
    if not http.use_https:
        return settings
    return msgspec.structs.replace(settings, tls_cert=Path(http.server_crt), tls_key=Path(http.server_key))
