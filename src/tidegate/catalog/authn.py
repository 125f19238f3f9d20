"""How the system is registered as the cluster that roles are about, and how long tokens live.

There is one cluster, whose id is in ``configuration``.
"""

from __future__ import annotations

import msgspec

from tidegate import errors
from tidegate.catalog import configuration
from tidegate.catalog.abc import Reader, Transaction

_REGISTRATION = "registration"
_LIFETIME = "token lifetime"


class Registration(msgspec.Struct, frozen=True):
    """A cluster as roles name it: by id or by alias."""

    id: str
    alias: str = ""
    urls: tuple[str, ...] = ()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Registration).decode


def _value(tx: Reader, name: str) -> bytes | None:
    row = tx.one("SELECT value FROM configuration WHERE name = ?", (name,))
    return None if row is None else row[0]


def _put(tx: Transaction, name: str, value: object) -> None:
    tx.touch_names()
    tx.execute("INSERT OR REPLACE INTO configuration (name, value) VALUES (?, ?)", (name, _encode(value)))


def cluster_id(tx: Reader) -> str:
    """The system's id; empty where nobody has asked yet."""
    known = configuration.cluster(tx)
    return "" if known is None else known.uuid


def registration(tx: Reader) -> Registration | None:
    """How the cluster is registered, if it is."""
    value = _value(tx, _REGISTRATION)
    return None if value is None else _decode(value)


def register(tx: Transaction, wanted: Registration) -> None:
    """Registers the cluster. Raises ``ClusterAlreadyRegistered``."""
    if registration(tx) is not None:
        raise errors.ClusterAlreadyRegistered(f'cluster "{wanted.id}" is already registered')
    _put(tx, _REGISTRATION, wanted)


def change_registration(tx: Transaction, wanted: Registration) -> None:
    """Raises ``NoSuchCluster`` where the cluster is not registered."""
    _check_registered(tx, wanted.id)
    _put(tx, _REGISTRATION, wanted)


def unregister(tx: Transaction, cluster_id: str) -> None:
    """Raises ``NoSuchCluster`` where the cluster is not registered."""
    _check_registered(tx, cluster_id)
    tx.touch_names()
    tx.execute("DELETE FROM configuration WHERE name = ?", (_REGISTRATION,))


def _check_registered(tx: Reader, cluster_id: str) -> None:
    if registration(tx) is None:
        raise errors.NoSuchCluster(f'cluster "{cluster_id}" does not exist')


def token_lifetime(tx: Reader) -> int | None:
    """How many seconds a token lives whose user did not say; None where nobody has set it."""
    value = _value(tx, _LIFETIME)
    return None if value is None else msgspec.json.decode(value, type=int)


def set_token_lifetime(tx: Transaction, seconds: int) -> None:
    """Sets it, for tokens to come."""
    _put(tx, _LIFETIME, seconds)
