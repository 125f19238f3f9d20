"""From roles to what they give: pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.access import EVERYTHING, READ_ONLY, Access, Grants
from tidegate.catalog.roles import Bucket, BucketRule, ClusterRule, Namespace, Role
from tidegate.identity import roles
from tidegate.names import BucketName

HERE = "here"

accesses = st.integers(0, EVERYTHING).map(Access)
names = st.sampled_from(
    [BucketName("a"), BucketName("b"), BucketName("a", "aws"), BucketName("a", namespace="n"), BucketName("c")]
)
grants = st.builds(Grants, accesses, st.dictionaries(names, accesses))


def rule(name: str, perm: int, cluster: str = HERE, provider: str = "ais", namespace: str = "") -> BucketRule:
    """A rule for a bucket."""
    return BucketRule(Bucket(name, provider, Namespace(cluster, namespace)), str(perm))


@given(grants, grants, names | st.just(BucketName("another")))
def test_both_is_what_each_gives(one: Grants, other: Grants, name: BucketName) -> None:
    """Of two grants, whatever bucket is asked for, exactly what both give is given."""
    assert roles.both(one, other).of(name) == one.of(name) & other.of(name)
    assert roles.both(one, other).cluster == one.cluster & other.cluster


def test_a_rule_for_a_bucket_takes_the_place_of_the_clusters() -> None:
    """Also where it gives less: that is what it is for."""
    given = roles.grants((ClusterRule(HERE, str(EVERYTHING)),), (rule("a", Access.GET),), HERE)
    assert given.of(BucketName("a")) == Access.GET
    assert given.of(BucketName("b")) == EVERYTHING
    assert given.of(BucketName("a", "aws")) == EVERYTHING


def test_rules_about_other_clusters_give_nothing_here() -> None:
    """Only our id, and none, mean us."""
    clusters = (ClusterRule("there", "1"), ClusterRule("", "2"), ClusterRule(HERE, "4"))
    buckets = (rule("a", 1, "there"), rule("b", 1, ""), rule("c", 1), rule("b", 2, HERE))
    given = roles.grants(clusters, buckets, HERE)
    assert given == Grants(Access(6), {BucketName("b"): Access(3), BucketName("c"): Access(1)})


def test_roles_add_up() -> None:
    """Several roles give what each of them gives."""
    clusters, buckets = roles.merged(
        [
            Role("one", clusters=(ClusterRule(HERE, "1"),), buckets=(rule("a", 1),)),
            Role("two", clusters=(ClusterRule(HERE, "2"), ClusterRule("", "8")), buckets=(rule("a", 2), rule("b", 4))),
        ]
    )
    assert clusters == (ClusterRule(HERE, "3"), ClusterRule("", "8"))
    assert buckets == (rule("a", 3), rule("b", 4))


def test_a_role_is_kept_in_one_spelling() -> None:
    """Aliases of clusters, schemes of providers and names of permissions are put straight."""
    given = Role(
        "r",
        "desc",
        (ClusterRule("alias", "ro"), ClusterRule("", "GET,PUT")),
        (BucketRule(Bucket("a", "s3", None), "1"), BucketRule(Bucket("b", "", Namespace("alias", "n")), "su")),
    )
    assert roles.checked(given, [HERE, "alias"]) == Role(
        "r",
        "desc",
        (ClusterRule(HERE, str(int(READ_ONLY))), ClusterRule("", "5")),
        (rule("a", 1, "", "aws"), rule("b", EVERYTHING, HERE, "ais", "n")),
    )


@pytest.mark.parametrize(
    ("role", "error"),
    [
        (Role(""), errors.InvalidArgument),
        (Role("a/b"), errors.InvalidArgument),
        (Role("a\n"), errors.InvalidArgument),
        (Role("a" * 129), errors.InvalidArgument),
        (Role("a", "d" * 1025), errors.InvalidArgument),
        (Role("a", clusters=(ClusterRule("there", "1"),)), errors.NoSuchCluster),
        (Role("a", clusters=(ClusterRule(HERE, "-1"),)), errors.InvalidArgument),
        (Role("a", clusters=(ClusterRule(HERE, str(2**64)),)), errors.InvalidArgument),
        (Role("a", clusters=(ClusterRule(HERE, "everything"),)), errors.InvalidArgument),
        (Role("a", clusters=(ClusterRule(HERE, ""),)), errors.InvalidArgument),
        (Role("a", buckets=(rule("", 1),)), errors.InvalidArgument),
        (Role("a", buckets=(rule("b", 1, provider="cloud"),)), errors.InvalidArgument),
        (Role("a", buckets=(rule("b", 1, "there"),)), errors.NoSuchCluster),
        (Role("a", buckets=tuple(rule(f"b{i}", 1) for i in range(257))), errors.InvalidArgument),
    ],
    ids=str,
)
def test_what_is_no_role(role: Role, error: type[errors.Error]) -> None:
    """A role that would say nothing, or something about another cluster, is refused."""
    with pytest.raises(error):
        roles.checked(role, [HERE])


def test_a_change_replaces_rules_about_the_same() -> None:
    """As AIStore's update: what is given takes the place of what was said of the same; 0 takes it away."""
    before = Role("r", "old", (ClusterRule(HERE, "1"),), (rule("a", 1), rule("b", 1)))
    after = roles.changed(before, Role("r", "", (ClusterRule("", "2"),), (rule("a", 2), rule("b", 0)), admin=True))
    assert after == Role("r", "old", (ClusterRule(HERE, "1"), ClusterRule("", "2")), (rule("a", 2),), admin=True)
