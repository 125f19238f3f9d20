"""Group 2: a signature is good for the time that it names, and for no other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.attacks import signing
from tests.attacks.signing import UNSIGNED, Request
from tests.attacks.world import World, add_user, remove_user


@pytest.mark.parametrize("minutes", [-16, -60, -60 * 24 * 365, 16, 60, 60 * 24 * 365])
@pytest.mark.parametrize("version", [2, 4])
def test_cve_2025_68671_a_captured_request_does_not_work_later(
    world: World, bucket: str, version: int, minutes: int
) -> None:
    """A request of more than a quarter of an hour ago, or from the future, is refused, and nothing is written."""
    before = world.bucket_state(bucket)
    when = signing.now() + timedelta(minutes=minutes)
    request = world.hosted(Request("PUT", f"/{bucket}/key", body=b"replayed"))
    sign = signing.v2(world.alice, request, when) if version == 2 else signing.v4(world.alice, request, when=when)
    reply = world.send(sign)
    assert (reply.status, reply.code) == (403, "RequestTimeTooSkewed")
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize("minutes", [-14, 14])
@pytest.mark.parametrize("version", [2, 4])
def test_a_clock_may_be_a_little_wrong(world: World, bucket: str, version: int, minutes: int) -> None:
    """Up to a quarter of an hour, either way, is no replay."""
    when = signing.now() + timedelta(minutes=minutes)
    request = world.hosted(Request("GET", f"/{bucket}/key"))
    sign = signing.v2(world.alice, request, when) if version == 2 else signing.v4(world.alice, request, when=when)
    assert world.send(sign).body == b"alice's"


@pytest.mark.parametrize("days", [-1, 1, -365])
def test_the_date_of_the_key_is_that_of_the_request(world: World, bucket: str, days: int) -> None:
    """A key that was derived for one day signs no request of another day."""
    day = f"{signing.now() + timedelta(days=days):%Y%m%d}"
    signed = signing.v4(world.alice, world.hosted(Request("GET", f"/{bucket}/key")), day=day)
    assert world.send(signed).code == "AuthorizationHeaderMalformed"
    presigned = signing.v4_url(world.alice, world.hosted(Request("GET", f"/{bucket}/key")), day=day)
    assert world.send(presigned).code == "AuthorizationQueryParametersError"


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "20260101",
        "2026-01-01T00:00:00Z",
        "20269999T999999Z",
        "٢٠٢٦0101T000000Z",
        "0" * 5000,
        "-1",
        "1e9",
    ],
)
def test_a_time_that_is_none_is_no_time(world: World, bucket: str, date: str) -> None:
    """A date that is missing or cannot be read refuses the request; it does not make it timeless."""
    signed = signing.v4(world.alice, world.hosted(Request("GET", f"/{bucket}/key")))
    wire_date = date.encode().decode("latin-1")
    for name in ("x_amz_date", "date"):
        kept = tuple(pair for pair in signed.headers if pair[0] != "x-amz-date")
        request = Request("GET", f"/{bucket}/key", headers=kept).with_headers(**{name: wire_date})
        reply = world.send(request)
        assert reply.status in {400, 403}
        assert reply.code in {"AccessDenied", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed"}


def test_a_request_without_a_date_is_refused(world: World, bucket: str) -> None:
    """Neither version of signatures works without any date."""
    for sign in (signing.v2, signing.v4):
        signed = sign(world.alice, world.hosted(Request("GET", f"/{bucket}/key")))
        kept = tuple(pair for pair in signed.headers if pair[0] not in {"x-amz-date", "date"})
        reply = world.send(Request("GET", f"/{bucket}/key", headers=kept))
        assert (reply.status, reply.code) == (403, "AccessDenied")


def test_the_signed_date_is_the_one_that_counts(world: World, bucket: str) -> None:
    """Another, fresh date beside an old one that was signed makes nothing fresh."""
    old = signing.now() - timedelta(hours=1)
    signed = signing.v4(world.alice, world.hosted(Request("GET", f"/{bucket}/key")), when=old)
    fresh = signed.with_headers(date=signing.now().strftime("%a, %d %b %Y %H:%M:%S GMT"))
    assert world.send(fresh).code == "RequestTimeTooSkewed"
    moved = signed.with_headers(x_amz_date=signing.stamp(signing.now()))
    assert world.send(moved).code == "SignatureDoesNotMatch"
    in_query = signed.with_query(f"X-Amz-Date={signing.stamp(signing.now())}")
    assert world.send(in_query).code == "RequestTimeTooSkewed"
    doubled = Request(signed.method, signed.path, "", (*signed.headers, ("x-amz-date", signing.stamp(signing.now()))))
    assert world.send(doubled).status in {400, 403}


def test_a_captured_request_does_nothing_else(world: World, bucket: str) -> None:
    """Within its time, a captured request works again and for itself only: no other method, path, query or payload."""
    world.put(world.alice, bucket, "other", b"other")
    before = world.bucket_state(bucket)
    signed = signing.v4(world.alice, world.hosted(Request("GET", f"/{bucket}/key")), payload=UNSIGNED)
    assert world.send(signed).status == world.send(signed).status == 200
    for changed in (
        Request("DELETE", signed.path, "", signed.headers),
        Request("HEAD", signed.path, "", signed.headers),
        Request("PUT", signed.path, "", signed.headers, b"body"),
        Request("GET", f"/{bucket}/other", "", signed.headers),
        Request("GET", f"/{bucket}", "", signed.headers),
        Request("GET", signed.path, "tagging", signed.headers),
        Request("GET", signed.path, "versionId=null", signed.headers),
        signed.with_headers(x_amz_content_sha256=signing.EMPTY_HASH),
        signed.with_headers(host=f"localhost:{world.server.port}"),
    ):
        reply = world.send(changed)
        assert reply.status == 403, changed
        assert reply.code == "SignatureDoesNotMatch" or changed.method == "HEAD"
    assert world.bucket_state(bucket) == before


def test_a_key_that_was_removed_works_no_longer(world: World, bucket: str) -> None:
    """What was signed with a key that is gone is refused at once, whether captured or new."""
    keys = add_user(world.server.data, "carol")
    own = world.make_bucket(keys)
    captured = signing.v4(keys, world.hosted(Request("GET", f"/{own}")))
    assert world.send(captured).status == 200
    remove_user(world.server.data, "carol")
    assert world.send(captured).code == "InvalidAccessKeyId"
    assert world.send(Request("GET", f"/{own}"), keys).code == "InvalidAccessKeyId"
    add_user(world.server.data, "carol")
    assert world.send(Request("GET", f"/{own}"), keys).code == "InvalidAccessKeyId"
