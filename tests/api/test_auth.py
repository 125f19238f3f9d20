"""Logging in and out, and that every other request asks who one is."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.api.client import Api, Repo
from tidegate.access import READ_ONLY, Access
from tidegate.api.table import ROUTES
from tidegate.testing import ServerProcess, serve

PASSWORD = "the administrator's"

_numbers = itertools.count(1)


class Place:
    """A server with authentication on, and clients of it."""

    def __init__(self, server: ServerProcess, stack: ExitStack) -> None:
        self.server = server
        self._stack = stack
        self.nobody = self.api()
        self.token = self.nobody.post("/auth/login", {"user": "admin", "password": PASSWORD})["token"]
        self.admin = self.api(self.token)

    def api(self, token: str | None = None) -> Api:
        """A client."""
        client = Api(self.server.url, token)
        self._stack.callback(client.session.close)
        return client

    def user(self, *roles: str) -> str:
        """A new user, whose password is the name. Without roles it may do nothing."""
        name = f"user-{next(_numbers)}"
        body: dict[str, Any] = {"id": name, "pass": name, "roles": [{"name": role} for role in roles]}
        headers = {"Authorization": f"Bearer {self.token}"}
        assert requests.post(f"{self.server.url}/v1/users", json=body, headers=headers).status_code == 200
        return name

    def role(self, permissions: int) -> str:
        """A new role for the whole cluster."""
        name = f"role-{next(_numbers)}"
        body: dict[str, Any] = {
            "name": name,
            "clusters": [{"id": self.nobody.get("/version")["cluster"], "perm": str(permissions)}],
        }
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.post(f"{self.server.url}/v1/roles", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return name

    def reader(self, *buckets: str) -> Api:
        """A client of a new user who may read these buckets, and nothing else."""
        name = f"role-{next(_numbers)}"
        rules = [{"bck": {"name": bucket, "provider": "ais"}, "perm": str(int(READ_ONLY))} for bucket in buckets]
        headers = {"Authorization": f"Bearer {self.token}"}
        body: dict[str, Any] = {"name": name, "buckets": rules}
        answer = requests.post(f"{self.server.url}/v1/roles", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return self.login(self.user(name))

    def maker(self) -> Api:
        """A client of a new user who may make repositories, and list those of their own."""
        return self.login(self.user(self.role(int(Access.CREATE_BUCKET | Access.LIST_BUCKETS))))

    def login(self, name: str) -> Api:
        """A client that has logged in."""
        return self.api(self.nobody.post("/auth/login", {"user": name, "password": name})["token"])

    def repo(self, api: Api) -> Repo:
        """A new repository of somebody's."""
        made = Repo(api, f"repo-{next(_numbers)}")
        api.post("/projects/default/repos", {"name": made.name})
        made.branch("master")
        return made


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A server with two workers."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIS_AUTHN_SU_PASS", PASSWORD)
            server = stack.enter_context(serve(auth=True, workers=2, repos_port=None, access_log=True))
        found = Place(server, stack)
        yield found
        assert "Traceback" not in server.log
        assert found.token not in server.log
        assert PASSWORD not in server.log + server.output


def test_login_whoami_and_revoke(place: Place) -> None:
    """A password is good for a token, which says whose it is and until when, and is none once it was revoked."""
    name = place.user()
    before = datetime.now(UTC)
    made = place.nobody.post("/auth/login", {"user": name, "password": name, "ttl": 3600})
    expires = datetime.fromisoformat(made["expires"])
    assert timedelta(seconds=3590) < expires - before < timedelta(seconds=3660)
    api = place.api(made["token"])
    assert api.get("/auth/whoami") == {"user": name, "is_admin": False, "roles": [], "expires": made["expires"]}
    assert api.post("/auth/revoke", {}) == {"revoked": 1}
    for _ in range(8):  # whichever worker answers
        assert api.fails("GET", "/auth/whoami", 401, "Unauthorized")["error"]["message"] == "token revoked"
    assert place.admin.get("/auth/whoami")["is_admin"] is True


@pytest.mark.parametrize(("user", "password"), [("admin", "wrong"), ("nobody", "x"), ("", ""), ("é\n", "x")])
def test_wrong_credentials(place: Place, user: str, password: str) -> None:
    """A wrong password and a user who is not there get the same answer."""
    document = place.nobody.fails("POST", "/auth/login", 401, "Unauthorized", json={"user": user, "password": password})
    assert document["error"]["message"] == "invalid credentials"


