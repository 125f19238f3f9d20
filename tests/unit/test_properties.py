"""Properties: their names and defaults, and how they are changed."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.properties import BucketProperties, Configuration, change, flatten, inherited, present, rebuild
from tidegate.properties.change import READ_ONLY, why_not
from tidegate.properties.features import ALWAYS, FEATURES, names, parse

BUCKET = BucketProperties()
NAMES = sorted(flatten(BUCKET))


def test_the_defaults_are_aistore_s() -> None:
    """What a new bucket is set to, as seeds 000-003 show it."""
    flat = flatten(BUCKET)
    assert flat["checksum.type"] == "xxhash"
    assert flat["checksum.validate_cold_get"] is True
    assert flat["versioning.enabled"] is True
    assert flat["mirror.copies"] == 2
    assert flat["mirror.enabled"] is False
    assert flat["access"] == "18446744073709551615"


def test_net_http_is_in_the_order_of_the_guide() -> None:
    """``ais config cluster net.http`` prints these, in this order (seed 000)."""
    assert [name for name in flatten(Configuration()) if name.startswith("net.http.")] == [
        "net.http.server_crt",
        "net.http.server_key",
        "net.http.write_buffer_size",
        "net.http.read_buffer_size",
        "net.http.use_https",
        "net.http.skip_verify",
        "net.http.chunked_transfer",
    ]


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"checksum.type": "md5"}, "checksum.type", "md5"),
        ({"checksum": {"type": "md5"}}, "checksum.type", "md5"),
        ({"checksum.type": "xxhash2"}, "checksum.type", "xxhash"),
        ({"versioning.enabled": "false"}, "versioning.enabled", False),
        ({"mirror.copies": "3"}, "mirror.copies", 3),
        ({"access": "ro"}, "access", "771"),
        ({"access": 771}, "access", "771"),
        ({"features": "Fsync-PUT"}, "features", "16"),
        ({"features": "S3-Presigned-Request"}, "features", "512"),
        ({"backend_bck": "aws://b"}, "backend_bck.provider", "aws"),
        ({"backend_bck": {"name": "b", "provider": "s3"}}, "backend_bck.provider", "aws"),
        ({"extra.aws.endpoint": "http://localhost:1"}, "extra.aws.endpoint", "http://localhost:1"),
    ],
    ids=str,
)
def test_a_change_is_made(changes: dict[str, object], name: str, value: object) -> None:
    """Flat names, partial trees and the command line's spellings change what they name, and nothing else."""
    changed = change(BUCKET, changes)
    flat = flatten(changed)
    assert flat[name] == value
    before = flatten(BUCKET)
    section = name.partition(".")[0]
    assert {each: flat[each] for each in flat if not each.startswith(section)} == {
        each: before[each] for each in before if not each.startswith(section)
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unknown.field": 1}, 'unknown property "unknown.field"'),
        ({"checksum": "md5"}, 'unknown property "checksum"'),
        ({"checksum.type.x": 1}, "unknown property"),
        ({"provider": "aws"}, 'property "provider" is readonly'),
        (
            {"checksum.type": "crc"},
            'invalid value "crc" of property "checksum.type": one of none, xxhash, md5, crc32c, sha256, sha512',
        ),
        ({"mirror.copies": "many"}, '"many" of property "mirror.copies": expected a whole number from 1 to 32'),
        ({"mirror.copies": 0}, 'invalid value "0"'),
        ({"mirror.copies": 33}, 'invalid value "33"'),
        ({"mirror.enabled": "maybe"}, 'invalid value "maybe" of property "mirror.enabled": expected true or false'),
        ({"lru.batch_size": -1}, "expected a whole number, 0 or more"),
        ({"extra.aws.endpoint": True}, 'invalid value "true" of property "extra.aws.endpoint": expected a text'),
        ({"lru.dont_evict_time": "soon"}, 'invalid value "soon" of property "lru.dont_evict_time": expected a span'),
        ({"lru.capacity_upd_time": 5}, "expected a span of time such as 2h"),
        ({"lru.capacity_upd_time": "-1m"}, "expected a span of time"),
        ({"access": "everything"}, "invalid access"),
        ({"features": "No-Such-Feature"}, "invalid feature flag"),
        ({"features": "Disable-Cold-GET"}, "not implemented"),
        ({"backend_bck": "ais://b"}, "cannot be a backend"),
        ({"backend_bck.name": "b"}, "needs a name and a provider"),
        ({"extra.aws.multipart_size": 1}, "extra.aws.multipart_size"),
        ({"features": "S3-API-via-Root"}, 'flag "S3-API-via-Root" is for the cluster, not for a single bucket'),
        ({"extra.aws.max_pagesize": 10_001}, "expected a whole number from 0 to 10000"),
        ({"extra.custom": "x" * 129}, f'"{"x" * 64}..." of property "extra.custom": expected a text of 128 characters'),
        ({"chunks.objsize_limit": "5MiB"}, "cannot be set: objects of any size are kept whole"),
        ({"ec.enabled": True}, 'property "ec.enabled" cannot be set: erasure coding is not implemented'),
        ({"write_policy.md": "never"}, 'one of "", immediate'),
        ({"rebalance.enabled": True}, 'unknown property "rebalance.enabled"'),
        ({"": 1}, "unknown property"),
    ],
    ids=str,
)
def test_what_cannot_be_set_is_refused(changes: dict[str, object], message: str) -> None:
    """Nothing is kept of a change that names, means or combines something wrong; the refusal says what it is."""
    with pytest.raises(errors.InvalidArgument) as refusal:
        change(BUCKET, changes)
    assert message in refusal.value.message


