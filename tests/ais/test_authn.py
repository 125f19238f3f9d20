"""AuthN over the wire: AIStore's SDK manages users, roles and tokens, and its clients are who their tokens say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from aistore.sdk import AuthNClient, Client
from aistore.sdk.authn.access_attr import AccessAttr
from aistore.sdk.authn.errors import (
    AuthNError,
    ErrClusterAlreadyRegistered,
    ErrClusterNotFound,
    ErrRoleAlreadyExists,
    ErrRoleNotFound,
    ErrUserAlreadyExists,
    ErrUserInvalidCredentials,
    ErrUserNotFound,
)
from urllib3 import Retry

from tests.ais.conftest import connect, disconnect
from tidegate.identity.passwords import MAX_FAILURES
from tidegate.testing import ServerProcess, serve

PASSWORD = "the administrator's"
ALIAS = "home"

_numbers = itertools.count(1)


class Authn:
    """A server with authentication on, and clients of it."""

    def __init__(self, server: ServerProcess, stack: ExitStack) -> None:
        self.server = server
        self.url = f"{server.url}/v1"
        self._stack = stack
        self.admin = self.client()
        self.token = self.admin.login("admin", PASSWORD)
        self.cluster = self.admin.cluster_manager().register(ALIAS, [server.url])

    def client(self, name: str = "", token: str | None = None) -> AuthNClient:
        """A client of AuthN, logged in if a user is named."""
        client = AuthNClient(self.server.url, retry=Retry(total=0), token=token)
        self._stack.callback(client.client.session_manager.session.close)
        if name:
            client.login(name, name)
        return client

    def native(self, token: str | None) -> Client:
        """The SDK's client of the native API."""
        client = connect(self.server.url, token)
        self._stack.callback(disconnect, client)
        return client

    def s3(self, **options: Any) -> Any:
        client = self.server.boto3_client(**options)
        self._stack.callback(client.close)
        return client

    def user(self, *roles: str) -> str:
        """A new user, whose password is the name."""
        name = f"user-{next(_numbers)}"
        self.admin.user_manager().create(name, list(roles), name)
        return name

    def role(self, *perms: AccessAttr, bucket: str | None = None) -> str:
        """A new role."""
        name = f"role-{next(_numbers)}"
        self.admin.role_manager().create(name, "for a test", ALIAS, list(perms), bucket)
        return name

    def request(self, method: str, path: str, token: str | None = None, **more: Any) -> requests.Response:
        """A request of one's own. Each has a connection of its own, which any worker may take."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return requests.request(method, self.url + path, headers={**headers, **more.pop("headers", {})}, **more)

    def bucket(self) -> str:
        """A new bucket of the administrator's, with an object in it."""
        name = f"bucket-{next(_numbers)}"
        bucket = self.native(self.token).bucket(name).create()
        bucket.object("key").get_writer().put_content(b"content")
        return name


