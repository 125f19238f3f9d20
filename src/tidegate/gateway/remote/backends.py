"""Where a bucket's content is, and what becomes of it when that changes: buckets of other providers that are reached
another way, and buckets of ours that begin or cease to show another provider's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidegate import errors
from tidegate.catalog import buckets, fills, intents, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.clock import now
from tidegate.gateway.permissions import authorise, may_bring_in
from tidegate.gateway.rooms import Rooms
from tidegate.model import Bucket, Principal, Versioning
from tidegate.names import BucketName
from tidegate.properties import BackendBucket, BucketProperties, change
from tidegate.properties.tree import Extra

# All that can be done through the bucket that shows another one.
_ACTIONS: Final = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket")
# Rows that are looked at together.
_STEP: Final = 1000


async def bring_in(rooms: Rooms, principal: Principal, tree: BucketProperties, changes: Mapping[str, object]) -> None:
    """Makes the backend bucket that is wanted known here, if it is there. Raises as the first use of a bucket does."""
    backend = change(tree, changes).backend_bck
    if backend.name and backend != tree.backend_bck:
        await rooms.bucket(principal, name_of(backend), "s3:ListBucket", elsewhere=True)


def check(tx: Reader, principal: Principal, tree: BucketProperties) -> None:
    """Raises unless the caller may do all to the backend bucket that those will who use the one that shows it."""
    if tree.backend_bck.name:
        found = buckets.get(tx, name_of(tree.backend_bck))
        for action in _ACTIONS:
            authorise(principal, found, action, elsewhere=True)


def switch(tx: Transaction, principal: Principal, bucket: Bucket, tree: BucketProperties) -> None:
    """Does what has to be done to a bucket's log before it gets properties by which its content is somewhere else.

    Raises ``AccessDenied``, and ``InvalidArgument`` where content would be lost from sight.
    """
    before, after = bucket.properties.backend_bck, tree.backend_bck
    if bucket.identity.is_remote:
        if _way(tree.extra) != _way(bucket.properties.extra):
            if not may_bring_in(principal):
                raise errors.AccessDenied
            for each in (bucket, *buckets.backed_by(tx, bucket.identity)):
                buckets.renew_log(tx, each)
    elif not after.name and before.name:
        _keep(tx, bucket)
    elif after != before:
        check(tx, principal, tree)
        if bucket.versioning is not Versioning.OFF:
            raise errors.InvalidArgument("a bucket with S3 versioning cannot have a backend bucket")
        if not buckets.is_empty(tx, bucket):
            raise errors.InvalidArgument(
                f'bucket "{bucket.identity.uri}" has objects: only an empty one can show the content of another bucket'
            )
        buckets.renew_log(tx, bucket)


def _way(extra: Extra) -> tuple[str, ...]:
    """What decides which bucket it is that a provider shows us."""
    aws = extra.aws
    return aws.endpoint, aws.profile, aws.cloud_region, extra.gcp.application_creds, extra.http.original_url


def _keep(tx: Transaction, bucket: Bucket) -> None:
    """What is cached is the bucket's own from now on, but for what nobody knows to be right."""
    for key in intents.keys(tx, bucket.log):
        versions.delete(tx, bucket, key, now())
    intents.forget(tx, bucket.log)
    while arriving := fills.first_of_log(tx, bucket.log, _STEP):
        for partial in arriving:
            fills.drop(tx, partial, now())


def name_of(backend: BackendBucket) -> BucketName:
    """The bucket that is meant."""
    return BucketName(backend.name, backend.provider, backend.namespace.name)
