"""Projects and repositories: made, listed, described anew and removed."""

from __future__ import annotations

import itertools

import pytest

from tests.api.client import Api, Repo
from tests.api.conftest import new_name

_numbers = itertools.count(1)


def test_projects(api: Api) -> None:
    """A project is made, shown, described anew, listed and removed; ``default`` is always there."""
    name = new_name()
    made = api.post("/projects", {"name": name, "description": "first"})
    assert (made["name"], made["description"]) == (name, "first")
    assert api.get(f"/projects/{name}") == made
    changed = api.request("PATCH", f"/projects/{name}", json={"description": "second"}).json()
    assert changed == {**made, "description": "second"}
    assert {"default", name} <= {item["name"] for item in api.get("/projects")["items"]}
    assert api.delete(f"/projects/{name}") is None
    api.fails("GET", f"/projects/{name}", 404, "NoSuchProject")
    api.fails("DELETE", f"/projects/{name}", 404, "NoSuchProject")
    assert api.get("/projects/default")["name"] == "default"


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
def test_lists_come_in_pages(api: Api, limit: int) -> None:
    """Projects, repositories, branches and tags: every one once, in order, also where some come or go in between."""
    project = new_name()
    api.post("/projects", {"name": project})
    names = [f"{project}-{number}" for number in range(5)]
    for name in names:
        api.post(f"/projects/{project}/repos", {"name": name})
        api.post("/projects", {"name": name})
    repo = Repo(api, names[0], project)
    repo.branch("master")
    repo.write("key")
    for name in names:
        repo.branch(f"b-{name}", head="master")
        api.put(f"{repo.path}/tags/t-{name}", {"ref": "master"})

    def listed(path: str) -> list[str]:
        found: list[str] = []
        query: dict[str, str | int] = {"limit": limit}
        while True:
            page = api.get(path, **query)
            assert len(page["items"]) <= limit
            found += [item["name"] for item in page["items"]]
            if page["next"] is None:
                return found
            assert len(page["items"]) == limit
            query["after"] = page["next"]

    assert listed(f"/projects/{project}/repos") == names[::-1]
    assert [name for name in listed("/repos") if name in names] == names[::-1]
    assert [name for name in listed("/projects") if name.startswith(project + "-")] == names
    assert listed(f"{repo.path}/branches") == [*(f"b-{name}" for name in names), "master"]
    assert listed(f"{repo.path}/tags") == [f"t-{name}" for name in names]
    first = api.get(f"{repo.path}/branches", limit=2)
    api.delete(f"{repo.path}/branches/{first['next']}")
    rest = api.get(f"{repo.path}/branches", after=first["next"])["items"]
    assert [item["name"] for item in rest] == [*(f"b-{name}" for name in names[2:]), "master"]
    newest = api.get(f"/projects/{project}/repos", limit=2)
    api.delete(f"/projects/{project}/repos/{names[3]}")
    api.post(f"/projects/{project}/repos", {"name": "newer"})
    rest = api.get(f"/projects/{project}/repos", after=newest["next"])["items"]
    assert [item["name"] for item in rest] == names[2::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=x", "after=-1", "after=" + "9" * 30])
def test_a_page_that_makes_no_sense(api: Api, query: str) -> None:
    """Is refused."""
    api.fails("GET", f"/repos?{query}", 400, "InvalidArgument")


def test_a_project_is_not_made_twice(api: Api) -> None:
    """A name that is taken is a conflict, and what has it stays."""
    name = new_name()
    api.post("/projects", {"name": name, "description": "first"})
    api.fails("POST", "/projects", 409, "ProjectExists", json={"name": name, "description": "second"})
    assert api.get(f"/projects/{name}")["description"] == "first"


def test_a_project_with_repositories_stays(api: Api) -> None:
    """What is not empty is not removed."""
    name = new_name()
    api.post("/projects", {"name": name})
    api.post(f"/projects/{name}/repos", {"name": "data"})
    api.fails("DELETE", f"/projects/{name}", 409, "ProjectNotEmpty")
    api.delete(f"/projects/{name}/repos/data")
    api.delete(f"/projects/{name}")


def test_repos(api: Api) -> None:
    """A repository is made, shown, described anew, listed with the newest first, and removed."""
    project = new_name()
    api.post("/projects", {"name": project})
    for name in ("one", "two"):
        made = api.post(f"/projects/{project}/repos", {"name": name, "description": name})
        assert (made["project"], made["name"], made["description"]) == (project, name, name)
        assert (made["branches"], made["size"]) == ([], 0)
    listed = api.get(f"/projects/{project}/repos")["items"]
    assert [item["name"] for item in listed] == ["two", "one"]
    assert [item for item in api.get("/repos")["items"] if item["project"] == project] == listed
    path = f"/projects/{project}/repos/one"
    assert api.request("PATCH", path, json={"description": "new"}).json()["description"] == "new"
    assert api.get(path)["description"] == "new"
    assert api.delete(path) is None
    api.fails("GET", path, 404, "NoSuchRepo")
    api.fails("DELETE", path, 404, "NoSuchRepo")


def test_a_repo_is_made_twice_only_to_update_it(api: Api) -> None:
    """A name that is taken is a conflict, unless ``update`` says that it may be."""
    name = new_name()
    api.post("/projects/default/repos", {"name": name})
    body = {"name": name, "description": "new"}
    api.fails("POST", "/projects/default/repos", 409, "RepoExists", json=body)
    answer = api.request("POST", "/projects/default/repos", json={**body, "update": True})
    assert (answer.status_code, answer.json()["description"]) == (200, "new")


def test_a_repo_knows_its_branches_and_its_size(repo: Repo) -> None:
    """Branches by name, and the bytes of what is in master."""
    repo.write("a", b"12345")
    repo.branch("dev", head="master")
    repo.write("b", b"123", "dev")
    found = repo.api.get(repo.path)
    assert (found["branches"], found["size"]) == (["dev", "master"], 5)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "é", "x" * 101, "a/b"])
def test_what_nothing_can_be_called_is_refused(api: Api, name: str) -> None:
    """A name that would not do is the client's mistake."""
    for path in ("/projects", "/projects/default/repos"):
        answer = api.request("POST", path, json={"name": name})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] in {"InvalidName", "InvalidArgument"}


def test_what_is_missing_is_named(api: Api) -> None:
    """Every path below something that is not there says what that is."""
    nowhere = "/projects/default/repos/no-such-repo"
    for method, path in (
        ("GET", ""),
        ("GET", "/branches"),
        ("GET", "/branches/master"),
        ("GET", "/commits"),
        ("GET", "/commits/master"),
        ("POST", "/commits/master/squash"),
        ("GET", "/tags"),
        ("GET", "/files?ref=master"),
        ("GET", "/files/master/key"),
        ("DELETE", "/files/master/key"),
        ("DELETE", "/files/master/key?recursive=true"),
        ("GET", "/diff?from=a&to=b"),
        ("GET", "/log?ref=master&path=key"),
        ("GET", "/find?ref=master&path=key"),
    ):
        document = api.fails(method, nowhere + path, 404, "NoSuchRepo")
        assert "repo default/no-such-repo not found" in document["error"]["message"], path
    api.fails("GET", "/projects/no-such/repos", 404, "NoSuchProject")
    api.fails("POST", "/projects/no-such/repos", 404, "NoSuchProject", json={"name": "x"})
