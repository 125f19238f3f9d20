"""Group 11: what is copied is authorised as if it were read, under the one name that is also what is copied."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest

from tests.attacks import signing
from tests.attacks.signing import Keys, Request
from tests.attacks.world import Reply, World, wire_head
from tests.server.wire import connect

SECRET = b"alice's secret"


@pytest.fixture
def victim(world: World) -> str:
    """A versioned bucket of alice's with a secret in it."""
    bucket = world.make_bucket(world.alice, versioned=True)
    world.put(world.alice, bucket, "key", b"old secret")
    world.put(world.alice, bucket, "key", SECRET)
    return bucket


def version_ids(world: World, bucket: str) -> list[str]:
    """The ids of all versions in a bucket."""
    return world.send(Request("GET", f"/{bucket}", "versions"), world.admin).texts("VersionId")


def copy(world: World, keys: Keys, bucket: str, source: str, **headers: str) -> Reply:
    """Copies to the key "stolen"."""
    request = Request("PUT", f"/{bucket}/stolen").with_headers(x_amz_copy_source=source, **headers)
    return world.send(request, keys)


def copy_part(world: World, keys: Keys, bucket: str, source: str, **headers: str) -> Reply:
    """Copies to a part of an upload, which has it then or not, and is ended."""
    upload = world.begin(keys, bucket, "stolen")
    request = Request("PUT", f"/{bucket}/stolen", f"partNumber=1&uploadId={upload}")
    reply = world.send(request.with_headers(x_amz_copy_source=source, **headers), keys)
    parts = world.send(Request("GET", f"/{bucket}/stolen", f"uploadId={upload}"), keys)
    assert bool(parts.texts("PartNumber")) is (reply.status == 200)
    assert world.send(Request("DELETE", f"/{bucket}/stolen", f"uploadId={upload}"), keys).status == 204
    return reply


COPIES = {"CopyObject": copy, "UploadPartCopy": copy_part}

