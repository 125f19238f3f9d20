"""Group 12: a version that is named and a deletion among many are authorised for themselves."""

from __future__ import annotations

import pytest

from tests.attacks.signing import Request
from tests.attacks.tokens import add_role, add_user, bearer, login
from tests.attacks.world import World
from tidegate.access import EVERYTHING, Access


@pytest.fixture
def victim(world: World) -> str:
    """A versioned bucket of alice's with two versions of a key."""
    bucket = world.make_bucket(world.alice, versioned=True)
    world.put(world.alice, bucket, "key", b"old secret")
    world.put(world.alice, bucket, "key", b"new secret")
    return bucket


def versions(world: World, bucket: str) -> list[str]:
    """The ids of all versions."""
    return world.send(Request("GET", f"/{bucket}", "versions"), world.admin).texts("VersionId")


NAMED = ("", "tagging&", "attributes&", "acl&", "retention&", "legal-hold&", "torrent&", "partNumber=1&")


@pytest.mark.parametrize("what", NAMED)
def test_ghsa_3ppv_a_named_version_is_as_private_as_the_newest(world: World, victim: str, what: str) -> None:
    """Naming a version opens nothing of it: not to strangers, not to who may list, not to anybody unknown."""
    name, lister = add_user(world, add_role(world, Access(EVERYTHING & ~int(Access.GET | Access.HEAD_OBJECT))))
    token = login(world, name)
    for version in (*versions(world, victim), "null", "no-such-version"):
        for method in ("GET", "HEAD"):
            request = Request(method, f"/{victim}/key", f"{what}versionId={version}")
            request = request.with_headers(x_amz_object_attributes="ETag")
            for reply in (
                world.send(request),
                world.send(request, world.bob),
                world.send(request, lister),
                world.send(bearer(world.hosted(request), token)),
            ):
                assert reply.status in {400, 403, 405, 501}, reply
                assert b"secret" not in reply.body
                assert "etag" not in reply.headers


def test_deleting_a_version_needs_what_deleting_does(world: World, victim: str) -> None:
    """Who may write but not delete removes no version, by whatever name."""
    before = world.bucket_state(victim)
    _, writer = add_user(world, add_role(world, Access(EVERYTHING & ~int(Access.DELETE_OBJECT))))
    for version in (*versions(world, victim), "null", "no-such-version"):
        for keys in (world.bob, writer, None):
            request = Request("DELETE", f"/{victim}/key", f"versionId={version}")
            assert world.send(request.with_headers(x_amz_bypass_governance_retention="true"), keys).status in {403, 501}
            assert world.send(request, keys).status == 403
    assert world.bucket_state(victim) == before


def test_every_deletion_of_a_batch_is_authorised(world: World, victim: str) -> None:
    """A batch of another's keys and versions deletes none of them, however it is mixed; one's own elsewhere are not
    reached from here.
    """
    own = world.make_bucket(world.bob)
    world.put(world.bob, own, "key", b"bob's")
    before = world.bucket_state(victim), world.bucket_state(own)
    _, writer = add_user(world, add_role(world, Access(EVERYTHING & ~int(Access.DELETE_OBJECT))))
    objects = "".join(
        f"<Object><Key>{key}</Key>{f'<VersionId>{version}</VersionId>' if version else ''}</Object>"
        for key in ("key", "no-such-key", f"../{own}/key")
        for version in ("", *versions(world, victim), "null")
    )
    for quiet in ("true", "false"):
        body = f"<Delete><Quiet>{quiet}</Quiet>{objects}</Delete>".encode()
        request = Request("POST", f"/{victim}", "delete", body=body)
        for keys in (world.bob, writer, None):
            reply = world.send(request, keys)
            assert reply.code == "AccessDenied" or set(reply.texts("Code")) == {"AccessDenied"}
            assert reply.texts("Deleted") == []
    assert (world.bucket_state(victim), world.bucket_state(own)) == before


def test_a_batch_says_what_became_of_each(world: World, victim: str) -> None:
    """To who may delete, each key and version is answered for itself."""
    ids = versions(world, victim)
    named = f"<Object><Key>key</Key><VersionId>{ids[0]}</VersionId></Object>"
    body = f"<Delete>{named}<Object><Key>other</Key></Object></Delete>".encode()
    reply = world.send(Request("POST", f"/{victim}", "delete", body=body), world.alice)
    assert reply.texts("Key") == ["key", "other"]
    assert reply.texts("Code") == []
    assert ids[0] not in versions(world, victim)


def test_ghsa_x298_listing_versions_is_listing(world: World, victim: str) -> None:
    """Who may not list sees no versions either, anonymous or not."""
    _, reader = add_user(world, add_role(world, Access(EVERYTHING & ~int(Access.LIST_OBJECTS))))
    for query in (
        "versions",
        "versions&prefix=key",
        "versions&max-keys=0",
        "versions&key-marker=a&version-id-marker=null",
    ):
        for keys in (None, world.bob, reader):
            reply = world.send(Request("GET", f"/{victim}", query), keys)
            assert (reply.status, reply.code) == (403, "AccessDenied")