@pytest.mark.parametrize("body", [{}, {"user": "admin"}, {"user": "admin", "password": 1}, {"ttl": 0}, {"ttl": 10**9}])
def test_a_login_that_makes_no_sense_is_refused(place: Place, body: dict[str, object]) -> None:
    """What is missing, of another type or beyond the limit is the client's mistake."""
    credentials = {"user": "admin", "password": PASSWORD} if "ttl" in body else {}
    place.nobody.fails("POST", "/auth/login", 400, "InvalidArgument", json={**credentials, **body})


@pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic YWRtaW46eA==", "Bearer a, Bearer b"])
def test_nobody_gets_in_without_a_token(place: Place, authorization: str | None) -> None:
    """Every path but those that are open to all answers 401, and says what is asked for."""
    headers = {} if authorization is None else {"Authorization": authorization}
    for route in ROUTES:
        path = re.sub(r"\{[^}]+\}", "x", route.path.removeprefix("/v2"))
        answer = place.nobody.request(route.method, path, headers=headers)
        if route.is_open:
            assert answer.status_code in {200, 400}
        else:
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), route.path


def test_what_is_open_to_all(place: Place) -> None:
    """No more than it takes to get a token."""
    assert {route.name for route in ROUTES if route.is_open} == {"get_version", "get_description", "login"}
    assert place.nobody.get("/version")["auth"] is True


def test_a_repository_is_its_makers(place: Place) -> None:
    """Others neither see nor change it; an administrator may."""
    owner, other = place.maker(), place.maker()
    repo = place.repo(owner)
    repo.write("key")
    assert repo.commits()[0]["author"] == owner.get("/auth/whoami")["user"]
    assert repo.name not in {item["name"] for item in other.get("/repos")["items"]}
    for method, path, body in (
        ("GET", repo.path, None),
        ("GET", f"{repo.path}/files?ref=master", None),
        ("GET", repo.file("key"), None),
        ("PUT", f"{repo.path}/branches/dev", {}),
        ("POST", f"{repo.path}/commits", {"branch": "master"}),
        ("POST", f"{repo.path}/merge", {"source": "master", "into": "master"}),
        ("DELETE", repo.file("key"), None),
        ("DELETE", repo.path, None),
    ):
        document = other.fails(method, path, 403, "AccessDenied", json=body)
        assert repo.name in document["error"]["message"], path
    answer = other.request("PUT", repo.file("key"), data=b"content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AccessDenied")
    assert Repo(place.admin, repo.name).read("key") == b"content"


def test_a_role_gives_what_it_says(place: Place) -> None:
    """Who may read reads, and does not write."""
    reads = Access.GET | Access.HEAD_OBJECT | Access.LIST_OBJECTS | Access.HEAD_BUCKET | Access.LIST_BUCKETS
    repo = place.repo(place.admin)
    repo.write("key")
    reader = place.login(place.user(place.role(int(reads))))
    assert Repo(reader, repo.name).contents() == {"key": b"content"}
    assert repo.name in {item["name"] for item in reader.get("/repos")["items"]}
    answer = reader.request("PUT", repo.file("key"), data=b"other")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AccessDenied")
    reader.fails("DELETE", repo.file("key"), 403, "AccessDenied")
    reader.fails("POST", "/projects", 403, "AccessDenied", json={"name": "x"})


