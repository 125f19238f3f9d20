"""Projects, repos, branches and tags."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cli.pachctl.command import AGE, Pachctl, ageless
from tidegate.cli.transport import Client


def test_a_repo_comes_and_goes(pachctl: Pachctl, project: str) -> None:
    """A repo is made in silence, listed with its age and size, described, and removed, which is said."""
    assert pachctl("create", "repo", "test", "--project", project).output == ""
    pachctl("put", "file", f"{project}/test@master:/x", typed=b"x" * 62)
    listed = pachctl("list", "repo", "--project", project).output
    assert ageless(listed) == (f"PROJECT NAME CREATED SIZE (MASTER) DESCRIPTION\n{project} test <age> 62B -\n")
    pachctl("update", "repo", "test", "--project", project, "--description", "pictures")
    assert ageless(pachctl("inspect", "repo", f"{project}/test").output) == (
        f"Name: {project}/test\nDescription: pictures\nCreated: <age>\nSize of HEAD on master: 62B\n"
    )
    removed = pachctl("delete", "repo", "test", "--project", project)
    assert (removed.output, removed.error) == ("", "Repo deleted.\n")
    assert pachctl("list", "repos", "--project", project).rows[1:] == []


def test_the_guides_table(pachctl: Pachctl, repo: str) -> None:
    """Where nobody names a project the table is the guide's, the newest first; with one, or all, it has the project."""
    pachctl("create", "repo", f"{repo}-newer")
    header, *lines = pachctl("list", "repo").output.splitlines()
    assert header == "NAME               CREATED                    SIZE (MASTER)"
    names = [line.split()[0] for line in lines]
    assert names.index(f"{repo}-newer") < names.index(repo)
    assert re.fullmatch(rf"{re.escape(f'{repo:19}')}{AGE} +0B", lines[names.index(repo)])
    for option in (["-A"], ["--project", "default"]):
        wide = pachctl("list", "repo", *option).rows
        assert wide[0] == ["PROJECT", "NAME", "CREATED", "SIZE", "(MASTER)", "DESCRIPTION"]
        assert repo in [row[1] for row in wide if row[0] == "default"]


def test_what_is_there_and_what_is_not(pachctl: Pachctl, repo: str) -> None:
    """Errors have Pachyderm's words, which clients look for, on standard error, and the exit code 1."""
    assert pachctl.fails("create", "repo", repo) == f"repo default/{repo} already exists"
    assert pachctl.fails("inspect", "repo", "nobody") == "repo default/nobody not found"
    assert pachctl.fails("delete", "repo", "nobody") == "repo default/nobody not found"
    assert pachctl.fails("list", "branch", "nobody") == "repo default/nobody not found"
    assert pachctl.fails("list", "file", "nobody@master") == "repo default/nobody not found"
    assert pachctl.fails("inspect", "branch", f"{repo}@x") == f'branch "x" not found in repo default/{repo}'
    assert pachctl.fails("list", "file", f"{repo}@x") == f'branch "x" not found in repo default/{repo}'
    assert pachctl.fails("inspect", "project", "nope") == 'project "nope" not found'
    assert pachctl.fails("list", "repo", "--project", "nope") == 'project "nope" not found'
    assert "does not name a repo" in pachctl.fails("create", "repo", "nö")


def test_update_makes_what_is_not_there(pachctl: Pachctl, repo: str) -> None:
    """``update repo`` is ``create repo`` for a repo that is not there."""
    pachctl("update", "repo", f"{repo}-new", "-d", "made")
    assert "Description: made" in pachctl("inspect", "repo", f"{repo}-new").output


