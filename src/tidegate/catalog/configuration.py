"""The system's configuration: what differs from the defaults; and which system this is."""

from __future__ import annotations

import msgspec

from tidegate.catalog.abc import Reader, Transaction
from tidegate.properties import Configuration

_NAME = "configuration"
_CLUSTER = "uuid"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Configuration).decode


class Cluster(msgspec.Struct, frozen=True):
    """Which system this is, for as long as it exists. ``created`` is in microseconds."""

    uuid: str
    created: int


_decode_cluster = msgspec.json.Decoder(Cluster).decode


def get(tx: Reader) -> Configuration:
    """The configuration in force."""
    row = tx.one("SELECT value FROM configuration WHERE name = ?", (_NAME,))
    return Configuration() if row is None else _decode(row[0])


def put(tx: Transaction, configuration: Configuration) -> None:
    """Replaces the configuration; every process sees it at its next request."""
    tx.touch_names()
    tx.execute("INSERT OR REPLACE INTO configuration (name, value) VALUES (?, ?)", (_NAME, _encode(configuration)))


def cluster(tx: Reader) -> Cluster | None:
    """Which system this is; None where nobody has asked yet."""
    row = tx.one("SELECT value FROM configuration WHERE name = ?", (_CLUSTER,))
    return None if row is None else _decode_cluster(row[0])


def name_cluster(tx: Transaction, new: Cluster) -> Cluster:
    """Gives the system its identity, unless it has one. Returns the one it has."""
    known = cluster(tx)
    if known is None:
        tx.touch_names()
        tx.execute("INSERT INTO configuration (name, value) VALUES (?, ?)", (_CLUSTER, _encode(new)))
    return known or new