@pytest.fixture(scope="module")
def authn() -> Iterator[Authn]:
    """A server with two workers."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIS_AUTHN_SU_PASS", PASSWORD)
            server = stack.enter_context(serve(auth=True, workers=2, repos_port=None, access_log=True))
        place = Authn(server, stack)
        yield place
        assert "Traceback" not in server.log
        assert place.token not in server.log
        assert PASSWORD not in server.log + server.output


# --- AIStore's client of AuthN, method by method ---------------------------------------------------------------------


def test_login_and_logout(authn: Authn) -> None:
    """A password is good for a token, which works until its user logs out; then no worker takes it any more."""
    name = authn.user("Guest-home")
    client = authn.client()
    token = client.login(name, name, expires_in=3600)
    assert client.client.token == token
    assert authn.request("GET", f"/users/{name}", token).json()["id"] == name
    client.logout()
    for _ in range(8):
        reply = authn.request("GET", f"/users/{name}", token)
        assert (reply.status_code, reply.json()["message"]) == (401, "token revoked")


@pytest.mark.parametrize(("name", "password"), [("admin", "wrong"), ("nobody", "x"), ("no/body", "x"), ("ad min", "x")])
def test_wrong_credentials(authn: Authn, name: str, password: str) -> None:
    """A wrong password and a user who is not there get the same answer."""
    with pytest.raises((ErrUserInvalidCredentials, AuthNError)) as caught:
        authn.client().login(name, password)
    if "/" not in name:
        assert isinstance(caught.value, ErrUserInvalidCredentials)


def test_users(authn: Authn) -> None:
    """Users are created, listed, changed and deleted; what is missing or there already has an error of its own."""
    manager = authn.admin.user_manager()
    name = authn.user("Guest-home")
    assert [role.name for role in manager.get(name).roles] == ["Guest-home"]
    assert {"admin", name} <= set(manager.list())
    assert [role.name for role in manager.list()["admin"].roles] == ["Admin"]
    with pytest.raises(ErrUserAlreadyExists):
        manager.create(name, ["Guest-home"], "x")
    changed = manager.update(name, roles=["BucketOwner-home", "Guest-home"])
    assert [role.name for role in changed.roles] == ["BucketOwner-home", "Guest-home"]
    kept = manager.update(name, password="new")
    assert [role.name for role in kept.roles] == ["BucketOwner-home", "Guest-home"]
    authn.client().login(name, "new")
    manager.delete(name)
    manager.delete(name, missing_ok=True)
    for gone in (manager.delete, manager.get):
        with pytest.raises(ErrUserNotFound):
            gone(name)


def test_roles(authn: Authn) -> None:
    """Roles are created for the cluster or a bucket, listed, changed and deleted."""
    manager = authn.admin.role_manager()
    name = authn.role(AccessAttr.GET, AccessAttr.LIST_BUCKETS)
    found = manager.get(name)
    assert (found.desc, found.clusters[0].id, found.admin) == ("for a test", authn.cluster.id, False)
    assert found.clusters[0].describe() == "GET,LIST_BUCKETS"
    with pytest.raises(ErrRoleAlreadyExists):
        manager.create(name, "again", ALIAS, [AccessAttr.GET])
    manager.update(name, desc="another", cluster_alias=ALIAS, perms=[AccessAttr.PUT], bucket_name="b")
    found = manager.get(name)
    assert (found.desc, found.clusters[0].describe()) == ("another", "GET,LIST_BUCKETS")
    assert (found.buckets[0].bck.name, found.buckets[0].describe()) == ("b", "PUT")
    assert found.buckets[0].bck.namespace.uuid == authn.cluster.id
    assert {"Admin", "ClusterOwner-home", "BucketOwner-home", "Guest-home", name} <= {
        role.name for role in manager.list()
    }
    manager.delete(name)
    manager.delete(name, missing_ok=True)
    for gone in (manager.delete, manager.get):
        with pytest.raises(ErrRoleNotFound):
            gone(name)


def test_the_cluster(authn: Authn) -> None:
    """There is one cluster, this one: registered, found by id and alias, changed, and registered no second time."""
    manager = authn.admin.cluster_manager()
    assert manager.list().clusters == {authn.cluster.id: authn.cluster}
    assert manager.get(cluster_alias=ALIAS) == manager.get(authn.cluster.id) == authn.cluster
    assert authn.cluster.id == authn.native(authn.token).cluster().get_uuid()
    with pytest.raises(ErrClusterAlreadyRegistered):
        manager.register("second", [authn.server.url])
    assert manager.update(authn.cluster.id, urls=["http://one", "http://two"]).urls == ["http://one", "http://two"]
    with pytest.raises(ErrClusterNotFound):
        manager.get("another")
    another = authn.request("POST", "/clusters", authn.token, json={"id": "another", "alias": "a", "urls": []})
    assert another.status_code == 501
    manager.delete(cluster_alias=ALIAS)
    with pytest.raises(ErrClusterNotFound):
        manager.get(authn.cluster.id)
    with pytest.raises(ErrClusterNotFound):
        manager.delete(authn.cluster.id)
    assert manager.register(ALIAS, [authn.server.url]).id == authn.cluster.id


def test_tokens_are_revoked_by_their_users_and_by_administrators(authn: Authn) -> None:
    """An administrator ends anybody's token; nobody else ends another's."""
    alice, bob = authn.client(authn.user()), authn.client(authn.user())
    token = alice.client.token
    with pytest.raises(AuthNError) as caught:
        bob.token_manager().revoke(token)
    assert caught.value.status_code == 403
    authn.admin.token_manager().revoke(token)
    assert authn.request("GET", "/users/x", token).json()["message"] == "token revoked"
    assert authn.request("DELETE", "/tokens", authn.token, json={"token": "none"}).status_code == 400


def test_the_configuration(authn: Authn) -> None:
    """How long tokens live can be set; what this system does not act on is refused, and what is no time."""
    default = {"auth": {"expiration_time": "24h", "max_expiration_time": "2160h", "signature": "HS256"}}
    assert authn.request("GET", "/daemon", authn.token).json() == default
    for time, shown in (("1h30m", "1h30m"), ("45s", "45s"), ("0s", "2160h"), ("24h", "24h")):
        assert authn.request("PUT", "/daemon", authn.token, json={"auth": {"expiration_time": time}}).ok
        assert authn.request("GET", "/daemon", authn.token).json()["auth"]["expiration_time"] == shown
    wrong: object
    for wrong in (
        {"auth": {"expiration_time": "a day"}},
        {"auth": {"expiration_time": ""}},
        {"auth": {"expiration_time": "9999h"}},
        {"auth": {"signature": "none"}},
        {"auth": {"secret": "x"}},
        {"log": {"level": "5"}},
        {},
        [],
    ):
        assert authn.request("PUT", "/daemon", authn.token, json=wrong).status_code == 400
    assert authn.request("GET", "/daemon", authn.token).json() == default


# --- who may do what -------------------------------------------------------------------------------------------------


def test_what_is_asked_for_without_a_token(authn: Authn) -> None:
    """Everything but the server's health and a login needs a token, and says so in AIStore's words."""
    assert authn.request("GET", "/health").status_code == 200
    for method, path in (
        ("GET", "/buckets"),
        ("GET", "/daemon?what=smap"),
        ("GET", "/daemon"),
        ("GET", "/users"),
        ("POST", "/users"),
        ("GET", "/roles"),
        ("GET", "/clusters"),
        ("DELETE", "/tokens"),
        ("GET", "/objects/b/o"),
    ):
        reply = authn.request(method, path)
        assert (reply.status_code, reply.json()["message"]) == (401, "token required")
        assert reply.headers["www-authenticate"] == "Bearer"
    assert "token required" in authn.request("HEAD", "/buckets/b").headers["hdr-error"]


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Basic YTpi",
        "x",
        "Bearer {token} {token}",
        "{token}",
        "Bearer {token}x",
    ],
)
def test_what_is_no_token(authn: Authn, value: str) -> None:
    """Whatever else Authorization says is refused as no token."""
    value = value.format(token=authn.token)
    reply = authn.request("GET", "/users", headers={"Authorization": value})
    assert (reply.status_code, reply.json()["message"]) == (401, "invalid token")


def test_the_schemes_name_has_no_case(authn: Authn) -> None:
    """``bearer`` is ``Bearer`` (RFC 9110)."""
    assert authn.request("GET", "/users", headers={"Authorization": f"bearer {authn.token}"}).status_code == 200


def test_a_token_expires(authn: Authn) -> None:
    """A token that has lived its second is refused as expired."""
    name = authn.user()
    token = authn.client().login(name, name, expires_in=1)
    reply = authn.request("GET", f"/users/{name}", token)
    while reply.status_code == 200:
        reply = authn.request("GET", f"/users/{name}", token)
    assert (reply.status_code, reply.json()["message"]) == (401, "token expired")


@pytest.mark.parametrize("expires_in", [-1, 91 * 24 * 3600 * 10**9, 2**63])
def test_a_lifetime_that_is_none(authn: Authn, expires_in: int) -> None:
    """A token lives 90 days at most."""
    name = authn.user()
    reply = authn.request("POST", f"/users/{name}", json={"password": name, "expires_in": expires_in})
    assert reply.status_code == 400


def test_a_login_is_for_this_cluster(authn: Authn) -> None:
    """Older clients say which cluster they want a token for: it is this one, or there is none."""
    name = authn.user()
    for cluster, status in (("", 200), (authn.cluster.id, 200), (ALIAS, 200), ("another", 404)):
        reply = authn.request("POST", f"/users/{name}", json={"password": name, "cluster_id": cluster})
        assert reply.status_code == status


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"password": 1}', b'{"password": null}', b"x" * 20_000])
def test_a_login_that_is_none(authn: Authn, body: bytes) -> None:
    """A message without a password is a mistake of the client's, and nothing is hashed for it."""
    assert authn.request("POST", "/users/admin", data=body).status_code == 400


