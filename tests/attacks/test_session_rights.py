"""Group 8: a token, a key or an account gets nobody more than its user has, and nothing that is over comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.attacks.signing import Request
from tests.attacks.tokens import (
    PASSWORD,
    add_role,
    add_user,
    bearer,
    change_user,
    claims,
    login,
    native,
    put_role,
    token_of,
)
from tests.attacks.world import World, administer
from tidegate.access import CLUSTER_READ_ONLY, EVERYTHING, READ_ONLY, READ_WRITE, Access


def s3(world: World, request: Request, token: str) -> int:
    """The status of an S3 request with a token."""
    return world.send(bearer(world.hosted(request), token)).status


def test_cve_2025_62506_a_session_makes_no_siblings(world: World) -> None:
    """A user with a token makes no users, roles or keys, and makes no more of itself than it is."""
    role = add_role(world, READ_WRITE | CLUSTER_READ_ONLY)
    name, _ = add_user(world, role)
    token = login(world, name)
    admins = {"roles": [{"name": "Admin", "admin": True}]}
    for method, path, body in (
        ("POST", "/users", {"id": "sibling", "pass": "x", **admins}),
        ("PUT", f"/users/{name}", {"id": name, **admins}),
        ("PUT", f"/users/{name}", {"id": "admin", "pass": "x", **admins}),
        ("PUT", "/users/admin", {"id": name, "pass": "x", "roles": []}),
        ("POST", "/roles", {"name": "mine", "desc": "", "admin": True}),
        ("PUT", f"/roles/{role}", {"name": role, "desc": "", "admin": True}),
        ("PUT", "/roles/Admin", {"name": "Admin", "desc": "mine"}),
        ("POST", "/clusters", {"alias": "mine"}),
        ("PUT", "/daemon", {"auth": {"expiration_time": "2160h"}}),
    ):
        assert native(world, method, path, token, json=body).status_code == 403, (method, path)
    account = native(world, "GET", f"/users/{name}", token).json()
    assert [found["name"] for found in account["roles"]] == [role]


def test_cve_2024_24747_a_password_change_adds_no_rights(world: World) -> None:
    """What a user may change about themselves is the password: fields beside it do nothing."""
    role = add_role(world, READ_ONLY)
    name, _ = add_user(world, role)
    token = login(world, name)
    message = {"id": name, "pass": PASSWORD + "!", "roles": [], "admin": True, "is_admin": True, "uid": "0" * 64}
    assert native(world, "PUT", f"/users/{name}", token, json=message).status_code == 200
    token = login(world, name, PASSWORD + "!")
    assert not claims(token).get("admin")
    assert native(world, "GET", "/users", token).status_code == 403
    assert s3(world, Request("PUT", f"/{name}-bucket"), token) == 403


def test_cve_2024_55949_only_an_administrator_sees_or_changes_accounts(world: World) -> None:
    """Owning the whole cluster, which is not the same, gives nobody the accounts."""
    name, _ = add_user(world, add_role(world, Access(EVERYTHING)))
    token = login(world, name)
    assert native(world, "GET", "/daemon?what=config", token).status_code == 200
    for method, path in (("GET", "/users"), ("GET", "/roles"), ("POST", "/users"), ("DELETE", "/users/admin")):
        assert native(world, method, path, token, json={"id": "x", "pass": "x"}).status_code == 403


def test_cve_2024_43784_who_is_made_again_regains_nothing(world: World) -> None:
    """Keys, tokens and buckets of a user who was removed are not those of another of the same name."""
    name, keys = add_user(world, account=True)
    bucket = world.make_bucket(keys)
    world.put(keys, bucket, "key", b"the first one's")
    token = login(world, name)
    administer(world.server.data, lambda identity: identity.remove_user(name))
    get = Request("GET", f"/{bucket}/key")
    assert world.send(get, keys).code == "InvalidAccessKeyId"
    assert s3(world, get, token) == 400
    administer(world.server.data, lambda identity: identity.add_user(name, password=PASSWORD))
    assert world.send(get, keys).code == "InvalidAccessKeyId"
    assert s3(world, get, token) == 400
    assert native(world, "GET", f"/users/{name}", token).status_code == 401
    again = login(world, name)
    assert s3(world, get, again) == 403
    assert bucket not in world.send(bearer(world.hosted(Request("GET", "/")), again)).texts("Name")


def test_a_role_that_is_made_again_comes_back_to_nobody(world: World) -> None:
    """A role that was removed is removed from its users, too: another one of its name is not theirs."""
    role = add_role(world, READ_ONLY)
    name, keys = add_user(world, role)
    token = login(world, name)
    admin = token_of(world, "admin")
    assert native(world, "DELETE", f"/roles/{role}", admin).status_code == 200
    put_role(world, role, Access(EVERYTHING), admin=True)
    bucket = world.make_bucket(world.alice)
    for reply in (
        world.send(Request("GET", f"/{bucket}"), keys),
        world.send(bearer(world.hosted(Request("GET", f"/{bucket}")), token)),
        world.send(bearer(world.hosted(Request("GET", f"/{bucket}")), login(world, name))),
    ):
        assert reply.code == "AccessDenied"


def demote(world: World, name: str, role: str) -> None:
    """Takes the user's roles away."""
    del role
    change_user(world, name, role_names=[])