def test_lists_in_pages(pachctl: Pachctl, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that are longer than a page come whole."""
    request = Client.request

    def short(client: Client, method: str, path: str, **more: Any) -> Any:
        if method == "GET" and path.endswith(("repos", "branches", "tags")):
            more["query"] = {**(more.get("query") or {}), "limit": "1"}
        return request(client, method, path, **more)

    for name in "abc":
        pachctl("create", "repo", name, "--project", project)
        pachctl("create", "branch", f"a@{name}", "--project", project)
    pachctl("start", "commit", "a@a", "--project", project)
    pachctl("finish", "commit", "a@a", "--project", project)
    for tag in ("x", "y"):
        pachctl("create", "tag", f"a@{tag}", "--head", "a", "--project", project)
    monkeypatch.setattr(Client, "request", short)
    assert [row[1] for row in pachctl("list", "repo", "--project", project).rows[1:]] == ["c", "b", "a"]
    assert [row[0] for row in pachctl("list", "branch", "a", "--project", project).rows[1:]] == ["a", "b", "c"]
    assert [row[0] for row in pachctl("list", "tag", "a", "--project", project).rows[1:]] == ["x", "y"]
    pachctl("delete", "repo", "--all", "--project", project)
    assert pachctl("list", "repo", "--project", project).rows[1:] == []


def test_deleting_repos(pachctl: Pachctl, project: str) -> None:
    """All repos of a project go at once, also those that others are made of, and then the project can go."""
    for name in ("a", "b", "c"):
        pachctl("create", "repo", name, "--project", project)
        pachctl("create", "branch", f"{name}@master", "--project", project)
    pachctl("create", "branch", "a@out", "-p", "c@master", "--project", project)
    assert "provenance" in pachctl.fails("delete", "repo", "c", "--project", project)
    assert "either a repo or --all" in pachctl.fails("delete", "repo", "--project", project)
    assert "still has repos" in pachctl.fails("delete", "project", project)
    assert pachctl("delete", "repo", "--all", "--project", project).error == "3 repos deleted.\n"
    assert pachctl("delete", "repo", "--all", "--project", project).error == "No repo deleted.\n"
    pachctl("delete", "project", project)


def test_force_deletes_a_project_with_its_repos(pachctl: Pachctl, project: str) -> None:
    """--force removes the repos of a project before it."""
    pachctl("create", "repo", "a", "--project", project)
    assert pachctl("delete", "project", project, "--force").output == ""
    assert pachctl.fails("inspect", "project", project) == f'project "{project}" not found'


def test_projects(pachctl: Pachctl, project: str) -> None:
    """The project that one works in has a star; it is default unless the configuration says another."""
    assert pachctl.fails("create", "project", project) == f'project "{project}" already exists'
    pachctl("update", "project", project, "-d", "a project")
    rows = {row[-4 if row[-1] != "-" else 0]: row for row in pachctl("list", "project").rows[1:]}
    assert rows["*"][:2] == ["*", "default"]
    assert ageless(pachctl("inspect", "project", project).output) == (
        f"Name: {project}\nDescription: a project\nCreated at: <age>\n"
    )
    pachctl("config", "update", "context", "--project", project)
    assert f"* {project} " in ageless(pachctl("list", "projects").output)
    pachctl("create", "repo", "mine")
    assert pachctl("list", "repo").rows[1][:2] == [project, "mine"]


def test_raw_documents(pachctl: Pachctl, repo: str) -> None:
    """--raw prints what the server sent, one document after the other."""
    pachctl("create", "branch", f"{repo}@dev")
    output = pachctl("list", "branch", repo, "--raw").output
    documents = [json.loads(each) for each in re.split(r"(?<=^\})\n", output, flags=re.MULTILINE) if each]
    assert [each["name"] for each in documents] == ["dev", "master"]
    assert documents[0]["repo"] == repo
    assert pachctl("inspect", "repo", repo, "--raw", "-o", "json").json["name"] == repo
    assert pachctl.fails("list", "repo", "-o", "json") == "cannot set --output (-o) without --raw"
    assert "Invalid value" in pachctl.fails("list", "repo", "--raw", "-o", "xml")


def test_yaml(pachctl: Pachctl, repo: str) -> None:
    """YAML is printed where the package for it is installed, and refused clearly where it is not."""
    try:
        import yaml  # type: ignore[import-untyped]  # has no annotations
    except ImportError:
        assert "YAML needs" in pachctl.fails("inspect", "repo", repo, "--raw", "-o", "yaml")
    else:
        assert yaml.safe_load(pachctl("inspect", "repo", repo, "--raw", "-o", "yaml").output)["name"] == repo


def test_times(pachctl: Pachctl, repo: str) -> None:
    """--full-timestamps prints when, not how long ago."""
    assert re.search(
        r"Created: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n", pachctl("inspect", "repo", repo, "--full-timestamps").output
    )


# --- branches and tags -----------------------------------------------------------------------------------------------


def test_branches(pachctl: Pachctl, repo: str) -> None:
    """A branch begins at another, or at a commit, and is moved by being made again; the old content can be read."""
    for content in (b"1", b"2", b"3"):
        pachctl.put(f"{repo}@master:/x", content)
    second = pachctl.head(f"{repo}@master^")
    pachctl("create", "branch", f"{repo}@old", "--head", "master~2")
    pachctl("create", "branch", f"{repo}@new", "--head", f"{repo}@master")
    assert [pachctl.read(f"{repo}@{name}:/x") for name in ("old", "new")] == [b"1", b"3"]
    pachctl("create", "branch", f"{repo}@old", "--head", second)
    assert pachctl.read(f"{repo}@old:/x") == b"2"
    assert pachctl("list", "branch", repo).rows == [
        ["BRANCH", "HEAD"],
        *sorted([["old", second], ["new", pachctl.head(f"{repo}@new")], ["master", pachctl.head(f"{repo}@master")]]),
    ]
    assert ageless(pachctl("inspect", "branch", f"{repo}@old").output) == (
        f"Name: {repo}@old\nHead Commit: {repo}@{second}\nCreated at: <age>\n"
    )
    pachctl("delete", "branch", f"{repo}@old")
    assert [row[0] for row in pachctl("list", "branch", repo).rows] == ["BRANCH", "master", "new"]


def test_output_branches(pachctl: Pachctl, repo: str) -> None:
    """A branch with provenance is an output: nobody writes it, and what it is made of cannot go."""
    pachctl("create", "branch", f"{repo}@in")
    pachctl("create", "branch", f"{repo}@out", "-p", f"{repo}-other@master", code=1)
    pachctl("create", "repo", f"{repo}-other")
    pachctl("create", "branch", f"{repo}-other@out", "--provenance", f"{repo}@in", "-p", f"{repo}@master")
    shown = pachctl("inspect", "branch", f"{repo}-other@out").output
    assert f"Provenance: {repo}@in {repo}@master\n" in shown
    assert "output branch" in pachctl.fails("start", "commit", f"{repo}-other@out")
    assert "output branch" in pachctl.fails("put", "file", f"{repo}-other@out:/x", typed=b"x")
    assert "provenance" in pachctl.fails("delete", "branch", f"{repo}@in")
    pachctl("delete", "branch", f"{repo}@in", "--force")


def test_triggers(pachctl: Pachctl, repo: str) -> None:
    """A branch that follows another is shown with its conditions, which need one to follow."""
    trigger = ["--trigger", "master", "--trigger-size", "100M", "--trigger-commits", "2"]
    pachctl("create", "branch", f"{repo}@any", *trigger)
    pachctl("create", "branch", f"{repo}@all", *trigger, "--trigger-all")
    shown = pachctl("list", "branch", repo, "--project", "default").output
    assert "master on Size(100M) or Commits(2)" in shown
    assert "master on Size(100M) and Commits(2)" in shown
    assert "Trigger: master on Size(100M) or Commits(2)\n" in pachctl("inspect", "branch", f"{repo}@any").output
    assert "need the branch to follow" in pachctl.fails("create", "branch", f"{repo}@x", "--trigger-commits", "2")
    assert "either" in pachctl.fails("create", "branch", f"{repo}@x", *trigger, "-p", f"{repo}@master")
    for content in (b"1", b"2"):
        pachctl.put(f"{repo}@master:/x", content)
    followed = pachctl.head(f"{repo}@master")
    assert pachctl.head(f"{repo}@any") == followed
    assert "exclude" in pachctl.fails("create", "branch", f"{repo}@any", *trigger, "--no-trigger")
    pachctl("create", "branch", f"{repo}@any", "--no-trigger")
    assert "Trigger" not in pachctl("inspect", "branch", f"{repo}@any").output
    for content in (b"3", b"4"):
        pachctl.put(f"{repo}@master:/x", content)
    assert pachctl.head(f"{repo}@any") == followed


def test_protection(pachctl: Pachctl, repo: str) -> None:
    """Nobody writes a protected branch, until it is not protected any more; a branch that is not there is not made."""
    pachctl("protect", "branch", f"{repo}@master")
    assert "Protected: yes\n" in pachctl("inspect", "branch", f"{repo}@master").output
    assert "protected" in pachctl.fails("put", "file", f"{repo}@master:/x", typed=b"x")
    pachctl("unprotect", "branch", f"{repo}@master")
    pachctl.put(f"{repo}@master:/x", b"x")
    assert "not found" in pachctl.fails("protect", "branch", f"{repo}@nope")


def test_tags(pachctl: Pachctl, repo: str) -> None:
    """A tag names a commit for good: it reads as a branch does, cannot be written, and shares names with branches."""
    pachctl.put(f"{repo}@master:/x", b"1")
    first = pachctl.head(f"{repo}@master")
    pachctl("create", "tag", f"{repo}@v1")
    pachctl.put(f"{repo}@master:/x", b"2")
    pachctl("create", "tag", f"{repo}@v0", "--head", "master^")
    assert pachctl("list", "tags", repo).rows == [["TAG", "COMMIT"], ["v0", first], ["v1", first]]
    assert pachctl.read(f"{repo}@v1:/x") == b"1"
    assert "cannot be changed" in pachctl.fails("put", "file", f"{repo}@v1:/x", typed=b"3")
    assert "already exists" in pachctl.fails("create", "tag", f"{repo}@v1")
    assert "already exists" in pachctl.fails("create", "tag", f"{repo}@master")
    pachctl("delete", "tag", f"{repo}@v1")
    assert [row[0] for row in pachctl("list", "tag", repo).rows] == ["TAG", "v0"]
    assert pachctl.fails("delete", "tag", f"{repo}@v1") == f'tag "v1" not found in repo default/{repo}'


@pytest.mark.parametrize("plural", ["repos", "branches", "projects"])
def test_synonyms(alone: Pachctl, plural: str) -> None:
    """Plural nouns are the same commands."""
    singular = "branch" if plural == "branches" else plural.removesuffix("s")
    one, many = (alone("list", noun, "--help").output for noun in (singular, plural))
    assert many == one.replace(f"list {singular} ", f"list {plural} ", 1)
