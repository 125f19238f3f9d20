"""Authorisation: the one place where it is decided whether somebody may do something.

Three things have a say, whatever door a request came through: who owns the bucket, what the caller's roles or token
grant, and the bucket's own ``access`` property, which binds everybody. The last never forbids to look at a bucket or to
change its properties, so that nobody can lock themselves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tidegate import access, errors
from tidegate.access import Access
from tidegate.model import Bucket, Place, Principal
from tidegate.names import BucketName
from tidegate.preconditions import Preconditions

# Which permission an action needs, by Amazon's name of the action or, for what Amazon does not know, one of ours.
# Plain numbers from here on: flags take a microsecond to combine.
NEEDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        action: int(needed)
        for action, needed in {
            "s3:GetObject": Access.GET,
            "s3:GetObjectVersion": Access.GET,
            "s3:GetObjectAttributes": Access.GET,
            "s3:GetObjectVersionAttributes": Access.GET,
            "s3:GetObjectTagging": Access.GET,
            "s3:GetObjectVersionTagging": Access.GET,
            "ais:HeadObject": Access.HEAD_OBJECT,
            "s3:PutObject": Access.PUT,
            "s3:ListMultipartUploadParts": Access.PUT,
            "s3:AbortMultipartUpload": Access.PUT,
            "s3:PutObjectTagging": Access.UPDATE_OBJECT,
            "s3:PutObjectVersionTagging": Access.UPDATE_OBJECT,
            "ais:UpdateObject": Access.UPDATE_OBJECT,
            "ais:AppendObject": Access.APPEND,
            "ais:MoveObject": Access.MOVE_OBJECT,
            "ais:PromoteFile": Access.PROMOTE,
            "s3:DeleteObject": Access.DELETE_OBJECT,
            "s3:DeleteObjectVersion": Access.DELETE_OBJECT,
            "s3:ListBucket": Access.LIST_OBJECTS,
            "s3:ListBucketVersions": Access.LIST_OBJECTS,
            "s3:ListBucketMultipartUploads": Access.LIST_OBJECTS,
            "ais:HeadBucket": Access.HEAD_BUCKET,
            "s3:GetBucketLocation": Access.HEAD_BUCKET,
            "s3:GetBucketTagging": Access.HEAD_BUCKET,
            "s3:GetBucketVersioning": Access.HEAD_BUCKET,
            "s3:PutBucketTagging": Access.PATCH,
            "s3:PutBucketVersioning": Access.PATCH,
            "ais:PatchBucket": Access.PATCH,
            "ais:SetBucketACL": Access.SET_BUCKET_ACL,
            "ais:MoveBucket": Access.MOVE_BUCKET,
            "s3:DeleteBucket": Access.DESTROY_BUCKET,
            "repo:Inspect": Access.HEAD_BUCKET,
            "repo:List": Access.LIST_OBJECTS,
            "repo:Read": Access.GET | Access.LIST_OBJECTS,
            "repo:Update": Access.PATCH,
            "repo:CreateBranch": Access.PATCH,
            "repo:DeleteBranch": Access.DESTROY_BUCKET,
            "repo:Delete": Access.DESTROY_BUCKET,
            "repo:Commit": Access.PUT,
            "repo:Merge": Access.PUT,
            "repo:Tag": Access.UPDATE_OBJECT,
            "repo:Rewrite": Access.DELETE_OBJECT,
        }.items()
    }
)
# Actions on what is in a bucket, which for a bucket that somebody else keeps is not here.
_CONTENT: Final = int(
    Access.GET | Access.HEAD_OBJECT | Access.PUT | Access.APPEND | Access.DELETE_OBJECT | Access.MOVE_OBJECT
    | Access.PROMOTE | Access.UPDATE_OBJECT | Access.LIST_OBJECTS
)  # fmt: skip
# Actions that change what is in a bucket, and those that change anything at all.
_WRITING: Final = int(
    Access.PUT | Access.APPEND | Access.DELETE_OBJECT | Access.MOVE_OBJECT | Access.PROMOTE | Access.UPDATE_OBJECT
)
_CHANGING: Final = int(_WRITING | Access.PATCH | Access.SET_BUCKET_ACL | Access.MOVE_BUCKET | Access.DESTROY_BUCKET)
# What changes a branch that takes nothing else.
_TO_PROTECTED: Final = "repo:Merge"
# What a bucket's own property can forbid: not to look at it, nor to set it right.
_FORBIDDABLE: Final = int(_CONTENT | Access.DESTROY_BUCKET | Access.MOVE_BUCKET)


def authorise(principal: Principal, bucket: Bucket, action: str, *, elsewhere: bool = False) -> None:
    """Raises ``AccessDenied`` unless the caller may do this to the bucket or to what is in it.

    Raises ``AccessDenied`` also for a write to what was committed, ``WriteToOutputBranch`` and ``BranchProtected``.

    Raises ``NotImplementedByServer`` for the content of a bucket that another provider keeps, unless who asks says that
    he can do it ``elsewhere``: so nothing that does not know of such buckets takes a cache for the truth.
    """
    needed = NEEDS[action]
    if not (principal.is_admin or _owns(principal, bucket) or _is_granted(principal, bucket, needed)):
        refusal = errors.AccessDenied()
        refusal.bucket = bucket.identity.uri
        raise refusal
    allowed = bucket.access
    if needed & _FORBIDDABLE & ~allowed:
        raise errors.BucketAccessDenied(
            f"bucket {bucket.identity.uri}: {_spelt(needed)} access denied (allowed: [{_spelt(allowed)}])"
        )
    if bucket.place is not None:
        _check_place(bucket.place, needed, action)
    if not elsewhere and needed & _CONTENT and bucket.is_elsewhere:
        raise errors.NotImplementedByServer(
            f'bucket "{bucket.identity.uri}" is kept by another provider: this operation is not implemented there'
        )


def _check_place(place: Place, needed: int, action: str) -> None:
    """Raises where a state of a repository takes no such change from anybody."""
    if place.is_snapshot and needed & _CHANGING:
        raise errors.AccessDenied("What was committed cannot be changed: write to the branch.")
    if needed & _WRITING and place.open is None:
        if place.is_output:
            raise errors.WriteToOutputBranch
        if place.is_protected and action != _TO_PROTECTED:
            raise errors.BranchProtected


def authorised(
    principal: Principal, bucket: Bucket, conditions: Preconditions, *, elsewhere: bool = False
) -> Preconditions:
    """The conditions of a write, if the caller may have them evaluated. Raises as ``authorise``.

    Whether an object has some ETag is for those to know who may read it (Amazon S3 user guide, "Conditional writes").
    """
    if conditions.asks_of_content:
        authorise(principal, bucket, "s3:GetObject", elsewhere=elsewhere)
    return conditions


def authorise_system(principal: Principal, needed: Access) -> None:
    """Raises ``AccessDenied`` unless the caller may do this to the system as a whole.

    An account without roles may make buckets of its own and list them.
    """
    if not may(principal, needed):
        raise errors.AccessDenied


def may(principal: Principal, needed: Access) -> bool:
    """What ``authorise_system`` decides, for what is shown to some in part."""
    if principal.is_admin:
        return True
    granted = Access.NONE
    if principal.grants is not None:
        granted = principal.grants.cluster
    elif principal.id:
        granted = Access.CREATE_BUCKET | Access.LIST_BUCKETS
    return not needed & ~granted


def may_bring_in(principal: Principal, name: BucketName | None = None, action: str = "") -> bool:
    """Whether the caller may make a bucket of another provider known here, which the server's credentials open.

    An account without roles may make buckets, but not these. With a name and an action: whether the caller's roles give
    that of this very bucket, so that it may become known for it.
    """
    if principal.is_admin:
        return True
    if principal.grants is None:
        return False
    if name is None:
        return bool(principal.grants.cluster & Access.CREATE_BUCKET)
    return not NEEDS[action] & ~int(principal.grants.of(name))


def may_list(principal: Principal, bucket: Bucket) -> bool:
    """Whether a listing of buckets shows this one to the caller: who may list what is in it."""
    return principal.is_admin or _owns(principal, bucket) or _is_granted(principal, bucket, Access.LIST_OBJECTS)


def _owns(principal: Principal, bucket: Bucket) -> bool:
    return bool(principal.id) and principal.id == bucket.owner


def _is_granted(principal: Principal, bucket: Bucket, needed: int) -> bool:
    return principal.grants is not None and not needed & ~int(principal.grants.of(bucket.identity))


def _spelt(bits: int) -> str:
    return ",".join(access.names(Access(bits)))
