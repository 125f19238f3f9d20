"""Users, roles and tokens as AIStore's AuthN has them in its messages, where it is, and how they are shown.

What a token says of itself is read here without being verified: it is shown, and decides nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
import sys
from collections.abc import Iterable
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
import typer

from tidegate import access
from tidegate.access import EVERYTHING, Access
from tidegate.cli.ais import client as connection
from tidegate.cli.ais import text
from tidegate.cli.failures import Failure
from tidegate.cli.transport import Client
from tidegate.names import SCHEMES, BucketName

NANOSECONDS: Final = 1_000_000_000
ROBOTS: Final = "tgr_"  # what tokens of robots begin with: they are no JSON

PasswordOption = Annotated[
    str | None,
    typer.Option(
        "-p", "--password", metavar="PASSWORD", help="The password; without it, it is asked for.", show_default=False
    ),
]
ClusterOption = Annotated[
    str,
    typer.Option("--cluster", metavar="CLUSTER", help="The cluster's id or alias (default: any).", show_default=False),
]


class Namespace(msgspec.Struct, frozen=True):
    """Where a bucket is: a cluster, empty for any, and the namespace within."""

    uuid: str = ""
    name: str = ""


class Bucket(msgspec.Struct, frozen=True):
    """A bucket."""

    name: str
    provider: str = "ais"
    namespace: Namespace | None = None

    @property
    def uri(self) -> str:
        space = self.namespace or Namespace()
        provider = self.provider if self.provider in SCHEMES else "ais"
        return BucketName(self.name, provider, space.name).uri


class ClusterRule(msgspec.Struct, frozen=True):
    """What is given in a cluster, empty for any; ``perm`` is a number of access bits."""

    id: str
    perm: str


class BucketRule(msgspec.Struct, frozen=True):
    """What is given on a bucket, in the place of its cluster's rule."""

    bck: Bucket
    perm: str


class Rules(msgspec.Struct):
    """What somebody may do: in whole clusters, and to buckets."""

    clusters: list[ClusterRule] | None = None
    buckets: list[BucketRule] | None = None
    admin: bool = False

    def merged(self) -> tuple[dict[str, int], dict[Bucket, int]]:
        """The rules by what they are about, added up."""
        clusters: dict[str, int] = {}
        buckets: dict[Bucket, int] = {}
        for rule in self.clusters or ():
            clusters[rule.id] = clusters.get(rule.id, 0) | int(rule.perm)
        for bucket_rule in self.buckets or ():
            buckets[bucket_rule.bck] = buckets.get(bucket_rule.bck, 0) | int(bucket_rule.perm)
        return clusters, buckets


class Role(Rules):
    """A role."""

    name: str = ""
    desc: str = ""


class User(msgspec.Struct):
    """A user with roles."""

    id: str
    roles: list[Role] | None = None

    @property
    def rules(self) -> Rules:
        """What all of the roles give."""
        roles = self.roles or []
        return Rules(
            [rule for role in roles for rule in role.clusters or ()],
            [rule for role in roles for rule in role.buckets or ()],
            any(role.admin for role in roles),
        )


class Cluster(msgspec.Struct):
    """A registered cluster."""

    id: str
    alias: str = ""
    urls: list[str] | None = None


class _Clusters(msgspec.Struct):
    clusters: dict[str, Cluster]


class Claims(Rules):
    """What a token says of itself."""

    sub: str = ""
    exp: int = 0


def authn_url() -> str:
    """Where users are kept."""
    given = os.environ.get("AIS_AUTHN_URL", "").strip().rstrip("/")
    if not given:
        return connection.endpoint()
    return given if "://" in given else f"http://{given}"


def path_of(*names: str) -> str:
    """The path of a resource."""
    return "/v1/" + "/".join(quote(name, safe="") for name in names)


def read_password(given: str | None) -> str:
    """The password: as given, or asked for, or the first line of standard input."""
    if given is not None:
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed: str = typer.prompt("Password", hide_input=True, err=True)
    return typed


def claims_of(token: str) -> Claims:
    """What a token says of itself. Raises ``Failure``."""
    if token.startswith(ROBOTS):
        raise Failure("a robot's token says nothing of itself: the server knows", "pachctl auth whoami")
    try:
        payload = token.split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=Claims)
    except (IndexError, ValueError, binascii.Error, msgspec.MsgspecError):
        raise Failure("invalid token", "log in again: ais auth login USER_NAME -p USER_PASS") from None


def clusters_of(client: Client, name: str = "") -> list[Cluster]:
    """The registered clusters, or the one of an id or alias."""
    answer = client.request("GET", path_of("clusters", name) if name else "/v1/clusters")
    return list(msgspec.json.decode(answer.data, type=_Clusters).clusters.values())


def names_of(roles: Iterable[Role] | None) -> str:
    """Names of roles, with commas."""
    return ",".join(role.name for role in roles or ())


def spelt(perm: int) -> str:
    """Permissions by name."""
    if perm == EVERYTHING:
        return "all"
    return ",".join(access.names(Access(perm))) or text.NOTHING