def test_guessing_is_slowed_down(authn: Authn) -> None:
    """After some wrong passwords a user's are not tried any more for a while, the right one neither."""
    name = authn.user()
    with requests.Session() as one:  # one connection, so one worker: each counts for itself
        statuses = [
            one.post(f"{authn.url}/users/{name}", json={"password": "wrong"}).status_code
            for _ in range(MAX_FAILURES + 1)
        ]
        assert one.post(f"{authn.url}/users/{name}", json={"password": name}).status_code == 429
        other = authn.user()
        assert one.post(f"{authn.url}/users/{other}", json={"password": other}).status_code == 200
    assert statuses == [401] * MAX_FAILURES + [429]


def test_a_guest_looks_and_touches_nothing(authn: Authn) -> None:
    """Over the native API, permissions are the roles'; what is forbidden is said as AIStore says it."""
    bucket = authn.bucket()
    guest = authn.native(authn.client(authn.user("Guest-home")).client.token)
    assert bucket in [each.name for each in guest.cluster().list_buckets()]
    found = guest.bucket(bucket).object("key")
    assert found.get_reader().read_all() == b"content"
    for act in (
        lambda: found.get_writer().put_content(b"x"),
        found.delete,
        guest.bucket(bucket).delete,
        guest.bucket("new").create,
    ):
        with pytest.raises(Exception, match="http error code 'Forbidden'") as caught:
            act()
        assert getattr(caught.value, "status_code", 403) == 403
    assert guest.bucket(bucket).object("key").get_reader().read_all() == b"content"