SOURCES = {
    "plain": "{bucket}/key",
    "leading slash": "/{bucket}/key",
    "two slashes": "//{bucket}/key",
    "encoded slash": "{bucket}%2Fkey",
    "encoded leading slash": "%2F{bucket}%2Fkey",
    "encoded twice": "{bucket}%252Fkey",
    "encoded name": "{encoded}/key",
    "version": "{bucket}/key?versionId={version}",
    "version in the path": "{bucket}%2Fkey%3FversionId={version}",
    "version twice": "{bucket}/key?versionId=null&versionId={version}",
    "version and more": "{bucket}/key?versionId={version}&acl",
    "capital version": "{bucket}/key?VersionId={version}",
    "own bucket first": "{own}/../{bucket}/key",
    "own bucket first, encoded": "{own}%2F..%2F{bucket}%2Fkey",
    "own bucket behind": "{bucket}/key?{own}/key",
    "own bucket as a query": "{own}/own?versionId=../{bucket}/key",
    "dots": "./{bucket}/key",
    "service prefix": "s3/{bucket}/key",
    "leading service prefix": "/s3/{bucket}/key",
    "access point": "arn:aws:s3:us-east-1:123456789012:accesspoint/{bucket}/object/key",
    "bucket ARN": "arn:aws:s3:::{bucket}/key",
    "ARN of capitals": "ARN:aws:s3:::{bucket}/key",
    "outpost": "arn:aws:s3-outposts:us-east-1:123456789012:outpost/x/object/{bucket}/key",
    "URL": "http://127.0.0.1/{bucket}/key",
    "two sources": "{own}/own,{bucket}/key",
    "two sources, the other first": "{bucket}/key,{own}/own",
    "blank": " {bucket}/key",
    "NUL": "{own}%00/../{bucket}/key",
    "backslash": "{own}\\..\\{bucket}\\key",
    "overlong slash": "{own}%c0%af..%c0%af{bucket}%c0%afkey",
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("form", SOURCES)
def test_cve_2026_39360_nobody_copies_what_they_may_not_read(world: World, victim: str, how: str, form: str) -> None:
    """However another's object is named as a source, it is not copied, and a refusal shows nothing of it."""
    own = world.make_bucket(world.bob)
    world.put(world.bob, own, "own", b"bob's")
    before = world.bucket_state(own), world.bucket_state(victim)
    encoded = "".join(f"%{ord(character):02x}" for character in victim)
    source = SOURCES[form].format(bucket=victim, own=own, encoded=encoded, version=version_ids(world, victim)[0])
    reply = COPIES[how](world, world.bob, own, source)
    assert reply.status in {400, 403, 404, 501}, reply
    assert SECRET not in reply.body
    assert (world.bucket_state(own), world.bucket_state(victim)) == before
    if form in {"plain", "leading slash", "encoded slash", "encoded name", "version"}:
        assert (reply.status, reply.code) == (403, "AccessDenied")


@pytest.mark.parametrize("how", COPIES)
def test_a_source_is_what_its_owner_can_copy(world: World, victim: str, how: str) -> None:
    """The forms that S3 has work for who may read: plain, with a slash, encoded, and with a version."""
    for form in ("plain", "leading slash", "encoded slash", "encoded name", "version"):
        encoded = "".join(f"%{ord(character):02x}" for character in victim)
        newest = next(version for version in version_ids(world, victim) if version != "null")
        source = SOURCES[form].format(bucket=victim, own=victim, encoded=encoded, version=newest)
        own = world.make_bucket(world.alice)
        assert COPIES[how](world, world.alice, own, source).status == 200
        if how == "CopyObject":
            assert world.get(world.alice, own, "stolen").body == SECRET


@pytest.mark.parametrize("how", COPIES)
def test_nobody_copies_to_where_they_may_not_write(world: World, victim: str, how: str) -> None:
    """Reading one's own object is no permission to write it into another's bucket."""
    own = world.make_bucket(world.bob)
    world.put(world.bob, own, "own", b"bob's")
    before = world.bucket_state(victim)
    upload = world.begin(world.alice, victim, "stolen")
    query = "" if how == "CopyObject" else f"partNumber=1&uploadId={upload}"
    request = Request("PUT", f"/{victim}/stolen", query).with_headers(x_amz_copy_source=f"{own}/own")
    for keys, status in ((world.bob, 403), (None, 403)):
        reply = world.send(request, keys)
        assert (reply.status, reply.code) == (status, "AccessDenied")
    world.send(Request("DELETE", f"/{victim}/stolen", f"uploadId={upload}"), world.alice)
    assert world.bucket_state(victim) == before


def test_a_source_in_the_query_is_authorised_too(world: World, victim: str) -> None:
    """A presigner may move the source into the query; it is a source all the same, and never an empty upload."""
    own = world.make_bucket(world.bob)
    source = quote(f"{victim}/key", safe="")
    for name in ("x-amz-copy-source", "X-Amz-Copy-Source"):
        url = signing.v4_url(world.bob, world.hosted(Request("PUT", f"/{own}/stolen", f"{name}={source}")))
        reply = world.send(url)
        assert (reply.status, reply.code) == (403, "AccessDenied")
    assert world.get(world.bob, own, "stolen").code == "NoSuchKey"


def test_two_headers_are_no_two_sources(world: World, victim: str) -> None:
    """A source given twice is not one that was authorised and another that is copied."""
    own = world.make_bucket(world.bob)
    world.put(world.bob, own, "own", b"bob's")
    for first, second in ((f"{own}/own", f"{victim}/key"), (f"{victim}/key", f"{own}/own")):
        request = world.hosted(Request("PUT", f"/{own}/stolen"))
        twice = replace(
            request, headers=(*request.headers, ("x-amz-copy-source", first), ("x-amz-copy-source", second))
        )
        assert world.send(signing.v4(world.bob, twice)).status in {400, 403, 404}
        other = world.hosted(Request("PUT", f"/{own}/stolen", f"x-amz-copy-source={quote(second, safe='')}"))
        reply = world.send(signing.v4(world.bob, other.with_headers(x_amz_copy_source=first)))
        assert reply.status in {200, 400, 403, 404}
        assert world.get(world.bob, own, "stolen").body != SECRET


def test_a_rename_does_not_leave_its_bucket(world: World, victim: str) -> None:
    """A rename's source is a key of the very bucket, whatever bucket it seems to name."""
    own = world.make_bucket(world.bob)
    world.put(world.bob, own, "own", b"bob's")
    before = world.bucket_state(own), world.bucket_state(victim)
    for form in SOURCES.values():
        source = form.format(bucket=victim, own=own, encoded=victim, version=version_ids(world, victim)[0])
        request = Request("PUT", f"/{own}/stolen", "renameObject").with_headers(x_amz_rename_source=source)
        assert world.send(request, world.bob).status in {400, 403, 404, 501}, source
    mine = Request("PUT", f"/{victim}/stolen", "renameObject").with_headers(x_amz_rename_source=f"{own}/own")
    assert world.send(mine, world.bob).code == "AccessDenied"
    assert (world.bucket_state(own), world.bucket_state(victim)) == before


@pytest.mark.parametrize("how", COPIES)
def test_conditions_on_a_source_are_no_oracle(world: World, victim: str, how: str) -> None:
    """Whether another's object has an ETag or is newer than a date is not told to who may not read it."""
    own = world.make_bucket(world.bob)
    etag = world.get(world.alice, victim, "key").headers["etag"]
    for name, value in (
        ("if_match", etag),
        ("if_match", '"other"'),
        ("if_none_match", etag),
        ("if_modified_since", "Thu, 01 Jan 1998 00:00:00 GMT"),
        ("if_unmodified_since", "Thu, 01 Jan 1998 00:00:00 GMT"),
    ):
        for key in ("key", "no-such-key"):
            reply = COPIES[how](world, world.bob, own, f"{victim}/{key}", **{f"x_amz_copy_source_{name}": value})
            assert (reply.status, reply.code) == (403, "AccessDenied")


def test_the_expected_owner_is_asked_of_the_same_bucket(world: World, victim: str) -> None:
    """The bucket whose owner is compared is the one that is copied from, however it is spelled."""
    own = world.make_bucket(world.alice)
    owner = world.send(Request("GET", f"/{own}", "list-type=2&fetch-owner=true"), world.alice)
    world.put(world.alice, own, "own", b"own")
    owner_id = world.send(Request("GET", f"/{own}", "list-type=2&fetch-owner=true"), world.alice).text("ID")
    assert owner.status == 200
    for source in (f"{victim}/key", f"{victim}%2Fkey", f"/{victim}/key"):
        good = copy(world, world.alice, own, source, x_amz_source_expected_bucket_owner=owner_id)
        assert good.status == 200
        bad = copy(world, world.alice, own, source, x_amz_source_expected_bucket_owner="0" * 64)
        assert (bad.status, bad.code) == (403, "AccessDenied")
    foreign = copy(world, world.bob, own, f"{victim}/key", x_amz_expected_bucket_owner=owner_id)
    assert foreign.code == "AccessDenied"


@pytest.mark.parametrize("what", ["put", "part", "append"])
def test_a_bucket_that_changed_hands_takes_nothing_from_its_last_owner(world: World, what: str) -> None:
    """An upload into a bucket that was deleted meanwhile, and made anew by another, does not end there."""
    bucket = world.make_bucket(world.bob)
    upload = world.begin(world.bob, bucket, "key")
    query = f"partNumber=1&uploadId={upload}" if what == "part" else ""
    request = world.hosted(Request("PUT", f"/{bucket}/key", query, body=b"bob's")).with_headers(expect="100-continue")
    if what == "append":
        request = request.with_headers(x_amz_write_offset_bytes="0")
    signed = signing.v4(world.bob, request)
    with connect(world.server.port) as connection:
        connection.send(wire_head(signed))
        assert connection.sock.recv(1024).startswith(
            b"HTTP/1.1 100 "
        )  # so the server knows who it is and wants the body
        assert world.send(Request("DELETE", f"/{bucket}"), world.bob).status == 204
        assert world.send(Request("PUT", f"/{bucket}"), world.alice).status == 200
        before = world.bucket_state(bucket)
        connection.send(signed.body)
        status, _ = connection.answer()
        assert status in {403, 404}
    assert world.bucket_state(bucket) == before
