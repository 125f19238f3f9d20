"""What somebody may do by their roles or by a token: pure functions from rules, as they are kept, to grants.

Rules name clusters by id. This cluster's rules are those with its id or with none; others say nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tidegate import errors
from tidegate.access import CLUSTER_READ_ONLY, EVERYTHING, READ_ONLY, READ_WRITE, Access, Grants, parse
from tidegate.catalog import authn, roles
from tidegate.catalog.abc import Reader
from tidegate.catalog.roles import Bucket, BucketRule, ClusterRule, Namespace, Role
from tidegate.catalog.users import User
from tidegate.model import Principal
from tidegate.names import BucketName, provider_of

# A role is read whole whenever it is needed: some tens of kilobytes at most.
MAX_RULES: Final = 256
MAX_NAME: Final = 128
MAX_ALIAS: Final = 64  # of a cluster: it becomes a part of roles' names
MAX_DESCRIPTION: Final = 1024

# The role that is always there, and is not kept anywhere.
ADMIN: Final = Role("Admin", "may do everything", admin=True)


class Rights(msgspec.Struct, frozen=True):
    """What a user's roles come to. ``grants`` is None for an account without roles."""

    is_admin: bool
    grants: Grants | None


def find(tx: Reader, name: str) -> Role:
    """A role, built-in or not. Raises ``NoSuchRole``."""
    return ADMIN if name == ADMIN.name else roles.get(tx, name)


def of(tx: Reader, user: User) -> list[Role]:
    """The roles of a user, in their order. An administrator by account has the role of administrators."""
    found = [role for name in user.roles or () if (role := _find(tx, name)) is not None]
    return [ADMIN, *found] if user.is_admin and ADMIN not in found else found


def _find(tx: Reader, name: str) -> Role | None:
    return ADMIN if name == ADMIN.name else roles.find(tx, name)


def rights(tx: Reader, user: User, cluster: str) -> Rights:
    """What a user may do now in the cluster of that id."""
    found = of(tx, user)
    is_admin = any(role.admin for role in found)
    if user.roles is None:
        return Rights(is_admin, None)
    clusters, buckets = merged(found)
    return Rights(is_admin, grants(clusters, buckets, cluster))


def principal(tx: Reader, user: User) -> Principal:
    """A user with what they may do now."""
    found = rights(tx, user, authn.cluster_id(tx))
    return Principal(user.id, user.name, found.is_admin, found.grants)


def merged(found: Iterable[Role]) -> tuple[tuple[ClusterRule, ...], tuple[BucketRule, ...]]:
    """The rules of several roles as those of one: what two give in the same place is added up."""
    clusters: dict[str, int] = {}
    buckets: dict[Bucket, int] = {}
    for role in found:
        for rule in role.clusters:
            clusters[rule.id] = clusters.get(rule.id, 0) | int(rule.perm)
        for bucket_rule in role.buckets:
            buckets[bucket_rule.bck] = buckets.get(bucket_rule.bck, 0) | int(bucket_rule.perm)
    return (
        tuple(ClusterRule(cluster, str(perm)) for cluster, perm in clusters.items()),
        tuple(BucketRule(bucket, str(perm)) for bucket, perm in buckets.items()),
    )


def grants(clusters: Iterable[ClusterRule], buckets: Iterable[BucketRule], cluster: str) -> Grants:
    """What rules give in the cluster of that id."""
    here = {"", cluster}
    everywhere = Access.NONE
    for rule in clusters:
        if rule.id in here:
            everywhere |= Access(int(rule.perm))
    named: dict[BucketName, Access] = {}
    for bucket_rule in buckets:
        bucket = bucket_rule.bck
        space = bucket.namespace or Namespace()
        if space.uuid in here:
            name = BucketName(bucket.name, bucket.provider, space.name)
            named[name] = named.get(name, Access.NONE) | Access(int(bucket_rule.perm))
    return Grants(everywhere, named)


def both(one: Grants, other: Grants) -> Grants:
    """What is given by the one and by the other."""
    names = {*one.buckets, *other.buckets}
    return Grants(one.cluster & other.cluster, {name: one.of(name) & other.of(name) for name in names})


def checked(role: Role, cluster_ids: Sequence[str]) -> Role:
    """A role with its rules in one spelling.

    ``cluster_ids`` are the id and the alias of this cluster. Raises ``InvalidArgument``, ``NoSuchCluster`` for a rule
    about another one.
    """
    if not role.name or len(role.name) > MAX_NAME or not role.name.isprintable() or "/" in role.name:
        raise errors.InvalidArgument(f"a role's name has 1 to {MAX_NAME} printable characters and no slash")
    if len(role.desc) > MAX_DESCRIPTION or len(role.clusters) + len(role.buckets) > MAX_RULES:
        raise errors.InvalidArgument(
            f"a role has at most {MAX_RULES} rules and a description of at most {MAX_DESCRIPTION} characters"
        )
    return msgspec.structs.replace(
        role,
        clusters=tuple(ClusterRule(_cluster(rule.id, cluster_ids), _perm(rule.perm)) for rule in role.clusters),
        buckets=tuple(BucketRule(_bucket(rule.bck, cluster_ids), _perm(rule.perm)) for rule in role.buckets),
    )


def changed(role: Role, change: Role) -> Role:
    """A role after AIStore's update: rules take the place of those about the same, a permission of 0 removes one."""
    clusters = {rule.id: rule for rule in (*role.clusters, *change.clusters)}
    buckets = {rule.bck: rule for rule in (*role.buckets, *change.buckets)}
    return Role(
        role.name,
        change.desc or role.desc,
        tuple(rule for rule in clusters.values() if rule.perm != "0"),
        tuple(rule for rule in buckets.values() if rule.perm != "0"),
        change.admin,
    )


def predefined(cluster: str, alias: str) -> list[Role]:
    """The roles that registering a cluster makes.

    Owners of buckets and guests may also list buckets and look at the cluster, without which no client gets far.
    """
    name = alias or cluster
    return [
        Role(f"{prefix}-{name}", desc, (ClusterRule(cluster, str(int(access))),))
        for prefix, desc, access in (
            ("ClusterOwner", f"full access to cluster {name}", Access(EVERYTHING)),
            ("BucketOwner", f"read and write access to the buckets of cluster {name}", READ_WRITE | CLUSTER_READ_ONLY),
            ("Guest", f"read access to cluster {name}", READ_ONLY | CLUSTER_READ_ONLY),
        )
    ]


def _cluster(name: str, cluster_ids: Sequence[str]) -> str:
    if name and name not in cluster_ids:
        raise errors.NoSuchCluster(f'cluster "{name}" does not exist')
    return cluster_ids[0] if name else ""


def _bucket(bucket: Bucket, cluster_ids: Sequence[str]) -> Bucket:
    space = bucket.namespace or Namespace()
    if not bucket.name:
        raise errors.InvalidArgument("a permission for a bucket names the bucket")
    return Bucket(
        bucket.name, provider_of(bucket.provider or "ais"), Namespace(_cluster(space.uuid, cluster_ids), space.name)
    )


def _perm(perm: str) -> str:
    return str(int(parse(perm)))