def test_a_role_for_one_branch(place: Place) -> None:
    """A user reads what was made on the branches that their roles name, by any ref, and is told of no others."""
    repo = place.repo(place.admin)
    repo.write("key")
    repo.branch("secret", head="master")
    repo.write("plan", ref="secret")
    commit, first = repo.head("secret"), repo.head()
    place.admin.put(f"{repo.path}/tags/plan", {"ref": "secret"})
    of_secret = [
        *(f"diff?from={ref}&to={ref}" for ref in ("secret", commit, "plan")),
        *(f"{what}?ref={ref}&path=plan" for what in ("log", "find", "files") for ref in ("secret", commit, "plan")),
        *(f"commits?ref={ref}" for ref in ("secret", commit, "plan")),
        *(f"commits/{ref}" for ref in ("secret", commit, "plan")),
        *(f"files/{ref}/plan" for ref in ("secret", commit, "plan")),
        "branches/secret",
    ]
    of_both = ["diff?from=master&to=secret", f"diff?from={commit}&to={first}"]
    masters, secrets = place.reader(f"master.{repo.name}"), place.reader(f"secret.{repo.name}")
    both = place.reader(f"master.{repo.name}", f"secret.{repo.name}")
    for path in of_secret:
        masters.fails("GET", f"{repo.path}/{path}", 403, "AccessDenied")
    for path in of_both:
        masters.fails("GET", f"{repo.path}/{path}", 403, "AccessDenied")
        secrets.fails("GET", f"{repo.path}/{path}", 403, "AccessDenied")
    for api, paths in ((secrets, of_secret), (both, of_secret + of_both)):
        for path in paths:
            assert api.request("GET", f"{repo.path}/{path}").status_code == 200, path
    for api, names, tags in ((masters, ["master"], []), (secrets, ["secret"], ["plan"])):
        assert [each["name"] for each in api.get(f"{repo.path}/branches")["items"]] == names
        assert {each["branch"] for each in api.get(f"{repo.path}/commits")["items"]} == set(names)
        assert [each["name"] for each in api.get(f"{repo.path}/tags")["items"]] == tags


def test_a_token_is_ended_by_its_user_or_an_administrator(place: Place) -> None:
    """Nobody else's; and what is no token is told."""
    first, second = place.login(place.user()), place.login(place.user())
    token = str(first.session.headers["Authorization"]).removeprefix("Bearer ")
    second.fails("POST", "/auth/revoke", 403, "AccessDenied", json={"token": token})
    second.fails("POST", "/auth/revoke", 400, "InvalidToken", json={"token": "x"})
    second.fails("POST", "/auth/revoke", 400, "InvalidArgument", json={"token": token, "robot": "x"})
    assert first.get("/auth/whoami")
    assert place.admin.post("/auth/revoke", {"token": token}) == {"revoked": 1}
    first.fails("GET", "/auth/whoami", 401, "Unauthorized")


def test_robots(place: Place) -> None:
    """A program gets tokens of its own from an administrator, which live until they are revoked."""
    name = f"robot-{next(_numbers)}"
    first = place.admin.post("/auth/robot-token", {"name": name})
    assert (first["user"], first["expires"]) == (f"robot:{name}", None)
    second = place.admin.post("/auth/robot-token", {"name": name, "ttl": 3600})
    assert second["expires"] is not None
    robot = place.api(first["token"])
    assert robot.get("/auth/whoami") == {"user": f"robot:{name}", "is_admin": False, "roles": [], "expires": None}
    repo = place.repo(robot)
    repo.write("key")
    assert repo.commits()[0]["author"] == f"robot:{name}"
    robot.fails("POST", "/auth/robot-token", 403, "AccessDenied", json={"name": "other"})
    place.admin.fails("POST", "/auth/robot-token", 400, "InvalidArgument", json={"name": "no/name"})
    assert place.admin.post("/auth/revoke", {"robot": name}) == {"revoked": 2}
    robot.fails("GET", "/auth/whoami", 401, "Unauthorized")
    place.admin.fails("POST", "/auth/revoke", 404, "NoSuchUser", json={"robot": "nobody"})


def test_the_log_names_who_asked(place: Place) -> None:
    """By the user's name; never by the token."""
    api = place.maker()
    name = api.get("/auth/whoami")["user"]
    request_id = api.request("GET", "/projects").headers["X-Request-Id"]
    api.get("/projects")
    (line,) = [line for line in place.server.log.splitlines() if request_id in line]
    assert name in line
    assert "api.list_projects" in line


def test_without_authentication_nobody_logs_in(api: Api) -> None:
    """There is nobody to tell apart, and nobody gets an account for later."""
    for method, path, body in (
        ("POST", "/auth/login", {"user": "admin", "password": "x"}),
        ("POST", "/auth/robot-token", {"name": "x"}),
        ("GET", "/auth/whoami", None),
        ("POST", "/auth/revoke", {}),
        ("POST", "/auth/revoke", {"robot": "x"}),
    ):
        api.fails(method, path, 400, "AuthenticationIsOff", json=body)