def test_a_role_for_a_bucket(authn: Authn) -> None:
    """A role for one bucket gives that, and a listing of buckets shows that alone."""
    mine, other = authn.bucket(), authn.bucket()
    everywhere = authn.role(AccessAttr.LIST_BUCKETS)
    here = authn.role(AccessAttr.ACCESS_RW, bucket=mine)
    user = authn.native(authn.client(authn.user(everywhere, here)).client.token)
    assert [each.name for each in user.cluster().list_buckets()] == [mine]
    user.bucket(mine).object("key").get_writer().put_content(b"mine")
    assert user.bucket(mine).object("key").get_reader().read_all() == b"mine"
    with pytest.raises(Exception, match=f"Forbidden', bucket \\\\\"ais://{other}"):
        user.bucket(other).object("key").get_reader().read_all()
    with pytest.raises(Exception, match=f"Forbidden', bucket \\\\\"ais://{other}"):
        user.bucket(mine).object("key").copy(user.bucket(other).object("copy"))


def test_what_anybody_may_do_to_themselves(authn: Authn) -> None:
    """A user sees their own account and changes their own password, and nothing else of it, nor anybody else's."""
    name = authn.user("Guest-home")
    client = authn.client(name)
    assert [role.name for role in client.user_manager().get(name).roles] == ["Guest-home"]
    token = client.client.token
    for method, path, body in (
        ("GET", "/users", None),
        ("GET", "/users/admin", None),
        ("PUT", "/users/admin", {"id": "admin", "pass": "mine"}),
        ("DELETE", f"/users/{name}", None),
        ("PUT", f"/users/{name}", {"id": name, "roles": [{"name": "Admin"}]}),
        ("PUT", f"/users/{name}", {"id": "admin", "roles": ["ClusterOwner-home"]}),
        ("POST", "/users", {"id": "mallory", "pass": "x", "roles": [{"name": "Admin"}]}),
        ("GET", "/roles", None),
        ("GET", "/roles/Guest-home", None),
        ("POST", "/roles", {"name": "mine", "desc": "", "admin": True}),
        ("PUT", "/roles/Guest-home", {"name": "Guest-home", "admin": True}),
        ("DELETE", "/roles/Guest-home", None),
        ("GET", "/clusters", None),
        ("POST", "/clusters", {"alias": "x"}),
        ("PUT", f"/clusters/{ALIAS}", {"alias": "x"}),
        ("DELETE", f"/clusters/{ALIAS}", None),
        ("GET", "/daemon", None),
        ("PUT", "/daemon", {"auth": {"expiration_time": "1h"}}),
    ):
        assert authn.request(method, path, token, json=body).status_code == 403, (method, path)
    assert authn.request("PUT", f"/users/{name}", token, json={"id": name, "pass": "new", "roles": []}).ok
    assert authn.request("GET", f"/users/{name}", token).status_code == 401  # it was of the old password
    authn.client().login(name, "new")
    assert [role.name for role in authn.admin.user_manager().get(name).roles] == ["Guest-home"]


