"""Permissions: how they are spelt, and what they allow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import access, errors
from tidegate.access import EVERYTHING, READ_ONLY, READ_WRITE, Access, Grants
from tidegate.gateway.permissions import NEEDS, authorise, authorise_system, may_list
from tidegate.model import ANONYMOUS, EVERYONE, Bucket, Principal, Versioning
from tidegate.names import BucketName
from tidegate.properties import BackendBucket, BucketProperties

OWNER = Principal("owner", "owner")
OTHER = Principal("other", "other")


def bucket(allowed: int = EVERYTHING, properties: BucketProperties | None = None, provider: str = "ais") -> Bucket:
    """A bucket of "owner" with a property ``access``."""
    tree = properties or BucketProperties()
    return Bucket(1, provider, "", "abc", 1, "owner", 0, Versioning.OFF, "", None, tree, allowed)


def may(principal: Principal, of: Bucket, action: str) -> bool:
    """Whether it is allowed."""
    try:
        authorise(principal, of, action)
    except errors.AccessDenied:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ro", READ_ONLY),
        ("RW", READ_WRITE),
        ("su", EVERYTHING),
        ("GET,HEAD-OBJECT", Access.GET | Access.HEAD_OBJECT),
        ("get, put", Access.GET | Access.PUT),
        ("12288", Access.LIST_BUCKETS | Access.SHOW_CLUSTER),
        (575, Access(575)),
        (["GET", "ADMIN"], Access.GET | Access.ADMIN),
    ],
    ids=str,
)
def test_permissions_are_read(text: str | int | list[str], expected: int) -> None:
    """A number, an alias and names mean the same bits."""
    assert access.parse(text) == expected


@pytest.mark.parametrize("text", ["", "x", "GET,x", "-1", str(2**64), "0x10"])
def test_what_is_no_permission_is_refused(text: str) -> None:
    """Nothing that cannot be read becomes a permission."""
    with pytest.raises(errors.InvalidArgument):
        access.parse(text)


@given(st.integers(0, 2**18 - 1))
def test_names_say_the_same_as_the_number(number: int) -> None:
    """Names of a number's bits are read as that number."""
    if number:
        assert access.parse(access.names(Access(number))) == number


def test_the_numbers_are_aistore_s() -> None:
    """Roles and tokens carry the bits as numbers, which other programs made: they never change."""
    assert int(READ_ONLY) == 0b11_0000_0011
    assert int(access.CLUSTER_READ_ONLY) == 12288
    assert Access.ADMIN == 1 << 17


@pytest.mark.parametrize("action", sorted(NEEDS))
def test_a_stranger_may_nothing(action: str) -> None:
    """Who neither owns a bucket nor was granted anything is refused, whatever they ask for."""
    for principal in (OTHER, ANONYMOUS, Principal("other", "other", grants=Grants())):
        assert not may(principal, bucket(), action)
    assert may(OWNER, bucket(), action)
    assert may(EVERYONE, bucket(), action)


@pytest.mark.parametrize("action", sorted(NEEDS))
def test_a_grant_gives_just_what_it_names(action: str) -> None:
    """The permission that an action needs is enough, and all the others are not."""
    needed = Access(NEEDS[action])
    abc = BucketName("abc")
    assert may(Principal("x", "x", grants=Grants(needed)), bucket(), action)
    assert not may(Principal("x", "x", grants=Grants(Access(EVERYTHING & ~needed))), bucket(), action)
    assert may(Principal("x", "x", grants=Grants(buckets={abc: needed})), bucket(), action)
    assert not may(Principal("x", "x", grants=Grants(buckets={BucketName("abd"): needed})), bucket(), action)
    assert not may(Principal("x", "x", grants=Grants(buckets={BucketName("abc", "aws"): needed})), bucket(), action)


def test_a_rule_for_a_bucket_takes_the_place_of_the_general_one() -> None:
    """A bucket's own rule can take away what is granted everywhere."""
    grants = Grants(READ_WRITE, {BucketName("abc"): READ_ONLY})
    assert may(Principal("x", "x", grants=grants), bucket(), "s3:GetObject")
    assert not may(Principal("x", "x", grants=grants), bucket(), "s3:PutObject")


@pytest.mark.parametrize("principal", [OWNER, EVERYONE], ids=["owner", "administrator"])
def test_a_bucket_s_own_property_binds_everybody(principal: Principal) -> None:
    """A bucket that is read-only is not written to, whoever asks; it can be looked at and set right again."""
    closed = bucket(int(READ_ONLY))
    for action in ("s3:PutObject", "s3:DeleteObject", "ais:MoveObject", "s3:DeleteBucket"):
        with pytest.raises(errors.BucketAccessDenied) as refusal:
            authorise(principal, closed, action)
        assert "bucket ais://abc: " in refusal.value.message
        assert "(allowed: [GET,HEAD-OBJECT,HEAD-BUCKET,LIST-OBJECTS])" in refusal.value.message
    for action in ("s3:GetObject", "ais:HeadBucket", "ais:PatchBucket", "ais:SetBucketACL", "s3:PutBucketVersioning"):
        authorise(principal, closed, action)


def test_a_stranger_does_not_learn_of_a_bucket_s_property() -> None:
    """Who may nothing is told nothing of what the bucket allows."""
    with pytest.raises(errors.AccessDenied) as refusal:
        authorise(OTHER, bucket(int(READ_ONLY)), "s3:PutObject")
    assert refusal.value.message == "Access Denied"


def test_what_another_provider_keeps_is_not_here() -> None:
    """The content of such a bucket is refused by name; the bucket itself can be seen, set and removed."""
    backed = bucket(properties=BucketProperties(backend_bck=BackendBucket("cloud", "aws")))
    for each in (bucket(provider="aws"), backed):
        for action in ("s3:GetObject", "s3:PutObject", "s3:ListBucket"):
            with pytest.raises(errors.NotImplementedByServer):
                authorise(OWNER, each, action)
        for action in ("ais:HeadBucket", "ais:PatchBucket", "s3:DeleteBucket"):
            authorise(OWNER, each, action)


def test_the_system_asks_for_its_own_permissions() -> None:
    """An account makes buckets and lists its own; a role gives what it names; nobody else may anything."""
    authorise_system(OTHER, Access.CREATE_BUCKET | Access.LIST_BUCKETS)
    authorise_system(EVERYONE, Access.ADMIN)
    authorise_system(Principal("x", "x", grants=Grants(Access.SHOW_CLUSTER)), Access.SHOW_CLUSTER)
    for principal, needed in (
        (OTHER, Access.SHOW_CLUSTER),
        (OTHER, Access.ADMIN),
        (ANONYMOUS, Access.LIST_BUCKETS),
        (Principal("x", "x", grants=Grants(Access.SHOW_CLUSTER)), Access.CREATE_BUCKET),
        (Principal("x", "x", grants=Grants()), Access.CREATE_BUCKET),
    ):
        with pytest.raises(errors.AccessDenied):
            authorise_system(principal, needed)


def test_a_listing_shows_what_one_may_list() -> None:
    """A bucket is shown to its owner, to administrators and to who may list its objects."""
    assert may_list(OWNER, bucket())
    assert may_list(EVERYONE, bucket())
    assert may_list(Principal("x", "x", grants=Grants(Access.LIST_OBJECTS)), bucket())
    assert not may_list(Principal("x", "x", grants=Grants(Access.GET)), bucket())
    assert not may_list(OTHER, bucket())
