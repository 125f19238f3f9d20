"""How buckets of other providers become known here: on first use, or when somebody says so.

The server's own credentials open them. So it is for administrators to bring one in, for those whose roles let them make
buckets, and for those whose roles name that very bucket; an account that may only make buckets of its own may not.
"""

from __future__ import annotations

from tidegate import errors
from tidegate.catalog import buckets, configuration
from tidegate.catalog.abc import Driver, Transaction
from tidegate.gateway.permissions import may_bring_in
from tidegate.gateway.remote.upstreams import Upstreams
from tidegate.model import Bucket, Principal
from tidegate.names import BucketName, check_bucket_name
from tidegate.properties import inherited


async def first_use(
    catalog: Driver, upstreams: Upstreams, principal: Principal, name: BucketName, action: str, now: int
) -> Bucket:
    """A bucket of another provider that was not known here: it is now, if it is there and lets us read it.

    It belongs to the caller, if they may make buckets, else to nobody. Raises ``AccessDenied``, and as
    ``Upstreams.check``: ``NoSuchBucket``, ``RemoteDenied``, ``RemoteUnavailable``.
    """
    check_bucket_name(name.name)
    owns = may_bring_in(principal)
    if not owns and not may_bring_in(principal, name, action):
        raise errors.AccessDenied(
            f"{name.uri} is not known here, and to bring in a bucket of another provider is for administrators, and "
            "for roles that may make buckets."
        )
    properties = inherited(await catalog.recall("configuration", configuration.get), is_elsewhere=True)
    await upstreams.check(name, properties.extra)

    def create(tx: Transaction) -> Bucket:
        try:
            return buckets.get(tx, name)
        except errors.NoSuchBucket:
            owner = principal.id if owns else ""
            tree = inherited(configuration.get(tx), is_elsewhere=True)
            return buckets.create(tx, name, owner, "", now, properties=tree)

    return await catalog.write(create)