def test_the_built_in_ones_stay(authn: Authn) -> None:
    """The administrator and the role of administrators are neither removed nor changed."""
    for method, path, body in (
        ("DELETE", "/users/admin", None),
        ("PUT", "/users/admin", {"id": "admin", "roles": [{"name": "Guest-home"}]}),
        ("DELETE", "/roles/Admin", None),
        ("PUT", "/roles/Admin", {"name": "Admin", "admin": False}),
    ):
        assert authn.request(method, path, authn.token, json=body).status_code == 400
    assert authn.request("POST", "/roles", authn.token, json={"name": "Admin", "desc": ""}).status_code == 409


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/users", {"id": "x", "roles": []}, 400),
        ("/users", {"id": "x", "pass": "", "roles": []}, 400),
        ("/users", {"id": "x", "pass": " ", "roles": []}, 400),
        ("/users", {"id": "x/y", "pass": "x", "roles": []}, 400),
        ("/users", {"id": "x", "pass": "x", "roles": [{"name": "no-such-role"}]}, 404),
        ("/users", {"id": "x", "pass": "x", "roles": "Admin"}, 400),
        ("/roles", {"name": "x", "clusters": [{"id": "another", "perm": "1"}]}, 404),
        ("/roles", {"name": "x", "clusters": [{"id": "", "perm": "-1"}]}, 400),
        ("/roles", {"name": "x", "buckets": [{"bck": {"name": "b", "provider": "cloud"}, "perm": "1"}]}, 400),
        ("/roles", {"name": "", "desc": ""}, 400),
        ("/clusters", {"alias": "a/b"}, 400),
        ("/clusters", {"alias": "x", "urls": ["u"] * 17}, 400),
    ],
    ids=str,
)
def test_what_makes_no_sense(authn: Authn, path: str, body: object, status: int) -> None:
    """A message that makes no sense is refused, and leaves nothing behind."""
    assert authn.request("POST", path, authn.token, json=body).status_code == status
    assert "x" not in authn.request("GET", "/users", authn.token).json()


def test_roles_count_for_access_keys_too(authn: Authn) -> None:
    """A user of AuthN may have access keys: plain signatures then do what the roles say, as they are now."""
    from tests.cli.command import tidegate

    bucket, other = authn.bucket(), authn.bucket()
    role = authn.role(AccessAttr.ACCESS_RO, bucket=bucket)
    listing = authn.role(AccessAttr.LIST_BUCKETS)
    name = authn.user(role, listing)
    (key,) = tidegate("key", "add", name, "--json", "--data", authn.server.data).values
    s3 = authn.s3(aws_access_key_id=key["access_key"], aws_secret_access_key=key["secret_key"])
    assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == [bucket]
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"content"
    for act in (
        lambda: s3.get_object(Bucket=other, Key="key"),
        lambda: s3.put_object(Bucket=bucket, Key="key", Body=b"x"),
        lambda: s3.delete_object(Bucket=bucket, Key="key"),
        lambda: s3.create_bucket(Bucket="new-bucket"),
    ):
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            act()
    authn.admin.role_manager().update(role, cluster_alias=ALIAS, perms=[AccessAttr.ACCESS_RW], bucket_name=bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    authn.admin.role_manager().delete(role)
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.get_object(Bucket=bucket, Key="key")


# --- authentication off ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/users/admin"),
        ("GET", "/users"),
        ("POST", "/users"),
        ("GET", "/users/admin"),
        ("PUT", "/users/admin"),
        ("DELETE", "/users/admin"),
        ("GET", "/roles"),
        ("POST", "/roles"),
        ("GET", "/clusters"),
        ("POST", "/clusters"),
        ("DELETE", "/tokens"),
        ("GET", "/daemon"),
        ("PUT", "/daemon"),
    ],
)
def test_there_are_no_users_without_authentication(server: ServerProcess, method: str, path: str) -> None:
    """Where anybody may do anything, nobody makes themselves a way in for the day when that ends."""
    body: dict[str, Any] = {
        "id": "x",
        "pass": "x",
        "password": "x",
        "token": "x",
        "name": "x",
        "alias": "x",
        "roles": [],
    }
    if path == "/daemon":
        body = {"auth": {"expiration_time": "1h"}}
    reply = requests.request(method, f"{server.url}/v1{path}", json=body)
    assert reply.status_code == 400
    assert "authentication is off" in reply.json()["message"]