@pytest.mark.parametrize("span", ["0", "2h", "10m", "1h30m", "300ms", "1.5h", "5µs"])
def test_spans_of_time_are_go_s(span: str) -> None:
    """What Go reads as a duration is kept as it was written."""
    assert change(BUCKET, {"lru.dont_evict_time": span}).lru.dont_evict_time == span
    assert change(Configuration(), {"lru": {"capacity_upd_time": span}}).lru.capacity_upd_time == span


def test_the_cluster_may_have_flags_that_a_bucket_may_not() -> None:
    """Flags of either scope are set for the cluster; a new bucket begins with those that are a bucket's."""
    system = change(Configuration(), {"features": "S3-API-via-Root,Fsync-PUT"})
    assert names(int(system.features)) == ["S3-API-via-Root", "Fsync-PUT"]
    assert names(int(inherited(system).features)) == ["Fsync-PUT"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rebalance.enabled": True}, '"rebalance.enabled" is a setting of AIStore that this system does not have'),
        ({"timeout": {"startup_time": "1m"}}, '"timeout.startup_time" is a setting of AIStore'),
        (
            {"net.http.skip_verify": True},
            'property "net.http.skip_verify" cannot be set: clients decide for themselves',
        ),
        ({"nonsense.enabled": True}, 'unknown property "nonsense.enabled"'),
    ],
    ids=str,
)
def test_what_the_configuration_does_not_have(changes: dict[str, object], message: str) -> None:
    """A setting of AIStore's that has no meaning here is told from one that nobody knows."""
    with pytest.raises(errors.InvalidArgument) as refusal:
        change(Configuration(), changes)
    assert message in refusal.value.message


@pytest.mark.parametrize("name", [name for name in NAMES if why_not(name)])
def test_what_is_not_acted_on_can_be_read_and_set_to_what_it_is(name: str) -> None:
    """A client that writes back the whole tree is not refused; one that changes what has no effect is."""
    value = flatten(BUCKET)[name]
    assert change(BUCKET, {name: value}) == BUCKET
    other: object = (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int) else "other"
    with pytest.raises(errors.InvalidArgument):
        change(BUCKET, {name: other})


def test_a_tree_survives_being_taken_apart() -> None:
    """What flat names, JSON and storage say of a tree is the tree."""
    tree = change(BUCKET, {"checksum.type": "sha256", "extra.custom": "note", "mirror.enabled": True})
    assert rebuild(BucketProperties, flatten(tree)) == tree
    assert msgspec.convert(present(tree), BucketProperties) == tree
    assert msgspec.json.decode(msgspec.json.encode(tree), type=BucketProperties) == tree


def test_read_only_names_are_no_properties() -> None:
    """What a bucket is called is not among what it is set to."""
    assert not READ_ONLY & set(NAMES)


def test_watermarks_ascend() -> None:
    """Watermarks that contradict each other are refused, whichever of them is changed."""
    assert change(Configuration(), {"space.out_of_space": 99}).space.out_of_space == 99
    for changes in ({"space.lowwm": 95}, {"space.out_of_space": 80}, {"space.cleanupwm": 80}):
        with pytest.raises(errors.InvalidArgument):
            change(Configuration(), changes)


@given(st.sets(st.sampled_from(sorted(ALWAYS))))
def test_features_are_names_of_bits(wanted: set[str]) -> None:
    """Flags are read from their names, in any of the ways in which a command line gives several."""
    ordered = [name for name in FEATURES if name in wanted]
    mask = parse(ordered)
    assert names(mask) == ordered
    assert parse(",".join(ordered)) == parse(" ".join(ordered)) == parse(str(mask)) == parse(hex(mask)) == mask


@given(st.dictionaries(st.text(max_size=12), st.one_of(st.none(), st.text(max_size=5), st.integers(), st.booleans())))
def test_any_change_is_made_or_refused(changes: dict[str, object]) -> None:
    """Nothing but a refusal comes of what no client of AIStore sends."""
    with suppress(errors.InvalidArgument):
        change(BUCKET, changes)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("http://host/a@b", "http://host/a@b"),
        ("https://user:secret@host:8443/data", "https://*****@host:8443/data"),
        ("https://token@host", "https://*****@host"),
        ("https://us@er:sec@ret@[::1]/", "https://*****@[::1]/"),
        ("user:secret@host", "*****"),
        ("http://[secret@", "*****"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    """Whoever sees a bucket's properties sees where it is, and not who we are there; setting that changes nothing."""
    tree = change(BucketProperties(), {"extra.http.original_url": url})
    assert tree.extra.http.original_url == url
    assert present(tree)["extra"]["http"]["original_url"] == shown  # type: ignore[index]
    assert change(tree, {"extra": {"http": {"original_url": shown}}}) == tree


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("extra.aws.endpoint", "http://key:verysecret@host:9000"),
        ("extra.gcp.application_creds", '{"private_key": "verysecret"}'),
        ("extra.gcp.application_creds", "-----BEGIN PRIVATE KEY-----\nverysecret"),
    ],
)
def test_a_credential_where_none_belongs_is_refused(name: str, value: str) -> None:
    """It would be shown with the bucket's properties; the refusal does not show it either."""
    with pytest.raises(errors.InvalidArgument) as caught:
        change(BucketProperties(), {name: value})
    assert "verysecret" not in str(caught.value)