def weaken(world: World, name: str, role: str) -> None:
    """Makes the role one of nobody special."""
    del name
    put_role(world, role, Access.HEAD_BUCKET)


@pytest.mark.parametrize("lose", [demote, weaken])
def test_what_is_taken_away_is_gone_at_once(world: World, lose: Callable[[World, str, str], None]) -> None:
    """Rights that a user has lost are not those of a token from before, nor of keys."""
    role = add_role(world, admin=True)
    name, keys = add_user(world, role)
    token = login(world, name)
    bucket = world.make_bucket(world.alice)
    world.put(world.alice, bucket, "key", b"alice's")
    get = Request("GET", f"/{bucket}/key")
    assert world.send(get, keys).body == b"alice's"
    assert s3(world, get, token) == 200
    assert native(world, "GET", "/users", token).status_code == 200
    lose(world, name, role)
    assert world.send(get, keys).code == "AccessDenied"
    assert s3(world, get, token) == 403
    assert native(world, "GET", "/users", token).status_code == 403
    assert native(world, "GET", f"/objects/{bucket}/key", token).status_code == 403


def test_what_is_given_needs_a_login(world: World) -> None:
    """A token does not grow: rights that a user gets later are in the next one."""
    name, _ = add_user(world)
    bucket = world.make_bucket(world.alice)
    token = login(world, name)
    change_user(world, name, role_names=["Admin"])
    assert s3(world, Request("GET", f"/{bucket}"), token) == 403
    assert native(world, "GET", "/users", token).status_code == 403
    assert s3(world, Request("GET", f"/{bucket}"), login(world, name)) == 200


def test_a_token_begets_none(world: World) -> None:
    """A token is no password: nobody makes it live longer by asking for another with it."""
    name, _ = add_user(world, account=True)
    token = login(world, name)
    for password in (token, f"Bearer {token}"):
        assert native(world, "POST", f"/users/{name}", token, json={"password": password}).status_code == 401
    assert native(world, "POST", f"/users/{name}", token, json={}).status_code == 400


ACTIONS: dict[str, tuple[Access, Request]] = {
    "read": (Access.GET, Request("GET", "/{bucket}/key")),
    "write": (Access.PUT, Request("PUT", "/{bucket}/other", body=b"x")),
    "delete": (Access.DELETE_OBJECT, Request("DELETE", "/{bucket}/other")),
    "list": (Access.LIST_OBJECTS, Request("GET", "/{bucket}", "list-type=2")),
    "versions": (Access.LIST_OBJECTS, Request("GET", "/{bucket}", "versions")),
    "uploads": (Access.LIST_OBJECTS, Request("GET", "/{bucket}", "uploads")),
    "begin": (Access.PUT, Request("POST", "/{bucket}/key", "uploads")),
    "head": (Access.HEAD_BUCKET, Request("HEAD", "/{bucket}")),
    "tag": (Access.UPDATE_OBJECT, Request("DELETE", "/{bucket}/key", "tagging")),
    "tags": (Access.GET, Request("GET", "/{bucket}/key", "tagging")),
    "versioning": (Access.HEAD_BUCKET, Request("GET", "/{bucket}", "versioning")),
    "bucket tags": (Access.PATCH, Request("DELETE", "/{bucket}", "tagging")),
    "destroy": (Access.DESTROY_BUCKET, Request("DELETE", "/{bucket}")),
    "make": (Access.CREATE_BUCKET, Request("PUT", "/new-{bucket}")),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_needs_its_own_permission(world: World, action: str) -> None:
    """With all permissions but one, what that is for is forbidden, to keys and tokens; with that one it is not."""
    needed, request = ACTIONS[action]
    bucket = world.make_bucket(world.alice)
    world.put(world.alice, bucket, "key", b"x")
    request = Request(request.method, request.path.format(bucket=bucket), request.query, body=request.body)
    role = add_role(world, Access(EVERYTHING & ~int(needed)))
    name, keys = add_user(world, role)
    token = login(world, name)
    assert world.send(request, keys).status == 403
    assert s3(world, request, token) == 403
    assert s3(world, request, login(world, name)) == 403
    put_role(world, role, needed, {bucket: needed})
    status = world.send(request, keys).status
    assert status in ({409} if action == "destroy" else {200, 204})


def test_a_rule_for_a_bucket_takes_away_too(world: World) -> None:
    """A rule that gives less on one bucket than the role does everywhere is the one that counts there."""
    bucket, other = world.make_bucket(world.alice), world.make_bucket(world.alice)
    for name in (bucket, other):
        world.put(world.alice, name, "key", b"x")
    name, keys = add_user(world, add_role(world, READ_WRITE, {bucket: Access.HEAD_BUCKET}))
    token = login(world, name)
    for path, status in ((f"/{bucket}/key", 403), (f"/{other}/key", 200)):
        assert world.send(Request("GET", path), keys).status == status
        assert s3(world, Request("GET", path), token) == status
    assert native(world, "GET", f"/objects/{bucket}/key", token).status_code == 403
    assert native(world, "GET", f"/objects/{other}/key", token).status_code == 200
