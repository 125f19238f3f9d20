"""Permissions as bits, the same for a bucket's ``access`` property, a role and a token; and how they are spelt.

Pure values and functions. Who is asked, and when, is the gateway's business.

Source: AIStore's access attributes, with its numbers and aliases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntFlag
from types import MappingProxyType
from typing import Final

import msgspec

from tidegate import errors
from tidegate.names import BucketName


class Access(IntFlag):
    """What one may do to a bucket and its objects (bits 0 to 11), and to the whole system (bits 12 to 17)."""

    NONE = 0
    GET = 1 << 0
    HEAD_OBJECT = 1 << 1
    PUT = 1 << 2
    APPEND = 1 << 3
    DELETE_OBJECT = 1 << 4
    MOVE_OBJECT = 1 << 5
    PROMOTE = 1 << 6
    UPDATE_OBJECT = 1 << 7
    HEAD_BUCKET = 1 << 8
    LIST_OBJECTS = 1 << 9
    PATCH = 1 << 10
    SET_BUCKET_ACL = 1 << 11
    LIST_BUCKETS = 1 << 12
    SHOW_CLUSTER = 1 << 13
    CREATE_BUCKET = 1 << 14
    DESTROY_BUCKET = 1 << 15
    MOVE_BUCKET = 1 << 16
    ADMIN = 1 << 17


# All 64 bits: more than there are names for, as AIStore has it.
EVERYTHING: Final = 2**64 - 1
READ_ONLY: Final = Access.GET | Access.HEAD_OBJECT | Access.HEAD_BUCKET | Access.LIST_OBJECTS
READ_WRITE: Final = READ_ONLY | Access.PUT | Access.APPEND | Access.DELETE_OBJECT | Access.MOVE_OBJECT
CLUSTER_READ_ONLY: Final = Access.LIST_BUCKETS | Access.SHOW_CLUSTER
ALIASES: Final[Mapping[str, Access]] = MappingProxyType({"ro": READ_ONLY, "rw": READ_WRITE, "su": Access(EVERYTHING)})

_NAMES: Final[Mapping[str, Access]] = MappingProxyType(
    {bit.name.replace("_", "-"): bit for bit in Access if bit.name is not None}
)


class Grants(msgspec.Struct, frozen=True):
    """What somebody may do by roles or by a token: everywhere, and to buckets that have a rule of their own."""

    cluster: Access = Access.NONE
    buckets: Mapping[BucketName, Access] = {}

    def of(self, bucket: BucketName) -> Access:
        """What they give on a bucket. A rule for the bucket takes the place of the general one."""
        return self.buckets.get(bucket, self.cluster)


def parse(value: str | int | Iterable[str]) -> Access:
    """Permissions from a number (also as text), an alias (``ro``, ``rw``, ``su``), or names, in a list or with commas.

    Raises ``InvalidArgument``.
    """
    if isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.strip().isdigit()):
        number = int(value)
        if not 0 <= number <= EVERYTHING:
            raise errors.InvalidArgument(f'invalid access "{value}": not a number of 64 bits')
        return Access(number)
    access = Access.NONE
    for name in value.split(",") if isinstance(value, str) else value:
        bits = ALIASES.get(name.strip().lower()) or _NAMES.get(name.strip().upper())
        if bits is None:
            known = ", ".join((*ALIASES, *_NAMES))
            raise errors.InvalidArgument(f'invalid access "{name.strip()}": not a number and none of {known}')
        access |= bits
    return access


def names(access: Access) -> list[str]:
    """The names of the permissions, in order of their bits."""
    return [name for name, bit in _NAMES.items() if bit in access]
