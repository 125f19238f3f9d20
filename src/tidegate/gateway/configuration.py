"""The system's configuration: reading and changing it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from tidegate import errors
from tidegate.access import Access
from tidegate.catalog import configuration
from tidegate.catalog.abc import Transaction
from tidegate.gateway.permissions import authorise_system, may
from tidegate.gateway.rooms import Rooms
from tidegate.model import Principal
from tidegate.properties import Configuration, change, flatten
from tidegate.properties.change import NEEDS_RESTART


class Changed(msgspec.Struct, frozen=True):
    """A configuration before and after a change; ``restart`` names what takes effect when the server starts again."""

    before: Configuration
    after: Configuration
    restart: tuple[str, ...]


class Configurations:
    """The configuration. Every process acts on a change at its next request. Each raises ``AccessDenied``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def get(self, principal: Principal) -> Configuration:
        """The configuration in force. Who may not change it sees of a file its name, not where it is."""
        authorise_system(principal, Access.SHOW_CLUSTER)
        tree = await self._rooms.catalog.recall("configuration", configuration.get)
        return tree if may(principal, Access.ADMIN) else _without_paths(tree)

    async def set(self, principal: Principal, changes: Mapping[str, object]) -> Changed:
        """Changes it, by flat names or as a partial tree. Raises ``InvalidArgument``."""
        authorise_system(principal, Access.ADMIN)
        wanted = change(await self._rooms.catalog.read(configuration.get), changes)
        if wanted.net.http.use_https:
            _check_certificate(wanted)

        def put(tx: Transaction) -> Changed:
            before = configuration.get(tx)
            after = change(before, changes)
            if after.mirror != before.mirror:
                self._rooms.check_copies(after.mirror)
            configuration.put(tx, after)
            return _changed(before, after)

        return await self._rooms.catalog.write(put)

    async def reset(self, principal: Principal) -> Changed:
        """Back to the defaults."""
        authorise_system(principal, Access.ADMIN)

        def put(tx: Transaction) -> Changed:
            before = configuration.get(tx)
            configuration.put(tx, Configuration())
            return _changed(before, Configuration())

        return await self._rooms.catalog.write(put)


def _without_paths(tree: Configuration) -> Configuration:
    http = tree.net.http
    http = replace(http, server_crt=Path(http.server_crt).name, server_key=Path(http.server_key).name)
    return replace(tree, net=replace(tree.net, http=http))


def _changed(before: Configuration, after: Configuration) -> Changed:
    was = flatten(before)
    changed = [name for name, value in flatten(after).items() if was[name] != value]
    return Changed(before, after, tuple(name for name in changed if name.startswith(NEEDS_RESTART)))


def _check_certificate(tree: Configuration) -> None:
    """Raises ``InvalidArgument`` where the next start with HTTPS would fail."""
    http = tree.net.http
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(Path(http.server_crt), Path(http.server_key))
    except OSError as error:
        raise errors.InvalidArgument(
            f"net.http.use_https cannot be set: {http.server_crt} and {http.server_key} "
            f"(net.http.server_crt, net.http.server_key) are no certificate with its key: {error.strerror or error}"
        ) from None
